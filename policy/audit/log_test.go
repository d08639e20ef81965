package audit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"larder/cache"
	"larder/cache/clocktest"
	"larder/cache/memory"
)

// newLog returns a Log that is never in a hurry.
func newLog(index cache.Index, chain Chain) *Log {
	l := NewLog(index, chain)
	l.patience, l.beat = time.Hour, time.Hour
	return l
}

// startLog runs a Log until the test ends.
func startLog(t *testing.T, index cache.Index, chain Chain) *Log {
	t.Helper()
	l := newLog(index, chain)
	stop := run(t, l, func(err error) { t.Errorf("the log reports: %v", err) })
	t.Cleanup(stop)
	return l
}

// run returns what ends the Log, once.
func run(t *testing.T, l *Log, report func(error)) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Run(ctx, report)
	}()
	return sync.OnceFunc(func() {
		cancel()
		<-done
	})
}

func TestRefusedIsFoundAtOnce(t *testing.T) {
	backends(t, func(t *testing.T, index cache.Index) {
		l := startLog(t, index, Chain{Node: "n1"})
		ctx := With(t.Context(), alice())
		id, err := l.Refused(ctx, refusal("left-pad"))
		must(t, err)
		got, err := Find(t.Context(), index, id)
		must(t, err)
		if got.Decision != Deny || got.Actor.ID != "alice" || got.Status != 403 || got.Reason.RuleID != "cool" || got.Count != 0 || got.Node != "n1" {
			t.Errorf("%+v", got)
		}
		if len(id) < 8 {
			t.Errorf("the id %q can be guessed", id)
		}
	})
}

// What was refused is answered once it is durable, and not before.
func TestRefusedWaitsForTheCommit(t *testing.T) {
	g := &gate{Index: memory.NewIndex(), begun: make(chan struct{}), let: make(chan error), ctx: t.Context()}
	l := startLog(t, g, Chain{})
	answered := make(chan error, 1)
	go func() {
		_, err := l.Refused(t.Context(), refusal("a"))
		answered <- err
	}()
	<-g.begun
	select {
	case err := <-answered:
		t.Fatalf("answered before the commit: %v", err)
	default:
	}
	g.let <- nil
	must(t, <-answered)
	wantClean(t, g.Index, 1)
}

// A hidden package must not take longer to miss than one that is not there, and
// nobody waits for ever.
func TestRefusedThatDoesNotWait(t *testing.T) {
	g := &gate{Index: memory.NewIndex(), begun: make(chan struct{}, 99), let: make(chan error), ctx: t.Context()}
	l := newLog(g, Chain{})
	l.patience = 1
	stop := run(t, l, func(error) {})
	hidden := refusal("secret")
	hidden.Status = http.StatusNotFound
	_, err := l.Refused(t.Context(), hidden)
	must(t, err)
	<-g.begun
	if _, err := l.Refused(t.Context(), refusal("slow")); !errors.Is(err, errSlow) {
		t.Errorf("a slow index: %v", err)
	}
	l.patience = time.Hour
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Refused(gone, refusal("impatient")); !errors.Is(err, context.Canceled) {
		t.Errorf("a client that is gone: %v", err)
	}
	close(g.let)
	stop()
	// None of them is lost for that.
	wantClean(t, g.Index, 3)
}

// What only warns is served: it waits for nothing, and is told apart.
func TestWarned(t *testing.T) {
	g := &gate{Index: memory.NewIndex(), begun: make(chan struct{}, 99), let: make(chan error), ctx: t.Context()}
	l := newLog(g, Chain{})
	stop := run(t, l, func(error) {})
	for range 3 {
		must(t, l.Warned(With(t.Context(), alice()), refusal("a")))
	}
	<-g.begun
	close(g.let)
	_, err := l.Refused(With(t.Context(), alice()), refusal("a"))
	must(t, err)
	stop()
	by := map[Decision]int{}
	for _, r := range records(t, g.Index) {
		by[r.Decision] += max(1, r.Count)
	}
	if by[Allow] != 3 || by[Deny] != 1 {
		t.Errorf("recorded %v", by)
	}
	if err := l.Warned(t.Context(), Record{}); err == nil {
		t.Error("a record without an action was taken")
	}
}

func TestRepeatsAreCounted(t *testing.T) {
	index, c := memory.NewIndex(), clocktest.New(0)
	l := startLog(t, index, Chain{Clock: c.Now})
	ctx := With(t.Context(), alice())
	first, err := l.Refused(ctx, refusal("a"))
	must(t, err)
	for range 40 {
		c.Advance(time.Second)
		r := refusal("a")
		r.Reason.Sentence = c.Now().String() // sentences tell the time
		id, err := l.Refused(ctx, r)
		if err != nil || id != first {
			t.Fatalf("decision %s, want %s, %v", id, first, err)
		}
	}
	wantClean(t, index, 1)
	must(t, l.Flush(t.Context()))
	list := records(t, index)
	if len(list) != 2 || list[1].Count != 40 || list[1].DecisionID != first || list[1].Time.Sub(list[0].Time) != 40*time.Second {
		t.Fatalf("%d records, the last %+v", len(list), list[len(list)-1])
	}
	wantClean(t, index, 2)

	// The window goes on; when it is over, the next refusal is news.
	c.Advance(window)
	must(t, l.Flush(t.Context()))
	wantClean(t, index, 2)
	second, err := l.Refused(ctx, refusal("a"))
	if err != nil || second == first {
		t.Errorf("after a minute: decision %s, %v", second, err)
	}
	wantClean(t, index, 3)
}

func TestWindowsEndByThemselves(t *testing.T) {
	c, tl := clocktest.New(0), &tally{}
	note := func(pkg string) {
		t.Helper()
		r := refusal(pkg)
		r.Time = c.Now()
		_, _, err := tl.note(r)
		must(t, err)
	}
	note("a")
	note("b")
	written := tl.entries(tl.due(firsts, c.Now()))
	if len(written) != 2 || len(tl.due(firsts, c.Now())) != 0 {
		t.Fatalf("%d groups are new, want 2", len(written))
	}
	tl.settle(written, nil)
	note("a")
	if list := tl.due(ended, c.Now()); len(list) != 0 {
		t.Error("a window that runs was written")
	}
	for _, step := range []time.Duration{window, -3 * window} { // a clock that is set back ends windows, too
		c.Advance(step)
		if list := tl.due(ended, c.Now()); len(list) != 1 {
			t.Fatalf("%d windows to write, want 1", len(list))
		}
	}
	tl.sweep(c.Now())
	if len(tl.groups) != 1 {
		t.Errorf("%d groups are left, want the one that is not written", len(tl.groups))
	}
	tl.settle(tl.entries(tl.due(ended, c.Now())), nil)
	tl.sweep(c.Now())
	if len(tl.groups)+len(tl.callers) != 0 {
		t.Errorf("left: %v, %v", tl.groups, tl.callers)
	}
}

// What comes while a group is being written is neither lost nor written twice,
// and what could not be written is tried again before its window is over.
func TestTallyWhileItIsWritten(t *testing.T) {
	c, tl := clocktest.New(0), &tally{}
	note := func() <-chan error {
		t.Helper()
		r := refusal("a")
		r.Time = c.Now()
		_, answer, err := tl.note(r)
		must(t, err)
		return answer
	}
	if first, second := note(), note(); first == nil || second != nil {
		t.Error("only the first of a group waits")
	}
	list := tl.due(firsts, c.Now())
	if len(list) != 1 {
		t.Fatalf("%d groups, want 1", len(list))
	}
	tl.settle(tl.entries(list), errors.New("broken"))
	tl.settle(nil, nil)
	if list = tl.due(ended, c.Now()); len(list) != 1 {
		t.Fatalf("%d groups to try again, want 1", len(list))
	}
	batch := tl.entries(list)
	note()
	tl.settle(batch, nil)
	if n := tl.unwritten(); batch[0].record.Count != 2 || n != 1 {
		t.Errorf("%d were written and %d are left, want 2 and 1", batch[0].record.Count, n)
	}
}

// What tells refusals apart: for those without a valid credential not what they
// ask for, which costs them nothing to change.
func TestLikeness(t *testing.T) {
	base := refusal("a")
	base.IP, base.Actor = here, Actor{ID: "alice", Kind: User, TokenID: "1"}
	unauthorized := base
	unauthorized.Status, unauthorized.Actor = http.StatusUnauthorized, Actor{Kind: Anonymous}
	for name, c := range map[string]struct {
		of     Record
		change func(r *Record)
		alike  bool
	}{
		"request and client":   {base, func(r *Record) { r.RequestID, r.UserAgent, r.Reason.Sentence = "x", "y", "z" }, true},
		"package":              {base, func(r *Record) { r.Resource.Package = "b" }, false},
		"rule":                 {base, func(r *Record) { r.Reason.RuleID = "b" }, false},
		"decision":             {base, func(r *Record) { r.Decision = Allow }, false},
		"action":               {base, func(r *Record) { r.Action = "publish" }, false},
		"token":                {base, func(r *Record) { r.Actor.TokenID = "2" }, false},
		"address":              {base, func(r *Record) { r.IP = netip.MustParseAddr("192.0.2.2") }, false},
		"status":               {base, func(r *Record) { r.Status = 404 }, false},
		"package, no token":    {unauthorized, func(r *Record) { r.Resource.Package = "b" }, true},
		"address, no token":    {unauthorized, func(r *Record) { r.IP = netip.MustParseAddr("2001:db8::1") }, false},
		"too many failed ones": {unauthorized, func(r *Record) { r.Status = http.StatusTooManyRequests }, false},
	} {
		other := c.of
		c.change(&other)
		if alike := likenessOf(&c.of) == likenessOf(&other); alike != c.alike {
			t.Errorf("%s: alike is %v", name, alike)
		}
	}
}

// A flood costs bounded memory and few records, and every refusal is counted.
func TestFloodIsBoundedAndCounted(t *testing.T) {
	index, c := memory.NewIndex(), clocktest.New(0)
	l := newLog(index, Chain{Clock: c.Now})
	refuse := func(o Origin, r Record) {
		r.Decision = Deny
		_, _, err := l.tally.note(l.fill(With(t.Context(), o), r).bounded(maxText))
		must(t, err)
	}
	const names, addresses, guesses = 1000, 3 * maxGroups, 7
	for i := range names {
		refuse(alice(), refusal(fmt.Sprint("p", i)))
	}
	for i := range addresses {
		o := Origin{IP: netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)})}
		for n := range guesses {
			r := refusal(fmt.Sprint("q", i, n))
			r.Status = http.StatusUnauthorized
			refuse(o, r)
		}
	}
	// There is room for who is known all the same.
	bob := Origin{IP: here, Actor: Actor{ID: "bob", Kind: User, TokenID: "2"}}
	refuse(bob, refusal("left-pad"))
	if len(l.tally.groups) > 2*maxGroups+1 || len(l.tally.callers) > 2*maxGroups+1 {
		t.Errorf("%d groups of %d callers", len(l.tally.groups), len(l.tally.callers))
	}
	must(t, l.Flush(t.Context()))
	total, by := 0, map[string]int{}
	for _, r := range records(t, index) {
		total += max(1, r.Count)
		by[r.Actor.ID+" "+string(r.Actor.Kind)+" "+r.Action]++
	}
	if total != names+addresses*guesses+1 {
		t.Errorf("%d refusals are told of, want %d", total, names+addresses*guesses+1)
	}
	want := map[string]int{
		"alice user read": maxPerCaller, "alice user audit.more": 1, "bob user read": 1,
		" anonymous read": maxGroups/2 - maxPerCaller - 1, " unknown audit.more": 1,
	}
	if !maps.Equal(by, want) {
		t.Errorf("records %v, want %v", by, want)
	}
	c.Advance(window)
	must(t, l.Flush(t.Context()))
	if len(l.tally.groups)+len(l.tally.callers) != 0 {
		t.Errorf("%d groups stay behind", len(l.tally.groups))
	}
}

// An index that is full for a while costs no refusal, and tells at once.
func TestFailedWrites(t *testing.T) {
	g := &gate{Index: memory.NewIndex(), begun: make(chan struct{}, 999), let: make(chan error, 999), ctx: t.Context()}
	l := newLog(g, Chain{})
	reports := make(chan error, 99)
	stop := run(t, l, func(err error) { reports <- err })
	g.let <- cache.ErrFull
	id, err := l.Refused(t.Context(), refusal("a"))
	if !errors.Is(err, cache.ErrFull) || id == "" {
		t.Fatalf("id %q, %v", id, err)
	}
	if err := <-reports; !errors.Is(err, cache.ErrFull) {
		t.Errorf("reported: %v", err)
	}
	for _, pkg := range []string{"a", "b", "b"} {
		if _, err := l.Refused(t.Context(), refusal(pkg)); !errors.Is(err, cache.ErrFull) {
			t.Errorf("while it fails: %v", err)
		}
	}
	if len(g.let) != 0 || len(g.begun) != 1 {
		t.Error("while it fails, refusals try again one by one")
	}
	g.let <- nil
	must(t, l.Flush(t.Context()))
	g.let <- nil
	_, err = l.Refused(t.Context(), refusal("c"))
	must(t, err)
	stop()
	total := 0
	for _, r := range records(t, g.Index) {
		total += max(1, r.Count)
	}
	if found, err := Find(t.Context(), g.Index, id); err != nil || found.Count != 2 || total != 5 {
		t.Errorf("%d refusals are told of, want 5; the first %+v, %v", total, found, err)
	}
}

func TestRunEndsClean(t *testing.T) {
	index := memory.NewIndex()
	l := newLog(index, Chain{})
	stop := run(t, l, func(err error) { t.Error(err) })
	for range 5 {
		_, err := l.Refused(t.Context(), refusal("a"))
		must(t, err)
	}
	stop()
	wantClean(t, index, 2)
	if list := records(t, index); list[1].Count != 4 {
		t.Errorf("the last record is %+v", list[1])
	}
	if _, err := l.Refused(t.Context(), refusal("late")); !errors.Is(err, errClosed) {
		t.Errorf("after the end: %v", err)
	}
	if _, err := l.Refused(t.Context(), Record{}); err == nil {
		t.Error("a record without an action was taken")
	}
}

// What could not be written by the end is told.
func TestRunTellsWhatIsLost(t *testing.T) {
	g := &gate{Index: memory.NewIndex(), begun: make(chan struct{}, 9), let: make(chan error, 9), ctx: t.Context()}
	l := newLog(g, Chain{})
	reports := make(chan error, 9)
	stop := run(t, l, func(err error) { reports <- err })
	g.let <- cache.ErrFull
	g.let <- cache.ErrFull
	for range 3 {
		if _, err := l.Refused(t.Context(), refusal("a")); !errors.Is(err, cache.ErrFull) {
			t.Errorf("refused: %v", err)
		}
	}
	stop()
	close(reports)
	var last error
	for last = range reports {
	}
	if !errors.Is(last, cache.ErrFull) || !strings.Contains(last.Error(), "3 refusals are missing") {
		t.Errorf("reported last: %v", last)
	}
}
