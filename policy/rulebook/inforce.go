package rulebook

import (
	"slices"
	"sync"
	"time"

	"larder/policy"
	"larder/policy/rules"
)

// Rule is a rule as administrators are shown it.
type Rule struct {
	ID          string    `json:"id" doc:"Id of the rule."`
	Kind        string    `json:"kind" doc:"What it does."`
	Mode        string    `json:"mode" enum:"enforce,warn,off" doc:"Whether what it refuses is refused, or only recorded."`
	Source      Source    `json:"source" doc:"Where it stands."`
	Reason      string    `json:"reason,omitempty" doc:"What is told to who is refused."`
	Formats     []string  `json:"formats,omitempty" doc:"Formats that it is about; absent for all."`
	Mounts      []string  `json:"mounts,omitempty" doc:"Registries that it is about; absent for all."`
	Match       []string  `json:"match,omitempty" doc:"Package URLs that it is about; absent for all."`
	Exempt      []string  `json:"exempt,omitempty" doc:"Package URLs that it is not about."`
	MinAge      int64     `json:"min_age_seconds,omitempty" doc:"How long a cooldown waits."`
	NotAfter    time.Time `json:"not_after,omitzero" doc:"From when on a freeze refuses what is published."`
	Exclusive   bool      `json:"exclusive,omitempty" doc:"An allow that refuses all that no allow covers."`
	UnknownTime string    `json:"unknown_time,omitempty" doc:"What takes the place of a time of publication that is not known."`
	Expires     time.Time `json:"expires,omitzero" doc:"When the rule ends; absent for never."`
	Waivable    bool      `json:"waivable" doc:"A waiver can lift it."`
	Refused     int64     `json:"refused" doc:"Requests that were refused since the start, without versions that were left out of documents."`
	Warned      int64     `json:"warned" doc:"What would have been refused, had the rule not been in mode warn, since the start."`
}

// Rules lists every rule in the order in which they are asked, built-in ones
// included.
func (b *Book) Rules(actor policy.Subject) ([]Rule, error) {
	if err := policy.MustAdminister(actor); err != nil {
		return nil, err
	}
	list := []Rule{b.builtIn(rules.Claim), b.builtIn(rules.Origin)}
	for _, r := range b.Set().Rules() {
		list = append(list, b.describe(r))
	}
	return append(list, b.builtIn(rules.Pin)), nil
}

// Rule returns one rule, built-in or not; ok is false where there is none now.
func (b *Book) Rule(id string) (r Rule, ok bool) {
	if slices.Contains([]string{rules.Claim, rules.Origin, rules.Pin}, id) {
		return b.builtIn(id), true
	}
	found, ok := b.Set().Rule(id)
	if !ok {
		return r, false
	}
	return b.describe(found), true
}

func (b *Book) builtIn(kind string) Rule {
	reasons := map[string]string{
		rules.Claim:  "names that are ours are never asked upstream",
		rules.Origin: "a name belongs to whoever had it first: what was published here is not taken from an upstream, nor the other way round",
		rules.Pin:    "a file has the bytes that were first seen",
	}
	r := Rule{ID: kind, Kind: kind, Mode: "enforce", Source: BuiltIn, Reason: reasons[kind]}
	r.Refused, r.Warned = b.counts.of(kind)
	return r
}

func (b *Book) describe(r rules.Rule) Rule {
	out := Rule{
		ID: r.ID, Kind: r.Kind, Mode: r.Mode, Source: Config, Reason: r.Reason, Formats: r.Formats, Mounts: r.Mounts,
		Match: r.Match, Exempt: r.Exempt, MinAge: int64(r.MinAge.Seconds()), NotAfter: r.NotAfter, Exclusive: r.Exclusive,
		Expires: r.Expires, Waivable: true,
	}
	if r.Kind == rules.Cooldown || r.Kind == rules.Freeze {
		out.UnknownTime = r.UnknownTime
	}
	out.Refused, out.Warned = b.counts.of(r.ID)
	return out
}

// Refused counts a request that a rule refused.
func (b *Book) Refused(rule string) { b.counts.add(rule, true) }

// Warned counts what a rule in mode warn would have refused.
func (b *Book) Warned(rule string) { b.counts.add(rule, false) }

// maxCounts bounds the rules that are counted: more than there can be.
const maxCounts = 10_100

type count struct{ refused, warned int64 }

// counts are by the id of a rule.
type counts struct {
	mu   sync.Mutex
	byID map[string]count
}

func (c *counts) add(id string, refused bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byID == nil {
		c.byID = map[string]count{}
	}
	n, known := c.byID[id]
	if !known && len(c.byID) >= maxCounts {
		return
	}
	if refused {
		n.refused++
	} else {
		n.warned++
	}
	c.byID[id] = n
}

func (c *counts) of(id string) (refused, warned int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.byID[id]
	return n.refused, n.warned
}

// keep forgets rules that are gone.
func (c *counts) keep(list []rules.Rule) {
	c.mu.Lock()
	defer c.mu.Unlock()
	here := map[string]bool{rules.Claim: true, rules.Origin: true, rules.Pin: true}
	for _, r := range list {
		here[r.ID] = true
	}
	for id := range c.byID {
		if !here[id] {
			delete(c.byID, id)
		}
	}
}
