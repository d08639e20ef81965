package rules

import (
	"cmp"
	"slices"
	"strings"

	"larder/policy/purl"
)

// part is where a pattern stands in a rule.
type part uint8

const (
	matches part = iota
	exempts
	waives
)

// entry is one pattern of a rule in the index.
type entry struct {
	rule    *rule
	part    part
	pattern *purl.Pattern
	grant   *grant // of waives
}

// names finds the patterns that cover a name of one format, in a time that
// grows with how many do and not with how many there are. Names without a
// wildcard are found as they are, others by the longer of what stands before
// the first wildcard and behind the last. Only what has neither is tried in
// vain.
type names struct {
	exact       map[string][]*entry
	heads       map[string][]*entry
	tails       map[string][]*entry
	headLengths []length
	tailLengths []length
}

// length is one that some heads or tails have.
type length struct {
	n int
	// edges are the bytes that stand next to the wildcard. Most names have
	// another there, and need no look into the map.
	edges [256 / 64]uint64
}

func (l *length) has(edge byte) bool { return l.edges[edge/64]&(1<<(edge%64)) != 0 }

func newNames() *names {
	return &names{exact: map[string][]*entry{}, heads: map[string][]*entry{}, tails: map[string][]*entry{}}
}

func (n *names) add(e *entry) {
	name := e.pattern.Name()
	head, _, wild := strings.Cut(name, "*")
	tail := name[strings.LastIndexByte(name, '*')+1:]
	if strings.HasSuffix(name, ".**") {
		head = strings.TrimSuffix(head, ".") // com.acme.** covers com.acme too
	}
	switch {
	case !wild:
		n.exact[name] = append(n.exact[name], e)
	case len(tail) > len(head):
		n.tails[tail] = append(n.tails[tail], e)
		n.tailLengths = with(n.tailLengths, len(tail), tail[0])
	default:
		n.heads[head] = append(n.heads[head], e)
		n.headLengths = with(n.headLengths, len(head), name[max(0, len(head)-1)])
	}
}

func with(list []length, n int, edge byte) []length {
	i := slices.IndexFunc(list, func(l length) bool { return l.n == n })
	if i < 0 {
		i, list = len(list), append(list, length{n: n})
	}
	list[i].edges[edge/64] |= 1 << (edge % 64)
	return list
}

// find appends the entries that cover a folded name.
func (n *names) find(name string, found []*entry) []*entry {
	found = append(found, n.exact[name]...)
	for i := range n.headLengths {
		l := &n.headLengths[i]
		if l.n == 0 || l.n <= len(name) && l.has(name[l.n-1]) {
			found = covering(n.heads[name[:l.n]], name, found)
		}
	}
	for i := range n.tailLengths {
		l := &n.tailLengths[i]
		if l.n <= len(name) && l.has(name[len(name)-l.n]) {
			found = covering(n.tails[name[len(name)-l.n:]], name, found)
		}
	}
	return found
}

func covering(entries []*entry, name string, found []*entry) []*entry {
	for _, e := range entries {
		if e.pattern.MatchName(name) {
			found = append(found, e)
		}
	}
	return found
}

// concern is a rule with those of its patterns that cover one name.
type concern struct {
	rule          *rule
	match, exempt []*purl.Pattern
	grants        []*grant
}

// assemble returns base, which is in order, with what was found added. It
// sorts found and leaves base as it is.
func assemble(base []concern, found []*entry) []concern {
	slices.SortFunc(found, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(a.rule.order, b.rule.order), cmp.Compare(a.part, b.part))
	})
	out := append(make([]concern, 0, len(base)+len(found)), base...)
	for len(found) > 0 {
		first, n := found[0], 1
		for n < len(found) && found[n].rule == first.rule && found[n].part == first.part {
			n++
		}
		i, ok := slices.BinarySearchFunc(out, first.rule.order, func(c concern, order int) int { return cmp.Compare(c.rule.order, order) })
		if !ok && first.part == matches {
			out = slices.Insert(out, i, first.rule.start(first.pattern.Format()))
			ok = true
		}
		if ok { // else an exception from a rule that is about other names
			out[i].take(found[:n])
		}
		found = found[n:]
	}
	return out
}

// take adds patterns that cover the name, all of one part. It leaves alone who
// shares the lists.
func (c *concern) take(entries []*entry) {
	part := entries[0].part
	switch part {
	case matches:
		c.match = slices.Grow(slices.Clip(c.match), len(entries))
	case exempts:
		c.exempt = slices.Grow(slices.Clip(c.exempt), len(entries))
	case waives:
		c.grants = slices.Grow(slices.Clip(c.grants), len(entries))
	}
	for _, e := range entries {
		switch part {
		case matches:
			c.match = append(c.match, e.pattern)
		case exempts:
			c.exempt = append(c.exempt, e.pattern)
		case waives:
			c.grants = append(c.grants, e.grant)
		}
	}
}
