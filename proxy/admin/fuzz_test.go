package admin

import (
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// FuzzAPI sends every call of the API, by an administrator who may make it, with
// anything for what stands in path, query and body. Nothing is ever our fault,
// and every refusal is a problem in words.
func FuzzAPI(f *testing.F) {
	for n := range apiRoutes() {
		f.Add(uint(n), "acme", "purl=pkg:npm/a@1&after=npm:a&limit=3&prefix=a&format=npm&dry_run=true&user=bob&registry=npm", `{"name":"x/y","scopes":["read:packages"],"limits":{"cidrs":["::1"]}}`)
		f.Add(uint(n), "a\x00/..", "purl=pkg:npm/%40a%2f&after=:&limit=-1&prefix=%ff", `{"role":"owner","role":null,"base_role":1e999}`)
		f.Add(uint(n), "%2e%2e", "purl=pkg:maven/"+strings.Repeat("a/", 500)+"&after=npm:%00"+strings.Repeat("a", 2000), `[[[[{"match":["@a/**"]}]]]]`)
	}
	w := newWorld(f)
	variable := regexp.MustCompile(`{[a-z]+}`)
	f.Fuzz(func(t *testing.T, n uint, name, query, body string) {
		row := apiRoutes()[n%uint(len(apiRoutes()))]
		target := variable.ReplaceAllLiteralString(row.pattern, url.PathEscape(name)) + "?" + query
		if _, err := url.ParseRequestURI(target); err != nil {
			return // net/http itself answers 400
		}
		r := httptest.NewRequest(row.method, "/", strings.NewReader(body))
		r.URL, _ = url.ParseRequestURI(target) // looked at above
		r.Header.Set("Authorization", "Bearer "+w.admin)
		r.Header.Set("Content-Type", "application/json")
		rec := httptest.NewRecorder()
		w.edge.ServeHTTP(rec, r)
		if rec.Code >= 500 {
			t.Fatalf("%s %s with %q: %d %s", row.method, target, body, rec.Code, rec.Body)
		}
		var p Problem
		if rec.Code >= 400 && (json.Unmarshal(rec.Body.Bytes(), &p) != nil || p.Detail == "" || p.Status != rec.Code) {
			t.Fatalf("%s %s: %d without a problem: %s", row.method, target, rec.Code, rec.Body)
		}
	})
}

// FuzzLoginForm sends the login page anything: it confirms nothing without a token.
func FuzzLoginForm(f *testing.F) {
	for _, body := range []string{"token=ldrp_x", "token=%zz", "token=a&token=b", ";", strings.Repeat("a=b&", 5000), "token=%00%ff<script>"} {
		f.Add("code", body, "application/x-www-form-urlencoded")
		f.Add("", body, "multipart/form-data; boundary=x")
	}
	w := newWorld(f)
	_, waiting, err := w.accounts.Pairing().Begin(f.Context(), netipOf("198.51.100.7"))
	w.must(err)
	f.Fuzz(func(t *testing.T, code, body, kind string) {
		if code == "code" {
			code = waiting // a refusal leaves it waiting, and the clock stands still
		}
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.URL = &url.URL{Path: "/ui/login/" + code, RawPath: "/ui/login/" + url.PathEscape(code)}
		r.Header.Set("Content-Type", kind)
		rec := httptest.NewRecorder()
		w.edge.ServeHTTP(rec, r)
		if rec.Code < 400 || rec.Code >= 500 || strings.Contains(rec.Body.String(), "<script>") {
			t.Fatalf("%q %q: %d %s", code, body, rec.Code, rec.Body)
		}
	})
}
