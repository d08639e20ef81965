package oci

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"larder/formats"
	"larder/policy"
)

// maxForm bounds the form of a login, in bytes.
const maxForm = 64 << 10

// serveToken trades a credential for a token that is for what the client asked
// for. Whatever is asked for, a good credential gets one: the request that comes
// with it is refused for its own reason. Without a credential it is one of nobody.
func (s *serving) serveToken() error {
	in, err := s.login()
	if err != nil {
		return err
	}
	caller := s.Caller
	if in.secret != "" {
		if caller, err = s.signIn(in); err != nil {
			return err
		}
	}
	grants, err := s.granted(caller, in.scopes)
	if err != nil {
		return err
	}
	b, err := s.Accounts.Bearer(s.r.Context(), caller, grants)
	if err != nil {
		return err
	}
	body, err := tokenAnswer(b)
	if err != nil {
		return err
	}
	return formats.Reply(s.w, s.r, &formats.Content{
		Bytes: body, MediaType: "application/json", Header: http.Header{"Cache-Control": {"no-store"}},
	})
}

// signIn finds out who came with a form. A header beside it must be of the same
// user.
func (s *serving) signIn(in login) (policy.Subject, error) {
	caller, err := s.Accounts.SignIn(s.r.Context(), s.Remote, in.user, in.secret)
	if err == nil && !s.Caller.Anonymous() && s.Caller.User != caller.User {
		err = formats.Refuse(formats.ErrBadRequest, "the request carries credentials of two users: send one")
	}
	return caller, err
}

// granted keeps of what was asked what the caller may do now.
func (s *serving) granted(caller policy.Subject, wanted []scope) (grants []policy.Grant, err error) {
	may := func(name string, a policy.Action) bool {
		ok, fault := s.Registry.May(s.r.Context(), caller, a, name)
		err = errors.Join(err, fault)
		return ok
	}
	for _, one := range intersect(wanted, may) {
		grants = append(grants, policy.Grant{Format: s.Name(), Package: one.name, Actions: one.actions})
	}
	return grants, err
}

// login is what a request to the token service brings beside its header.
type login struct {
	user, secret string // "" where nothing but a header has them
	scopes       []scope
}

// login reads the request for a token, in either of its forms.
func (s *serving) login() (login, error) {
	if s.r.Method != http.MethodPost {
		return parseQuery(s.r.URL.Query()), nil
	}
	if kind, _, err := mime.ParseMediaType(s.r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return login{}, refuse(formats.ErrMediaType, codeUnsupported, "a login is sent as application/x-www-form-urlencoded")
	}
	body, err := io.ReadAll(io.LimitReader(s.r.Body, maxForm+1))
	if err != nil {
		return login{}, err
	}
	if len(body) > maxForm {
		return login{}, refuse(formats.ErrTooLarge, codeSizeInvalid, "the form of a login has at most %d bytes", maxForm)
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return login{}, refuse(formats.ErrBadRequest, codeUnsupported, "the form of the login is malformed")
	}
	return parseForm(form)
}

// asked is what a token is to be for: without a word of it, for the list of
// images, which podman reads with such a token. Words that mean nothing ask for
// nothing.
func asked(scopes []string) []scope {
	if strings.TrimSpace(strings.Join(scopes, "")) == "" {
		return []scope{{actions: []policy.Action{policy.Open}}}
	}
	return parseScopes(scopes)
}

// parseQuery reads a GET. Credentials are never taken from there: queries end
// up in the logs of everything on the way.
func parseQuery(query url.Values) login { return login{scopes: asked(query["scope"])} }

// parseForm reads the form of a POST. A refresh token is answered as a bad
// credential is: clients then come again with the password they hold.
func parseForm(form url.Values) (login, error) {
	for _, name := range []string{"grant_type", "username", "password"} {
		if n := len(form[name]); n > 1 {
			return login{}, refuse(formats.ErrBadRequest, codeUnsupported, "the form of the login has the field %s %d times", name, n)
		}
	}
	in := login{scopes: asked(form["scope"])}
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
func tokenAnswer(b formats.Bearer) ([]byte, error) {
	return json.Marshal(struct {
		Token       string    `json:"token"`
		AccessToken string    `json:"access_token"`
		ExpiresIn   int       `json:"expires_in"` // seconds
		IssuedAt    time.Time `json:"issued_at"`
	}{b.Secret, b.Secret, int(b.Life / time.Second), b.Issued.UTC().Truncate(time.Second)})
}
