package main

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"larder/cache/badger"
	"larder/cache/evict"
	"larder/policy/audit"
	"larder/proxy/admin"
)

func TestWorkOnTheServerIsRecorded(t *testing.T) {
	index, err := badger.Open(filepath.Join(t.TempDir(), "index"), badger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := index.Close(); err != nil {
			t.Error(err)
		}
	})
	n := &node{index: index, clock: time.Now}
	ctx := audit.With(t.Context(), audit.Origin{Actor: audit.Actor{ID: "ann", Kind: audit.User}})
	n.reloaded(t.Context(), nil)
	n.reloaded(ctx, errors.New("line 3: no"))
	n.collected(ctx, evict.Report{Bytes: 7})
	n.repaired(ctx, admin.Verification{Repaired: 2})
	want := []struct {
		action, actor string
		decision      audit.Decision
		text          string
	}{
		{"policy.reload", "", audit.Allow, ""},
		{"policy.reload", "ann", audit.Deny, "line 3: no"},
		{"store.gc", "ann", audit.Allow, "7"},
		{"store.repair", "ann", audit.Allow, "2"},
	}
	at := 0
	for r, err := range audit.Export(t.Context(), index, 0, audit.Filter{}) {
		if err != nil || at == len(want) {
			t.Fatalf("record %d: %+v, %v", at, r, err)
		}
		w := want[at]
		if text := r.Reason.Sentence + r.After["bytes"] + r.After["repaired"]; r.Action != w.action || r.Actor.ID != w.actor || r.Decision != w.decision || text != w.text {
			t.Errorf("%+v, want %+v", r, w)
		}
		if r.Actor.ID == "" && r.Actor.Kind != audit.System {
			t.Errorf("actor %+v", r.Actor)
		}
		at++
	}
	if at != len(want) {
		t.Errorf("%d records, want %d", at, len(want))
	}
}
