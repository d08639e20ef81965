package admin

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestApprove(t *testing.T) {
	w := newWorld(t)
	const target = "/api/v1/policy/approve"
	w.want(200, "POST", target, w.admin, `{"purls":["pkg:npm/left@1.0.0","pkg:npm/%40acme/pad@2.0.0"],"since":"2026-01-01T00:00:00Z"}`)
	for body, words := range map[string]string{
		`{"purls":[]}`:                            "purls",
		`{"purls":["left@1.0.0"]}`:                "no package URL",
		`{"purls":["pkg:npm/left"]}`:              "names no version",
		`{"purls":["pkg:npm/a@1","pkg:gem/b@1"]}`: "each format by itself",
		`{"purls":["pkg:gem/b@1"]}`:               "no registry",
	} {
		if text := w.want(400, "POST", target, w.admin, body); !strings.Contains(text, words) {
			t.Errorf("%s: %s", body, text)
		}
	}
}

func TestResetOrigin(t *testing.T) {
	w := newWorld(t)
	w.publish("left", "1.0.0", w.admin)
	const target = "/api/v1/policy/origin/reset?purl=pkg:npm/left"
	if text := w.want(409, "POST", target, w.admin, ""); !strings.Contains(text, "larder pkg delete") {
		t.Errorf("while it is published: %s", text)
	}
	w.want(200, "DELETE", "/api/v1/package?purl=pkg:npm/left", w.admin, "")
	reset := func(query string) (r OriginReset) {
		w.must(json.Unmarshal([]byte(w.want(200, "POST", target+query, w.admin, "")), &r))
		return r
	}
	dry := reset("&dry_run=true")
	w.want(200, "POST", "/api/v1/package/restore?purl=pkg:npm/left", w.admin, "")
	w.want(200, "DELETE", "/api/v1/package?purl=pkg:npm/left", w.admin, "")
	done := reset("")
	if !dry.DryRun || done.DryRun || dry.Repository != "admin/packages" || done.Repository != dry.Repository || done.Purl != "pkg:npm/left" || !done.Since.Equal(w.Now()) {
		t.Errorf("dry %+v, then %+v", dry, done)
	}
	w.want(404, "POST", "/api/v1/package/restore?purl=pkg:npm/left", w.admin, "")
	w.want(404, "POST", target, w.admin, "")
	for query, words := range map[string]string{
		"?purl=pkg:npm/left@1.0.0": "leave out @1.0.0", "?purl=left": "no package URL", "": "purl", "?purl=pkg:gem/left": "no registry", "?purl=pkg:npm/left&registry=other": "no registry other",
	} {
		if text := w.want(400, "POST", "/api/v1/policy/origin/reset"+query, w.admin, ""); !strings.Contains(text, words) {
			t.Errorf("%s: %s", query, text)
		}
	}
}
