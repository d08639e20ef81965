package registry_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"larder/cache"
	"larder/formats"
	"larder/policy/rules"
	"larder/proxy/registry"
	"larder/upstream"
	"larder/upstream/upstreamtest"
)

// byDigest is a rule that needs the digest of every file of p.
func byDigest() rules.Rule {
	d := cache.Digest(sumOf([]byte("bad")).Value)
	return rules.Rule{ID: "hash", Kind: rules.Deny, Match: []string{"pkg:npm/p?checksum=sha256:" + d.String()}}
}

// TestJudgedByDigestInTrouble: what must be stored before it is judged is asked
// for no more often than other files.
func TestJudgedByDigestInTrouble(t *testing.T) {
	g := newGuards(t)
	g.serve("p", "1.0.0@2026-01-01 2.0.0@2026-01-01")
	g.rules(nil, byDigest())
	g.far.Serve("/p/1.0.0", upstreamtest.Answer{Status: 404})
	for range 3 {
		if err := g.fetch("p", "1.0.0"); !errors.Is(err, formats.ErrNotFound) {
			t.Errorf("missing: %v", err)
		}
	}
	if n := g.far.Requests("/p/1.0.0"); n != 1 {
		t.Errorf("%d requests for a missing file", n)
	}
	bad := g.file("p", "2.0.0")
	bad.Locate = func(context.Context) (formats.Location, error) {
		return formats.Location{Ref: "p/2.0.0", Version: "2.0.0", Want: []cache.Sum{sumOf([]byte("other"))}}, nil
	}
	for range 3 {
		g.refuse(bad, upstream.ErrCorrupt)
	}
	if n := g.far.Requests("/p/2.0.0"); n != 1 {
		t.Errorf("%d requests for bytes that are wrong", n)
	}
	g.room.full.Store(true)
	g.clock.advance(2 * time.Minute)
	g.serve("p", "1.0.0@2026-01-01 2.0.0@2026-01-01")
	for range 3 {
		if err := g.fetch("p", "1.0.0"); !errors.Is(err, cache.ErrFull) {
			t.Errorf("without room: %v", err)
		}
	}
	if n := g.far.Requests("/p/1.0.0"); n != 2 {
		t.Errorf("%d requests for a file that cannot be stored", n)
	}
}

// TestJudgedByDigestAndEvictedAtOnce ends, and not as a missing file.
func TestJudgedByDigestAndEvictedAtOnce(t *testing.T) {
	g := newGuards(t, vanish)
	g.serve("p", "1.0.0@2026-01-01")
	g.rules(nil, byDigest())
	err := g.fetch("p", "1.0.0")
	if err == nil || errors.Is(err, cache.ErrNotExist) || errors.Is(err, formats.ErrNotFound) {
		t.Errorf("error %v", err)
	}
}

// manifests is a format with a document of each version beside the listing.
type manifests struct{ dated }

func (f *manifests) manifest(pkg, version string) formats.Document {
	d := f.plain.document(pkg)
	d.Name, d.Path = pkg+"@"+version, pkg+"@"+version
	return d
}

// TestLostListing: bytes of the listing that the rules are asked about are
// fetched again, although another document was asked for.
func TestLostListing(t *testing.T) {
	f := &manifests{}
	g := newGuards(t, func(b *bench, o *registry.Options) {
		b.spec.Format = f
		o.Memory = 1 << 10 // no rendering is at hand
	})
	list := strings.Repeat(" 1.0.0@2026-01-01", 8<<10)
	g.far.Serve("/p", answer("p:"+list, `"1"`))
	g.far.Serve("/p@1.0.0", answer("p: one", `"1"`))
	g.rules(nil, cooldown())
	for range 2 {
		if _, _, err := doc(g.reader, f.manifest("p", "1.0.0")); err != nil {
			t.Fatal(err)
		}
		if err := g.store.Delete(context.Background(), cache.Digest(sumOf([]byte("p:"+list)).Value)); err != nil {
			t.Fatal(err)
		}
		g.rules(nil, rules.Rule{ID: "cool", Kind: rules.Cooldown, MinAge: 8 * 24 * time.Hour}) // what was judged counts no more
	}
	if n := g.far.Requests("/p"); n != 2 {
		t.Errorf("%d requests for the listing", n)
	}
}
