package proxy

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"larder/cache"
	"larder/cache/memory"
	"larder/formats"
	"larder/policy"
	"larder/policy/audit"
)

// kept is a log of refusals that runs until the test ends.
func kept(t *testing.T, index cache.Index) *audit.Log {
	t.Helper()
	log := audit.NewLog(index, audit.Chain{})
	ctx, end := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		log.Run(ctx, func(err error) { t.Error(err) })
	}()
	t.Cleanup(func() { end(); <-done })
	return log
}

// recorded returns all records.
func recorded(t *testing.T, index cache.Index) (all []audit.Record) {
	t.Helper()
	for r, err := range audit.Export(t.Context(), index, 0, audit.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// TestAskingHowToSignInIsNoRefusal: clients of containers begin so, every time.
func TestAskingHowToSignInIsNoRefusal(t *testing.T) {
	for err, named := range map[error]bool{
		policy.ErrNotSignedIn: false, formats.Refuse(policy.ErrNotSignedIn, "sign in"): false,
		policy.ErrUnauthenticated: true, formats.Refuse(policy.ErrUnauthenticated, "no"): true,
	} {
		if d := (Denial{Err: err, Status: 401}); d.named() != named {
			t.Errorf("%v: recorded %v", err, !named)
		}
	}
}

func TestRefusalsAreRecordedBeforeTheyAreSent(t *testing.T) {
	opens := time.Date(2026, 8, 4, 9, 12, 0, 0, time.UTC)
	for _, tt := range []struct {
		name, token, action string
		verdict             policy.Decision
		status              int
		reason              audit.Reason
	}{
		{"by a scope", "alice-token", "read", policy.Decision{Verdict: policy.Deny, Reason: "it takes a scope", Accepted: []policy.Scope{policy.Repo}},
			403, audit.Reason{Scope: "repo", Sentence: "it takes a scope"}},
		{"by a role", "alice-token", "read", policy.Decision{Verdict: policy.Deny, Reason: "it takes a role", Needs: policy.RoleWrite},
			403, audit.Reason{Role: "write", Sentence: "it takes a role"}},
		{"by a limit", "alice-token", "read", policy.Decision{Verdict: policy.Deny, Reason: "it is limited", Limited: true},
			403, audit.Reason{Limit: "token", Sentence: "it is limited"}},
		{"by a rule", "", "read", policy.Decision{Verdict: policy.Deny, Reason: "too young", Rule: "cool", Opens: opens},
			403, audit.Reason{RuleID: "cool", Sentence: "too young"}},
		{"no token", "", "read", policy.Decision{Verdict: policy.Challenge, Reason: "sign in"}, 401, audit.Reason{Sentence: "sign in"}},
		{"bad token", "mallory-token", "authenticate", policy.Decision{}, 401, audit.Reason{Sentence: "the token is unknown or revoked"}},
		{"too often", "hasty-token", "authenticate", policy.Decision{}, 429, audit.Reason{Limit: "attempts", Sentence: "too many failed attempts from this address"}},
	} {
		index := memory.NewIndex()
		log := kept(t, index)
		w := newWorld(t, func(o *Options) { o.Refusals = log })
		w.verdict = tt.verdict
		resp := w.do("GET", "/pad/a/1", nil, "Authorization: Bearer "+tt.token, "User-Agent: npm/11.0.0")
		id := resp.Header.Get("X-Larder-Decision")
		all := recorded(t, index)
		if resp.StatusCode != tt.status || len(all) != 1 {
			t.Errorf("%s: %d, records %+v", tt.name, resp.StatusCode, all)
			continue
		}
		r := all[0]
		if r.DecisionID != id || id == "" || r.Action != tt.action || r.Status != tt.status || r.Decision != audit.Deny || r.Reason != tt.reason ||
			r.RequestID != resp.Header.Get("X-Request-Id") || r.UserAgent != "npm/11.0.0" || r.Actor.Via != "bearer" {
			t.Errorf("%s: decision %s: %+v", tt.name, id, r)
		}
		if want := tt.verdict.Opens; !want.IsZero() && r.After["opens"] != want.Format(time.RFC3339) {
			t.Errorf("%s: opens %q", tt.name, r.After["opens"])
		}
	}
}

func TestRepeatedRefusalsHaveTheNameOfTheirRecord(t *testing.T) {
	index := memory.NewIndex()
	log := kept(t, index)
	w := newWorld(t, func(o *Options) { o.Refusals = log })
	w.verdict = policy.Decision{Verdict: policy.Deny, Reason: "no"}
	first := w.do("GET", "/pad/a/1", nil).Header.Get("X-Larder-Decision")
	second := w.do("GET", "/pad/a/1", nil).Header.Get("X-Larder-Decision")
	if first != second || len(recorded(t, index)) != 1 {
		t.Errorf("decisions %s and %s, records %v", first, second, recorded(t, index))
	}
}

func TestHiddenThingsAreRecordedWithoutAName(t *testing.T) {
	index := memory.NewIndex()
	log := kept(t, index)
	w := newWorld(t, func(o *Options) { o.Refusals = log })
	w.verdict = policy.Decision{Verdict: policy.Hide}
	hidden := w.do("GET", "/pad/a/1", nil)
	w.verdict = policy.Decision{Verdict: policy.Allow}
	missing := w.do("GET", "/pad/lost/1", nil)
	if err := log.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := recorded(t, index)
	if len(all) != 1 || all[0].Status != http.StatusNotFound || all[0].Resource.Package != "a" || all[0].DecisionID == "" {
		t.Errorf("records %+v", all)
	}
	for _, resp := range []*http.Response{hidden, missing} {
		if resp.StatusCode != 404 || resp.Header.Get("X-Larder-Decision") != "" || resp.Header.Get("Link") != "" {
			t.Errorf("%d %v", resp.StatusCode, resp.Header)
		}
	}
	if strings.Contains(w.log.String(), all[0].DecisionID) {
		t.Errorf("the access log names it: %s", w.log)
	}
}

// full refuses all records.
type full struct{ cache.Index }

func (full) Update(context.Context, func(cache.Writer) error) error { return errNoRoom() }

func errNoRoom() error { return errors.New("no room for the record") }

func TestRefusalsThatCannotBeRecordedStayRefusals(t *testing.T) {
	log := audit.NewLog(full{memory.NewIndex()}, audit.Chain{})
	ctx, end := context.WithCancel(t.Context())
	defer end()
	go log.Run(ctx, func(error) {})
	w := newWorld(t, func(o *Options) { o.Refusals = log })
	w.verdict = policy.Decision{Verdict: policy.Deny, Reason: "no"}
	resp := w.do("GET", "/pad/a/1", nil)
	if resp.StatusCode != 403 || resp.Header.Get("X-Larder-Decision") == "" || !strings.Contains(w.log.String(), errNoRoom().Error()) {
		t.Errorf("%d %v: %s", resp.StatusCode, resp.Header, w.log)
	}
}

// ownBody stands in for a body of net/http.
type ownBody struct{ io.ReadCloser }

// TestTheBodyIsGivenBack: net/http waits before it closes a connection on which a
// client sends still, lest the client loses the answer, but only for bodies that
// it finds as its own when the handler has returned.
func TestTheBodyIsGivenBack(t *testing.T) {
	w := newWorld(t, nil)
	for name, serve := range map[string]func(formats.File) (*formats.Content, error){
		"refused": failing(cache.ErrFull),
		"panic":   func(formats.File) (*formats.Content, error) { panic("a bug") },
	} {
		w.serve = serve
		for _, method := range []string{http.MethodGet, http.MethodPut} {
			r := httptest.NewRequest(method, "/pad/a/1", strings.NewReader("body"))
			own := &ownBody{r.Body}
			r.Body = own
			w.handler.ServeHTTP(httptest.NewRecorder(), r)
			if r.Body != own {
				t.Errorf("%s, %s: the request is left with the body %T", name, method, r.Body)
			}
		}
	}
}
