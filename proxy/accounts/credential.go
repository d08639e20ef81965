package accounts

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"

	"larder/formats"
	"larder/policy"
	"larder/policy/token"
)

// maxCredential bounds a header that carries a credential, in bytes. A token has
// 41, one of the token service what it says of its grants beside it.
const maxCredential = 16 << 10

func errTwo() error {
	return formats.Refuse(formats.ErrBadRequest, "the request carries two different credentials: send one")
}

func unreadable(sentence string) error {
	return formats.Refuse(policy.ErrUnauthenticated, sentence)
}

// credentials finds the tokens that a request carries, at most two: the key of
// NuGet first, then that of Authorization. A key that does not look like a token
// is a dummy word, which some clients want beside Basic, and does not count
// then. Clients put tokens into (policy.md section 3.1):
//
//	Authorization: Bearer <token>, token <token>, or <token> alone
//	Authorization: Basic, the token as password; or as user without a password
//	X-NuGet-ApiKey: <token>
//
// A query string is never looked at. A header that is there, however empty, is
// a credential, so that nobody falls back to the anonymous by mistake. Errors:
// formats.ErrBadRequest for a header that is there twice or two tokens in one,
// policy.ErrUnauthenticated for what cannot be read or is too long.
func credentials(r *http.Request) ([]string, error) {
	var found []string
	key, hasKey, err := single(r.Header, "X-Nuget-Apikey")
	if err != nil {
		return nil, err
	}
	line, hasLine, err := single(r.Header, "Authorization")
	if err != nil {
		return nil, err
	}
	if hasKey && (!hasLine || looksLikeToken(key)) {
		found = append(found, key)
	}
	if !hasLine {
		return found, nil
	}
	secret, err := authorization(line)
	if err != nil {
		return nil, err
	}
	return append(found, secret), nil
}

// single returns a header's value and whether it is there. net/http keeps
// repeated headers apart, and Get would hide the second.
func single(h http.Header, name string) (value string, ok bool, err error) {
	lines := h[name]
	switch {
	case len(lines) == 0:
		return "", false, nil
	case len(lines) > 1:
		return "", false, formats.Refuse(formats.ErrBadRequest, "the request carries the header "+name+" more than once: send it once")
	case len(lines[0]) > maxCredential:
		return "", false, unreadable(fmt.Sprintf("the header %s is longer than %d bytes: no token is", name, maxCredential))
	}
	return strings.TrimSpace(lines[0]), true, nil
}

func authorization(line string) (string, error) {
	scheme, rest, spaced := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	switch {
	case line == "":
		return "", unreadable("the Authorization header is empty: is the variable set that should hold the token?")
	case !spaced && (strings.EqualFold(scheme, "bearer") || strings.EqualFold(scheme, "basic") || strings.EqualFold(scheme, "token")):
		return "", unreadable("the Authorization header holds no token: is the variable set that should hold it?")
	case !spaced:
		return scheme, nil
	case strings.EqualFold(scheme, "bearer"), strings.EqualFold(scheme, "token"):
		return rest, nil
	case strings.EqualFold(scheme, "basic"):
		return basic(rest)
	}
	return "", unreadable("this Authorization scheme is not known here: use Bearer, or Basic with a token as password")
}

// basic takes the token from "user:token", whatever the user. Where the password
// is empty, or only fills the place, the token stands before the colon.
func basic(encoded string) (string, error) {
	b, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		b, err = base64.RawStdEncoding.DecodeString(encoded)
	}
	if err != nil {
		return "", unreadable("the Basic credential is not base64 of user:token")
	}
	user, password, ok := strings.Cut(string(b), ":")
	if !ok {
		return "", unreadable("the Basic credential has no colon: it must be base64 of user:token")
	}
	return pick(user, password)
}

// pick takes the token from a user name and a password.
func pick(user, password string) (string, error) {
	switch {
	case !looksLikeToken(user):
		return password, nil
	case !looksLikeToken(password):
		return user, nil
	case user != password:
		return "", errTwo()
	}
	return password, nil
}

// looksLikeToken tells tokens from user names and dummy words; whether it is a
// whole one shows later.
func looksLikeToken(s string) bool {
	prefix, _, ok := strings.Cut(s, "_")
	return ok && token.Kind(prefix).Valid()
}
