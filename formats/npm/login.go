package npm

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"larder/formats"
	"larder/policy"
)

// maxCallBody bounds the bodies of login and token calls, bytes.
const maxCallBody = 64 << 10

func (s *serving) serveWhoami() error {
	var b builder
	b.open()
	b.text("username", s.Caller.User)
	b.close()
	return s.json(http.StatusOK, b.out)
}

func (s *serving) serveProfile() error {
	u, err := s.Accounts.User(s.r.Context(), s.Caller.User)
	if err != nil {
		return err
	}
	var b builder
	b.open()
	b.text("name", u.Name)
	b.text("email", u.Email)
	b.bool("email_verified", u.Email != "")
	b.bool("tfa", false)
	b.text("created", FormatTime(u.Created))
	b.text("updated", FormatTime(u.Created))
	b.key("cidr_whitelist")
	b.value([]byte("null"))
	b.text("fullname", "")
	b.close()
	return s.json(http.StatusOK, b.out)
}

// serveUser is what `npm owner add` asks: without name and email it would send
// an empty maintainer.
func (s *serving) serveUser() error {
	u, err := s.Accounts.User(s.r.Context(), s.t.User)
	if err != nil {
		return err
	}
	var b builder
	b.open()
	b.text("_id", "org.couchdb.user:"+u.Name)
	b.text("name", u.Name)
	b.text("email", u.Email)
	b.close()
	return s.json(http.StatusOK, b.out)
}

func (s *serving) call(into any) error {
	body, err := s.readBody(maxCallBody)
	if err != nil {
		return err
	}
	if json.Unmarshal(body, into) != nil {
		return bad("the request body is not the JSON object that this call takes")
	}
	return nil
}

// serveLogin is the legacy login and adduser: a personal token takes the place
// of a password, since accounts have none.
func (s *serving) serveLogin() error {
	var in struct{ Name, Password string }
	if err := s.call(&in); err != nil {
		return err
	}
	if in.Name != s.t.User {
		return bad("the body logs in %s, the URL %s", quoteShort(in.Name), quoteShort(s.t.User))
	}
	secret, err := s.Accounts.Login(s.r.Context(), s.Remote, in.Name, in.Password)
	if err != nil {
		return err
	}
	var b builder
	b.open()
	b.text("ok", "you are logged in as "+in.Name)
	b.text("token", secret)
	b.close()
	return s.json(http.StatusCreated, b.out)
}

func (s *serving) serveLoginWeb() error {
	id, code, err := s.Accounts.Pairing().Begin(s.r.Context(), s.Remote)
	if err != nil {
		return err
	}
	var b builder
	b.open()
	b.text("loginUrl", s.Origin+"/ui/login/"+code)
	b.text("doneUrl", s.Base+"-/v1/login/"+id)
	b.close()
	return s.json(http.StatusOK, b.out)
}

func (s *serving) serveLoginPoll() error {
	secret, ok, err := s.Accounts.Pairing().Take(s.r.Context(), s.t.Token)
	if err != nil {
		return err
	}
	if !ok {
		s.w.Header().Set("Retry-After", "1")
		return s.json(http.StatusAccepted, []byte("{}"))
	}
	var b builder
	b.open()
	b.text("token", secret)
	b.close()
	return s.json(http.StatusOK, b.out)
}

func (s *serving) serveTokens() error {
	list, err := s.Accounts.Tokens(s.r.Context(), s.Caller)
	if err != nil {
		return err
	}
	var b builder
	b.open()
	b.key("objects")
	b.openArray()
	for _, t := range list {
		b.value(tokenObject(t, t.Prefix))
	}
	b.closeArray()
	b.key("urls") // clients look for urls.next
	b.value([]byte("{}"))
	b.close()
	return s.json(http.StatusOK, b.out)
}

// tokenObject describes a token; shown is its secret once, else its beginning.
func tokenObject(t formats.Token, shown string) []byte {
	var b builder
	b.open()
	b.text("token", shown)
	b.text("key", t.ID)
	b.text("name", t.Name)
	b.text("created", FormatTime(t.Created))
	b.text("updated", FormatTime(t.Created))
	if !t.Expires.IsZero() {
		b.text("expires", FormatTime(t.Expires))
	}
	b.bool("readonly", readonly(t.Scopes))
	b.key("cidr_whitelist")
	b.openArray()
	for _, c := range t.Limits.CIDRs {
		b.string(c)
	}
	b.closeArray()
	b.close()
	return b.out
}

func readonly(scopes []policy.Scope) bool {
	for _, s := range scopes {
		if s != policy.ReadPackages {
			return false
		}
	}
	return true
}

// tokenRequest holds the fields of both generations of the call. The password
// is not looked at: the caller has shown a token.
type tokenRequest struct {
	Name          string   `json:"name"`
	Readonly      bool     `json:"readonly"`
	Permission    string   `json:"packages_and_scopes_permission"`
	Packages      []string `json:"packages"`
	Scopes        []string `json:"scopes"`
	CIDRs         []string `json:"cidr_whitelist"`
	Expires       int      `json:"expires"` // days
	OrgPermission string   `json:"orgs_permission"`
}

// maxTokenDays is the longest life that policy allows a token.
const maxTokenDays = 365

func (s *serving) serveTokenCreate() error {
	var in tokenRequest
	if err := s.call(&in); err != nil {
		return err
	}
	want := formats.Token{Name: in.Name, Scopes: []policy.Scope{policy.ReadPackages}, Limits: policy.Limits{CIDRs: in.CIDRs}}
	if want.Name == "" {
		want.Name = "npm token create"
	}
	if !in.Readonly && in.Permission != "read-only" && in.Permission != "no-access" {
		want.Scopes = append(want.Scopes, policy.WritePackages)
	}
	want.Limits.Packages = append(want.Limits.Packages, in.Packages...)
	for _, scope := range in.Scopes {
		want.Limits.Packages = append(want.Limits.Packages, scope+"/*")
	}
	if in.Expires < 0 || in.Expires > maxTokenDays {
		return bad("a token lives between 1 and %d days", maxTokenDays)
	}
	if in.Expires > 0 {
		want.Expires = s.clock().Add(time.Duration(in.Expires) * 24 * time.Hour)
	}
	secret, made, err := s.Accounts.Mint(s.r.Context(), s.Caller, want)
	if err != nil {
		return fmt.Errorf("create a token: %w", err)
	}
	return s.json(http.StatusOK, tokenObject(made, secret))
}

// serveRevoke ends a token by its key, or by its secret at logout.
func (s *serving) serveRevoke() error {
	if err := s.Accounts.Revoke(s.r.Context(), s.Caller, s.t.Token); err != nil {
		return err
	}
	return s.json(http.StatusOK, []byte(`{"ok":true}`))
}
