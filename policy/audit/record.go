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
	Seq        uint64     `json:"seq,omitzero" doc:"Sequence number, from 1, without a gap."`
	Time       time.Time  `json:"time" doc:"When it happened, to the microsecond."`
	Node       string     `json:"node,omitempty" max:"128" doc:"Server that wrote it."`
	RequestID  string     `json:"request_id,omitempty" max:"128" doc:"Id of the request."`
	Actor      Actor      `json:"actor" doc:"Who did it."`
	IP         netip.Addr `json:"ip,omitzero" doc:"Address of the client."`
	UserAgent  string     `json:"user_agent,omitempty" max:"256" doc:"What the client calls itself."`
	Action     string     `json:"action" max:"64" doc:"What was done: thing.verb for changes, the action of policy for refusals."`
	Resource   Resource   `json:"resource,omitzero" doc:"What it was done to."`
	Decision   Decision   `json:"decision" doc:"Allow is a change that was made, or what a rule would refuse that only warns; deny a refusal."`
	DecisionID string     `json:"decision_id,omitempty" max:"64" doc:"Id of the decision, of refusals."`
	Reason     Reason     `json:"reason,omitzero" doc:"Why."`
	Status     int        `json:"status,omitzero" doc:"Status of the answer."`
	Count      int        `json:"count,omitzero" doc:"How many refusals the record stands for; absent for one."`
	Before     State      `json:"before,omitempty" doc:"What was changed, as it was before."`
	After      State      `json:"after,omitempty" doc:"What was changed, as it is now."`
	PrevHash   string     `json:"prev_hash,omitempty" doc:"Hash of the record before, in hexadecimal."`
	Hash       string     `json:"hash,omitempty" doc:"Hash of prev_hash and the line without both, in hexadecimal."`
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
	ID         string `json:"id,omitempty" max:"128" doc:"Name of the user."`
	Kind       Kind   `json:"kind" doc:"What it is."`
	TokenID    string `json:"token_id,omitempty" max:"128" doc:"Id of the token."`
	TokenLast4 string `json:"token_last4,omitempty" max:"128" doc:"Last characters of the token."`
	Via        string `json:"via,omitempty" max:"128" doc:"How the credential came: bearer, basic or key."`
}

// Resource is what it was done to.
type Resource struct {
	Format     string `json:"format,omitempty" max:"64" doc:"Format, such as npm."`
	Owner      string `json:"owner,omitempty" max:"128" doc:"User or organization."`
	Repository string `json:"repository,omitempty" max:"200" doc:"Repository, OWNER/NAME."`
	Package    string `json:"package,omitempty" max:"256" doc:"Name of the package."`
	Version    string `json:"version,omitempty" max:"256" doc:"Version of the package."`
	File       string `json:"file,omitempty" max:"512" doc:"File of the package."`
	Digest     string `json:"digest,omitempty" max:"160" doc:"Digest of the file."`
	ID         string `json:"id,omitempty" max:"128" doc:"What has no other place: a token, claim, rule, waiver or call."`
}

// Reason is why: the rule, or what was lacking or exceeded, and the sentence
// that the client was told. Each text has at most 128 bytes, the sentence 512.
type Reason struct {
	RuleID   string `json:"rule_id,omitempty" max:"128" doc:"Id of the rule that refused."`
	Scope    string `json:"scope,omitempty" max:"128" doc:"Scopes of which the token needed one."`
	Role     string `json:"role,omitempty" max:"128" doc:"Role that was lacking."`
	Limit    string `json:"limit,omitempty" max:"128" doc:"Limit that was passed."`
	Sentence string `json:"sentence,omitempty" max:"512" doc:"What the client was told."`
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
