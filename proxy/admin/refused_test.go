package admin

import (
	"net/http"
	"strings"
	"testing"

	"larder/policy/audit"
)

func TestRefusalsOfTheAPIHaveNames(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		method, path, token string
		status              int
		named               bool
	}{
		{"POST", "/api/v1/gc", w.bob, 403, true},
		{"POST", "/api/v1/gc", "", 401, true},
		{"GET", "/api/v1/repos/admin/none", w.bob, 404, false},
		{"GET", "/api/v1/nothing", w.bob, 404, false},
		{"GET", "/api/v1/whoami", w.bob, 200, false},
	} {
		rec := w.do(tt.method, tt.path, tt.token, "")
		id := rec.Header().Get("X-Larder-Decision")
		if rec.Code != tt.status || (id != "") != tt.named || strings.Contains(rec.Header().Get("Link"), "/ui/why/"+id) != tt.named {
			t.Errorf("%s %s: %d %v", tt.method, tt.path, rec.Code, rec.Header())
		}
		if !tt.named {
			continue
		}
		r, err := audit.Find(t.Context(), w.index, id)
		if err != nil || r.Resource.ID != tt.method+" "+tt.path || r.Status != tt.status || r.Action != "administer" || r.Reason.Sentence == "" {
			t.Errorf("%s %s: %v %+v", tt.method, tt.path, err, r)
		}
	}
}

func TestHiddenThingsOfTheAPIAreRecorded(t *testing.T) {
	w := newWorld(t)
	w.want(201, "POST", "/api/v1/users", w.admin, `{"name":"carl"}`)
	w.want(http.StatusNotFound, "GET", "/api/v1/repos/carl/packages", w.bob, "")
	w.must(w.audit.Flush(t.Context()))
	for r, err := range audit.Export(t.Context(), w.index, 0, audit.Filter{Decision: audit.Deny}) {
		w.must(err)
		if r.Status == http.StatusNotFound && r.Resource.Repository == "carl/packages" && r.Actor.ID == "bob" {
			return
		}
	}
	t.Error("no record of what was hidden")
}
