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

		follow, ageless bool
	}{
		{"old and young", "a 40, b 30, c 29", 0, "a b", false, false},
		{"tags stay", "a 40 tag, b 40", 0, "b", false, false},
		{"what a tagged one uses stays", "a 40, b 40, i 40 tag >a", 0, "b", false, false},
		{"what a young one uses stays", "a 40, i 10 >a", 0, "", false, false},
		{"an index goes before its parts", "a 40, b 40, i 40 >a >b", 0, "i a b", false, false},
		{"parts that a second index uses stay", "a 40, i 40 >a, j 40 tag >a", 0, "i", false, false},
		{"about one that stays", "a 40 tag, s 40 @a", 0, "", false, false},
		{"about one that goes", "a 40, s 40 @a", 0, "a s", false, false},
		{"about one that is gone", "s 40 @a", 0, "s", false, false},
		{"about itself", "s 40 @s", 0, "s", false, false},
		{"young, about one that goes", "a 40, s 10 @a", 0, "a", false, false},
		{"about a part of what stays", "a 40, s 40 @a, i 40 tag >a", 0, "", false, false},
		{"a chain", "a 40, s 40 @a, ss 40 @s", 0, "a s ss", false, false},
		{"the newest stay", "a 50, b 40, c 45, d 60 tag", 2, "a", false, false},
		{"the later published of the same age stays", "a 40, b 40", 1, "a", false, false},
		{"parts do not count among the newest", "a 40, i 41 >a, j 50", 1, "j", false, false},
		{"what is about others does not count among the newest", "a 41, s 40 @a, b 50", 1, "b", false, false},
		{"young ones count among the newest", "a 40, b 1", 1, "a", false, false},
		{"more than there are", "a 40", 5, "", false, false},
		{"none", "", 0, "", false, false},
		{"follows what goes, however young", "a 40, s 1 @a", 0, "a s", true, false},
		{"follows what went before", "s 25 @b", 0, "s", true, true},
		{"came after what it is about went", "s 15 @b", 0, "", true, true},
		{"follows nothing without the setting", "s 25 @b", 0, "", false, false},
		{"about what never was here", "s 25 @c", 0, "", true, true},
		{"about what is here again", "b 1 tag, s 25 @b", 0, "", true, true},
		{"tags hold followers", "s 25 tag @b", 0, "", true, true},
		{"users hold followers", "s 25 @b, i 25 tag >s", 0, "", true, true},
		{"a chain of followers", "s 25 @b, ss 1 @s", 0, "s ss", true, true},
		{"the newest do not hold followers", "s 25 @b, ss 25 @b", 2, "s ss", true, false},
		{"nothing else goes without a rule", "a 90, s 90 @s", 0, "", true, true},
	} {
		all := stock{gone: map[string]time.Time{"b": now.Add(-20 * days)}}
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
			all.held = append(all.held, h)
		}
		var got []string
		k := rule{Keep: Keep{Untagged: 30 * days, Newest: tt.newest}, aged: !tt.ageless, follow: tt.follow}
		for _, h := range k.lets(all, now) {
			got = append(got, h.version)
		}
		if want := strings.Fields(tt.want); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", tt.name, got, want)
		}
	}
}
