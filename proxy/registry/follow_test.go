package registry_test

import (
	"slices"
	"testing"
	"time"

	"larder/formats"
	"larder/proxy/registry"
)

// TestFollow: what is about a version goes after it was deleted, and comes back with
// it, but not what was deleted by hand meanwhile.
func TestFollow(t *testing.T) {
	b := newBench(t, func(b *bench, _ *registry.Options) {
		b.spec.Format, b.spec.FollowSubject = attached{b.format}, true
	})
	b.image("p", "image", nil)
	b.image("p", "signature", []string{"subject image"})
	b.image("p", "countersigned", []string{"subject signature"})
	b.image("p", "tagged", []string{"subject image"})
	b.image("p", "early", []string{"subject other"})
	b.image("q", "loose", nil)
	if err := b.tag("p", "tagged", "t"); err != nil {
		t.Fatal(err)
	}
	b.clock.advance(time.Hour)
	if out := b.retain(false); out.Versions != 0 {
		t.Errorf("before anything was deleted: %+v", out)
	}
	retract := func(version string) {
		t.Helper()
		if err := b.edit("p", func(tx formats.Tx) error { return tx.Retract(version) }); err != nil {
			t.Fatal(err)
		}
	}
	retract("image")
	b.clock.advance(time.Hour)
	b.image("p", "late", []string{"subject image"})
	dry := b.retain(true)
	if !slices.Equal(dry.Named, []string{"p signature", "p countersigned"}) {
		t.Errorf("%+v", dry)
	}
	if out := b.retain(false); !slices.Equal(out.Named, dry.Named) {
		t.Errorf("%+v", out)
	}
	if got, want := b.versions("p"), []string{"tagged", "early", "late"}; !slices.Equal(got, want) {
		t.Errorf("left %q, want %q", got, want)
	}
	back := func() {
		t.Helper()
		b.clock.advance(time.Hour)
		if err := b.restore(b.as("alice", ""), "p", "image"); err != nil {
			t.Fatal(err)
		}
	}
	back()
	if got, want := b.versions("p"), []string{"image", "signature", "countersigned", "tagged", "early", "late"}; !slices.Equal(got, want) {
		t.Errorf("came back %q, want %q", got, want)
	}

	b.clock.advance(time.Hour)
	retract("image")
	b.retain(false)
	b.clock.advance(time.Second)
	if err := b.restore(b.as("alice", ""), "p", "signature"); err != nil {
		t.Fatal(err)
	}
	b.clock.advance(time.Hour)
	if out := b.retain(false); out.Versions != 0 {
		t.Errorf("what was restored by its name goes at once: %+v", out)
	}
	retract("signature")
	back()
	if got := b.versions("p"); slices.Contains(got, "signature") {
		t.Errorf("what was deleted by hand comes back: %q", got)
	}

	b.clock.advance(time.Hour)
	retract("image")
	b.retain(false)
	b.clock.advance(time.Hour)
	b.image("p", "image", nil)
	if got := b.versions("p"); slices.Contains(got, "late") {
		t.Errorf("comes back with what is pushed anew: %q", got)
	}
}
