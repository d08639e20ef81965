// Package bearer makes and reads the tokens that the token service of containers
// hands out. They are signed and not stored, so that a pull by nobody leaves no
// row behind:
//
//	ldrx_<base64url of a JSON object>.<base64url of its HMAC-SHA-256>
//
// The object names the key, the token that it was traded for, by its SHA-256, what
// it is for, and when it was made and ends. There is one algorithm, and keys come
// from the Ring alone. That a token is good says nothing yet about the one that it
// was traded for, which has to be looked at each time.
package bearer

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
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
	// Parent is the SHA-256 of the token it was traded for; nil: of nobody.
	Parent  []byte
	Grants  []policy.Grant
	Issued  time.Time // whole seconds
	Expires time.Time // whole seconds
}

// payload is Claims as they are signed.
type payload struct {
	Key     string     `json:"k"`
	Parent  []byte     `json:"p,omitempty"`
	Issued  int64      `json:"i"`           // Unix
	Expires int64      `json:"e"`           // Unix
	Grants  [][]string `json:"g,omitempty"` // format, package, actions
}

// Is reports whether a text claims to be such a token: stored ones have one
// length, and these are longer.
func Is(text string) bool { return len(text) > token.Length && strings.HasPrefix(text, prefix) }

// Mint signs claims with the newest key. Errors: a ring without one.
func (r Ring) Mint(c Claims) (string, error) {
	if len(r.keys) == 0 {
		return "", errors.New("mint a bearer token: there is no key")
	}
	k := r.keys[0]
	body, err := json.Marshal(payload{k.ID, c.Parent, c.Issued.Unix(), c.Expires.Unix(), pack(c.Grants)})
	if err != nil {
		return "", fmt.Errorf("mint a bearer token: %w", err)
	}
	signed := base64.RawURLEncoding.EncodeToString(body)
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

// read decodes what the key has signed.
func (k *key) read(signed string, now time.Time) (Claims, error) {
	var p payload
	body, err := base64.RawURLEncoding.DecodeString(signed)
	if err == nil {
		err = json.Unmarshal(body, &p)
	}
	if err != nil || p.Key != k.ID || p.Parent != nil && len(p.Parent) != sha256.Size {
		return Claims{}, ErrForged
	}
	c := Claims{Parent: p.Parent, Grants: unpack(p.Grants), Issued: time.Unix(p.Issued, 0).UTC(), Expires: time.Unix(p.Expires, 0).UTC()}
	// One from the future was made before the clock was put back: without the
	// second question it would live longer than it may.
	if !now.Before(c.Expires) || now.Add(Life).Before(c.Issued) {
		return Claims{}, ErrExpired
	}
	return c, nil
}

func pack(grants []policy.Grant) (list [][]string) {
	room := MaxGrants
	for _, g := range grants {
		words := []string{g.Format, g.Package}
		for _, a := range g.Actions {
			words = append(words, string(a))
		}
		for _, w := range words {
			room -= len(w) + len(`"",`)
		}
		if room -= len(`[],`); room < 0 {
			break
		}
		list = append(list, words)
	}
	return list
}

func unpack(list [][]string) (grants []policy.Grant) {
	for _, words := range list {
		if len(words) < 2 {
			continue
		}
		g := policy.Grant{Format: words[0], Package: words[1]}
		for _, w := range words[2:] {
			g.Actions = append(g.Actions, policy.Action(w))
		}
		grants = append(grants, g)
	}
	return grants
}
