package registry

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestLets: which versions a rule lets go. A version is "NAME AGE [tag] [>USED…] [@SUBJECT]",
// its age in days.
func TestLets(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	const days = 24 * time.Hour
	for _, tt := range []struct {
		name, versions string
		newest         int
		want           string
	}{
		{"old and young", "a 40, b 30, c 29", 0, "a b"},
		{"tags stay", "a 40 tag, b 40", 0, "b"},
		{"what a tagged one uses stays", "a 40, b 40, i 40 tag >a", 0, "b"},
		{"what a young one uses stays", "a 40, i 10 >a", 0, ""},
		{"an index goes before its parts", "a 40, b 40, i 40 >a >b", 0, "i a b"},
		{"parts that a second index uses stay", "a 40, i 40 >a, j 40 tag >a", 0, "i"},
		{"about one that stays", "a 40 tag, s 40 @a", 0, ""},
		{"about one that goes", "a 40, s 40 @a", 0, "a s"},
		{"about one that is gone", "s 40 @a", 0, "s"},
		{"about itself", "s 40 @s", 0, "s"},
		{"young, about one that goes", "a 40, s 10 @a", 0, "a"},
		{"about a part of what stays", "a 40, s 40 @a, i 40 tag >a", 0, ""},
		{"a chain", "a 40, s 40 @a, ss 40 @s", 0, "a s ss"},
		{"the newest stay", "a 50, b 40, c 45, d 60 tag", 2, "a"},
		{"the later published of the same age stays", "a 40, b 40", 1, "a"},
		{"parts do not count among the newest", "a 40, i 41 >a, j 50", 1, "j"},
		{"what is about others does not count among the newest", "a 41, s 40 @a, b 50", 1, "b"},
		{"young ones count among the newest", "a 40, b 1", 1, "a"},
		{"more than there are", "a 40", 5, ""},
		{"none", "", 0, ""},
	} {
		var all []holding
		for text := range strings.SplitSeq(tt.versions, ", ") {
			f := strings.Fields(text)
			if len(f) == 0 {
				continue
			}
			var age int
			if _, err := fmt.Sscan(f[1], &age); err != nil {
				t.Fatal(err)
			}
			h := holding{version: f[0], since: now.Add(-time.Duration(age) * days), files: []string{"file " + f[0]}}
			for _, word := range f[2:] {
				switch word[0] {
				case '>':
					h.uses = append(h.uses, "file "+word[1:], "a layer")
				case '@':
					h.subject = word[1:]
				default:
					h.tagged = true
				}
			}
			all = append(all, h)
		}
		var got []string
		for _, h := range (Keep{Untagged: 30 * days, Newest: tt.newest}).lets(all, now) {
			got = append(got, h.version)
		}
		if want := strings.Fields(tt.want); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", tt.name, got, want)
		}
	}
}
