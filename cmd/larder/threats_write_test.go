package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"larder/policy"
)

// TestThreat09TheNameInTheBody: what is published is what policy was asked about
// and what the archive says, whichever of them a publisher bends.
func TestThreat09TheNameInTheBody(t *testing.T) {
	m := newMatrix(t, "")
	// One who may write to what is public, and to nothing else.
	m.api("POST", "users", fields{"name": "pat"})
	m.api("PUT", "repos/acme/public/grants/pat", fields{"role": "write"})
	pat, _ := m.mint("pat", policy.Limits{}, policy.WritePackages)
	const mine, theirs = "public-here", "private-here"
	before := m.want(200, m.admin, ask{method: "GET", path: "/npm/" + theirs}).body
	for _, at := range []string{"/npm/", "/r/acme/public/npm/"} {
		for name, body := range bentPublications(t, mine, theirs) {
			a := ask{method: "PUT", path: at + mine, body: body}
			if got := m.as(pat, a); got.status != 400 {
				t.Errorf("%s: %d, want 400: %s", name, got.status, got.body)
			}
			// Under the URL of a repository of his own he is told of the mismatch.
			if got := m.as(pat, ask{method: "PUT", path: at + theirs, body: body}); got.status != 403 && (at == "/npm/" || got.status != 400) {
				t.Errorf("%s, to the other's URL: %d: %s", name, got.status, got.body)
			}
		}
		m.want(403, pat, ask{method: "PUT", path: at + theirs, body: npmPublication(t, theirs, "7.0.0")})
	}
	if after := m.want(200, m.admin, ask{method: "GET", path: "/npm/" + theirs}).body; after != before {
		t.Errorf("the private package has changed:\n%s\n%s", before, after)
	}
	m.want(404, m.admin, ask{method: "GET", path: "/npm/" + mine + "/-/" + mine + "-7.0.0.tgz"})
	m.want(404, m.admin, ask{method: "GET", path: "/npm/" + theirs + "/-/" + theirs + "-7.0.0.tgz"})
	m.want(201, pat, ask{method: "PUT", path: "/npm/" + mine, body: npmPublication(t, mine, "7.0.0")})
	var doc struct {
		Versions map[string]struct{ Name, Version string } `json:"versions"`
	}
	m.must(json.Unmarshal([]byte(m.want(200, "", ask{method: "GET", path: "/npm/" + mine}).body), &doc))
	if v := doc.Versions["7.0.0"]; v.Name != mine || v.Version != "7.0.0" {
		t.Errorf("served as %+v", v)
	}
}

// bentPublications are publishes of mine that name theirs, or another version,
// in one place.
func bentPublications(t *testing.T, mine, theirs string) map[string]string {
	t.Helper()
	bodies := map[string]string{
		"all of another": npmPublication(t, theirs, "7.0.0"),
	}
	good := npmPublication(t, mine, "7.0.0")
	change := func(name string, fn func(doc, manifest, attached map[string]any)) {
		var doc map[string]any
		if err := json.Unmarshal([]byte(good), &doc); err != nil {
			t.Fatal(err)
		}
		attached := doc["_attachments"].(map[string]any)
		fn(doc, doc["versions"].(map[string]any)["7.0.0"].(map[string]any), attached)
		bodies[name] = string(encoded(t, doc))
	}
	archive := func(pkg, version string) any {
		var doc struct {
			Attachments map[string]any `json:"_attachments"`
		}
		if err := json.Unmarshal([]byte(npmPublication(t, pkg, version)), &doc); err != nil {
			t.Fatal(err)
		}
		for _, a := range doc.Attachments {
			return a
		}
		return nil
	}
	change("name", func(doc, _, _ map[string]any) { doc["name"] = theirs })
	change("_id", func(doc, _, _ map[string]any) { doc["_id"] = theirs })
	change("the manifest's name", func(_, manifest, _ map[string]any) { manifest["name"] = theirs })
	change("the manifest's version", func(_, manifest, _ map[string]any) { manifest["version"] = "7.0.1" })
	change("the archive's name", func(_, manifest, attached map[string]any) {
		delete(manifest, "dist")
		for k := range attached {
			attached[k] = archive(theirs, "7.0.0")
		}
	})
	change("the archive's version", func(_, manifest, attached map[string]any) {
		delete(manifest, "dist")
		for k := range attached {
			attached[k] = archive(mine, "7.0.1")
		}
	})
	change("dependencies that the archive lacks", func(_, manifest, _ map[string]any) { manifest["dependencies"] = map[string]string{"evil": "*"} })
	return bodies
}

// TestThreat10VersionsAndTagsAreNotOverwritten: whoever may create cannot
// replace: a version keeps its bytes by every call, and whoever may only read
// moves no tag.
func TestThreat10VersionsAndTagsAreNotOverwritten(t *testing.T) {
	m := newMatrix(t, "")
	const pkg = "private-here"
	writer, _ := m.mint("writer", policy.Limits{}, policy.AllScopes()...)
	reader, _ := m.mint("reader", policy.Limits{}, policy.AllScopes()...)
	file := ask{method: "GET", path: "/npm/" + pkg + "/-/" + pkg + "-1.0.0.tgz"}
	before := m.want(200, m.admin, file)
	other := strings.Replace(npmPublication(t, pkg, "1.0.0"), `"name"`, `"description":"another","name"`, 1)
	swapped := repacked(t, pkg, "1.0.0")
	for _, who := range []string{writer, m.admin} {
		m.want(409, who, ask{method: "PUT", path: "/npm/" + pkg, body: swapped})
		m.want(409, who, ask{method: "PUT", path: "/r/acme/private/npm/" + pkg, body: swapped})
		for _, command := range []string{"publish", "unpublish", "owner", "deprecate", ""} {
			a := ask{method: "PUT", path: "/npm/" + pkg + "/-rev/" + npmRevision(m, pkg), body: other, header: []string{"npm-command: " + command}}
			if got := m.as(who, a); got.status < 400 && strings.Contains(m.as(m.admin, ask{method: "GET", path: "/npm/" + pkg}).body, "another") {
				t.Errorf("%s changed a manifest: %d %s", a, got.status, got.body)
			}
		}
	}
	for _, a := range []ask{
		{method: "PUT", path: "/npm/-/package/" + pkg + "/dist-tags/latest", body: `"1.0.0"`}, {method: "POST", path: "/npm/-/package/" + pkg + "/dist-tags/next", body: `"1.0.0"`},
		{method: "PUT", path: "/npm/-/package/" + pkg + "/dist-tags", body: `{"latest":"1.0.0"}`}, {method: "DELETE", path: "/npm/-/package/" + pkg + "/dist-tags/latest"},
	} {
		m.want(403, reader, a)
	}
	m.want(403, writer, ask{method: "DELETE", path: "/npm/" + pkg + "/-/" + pkg + "-1.0.0.tgz/-rev/" + npmRevision(m, pkg)})
	if got := m.as(writer, ask{method: "PUT", path: "/npm/-/package/" + pkg + "/dist-tags/latest", body: `"9.9.9"`}); got.status < 400 {
		t.Errorf("a tag points at nothing: %d", got.status)
	}
	if after := m.want(200, m.admin, file); after.body != before.body || after.header.Get("ETag") != before.header.Get("ETag") {
		t.Error("the bytes of a version have changed")
	}
}

// repacked is a publish of the same version with other bytes.
func repacked(t *testing.T, pkg, version string) string {
	t.Helper()
	return npmPublicationOf(t, pkg, version, map[string][]byte{"extra.js": []byte("evil()")})
}

// TestThreat30NoTokenMakesAStrongerOne: by whichever call, for nobody, in no
// respect.
func TestThreat30NoTokenMakesAStrongerOne(t *testing.T) {
	m := newMatrix(t, "")
	limits := policy.Limits{Owners: []string{"acme"}, Repositories: []string{"acme/private"}, Packages: []string{"private-*"}, Formats: []string{"npm"}, CIDRs: []string{"127.0.0.0/8"}}
	weak, _ := m.mint("admin", limits, policy.ReadPackages)
	strong, _ := m.mint("keeper", policy.Limits{}, policy.AllScopes()...)
	make := func(who string, body fields) answer {
		return m.as(who, ask{method: "POST", path: "/api/v1/tokens", body: string(encoded(t, body))})
	}
	for _, s := range policy.AllScopes()[1:] {
		got := make(weak, fields{"scopes": []policy.Scope{policy.ReadPackages, s}})
		if got.status != 403 || !strings.Contains(got.header.Get("X-Accepted-OAuth-Scopes"), string(s)) {
			t.Errorf("scope %s: %d %v %s", s, got.status, got.header, got.body)
		}
	}
	read := []policy.Scope{policy.ReadPackages}
	for name, wider := range map[string]fields{
		"owners": {"owners": []string{"acme", "keeper"}}, "repositories": {"repositories": []string{"acme/private", "acme/public"}},
		"packages": {"packages": []string{"*"}}, "formats": {"formats": []string{"npm", "maven"}}, "cidrs": {"cidrs": []string{"0.0.0.0/0"}},
	} {
		if got := make(weak, fields{"scopes": read, "limits": wider}); got.status != 403 {
			t.Errorf("limits to %s: %d %s", name, got.status, got.body)
		}
	}
	for name, body := range map[string]fields{
		"for an administrator": {"scopes": read, "user": "admin"}, "for another user": {"scopes": read, "user": "reader"}, "for ever": {"scopes": read, "forever": true},
	} {
		if got := make(strong, body); got.status != 403 {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	if got := make(strong, fields{"scopes": read, "expires_in": int64((366 * 24 * time.Hour).Seconds())}); got.status != 400 {
		t.Errorf("beyond the longest life: %d %s", got.status, got.body)
	}
	// What it may make is no wider, by the API and by npm's own calls.
	for _, a := range []ask{
		{method: "POST", path: "/api/v1/tokens", body: `{"scopes":["read:packages"]}`},
		{method: "POST", path: "/npm/-/npm/v1/tokens", body: `{"password":"` + weak + `","readonly":false,"cidr_whitelist":[]}`},
		{method: "PUT", path: "/npm/-/user/org.couchdb.user:admin", body: `{"name":"admin","password":"` + weak + `"}`},
	} {
		got := m.as(weak, a)
		var made struct{ Token string }
		if got.status >= 300 || json.Unmarshal([]byte(got.body), &made) != nil || made.Token == "" {
			if got.status != 403 {
				t.Errorf("%s: %d %s", a, got.status, got.body)
			}
			continue
		}
		s := m.subject(made.Token)
		if !policy.Covers(read, s.Scopes) || !limits.Covers(s.Limits) {
			t.Errorf("%s made a token with %v, %+v", a, s.Scopes, s.Limits)
		}
		m.want(404, made.Token, ask{method: "GET", path: "/npm/internal-here"})
		m.want(403, made.Token, ask{method: "PUT", path: "/npm/private-here", body: npmPublication(t, "private-here", "8.0.0")})
		m.want(403, made.Token, ask{method: "POST", path: "/api/v1/reload"})
	}
}

// TestThreat35NothingRisesAgain: names and versions that were here once come
// back with the same bytes, for the same owner, or not at all.
func TestThreat35NothingRisesAgain(t *testing.T) {
	m := newMatrix(t, "")
	const pkg = "private-here"
	keeper, _ := m.mint("keeper", policy.Limits{}, policy.AllScopes()...)
	swapped := repacked(t, pkg, "1.0.0")
	for _, deleted := range []string{pkg + "@1.0.0", pkg} {
		m.put(matrixFormats()[0], pkg, m.next())
		m.want(200, keeper, ask{method: "DELETE", path: "/api/v1/package?purl=pkg:npm/" + deleted})
		m.want(404, keeper, ask{method: "GET", path: "/npm/" + pkg + "/-/" + pkg + "-1.0.0.tgz"})
		for _, who := range []string{keeper, m.admin} {
			m.want(409, who, ask{method: "PUT", path: "/npm/" + pkg, body: swapped})
		}
		m.later(31 * 24 * time.Hour) // also when it can no longer be restored
		fresh, _ := m.mint("keeper", policy.Limits{}, policy.AllScopes()...)
		keeper = fresh
		m.want(409, keeper, ask{method: "PUT", path: "/npm/" + pkg, body: swapped})
	}
	// A name is not free for an upstream, nor an account for somebody else.
	m.upstreamHas(pkg, "99.0.0")
	m.want(404, keeper, ask{method: "GET", path: "/npm/" + pkg})
	m.api("POST", "users/keeper/suspend", nil)
	m.want(409, m.admin, ask{method: "POST", path: "/api/v1/users", body: `{"name":"keeper"}`})
	m.want(409, m.admin, ask{method: "POST", path: "/api/v1/users", body: `{"name":"keeper","org":true}`})
	if log := m.far.Log("/" + pkg); len(log) != 0 {
		t.Errorf("the upstream was asked for a name of ours: %v", log)
	}
}

// TestThreat36NothingDriftsOpen: a configuration with a mistake is taken by no
// start and by no reload, and what was in force stays.
func TestThreat36NothingDriftsOpen(t *testing.T) {
	const good = "policy: {rules: [{id: bad, kind: deny, match: ['pkg:npm/evil-*']}], claims: [{id: ours, match: ['ours-*'], repository: acme/packages}]}\n"
	l := liveServer(t, good)
	l.upstreamHas("evil-one", "1.0.0")
	l.upstreamHas("ours-x", "1.0.0")
	refused := ask{method: "GET", path: "/npm/evil-one/-/evil-one-1.0.0.tgz"}
	l.want(403, l.admin, refused)
	for name, text := range map[string]string{
		"unknown key":          "policy: {ruls: []}\n",
		"unknown key of auth":  "auth: {anonymous_reads: false}\n",
		"unknown field":        "policy: {rules: [{id: bad, kind: deny, match: ['pkg:npm/evil-*'], reasons: x}]}\n",
		"unknown kind":         "policy: {rules: [{id: bad, kind: denny, match: ['pkg:npm/evil-*']}]}\n",
		"bad mode":             "policy: {rules: [{id: bad, kind: deny, match: ['pkg:npm/evil-*'], mode: wran}]}\n",
		"bad pattern":          "policy: {rules: [{id: bad, kind: deny, match: [npm/evil]}]}\n",
		"no pattern":           "policy: {rules: [{id: bad, kind: deny}]}\n",
		"bad age":              "policy: {rules: [{id: cool, kind: cooldown, min_age: 7}]}\n",
		"two of one name":      "policy: {rules: [{id: bad, kind: deny, match: ['pkg:npm/evil-*']}, {id: bad, kind: allow, match: ['pkg:npm/*']}]}\n",
		"claim without a home": "policy: {claims: [{id: ours, match: ['ours-*']}]}\n",
		"waiver of nothing":    "policy: {waivers: [{rule: gone, match: ['pkg:npm/x'], by: a, until: 2027-01-31, why: y}]}\n",
		"no YAML":              "policy: [\n",
		"truncated":            good[:len(good)/2],
		"nothing can be read":  "\x00\x01",
	} {
		l.must(os.WriteFile(l.configFile, []byte(text), 0o600))
		if got := l.as(l.admin, ask{method: "POST", path: "/api/v1/reload"}); got.status < 400 {
			t.Errorf("%s: reloaded: %d %s", name, got.status, got.body)
		}
		if err := (&serveFlags{file: l.configFile, listen: "127.0.0.1:0", data: filepath.Join(t.TempDir(), "x")}).serve(t.Context()); exitCode(err) != 2 {
			t.Errorf("%s: a start ended with %v", name, err)
		}
		l.want(403, l.admin, refused)
		l.want(401, "", ask{method: "GET", path: "/npm/ours-x"})
	}
	l.must(os.Remove(l.configFile))
	if got := l.as(l.admin, ask{method: "POST", path: "/api/v1/reload"}); got.status < 400 {
		t.Errorf("a file that is gone: %d", got.status)
	}
	l.want(403, l.admin, refused)
	l.must(os.WriteFile(l.configFile, []byte("{}\n"), 0o600))
	l.api("POST", "reload", nil)
	if got := l.as(l.admin, refused); got.status != 200 {
		t.Errorf("a good file: %s", fmt.Sprint(got))
	}
}

// TestThreat29WhatIsTakenAwayIsGone: a role by a team, by a repository or by a
// grant of the package's own ends with the next request, and a team of the same
// name brings none of it back.
func TestThreat29WhatIsTakenAwayIsGone(t *testing.T) {
	m := newMatrix(t, "")
	secret, _ := m.mint("member", policy.Limits{}, policy.AllScopes()...)
	const pkg, team, about = "private-here", "orgs/acme/teams/core", "?purl=pkg:npm/private-here"
	may := func(status int, why string) {
		t.Helper()
		for _, a := range matrixFormats()[0].reads("/npm/", pkg, "1.0.0") {
			if got := m.as(secret, a); got.status != status {
				t.Errorf("%s: %s: %d, want %d", why, a, got.status, status)
			}
		}
	}
	join := func() {
		t.Helper()
		m.api("PUT", team, nil)
		m.api("PUT", team+"/members/member", nil)
	}
	may(404, "at first")
	join()
	m.api("PUT", "repos/acme/private/teams/core", fields{"role": "read"})
	may(200, "by a team")
	m.api("DELETE", team+"/members/member", nil)
	may(404, "out of the team")
	join()
	may(200, "in it again")
	m.api("DELETE", team, nil)
	may(404, "without the team")
	join()
	may(404, "by another team of that name")
	m.api("PUT", "repos/acme/private/teams/core", fields{"role": "read"})
	may(200, "by that")
	m.api("DELETE", "orgs/acme/members/member", nil)
	may(404, "out of the organization")
	m.api("PUT", "orgs/acme/members/member", fields{"role": "member"})
	may(404, "in it again, and in no team")
	m.api("PUT", team+"/members/member", nil)
	may(200, "by the team")
	m.api("PUT", "package/repository"+about, fields{"repository": "acme/else"})
	may(404, "in another repository")
	m.api("PUT", "package/repository"+about, fields{"repository": "acme/private", "inherit_access": false})
	may(404, "with access of its own")
	m.api("PUT", "package/grants/users/member"+about, fields{"role": "read"})
	may(200, "by a grant of its own")
	m.api("DELETE", "package/grants/users/member"+about, nil)
	may(404, "without it")
}
