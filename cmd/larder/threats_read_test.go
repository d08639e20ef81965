package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"larder/policy"
)

// strangers are callers who may read nothing of acme/private.
func (m *matrix) strangers() []matrixCaller {
	var list []matrixCaller
	for _, c := range m.callers {
		if c.wants == signedOut || c.wants == outside || c.wants == member {
			list = append(list, c)
		}
	}
	return list
}

// spellings of a name that mean the same in a path.
func spellings(pkg string) []string {
	last := len(pkg) - 1
	all := ""
	for i := range pkg {
		all += fmt.Sprintf("%%%02x", pkg[i])
	}
	return []string{
		fmt.Sprintf("%%%02X%s", pkg[0], pkg[1:]), fmt.Sprintf("%s%%%02x", pkg[:last], pkg[last]), all, strings.ToUpper(all),
	}
}

// TestThreat02SpellingsOfEveryFormat: a name spelled otherwise reaches the same
// verdict and the same bytes, in every format.
func TestThreat02SpellingsOfEveryFormat(t *testing.T) {
	m := newMatrix(t, "")
	for _, f := range matrixFormats() {
		pkg := f.pkg("private", "here")
		for _, c := range append(m.strangers(), m.callers[3]) {
			for _, at := range ways(f, "private") {
				for i, plain := range f.reads(at, pkg, "1.0.0") {
					want := m.sent(c, 0, plain)
					for _, s := range spellings(pkg) {
						a := f.reads(at, pkg, "1.0.0")[i]
						if strings.Contains(pkg, "/") { // a slash in a name is never encoded
							s = strings.NewReplacer("%2F", "/", "%2f", "/").Replace(s)
						}
						a.path = strings.ReplaceAll(a.path, pkg, s)
						if got := m.sent(c, 0, a); got.told(pkg, "X") != want.told(pkg, "X") {
							t.Errorf("%s: %s: %d, as %s: %d", c.name, plain, want.status, a.path, got.status)
						}
					}
				}
			}
		}
		// What is encoded twice is another name, and a name with a per cent sign is none.
		double := strings.ReplaceAll(f.reads(ways(f, "private")[0], pkg, "1.0.0")[0].path, pkg, strings.ReplaceAll(spellings(pkg)[0], "%", "%25"))
		if got := m.as(m.admin, ask{method: "GET", path: double}); got.status != 400 && got.status != 404 {
			t.Errorf("encoded twice: %d", got.status)
		}
	}
}

// TestThreat03PrivateBehindAMergedURL: a registry that merges what is public,
// what is private and an upstream shows each caller what is his to see, in
// documents, bytes, parts, searches and listings.
func TestThreat03PrivateBehindAMergedURL(t *testing.T) {
	m := newMatrix(t, "")
	for _, f := range matrixFormats() {
		for _, c := range m.strangers() {
			want := c.columns(f)
			m.reads(f, c, "private", want[2])
			m.reads(f, c, "public", want[0])
			for _, list := range listings(f) {
				got := m.sent(c, 0, ask{method: "GET", path: list})
				if strings.Contains(got.body, f.pkg("private", "")) || want[1] != "200" && strings.Contains(got.body, f.pkg("internal", "")) {
					t.Errorf("%s: %s shows what is private: %s", c.name, list, got.body)
				}
			}
		}
		for _, list := range listings(f)[:1] {
			if got := m.as(m.admin, ask{method: "GET", path: list}); !strings.Contains(got.body, f.pkg("private", "here")) {
				t.Errorf("%s shows nothing to whoever may see it: %d %s", list, got.status, got.body)
			}
		}
	}
}

// listings are calls that tell of many packages; the first one does for all formats.
func listings(f matrixFormat) []string {
	all := []string{"/api/v1/packages", "/api/v1/packages?format=" + f.name, "/api/v1/packages?prefix=" + f.pkg("private", ""), "/api/v1/repos", "/", "/metrics", "/readyz", "/api/v1/openapi.json"}
	if f.name == "npm" {
		all = append(all, "/npm/-/v1/search?text=private", "/npm/-/v1/search?text=", "/npm/-/v1/search?text=acme&size=250", "/npm/-/org/acme/package", "/npm/-/user/keeper/package",
			"/npm/-/all", "/npm/-/_view/starredByUser?key=%22keeper%22", "/r/acme/private/npm/-/v1/search?text=here")
	}
	if f.name == "oci" {
		all = append(all, "/v2/_catalog", "/v2/_catalog?n=1000&last=a", "/v2/mirror/oci/_catalog")
	}
	return all
}

// TestThreat04WhatOneMayReadIsNotServedToAnother: whatever the owner's requests
// leave in caches, the next caller is judged anew.
func TestThreat04WhatOneMayReadIsNotServedToAnother(t *testing.T) {
	m := newMatrix(t, "")
	for _, f := range matrixFormats() {
		for _, at := range ways(f, "private") {
			for _, a := range f.reads(at, f.pkg("private", "here"), "1.0.0") {
				for _, c := range m.strangers() {
					owned := m.want(200, m.admin, a)
					if kept := owned.header.Get("Cache-Control"); !strings.HasPrefix(kept, "private") {
						t.Errorf("%s may be kept by a shared cache: %q", a, kept)
					}
					want := c.columns(f)[2]
					for _, line := range []string{"X-Nothing: x", "If-None-Match: " + owned.header.Get("ETag"), "If-None-Match: *", "If-Range: " + owned.header.Get("ETag"), "Range: bytes=0-0", "Cache-Control: only-if-cached"} {
						if got := m.sent(c, 0, a.with(line)); fmt.Sprint(got.status) != want || got.header.Get("ETag") != "" {
							t.Errorf("%s after its owner: %s, %s: %d, want %s", c.name, a, line, got.status, want)
						}
					}
				}
			}
		}
	}
	// A search is made for one caller, and is not another's.
	text := ask{method: "GET", path: "/npm/-/v1/search?text=private-here"}
	if got := m.want(200, m.admin, text); !strings.Contains(got.body, "private-here") {
		t.Errorf("%s", got.body)
	}
	if got := m.want(200, "", text); strings.Contains(got.body, "private-here") {
		t.Errorf("%s", got.body)
	}
}

// TestThreat12CooldownHasNoWayAround: a version that is too young is refused as
// a file, whatever the method, cold or cached from before the rule, and no
// document names it.
func TestThreat12CooldownHasNoWayAround(t *testing.T) {
	l := liveServer(t, "")
	for _, pkg := range []string{"warm", "cold"} {
		for version, age := range map[string]time.Duration{"1.0.0": 90 * 24 * time.Hour, "1.1.0": time.Hour} {
			l.upstreamHas(pkg, version)
			l.must(l.far.Published(pkg, version, time.Now().Add(-age)))
		}
	}
	for _, a := range youngReads("warm") {
		l.want(200, "", a)
	}
	l.must(os.WriteFile(l.configFile, []byte("policy: {rules: [{id: cool, kind: cooldown, min_age: 7d}]}\n"), 0o600))
	l.api("POST", "reload", nil)
	for _, who := range []string{"", l.admin} {
		for _, pkg := range []string{"warm", "cold"} {
			for range 2 {
				l.tooYoung(pkg, who)
			}
		}
	}
	if n := len(l.far.Log("/cold/-/")); n != 0 {
		t.Errorf("the upstream was asked %d times for bytes that nobody gets", n)
	}
	l.later(8 * 24 * time.Hour)
	for _, pkg := range []string{"warm", "cold"} {
		for _, a := range youngReads(pkg) {
			l.want(200, "", a)
		}
	}
}

func youngReads(pkg string) []ask {
	return []ask{
		{method: "GET", path: "/npm/" + pkg + "/-/" + pkg + "-1.1.0.tgz"}, {method: "HEAD", path: "/npm/" + pkg + "/-/" + pkg + "-1.1.0.tgz"},
		{method: "GET", path: "/npm/" + pkg + "/1.1.0"},
	}
}

// tooYoung asks for a young version in every way there is.
func (l *live) tooYoung(pkg, who string) {
	l.t.Helper()
	for _, a := range youngReads(pkg) {
		for _, lines := range [][]string{nil, {"Range: bytes=0-0"}, {"Range: bytes=-1"}, {`If-None-Match: "x"`}, {"If-None-Match: *"}, {"Accept-Encoding: gzip"}, {"npm-command: ci"}} {
			got := l.as(who, a.with(lines...))
			if refused := got.status == 403 || strings.HasSuffix(a.path, "/1.1.0") && got.status == 404; !refused {
				l.t.Errorf("%q: %s %v: %d %.200s", who, a, lines, got.status, got.body)
			}
			if got.status == 403 && (got.header.Get("X-Larder-Policy") != "cool" || got.header.Get("X-Larder-Retry-At") == "" || got.header.Get("Cache-Control") != "no-store") {
				l.t.Errorf("%s: %v", a, got.header)
			}
		}
	}
	for _, lines := range [][]string{nil, {"Accept: application/vnd.npm.install-v1+json"}} {
		got := l.as(who, ask{method: "GET", path: "/npm/" + pkg, header: lines})
		var doc struct {
			Tags     map[string]string          `json:"dist-tags"`
			Versions map[string]json.RawMessage `json:"versions"`
			Time     map[string]string          `json:"time"`
		}
		l.must(json.Unmarshal([]byte(got.body), &doc))
		if got.status != 200 || len(doc.Versions) != 1 || doc.Tags["latest"] != "1.0.0" || doc.Time["1.1.0"] != "" {
			l.t.Errorf("%s: %d %v %v", pkg, got.status, doc.Tags, doc.Time)
		}
	}
	for _, path := range []string{"/npm/-/package/" + pkg + "/dist-tags", "/npm/" + pkg + "/latest"} {
		if got := l.as(who, ask{method: "GET", path: path}); strings.Contains(got.body, "1.1.0") {
			l.t.Errorf("%s: %s", path, got.body)
		}
	}
}

// TestThreat15NothingUnkeyedInBodies: fields that strangers send are in no link.
func TestThreat15NothingUnkeyedInBodies(t *testing.T) {
	l := liveServer(t, "")
	l.upstreamHas("left", "1.0.0")
	l.want(201, l.admin, ask{method: "PUT", path: "/npm/own", body: npmPublication(t, "own", "1.0.0")})
	var fields []string
	for _, name := range []string{
		"X-Forwarded-Host", "X-Forwarded-Server", "X-Forwarded-Prefix", "X-Forwarded-Path", "X-Forwarded-Uri", "X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-By",
		"X-Host", "X-HTTP-Host-Override", "X-Original-Host", "X-Original-URL", "X-Rewrite-URL", "X-Real-IP", "True-Client-IP", "X-Client-IP", "Via", "Referer", "Origin", "X-Script-Name", "X-Base-Url",
	} {
		fields = append(fields, name+": poison.example")
	}
	fields = append(fields, "Forwarded: host=poison.example;proto=https;for=127.0.0.1", "X-Forwarded-Proto: https", "X-HTTP-Method-Override: DELETE")
	for _, a := range []ask{
		{method: "GET", path: "/"}, {method: "GET", path: "/npm/left"}, {method: "GET", path: "/npm/own"}, {method: "GET", path: "/npm/own/1.0.0"}, {method: "GET", path: "/npm/none"},
		{method: "GET", path: "/npm/-/v1/search?text=own"}, {method: "GET", path: "/ui/"}, {method: "GET", path: "/ui/login/x"}, {method: "GET", path: "/api/v1/packages"}, {method: "GET", path: "/nosuch"},
		{method: "GET", path: "/", header: []string{"Accept: text/html"}}, {method: "GET", path: "/npm/-/whoami"}, {method: "GET", path: "/healthz"}, {method: "GET", path: "/metrics"},
	} {
		got := l.ask(a.with(fields...))
		if text := fmt.Sprint(got.header) + got.body; strings.Contains(text, "poison") || strings.Contains(text, "https://127") {
			t.Errorf("%s: %s", a, text)
		}
		if again := l.ask(a); strings.Contains(fmt.Sprint(again.header)+again.body, "poison") {
			t.Errorf("%s: kept for others: %s", a, again.body)
		}
	}
	web := l.ask(ask{method: "POST", path: "/npm/-/v1/login", body: "{}"}.with(slices.DeleteFunc(fields, func(f string) bool { return strings.HasPrefix(f, "Origin") })...))
	if web.status != 200 || strings.Contains(web.body, "poison") {
		t.Errorf("the login that a person opens: %d %s", web.status, web.body)
	}
}

// TestThreat20AddressesAreNotMadeUp: a token that is good in one network is good
// there alone, whatever a client says of itself, and also through a proxy that is
// written down in another spelling.
func TestThreat20AddressesAreNotMadeUp(t *testing.T) {
	spoofed := []string{"X-Forwarded-For: 198.51.100.7", "X-Real-IP: 198.51.100.7", "Forwarded: for=198.51.100.7", "True-Client-IP: 198.51.100.7", "CF-Connecting-IP: 198.51.100.7", "X-Client-IP: 198.51.100.7"}
	who := ask{method: "GET", path: "/api/v1/whoami"}
	for config, trusted := range map[string]bool{
		"": false, "trusted_proxies: [10.0.0.0/8]\n": false, "trusted_proxies: [127.0.0.1]\n": true, "trusted_proxies: ['::ffff:127.0.0.1']\n": true, "trusted_proxies: ['::ffff:127.0.0.0/104']\n": true,
	} {
		l := liveServer(t, config)
		far, _ := l.mint("admin", policy.Limits{CIDRs: []string{"198.51.100.0/24"}}, policy.AllScopes()...)
		want := map[bool]int{true: 200, false: 401}[trusted]
		l.want(want, far, who.with(spoofed[0]))
		l.want(want, far, who.with("X-Forwarded-For: 203.0.113.9, 198.51.100.7"))
		for _, lines := range [][]string{nil, spoofed[1:], {"X-Forwarded-For: 198.51.100.7, 203.0.113.9"}, {"X-Forwarded-For: 198.51.100.7, nonsense"}} {
			l.want(401, far, who.with(lines...))
		}
	}
}

// TestThreat25PatternsAreText: what people search for is text, and long ones end.
func TestThreat25PatternsAreText(t *testing.T) {
	l := liveServer(t, "")
	for _, pkg := range []string{"one", "two"} {
		l.want(201, l.admin, ask{method: "PUT", path: "/npm/" + pkg, body: npmPublication(t, pkg, "1.0.0")})
	}
	for _, text := range []string{
		"%", "_", "o_e", "o%", ".*", "^one$", "o?e", "[o]ne", "*", "one|two", "(a+)+$", "' OR 1=1 --", "one%00", `\`, "${x}", "{{7*7}}",
		strings.Repeat("%", 10_000), strings.Repeat("(a+)+", 2000) + "$", strings.Repeat("o", 10_000), strings.Repeat("*", 10_000),
	} {
		for _, path := range []string{"/npm/-/v1/search?text=", "/api/v1/packages?prefix="} {
			got := l.as(l.admin, ask{method: "GET", path: path + url.QueryEscape(text)})
			if got.status >= 500 || strings.Contains(got.body, `"name":"one"`) || strings.Contains(got.body, `"name":"two"`) {
				t.Errorf("%s%.20s: %d %.300s", path, text, got.status, got.body)
			}
		}
		got := l.as(l.admin, ask{method: "POST", path: "/api/v1/tokens", body: string(encoded(t, fields{"scopes": []string{"read:packages"}, "limits": policy.Limits{Packages: []string{text}}}))})
		if got.status >= 500 || len(text) > 1000 && got.status != 400 {
			t.Errorf("a limit %.20s: %d %.200s", text, got.status, got.body)
		}
	}
}
