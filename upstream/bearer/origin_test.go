package bearer_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"larder/upstream"
	"larder/upstream/bearer"
	"larder/upstream/upstreamtest"
	"larder/upstream/upstreamtest/faulty"
	"larder/upstream/upstreamtest/ocitest"
)

func withLogin(c *upstream.Config) { c.Auth = login() }

// TestThreat17TokensStayWithTheirOrigin: blobs and the token service are on other
// ports than the registry, which is what makes them other origins.
func TestThreat17TokensStayWithTheirOrigin(t *testing.T) {
	w := newWorld(t, ocitest.Options{Auth: ocitest.Bearer, Redirects: true}, withLogin, func(c *upstream.Config) {
		c.AllowHosts = []string{"127.0.0.1"}
	})
	blob := w.PushBlob("a", ocitest.TypeLayer, []byte("content"))
	if got := w.get(t, "v2/a/blobs/"+blob.Digest); got != "content" {
		t.Errorf("blob %q", got)
	}
	other := upstreamtest.New(t)
	other.Serve("/v2/a/tags/list", upstreamtest.Answer{})
	other.Serve("/v2/b/tags/list", upstreamtest.Answer{Status: 401, Header: http.Header{
		"Www-Authenticate": {`Bearer realm="` + other.URL + `/token"`},
	}})
	w.get(t, other.URL+"/v2/a/tags/list")                            // another registry's list of tags
	w.fails(t, other.URL+"/v2/b/tags/list", upstream.ErrUnavailable) // its challenge is not for us
	srv := upstreamtest.New(t)
	srv.Serve("/v2/a/blobs/x", upstreamtest.Answer{Redirect: other.URL + "/v2/b/tags/list"})
	led := &world{}
	led.speakTo(t, srv.URL, withLogin, func(c *upstream.Config) { c.AllowHosts = []string{other.Host()} })
	led.fails(t, "v2/a/blobs/x", upstream.ErrUnavailable) // nor is it where the registry leads to
	for _, q := range w.Blobs.Log("") {
		if v := q.Header.Get("Authorization"); v != "" {
			t.Errorf("%s of the store of blobs got %q", q.Path, v)
		}
	}
	for _, e := range other.Log() {
		if v := e.Header.Get("Authorization"); v != "" || e.Path == "/token" {
			t.Errorf("%s of another origin got %q", e.Path, v)
		}
	}
	if len(w.Blobs.Log("")) != 1 || len(other.Log()) != 3 {
		t.Errorf("%d requests for blobs, %d to the other", len(w.Blobs.Log("")), len(other.Log()))
	}
}

// TestThreat17TheCredentialGoesToNamedRealmsOnly: the service of tokens is a canary
// on another port.
func TestThreat17TheCredentialGoesToNamedRealmsOnly(t *testing.T) {
	for _, named := range []bool{true, false} {
		w := newWorld(t, ocitest.Options{Auth: ocitest.Bearer, RealmElsewhere: true}, withLogin)
		if named {
			w.speakTo(t, w.URL, withLogin, func(c *upstream.Config) { c.AllowHosts = []string{strings.TrimPrefix(w.Tokens.URL, "http://")} })
			w.get(t, "v2/a/manifests/v1")
			if log := w.Tokens.Log(""); len(log) != 1 || log[0].Header.Get("Authorization") == "" {
				t.Errorf("the named realm got %+v", log)
			}
			continue
		}
		// Nor may it be reached at all: its address is a private one.
		w.fails(t, "v2/a/manifests/v1", upstream.ErrRefused)
		if log := w.Tokens.Log(""); len(log) != 0 {
			t.Errorf("a realm that is not named got %+v", log)
		}
	}
}

// publicly is a client for which one strange host is at a public address.
type publicly struct {
	*upstream.Client
	host  string
	world *upstream.Client
}

func (p publicly) Fetch(ctx context.Context, req upstream.Request) (*upstream.Response, error) {
	if rest, ok := strings.CutPrefix(req.Ref, p.host+"/"); ok && !p.Trusted(req.Ref) {
		req.Ref = rest
		return p.world.Fetch(ctx, req)
	}
	return p.Client.Fetch(ctx, req)
}

// TestGuestsAskPublicRealms: without a credential, or with one that is not for
// that host, a service elsewhere is asked as a guest.
func TestGuestsAskPublicRealms(t *testing.T) {
	for _, guests := range []bool{true, false} {
		for _, change := range []func(*upstream.Config){withLogin, func(*upstream.Config) {}} {
			w := newWorld(t, ocitest.Options{Auth: ocitest.Bearer, RealmElsewhere: true, Guests: guests}, change)
			realm := &world{Registry: w.Registry}
			realm.speakTo(t, w.Tokens.URL)
			var told []bearer.Alarm
			f, err := bearer.New(publicly{w.client, w.Tokens.URL, realm.client}, bearer.Options{Now: w.Now, Alarm: func(a bearer.Alarm) { told = append(told, a) }})
			if err != nil {
				t.Fatal(err)
			}
			w.Fetcher = f
			if guests {
				w.get(t, "v2/a/manifests/v1")
				// Pulls go well, but as a guest: a credential that is not used must be told of.
				if signs := w.client.Config().Auth.Type != ""; signs != (len(told) == 1) || signs && (told[0].Status != 0 || !strings.Contains(told[0].Reason, "allow_hosts")) {
					t.Errorf("alarms %+v", told)
				}
				w.Advance(4 * time.Minute)
				w.get(t, "v2/a/manifests/v1")
				if len(told) > 1 {
					t.Errorf("told again: %+v", told)
				}
				w.Tokens.Forget()
				w.get(t, "v2/b/manifests/v1")
			} else {
				w.fails(t, "v2/a/manifests/v1", upstream.ErrNotExist)
			}
			if log := w.Tokens.Log(""); len(log) != 1 || log[0].Header.Get("Authorization") != "" {
				t.Errorf("guests %v: the realm got %+v", guests, log)
			}
		}
	}
}

// TestTheOperatorHearsOfARealmToName: a credential that is not shown cannot help.
func TestTheOperatorHearsOfARealmToName(t *testing.T) {
	w := newWorld(t, ocitest.Options{Auth: ocitest.Bearer, RealmElsewhere: true}, withLogin)
	realm := &world{Registry: w.Registry}
	realm.speakTo(t, w.Tokens.URL)
	w.Tokens.Fail(faulty.Fault{Status: http.StatusUnauthorized})
	var told []bearer.Alarm
	f, err := bearer.New(publicly{w.client, w.Tokens.URL, realm.client}, bearer.Options{Now: w.Now, Alarm: func(a bearer.Alarm) { told = append(told, a) }})
	if err != nil {
		t.Fatal(err)
	}
	w.Fetcher = f
	w.fails(t, "v2/a/manifests/v1", upstream.ErrNotExist)
	if len(told) != 1 || !strings.Contains(told[0].Reason, "allow_hosts") || told[0].Host != strings.TrimPrefix(w.Tokens.URL, "http://") {
		t.Errorf("alarms %+v", told)
	}
}

// TestThreat16RealmsAreGuarded: wherever a challenge leads, nothing private hears of it.
func TestThreat16RealmsAreGuarded(t *testing.T) {
	canary := upstreamtest.New(t)
	srv := upstreamtest.NewTLS(t)
	w := &world{}
	w.speakTo(t, srv.URL, withLogin, func(c *upstream.Config) { c.RootCAs = srv.Roots() })
	for _, realm := range []string{
		canary.URL + "/token", strings.Replace(canary.URL, "http:", "https:", 1) + "/token", "http://localhost:1/", "http://169.254.169.254/latest", "http://[::1]/",
		strings.Replace(srv.URL, "https:", "http:", 1) + "/token", // the same host, and not https
	} {
		srv.Serve("/v2/a/manifests/v1", upstreamtest.Answer{Status: 401, Header: http.Header{"Www-Authenticate": {`Bearer realm="` + realm + `",service="x"`}}})
		w.fails(t, "v2/a/manifests/v1", upstream.ErrRefused)
	}
	for _, realm := range []string{"", "/token", "token", "//" + canary.Host() + "/token", "ftp://" + canary.Host() + "/", "file:///etc/passwd", "https://"} {
		srv.Serve("/v2/a/manifests/v1", upstreamtest.Answer{Status: 401, Header: http.Header{"Www-Authenticate": {`Bearer realm="` + realm + `"`}}})
		w.fails(t, "v2/a/manifests/v1", upstream.ErrNotExist)
	}
	if canary.Connections() != 0 || srv.Requests("/token") != 0 {
		t.Errorf("%d connections to the canary, %d requests for tokens", canary.Connections(), srv.Requests("/token"))
	}
}

func TestTokenServiceDown(t *testing.T) {
	w := newWorld(t, ocitest.Options{Auth: ocitest.Bearer, Guests: true})
	for status, kind := range map[int]error{
		500: upstream.ErrUnavailable, 502: upstream.ErrUnavailable, 503: upstream.ErrUnavailable, 400: upstream.ErrUnavailable,
		404: upstream.ErrUnavailable, 410: upstream.ErrUnavailable, 405: upstream.ErrUnavailable, 429: upstream.ErrThrottled,
	} {
		w.speakTo(t, w.URL)
		w.Fail(ocitest.Fault{Prefix: "/v2/token", Status: status})
		w.fails(t, "v2/a/manifests/v1", kind)
		w.Heal()
	}
	w.speakTo(t, w.URL)
	w.Fail(ocitest.Fault{Prefix: "/v2/token", Status: 429, Retry: 7 * time.Second})
	w.fails(t, "v2/a/manifests/v1", upstream.ErrThrottled)
	w.Heal()
	w.speakTo(t, w.URL)
	w.Fail(ocitest.Fault{Prefix: "/v2/token", Cut: true})
	w.fails(t, "v2/a/manifests/v1", upstream.ErrUnavailable)
	w.Heal()
	w.get(t, "v2/a/manifests/v1")
	elsewhere := newWorld(t, ocitest.Options{Auth: ocitest.Bearer, Guests: true, RealmElsewhere: true})
	elsewhere.speakTo(t, elsewhere.URL, func(c *upstream.Config) { c.AllowHosts = []string{"127.0.0.1"} })
	elsewhere.Tokens.Down()
	elsewhere.fails(t, "v2/a/manifests/v1", upstream.ErrUnavailable)
	if list := append(w.told(), elsewhere.told()...); len(list) > 0 {
		t.Errorf("alarms %+v", list)
	}
}

func TestJunkTokens(t *testing.T) {
	srv := upstreamtest.New(t)
	w := &world{}
	for name, body := range map[string]string{
		"nothing": "", "a page": "<html>", "none": `{}`, "a line break": `{"token":"a\r\nX: y"}`, "a megabyte": `{"token":"` + strings.Repeat("x", 1<<20) + `"}`,
	} {
		w.speakTo(t, srv.URL)
		srv.Serve("/v2/a/manifests/v1", upstreamtest.Answer{Status: 401, Header: http.Header{"Www-Authenticate": {`Bearer realm="` + srv.URL + `/token"`}}})
		srv.Serve("/token", upstreamtest.Answer{Body: []byte(body)})
		srv.Forget()
		w.fails(t, "v2/a/manifests/v1", upstream.ErrUnavailable)
		if n := srv.Requests("/v2/a/manifests/v1"); n != 1 {
			t.Errorf("%s: %d requests", name, n)
		}
	}
	for expires, life := range map[string]time.Duration{"-1": 48 * time.Second, "1e300": 48 * time.Minute} {
		w.speakTo(t, srv.URL)
		srv.ServeFunc("/v2/a/manifests/v1", func(q *http.Request) upstreamtest.Answer {
			if q.Header.Get("Authorization") == "Bearer t" {
				return upstreamtest.Answer{}
			}
			return upstreamtest.Answer{Status: 401, Header: http.Header{"Www-Authenticate": {`Bearer realm="` + srv.URL + `/token"`}}}
		})
		srv.Serve("/token", upstreamtest.Answer{Body: fmt.Appendf(nil, `{"token":"t","expires_in":%s}`, expires)})
		srv.Forget()
		w.get(t, "v2/a/manifests/v1")
		w.Advance(life - time.Second)
		w.get(t, "v2/a/manifests/v1")
		if n := srv.Requests("/token"); n != 1 {
			t.Errorf("%s: %d tokens", expires, n)
		}
		w.Advance(time.Second)
		w.get(t, "v2/a/manifests/v1")
		if n := srv.Requests("/token"); n != 2 {
			t.Errorf("%s: %d tokens after %v", expires, n, life)
		}
	}
}

// TestLinksRunOut: the registry is asked once more for a link that is good.
func TestLinksRunOut(t *testing.T) {
	w := newWorld(t, ocitest.Options{Auth: ocitest.Bearer, Guests: true, Redirects: true})
	w.speakTo(t, w.URL, func(c *upstream.Config) { c.AllowHosts = []string{"127.0.0.1"} })
	ref := "v2/a/blobs/" + w.PushBlob("a", ocitest.TypeLayer, []byte("content")).Digest
	w.get(t, ref)
	w.Forget()
	w.Blobs.Fail(faulty.Fault{Status: http.StatusForbidden, Times: 1})
	if got := w.get(t, ref); got != "content" || len(w.Blobs.Log("")) != 2 {
		t.Errorf("%q after %d requests", got, len(w.Blobs.Log("")))
	}
	w.counts(t, 2, 0)
	w.Blobs.Fail(faulty.Fault{Status: http.StatusForbidden})
	w.fails(t, ref, upstream.ErrUnavailable) // not missing: the registry said where it is
	if list := w.told(); len(list) > 0 {
		t.Errorf("alarms %+v", list)
	}
}
