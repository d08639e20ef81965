package bearer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"larder/cache/clocktest"
	"larder/upstream"
	"larder/upstream/bearer"
	"larder/upstream/upstreamtest/ocitest"
)

const secret = "s3cr3t-canary"

func login() upstream.Auth {
	return upstream.Auth{Type: "basic", Username: "u", Password: upstream.Hide(secret)}
}

// world is a scripted registry, a fetcher from it, and a clock that the test owns.
type world struct {
	*ocitest.Registry
	*bearer.Fetcher
	*clocktest.Clock
	client *upstream.Client

	mu     sync.Mutex
	alarms []bearer.Alarm
}

// told returns the alarms since the last call.
func (w *world) told() []bearer.Alarm {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.alarms
	w.alarms = nil
	return list
}

func newRegistry(t *testing.T, opt ocitest.Options) *ocitest.Registry {
	t.Helper()
	r, err := ocitest.Start(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// newWorld starts a registry with the images a and b, and a client of it.
func newWorld(t *testing.T, opt ocitest.Options, change ...func(*upstream.Config)) *world {
	t.Helper()
	opt.User, opt.Password = "u", secret
	w := &world{Registry: newRegistry(t, opt)}
	for _, name := range []string{"a", "b"} {
		if _, err := w.Push(name, "v1", ocitest.Image{Layers: [][]byte{[]byte("layer of " + name)}}); err != nil {
			t.Fatal(err)
		}
	}
	w.speakTo(t, w.URL, change...)
	return w
}

func (w *world) speakTo(t *testing.T, address string, change ...func(*upstream.Config)) {
	t.Helper()
	w.Clock = clocktest.New(0)
	cfg := upstream.Config{ID: "hub", URL: address}
	for _, f := range change {
		f(&cfg)
	}
	tr := upstream.NewTransport(upstream.Options{
		Now: w.Now, Proxy: func(*http.Request) (*url.URL, error) { return nil, nil },
		Wait: func(ctx context.Context, _ time.Duration) error { return context.Cause(ctx) },
	})
	var err error
	if w.client, err = upstream.New(cfg, tr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.client.CloseIdle(); tr.CloseIdle() })
	w.Fetcher, err = bearer.New(w.client, bearer.Options{Now: w.Now, Alarm: func(a bearer.Alarm) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.alarms = append(w.alarms, a)
	}})
	if err != nil {
		t.Fatal(err)
	}
}

func ask(f *bearer.Fetcher, ctx context.Context, req upstream.Request) (string, error) {
	resp, err := f.Fetch(ctx, req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// get asks for a reference and wants an answer.
func (w *world) get(t *testing.T, ref string) string {
	t.Helper()
	body, err := ask(w.Fetcher, t.Context(), upstream.Request{Ref: ref})
	if err != nil {
		t.Fatalf("%s: %v", ref, err)
	}
	return body
}

// fails asks for a reference and wants an error of that kind and of no other.
func (w *world) fails(t *testing.T, ref string, kind error) error {
	t.Helper()
	body, err := ask(w.Fetcher, t.Context(), upstream.Request{Ref: ref})
	if !errors.Is(err, kind) {
		t.Fatalf("%s: %q, %v, want %v", ref, body, err, kind)
	}
	if kind != upstream.ErrNotExist && errors.Is(err, upstream.ErrNotExist) {
		t.Errorf("%s: an outage is told as missing: %v", ref, err)
	}
	if strings.Contains(err.Error(), secret) {
		t.Errorf("%s: the error tells the credential: %v", ref, err)
	}
	return err
}

// counts wants that many requests to the registry and to its token service.
func (w *world) counts(t *testing.T, registry, tokens int) {
	t.Helper()
	n, m := len(w.Registry.Log("/v2/")), len(w.Tokens.Log("/v2/token"))
	if w.Tokens == w.Registry.Server {
		n -= m
	}
	if n != registry || m != tokens {
		t.Errorf("%d requests and %d for tokens, want %d and %d", n, m, registry, tokens)
	}
	w.Forget()
}

func TestTokensAreHeld(t *testing.T) {
	w := newWorld(t, ocitest.Options{Auth: ocitest.Bearer, Guests: true})
	w.get(t, "v2/a/manifests/v1")
	w.counts(t, 2, 1) // refused, token, taken
	w.get(t, "v2/a/tags/list")
	w.get(t, w.URL+"/v2/a/tags/list?n=1")
	w.counts(t, 2, 0)
	w.get(t, "v2/b/manifests/v1")
	w.counts(t, 1, 1) // where to ask is known
	w.Advance(239 * time.Second)
	w.get(t, "v2/a/manifests/v1")
	w.counts(t, 1, 0)
	w.Advance(time.Second) // 80 % of 300 s
	w.get(t, "v2/a/manifests/v1")
	w.counts(t, 1, 1)
	w.ExpireTokens()
	w.get(t, "v2/a/manifests/v1")
	w.counts(t, 2, 1) // once more with a new one
	w.fails(t, "v2/b/manifests/none", upstream.ErrNotExist)
	w.ExpireTokens()
	w.Forget()
	w.get(t, "v2/b/manifests/v1") // its token had been taken, though for nothing
	w.counts(t, 2, 1)
	if list := w.told(); len(list) > 0 {
		t.Errorf("alarms %+v", list)
	}
	short := newWorld(t, ocitest.Options{Auth: ocitest.Bearer, Guests: true, NoExpiry: true})
	short.get(t, "v2/a/manifests/v1")
	short.Advance(47 * time.Second)
	short.get(t, "v2/a/manifests/v1")
	short.counts(t, 3, 1)
	short.Advance(time.Second) // 80 % of the 60 s that are assumed
	short.get(t, "v2/a/manifests/v1")
	short.counts(t, 1, 1)
}

func TestWhatIsRefusedIsMissing(t *testing.T) {
	for _, c := range []struct {
		name   string
		opt    ocitest.Options
		auth   upstream.Auth
		ref    string
		reason string
	}{
		{"a hub that hides", ocitest.Options{Auth: ocitest.Bearer, Guests: true, Hides: true}, upstream.Auth{}, "v2/nosuch/manifests/v1", "none is configured"},
		{"no guests", ocitest.Options{Auth: ocitest.Bearer}, upstream.Auth{}, "v2/a/manifests/v1", "none is configured"},
		{"no right", ocitest.Options{Auth: ocitest.Bearer, Hides: true}, login(), "v2/nosuch/manifests/v1", "may not read"},
		{"a bad credential", ocitest.Options{Auth: ocitest.Bearer}, upstream.Auth{Type: "basic", Username: "x", Password: upstream.Hide(secret)}, "v2/a/manifests/v1", "token service refuses our credential"},
		{"Basic without one", ocitest.Options{Auth: ocitest.Basic}, upstream.Auth{}, "v2/a/manifests/v1", "none is configured"},
		{"Basic with a bad one", ocitest.Options{Auth: ocitest.Basic}, upstream.Auth{Type: "basic", Username: "x", Password: upstream.Hide(secret)}, "v2/a/manifests/v1", "no good any more"},
	} {
		w := newWorld(t, c.opt, func(cfg *upstream.Config) { cfg.Auth = c.auth })
		for range 3 {
			err := w.fails(t, c.ref, upstream.ErrNotExist)
			var e *upstream.Error
			if !errors.As(err, &e) && c.name != "a bad credential" {
				t.Errorf("%s: %T", c.name, err)
			} else if e != nil && strings.Contains(e.Public(), "credential") {
				t.Errorf("%s: clients hear of our credential: %s", c.name, e.Public())
			}
		}
		list := w.told()
		if len(list) != 1 || !strings.Contains(list[0].Reason, c.reason) || list[0].Status != 401 || list[0].Upstream != "hub" ||
			list[0].Credential != (c.auth.Type != "") || strings.Contains(fmt.Sprint(list), secret) {
			t.Errorf("%s: alarms %+v", c.name, list)
		}
		w.Advance(time.Minute)
		w.fails(t, c.ref, upstream.ErrNotExist)
		if len(w.told()) != 1 {
			t.Errorf("%s: no second alarm after a minute", c.name)
		}
	}
}

// TestRefusalsCostOneRequest: what is refused for other reasons than age must not
// cost a token each time, and a credential that is no good is not shown each time.
func TestRefusalsCostOneRequest(t *testing.T) {
	w := newWorld(t, ocitest.Options{Auth: ocitest.Bearer, Guests: true, Hides: true})
	w.fails(t, "v2/nosuch/manifests/v1", upstream.ErrNotExist)
	w.counts(t, 2, 1)
	w.fails(t, "v2/nosuch/manifests/v1", upstream.ErrNotExist)
	w.counts(t, 1, 0)
	w.Advance(10 * time.Second)
	w.fails(t, "v2/nosuch/manifests/v1", upstream.ErrNotExist)
	w.counts(t, 2, 1)
	bad := newWorld(t, ocitest.Options{Auth: ocitest.Bearer}, func(c *upstream.Config) {
		c.Auth = upstream.Auth{Type: "basic", Username: "x", Password: upstream.Hide(secret)}
	})
	bad.fails(t, "v2/a/manifests/v1", upstream.ErrNotExist)
	bad.fails(t, "v2/b/manifests/v1", upstream.ErrNotExist)
	bad.counts(t, 2, 1)
	bad.Advance(10 * time.Second)
	bad.fails(t, "v2/a/manifests/v1", upstream.ErrNotExist)
	bad.counts(t, 1, 1)
	forbidden := newWorld(t, ocitest.Options{})
	forbidden.Fail(ocitest.Fault{Prefix: "/v2/a/", Status: http.StatusForbidden})
	forbidden.fails(t, "v2/a/manifests/v1", upstream.ErrNotExist)
	forbidden.counts(t, 1, 0)
	if list := forbidden.told(); len(list) != 1 || list[0].Status != 403 || list[0].Scope != "repository:a:pull" {
		t.Errorf("alarms %+v", list)
	}
}

func TestManyMissesAreOneToken(t *testing.T) {
	w := newWorld(t, ocitest.Options{Auth: ocitest.Bearer, Guests: true})
	w.Fail(ocitest.Fault{Prefix: "/v2/token", Delay: 50 * time.Millisecond})
	var list []string
	for i := range 16 {
		list = append(list, "v2/a/blobs/"+w.PushBlob("a", ocitest.TypeLayer, []byte{byte(i)}).Digest)
	}
	var all sync.WaitGroup
	for _, ref := range list {
		all.Go(func() {
			if _, err := ask(w.Fetcher, t.Context(), upstream.Request{Ref: ref}); err != nil {
				t.Errorf("%s: %v", ref, err)
			}
		})
	}
	all.Wait()
	if n := len(w.Tokens.Log("/v2/token")); n != 1 {
		t.Errorf("%d requests for tokens", n)
	}
}

// TestOneWhoLeavesEndsNothing: the token comes for those who stay.
func TestOneWhoLeavesEndsNothing(t *testing.T) {
	w := newWorld(t, ocitest.Options{Auth: ocitest.Bearer, Guests: true})
	w.Fail(ocitest.Fault{Prefix: "/v2/token", Delay: 300 * time.Millisecond})
	first, leave := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := ask(w.Fetcher, first, upstream.Request{Ref: "v2/a/manifests/v1"})
		ended <- err
	}()
	for len(w.Tokens.Log("/v2/token")) == 0 {
		time.Sleep(time.Millisecond)
	}
	leave()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the one who left: %v", err)
	}
	w.get(t, "v2/a/manifests/v1")
	if n := len(w.Tokens.Log("/v2/token")); n != 1 {
		t.Errorf("%d requests for tokens", n)
	}
	soon, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := ask(w.Fetcher, soon, upstream.Request{Ref: "v2/b/manifests/v1"}); !errors.Is(err, upstream.ErrTimeout) {
		t.Errorf("the one whose time ran out: %v", err)
	}
}

func TestTwoCredentialsOfOneHost(t *testing.T) {
	w := newWorld(t, ocitest.Options{Auth: ocitest.Bearer, Guests: true}, func(c *upstream.Config) { c.Auth = login() })
	guest := &world{Registry: w.Registry}
	guest.speakTo(t, w.URL)
	tokens := map[string]string{} // by who asked
	for name, who := range map[string]*world{"user": w, "guest": guest} {
		w.Forget()
		who.get(t, "v2/a/manifests/v1")
		for _, q := range w.Tokens.Log("/v2/token") {
			if has := q.Header.Get("Authorization") != ""; has != (name == "user") {
				t.Errorf("%s: credential shown: %v", name, has)
			}
		}
		log := w.Registry.Log("/v2/a/")
		tokens[name] = log[len(log)-1].Header.Get("Authorization")
	}
	if tokens["user"] == tokens["guest"] || !strings.HasPrefix(tokens["user"], "Bearer ") {
		t.Error("both brought one token")
	}
}

func TestBasicNeedsNoToken(t *testing.T) {
	w := newWorld(t, ocitest.Options{Auth: ocitest.Basic}, func(c *upstream.Config) { c.Auth = login() })
	w.get(t, "v2/a/manifests/v1")
	w.counts(t, 1, 0)
	open := newWorld(t, ocitest.Options{})
	open.get(t, "v2/a/manifests/v1")
	open.fails(t, "v2/a/manifests/none", upstream.ErrNotExist)
	open.counts(t, 2, 0)
	if list := append(w.told(), open.told()...); len(list) > 0 {
		t.Errorf("alarms %+v", list)
	}
}

// TestARequestKeepsItsForm: what else was asked goes along with the token.
func TestARequestKeepsItsForm(t *testing.T) {
	w := newWorld(t, ocitest.Options{Auth: ocitest.Bearer, Guests: true})
	h := http.Header{"X-Own": {"x"}}
	for range 2 {
		resp, err := w.Fetch(t.Context(), upstream.Request{Method: "HEAD", Ref: "v2/a/manifests/v1", Accept: "a/b", IfNoneMatch: `"x"`, Header: h})
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	for _, q := range w.Registry.Log("/v2/a/") {
		if q.Method != "HEAD" || q.Header.Get("Accept") != "a/b" || q.Header.Get("If-None-Match") != `"x"` || q.Header.Get("X-Own") != "x" {
			t.Errorf("sent %+v", q)
		}
	}
	if len(h) != 1 {
		t.Errorf("the caller's fields became %v", h)
	}
	w.Forget()
	if _, err := w.Fetch(t.Context(), upstream.Request{Ref: "v2/a/manifests/v1", Header: http.Header{"Authorization": {"Bearer own"}}}); err == nil {
		t.Error("a token of the caller's own was replaced")
	}
	w.counts(t, 1, 0)
}
