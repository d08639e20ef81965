package registry_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"larder/formats"
	"larder/policy/audit"
	"larder/proxy/registry"
)

// attached is a format whose versions are about the one that their term names.
type attached struct{ *plain }

func (attached) Subject(r *formats.Release) string {
	for _, term := range r.Terms {
		if s, ok := strings.CutPrefix(term, "subject "); ok {
			return s
		}
	}
	return ""
}

// retaining is a bench with rules of retention.
func retaining(t *testing.T, rules ...registry.Keep) *bench {
	t.Helper()
	return newBench(t, func(b *bench, _ *registry.Options) {
		b.spec.Format, b.spec.Retention = attached{b.format}, rules
	})
}

func (b *bench) retain(dry bool) registry.Retained {
	b.t.Helper()
	out, err := b.reg.Retain(context.Background(), dry)
	if err != nil {
		b.t.Fatal(err)
	}
	return out
}

func (b *bench) versions(pkg string) (list []string) {
	b.t.Helper()
	for r, err := range b.reader.Releases(context.Background(), pkg) {
		if err != nil {
			b.t.Fatal(err)
		}
		list = append(list, r.Version)
	}
	return list
}

// image puts a version that was published now.
func (b *bench) image(pkg, version string, terms []string, uses ...string) {
	b.t.Helper()
	blob, err := upload(b.as("alice", ""), pkg, []byte("manifest "+version))
	if err == nil {
		err = b.edit(pkg, func(tx formats.Tx) error {
			p, err := tx.Package()
			if err != nil {
				return err
			}
			r := &formats.Release{
				Version: version, Uses: uses, Terms: terms,
				Files: []formats.ReleaseFile{{Name: pkg + "/" + version, Blob: blob}},
			}
			if err := tx.Put(r); err != nil {
				return err
			}
			return tx.Save(p)
		})
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// TestRetain: what a dry run tells is what goes, counted from when the last tag
// left; parts, signatures and tags stay with what stays.
func TestRetain(t *testing.T) {
	b := retaining(t, registry.Keep{Match: []string{"p*"}, Untagged: 30 * day})
	b.link("p", "layer", []byte("layer"))
	for _, pkg := range []string{"p", "other"} {
		b.image(pkg, "child", nil)
		b.image(pkg, "index", nil, pkg+"/child")
		b.image(pkg, "signature", []string{"subject index"})
		b.image(pkg, "loose", nil)
	}
	b.image("p", "late", nil, "p/blobs/layer")
	for _, err := range []error{b.tag("p", "index", "latest"), b.tag("p", "late", "x")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	b.clock.advance(31 * day)
	if err := b.tag("p", "index", "x"); err != nil { // away from late
		t.Fatal(err)
	}
	dry := b.retain(true)
	if !slices.Equal(dry.Named, []string{"p loose"}) || dry.Versions != 1 || dry.Bytes != int64(len("manifest loose")) {
		t.Errorf("%+v", dry)
	}
	if got := b.versions("p"); len(got) != 5 {
		t.Errorf("a dry run left %q", got)
	}
	if out := b.retain(false); !slices.Equal(out.Named, dry.Named) {
		t.Errorf("%+v", out)
	}
	b.clock.advance(30 * day)
	b.sweep()
	if out := b.retain(false); !slices.Equal(out.Named, []string{"p late"}) {
		t.Errorf("%+v", out)
	}
	if got := b.versions("p"); !slices.Equal(got, []string{"child", "index", "signature"}) {
		t.Errorf("left %q", got)
	}
	if got := b.versions("other"); len(got) != 4 {
		t.Errorf("without a rule: %q", got)
	}
	if err := b.restore(b.as("alice", ""), "p", "late"); err != nil {
		t.Fatal(err)
	}
	if out := b.retain(false); out.Versions != 0 {
		t.Errorf("what was restored goes at once: %+v", out)
	}
	b.want(blobFile("p", "layer"), []byte("layer"), formats.Hosted)
	for r, err := range audit.Export(context.Background(), b.index, 0, audit.Filter{Action: "package.delete"}) {
		if err != nil || r.Actor.Kind != audit.System || r.Reason.Sentence == "" {
			t.Errorf("recorded as %+v, %v", r, err)
		}
	}
}

// TestRetainMany: more than a page and a transaction, and no rule is none.
func TestRetainMany(t *testing.T) {
	b := retaining(t, registry.Keep{Untagged: day, Newest: 3})
	var want []string
	for i := range 50 {
		b.image("p", fmt.Sprintf("%03d", i), nil)
		b.clock.advance(time.Minute)
		want = append(want, fmt.Sprintf("%03d", i))
	}
	b.clock.advance(2 * day)
	if out := b.retain(false); out.Versions != 47 {
		t.Errorf("%+v", out)
	}
	for r, err := range b.reader.Releases(context.Background(), "p") {
		if err != nil || r.Publisher != "alice" || r.Published.IsZero() {
			t.Errorf("published by %q at %v, %v", r.Publisher, r.Published, err)
		}
	}
	if got := b.versions("p"); !slices.Equal(got, want[47:]) {
		t.Errorf("left %q", got)
	}
	b.spec.Format = b.format // which keeps its tags elsewhere
	b.reg = b.engine.Registry(b.spec)
	b.clock.advance(day)
	if out := b.retain(true); out.Versions != 0 {
		t.Errorf("of a format without tags of its own: %+v", out)
	}
	if out := retaining(t).retain(false); out.Versions != 0 {
		t.Errorf("without a rule: %+v", out)
	}
}

// TestRetainPushedAgain: who sends an old version anew is about to tag it, or to
// put it into an index, and finds it there.
func TestRetainPushedAgain(t *testing.T) {
	b := retaining(t, registry.Keep{Untagged: 30 * day})
	b.image("p", "child", nil)
	b.clock.advance(31 * day)
	b.image("p", "child", nil)
	if out := b.retain(false); out.Versions != 0 {
		t.Fatalf("what was just sent is let go: %+v", out)
	}
	b.image("p", "index", nil, "p/child")
	b.clock.advance(30 * day)
	if out := b.retain(false); !slices.Equal(out.Named, []string{"p index", "p child"}) {
		t.Errorf("%+v", out)
	}
}
