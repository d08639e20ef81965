// Package rules holds the supply-chain rules: which versions may be used here,
// as the instance's administrators say. It is pure: no clock, no I/O, no HTTP.
// The caller gathers facts of a version, asks, and acts on the answer.
//
// Rules are asked in the order claim, origin, deny, allow, freeze and cooldown,
// pin. The first that refuses decides; of freeze and cooldown, the one that
// opens last. The order in which rules are written does not matter.
//
//   - claim, origin, pin are built in. They always hold, are never written, and
//     are judged from what Facts say.
//   - deny refuses what its match covers.
//   - allow with Exclusive refuses what no allow rule covers, exclusive or not,
//     in every format and registry that it holds for. Without Exclusive it adds
//     to such a list and refuses nothing; it does not lift other rules, which is
//     what exempt and waivers are for.
//   - freeze refuses what was published after NotAfter, cooldown what was
//     published less than MinAge ago. Several all hold: an exception for some
//     names is an exempt of the general rule beside a rule of their own.
//
// Packages that are hosted here do not wait: freeze and cooldown leave them
// alone. Deny and allow hold for them too, because neither asks where a version
// comes from.
//
// A rule or waiver with an end counts until just before it.
package rules

import "time"

// The kinds of rules, in the order in which they are asked.
const (
	Claim    = "claim"  // built in; asked in vain means 404
	Origin   = "origin" // built in
	Deny     = "deny"
	Allow    = "allow"
	Freeze   = "freeze"
	Cooldown = "cooldown"
	Pin      = "pin" // built in; refused means 502
)

// The modes of rules.
const (
	enforce = "enforce"
	warn    = "warn" // judged and told, never refused
	off     = "off"
)

// What counts as the publication of a version that has no known one.
const (
	firstSeen  = "first_seen" // when it was first seen here
	denyTime   = "deny"
	allowTime  = "allow"
	longestAge = 10 * 365 * 24 * time.Hour
)

// Rule is one rule as it is written. Kind, and what the kind needs, must be
// given; "" is the mode enforce and the unknown time first_seen.
type Rule struct {
	ID, Kind, Mode string
	Reason         string   // told to who is refused
	Formats        []string // empty: every format
	Mounts         []string // registries by name; empty: every one
	Match, Exempt  []string // patterns, see purl.ParsePattern
	MinAge         time.Duration
	NotAfter       time.Time
	Expires        time.Time // zero: never
	Exclusive      bool
	UnknownTime    string
}

// Waiver lets versions pass a rule until it ends.
type Waiver struct {
	ID    string    `json:"id,omitempty" doc:"Id, by which it is managed."`
	Rule  string    `json:"rule" doc:"Id of the rule."`
	Match []string  `json:"match" doc:"Package URLs that it is about."`
	By    string    `json:"by" doc:"Who decided it."`
	Why   string    `json:"why" doc:"Why."`
	Until time.Time `json:"until" doc:"When it ends."`
}

// rank orders the kinds that can be written.
func rank(kind string) int {
	switch kind {
	case Deny:
		return 1
	case Allow:
		return 2
	case Freeze, Cooldown:
		return 3
	}
	return 0
}

func timed(kind string) bool { return kind == Freeze || kind == Cooldown }
