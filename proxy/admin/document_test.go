package admin

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"

	"larder/policy"
	"larder/proxy/admin/openapi"
)

// TestDocumentIsValid asks a validator that others wrote, and that it can say no.
func TestDocumentIsValid(t *testing.T) {
	good, err := json.Marshal(documented(t))
	if err != nil {
		t.Fatal(err)
	}
	for n, tt := range []struct {
		text string
		ok   bool
	}{
		{string(good), true},
		{strings.Replace(string(good), `"in":"query"`, `"in":"nowhere"`, 1), false},
		{strings.Replace(string(good), `"description":"OK"`, `"told":"OK"`, 1), false},
		{strings.Replace(string(good), `"openapi":"3.1.0"`, `"openapi":"3.1.0","paths2":{}`, 1), false},
		{strings.Replace(string(good), `"title":"larder",`, ``, 1), false},
	} {
		parsed, err := libopenapi.NewDocument([]byte(tt.text))
		if err != nil {
			t.Fatal(err)
		}
		v, errs := validator.NewValidator(parsed)
		if errs != nil {
			t.Fatal(errs)
		}
		ok, complaints := v.ValidateDocument()
		if ok != tt.ok {
			t.Errorf("%d: valid %v, want %v: %q", n, ok, tt.ok, worded("", complaints))
		}
	}
}

// The document is the table: all of it, and nothing else.
func TestDocumentHasEveryRow(t *testing.T) {
	doc := documented(t)
	rows, ids := 0, map[string]bool{}
	for _, r := range apiRoutes() {
		op, ok := doc.Paths[r.pattern][strings.ToLower(r.method)]
		if !ok || op.Summary != r.summary || ids[op.ID] {
			t.Errorf("%s %s: %+v", r.method, r.pattern, op)
		}
		ids[op.ID] = true
	}
	for _, path := range doc.Paths {
		rows += len(path)
	}
	if rows != len(apiRoutes()) {
		t.Errorf("%d operations of %d routes", rows, len(apiRoutes()))
	}
}

// A row that does not say what it is, or a type that does not, is refused before
// a server starts.
func TestRowsMustSayWhatTheyAre(t *testing.T) {
	type silent struct {
		Name string `json:"name"`
	}
	type nameless struct {
		Name string `doc:"Name."`
	}
	good := func() route {
		return route{"GET", "/api/v1/whoami", policy.Self, handler((*call).whoami), "Tell", nil}
	}
	for name, spoil := range map[string]func(*route){
		"":                  func(*route) {},
		"no summary":        func(r *route) { r.summary = "" },
		"no action":         func(r *route) { r.action = "" },
		"unknown action":    func(r *route) { r.action = "dance" },
		"no area":           func(r *route) { r.pattern = "/api/v1/elsewhere" },
		"unknown name":      func(r *route) { r.pattern = "/api/v1/whoami/{what}" },
		"no such status":    func(r *route) { r.failures = []int{200} },
		"an unknown status": func(r *route) { r.failures = []int{418} },
		"a silent answer": func(r *route) {
			r.operation = handler(func(*call, none, none) (silent, error) { return silent{}, nil })
		},
		"a silent body":  func(r *route) { r.operation = handler(func(*call, none, silent) (none, error) { return none{}, nil }) },
		"a silent query": func(r *route) { r.operation = handler(func(*call, silent, none) (none, error) { return none{}, nil }) },
		"a nameless field": func(r *route) {
			r.operation = handler(func(*call, none, nameless) (none, error) { return none{}, nil })
		},
		"two of one name": func(r *route) {
			type Problem struct{}
			r.operation = handler(func(*call, none, none) (Problem, error) { return Problem{}, nil })
		},
	} {
		row := good()
		spoil(&row)
		if _, err := newRouter(newAPI(Options{}), []route{row}); (err == nil) != (name == "") {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := newRouter(newAPI(Options{}), []route{good(), good()}); err == nil {
		t.Error("a row that is there twice")
	}
}

// What is served is the document, with the address by which it was reached.
func TestDocumentIsServed(t *testing.T) {
	w := newWorld(t)
	var got, want map[string]any
	w.get("/api/v1/openapi.json", "", &got)
	text, err := json.Marshal(documented(t))
	w.must(err)
	w.must(json.Unmarshal(text, &want))
	want["servers"] = []any{map[string]any{"url": "http://example.com"}}
	if !reflect.DeepEqual(got, want) {
		t.Error("another document")
	}
}

// TestContractComplains shows that the document holds every exchange: each time
// one thing is taken out of it.
func TestContractComplains(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		method, path, body string
		spoil              func(openapi.Document)
		want               string
	}{
		{"GET", "/api/v1/whoami", "", func(openapi.Document) {}, ""},
		{"GET", "/api/v1/whoami", "", func(d openapi.Document) { delete(d.Components.Schemas["Caller"].Properties, "admin") }, "additional properties 'admin'"},
		{"GET", "/api/v1/whoami", "", func(d openapi.Document) {
			d.Components.Schemas["Caller"].Properties["scopes"].Items.Enum = []string{"x"}
		}, "value must be 'x'"},
		{"GET", "/api/v1/whoami", "", func(d openapi.Document) { delete(d.Paths["/api/v1/whoami"]["get"].Responses, "200") }, "response code '200'"},
		{"GET", "/api/v1/whoami", "", func(d openapi.Document) {
			delete(d.Paths["/api/v1/whoami"]["get"].Responses["200"].Headers, "X-OAuth-Scopes")
		}, "X-Oauth-Scopes"},
		{"GET", "/api/v1/users/nobody", "", func(d openapi.Document) { delete(d.Paths["/api/v1/users/{user}"]["get"].Responses, "404") }, "response code '404'"},
		{"GET", "/api/v1/users/nobody", "", func(d openapi.Document) { d.Components.Schemas["Problem"].Required = []string{"more"} }, "missing property 'more'"},
		{"GET", "/api/v1/users?limit=1", "", func(d openapi.Document) {
			op := d.Paths["/api/v1/users"]["get"]
			op.Parameters = op.Parameters[1:]
			d.Paths["/api/v1/users"]["get"] = op
		}, "limit"},
		{"POST", "/api/v1/users", `{"name":"x1","org":true}`, func(d openapi.Document) { d.Components.Schemas["NewAccount"].Properties["org"].Type = "string" }, "got boolean, want string"},
		{"POST", "/api/v1/users", `{"name":"x2"}`, func(d openapi.Document) {
			delete(d.Paths["/api/v1/users"]["post"].Responses["201"].Headers, "Location")
		}, "Location"},
		{"GET", "/api/v1/audit", "", func(d openapi.Document) { delete(d.Components.Schemas["AuditRecord"].Properties, "hash") }, "additional properties 'hash'"},
		{"POST", "/api/v1/gc", "", func(d openapi.Document) { d.Components.Schemas["Progress"].Properties["done"].Type = "string" }, "got number, want string"},
	} {
		doc := documented(t)
		tt.spoil(doc)
		rec := w.do(tt.method, tt.path, w.admin, tt.body)
		r := httptest.NewRequest(tt.method, tt.path, nil)
		r.Header.Set("Authorization", "Bearer x")
		if tt.body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		found := newContract(t, doc).broken(r, tt.body, rec)
		if tt.want == "" && len(found) != 0 || tt.want != "" && !strings.Contains(strings.Join(found, "\n"), tt.want) {
			t.Errorf("%s %s: %q, want %q", tt.method, tt.path, found, tt.want)
		}
	}
}

// docs/api.md lists the calls in the words of the table, and the failures.
func TestPageListsEveryCall(t *testing.T) {
	page, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	left := map[string]bool{}
	for line := range strings.Lines(string(page)) {
		if strings.HasPrefix(line, "| ") {
			left[strings.TrimSpace(line)] = true
		}
	}
	want := []string{"| call | what it does |", "| status | why |", "| --- | --- |"}
	for _, r := range apiRoutes() {
		want = append(want, fmt.Sprintf("| `%s %s` | %s |", r.method, r.pattern, r.summary))
	}
	for status, why := range failures() {
		want = append(want, fmt.Sprintf("| %d | %s |", status, why))
	}
	for _, line := range want {
		if !left[line] {
			t.Errorf("the page lacks\n%s", line)
		}
		delete(left, line)
	}
	for line := range left {
		t.Errorf("the page has, and the table not:\n%s", line)
	}
}
