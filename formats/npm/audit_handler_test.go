package npm_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"larder/upstream/upstreamtest"
	"larder/upstream/upstreamtest/npmtest"
)

const (
	bulk  = "/-/npm/v1/security/advisories/bulk"
	quick = "/-/npm/v1/security/audits/quick"
)

// scripted is an upstream that answers what it is told.
func scripted(t *testing.T) (*upstreamtest.Server, setting) {
	t.Helper()
	s := upstreamtest.New(t)
	return s, func(w *world) { w.farURL = s.URL }
}

func answering(body string) upstreamtest.Answer {
	return upstreamtest.Answer{Body: []byte(body), ContentType: "application/json"}
}

// TestBulkAudit: section 3.5.
func TestBulkAudit(t *testing.T) {
	far, upstream := scripted(t)
	w := newWorld(t, upstream)
	far.Serve(bulk, answering(`{"left":[{"id":7,"title":"bad","severity":"high"}]}`))
	w.publish("wim", "@acme/widget", "1.0.0")
	sent := `{"left":["1.0.0"],"@acme/widget":["1.0.0"],"@acme/later":["1.0.0"],"acme-tool":["2.0.0"],"../x":["1"],"odd":["git+ssh://acme.internal/x","1.0.0"]}`
	clean := `{"left":["1.0.0"],"odd":["1.0.0"]}`
	zipped := string(squeezed(t, []byte(sent)))
	want := []string{`{"left":[{"id":7,"title":"bad","severity":"high"}]}`, "Content-Type: application/json"}
	w.run([]call{
		{name: "plain", method: "POST", path: bulk, body: sent, status: 200, has: want},
		{name: "gzip, as npm sends it", method: "POST", path: bulk, body: zipped, header: []string{"Content-Encoding: gzip"}, status: 200, has: want},
		{name: "gzip that nobody announced", method: "POST", path: bulk, body: zipped, status: 200, has: want},
		{name: "in another order", method: "POST", path: bulk, body: clean, status: 200, has: want},
		{name: "ours alone", method: "POST", path: bulk, body: `{"@acme/widget":["1.0.0"]}`, status: 200, has: []string{"\r\n{}"}},
		{name: "none", method: "POST", path: bulk, body: `{}`, status: 200, has: []string{"\r\n{}"}},
		{name: "no JSON", method: "POST", path: bulk, body: `x`, status: 400},
		{name: "a list", method: "POST", path: bulk, body: `[]`, status: 400},
		{name: "no versions", method: "POST", path: bulk, body: `{"left":[1]}`, status: 400},
		{name: "twice the same", method: "POST", path: bulk, body: `{"left":[],"left":[]}`, status: 400},
		{name: "deep", method: "POST", path: bulk, body: strings.Repeat("[", 20_000), status: 400},
		{name: "broken gzip", method: "POST", path: bulk, body: zipped[:len(zipped)-9], status: 400},
		{name: "wrong method", method: "GET", path: bulk, status: 405, has: []string{"Allow: POST"}},
	})
	log := far.Log()
	if len(log) != 1 || string(log[0].Body) != clean || log[0].Header.Get("Content-Encoding") != "" || log[0].Header.Get("Authorization") != "" {
		t.Errorf("the upstream got %+v, want one plain %s", log, clean)
	}
	w.Clock.Advance(11 * time.Minute)
	w.want(200, "POST "+bulk, "", sent)
	if n := far.Requests(bulk); n != 2 {
		t.Errorf("%d requests after the answer grew old", n)
	}
	far.Serve(bulk, upstreamtest.Answer{Status: 500})
	w.Clock.Advance(11 * time.Minute)
	w.run([]call{
		{name: "the old answer while the upstream fails", method: "POST", path: bulk, body: sent, status: 200, has: want},
		{name: "none to give: never a 5xx", method: "POST", path: bulk, body: `{"right":["1.0.0"]}`, status: 404},
		{name: "nor for the older call", method: "POST", path: quick, body: `{"requires":{"right":"1"},"dependencies":{"right":{"version":"1.0.0"}}}`, status: 404},
	})
	const nonsense, unasked = "answer makes no sense", "could not be asked"
	for i, a := range []struct {
		upstreamtest.Answer
		why string
	}{
		{answering(`<html>`), nonsense}, {answering(`[]`), nonsense}, {upstreamtest.Answer{Status: 404}, "the upstream far does not offer this"},
		{upstreamtest.Answer{Status: 403}, unasked}, {upstreamtest.Answer{Status: 401}, unasked},
		{upstreamtest.Answer{Status: 302, Redirect: "http://192.0.2.9/"}, unasked}, {upstreamtest.Answer{NoReply: true}, unasked},
	} {
		far.Serve(bulk, a.Answer)
		w.Clock.Advance(time.Hour)
		w.run([]call{{name: fmt.Sprint("bad answer ", i), method: "POST", path: bulk, body: fmt.Sprintf(`{"p%d":["1.0.0"]}`, i), status: 404, has: []string{"no advisories: ", a.why}}})
	}
	far.Serve(bulk, upstreamtest.Answer{Body: squeezed(t, []byte(`{"z":[{"id":1}]}`)), ContentType: "application/json"})
	w.run([]call{{name: "an answer in gzip that nobody announced", method: "POST", path: bulk, body: `{"z":["1.0.0"]}`, status: 200, has: []string{`{"z":[{"id":1}]}`}}})
}

// TestQuickAudit: section 3.5, for pnpm 10 and npm 6. No name of ours is left
// anywhere in what is passed on, under whatever alias or URL it stands.
func TestQuickAudit(t *testing.T) {
	far, upstream := scripted(t)
	w := newWorld(t, upstream)
	far.Serve(quick, answering(`{"actions":[{"action":"update"}],"advisories":{"7":{"id":7}},"muted":[],"metadata":{"vulnerabilities":{"high":1},"dependencies":3,"totalDependencies":3},"runId":"x"}`))
	hash := npmtest.Integrity([]byte("x"))
	sent := `{"name":"@acme/app","version":"1.0.0","description":"about acme","requires":{"left":"^1","@acme/x":"1","alias":"npm:@acme/x@^1","acme-tool":"*","gone":"git+ssh://git.acme.example/x"},
	"dependencies":{".":{"version":"0.0.0","requires":{"left":"1"},"dependencies":{"@acme/y":{"version":"1.0.0"},"in":{"version":"2.0.0","resolved":"http://larder.acme.example/npm/@acme/x.tgz","from":"@acme/x","integrity":"` + hash + `","dev":true,"requires":{"deep":"npm:@acme/x@1"}}}},
	"left":{"version":"1.0.0"},"alias":{"version":"npm:@acme/x@1.0.0"},"acme-tool":{"version":"1.0.0","dependencies":{"below":{"version":"1.0.0"}}},"dir":{"version":"file:../acme"}},
	"install":["left@1.0.0","@acme/x@1.0.0","alias@npm:@acme/x@1.0.0"],"remove":["acme-tool"],"metadata":{"npm_version":"6.0.0","node_version":"v10","platform":"linux","path":"/home/acme"},"extra":{"a":"@acme/x"}}`
	want := `{"actions":[{"action":"update"}],"advisories":{"7":{"id":7}},"muted":[],"metadata":{"vulnerabilities":{"info":0,"low":0,"moderate":0,"high":1,"critical":0},` +
		`"dependencies":6,"devDependencies":1,"optionalDependencies":0,"totalDependencies":7}}`
	if got := w.want(200, "POST "+quick, "", sent).text(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	log := far.Log()
	if len(log) != 1 {
		t.Fatalf("%d requests", len(log))
	}
	text := string(log[0].Body)
	if strings.Contains(text, "acme") {
		t.Errorf("the upstream heard of acme: %s", text)
	}
	for _, part := range []string{`"left":{"version":"1.0.0"}`, `"in":{"version":"2.0.0"`, `"integrity":"` + hash + `"`, `"dev":true`, `"install":["left@1.0.0"]`, `"npm_version":"6.0.0"`} {
		if !strings.Contains(text, part) {
			t.Errorf("%s is missing from %s", part, text)
		}
	}
	far.Forget()
	empty := []string{`"actions":[]`, `"advisories":{}`, `"muted":[]`, `"vulnerabilities":{"info":0,"low":0,"moderate":0,"high":0,"critical":0}`}
	w.run([]call{
		{name: "ours alone", method: "POST", path: quick, body: `{"name":"@acme/app","requires":{"@acme/x":"1"},"dependencies":{"@acme/x":{"version":"1.0.0"}}}`, status: 200, has: append(empty, `"totalDependencies":1`)},
		{name: "nothing", method: "POST", path: quick, body: `{}`, status: 200, has: append(empty, `"totalDependencies":0`)},
		{name: "no JSON", method: "POST", path: quick, body: `x`, status: 400},
		{name: "a list", method: "POST", path: quick, body: `[]`, status: 400},
		{name: "too deep", method: "POST", path: quick, body: strings.Repeat(`{"dependencies":{"a":`, 600) + "{}" + strings.Repeat("}}", 600), status: 400},
	})
	if n := len(far.Log()); n != 0 {
		t.Errorf("%d requests for nothing", n)
	}
	far.Serve(quick, answering(`{}`))
	w.run([]call{{name: "its fallback, and an upstream that says nothing", method: "POST", path: "/-/npm/v1/security/audits", body: `{"requires":{"left":"1"},"dependencies":{"left":{"version":"1.0.0"}}}`, status: 200, has: []string{`{"actions":[],"advisories":{},"muted":[],"metadata":{"vulnerabilities":{"info":0`, `"totalDependencies":1`}}})
	far.Serve(quick, answering(`{"advisories":`))
	w.want(404, "POST "+quick, "", `{"requires":{"other":"1"},"dependencies":{"other":{"version":"1.0.0"}}}`)
}

// TestAuditWithoutUpstream: section 3.5, and quickly.
func TestAuditWithoutUpstream(t *testing.T) {
	w := newWorld(t, func(w *world) { w.farURL = "" })
	w.run([]call{
		{name: "bulk", method: "POST", path: bulk, body: `{"left":["1.0.0"]}`, status: 404, has: []string{"no advisories: the registry npm has no upstream to ask"}},
		{name: "quick", method: "POST", path: quick, body: `{"requires":{"left":"1"},"dependencies":{"left":{"version":"1.0.0"}}}`, status: 404, has: []string{"no upstream to ask"}},
		{name: "keys", method: "GET", path: "/-/npm/v1/keys", status: 404},
		{name: "attestations", method: "GET", path: "/-/npm/v1/attestations/left@1.0.0", status: 404},
		{name: "search", method: "GET", path: "/-/v1/search?text=left", status: 200, has: []string{`{"objects":[],"total":0,"time":"2026-`}},
		{name: "document", method: "GET", path: "/left", status: 404},
	})
}

// TestPassedOn: section 3.6.
func TestPassedOn(t *testing.T) {
	far, upstream := scripted(t)
	w := newWorld(t, upstream)
	keys, bundle := `{"keys":[{"keyid":"SHA256:x","key":"MFk"}]}`, `{"attestations":[{"predicateType":"p","bundle":{}}]}`
	far.Serve("/-/npm/v1/keys", answering(keys))
	far.Serve("/-/npm/v1/attestations/left@1.0.0", answering(bundle))
	far.Serve("/-/npm/v1/attestations/@far%2fthing@1.0.0", answering(bundle))
	far.Serve("/-/npm/v1/attestations/html@1.0.0", upstreamtest.Answer{Body: []byte("<html>"), ContentType: "text/html"})
	far.Serve("/left", answering(`{"name":"left","dist-tags":{"latest":"1.0.0"},"versions":{"1.0.0":{"name":"left","version":"1.0.0","dist":{"tarball":"`+far.URL+`/left/download/1.0.0/abc","integrity":"`+npmtest.Integrity([]byte("x"))+`","signatures":[{"keyid":"SHA256:x","sig":"MEU"}],"attestations":{"url":"https://npm.upstream.example/-/npm/v1/attestations/left@1.0.0","provenance":{"predicateType":"p"}}}}}}`))
	far.Serve("/left/download/1.0.0/abc", upstreamtest.Answer{Body: []byte("x")})
	w.run([]call{
		{name: "keys", method: "GET", path: "/-/npm/v1/keys", status: 200, has: []string{keys}},
		{name: "attestations", method: "GET", path: "/-/npm/v1/attestations/left@1.0.0", status: 200, has: []string{bundle}},
		{name: "attestations of a scope", method: "GET", path: "/-/npm/v1/attestations/@far/thing@1.0.0", status: 200, has: []string{bundle}},
		{name: "attestations, no JSON", method: "GET", path: "/-/npm/v1/attestations/html@1.0.0", status: 404},
		{name: "no attestations", method: "GET", path: "/-/npm/v1/attestations/left@2.0.0", status: 404},
		{name: "document", method: "GET", path: "/left", status: 200, has: []string{
			`"signatures":[{"keyid":"SHA256:x","sig":"MEU"}]`, `"integrity":"` + npmtest.Integrity([]byte("x")) + `"`, `"provenance":{"predicateType":"p"}`,
			`"url":"http://example.com/npm/-/npm/v1/attestations/left@1.0.0"`, `"tarball":"http://example.com/npm/left/-/left-1.0.0.tgz"`, `"time":{"1.0.0":"2026-`,
		}, lacks: []string{"upstream.example", "download"}},
		{name: "the file, wherever the upstream has it", method: "GET", path: file("left", "1.0.0"), status: 200, has: []string{"\r\nx"}},
	})
	w.run([]call{
		{name: "keys again", method: "GET", path: "/-/npm/v1/keys", status: 200},
		{name: "attestations again", method: "GET", path: "/-/npm/v1/attestations/left@1.0.0", status: 200},
	})
	if far.Requests("/-/npm/v1/keys") != 1 || far.Requests("/-/npm/v1/attestations/left@1.0.0") != 1 {
		t.Error("facts that hardly change were asked for twice")
	}
}

// TestSearch: section 3.4.
func TestSearch(t *testing.T) {
	w := newWorld(t)
	w.upstream("part-far", "3.0.0")
	w.upstream("@open/part-evil", "9.0.0")
	for i := range 5 {
		w.publish("olga", fmt.Sprintf("@open/part-%d", i), "1.0.0", manifest("keywords", []string{"Boxes"}, "homepage", "https://acme.example/"))
	}
	w.publish("wim", "@acme/part-secret", "1.0.0")
	const hit = `{"package":{"name":"@open/part-0","scope":"open","version":"1.0.0","description":"about @open/part-0","keywords":["Boxes"],"date":"2026-`
	w.run([]call{
		{name: "hosted first", method: "GET", path: "/-/v1/search?text=part&size=20", status: 200,
			has:   []string{`{"objects":[` + hit, `"links":{"homepage":"https://acme.example/"}`, `"publisher":{"username":"olga","email":"olga@mail.example"}`, `"maintainers":[{"username":"olga"`, `"score":{"final":1`, `"searchScore":1`, `"part-far"`, `"total":6,"time":"2026-`},
			lacks: []string{"secret", "evil"}},
		{name: "to those who may read", method: "GET", path: "/-/v1/search?text=part&size=20", who: "rita", status: 200, has: []string{`"@acme/part-secret"`}},
		{name: "not to outsiders", method: "GET", path: "/-/v1/search?text=part-secret", who: "bob", status: 200, has: []string{`"objects":[]`}},
		{name: "by keyword", method: "GET", path: "/-/v1/search?text=BOXES", status: 200, has: []string{hit}},
		{name: "a page", method: "GET", path: "/-/v1/search?text=part&size=2&from=4", status: 200, has: []string{`"@open/part-4"`, `"part-far"`, `"total":6`}, lacks: []string{"part-0"}},
		{name: "beyond the last", method: "GET", path: "/-/v1/search?text=part&from=99", status: 200, has: []string{`{"objects":[],"total":6`}},
		{name: "odd numbers", method: "GET", path: "/-/v1/search?text=part&size=-5&from=x&quality=1e999&popularity=&maintenance=0.5", status: 200, has: []string{hit}},
		{name: "no pattern", method: "GET", path: "/-/v1/search?text=" + "%5B.%2A%5D%25_%27%28", status: 200, has: []string{`"objects":[]`}},
		{name: "nothing asked", method: "GET", path: "/-/v1/search", status: 200, has: []string{hit}},
		{name: "too much asked", method: "GET", path: "/-/v1/search?text=" + strings.Repeat("x", 10_000), status: 200},
	})
	w.far.Fail(npmtest.Fault{Prefix: "/-/v1/search", Status: 500})
	w.run([]call{{name: "the upstream fails", method: "GET", path: "/-/v1/search?text=part+0", status: 200, has: []string{hit, `"total":1`}}})
	w.far.Heal()
	w.far.Fail(npmtest.Fault{Prefix: "/-/v1/search", Wrong: true})
	w.want(200, "GET /-/v1/search?text=part+1", "", "")
	for _, q := range w.far.Log("/-/v1/search") {
		if q.Method != http.MethodGet || q.Header.Get("Authorization") != "" {
			t.Errorf("asked with %v", q)
		}
	}
}

// TestSearchTellsNothing: sections 3.4 and 7. Words that are names of ours, or
// lead to some, stay here, however they are written.
func TestSearchTellsNothing(t *testing.T) {
	w := newWorld(t)
	w.publish("wim", "@acme/secret", "1.0.0")
	w.publish("admin", "quiet", "1.0.0", top("access", "restricted"))
	for _, text := range []string{
		"@acme/secret", "@ACME/Secret", "@acme", "@acme/", "@acme/sec", `"@acme/secret"`, "(@acme/secret)", "x @acme/secret", "@acme/secret@1.0.0", "@acme%2fsecret",
		"acme/secret", "scope:acme", "scope:@acme", "name:@acme/secret", "pkg:npm/@acme/secret", "@acme/secret,left", "acme-tool", "acme-", "quiet", "'quiet'", "quiet@1.0.0", "name:quiet", "@open/x",
	} {
		r := w.request("GET", "/-/v1/search", "rita", nil)
		q := r.URL.Query()
		q.Set("text", text)
		r.URL.RawQuery = q.Encode()
		if got := w.send(r); got.StatusCode != 200 {
			t.Errorf("%s: %d", text, got.StatusCode)
		}
		if log := w.far.Log("/-/v1/search"); len(log) != 0 {
			t.Errorf("%q was told to the upstream: %s", text, log[0].Query)
		}
		w.far.Forget()
	}
	w.want(200, "GET /-/v1/search?text=secret+sauce", "rita", "")
	if n := len(w.far.Log("/-/v1/search")); n != 1 {
		t.Errorf("an innocent search cost %d requests", n)
	}
}
