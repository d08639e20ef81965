package rules

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	hour = time.Hour
	day  = 24 * hour
	sha  = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
)

// noon is the time of every test.
func noon() time.Time { return time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC) }

// dotted orders versions by their numbers, and what is no number first. The
// formats oci and generic have no order.
func dotted(format string) func(a, b string) int {
	if format == "oci" || format == "generic" {
		return nil
	}
	return func(a, b string) int {
		for {
			x, restA, moreA := strings.Cut(a, ".")
			y, restB, moreB := strings.Cut(b, ".")
			n, errN := strconv.Atoi(x)
			m, errM := strconv.Atoi(y)
			switch {
			case errN != nil || errM != nil:
				return strings.Compare(x, y)
			case n != m:
				return n - m
			case !moreA || !moreB:
				return len(restA) - len(restB)
			}
			a, b = restA, restB
		}
	}
}

func made(t testing.TB, rules []Rule, waivers ...Waiver) *Set {
	t.Helper()
	s, err := New(rules, waivers, dotted)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// since are facts of a version that was published so long before noon.
func since(version string, age time.Duration) Facts {
	return Facts{Version: version, Published: noon().Add(-age)}
}

func waiver(rule, match string, until time.Time) Waiver {
	return Waiver{Rule: rule, Match: []string{match}, By: "alice", Why: "urgent fix", Until: until}
}
