package admin

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"larder/policy/rulebook"
)

// waived has the rule cool waived for a day, and returns the id of that.
func (w *world) waived(match string) string {
	w.t.Helper()
	body := fmt.Sprintf(`{"rule":"cool","match":[%q],"until":%q,"why":"urgent fix"}`, match, w.Now().Add(24*time.Hour).Format(time.RFC3339))
	var made rulebook.Waiver
	w.must(json.Unmarshal([]byte(w.want(201, "POST", "/api/v1/policy/waivers", w.admin, body)), &made))
	return made.ID
}

func TestWaivers(t *testing.T) {
	w := newWorld(t)
	var none WaiverList
	if text := w.want(200, "GET", "/api/v1/policy/waivers", w.admin, ""); !strings.Contains(text, `"waivers":[]`) {
		t.Errorf("no waivers: %s", text)
	}
	id := w.waived("pkg:npm/left@1.0.0")
	var list WaiverList
	w.get("/api/v1/policy/waivers", w.admin, &list)
	if len(list.Waivers) != 1 {
		t.Fatalf("%+v", list)
	}
	got := list.Waivers[0]
	if got.ID != id || got.By != "admin" || got.Source != rulebook.API || got.Why != "urgent fix" || !got.Since.Equal(w.Now()) || !slices.Equal(got.Match, []string{"pkg:npm/left@1.0.0"}) {
		t.Errorf("%+v", got)
	}
	w.want(204, "DELETE", "/api/v1/policy/waivers/"+id, w.admin, "")
	w.want(404, "DELETE", "/api/v1/policy/waivers/"+id, w.admin, "")
	w.get("/api/v1/policy/waivers", w.admin, &none)
	if len(none.Waivers) != 0 {
		t.Errorf("%+v", none)
	}
}

func TestWaiversThatAreNoWaivers(t *testing.T) {
	w := newWorld(t)
	for body, words := range map[string]string{
		`{"rule":"cool","match":["pkg:npm/a"],"why":"x"}`:                                                       "\\\"until\\\" is missing",
		`{"rule":"cool","match":["pkg:npm/a"],"why":"x","until":"2020-01-01T00:00:00Z"}`:                        "is over",
		`{"rule":"cool","match":["pkg:npm/a"],"until":"2026-03-08T00:00:00Z"}`:                                  "\\\"why\\\" is missing",
		`{"rule":"pin","match":["pkg:npm/a"],"why":"x","until":"2026-03-08T00:00:00Z"}`:                         "cannot be waived",
		`{"rule":"none","match":["pkg:npm/a"],"why":"x","until":"2026-03-08T00:00:00Z"}`:                        "there is no rule",
		`{"rule":"cool","match":["a"],"why":"x","until":"2026-03-08T00:00:00Z"}`:                                "no package URL",
		`{"rule":"cool","match":["pkg:npm/a"],"why":"x","until":"monday"}`:                                      "is no time such as",
		`{"rule":"cool","match":["pkg:npm/a"],"why":"x","until":"2026-03-08T00:00:00Z","by":"somebody else's"}`: "there is no field",
	} {
		if text := w.want(400, "POST", "/api/v1/policy/waivers", w.admin, body); !strings.Contains(text, words) {
			t.Errorf("%s: %s, want %q", body, text, words)
		}
	}
}

func TestRulesAreListed(t *testing.T) {
	w := newWorld(t)
	w.rules.Refused("cool")
	var list RuleList
	w.get("/api/v1/policy/rules", w.admin, &list)
	var ids []string
	for _, r := range list.Rules {
		ids = append(ids, r.ID)
	}
	if !slices.Equal(ids, []string{"claim", "origin", "cool", "pin"}) {
		t.Errorf("%v", ids)
	}
	if cool := list.Rules[2]; cool.Refused != 1 || !cool.Waivable || cool.Source != rulebook.Config {
		t.Errorf("%+v", cool)
	}
}
