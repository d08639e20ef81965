package audit

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// Decision is what became of a request.
type Decision string

// The decisions.
const (
	Allow Decision = "allow" // a change that was made, or what a rule would refuse that only warns
	Deny  Decision = "deny"  // a refusal
)

// Record is one line of the log. Texts hold no secrets: nothing that is one has
// a field, tokens and the userinfo of URLs are taken out of what stands in the
// others, and so are control characters and broken UTF-8. Longer texts than the
// given number of bytes are cut and end in "…"; a record that would pass 4 KiB
// has all its texts cut shorter.
type Record struct {
	Seq        uint64     `json:"seq,omitzero"` // from 1, without a gap; given by the log
	Time       time.Time  `json:"time"`         // to the microsecond; given by the log
	Node       string     `json:"node,omitempty"`
	RequestID  string     `json:"request_id,omitempty"` // 128
	Actor      Actor      `json:"actor"`
	IP         netip.Addr `json:"ip,omitzero"`
	UserAgent  string     `json:"user_agent,omitempty"` // 256
	Action     string     `json:"action"`               // thing.verb for changes, the policy.Action for refusals; 64
	Resource   Resource   `json:"resource,omitzero"`
	Decision   Decision   `json:"decision"`
	DecisionID string     `json:"decision_id,omitempty"` // of refusals; 64
	Reason     Reason     `json:"reason,omitzero"`
	Status     int        `json:"status,omitzero"` // of the HTTP reply
	// Count is how many refusals the record stands for; 0 is one.
	Count  int   `json:"count,omitzero"`
	Before State `json:"before,omitempty"`
	After  State `json:"after,omitempty"`
	// PrevHash and Hash are in hex and given by the log.
	PrevHash string `json:"prev_hash,omitempty"`
	Hash     string `json:"hash,omitempty"`
}

// Kind is what an actor is.
type Kind string

// The kinds.
const (
	User      Kind = "user"
	Robot     Kind = "robot"     // a deployment
	Job       Kind = "job"       // one run of a job
	Anonymous Kind = "anonymous" // nobody signed in
	System    Kind = "system"    // larder itself
	Unknown   Kind = "unknown"   // whoever wrote the record did not know
)

// Actor is who did it. Each text has at most 128 bytes.
type Actor struct {
	ID         string `json:"id,omitempty"` // name of the user
	Kind       Kind   `json:"kind"`
	TokenID    string `json:"token_id,omitempty"`
	TokenLast4 string `json:"token_last4,omitempty"`
	Via        string `json:"via,omitempty"` // how the credential came: bearer, basic, cookie
}

// Resource is what it was done to.
type Resource struct {
	Format     string `json:"format,omitempty"`     // 64
	Owner      string `json:"owner,omitempty"`      // user or organization; 128
	Repository string `json:"repository,omitempty"` // owner/name; 200
	Package    string `json:"package,omitempty"`    // 256
	Version    string `json:"version,omitempty"`    // 256
	File       string `json:"file,omitempty"`       // 512
	Digest     string `json:"digest,omitempty"`     // 160
	// ID names what has no place above: a token, claim, rule or waiver; 128.
	ID string `json:"id,omitempty"`
}

// Reason is why: the rule, or what was lacking or exceeded, and the sentence
// that the client was told. Each text has at most 128 bytes, the sentence 512.
type Reason struct {
	RuleID   string `json:"rule_id,omitempty"`
	Scope    string `json:"scope,omitempty"`
	Role     string `json:"role,omitempty"`
	Limit    string `json:"limit,omitempty"`
	Sentence string `json:"sentence,omitempty"`
}

// State is the part of a thing that a change concerns, by field: at most 8, the
// names up to 32 and the values up to 128 bytes.
type State map[string]string

const (
	maxFields = 8
	maxText   = 512 // bytes of the longest text
)

// check refuses what is a mistake of the caller.
func (r *Record) check() error {
	if r.Action == "" || r.Decision != Allow && r.Decision != Deny {
		return fmt.Errorf("audit record of action %.40q, decision %.40q: both are needed", r.Action, string(r.Decision))
	}
	return nil
}

// bounded returns the record with all texts clean and at most that long.
func (r Record) bounded(most int) Record {
	a, res, why := &r.Actor, &r.Resource, &r.Reason
	for _, f := range []struct {
		text  *string
		limit int
	}{
		{&r.Node, 128}, {&r.RequestID, 128}, {&r.UserAgent, 256}, {&r.Action, 64}, {&r.DecisionID, 64},
		{&a.ID, 128}, {(*string)(&a.Kind), 128}, {&a.TokenID, 128}, {&a.TokenLast4, 128}, {&a.Via, 128},
		{&res.Format, 64}, {&res.Owner, 128}, {&res.Repository, 200}, {&res.Package, 256}, {&res.Version, 256},
		{&res.File, 512}, {&res.Digest, 160}, {&res.ID, 128},
		{&why.RuleID, 128}, {&why.Scope, 128}, {&why.Role, 128}, {&why.Limit, 128}, {&why.Sentence, 512},
	} {
		*f.text = clean(*f.text, min(f.limit, most))
	}
	r.Time = r.Time.UTC().Truncate(time.Microsecond)
	r.IP = r.IP.Unmap().WithZone("") // a zone is any text
	r.Before, r.After = r.Before.bounded(most), r.After.bounded(most)
	return r
}

func (s State) bounded(most int) State {
	if len(s) == 0 {
		return nil
	}
	names := slices.Sorted(maps.Keys(s))
	out := make(State, min(len(names), maxFields))
	for _, name := range names[:min(len(names), maxFields)] {
		out[clean(name, min(32, most))] = clean(s[name], min(128, most))
	}
	return out
}
