package registry_test

import (
	"slices"
	"testing"
	"time"

	"larder/formats"
	"larder/proxy/registry"
)

// following is a package p whose image has a signature, one of that, and others that
// stay when it goes.
type following struct{ *bench }

func newFollowing(t *testing.T) following {
	t.Helper()
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
	return following{b}
}

func (b following) retract(version string) {
	b.t.Helper()
	if err := b.edit("p", func(tx formats.Tx) error { return tx.Retract(version) }); err != nil {
		b.t.Fatal(err)
	}
}

func (b following) back(version string) {
	b.t.Helper()
	if err := b.restore(b.as("alice", ""), "p", version); err != nil {
		b.t.Fatal(err)
	}
}

// TestFollow: what is about a version goes after it was deleted, and comes back with
// it.
func TestFollow(t *testing.T) {
	b := newFollowing(t)
	if out := b.retain(false); out.Versions != 0 {
		t.Errorf("before anything was deleted: %+v", out)
	}
	b.retract("image")
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
	b.clock.advance(time.Hour)
	b.back("image")
	if got, want := b.versions("p"), []string{"image", "signature", "countersigned", "tagged", "early", "late"}; !slices.Equal(got, want) {
		t.Errorf("came back %q, want %q", got, want)
	}
}

// TestFollowByName: what was restored by its name stays, and what was deleted by
// hand meanwhile does not come back with its subject.
func TestFollowByName(t *testing.T) {
	b := newFollowing(t)
	b.retract("image")
	b.retain(false)
	b.clock.advance(time.Second)
	b.back("signature")
	b.clock.advance(time.Hour)
	if out := b.retain(false); out.Versions != 0 {
		t.Errorf("what was restored by its name goes at once: %+v", out)
	}
	b.retract("signature")
	b.clock.advance(time.Hour)
	b.back("image")
	if got := b.versions("p"); slices.Contains(got, "signature") || !slices.Contains(got, "countersigned") {
		t.Errorf("came back %q", got)
	}
}

// TestFollowAnew: what is pushed anew has nothing of what was about it before.
func TestFollowAnew(t *testing.T) {
	b := newFollowing(t)
	b.retract("image")
	b.retain(false)
	b.clock.advance(time.Hour)
	b.image("p", "image", nil)
	if got := b.versions("p"); slices.Contains(got, "signature") {
		t.Errorf("comes back with what is pushed anew: %q", got)
	}
}
