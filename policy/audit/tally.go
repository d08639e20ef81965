package audit

import (
	"crypto/rand"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"larder/policy"
)

// Bounds of what is told apart within a window; beyond, refusals are counted
// together. They bound memory (a group takes about 1 KiB) as well as the growth
// of the log: a group is at most two records a window.
const (
	window       = time.Minute
	maxGroups    = 4096
	maxPerCaller = 256
)

// more is the action of records that stand for refusals of several kinds.
const more = "audit.more"

var errClosed = errors.New("the audit log is closed")

// caller is who is counted: a credential at a network.
type caller struct {
	id, token string
	kind      Kind
	network   netip.Prefix
}

// likeness is what refusals of one group have in common.
type likeness struct {
	caller   caller
	decision Decision
	action   string
	status   int
	reason   Reason
	resource Resource
}

// likenessOf leaves out what differs between equal refusals. Whoever has no
// valid credential may ask for anything at no cost, so that there what was
// asked for makes no difference either.
func likenessOf(r *Record) likeness {
	l := likeness{
		caller:   caller{r.Actor.ID, r.Actor.TokenID, r.Actor.Kind, policy.Network(r.IP)},
		decision: r.Decision, action: r.Action, status: r.Status, reason: r.Reason, resource: r.Resource,
	}
	l.reason.Sentence = ""
	if r.Status == http.StatusUnauthorized || r.Status == http.StatusTooManyRequests {
		l.resource = Resource{}
	}
	return l
}

// group is the refusals that are alike within a window.
type group struct {
	likeness likeness
	record   Record // the first of them
	since    time.Time
	last     time.Time
	pending  int        // refusals that are in no record yet
	written  bool       // there is a record of the group
	answer   chan error // to whoever waits for that record; nil once answered
}

// tally holds the refusals that are not written yet, and what the log already
// tells of the window. Its size is bounded and it never loses a count.
type tally struct {
	mu      sync.Mutex
	groups  map[likeness]*group
	callers map[caller]int // groups of each
	fresh   []*group       // groups without a record, in order
	failed  error          // of the last write
	closed  bool
}

// note counts a refusal. It returns the id of the decision under which the
// refusal is found, and for the first of a group where its outcome will be told.
func (t *tally) note(r Record) (id string, answer <-chan error, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return "", nil, errClosed
	}
	g := t.group(&r)
	g.pending++
	g.last = r.Time
	if t.failed != nil {
		return g.record.DecisionID, nil, t.failed
	}
	if g.pending > 1 || g.written {
		return g.record.DecisionID, nil, nil
	}
	t.fresh = append(t.fresh, g)
	g.answer = make(chan error, 1)
	return g.record.DecisionID, g.answer, nil
}

// group finds the group of a refusal, or makes one while there is room.
func (t *tally) group(r *Record) *group {
	own := likenessOf(r)
	named, counted := maxGroups, 2*maxGroups
	if own.caller.token == "" {
		// Addresses cost little: they leave room for those who are known.
		named, counted = maxGroups/2, maxGroups/2
	}
	if g := t.find(own, len(t.groups) < named && t.callers[own.caller] < maxPerCaller, r, itself); g != nil {
		return g
	}
	rest := likeness{caller: own.caller, decision: r.Decision, action: more}
	if g := t.find(rest, len(t.groups) < counted, r, ofCaller); g != nil {
		return g
	}
	return t.find(likeness{decision: r.Decision, action: more}, true, r, ofCrowd)
}

// find returns the group, a new one if there is room, or else nil.
func (t *tally) find(l likeness, room bool, r *Record, first func(*Record) Record) *group {
	g, ok := t.groups[l]
	if ok || !room {
		return g
	}
	return t.add(l, first(r))
}

func (t *tally) add(l likeness, r Record) *group {
	if t.groups == nil {
		t.groups, t.callers = map[likeness]*group{}, map[caller]int{}
	}
	if r.DecisionID == "" {
		r.DecisionID = NewDecisionID()
	}
	g := &group{likeness: l, record: r, since: r.Time}
	t.groups[l] = g
	t.callers[l.caller]++
	return g
}

// NewDecisionID returns an id of 12 letters and digits (60 bits): enough that
// nobody guesses one, for whoever holds it may read why a request was refused.
func NewDecisionID() string { return rand.Text()[:12] }

func itself(r *Record) Record { return *r }

// ofCaller stands for what was too much of one caller.
func ofCaller(r *Record) Record {
	return Record{
		Time: r.Time, Node: r.Node, Actor: r.Actor, IP: r.IP, Action: more, Decision: r.Decision,
		Reason: Reason{Limit: "records", Sentence: "this caller was refused too many different things in a minute: they were counted together"},
	}
}

// ofCrowd stands for what was too much of many.
func ofCrowd(r *Record) Record {
	return Record{
		Time: r.Time, Node: r.Node, Actor: Actor{Kind: Unknown}, Action: more, Decision: r.Decision,
		Reason: Reason{Limit: "records", Sentence: "too many callers were refused in a minute: they were counted together"},
	}
}

// which says what of the tally is to be written.
type which uint8

const (
	firsts which = iota // groups without a record
	ended               // these, and the counts of windows that are over
	all                 // everything
)

// due returns the groups to write.
func (t *tally) due(what which, now time.Time) []*group {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := t.fresh
	t.fresh = nil
	if what == firsts {
		return list
	}
	list = nil
	for _, g := range t.groups {
		if g.pending > 0 && (what == all || !g.written || g.over(now)) {
			list = append(list, g)
		}
	}
	slices.SortFunc(list, func(a, b *group) int { return a.since.Compare(b.since) })
	return list
}

// over also holds when the clock was set back, so that no window is endless.
func (g *group) over(now time.Time) bool {
	age := now.Sub(g.since)
	return age >= window || age < -window
}

// entry is a group with what is about to be written of it.
type entry struct {
	group  *group
	count  int
	record Record
}

// entries fixes what to write; refusals that come now are left for later.
func (t *tally) entries(list []*group) []entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]entry, 0, len(list))
	for _, g := range list {
		e := entry{g, g.pending, g.record}
		if e.count > 1 {
			e.record.Count = e.count
		}
		if g.written {
			e.record.Time = g.last
		}
		out = append(out, e)
	}
	return out
}

// settle notes the outcome of a write.
func (t *tally) settle(list []entry, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed = err
	for _, e := range list {
		if err == nil {
			e.group.pending -= e.count
			e.group.written = true
		}
		if e.group.answer != nil {
			e.group.answer <- err
			e.group.answer = nil
		}
	}
}

// sweep forgets windows that are over and written.
func (t *tally) sweep(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for l, g := range t.groups {
		if g.pending > 0 || !g.over(now) {
			continue
		}
		delete(t.groups, l)
		if t.callers[l.caller]--; t.callers[l.caller] == 0 {
			delete(t.callers, l.caller)
		}
	}
}

// close ends the counting.
func (t *tally) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
}

// unwritten is how many refusals no record tells of.
func (t *tally) unwritten() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, g := range t.groups {
		n += g.pending
	}
	return n
}
