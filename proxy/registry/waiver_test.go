package registry_test

import (
	"strings"
	"testing"
	"time"

	"larder/policy/rules"
)

// A waiver shows a version at once and its end hides it at once, in documents
// whose ETags differ, so that a 304 neither hides nor revives a version.
func TestWaiversMoveETags(t *testing.T) {
	g := newGuards(t)
	g.serve("p", "1.0.0@2026-01-01 2.0.0@2026-02-27")
	g.rules(nil, cooldown())
	hidden := g.sees("p", "1.0.0")
	waiver := rules.Waiver{Rule: "cool", Match: []string{"pkg:npm/p@2.0.0"}, By: "ann", Why: "ours", Until: g.clock.now().Add(time.Hour)}
	g.far.Forget()
	g.rules([]rules.Waiver{waiver}, cooldown())
	shown := g.sees("p", "1.0.0 2.0.0")
	if err := g.fetch("p", "2.0.0"); err != nil {
		t.Errorf("waived: %v", err)
	}
	g.rules(nil, cooldown())
	again := g.sees("p", "1.0.0")
	g.refused(g.fetch("p", "2.0.0"), "cool") // though it is cached by now
	if shown.ETag == hidden.ETag || again.ETag != hidden.ETag {
		t.Errorf("ETags %s hidden, %s waived, %s hidden again", hidden.ETag, shown.ETag, again.ETag)
	}
	g.rules([]rules.Waiver{waiver}, cooldown())
	g.sees("p", "1.0.0 2.0.0")
	for _, line := range g.far.Log() {
		if !strings.HasSuffix(line.Path, "/p/2.0.0") {
			t.Errorf("a waiver asked the upstream for %s", line.Path)
		}
	}
	g.clock.advance(2 * time.Hour)
	ended := g.sees("p", "1.0.0")
	g.refused(g.fetch("p", "2.0.0"), "cool")
	if ended.ETag == shown.ETag {
		t.Error("the end of the waiver leaves the ETag")
	}
}

// What a claim keeps from the upstreams is told to the observer.
func TestClaimsAreTold(t *testing.T) {
	b := newBench(t)
	b.access.claim("claimed", "acme/packages")
	_, _, err := doc(b.as("sam", ""), b.format.document("claimed"))
	if err == nil || b.seen.claimed.Load() != 1 {
		t.Errorf("%v, told %d times", err, b.seen.claimed.Load())
	}
}
