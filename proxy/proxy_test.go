package proxy

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"larder/formats"
	"larder/formats/formattest"
	"larder/policy"
)

// unwanted is a body that is not to be read before its request has been answered,
// of which the access line comes last.
type unwanted struct {
	w *world
	t *testing.T
}

func (b unwanted) Read([]byte) (int, error) {
	if !strings.Contains(b.w.log.String(), `"status"`) {
		b.t.Errorf("the body is read before the reply, after policy was asked %d times", len(b.w.asked))
	}
	return 0, io.EOF
}

func TestPolicyIsAskedOnceBeforeTheBody(t *testing.T) {
	for _, verdict := range []policy.Verdict{policy.Deny, policy.Hide, policy.Challenge} {
		w := newWorld(t, nil)
		w.verdict = policy.Decision{Verdict: verdict}
		w.do("PUT", "/pad/a/1", unwanted{w, t})
		if len(w.asked) != 1 {
			t.Errorf("verdict %d: asked %d times", verdict, len(w.asked))
		}
	}
	w := newWorld(t, nil)
	resp := w.do("PUT", "/pad/a/1", strings.NewReader("the bytes"))
	if resp.StatusCode != 409 || string(w.received) != "the bytes" || len(w.asked) != 1 {
		t.Errorf("allowed: %d, received %q, asked %d times", resp.StatusCode, w.received, len(w.asked))
	}
}

func TestABodyReadTooEarlyIsOurFault(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Identifier = greedy{} })
	resp := w.do("PUT", "/pad/a/1", strings.NewReader("x"))
	if resp.StatusCode != 500 {
		t.Errorf("%d, want 500", resp.StatusCode)
	}
}

// greedy reads the body where it must not.
type greedy struct{}

func (greedy) Identify(r *http.Request, _ netip.Addr) (policy.Subject, error) {
	_, err := r.Body.Read(make([]byte, 1))
	return policy.Subject{}, err
}

func TestNewRefuses(t *testing.T) {
	w := newWorld(t, nil)
	mount := func(names ...string) (list []Mount) {
		for _, n := range names {
			list = append(list, fakeMount{w, n})
		}
		return list
	}
	for want, o := range map[string]Options{
		"needed":       {},
		"reserved":     {Identifier: w, Authorizer: w, Mounts: mount("api")},
		"there twice":  {Identifier: w, Authorizer: w, Mounts: mount("a", "a")},
		"lower-case":   {Identifier: w, Authorizer: w, Mounts: mount("a/b")},
		"no registry":  {Identifier: w, Authorizer: w, Hosts: map[string]string{"h": "x"}},
		"public URL":   {Identifier: w, Authorizer: w, PublicURL: "larder.example"},
		"http(s)://ho": {Identifier: w, Authorizer: w, PublicURL: "https://u:p@larder.example"},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

func TestBase(t *testing.T) {
	tests := []struct {
		name, public, target, want string
		lines                      []string
	}{
		{"host", "", "/pad/a/1", "http://larder.example:8080/pad/", nil},
		{"repository", "", "/r/acme/tools/pad/a/1", "http://larder.example:8080/r/acme/tools/pad/", nil},
		{"public URL", "https://pkg.example/larder/", "/pad/a/1", "https://pkg.example/larder/pad/", []string{"Host: pkg.example"}},
		{"trusted proxy", "", "/pad/a/1", "https://outer.example/sub/pad/",
			[]string{"X-Forwarded-Host: outer.example", "X-Forwarded-Proto: https", "X-Forwarded-Prefix: /sub/"}},
	}
	for _, tt := range tests {
		format := &based{}
		w := newWorld(t, func(o *Options) {
			o.PublicURL = tt.public
			o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} // httptest's peer
			o.Mounts = []Mount{basedMount{o.Mounts[0], format}}
		})
		w.do("GET", tt.target, nil, append([]string{"Host: larder.example:8080"}, tt.lines...)...)
		if format.base != tt.want {
			t.Errorf("%s: base %q, want %q", tt.name, format.base, tt.want)
		}
		if !strings.HasPrefix(format.base, format.origin+"/") {
			t.Errorf("%s: base %q does not begin with the origin %q", tt.name, format.base, format.origin)
		}
	}
}

// based is a format that notes its call.
type based struct {
	formattest.Plain
	base, origin string
	remote       netip.Addr
	caller       policy.Subject
	calls        int
	signIn       bool
	guests       bool
}

func (b *based) Parse(r *http.Request, path []string) (formats.Request, error) {
	req, err := b.Plain.Parse(r, path)
	req.SignIn, req.Guests = b.signIn, b.guests
	return req, err
}

func (b *based) Serve(w http.ResponseWriter, r *http.Request, call *formats.Call) error {
	b.base, b.origin, b.remote, b.caller = call.Base, call.Origin, call.Remote, call.Caller
	b.calls++
	return errors.New("enough")
}

// TestCallsCarryTheClient: the address past trusted proxies, as Identify got it.
func TestCallsCarryTheClient(t *testing.T) {
	format := &based{}
	w := newWorld(t, func(o *Options) {
		o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} // httptest's peer
		o.Mounts = []Mount{basedMount{o.Mounts[0], format}}
	})
	w.do("GET", "/pad/a/1", nil, "X-Forwarded-For: 203.0.113.5, 198.51.100.7")
	if want := netip.MustParseAddr("198.51.100.7"); format.remote != want || w.remotes[0] != want {
		t.Errorf("the format reads %v, Identify %v; want %v", format.remote, w.remotes[0], want)
	}
}

// TestSignInWithAStaleCredential: what a client kept from last time does not
// keep it from signing in, and opens nothing else.
func TestSignInWithAStaleCredential(t *testing.T) {
	for _, c := range []struct {
		token  string
		signIn bool
		calls  int
		user   string
	}{
		{"mallory-token", true, 1, ""}, {"hasty-token", true, 1, ""}, {"alice-token", true, 1, "alice"},
		{"mallory-token", false, 0, ""}, {"hasty-token", false, 0, ""}, {"twice", true, 0, ""},
	} {
		format := &based{signIn: c.signIn}
		w := newWorld(t, func(o *Options) { o.Mounts = []Mount{basedMount{o.Mounts[0], format}} })
		w.do("GET", "/pad/-/ping", nil, "Authorization: Bearer "+c.token)
		if format.calls != c.calls || format.caller.User != c.user {
			t.Errorf("%+v: served %d times, to %q", c, format.calls, format.caller.User)
		}
	}
}

// TestAnEmptyCredentialIsNone, where a format says so; nothing else that looks
// like it, and nowhere else.
func TestAnEmptyCredentialIsNone(t *testing.T) {
	for _, c := range []struct {
		lines  []string
		guests bool
		calls  int
	}{
		{[]string{"Authorization: Basic Og=="}, true, 1},
		{[]string{"Authorization: Basic Og=="}, false, 0},
		{[]string{"Authorization: Basic Og==", "Authorization: Basic Og=="}, true, 0},
		{[]string{"Authorization: Basic dTo="}, true, 0}, // u:
		{[]string{"Authorization: Basic OnA="}, true, 0}, // :p
		{[]string{"Authorization: Basic "}, true, 0},
	} {
		format := &based{guests: c.guests}
		w := newWorld(t, func(o *Options) { o.Mounts = []Mount{basedMount{o.Mounts[0], format}} })
		w.do("GET", "/pad/-/ping", nil, c.lines...)
		if format.calls != c.calls || !format.caller.Anonymous() {
			t.Errorf("%+v: served %d times, to %q", c, format.calls, format.caller.User)
		}
	}
}

// slashed is a format for which a final slash means something.
type slashed struct {
	formattest.Plain
	paths []string
	told  []formats.Failure
}

func (*slashed) FinalSlash() {}

func (f *slashed) Parse(r *http.Request, path []string) (formats.Request, error) {
	f.paths = append(f.paths, r.URL.Path)
	return f.Plain.Parse(r, path)
}

func (f *slashed) Describe(fl *formats.Failure, h http.Header) []byte {
	f.told = append(f.told, *fl)
	return f.Plain.Describe(fl, h)
}

func TestAFinalSlashIsForFormatsThatKnowIt(t *testing.T) {
	format := &slashed{}
	w := newWorld(t, func(o *Options) { o.Mounts = []Mount{basedMount{o.Mounts[0], format}} })
	if resp := w.do("GET", "/pad/a/", nil); resp.StatusCode != 200 || !slices.Equal(format.paths, []string{"/pad/a/"}) {
		t.Errorf("status %d, parsed %q", resp.StatusCode, format.paths)
	}
	if resp := w.do("GET", "/pad/a//", nil); resp.StatusCode != 400 || len(format.paths) != 1 {
		t.Errorf("two slashes: status %d, parsed %q", resp.StatusCode, format.paths)
	}
}

// A format that sends clients elsewhere to sign in must know where they are.
func TestFailuresNameTheRegistry(t *testing.T) {
	format := &slashed{}
	w := newWorld(t, func(o *Options) { o.Mounts = []Mount{basedMount{o.Mounts[0], format}} })
	for target, line := range map[string]string{
		"/pad/-/whoami": "Authorization: Bearer mallory-token", "/r/acme/tools/pad/a/b/c": "X: y", "/pad/a%00": "X: y",
	} {
		format.told = nil
		w.do("GET", target, nil, line)
		prefix, _, _ := strings.Cut(target, "pad/")
		if len(format.told) != 1 || format.told[0].Base != "http://example.com"+prefix+"pad/" {
			t.Errorf("%s: %+v", target, format.told)
		}
	}
}

type basedMount struct {
	Mount
	format formats.Format
}

func (m basedMount) Format() formats.Format { return m.format }

func TestAuthenticatedRepliesNameTheirScopes(t *testing.T) {
	w := newWorld(t, nil)
	const alice = "Authorization: Bearer alice-token"
	if got := w.do("GET", "/pad/a/1", nil, alice).Header.Get("X-OAuth-Scopes"); got != "read:packages, write:packages" {
		t.Errorf("scopes %q", got)
	}
	if got := w.do("GET", "/pad/a/1", nil).Header.Get("X-OAuth-Scopes"); got != "" {
		t.Errorf("anonymous: scopes %q", got)
	}
	w.verdict = policy.Decision{Verdict: policy.Deny, Rule: "bad", Accepted: []policy.Scope{policy.DeletePackages}, Reason: "no"}
	resp := w.do("DELETE", "/pad/a/1", nil, alice)
	if resp.Header.Get("X-Accepted-OAuth-Scopes") != "delete:packages" || resp.Header.Get("X-OAuth-Scopes") == "" || resp.Header.Get("X-Larder-Policy") != "bad" {
		t.Errorf("refusal: %v", resp.Header)
	}
	w.verdict = policy.Decision{Verdict: policy.Allow}
	w.serve = func(formats.File) (*formats.Content, error) {
		return &formats.Content{Bytes: []byte("x"), Size: 1, Immutable: true}, nil
	}
	if got := w.do("GET", "/pad/a/1", nil, alice).Header; got.Get("X-OAuth-Scopes") != "" || !strings.HasPrefix(got.Get("Cache-Control"), "public") {
		t.Errorf("a shared cache would keep the scopes: %v", got)
	}
}

// Who is refused can ask why, and when it ends; who must not know that a thing
// exists is told nothing that a missing thing is not.
func TestRefusalsHaveNames(t *testing.T) {
	const alice = "Authorization: Bearer alice-token"
	opens := time.Date(2026, 8, 4, 9, 12, 0, 0, time.FixedZone("", 3600))
	seen := map[string]bool{}
	for _, tt := range []struct {
		name    string
		verdict policy.Decision
		status  int
		named   bool
		opens   string
	}{
		{"allowed", policy.Decision{Verdict: policy.Allow}, 200, false, ""},
		{"hidden", policy.Decision{Verdict: policy.Hide}, 404, false, ""},
		{"denied", policy.Decision{Verdict: policy.Deny, Reason: "no"}, 403, true, ""},
		{"by a rule", policy.Decision{Verdict: policy.Deny, Reason: "no", Rule: "cool", Opens: opens}, 403, true, "2026-08-04T08:12:00Z"},
		{"challenged", policy.Decision{Verdict: policy.Challenge, Reason: "sign in"}, 401, true, ""},
	} {
		w := newWorld(t, func(o *Options) { o.PublicURL = "http://example.com/larder" })
		w.serve = func(formats.File) (*formats.Content, error) {
			return &formats.Content{Bytes: []byte("x"), Size: 1, Immutable: true}, nil
		}
		w.verdict = tt.verdict
		resp := w.do("GET", "/pad/a/1", nil, alice)
		id := resp.Header.Get("X-Larder-Decision")
		if resp.StatusCode != tt.status || (id != "") != tt.named || seen[id] && tt.named {
			t.Errorf("%s: status %d, decision %q", tt.name, resp.StatusCode, id)
		}
		seen[id] = true
		link := ""
		if tt.named {
			link = "<http://example.com/larder/ui/why/" + id + `>; rel="help"`
			if !strings.Contains(w.log.String(), `"decision":"`+id+`"`) {
				t.Errorf("%s: the log does not name the decision: %s", tt.name, w.log)
			}
		}
		told := strings.Contains(text(t, resp), ". Why or exempt: http://example.com/larder/ui/why/"+id)
		if told != (tt.verdict.Rule != "") {
			t.Errorf("%s: the sentence leads to the page: %v", tt.name, told)
		}
		h := resp.Header
		if h.Get("Link") != link || h.Get("X-Larder-Policy") != tt.verdict.Rule || h.Get("X-Larder-Retry-At") != tt.opens {
			t.Errorf("%s: %v", tt.name, h)
		}
	}
}

func TestRootIsJSON(t *testing.T) {
	w := newWorld(t, nil)
	var v struct {
		Registries []struct{ Name, Format, URL string }
	}
	if err := json.Unmarshal([]byte(text(t, w.do("GET", "/", nil))), &v); err != nil || len(v.Registries) != 1 {
		t.Errorf("%+v, %v", v, err)
	}
}

// TestRefusedCredentialsKeepTheirRequest: a client whose token has ended in the
// middle of something is told which one would do. Nothing else learns what was
// wanted by somebody who is not known.
func TestRefusedCredentialsKeepTheirRequest(t *testing.T) {
	for _, tt := range []struct {
		token, target string
		verdict       policy.Decision
		status        int
		op            string
		narrow        bool
	}{
		{"mallory-token", "/pad/a/1", policy.Decision{}, 401, "file", false},
		{"hasty-token", "/pad/a/1", policy.Decision{}, 429, "file", false},
		{"mallory-token", "/pad/a/b/c/d", policy.Decision{}, 401, "", false}, // no request at all
		{"alice-token", "/pad/a/b/c/d", policy.Decision{}, 404, "", false},
		{"alice-token", "/pad/a/1", policy.Decision{Verdict: policy.Challenge, Narrow: true, Reason: "too narrow"}, 401, "file", true},
		{"", "/pad/a/1", policy.Decision{Verdict: policy.Challenge, Reason: "sign in"}, 401, "file", false},
	} {
		format := &slashed{}
		w := newWorld(t, func(o *Options) { o.Mounts = []Mount{basedMount{o.Mounts[0], format}} })
		w.verdict = tt.verdict
		lines := []string{"X-Test: 1"}
		if tt.token != "" {
			lines = append(lines, "Authorization: Bearer "+tt.token)
		}
		resp := w.do("GET", tt.target, nil, lines...)
		if resp.StatusCode != tt.status || len(format.told) != 1 {
			t.Errorf("%q %s: status %d, %d failures", tt.token, tt.target, resp.StatusCode, len(format.told))
			continue
		}
		if f := format.told[0]; f.Request.Op != tt.op || f.Narrow != tt.narrow || f.Base == "" {
			t.Errorf("%q %s: told of %q, narrow %v, at %q", tt.token, tt.target, f.Request.Op, f.Narrow, f.Base)
		}
		if known := tt.verdict.Reason != ""; strings.Contains(w.log.String(), `"op":"file"`) != known {
			t.Errorf("%q %s: logged as %s", tt.token, tt.target, w.log)
		}
	}
}
