package admin

import (
	"strings"

	"larder/policy/rules"
)

// Remedy is what can be done about a refusal by a rule.
type Remedy struct {
	Kind    string `json:"kind,omitempty" doc:"Kind of the rule; left out where it is not in force any more."`
	Note    string `json:"note,omitempty" doc:"A sentence about the rule."`
	Who     string `json:"who,omitempty" doc:"Who can exempt it; left out where nobody can."`
	Command string `json:"command,omitempty" doc:"What they type."`
}

// remedy says who can exempt what a rule refused, and how.
func (c *call) remedy(r *Refusal) *Remedy {
	const admins = "an administrator of this server, with a token of the scope admin:instance"
	rule, ok := c.Rules.Rule(r.Rule)
	out := &Remedy{Kind: rule.Kind}
	switch {
	case !ok:
		out.Note = "The rule is not in force any more: try again."
	case rule.Waivable:
		out.Who = admins
		out.Command = command("larder policy waive", r.Rule, exactly(r), "--until 7d --why WHY")
	case rule.Kind == rules.Origin:
		out.Note = "The rule is built in and cannot be waived; a claim makes the name yours."
		out.Who = admins
		out.Command = command("larder claim add", r.Format, r.Package, "OWNER/REPOSITORY")
	default:
		out.Note = "The rule is built in and cannot be waived."
	}
	return out
}

// exactly is the package URL as a pattern that covers it alone, "" where none does.
func exactly(r *Refusal) string {
	if strings.ContainsAny(r.Package+r.Version, "*<>=,") || strings.Contains(r.Version, "sha256:") {
		return ""
	}
	return r.Purl
}

// command writes what a person can type, "" without its two words in the middle.
func command(verb, first, second, rest string) string {
	if first == "" || second == "" {
		return ""
	}
	return verb + " " + quoted(first) + " " + quoted(second) + " " + rest
}

// quoted is a word as a shell takes it.
func quoted(word string) string {
	plain := func(c rune) bool {
		return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("@%/:._+-", c)
	}
	if !strings.ContainsFunc(word, func(c rune) bool { return !plain(c) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
