package npm

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"larder/formats"
)

// cut decodes an escaped path as the edge does: each segment once.
func cut(t *testing.T, path string) []string {
	t.Helper()
	var segs []string
	for s := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if s == "" {
			continue
		}
		d, err := url.PathUnescape(s)
		if err != nil {
			t.Fatal(err)
		}
		segs = append(segs, d)
	}
	return segs
}

type parseCase struct {
	request string
	want    Target
}

func checkParse(t *testing.T, cases []parseCase) {
	t.Helper()
	for _, c := range cases {
		method, rest, _ := strings.Cut(c.request, " ")
		path, query, _ := strings.Cut(rest, "?")
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Parse(method, cut(t, path), q, http.Header{})
		if err != nil || got != c.want {
			t.Errorf("%s = %+v, %v\nwant %+v", c.request, got, err, c.want)
		}
	}
}

// with returns a Target about @s/n, changed by set.
func with(op Op, set func(*Target)) Target {
	t := Target{Op: op, Package: "@s/n"}
	set(&t)
	return t
}

func none(op Op) Target { return Target{Op: op} }

func pkg(op Op) Target { return Target{Op: op, Package: "@s/n"} }

func tarball(op Op, rev string) Target {
	return Target{Op: op, Package: "@s/n", File: "n-1.0.0.tgz", Rev: rev}
}

func tagged(op Op, tag string) Target { return Target{Op: op, Package: "@s/n", Tag: tag} }

func team(op Op) Target { return Target{Op: op, Org: "acme", Team: "devs"} }

// TestParsePackages: every spelling of a package and its files.
func TestParsePackages(t *testing.T) {
	checkParse(t, []parseCase{
		{"GET /", none(opRoot)},
		{"GET /@s%2fn", pkg(opPackument)},
		{"GET /@s%2Fn", pkg(opPackument)},
		{"GET /@s/n", pkg(opPackument)},
		{"GET /%40s%2fn", pkg(opPackument)},
		{"HEAD /@s/n", pkg(opPackument)},
		{"GET /@s%2fn?write=true", with(opPackument, func(t *Target) { t.Write = true })},
		{"GET /left-part", Target{Op: opPackument, Package: "left-part"}},
		{"GET /JSONStream", Target{Op: opPackument, Package: "JSONStream"}},
		{"GET /constructor", Target{Op: opPackument, Package: "constructor"}},
		{"PUT /@s%2fn", pkg(opPut)},
		{"GET /left-part/latest", Target{Op: opManifest, Package: "left-part", Ref: "latest"}},
		{"GET /@s/n/1.0.0", with(opManifest, func(t *Target) { t.Ref = "1.0.0" })},
		{"GET /@s%2fn/%5E3.0.0", with(opManifest, func(t *Target) { t.Ref = "^3.0.0" })},
		{"GET /@s/n/-/n-1.0.0.tgz", tarball(opTarball, "")},
		{"GET /@s%2fn/-/n-1.0.0.tgz", tarball(opTarball, "")},
		{"HEAD /@s%2Fn/-/n-1.0.0.tgz", tarball(opTarball, "")},
		{"GET /@s/n/-/@s/n-1.0.0.tgz", tarball(opTarball, "")},
		{"GET /@s%2fn/-/@s%2fn-1.0.0.tgz", tarball(opTarball, "")},
		{"GET /left-part/-/left-part-1.0.0.tgz", Target{Op: opTarball, Package: "left-part", File: "left-part-1.0.0.tgz"}},
		{"DELETE /@s/n/-/n-1.0.0.tgz/-rev/3-a", tarball(opDeleteTarball, "3-a")},
		{"DELETE /@s/n/-/@s/n-1.0.0.tgz/-rev/3-a", tarball(opDeleteTarball, "3-a")},
		{"PUT /@s%2fn/-rev/3-a", with(opPutRev, func(t *Target) { t.Rev = "3-a" })},
		{"DELETE /@s%2fn/-rev/3-a", with(opDelete, func(t *Target) { t.Rev = "3-a" })},
	})
}

// TestParseMeta: what lies under /-/ and is about packages.
func TestParseMeta(t *testing.T) {
	checkParse(t, []parseCase{
		{"GET /-/ping", none(opPing)},
		{"GET /-/ping?write=true", Target{Op: opPing, Write: true}},
		{"GET /-/whoami", none(opWhoami)},
		{"GET /-/all", none(opLegacyAll)},
		{"GET /-/all/since?stale=update_after&startkey=1", none(opLegacyAll)},
		{"GET /-/v1/search?text=a", none(opSearch)},
		{"GET /-/_view/starredByUser?key=%22alice%22", none(opStarred)},
		{"GET /-/package/@s%2fn/dist-tags", pkg(opTags)},
		{"GET /-/package/@s/n/dist-tags", pkg(opTags)},
		{"PUT /-/package/@s%2fn/dist-tags", pkg(opTagsSet)},
		{"POST /-/package/@s%2fn/dist-tags", pkg(opTagsSet)},
		{"PUT /-/package/@s%2fn/dist-tags/beta", tagged(opTagSet, "beta")},
		{"PUT /-/package/@s%2fn/dist-tags/1.x", tagged(opTagSet, "1.x")},
		{"DELETE /-/package/@s%2Fn/dist-tags/be%20ta", tagged(opTagDelete, "be ta")},
		{"GET /-/package/@s%2fn/collaborators", pkg(opCollaborators)},
		{"GET /-/package/@s%2fn/visibility", pkg(opVisibility)},
		{"POST /-/package/@s%2fn/access", pkg(opAccess)},
		{"GET /-/package/@s%2fn/trust", pkg(opTrust)},
		{"DELETE /-/package/@s%2fn/trust/7", with(opTrust, func(t *Target) { t.Token = "7" })},
		{"POST /-/npm/v1/security/advisories/bulk", none(opAuditBulk)},
		{"POST /-/npm/v1/security/audits/quick", none(opAuditQuick)},
		{"POST /-/npm/v1/security/audits", none(opAuditQuick)},
		{"GET /-/npm/v1/keys", none(opKeys)},
		{"GET /-/npm/v1/attestations/@s%2fn@1.0.0", with(opAttestations, func(t *Target) { t.Version = "1.0.0" })},
		{"GET /-/npm/v1/attestations/@s/n@1.0.0", with(opAttestations, func(t *Target) { t.Version = "1.0.0" })},
		{"GET /-/npm/v1/attestations/a@1.0.0-b", Target{Op: opAttestations, Package: "a", Version: "1.0.0-b"}},
		{"POST /-/stage/package/@s%2fn", pkg(opStage)},
		{"GET /-/stage?page=1", none(opStage)},
		{"DELETE /-/stage/7", Target{Op: opStage, Token: "7"}},
		{"POST /-/stage/7/approve", Target{Op: opStage, Token: "7"}},
		{"POST /-/npm/v1/oidc/token/exchange/package/@s%2fn", pkg(opOIDC)},
		{"GET /-/npm/v1/hooks", none(opHooks)},
	})
}

// TestParseAccounts: users, tokens, organizations and teams.
func TestParseAccounts(t *testing.T) {
	checkParse(t, []parseCase{
		{"GET /-/npm/v1/user", none(opProfile)},
		{"GET /-/user/org.couchdb.user:alice", Target{Op: opUser, User: "alice"}},
		{"GET /-/user/org.couchdb.user%3aalice", Target{Op: opUser, User: "alice"}},
		{"PUT /-/user/org.couchdb.user:alice", Target{Op: opLogin, User: "alice"}},
		{"PUT /-/user/org.couchdb.user:alice/-rev/1", Target{Op: opLogin, User: "alice", Rev: "1"}},
		{"GET /-/user/alice/package", Target{Op: opUserPackages, User: "alice"}},
		{"GET /-/org/acme/package", Target{Op: opOrgPackages, Org: "acme"}},
		{"PUT /-/org/acme/user", Target{Op: opMembers, Org: "acme"}},
		{"GET /-/org/acme/team", Target{Op: opMembers, Org: "acme"}},
		{"GET /-/team/acme/devs/package", team(opTeamPackages)},
		{"PUT /-/team/acme/devs/package", team(opTeamGrant)},
		{"DELETE /-/team/acme/devs/package", team(opTeamRevoke)},
		{"GET /-/team/acme/devs/user", team(opMembers)},
		{"POST /-/v1/login", none(opLoginWeb)},
		{"GET /-/v1/login/abc", Target{Op: opLoginPoll, Token: "abc"}},
		{"GET /-/npm/v1/tokens", none(opTokens)},
		{"POST /-/npm/v1/tokens", none(opTokenCreate)},
		{"DELETE /-/npm/v1/tokens/token/k1", Target{Op: opTokenDelete, Token: "k1"}},
		{"DELETE /-/user/token/secret", Target{Op: opLogout, Token: "secret"}},
	})
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct {
		request string
		kind    error
		allow   string
	}{
		{"GET /-", formats.ErrNotFound, ""},
		{"GET /-/", formats.ErrNotFound, ""},
		{"GET /-/nonsense", formats.ErrNotFound, ""},
		{"GET /-/nonsense/x", formats.ErrNotFound, ""},
		{"GET /__proto__", formats.ErrNotFound, ""},
		{"PUT /__proto__", formats.ErrBadRequest, ""},
		{"GET /node_modules", formats.ErrNotFound, ""},
		{"PUT /node_modules", formats.ErrBadRequest, ""},
		{"PUT /a%2fb", formats.ErrBadRequest, ""},
		{"GET /a%2fb", formats.ErrNotFound, ""},
		{"GET /@s", formats.ErrNotFound, ""},
		{"GET /@s%2fn%2fo", formats.ErrNotFound, ""},
		{"GET /a/b%2fc", formats.ErrNotFound, ""},
		{"GET /a/-", formats.ErrNotFound, ""},
		{"GET /a/-/b/c", formats.ErrNotFound, ""},
		{"GET /a/-/..%2fb.tgz", formats.ErrNotFound, ""},
		{"GET /@s/n/-/@other/n-1.0.0.tgz", formats.ErrNotFound, ""},
		{"GET /n/-/@s/n-1.0.0.tgz", formats.ErrNotFound, ""},
		{"GET /a/-rev", formats.ErrNotFound, ""},
		{"GET /-/user/org.couchdb.user:", formats.ErrNotFound, ""},
		{"GET /-/npm/v1/attestations/@1.0.0", formats.ErrNotFound, ""},
		{"GET /-/npm/v1/attestations/a", formats.ErrNotFound, ""},
		{"POST /a", formats.ErrUnsupported, "GET HEAD PUT"},
		{"DELETE /a", formats.ErrUnsupported, "GET HEAD PUT"},
		{"PUT /a/1.0.0", formats.ErrUnsupported, "GET HEAD"},
		{"PUT /a/-/a-1.0.0.tgz", formats.ErrUnsupported, "GET HEAD"},
		{"GET /a/-rev/1", formats.ErrUnsupported, "DELETE PUT"},
		{"BREW /-/ping", formats.ErrUnsupported, "GET HEAD"},
		{"GET /-/npm/v1/security/advisories/bulk", formats.ErrUnsupported, "POST"},
		{"PATCH /-/package/a/dist-tags/b", formats.ErrUnsupported, "DELETE POST PUT"},
	} {
		method, path, _ := strings.Cut(c.request, " ")
		got, err := Parse(method, cut(t, path), nil, nil)
		if !errors.Is(err, c.kind) {
			t.Errorf("%s = %+v, %v; want %v", c.request, got, err, c.kind)
		}
		var m *formats.MethodError
		if errors.As(err, &m) && strings.Join(m.Allow, " ") != c.allow {
			t.Errorf("%s allows %v, want %s", c.request, m.Allow, c.allow)
		}
	}
}

func TestAccept(t *testing.T) {
	for accept, want := range map[string]bool{
		"":                 false,
		"*/*":              false,
		"application/json": false,
		"application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*": true,
		"application/vnd.npm.install-v1+json":                                      true,
		"Application/vnd.npm.install-v1+JSON ; Q=0.5":                              true,
		"application/json, application/vnd.npm.install-v1+json":                    false,
		"application/json; q=0.9, application/vnd.npm.install-v1+json; q=0.1":      false,
		"application/vnd.npm.install-v1+json; q=0":                                 false,
		"application/vnd.npm.install-v1+json; q=nonsense":                          true,
	} {
		got, err := Parse("GET", []string{"a"}, nil, http.Header{"Accept": {accept}})
		if err != nil || got.Abbreviated != want {
			t.Errorf("Accept %q: abbreviated = %v, %v", accept, got.Abbreviated, err)
		}
	}
}

// TestRoutesAreReachable makes sure that no route is hidden behind another one.
func TestRoutesAreReachable(t *testing.T) {
	fill := map[string]string{":pkg": "@s/n", ":pkg@version": "@s/n@1.0.0", ":file": "n-1.0.0.tgz"}
	for _, r := range routes {
		var segs []string
		for _, p := range r.path {
			if v, ok := fill[p]; ok {
				p = v
			} else {
				p = strings.TrimPrefix(p, ":")
			}
			segs = append(segs, p)
		}
		for method, op := range r.ops {
			if got, err := Parse(method, segs, nil, nil); err != nil || got.Op != op {
				t.Errorf("%s %q = %s, %v; want %s", method, segs, got.Op, err, op)
			}
		}
	}
}

// TestUnavailable: exactly the operations that are offered need a handler.
func TestUnavailable(t *testing.T) {
	got := map[Op]bool{}
	for _, r := range routes {
		for _, op := range r.ops {
			if op.unavailable() {
				got[op] = true
			}
		}
	}
	for _, op := range []Op{opLegacyAll, opMembers, opStage, opTrust, opOIDC, opHooks} {
		if !got[op] {
			t.Errorf("%s is on no route, or is offered", op)
		}
		delete(got, op)
	}
	if len(got) > 0 {
		t.Errorf("not offered: %v", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "@s/n", "@s\x00n", "a\x00-\x00b.tgz", "-\x00package\x00@s/n\x00dist-tags\x00x", "-\x00v1\x00login"} {
		f.Add("GET", s, "application/json;q=1")
	}
	f.Fuzz(func(t *testing.T, method, path, accept string) {
		segs := strings.Split(path, "\x00")
		before := slices.Clone(segs)
		got, err := Parse(method, segs, url.Values{}, http.Header{"Accept": {accept}})
		if !slices.Equal(before, segs) {
			t.Errorf("segments changed")
		}
		if err != nil {
			if !errors.Is(err, formats.ErrNotFound) && !errors.Is(err, formats.ErrBadRequest) && !errors.Is(err, formats.ErrUnsupported) {
				t.Errorf("%v", err)
			}
			return
		}
		if got.Package != "" && !readableName(got.Package) {
			t.Errorf("package %q", got.Package)
		}
		if strings.Contains(got.File, "/") {
			t.Errorf("file %q", got.File)
		}
	})
}
