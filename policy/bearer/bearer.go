// Package bearer makes and reads the tokens that the token service of containers
// hands out. They are signed and not stored, so that a pull by nobody leaves no
// row behind:
//
//	ldrx_<base64url of what it says>.<base64url of the HMAC-SHA-256 of that>
//
// It names the key, the token that it was traded for, by its SHA-256, what it is
// for, and when it was made and ends. There is one algorithm, and keys come
// from the Ring alone. That a token is good says nothing yet about the one that it
// was traded for, which has to be looked at each time.
package bearer

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"larder/policy"
	"larder/policy/token"
)

// Life is how long a token is good at most.
const Life = 5 * time.Minute

// MaxGrants bounds what a token says of its grants, in bytes: it has to fit into
// a header. What is beyond is left out.
const MaxGrants = 8 << 10

// Errors of Open. They hold nothing of the text.
var (
	// ErrForged: no key of the ring has signed it.
	ErrForged = errors.New("not signed here")
	// ErrExpired: it was good, and its time is over.
	ErrExpired = errors.New("expired")
)

const prefix = string(token.Bearer) + "_"

// Claims are what a token says.
type Claims struct {
	// Parent is the SHA-256 of the token it was traded for; empty: of nobody.
	Parent  []byte
	Grants  []policy.Grant
	Issued  time.Time // whole seconds
	Expires time.Time // whole seconds
}

// Is reports whether a text claims to be such a token.
func Is(text string) bool { return strings.HasPrefix(text, prefix) }

// Mint signs claims with the newest key. Errors: a ring without one.
func (r Ring) Mint(c Claims) (string, error) {
	if len(r.keys) == 0 {
		return "", errors.New("mint a bearer token: there is no key")
	}
	k := r.keys[0]
	signed := base64.RawURLEncoding.EncodeToString(k.write(c))
	return prefix + signed + "." + k.sign(signed), nil
}

// Open reads a token. Errors: ErrForged, ErrExpired.
func (r Ring) Open(text string, now time.Time) (Claims, error) {
	if !Is(text) {
		return Claims{}, ErrForged
	}
	signed, sum, _ := strings.Cut(text[len(prefix):], ".")
	for _, k := range r.keys {
		// As text, which has one spelling: decoders pass over line ends.
		if hmac.Equal([]byte(sum), []byte(k.sign(signed))) {
			return k.read(signed, now)
		}
	}
	return Claims{}, ErrForged
}

// write makes lines: the key, the parent, both times, and a grant each, with its
// words between tabs. Requests read them again and again, so they are no JSON.
func (k *key) write(c Claims) []byte {
	b := fmt.Appendf(nil, "%s\n%x\n%d\n%d", k.ID, c.Parent, c.Issued.Unix(), c.Expires.Unix())
	most := len(b) + MaxGrants
	for _, g := range c.Grants {
		words := []string{g.Format, g.Package}
		for _, a := range g.Actions {
			words = append(words, string(a))
		}
		line := strings.Join(words, "\t")
		if strings.Count(line, "\t") >= len(words) || strings.Contains(line, "\n") {
			continue // no name of any format
		}
		if len(b)+len(line) >= most {
			break
		}
		b = append(append(b, '\n'), line...)
	}
	return b
}

// read decodes what the key has signed.
func (k *key) read(signed string, now time.Time) (Claims, error) {
	body, err := base64.RawURLEncoding.DecodeString(signed)
	lines := strings.Split(string(body), "\n")
	if err != nil || len(lines) < 4 || lines[0] != k.ID {
		return Claims{}, ErrForged
	}
	parent, err1 := hex.DecodeString(lines[1])
	issued, err2 := strconv.ParseInt(lines[2], 10, 64)
	expires, err3 := strconv.ParseInt(lines[3], 10, 64)
	if errors.Join(err1, err2, err3) != nil || len(parent) != 0 && len(parent) != sha256.Size {
		return Claims{}, ErrForged
	}
	c := Claims{Parent: parent, Issued: time.Unix(issued, 0).UTC(), Expires: time.Unix(expires, 0).UTC()}
	for _, line := range lines[4:] {
		words := strings.Split(line, "\t")
		if len(words) < 2 {
			return Claims{}, ErrForged
		}
		g := policy.Grant{Format: words[0], Package: words[1]}
		for _, w := range words[2:] {
			g.Actions = append(g.Actions, policy.Action(w))
		}
		c.Grants = append(c.Grants, g)
	}
	// One from the future was made before the clock was put back: without the
	// second question it would live longer than it may.
	if !now.Before(c.Expires) || now.Add(Life).Before(c.Issued) {
		return Claims{}, ErrExpired
	}
	return c, nil
}
