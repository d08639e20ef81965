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
	headLengths []int
	tailLengths []int
}

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
		n.tailLengths = with(n.tailLengths, len(tail))
	default:
		n.heads[head] = append(n.heads[head], e)
		n.headLengths = with(n.headLengths, len(head))
	}
}

func with(list []int, n int) []int {
	if slices.Contains(list, n) {
		return list
	}
	return append(list, n)
}

// find appends the entries that cover a folded name.
func (n *names) find(name string, found []*entry) []*entry {
	found = append(found, n.exact[name]...)
	for _, length := range n.headLengths {
		if length <= len(name) {
			found = covering(n.heads[name[:length]], name, found)
		}
	}
	for _, length := range n.tailLengths {
		if length <= len(name) {
			found = covering(n.tails[name[len(name)-length:]], name, found)
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
