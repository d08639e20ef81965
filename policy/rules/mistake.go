package rules

import (
	"fmt"
	"strings"
)

// Mistake is something that is wrong with a rule or waiver, or worth a look.
type Mistake struct {
	List  string // "rules" or "waivers"
	Index int    // in the list; -1 for the list as a whole
	Field string // such as match[0]; "" for the whole entry
	ID    string // of the rule, "" where it has none
	Text  string // what is wrong and what to write instead
	// Value and Known are set where a word is none of those that may stand there.
	Value string
	Known []string
}

// Key is the place of the mistake below the section of the configuration, such
// as rules[0].match[1].
func (m *Mistake) Key() string {
	key := m.List
	if m.Index >= 0 {
		key = fmt.Sprintf("%s[%d]", m.List, m.Index)
	}
	if m.Field != "" {
		key += "." + m.Field
	}
	return key
}

// Error names the rule, or the place of an entry without a name.
func (m *Mistake) Error() string {
	if m.ID == "" {
		return m.Key() + ": " + m.Text
	}
	what := "rule " + m.ID
	if m.List == "waivers" {
		what = "waiver of " + m.ID
	}
	if m.Field != "" {
		what += ": " + m.Field
	}
	return what + ": " + m.Text
}

func unknown(value string, known []string) Mistake {
	return Mistake{
		Value: value, Known: known,
		Text: fmt.Sprintf("%.40q is not known: use %s", value, strings.Join(known, ", ")),
	}
}
