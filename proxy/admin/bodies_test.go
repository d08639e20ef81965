package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"larder/proxy/admin/openapi"
)

// TestBodiesAreHeldToTheirSchemas sends each call that takes a body every body
// that is wrong in one way. All are refused with a problem, before anything was
// done, and a validator of others refuses them for the same document.
func TestBodiesAreHeldToTheirSchemas(t *testing.T) {
	w := newWorld(t)
	w.people()
	calls := 0
	for _, row := range authorities() {
		if row.body == "" {
			continue
		}
		calls++
		path, body := w.filled(row, 8, w.admin)
		if !w.valid(row.method, path, body) {
			t.Errorf("%s %s: the right body is wrong: %s", row.method, path, body)
		}
		for _, wrong := range spoilt(t, body) {
			w.want(400, row.method, path, w.admin, wrong)
			if w.valid(row.method, path, wrong) {
				t.Errorf("%s %s refuses what the document allows: %s", row.method, path, wrong)
			}
		}
		// What JSON itself does not allow, or leaves open.
		for _, wrong := range []string{body + body, body + "x", body[:len(body)-1], "{" + body[1:len(body)-1] + "," + body[1:], "{\"\xff\":1}"} {
			w.want(400, row.method, path, w.admin, wrong)
		}
		if rec := w.do(row.method, path, w.admin, "", "Content-Type: application/json"); rec.Code != 400 {
			t.Errorf("%s %s without a body: %d", row.method, path, rec.Code)
		}
	}
	taken := 0
	for _, r := range apiRoutes() {
		if !strings.HasSuffix(fmt.Sprint(r.body), ".none") {
			taken++
		}
	}
	if calls < taken || taken == 0 {
		t.Errorf("%d calls with a body, %d were tried", taken, calls)
	}
}

// valid asks the validator.
func (w *world) valid(method, path, body string) bool {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer x")
	ok, _ := w.contract().http.ValidateHttpRequestSync(r)
	return ok
}

// spoilt lists bodies that are wrong in one way each.
func spoilt(t *testing.T, body string) (list []string) {
	t.Helper()
	var right map[string]any
	if err := json.Unmarshal([]byte(body), &right); err != nil {
		t.Fatal(err)
	}
	with := func(name string, v any) {
		one := maps.Clone(right)
		one[name] = v
		text, err := json.Marshal(one)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, string(text))
	}
	with("nosuch", "x")
	for name, value := range right {
		with(strings.ToUpper(name), value) // names are told apart by their case
		_, text := value.(string)
		_, flag := value.(bool)
		for _, other := range []any{nil, 1.5, []any{1}, map[string]any{"a": 1}} {
			with(name, other)
		}
		if !text {
			with(name, "x")
		}
		if !flag {
			with(name, true)
		}
	}
	return append(list, "[]", "null", `"x"`, "1", "true", `[`+body+`]`)
}

// FuzzCheck holds our check of bodies against the validator of others: they
// agree on what fits a schema.
func FuzzCheck(f *testing.F) {
	a := newAPI(Options{})
	if _, err := newRouter(a, apiRoutes()); err != nil {
		f.Fatal(err)
	}
	c := newContract(f, a.document)
	type target struct {
		method, path string
		schema       *openapi.Schema
	}
	var targets []target
	for _, pattern := range slices.Sorted(maps.Keys(a.document.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(a.document.Paths[pattern])) {
			if body := a.document.Paths[pattern][method].RequestBody; body != nil {
				path := pathName.ReplaceAllString(pattern, "x") + "?purl=pkg:npm/x"
				targets = append(targets, target{strings.ToUpper(method), strings.TrimSuffix(path, "?"), body.Content["application/json"].Schema})
			}
		}
	}
	for n := range targets {
		for _, row := range authorities() {
			if row.body != "" {
				f.Add(uint(n), row.body)
			}
		}
		f.Add(uint(n), `{"scopes":["read:packages"],"expires_in":31536001,"limits":{"owners":["a"],"more":[]}}`)
		f.Add(uint(n), `{"name":"","email":null,"match":[],"role":"boss","scopes":[]}`)
	}
	f.Fuzz(func(t *testing.T, n uint, body string) {
		at := targets[n%uint(len(targets))]
		var value any
		if json.Unmarshal([]byte(body), &value) != nil || strings.ContainsAny(body, "eE.�\\") || len(body) > 2000 {
			return // numbers of other notations and texts that are none are another matter
		}
		r := httptest.NewRequest(at.method, at.path, io.NopCloser(bytes.NewReader([]byte(body))))
		r.Header.Set("Content-Type", "application/json")
		ok, errs := c.http.GetRequestBodyValidator().ValidateRequestBody(r)
		if err := a.types.Check(at.schema, value); (err == nil) != ok {
			t.Errorf("%s %s with %s: we say %v, the validator %v %q", at.method, at.path, body, err, ok, worded("", errs))
		}
	})
}

// ending is a body during which a token is revoked.
type ending struct {
	io.Reader
	revoke func()
}

func (e *ending) Read(p []byte) (int, error) {
	if e.revoke != nil {
		e.revoke()
		e.revoke = nil
	}
	return e.Reader.Read(p)
}

// TestThreat29SlowBodies: who is asked when a call comes is asked again when its
// body is there, which may have taken its time.
func TestThreat29SlowBodies(t *testing.T) {
	w := newWorld(t)
	w.people()
	for _, row := range authorities() {
		if row.body == "" {
			continue
		}
		path, body := w.filled(row, 8, w.admin)
		lost := w.token("admin", `["read:packages","write:packages","delete:packages","admin:org","admin:instance"]`)
		r := httptest.NewRequest(row.method, path, &ending{strings.NewReader(body), func() {
			var who Caller
			w.get("/api/v1/whoami", lost, &who)
			w.want(204, "DELETE", "/api/v1/tokens/"+who.TokenID, lost, "")
		}})
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+lost)
		rec := httptest.NewRecorder()
		if w.edge.ServeHTTP(rec, r); rec.Code != 401 {
			t.Errorf("%s %s: %d %s", row.method, path, rec.Code, rec.Body)
		}
	}
}
