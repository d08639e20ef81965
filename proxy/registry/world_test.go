package registry_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"larder/formats"
	"larder/policy"
	"larder/proxy/registry"
	"larder/upstream/upstreamtest"
)

// apart is a mirror in a world of its own, beside the registry of a bench.
func (b *bench) apart(id string, s *upstreamtest.Server) *registry.Registry {
	return b.engine.Registry(registry.Spec{
		Name: "mirror/" + id, Format: b.format, World: "mirror/" + id, Negative: 10 * time.Second,
		Upstreams: b.only(b.source(id, s)),
	})
}

// TestWorlds: one name here, at one upstream and at another are three packages.
func TestWorlds(t *testing.T) {
	b := newBench(t)
	one, two := upstreamtest.New(t), upstreamtest.New(t)
	one.Serve("/p", answer("p: one", `"1"`))
	one.Serve("/f", upstreamtest.Answer{Body: []byte("one")})
	two.Serve("/p", answer("p: two", `"2"`))
	two.Serve("/f", upstreamtest.Answer{Body: []byte("two")})
	if err := publish(b.as("alice", ""), "p", "1", []byte("ours")); err != nil {
		t.Fatal(err)
	}
	for id, s := range map[string]*upstreamtest.Server{"one": one, "two": two} {
		r := b.apart(id, s).For(policy.Subject{}, "", base)
		if got, _, err := doc(r, b.format.document("p")); err != nil || got != base+" p: "+id {
			t.Errorf("%s: %q, %v", id, got, err)
		}
		c, err := r.File(context.Background(), file("f"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := body(c); err != nil || string(got) != id {
			t.Errorf("%s: %q, %v", id, got, err)
		}
		if _, err := r.Package(context.Background(), "p"); !errors.Is(err, formats.ErrNotFound) {
			t.Errorf("%s has the hosted package: %v", id, err)
		}
		for p, err := range r.Packages(context.Background(), "") {
			t.Errorf("%s lists %v, %v", id, p, err)
		}
		if ours, err := r.Ours(context.Background(), []string{"p"}); err != nil || ours[0] {
			t.Errorf("%s: ours %v, %v", id, ours, err)
		}
		if _, err := b.apart(id, s).ResetOrigin(context.Background(), user("root"), "p", true); err == nil {
			t.Errorf("%s: an origin was reset", id)
		}
	}
	b.shows(b.reader, "p", "1")
	if keys := b.rows("n"); len(keys) != 0 {
		t.Errorf("names were noted: %q", keys)
	}
	// What came from a mirror does not stand in the way of a publication.
	two.Serve("/q", answer("q: two", `"2"`))
	if _, _, err := doc(b.apart("two", two).For(policy.Subject{}, "", base), b.format.document("q")); err != nil {
		t.Fatal(err)
	}
	if err := publish(b.as("alice", ""), "q", "1", []byte("ours")); err != nil {
		t.Errorf("the name of a mirror's package: %v", err)
	}
}

// TestWorldsAndClaims: what is claimed is asked of no upstream; an owner who
// exists here is another than the one of that name there.
func TestWorldsAndClaims(t *testing.T) {
	b := newBench(t)
	far := upstreamtest.New(t)
	far.Serve("/@acme/x", answer("@acme/x: far", `"1"`))
	m := b.apart("one", far)
	r := m.For(policy.Subject{}, "", base)
	if _, _, err := doc(r, b.format.document("@acme/x")); err != nil {
		t.Errorf("an owner's name: %v", err)
	}
	b.access.claim("@acme/x", "acme/packages")
	far.Forget()
	if _, _, err := doc(r, b.format.document("@acme/x")); !errors.Is(err, formats.ErrNotFound) {
		t.Errorf("a claimed name: %v", err)
	}
	if len(far.Log()) != 0 || b.seen.claimed.Load() != 1 {
		t.Errorf("asked %v, told %d times", far.Log(), b.seen.claimed.Load())
	}
	// Nobody's role in a repository of ours reaches into a mirror.
	res, err := m.Resource(context.Background(), "", formats.Request{Action: policy.Delete, Package: "y"})
	if err != nil || res.Repository != "" {
		t.Errorf("the repository of a mirror's package is %q, %v", res.Repository, err)
	}
}

// TestNegativeOfARegistry: a registry may forget sooner what is missing.
func TestNegativeOfARegistry(t *testing.T) {
	b := newBench(t)
	far := upstreamtest.New(t)
	r := b.apart("one", far).For(policy.Subject{}, "", base)
	for i, wait := range []time.Duration{0, 9 * time.Second, 2 * time.Second} {
		b.clock.advance(wait)
		if _, _, err := doc(r, b.format.document("p")); !errors.Is(err, formats.ErrNotFound) {
			t.Fatal(err)
		}
		if n := far.Requests("/p"); n != 1+i/2 {
			t.Errorf("%d requests at step %d", n, i)
		}
	}
}
