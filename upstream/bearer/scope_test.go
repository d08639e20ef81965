package bearer_test

import (
	"net/http"
	"strings"
	"testing"

	"larder/upstream"
	"larder/upstream/upstreamtest"
)

// guarded is a registry that wants tokens of the given scopes for its images, ""
// for whatever scope was asked, and gives out the scope itself as the token.
func guarded(t *testing.T, scopes map[string]string) (*upstreamtest.Server, *world) {
	t.Helper()
	srv := upstreamtest.New(t)
	for name, scope := range scopes {
		want, params := scope, `,scope="`+scope+`"`
		if scope == "" {
			want, params = "repository:"+name+":pull", ""
		}
		srv.ServeFunc("/v2/"+name+"/manifests/v1", func(q *http.Request) upstreamtest.Answer {
			if q.Header.Get("Authorization") == "Bearer "+want {
				return upstreamtest.Answer{Body: []byte(name)}
			}
			return upstreamtest.Answer{Status: 401, Header: http.Header{
				"Www-Authenticate": {`Basic realm="x"`, `Bearer realm="` + srv.URL + `/token?k=v",service="x"` + params},
			}}
		})
	}
	srv.ServeFunc("/token", func(q *http.Request) upstreamtest.Answer {
		query := q.URL.Query()
		if query.Get("k") != "v" || query.Get("service") != "x" || len(query["scope"]) != 1 {
			return upstreamtest.Answer{Status: 400}
		}
		if strings.Contains(query.Get("scope"), "private") {
			return upstreamtest.Answer{Status: 403}
		}
		return upstreamtest.Answer{Body: []byte(`{"token":"` + query.Get("scope") + `"}`)}
	})
	w := &world{}
	w.speakTo(t, srv.URL)
	return srv, w
}

// TestScopesOfTheRegistryCount: some ask for other scopes than their names
// suggest, some name none.
func TestScopesOfTheRegistryCount(t *testing.T) {
	srv, w := guarded(t, map[string]string{
		"a": "repository:team/a:pull", "b": "repository:team/b:pull", "none": "", "usual": "repository:usual:pull", "other": "repository:team/other:pull",
	})
	for _, c := range []struct {
		name             string
		tokens, requests int // of the first time
	}{
		{"a", 1, 2}, {"b", 1, 2}, {"none", 1, 2}, {"usual", 1, 1}, {"other", 2, 2}, // the usual scope is tried first
	} {
		for i := range 2 {
			srv.Forget()
			if got := w.get(t, "v2/"+c.name+"/manifests/v1"); got != c.name {
				t.Errorf("%s: %q", c.name, got)
			}
			if i == 1 {
				c.tokens, c.requests = 0, 1
			}
			if n, m := srv.Requests("/token"), srv.Requests("/v2/"+c.name+"/manifests/v1"); n != c.tokens || m != c.requests {
				t.Errorf("%s, time %d: %d tokens, %d requests", c.name, i+1, n, m)
			}
		}
	}
}

// TestServicesThatRefuseScopes: some give no token for what one may not read, and
// want none for what all may.
func TestServicesThatRefuseScopes(t *testing.T) {
	srv, w := guarded(t, map[string]string{"usual": "repository:usual:pull", "private": "repository:private:pull"})
	srv.Serve("/v2/private-and-open/manifests/v1", upstreamtest.Answer{Body: []byte("open")})
	w.get(t, "v2/usual/manifests/v1") // from here on tokens are asked for first
	srv.Forget()
	w.fails(t, "v2/private/manifests/v1", upstream.ErrNotExist)
	if n, m := srv.Requests("/token"), srv.Requests("/v2/private/manifests/v1"); n != 1 || m != 1 {
		t.Errorf("%d tokens, %d requests", n, m)
	}
	if got := w.get(t, "v2/private-and-open/manifests/v1"); got != "open" {
		t.Errorf("open to all: %q", got)
	}
	if list := w.told(); len(list) != 1 || list[0].Status != 403 || !strings.Contains(list[0].Reason, "gives nothing without a credential") {
		t.Errorf("alarms %+v", list)
	}
}

// TestALateRefusalTakesTheTokenThatCame meanwhile.
func TestALateRefusalTakesTheTokenThatCame(t *testing.T) {
	srv, w := guarded(t, map[string]string{"a": "repository:a:pull"})
	late := make(chan struct{})
	refused := upstreamtest.Answer{Wait: late, Status: 401, Header: http.Header{
		"Www-Authenticate": {`Bearer realm="` + srv.URL + `/token?k=v",service="x",scope="repository:a:pull"`},
	}}
	srv.Serve("/v2/a/manifests/late", refused, upstreamtest.Answer{Body: []byte("late")})
	ended := make(chan string)
	go func() {
		body, err := ask(w.Fetcher, t.Context(), upstream.Request{Ref: "v2/a/manifests/late"})
		if err != nil {
			body = err.Error()
		}
		ended <- body
	}()
	for srv.Requests("/v2/a/manifests/late") == 0 {
		if t.Context().Err() != nil {
			t.Fatal("it was not asked")
		}
	}
	w.get(t, "v2/a/manifests/v1")
	close(late)
	if got := <-ended; got != "late" || srv.Requests("/token") != 1 {
		t.Errorf("%q after %d tokens", got, srv.Requests("/token"))
	}
}
