package oci

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"larder/formats"
	"larder/formats/formattest"
	"larder/policy"
)

// office is the accounts of one user, ann with the token ldrp_ann, and a registry
// in which she may do all with ann/app and read all else but hers/app.
type office struct {
	formats.Accounts
	formattest.Refusing
	made  []policy.Grant
	whose policy.Subject
	fault error
}

func (o *office) SignIn(_ context.Context, _ netip.Addr, name, password string) (policy.Subject, error) {
	if password != "ldrp_ann" {
		return policy.Subject{}, policy.Decision{Verdict: policy.Challenge, Reason: "that is no token"}.Err()
	}
	return policy.Subject{User: "ann"}, nil
}

func (o *office) Bearer(_ context.Context, caller policy.Subject, grants []policy.Grant) (formats.Bearer, error) {
	if caller.Grants != nil {
		return formats.Bearer{}, policy.Decision{Verdict: policy.Challenge, Reason: "once is enough"}.Err()
	}
	o.made, o.whose = grants, caller
	return formats.Bearer{Secret: "ldrx_x.y", Life: 5 * time.Minute, Issued: time.Unix(1e9, 0)}, nil
}

func (o *office) May(_ context.Context, who policy.Subject, a policy.Action, name string) (bool, error) {
	return name == "ann/app" && who.User == "ann" || name != "hers/app" && a == policy.Read, o.fault
}

// ask sends a request that the edge has let pass, from a caller that it knows.
func (o *office) ask(t *testing.T, r *http.Request, caller policy.Subject) (*httptest.ResponseRecorder, error) {
	t.Helper()
	f := New(Options{})
	path, _, err := formats.SplitPath(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	req, err := f.Parse(r, path[1:])
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	return w, f.Serve(w, r, &formats.Call{Request: req, Registry: o, Accounts: o, Caller: caller})
}

func form(body string) *http.Request {
	r := httptest.NewRequest("POST", "/v2/token", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	return r
}

func get(query string) *http.Request { return httptest.NewRequest("GET", "/v2/token?"+query, nil) }

// TestTokenService: every form that clients were seen to send, and what the token
// is for.
func TestTokenService(t *testing.T) {
	const pull, push, del, open = policy.Read, policy.Publish, policy.Delete, policy.Open
	ann, nobody := policy.Subject{User: "ann"}, policy.Subject{}
	list := []policy.Grant{{Format: "oci", Actions: []policy.Action{open}}}
	of := func(name string, actions ...policy.Action) policy.Grant {
		return policy.Grant{Format: "oci", Package: name, Actions: actions}
	}
	for name, c := range map[string]struct {
		r      *http.Request
		caller policy.Subject
		whose  string
		want   []policy.Grant
	}{
		"docker login":         {get("account=ann&client_id=docker&offline_token=true&service=h"), ann, "ann", list},
		"docker pull":          {get("scope=repository:any/app:pull&service=h"), nobody, "", []policy.Grant{of("any/app", pull)}},
		"docker push":          {get("scope=repository:ann/app:push,pull&service=h"), ann, "ann", []policy.Grant{of("ann/app", push, pull)}},
		"docker push, mount":   {get("scope=repository:ann/app:push,pull&scope=repository:any/app:pull"), ann, "ann", []policy.Grant{of("ann/app", push, pull), of("any/app", pull)}},
		"skopeo delete":        {get("account=ann&scope=repository:ann/app:*"), ann, "ann", []policy.Grant{of("ann/app", pull, push, del)}},
		"crane catalog":        {get("scope=registry:catalog:*"), ann, "ann", list},
		"crane delete":         {get("scope=repository:ann/app:push,pull,delete"), ann, "ann", []policy.Grant{of("ann/app", push, pull, del)}},
		"helm login":           {form("grant_type=password&service=h&client_id=oras-go&username=ann&password=ldrp_ann"), nobody, "ann", list},
		"containerd":           {form("grant_type=password&scope=repository:ann/app:pull+repository:any/app:pull&username=u&password=ldrp_ann"), nobody, "ann", []policy.Grant{of("ann/app", pull), of("any/app", pull)}},
		"buildkit":             {form("grant_type=password&scope=*+repository:ann/app:pull,push&username=u&password=ldrp_ann"), nobody, "ann", []policy.Grant{of("ann/app", pull, push)}},
		"both, of one user":    {form("grant_type=password&username=u&password=ldrp_ann"), ann, "ann", list},
		"less than asked":      {get("scope=repository:any/app:*&scope=repository:hers/app:pull,push"), ann, "ann", []policy.Grant{of("any/app", pull)}},
		"nothing of it":        {get("scope=repository:hers/app:pull"), ann, "ann", nil},
		"nothing, for nobody":  {get("scope=repository:hers/app:pull,push"), nobody, "", nil},
		"only junk":            {get("scope=repository::pull&scope=x&scope=repository:a/../b:pull"), ann, "ann", nil},
		"only junk, in a form": {form("grant_type=password&scope=*&username=u&password=ldrp_ann"), nobody, "ann", nil},
		"a blank":              {get("service=h&scope=+&scope="), ann, "ann", list},
		"a mirror":             {get("scope=repository:mirror/up/library/app:pull"), nobody, "", []policy.Grant{of("mirror/up/library/app", pull)}},
		"credentials in query": {get("username=ann&password=ldrp_ann&scope=repository:ann/app:push"), nobody, "", nil},
	} {
		o := &office{}
		w, err := o.ask(t, c.r, c.caller)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got struct {
			Token, AccessToken, IssuedAt string
			ExpiresIn                    int
			Refresh                      string `json:"refresh_token"`
		}
		body := strings.NewReplacer("access_token", "AccessToken", "issued_at", "IssuedAt", "expires_in", "ExpiresIn").Replace(w.Body.String())
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatalf("%s: %v in %s", name, err, w.Body)
		}
		if w.Code != 200 || got.Token != "ldrx_x.y" || got.AccessToken != got.Token || got.ExpiresIn != 300 || got.IssuedAt != "2001-09-09T01:46:40Z" || got.Refresh != "" {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		if h := w.Header(); h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") != "no-store" || h.Get(apiVersion) == "" {
			t.Errorf("%s: %v", name, h)
		}
		if o.whose.User != c.whose || !reflect.DeepEqual(o.made, c.want) {
			t.Errorf("%s: %q gets %v, want %v", name, o.whose.User, o.made, c.want)
		}
	}
}

// TestTokenServiceRefuses: a bad credential never becomes that of nobody.
func TestTokenServiceRefuses(t *testing.T) {
	narrow := policy.Subject{User: "ann", Grants: policy.NewGrants(nil)}
	plain := form("grant_type=password&username=u&password=ldrp_ann")
	plain.Header.Set("Content-Type", "text/plain")
	bare := form("grant_type=password&username=u&password=ldrp_ann")
	bare.Header.Del("Content-Type")
	cut := form("")
	cut.Body = io.NopCloser(io.MultiReader(strings.NewReader("grant_type=password"), failing{}))
	for name, c := range map[string]struct {
		r      *http.Request
		caller policy.Subject
		kind   error
	}{
		"wrong password":    {form("grant_type=password&username=ann&password=no"), policy.Subject{}, policy.ErrUnauthenticated},
		"no password":       {form("grant_type=password&username=ann"), policy.Subject{}, policy.ErrUnauthenticated},
		"refresh token":     {form("grant_type=refresh_token&refresh_token=x"), policy.Subject{}, policy.ErrUnauthenticated},
		"other grant":       {form("grant_type=client_credentials"), policy.Subject{}, formats.ErrBadRequest},
		"no grant":          {form(""), policy.Subject{}, formats.ErrBadRequest},
		"malformed":         {form("grant_type=%zz"), policy.Subject{}, formats.ErrBadRequest},
		"too long":          {form("grant_type=password&username=u&password=ldrp_ann&x=" + strings.Repeat("a", maxForm)), policy.Subject{}, formats.ErrTooLarge},
		"another type":      {plain, policy.Subject{}, formats.ErrMediaType},
		"no type":           {bare, policy.Subject{}, formats.ErrMediaType},
		"two users":         {form("grant_type=password&username=u&password=ldrp_ann"), policy.Subject{User: "eve"}, formats.ErrBadRequest},
		"a token of ours":   {get("scope=repository:ann/app:pull"), narrow, policy.ErrUnauthenticated},
		"an earlier one":    {get(""), narrow, policy.ErrUnauthenticated},
		"connection is cut": {cut, policy.Subject{}, errCut},
	} {
		o := &office{}
		w, err := o.ask(t, c.r, c.caller)
		if !errors.Is(err, c.kind) || w.Body.Len() > 0 || o.made != nil {
			t.Errorf("%s: %v, %q, made %v", name, err, w.Body, o.made)
		}
		if err != nil && strings.Contains(err.Error(), "ldrp_") {
			t.Errorf("%s: the error holds the credential: %v", name, err)
		}
	}
	// A fault is no lack of rights.
	broken := errors.New("broken")
	if _, err := (&office{fault: broken}).ask(t, get("scope=repository:ann/app:pull"), policy.Subject{}); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

var errCut = errors.New("cut")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errCut }

// TestWhoGetsAPing: only those who brought something, or clients would think that
// this server has no use for what they have.
func TestWhoGetsAPing(t *testing.T) {
	list := policy.NewGrants([]policy.Grant{{Format: "oci", Actions: []policy.Action{policy.Open}}})
	for name, c := range map[string]struct {
		caller      policy.Subject
		ping, lists bool
	}{
		"nobody":            {policy.Subject{}, false, false},
		"guest":             {policy.Subject{Guest: true, Grants: policy.NewGrants(nil)}, true, false},
		"guest, for lists":  {policy.Subject{Guest: true, Grants: list}, true, true},
		"user":              {policy.Subject{User: "ann"}, true, true},
		"bearer":            {policy.Subject{User: "ann", Grants: policy.NewGrants(nil)}, true, false},
		"bearer, for lists": {policy.Subject{User: "ann", Grants: list}, true, true},
	} {
		s := &serving{Format: New(Options{}), Call: &formats.Call{Caller: c.caller}}
		err := s.mustList()
		if (err == nil) != c.lists || err != nil && !errors.Is(err, policy.ErrUnauthenticated) {
			t.Errorf("%s: the list: %v", name, err)
		}
		var refusal *policy.Refusal
		if narrow := errors.As(err, &refusal) && refusal.Decision.Narrow; narrow != (c.ping && !c.lists) {
			t.Errorf("%s: too narrow: %v", name, narrow)
		}
		w, err := (&office{}).ask(t, httptest.NewRequest("GET", "/v2/", nil), c.caller)
		if c.ping && (err != nil || w.Code != 200 || w.Body.String() != "{}") || !c.ping && !errors.Is(err, policy.ErrNotSignedIn) {
			t.Errorf("%s: the ping: %v, %d", name, err, w.Code)
		}
	}
}

// FuzzLogin: no form is a fault of ours or a token for somebody else.
func FuzzLogin(f *testing.F) {
	f.Add("grant_type=password&username=u&password=ldrp_ann")
	f.Add("grant_type=refresh_token&refresh_token=" + base64.StdEncoding.EncodeToString([]byte("x")))
	f.Add("grant_type=password&grant_type=x&username=&username=a&password=%00")
	known := []error{policy.ErrUnauthenticated, formats.ErrBadRequest, formats.ErrTooLarge}
	f.Fuzz(func(t *testing.T, body string) {
		o := &office{}
		_, err := o.ask(t, form(body), policy.Subject{})
		switch {
		case err == nil && o.whose.User != "ann":
			t.Fatalf("%q gives a token of nobody", body)
		case err != nil && !slices.ContainsFunc(known, func(kind error) bool { return errors.Is(err, kind) }):
			t.Fatalf("%q: %v", body, err)
		}
	})
}
