package oci

import (
	"net/url"
	"time"

	"github.com/go-json-experiment/json"

	"larder/formats"
	"larder/policy"
)

// login is what a request to the token service brings beside its header.
type login struct {
	user, secret string // "" where a header has them, or nothing does
	scopes       []scope
}

// parseQuery reads a GET. Credentials are never taken from there: queries end
// up in the logs of everything on the way.
func parseQuery(query url.Values) login { return login{scopes: parseScopes(query["scope"])} }

// parseForm reads the form of a POST. A refresh token is answered as a bad
// credential is: clients then come again with the password they hold.
func parseForm(form url.Values) (login, error) {
	in := login{scopes: parseScopes(form["scope"])}
	switch grant := form.Get("grant_type"); grant {
	case "password":
		in.user, in.secret = form.Get("username"), form.Get("password")
		if in.user == "" || in.secret == "" {
			return login{}, refuse(policy.ErrUnauthenticated, codeUnauthorized, "a login needs a user name and a password, or a token in its place")
		}
		return in, nil
	case "refresh_token":
		return login{}, refuse(policy.ErrUnauthenticated, codeUnauthorized, "there are no refresh tokens here: sign in with a user name and a token")
	default:
		return login{}, refuse(formats.ErrBadRequest, codeUnsupported, "the grant type %s is not supported: use password", clip(grant))
	}
}

// tokenAnswer is the document of a token. Both names of it are in use.
func tokenAnswer(secret string, lives time.Duration, now time.Time) ([]byte, error) {
	return json.Marshal(struct {
		Token       string    `json:"token"`
		AccessToken string    `json:"access_token"`
		ExpiresIn   int       `json:"expires_in"` // seconds
		IssuedAt    time.Time `json:"issued_at"`
	}{secret, secret, int(lives / time.Second), now.UTC().Truncate(time.Second)})
}
