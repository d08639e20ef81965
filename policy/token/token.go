// Package token knows how a token looks: a prefix that tells its kind, 30
// random digits and a checksum, so that leaks are found by their form and
// garbage is refused before any lookup.
//
//	ldrp_<30 base62 digits><6 base62 digits: CRC32 (IEEE) of the 30, padded with 0>
//
// The digits are in the order 0-9A-Za-z. A token carries 178 bits, so that its
// plain SHA-256 is all that has to be stored.
package token

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"strings"
)

// Kind is what a token is for. Its value is the prefix of the token.
type Kind string

// The kinds.
const (
	Personal Kind = "ldrp" // of a person
	Robot    Kind = "ldrr" // of a deployment
	Job      Kind = "ldrj" // made for one run of a job
	Bearer   Kind = "ldrx" // signed by the token service of containers, of another form
)

// Valid reports whether k is one of the kinds.
func (k Kind) Valid() bool { return k.Stored() || k == Bearer }

// Stored reports whether tokens of the kind are made and looked up here.
func (k Kind) Stored() bool { return k == Personal || k == Robot || k == Job }

const (
	digits   = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	prefix   = len(Personal) + len("_")
	random   = 30
	checksum = 6
)

// Length is that of every token, in bytes.
const Length = prefix + random + checksum

// shown is how much of a token is kept to recognise it by: four random digits.
const shown = prefix + 4

// ErrMalformed says that a text cannot be a token. It never holds the text.
var ErrMalformed = errors.New("not a token: it must be 41 characters long, begin with ldrp_, ldrr_ or ldrj_, and be copied whole")

// Secret is a token in clear. It prints as [redacted], whatever it is printed
// with; only Reveal gives the text. The zero value is no token. Secrets are not
// to be compared: the text is behind a pointer, because fmt prints what it finds
// in unexported fields of others without asking it.
type Secret struct{ text *string }

// New makes a token. Errors: a kind that is not stored.
func New(kind Kind) (Secret, error) {
	if !kind.Stored() {
		return Secret{}, fmt.Errorf("make a token: kind %.10q is not known", string(kind))
	}
	body, err := randomDigits(rand.Reader, random)
	if err != nil {
		return Secret{}, fmt.Errorf("make a token: %w", err)
	}
	text := string(kind) + "_" + body + sum(body)
	return Secret{&text}, nil
}

// randomDigits draws n digits, each equally likely: bytes beyond the last
// multiple of 62 are thrown away.
func randomDigits(src io.Reader, n int) (string, error) {
	const fair = 256 / len(digits) * len(digits)
	out := make([]byte, 0, n)
	buf := make([]byte, n)
	for len(out) < n {
		if _, err := io.ReadFull(src, buf); err != nil {
			return "", err
		}
		for _, b := range buf {
			if int(b) < fair && len(out) < n {
				out = append(out, digits[int(b)%len(digits)])
			}
		}
	}
	return string(out), nil
}

func sum(body string) string {
	var out [checksum]byte
	v := crc32.ChecksumIEEE([]byte(body))
	for i := checksum - 1; i >= 0; i-- {
		out[i] = digits[v%uint32(len(digits))]
		v /= uint32(len(digits))
	}
	return string(out[:])
}

// Parse reads a token and checks its form and checksum. Errors: ErrMalformed.
func Parse(s string) (Secret, error) {
	if len(s) != Length || s[prefix-1] != '_' || !Kind(s[:prefix-1]).Stored() {
		return Secret{}, ErrMalformed
	}
	body := s[prefix : prefix+random]
	if strings.ContainsFunc(body, func(c rune) bool { return !strings.ContainsRune(digits, c) }) {
		return Secret{}, ErrMalformed
	}
	if s[prefix+random:] != sum(body) {
		return Secret{}, ErrMalformed
	}
	return Secret{&s}, nil
}

// IsZero reports whether s is no token.
func (s Secret) IsZero() bool { return s.text == nil }

// Reveal returns the text. It goes to whoever the token is for, once, and
// nowhere else.
func (s Secret) Reveal() string {
	if s.IsZero() {
		return ""
	}
	return *s.text
}

// Kind returns what the token is for, "" for the zero value.
func (s Secret) Kind() Kind {
	if s.IsZero() {
		return ""
	}
	return Kind((*s.text)[:prefix-1])
}

// Digest returns the SHA-256 of the text: what is stored, and what is looked up.
func (s Secret) Digest() [sha256.Size]byte { return sha256.Sum256([]byte(s.Reveal())) }

// Hint returns the first characters, to recognise the token by in lists.
func (s Secret) Hint() string {
	if s.IsZero() {
		return ""
	}
	return (*s.text)[:shown]
}

// Last4 returns the last four characters, as audit records keep them.
func (s Secret) Last4() string {
	if s.IsZero() {
		return ""
	}
	return (*s.text)[Length-4:]
}

const redacted = "[redacted]"

// String hides the text.
func (s Secret) String() string { return redacted }

// Format hides the text from every verb of fmt.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// GoString hides the text.
func (s Secret) GoString() string { return redacted }

// MarshalJSON hides the text.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText hides the text.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue hides the text.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
