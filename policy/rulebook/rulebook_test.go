package rulebook

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"larder/cache"
	"larder/cache/memory"
	"larder/policy"
	"larder/policy/audit"
	"larder/policy/rules"
)

const day = 24 * time.Hour

// desk is a book whose clock stands still until it is moved.
type desk struct {
	*Book
	t     *testing.T
	index cache.Index
	now   time.Time
}

func newDesk(t *testing.T) *desk {
	d := &desk{t: t, index: memory.NewIndex(), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	d.open()
	d.must(d.Use(cool(), nil))
	return d
}

// open is a start of the program.
func (d *desk) open() {
	d.t.Helper()
	var err error
	d.Book, err = Open(d.t.Context(), d.index, Options{Clock: func() time.Time { return d.now }})
	d.must(err)
}

func (d *desk) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func cool() []rules.Rule {
	return []rules.Rule{{ID: "cool", Kind: rules.Cooldown, MinAge: 7 * day}}
}

func admin() policy.Subject {
	return policy.Subject{User: "alice", TokenID: "t1", Admin: true, Scopes: []policy.Scope{policy.AdminInstance}}
}

// refuses says whether the rules refuse a version of pkg that came out just now.
func (d *desk) refuses(pkg string) bool {
	return d.Set().For("npm", "npm", pkg).Check(rules.Facts{Version: "1.0.0", Published: d.now}, d.now).Refused
}

func (d *desk) waive(match string, ahead time.Duration) Waiver {
	d.t.Helper()
	w, err := d.Waive(d.t.Context(), admin(), rules.Waiver{Rule: "cool", Match: []string{match}, Until: d.now.Add(ahead), Why: "urgent fix"})
	d.must(err)
	return w
}

func (d *desk) list() []Waiver {
	d.t.Helper()
	list, err := d.Waivers(admin())
	d.must(err)
	return list
}

// actions are what the audit log has, oldest first.
func (d *desk) actions() string {
	d.t.Helper()
	var list []string
	for r, err := range audit.Export(d.t.Context(), d.index, 0, audit.Filter{}) {
		d.must(err)
		list = append(list, fmt.Sprint(r.Action, " ", r.Actor.ID, " ", r.Resource.ID, " ", r.Reason.RuleID))
	}
	return strings.Join(list, ", ")
}

func TestWaiverCountsFromTheMomentItIsGiven(t *testing.T) {
	d := newDesk(t)
	epoch := d.Set().Epoch()
	w := d.waive("pkg:npm/left@1.0.0", day)
	if d.refuses("left") || !d.refuses("right") || d.Set().Epoch() == epoch {
		t.Error("the waiver does not lift the rule, or more than it, or the epoch stays")
	}
	if w.By != "alice" || w.Source != API || w.ID == "" || !w.Since.Equal(d.now) || w.Idle != "" {
		t.Errorf("%+v", w)
	}
	d.open()
	d.must(d.Use(cool(), nil))
	if d.refuses("left") {
		t.Error("a restart forgot the waiver")
	}
	d.must(d.Unwaive(t.Context(), admin(), w.ID))
	if !d.refuses("left") || d.Set().Epoch() != epoch || len(d.list()) != 0 {
		t.Error("the waiver outlives its end")
	}
	d.open()
	if len(d.list()) != 0 {
		t.Error("a restart brings it back")
	}
	if got, want := d.actions(), "waiver.add alice "+w.ID+" cool, waiver.remove alice "+w.ID+" cool"; got != want {
		t.Errorf("recorded: %s, want %s", got, want)
	}
}

func TestWaiverEnds(t *testing.T) {
	d := newDesk(t)
	w := d.waive("pkg:npm/left", day)
	keep := d.waive("pkg:npm/left@2.0.0", 2*day)
	d.now = d.now.Add(day)
	if !d.refuses("left") {
		t.Error("it counts at its end")
	}
	if list := d.list(); len(list) != 2 || list[0].Idle != "it has ended" {
		t.Errorf("%+v", list)
	}
	d.must(d.Purge(t.Context()))
	if list := d.list(); len(list) != 1 || list[0].ID != keep.ID {
		t.Errorf("left: %+v", list)
	}
	if got := d.actions(); !strings.HasSuffix(got, "waiver.end  "+w.ID+" cool") {
		t.Errorf("recorded: %s", got)
	}
	if err := d.Unwaive(t.Context(), admin(), w.ID); !errors.Is(err, cache.ErrNotExist) {
		t.Errorf("ended twice: %v", err)
	}
}

func TestPurgeTakesMoreThanOneTurn(t *testing.T) {
	d := newDesk(t)
	for i := range maxDrop + 1 {
		d.waive(fmt.Sprintf("pkg:npm/p%d", i), day)
	}
	d.now = d.now.Add(day)
	d.must(d.Purge(t.Context()))
	d.open()
	if n := len(d.list()); n != 0 {
		t.Errorf("%d are left", n)
	}
}

func TestWaiverOutlivesItsRule(t *testing.T) {
	d := newDesk(t)
	d.waive("pkg:npm/left", day)
	d.must(d.Use(nil, nil))
	if list := d.list(); len(list) != 1 || list[0].Idle != "there is no rule cool any more" {
		t.Errorf("%+v", list)
	}
	other := cool()
	other[0].Formats = []string{"gem"}
	if err := d.Use(other, nil); err == nil {
		if list := d.list(); len(list) != 1 || !strings.Contains(list[0].Idle, "the rule cool has changed") {
			t.Errorf("%+v", list)
		}
	}
	for mode, want := range map[string]string{"off": "the rule cool is off", "enforce": ""} {
		back := cool()
		back[0].Mode = mode
		d.must(d.Use(back, nil))
		if list := d.list(); len(list) != 1 || list[0].Idle != want {
			t.Errorf("mode %s: %+v", mode, list)
		}
	}
	if d.refuses("left") {
		t.Error("the rule came back, and its waiver did not")
	}
}

func TestBadRulesLeaveTheOldOnes(t *testing.T) {
	d := newDesk(t)
	d.waive("pkg:npm/left", day)
	err := d.Use([]rules.Rule{{ID: "x", Kind: "no such kind"}}, nil)
	if err == nil || d.refuses("left") || !d.refuses("right") {
		t.Errorf("%v", err)
	}
}

func TestWaiversOfTheConfig(t *testing.T) {
	d := newDesk(t)
	written := rules.Waiver{Rule: "cool", Match: []string{"pkg:npm/left"}, By: "bob", Why: "so", Until: d.now.Add(day)}
	d.must(d.Use(cool(), []rules.Waiver{written}))
	d.waive("pkg:npm/right", day/2)
	list := d.list()
	if len(list) != 2 || list[0].Source != Config || list[0].By != "bob" || list[1].Source != API || list[0].ID == "" {
		t.Fatalf("%+v", list)
	}
	d.must(d.Use(cool(), []rules.Waiver{written}))
	if again := d.list()[0].ID; again != list[0].ID {
		t.Errorf("the id moved from %s to %s", list[0].ID, again)
	}
	err := d.Unwaive(t.Context(), admin(), list[0].ID)
	if !errors.Is(err, policy.ErrConflict) || !strings.Contains(err.Error(), "config file") || d.refuses("left") {
		t.Errorf("%v", err)
	}
}

func TestWaiversThatAreNotTaken(t *testing.T) {
	d := newDesk(t)
	good := func() rules.Waiver {
		return rules.Waiver{Rule: "cool", Match: []string{"pkg:npm/left"}, Until: d.now.Add(day), Why: "so"}
	}
	for name, tt := range map[string]struct {
		change func(w *rules.Waiver)
		words  string
	}{
		"no end":        {func(w *rules.Waiver) { w.Until = time.Time{} }, "until is missing"},
		"over":          {func(w *rules.Waiver) { w.Until = d.now }, "which is over"},
		"far":           {func(w *rules.Waiver) { w.Until = d.now.Add(MaxAhead + 1) }, "366 days ahead"},
		"no why":        {func(w *rules.Waiver) { w.Why = "" }, "why: it is missing"},
		"two lines":     {func(w *rules.Waiver) { w.Why = "a\nb" }, "one line"},
		"long why":      {func(w *rules.Waiver) { w.Why = strings.Repeat("x", 501) }, "longer than 500"},
		"no match":      {func(w *rules.Waiver) { w.Match = nil }, "match: it is missing"},
		"no pattern":    {func(w *rules.Waiver) { w.Match = []string{"left"} }, "no package URL"},
		"many patterns": {func(w *rules.Waiver) { w.Match = make([]string, MaxPatterns+1) }, "at most 100"},
		"no rule":       {func(w *rules.Waiver) { w.Rule = "warm" }, `no rule "warm"`},
		"claim":         {func(w *rules.Waiver) { w.Rule = rules.Claim }, "cannot be waived"},
		"origin":        {func(w *rules.Waiver) { w.Rule = rules.Origin }, "cannot be waived"},
		"pin":           {func(w *rules.Waiver) { w.Rule = rules.Pin }, "cannot be waived"},
		"large": {func(w *rules.Waiver) {
			w.Match = nil
			for i := range MaxPatterns {
				w.Match = append(w.Match, fmt.Sprintf("pkg:npm/%d%s@1.0.0-%s", i, strings.Repeat("x", 200), strings.Repeat("1", 200)))
			}
		}, "name fewer packages"},
	} {
		w := good()
		tt.change(&w)
		_, err := d.Waive(t.Context(), admin(), w)
		if !errors.Is(err, policy.ErrInvalid) || !strings.Contains(err.Error(), tt.words) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(d.list()); n != 0 || d.actions() != "" {
		t.Errorf("%d were kept, recorded: %s", n, d.actions())
	}
}

func TestOnlyAdministrators(t *testing.T) {
	d := newDesk(t)
	w := rules.Waiver{Rule: "cool", Match: []string{"pkg:npm/left"}, Until: d.now.Add(day), Why: "so"}
	id := d.waive("pkg:npm/right", day).ID
	for _, s := range []policy.Subject{
		{}, {User: "bob", TokenID: "t", Scopes: []policy.Scope{policy.AdminInstance}}, {User: "alice", TokenID: "t", Admin: true, Scopes: []policy.Scope{policy.AdminOrg}},
	} {
		_, waive := d.Waive(t.Context(), s, w)
		_, list := d.Waivers(s)
		_, all := d.Book.Rules(s)
		for _, err := range []error{waive, list, all, d.Unwaive(t.Context(), s, id)} {
			var refusal *policy.Refusal
			if !errors.As(err, &refusal) {
				t.Errorf("%q: %v", s.User, err)
			}
		}
	}
}

func TestNumberOfWaiversIsBounded(t *testing.T) {
	d := newDesk(t)
	s := *d.Book.now.Load()
	for i := range MaxWaivers {
		s.given = append(s.given, given{Waiver: rules.Waiver{ID: fmt.Sprint(i), Rule: "cool", Match: []string{"pkg:npm/left"}, Until: d.now.Add(day), By: "a", Why: "b"}})
	}
	d.Book.now.Store(&s)
	_, err := d.Waive(t.Context(), admin(), rules.Waiver{Rule: "cool", Match: []string{"pkg:npm/left"}, Until: d.now.Add(day), Why: "so"})
	if !errors.Is(err, policy.ErrConflict) || !strings.Contains(err.Error(), "1000") {
		t.Errorf("%v", err)
	}
}

// full is an index that takes nothing.
type full struct{ cache.Index }

func (full) Update(context.Context, func(cache.Writer) error) error { return cache.ErrFull }

func TestWaiverThatCannotBeKeptDoesNotCount(t *testing.T) {
	d := newDesk(t)
	d.Book.index = full{d.index}
	_, err := d.Waive(t.Context(), admin(), rules.Waiver{Rule: "cool", Match: []string{"pkg:npm/left"}, Until: d.now.Add(day), Why: "so"})
	if !errors.Is(err, cache.ErrFull) || !d.refuses("left") || len(d.list()) != 0 {
		t.Errorf("%v, %+v", err, d.list())
	}
}

func TestChangesAtOnce(t *testing.T) {
	d := newDesk(t)
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			w, err := d.Waive(t.Context(), admin(), rules.Waiver{Rule: "cool", Match: []string{fmt.Sprintf("pkg:npm/p%d", i)}, Until: d.now.Add(day), Why: "so"})
			if err == nil && i%2 == 0 {
				err = d.Unwaive(t.Context(), admin(), w.ID)
			}
			if err == nil && i%5 == 0 {
				err = d.Use(cool(), nil)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := len(d.list()); n != 10 {
		t.Errorf("%d waivers in memory, want 10", n)
	}
	for i := range 20 {
		if d.refuses(fmt.Sprintf("p%d", i)) != (i%2 == 0) {
			t.Errorf("p%d", i)
		}
	}
	d.open()
	if n := len(d.list()); n != 10 {
		t.Errorf("%d waivers in the index, want 10", n)
	}
}

func TestRules(t *testing.T) {
	d := newDesk(t)
	list := append(cool(), rules.Rule{ID: "bad", Kind: rules.Deny, Mode: "warn", Match: []string{"pkg:npm/evil"}, Reason: "steals"})
	d.must(d.Use(list, nil))
	d.Refused("cool")
	d.Refused("cool")
	d.Warned("bad")
	d.Refused(rules.Pin)
	shown, err := d.Book.Rules(admin())
	d.must(err)
	var got []string
	for _, r := range shown {
		got = append(got, fmt.Sprintf("%s/%s/%s/%s %v %d %d", r.ID, r.Kind, r.Mode, r.Source, r.Waivable, r.Refused, r.Warned))
	}
	want := "claim/claim/enforce/built-in false 0 0, origin/origin/enforce/built-in false 0 0, bad/deny/warn/config true 0 1, " +
		"cool/cooldown/enforce/config true 2 0, pin/pin/enforce/built-in false 1 0"
	if text := strings.Join(got, ", "); text != want {
		t.Errorf("%s, want %s", text, want)
	}
	if r, ok := d.Rule("cool"); !ok || r.MinAge != 7*24*3600 || r.UnknownTime != "first_seen" {
		t.Errorf("%+v", r)
	}
	if _, ok := d.Rule("none"); ok {
		t.Error("a rule that is not there")
	}
	d.must(d.Use(nil, nil))
	d.must(d.Use(list, nil))
	if r, _ := d.Rule("cool"); r.Refused != 0 {
		t.Errorf("what a rule did before it went and came back: %+v", r)
	}
}

func TestDamagedRowIsToldAtTheStart(t *testing.T) {
	index := memory.NewIndex()
	err := index.Update(t.Context(), func(w cache.Writer) error { return w.Put(givenKey("x"), []byte("nonsense")) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), index, Options{}); err == nil || !strings.Contains(err.Error(), `"x"`) {
		t.Errorf("%v", err)
	}
}

// However many waivers are given, a configuration that is right is taken.
func TestGivenWaiversLeaveRoomForWrittenOnes(t *testing.T) {
	d := newDesk(t)
	d.waive("pkg:npm/left", day)
	written := make([]rules.Waiver, 10_000)
	for i := range written {
		written[i] = rules.Waiver{Rule: "cool", Match: []string{fmt.Sprintf("pkg:npm/p%d", i)}, By: "bob", Why: "so", Until: d.now.Add(day)}
	}
	d.must(d.Use(cool(), written))
	if d.refuses("left") || d.refuses("p9999") || !d.refuses("right") {
		t.Error("a waiver is lost")
	}
	if n := len(d.list()); n != len(written)+1 {
		t.Errorf("%d waivers", n)
	}
}
