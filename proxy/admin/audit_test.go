package admin

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"larder/policy/audit"
)

func TestDecisionsAreExplainedToWhoeverHoldsTheId(t *testing.T) {
	w := newWorld(t)
	rec := w.do("POST", "/api/v1/gc", w.bob, "")
	id := rec.Header().Get("X-Larder-Decision")
	var p Problem
	w.must(json.Unmarshal(rec.Body.Bytes(), &p))
	var shown Refusal
	text := w.want(200, "GET", "/api/v1/decisions/"+id, "", "")
	w.must(json.Unmarshal([]byte(text), &shown))
	if shown.ID != id || shown.Call != "POST /api/v1/gc" || shown.Status != 403 || shown.Since.IsZero() || shown.Sentence != p.Detail {
		t.Errorf("%s, want the sentence %q", text, p.Detail)
	}
	for _, secret := range []string{`"bob"`, "192.0.2.1", "token_id", "last4", w.bob, "record"} {
		if strings.Contains(text, secret) {
			t.Errorf("%s is told: %s", secret, text)
		}
	}
	if text := w.want(200, "GET", "/api/v1/decisions/"+id, w.admin, ""); !strings.Contains(text, `"id":"bob"`) {
		t.Errorf("to the administrator: %s", text)
	}
	w.want(404, "GET", "/api/v1/decisions/0000000000000000", "", "")
	w.want(404, "GET", "/api/v1/decisions/0000000000000000", w.admin, "")
}

func TestBadCredentialsAreNotDescribedToOthers(t *testing.T) {
	w := newWorld(t)
	w.want(204, "POST", "/api/v1/users/bob/suspend", w.admin, "")
	id := w.do("GET", "/api/v1/whoami", w.bob, "").Header().Get("X-Larder-Decision")
	if text := w.want(200, "GET", "/api/v1/decisions/"+id, "", ""); strings.Contains(text, "bob") || strings.Contains(text, "suspended") {
		t.Errorf("told: %s", text)
	}
}

func TestHiddenDecisionsStayHidden(t *testing.T) {
	w := newWorld(t)
	w.want(201, "POST", "/api/v1/users", w.admin, `{"name":"carl"}`)
	w.want(404, "GET", "/api/v1/repos/carl/packages", w.bob, "")
	w.must(w.audit.Flush(t.Context()))
	found := false
	for r, err := range audit.Export(t.Context(), w.index, 0, audit.Filter{Decision: audit.Deny}) {
		w.must(err)
		if r.Status == 404 {
			found = true
			w.want(404, "GET", "/api/v1/decisions/"+r.DecisionID, "", "")
			w.want(200, "GET", "/api/v1/decisions/"+r.DecisionID, w.admin, "")
		}
	}
	if !found {
		t.Error("nothing was hidden")
	}
}

func TestNamesAreTakenOutOfSentences(t *testing.T) {
	for _, tt := range []struct{ sentence, name, want string }{
		{"bob needs the role write", "bob", "the caller needs the role write"},
		{"it takes a role that bob, who asks, lacks", "bob", "it takes a role that the caller, who asks, lacks"},
		{"bobsled needs bob/packages", "bob", "bobsled needs bob/packages"},
		{"nobody", "", "nobody"},
	} {
		if got := withoutName(tt.sentence, tt.name); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

// TestExportCanBeVerifiedByOthers computes the chain from the lines alone.
func TestExportCanBeVerifiedByOthers(t *testing.T) {
	w := newWorld(t)
	w.want(403, "POST", "/api/v1/gc", w.bob, "")
	lines := strings.Split(strings.TrimSuffix(w.want(200, "GET", "/api/v1/audit", w.admin, ""), "\n"), "\n")
	prev := strings.Repeat("0", 64)
	for _, line := range lines {
		at := strings.LastIndex(line, `,"prev_hash":"`)
		if at < 0 {
			t.Fatalf("no hash: %s", line)
		}
		before, err := hex.DecodeString(prev)
		w.must(err)
		sum := sha256.Sum256(append(before, line[:at]+"}"...))
		want := `,"prev_hash":"` + prev + `","hash":"` + hex.EncodeToString(sum[:]) + `"}`
		if line[at:] != want {
			t.Fatalf("%s\nends in %s, want %s", line, line[at:], want)
		}
		prev = hex.EncodeToString(sum[:])
	}
	if len(lines) < 4 {
		t.Errorf("%d records", len(lines))
	}
	if one := w.want(200, "GET", "/api/v1/audit?after=1&limit=1", w.admin, ""); one != lines[1]+"\n" {
		t.Errorf("page: %s", one)
	}
	if none := w.want(200, "GET", "/api/v1/audit?since=2999-01-01T00:00:00Z", w.admin, ""); none != "" {
		t.Errorf("since: %s", none)
	}
	for _, query := range []string{"since=monday", "after=-1", "limit=x"} {
		w.want(400, "GET", "/api/v1/audit?"+query, w.admin, "")
	}
	var last Line
	w.must(json.Unmarshal([]byte(w.want(200, "POST", "/api/v1/audit/verify", w.admin, "")), &last))
	if last.Audit == nil || last.Audit.Fault != nil || last.Audit.Records != uint64(len(lines)) {
		t.Errorf("verify: %+v", last.Audit)
	}
}
