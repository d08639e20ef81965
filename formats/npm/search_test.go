package npm

import (
	"encoding/json"
	"errors"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseSearch(t *testing.T) {
	for query, want := range map[string]SearchQuery{
		"":                               {Size: 20},
		"text=Left+Pad&size=5&from=10":   {Words: []string{"left", "pad"}, Size: 5, From: 10},
		"text=a&size=100000&from=-1":     {Words: []string{"a"}, Size: 250},
		"text=a&size=0&from=99999999":    {Words: []string{"a"}, Size: 1, From: 5000},
		"text=%25_%5C&size=x&quality=.9": {Words: []string{`%_\`}, Size: 20},
	} {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if got := ParseSearch(q); !reflect.DeepEqual(got, want) && !(len(got.Words) == 0 && len(want.Words) == 0 && got.Size == want.Size) {
			t.Errorf("%q = %+v, want %+v", query, got, want)
		}
	}
	long := ParseSearch(url.Values{"text": {strings.Repeat("é", 400)}})
	if len(long.Words) != 1 || len(long.Words[0]) > maxSearchText {
		t.Errorf("%d bytes", len(long.Words[0]))
	}
}

func TestSearchMatches(t *testing.T) {
	e := SearchEntry{Name: "@acme/Widget", Description: "Draws boxes", Keywords: []string{"ui"}}
	for text, want := range map[string]bool{"": true, "widget": true, "WIDGET boxes": true, "ui": true, "widget circles": false, ".*": false} {
		if got := ParseSearch(url.Values{"text": {text}}).Matches(e); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestBuildSearch(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	raw := `{"package":{"name":"up","version":"2.0.0","maintainers":[]},"extra":1}`
	got := BuildSearch([]SearchEntry{{
		Name: "@acme/widget", Version: "1.0.0", Description: "a \"b\"", Keywords: []string{"ui"}, Date: now,
		Links: map[string]string{"homepage": "https://acme.example/", "other": "x"}, Publisher: Person{"alice", "a@example.com"}, Maintainers: []Person{{"alice", "a@example.com"}},
	}, {Name: "plain", Version: "1.0.0"}, {Raw: []byte(raw)}}, 7, now)
	doc := decoded(t, string(got))
	first, _ := json.Marshal(dig(doc["objects"].([]any)[0], "package"))
	want := `{"date":"2026-01-02T03:04:05.000Z","description":"a \"b\"","keywords":["ui"],"links":{"homepage":"https://acme.example/"},` +
		`"maintainers":[{"email":"a@example.com","username":"alice"}],"name":"@acme/widget","publisher":{"email":"a@example.com","username":"alice"},"scope":"acme","version":"1.0.0"}`
	if string(first) != want || doc["total"] != 7.0 || doc["time"] != "2026-01-02T03:04:05.000Z" {
		t.Errorf("%s", got)
	}
	if second, _ := json.Marshal(dig(doc["objects"].([]any)[1], "package")); !strings.Contains(string(second), `"keywords":[],"links":{},"maintainers":[]`) {
		t.Errorf("%s", second)
	}
	hits, total, err := ReadSearch(got)
	if err != nil || total != 7 || len(hits) != 3 || hits[2].Name != "up" || string(hits[2].Raw) != raw {
		t.Errorf("%+v, %d, %v", hits, total, err)
	}
}

func TestReadSearch(t *testing.T) {
	hits, total, err := ReadSearch([]byte(`{"objects":[{"package":{"name":"a","version":"1.0.0","maintainers":[]}},{"package":{"name":"b"}},{"package":{"name":"../c","version":"1","maintainers":[]}},{},1],"total":"x"}`))
	if err != nil || len(hits) != 1 || total != 1 {
		t.Errorf("%+v, %d, %v", hits, total, err)
	}
	if _, _, err := ReadSearch([]byte(`<html>`)); !errors.Is(err, ErrDocument) {
		t.Errorf("%v", err)
	}
}
