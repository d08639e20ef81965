package registry_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"larder/formats"
	"larder/policy"
	"larder/policy/audit"
	"larder/policy/rules"
	"larder/proxy/registry"
)

// What was in use before the server saw it does not wait, where the upstream
// does not date it; what it dates waits as before.
func TestApprovedVersionsDoNotWait(t *testing.T) {
	g := newGuards(t)
	g.rules(nil, cooldown())
	g.serve("p", "1.0.0@2026-01-01 2.0.0@ 3.0.0@2026-02-28 4.0.0@")
	hidden := g.sees("p", "1.0.0")
	by := registry.Approval{Actor: administrator()}
	list := []registry.Known{{"p", "2.0.0"}, {"p", "3.0.0"}, {"other", "1.0.0"}}
	if n, err := g.reg.Approve(context.Background(), by, list); n != 3 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	shown := g.sees("p", "1.0.0 2.0.0")
	if shown.ETag == hidden.ETag {
		t.Error("the ETag stays, so that a 304 hides the version")
	}
	if err := g.fetch("p", "2.0.0"); err != nil {
		t.Error(err)
	}
	g.refused(g.fetch("p", "3.0.0"), "cool")
	g.refused(g.fetch("p", "4.0.0"), "cool")
	if n, err := g.reg.Approve(context.Background(), by, list); n != 0 || err != nil {
		t.Errorf("once more: %d, %v", n, err)
	}
	n := 0
	for r, err := range audit.Export(context.Background(), g.index, 0, audit.Filter{Action: "version.approve"}) {
		if n++; err != nil || r.Actor.ID != "root" || r.Resource.Version == "" || r.After["first_seen"] != "1970-01-01T00:00:00Z" {
			t.Errorf("%+v, %v", r, err)
		}
	}
	if n != 3 {
		t.Errorf("%d records", n)
	}
}

func TestApprovalSinceADay(t *testing.T) {
	g := newGuards(t)
	g.rules(nil, cooldown())
	g.serve("p", "1.0.0@")
	_, _, err := doc(g.reader, g.dated.document("p"))
	g.refused(err, "cool")
	since := g.clock.now().Add(-6 * 24 * time.Hour)
	by := registry.Approval{Actor: administrator(), Since: since}
	if n, err := g.reg.Approve(context.Background(), by, []registry.Known{{"p", "1.0.0"}}); n != 1 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	_, _, err = doc(g.reader, g.dated.document("p"))
	g.refused(err, "cool") // six days are not seven
	g.clock.advance(25 * time.Hour)
	g.sees("p", "1.0.0")
	by.Since = g.clock.now()
	if n, err := g.reg.Approve(context.Background(), by, []registry.Known{{"p", "1.0.0"}}); n != 0 || err != nil {
		t.Errorf("a later day took the earlier back: %d, %v", n, err)
	}
}

func TestApprovalsThatAreNone(t *testing.T) {
	g := newGuards(t)
	list := []registry.Known{{"p", "1.0.0"}}
	for _, s := range []policy.Subject{{}, user("alice")} {
		var refusal *policy.Refusal
		if _, err := g.reg.Approve(context.Background(), registry.Approval{Actor: s}, list); !errors.As(err, &refusal) {
			t.Errorf("%q: %v", s.User, err)
		}
	}
	late := registry.Approval{Actor: administrator(), Since: g.clock.now().Add(time.Hour)}
	if _, err := g.reg.Approve(context.Background(), late, list); !errors.Is(err, formats.ErrBadRequest) || !strings.Contains(err.Error(), "still to come") {
		t.Error(err)
	}
	if n := len(g.rows("s")); n != 0 {
		t.Errorf("%d rows", n)
	}
}

// A large tree takes several transactions.
func TestApprovalOfALargeTree(t *testing.T) {
	g := newGuards(t)
	g.rules(nil, rules.Rule{ID: "cool", Kind: rules.Cooldown, MinAge: time.Hour})
	var list []registry.Known
	for i := range 500 {
		list = append(list, registry.Known{Package: fmt.Sprintf("p%d", i), Version: "1.0.0"})
	}
	if n, err := g.reg.Approve(context.Background(), registry.Approval{Actor: administrator()}, list); n != len(list) || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if n := len(g.rows("s")); n != len(list) {
		t.Errorf("%d rows", n)
	}
}
