package registry_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"larder/formats"
	"larder/policy"
)

// settled is a change of p's settings by somebody.
func (b *bench) settled(who, into string, fn func(tx formats.Tx, p *formats.Package) error) error {
	c := formats.Change{Package: "p", Action: policy.Settings, Into: into}
	return b.as(who, "").Change(context.Background(), c, func(tx formats.Tx) error {
		p, err := tx.Package()
		if err != nil {
			return err
		}
		if err := fn(tx, p); err != nil {
			return err
		}
		return tx.Save(p)
	})
}

func move(inherit bool) func(formats.Tx, *formats.Package) error {
	return func(tx formats.Tx, _ *formats.Package) error {
		m, ok := tx.(formats.Mover)
		if !ok {
			return errors.New("the engine moves nothing")
		}
		return m.Move(inherit)
	}
}

// A package moves only by a change that policy was asked about for both places.
func TestMoveIsGuarded(t *testing.T) {
	b := newBench(t)
	if err := publish(b.as("alice", ""), "p", "1", []byte("one")); err != nil {
		t.Fatal(err)
	}
	denied := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, policy.ErrDenied) {
			t.Errorf("%s: %v", what, err)
		}
	}
	publishing := formats.Change{Package: "p", Action: policy.Publish, Into: "acme/packages"}
	denied("by a change of another kind", b.as("alice", "").Change(context.Background(), publishing, func(tx formats.Tx) error { return move(false)(tx, nil) }))
	denied("to no repository", b.settled("alice", "", move(false)))
	denied("to where the caller may not", b.settled("alice", "acme/secret", move(true)))
	denied("by one who may only there", b.settled("sam", "acme/secret", move(true)))
	denied("to another owner, who may not", b.settled("alice", "other/packages", move(true)))
	if err := b.settled("root", "other/packages", move(true)); !errors.Is(err, formats.ErrConflict) {
		t.Errorf("to another owner: %v", err)
	}
	if p := b.pkg("alice"); p.Repository != "acme/packages" || p.Access != "" {
		t.Errorf("moved: %+v", p)
	}
	if err := b.settled("alice", "acme/packages", move(false)); err != nil {
		t.Fatal(err)
	}
	first := b.pkg("alice")
	if first.Repository != "acme/packages" || first.Access == "" {
		t.Errorf("no grants of its own: %+v", first)
	}
	// What a format saves says nothing of where the package is.
	err := b.settled("alice", "", func(_ formats.Tx, p *formats.Package) error {
		p.Repository, p.Access = "acme/secret", "forged"
		return nil
	})
	if p := b.pkg("alice"); err != nil || p.Repository != "acme/packages" || p.Access != first.Access {
		t.Errorf("%v: %+v", err, p)
	}
	// A change that fails leaves the grants as they are.
	failed := errors.New("no")
	err = b.settled("alice", "acme/packages", func(formats.Tx, *formats.Package) error { return failed })
	if p := b.pkg("alice"); !errors.Is(err, failed) || p.Access != first.Access {
		t.Errorf("%v: %+v", err, p)
	}
	if err := b.settled("alice", "acme/packages", move(true)); err != nil {
		t.Fatal(err)
	}
	if p := b.pkg("alice"); p.Access != "" {
		t.Errorf("grants of its own: %+v", p)
	}
}

// No format can take back what was public.
func TestPublicStaysPublic(t *testing.T) {
	b := newBench(t)
	if err := publish(b.as("alice", ""), "p", "1", []byte("one")); err != nil {
		t.Fatal(err)
	}
	for _, v := range []policy.Visibility{policy.Private, policy.Internal, ""} {
		err := b.settled("alice", "", func(_ formats.Tx, p *formats.Package) error { p.Visibility = v; return nil })
		if !errors.Is(err, formats.ErrConflict) {
			t.Errorf("public to %q: %v", v, err)
		}
	}
	if p := b.pkg("alice"); p.Visibility != policy.Public {
		t.Error(fmt.Sprint("it is ", p.Visibility))
	}
}

func (b *bench) pkg(who string) *formats.Package {
	b.t.Helper()
	p, err := b.as(who, "").Package(context.Background(), "p")
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

// A package in which nothing was ever published is moved by whoever may publish
// to both repositories, and gets no grants by that.
func TestMoveBeforePublication(t *testing.T) {
	b := newBench(t)
	b.link("p", "layer", []byte("layer"))
	pushed := func(who string, inherit bool) error {
		c := formats.Change{Package: "p", Action: policy.Publish, Into: "acme/secret"}
		return b.as(who, "").Change(context.Background(), c, func(tx formats.Tx) error {
			if err := move(inherit)(tx, nil); err != nil {
				return err
			}
			p, err := tx.Package()
			if err != nil {
				return err
			}
			return tx.Save(p)
		})
	}
	for what, err := range map[string]error{
		"to where the caller may not": pushed("alice", true), "with grants of its own": pushed("root", false),
	} {
		if !errors.Is(err, policy.ErrDenied) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if p := b.pkg("alice"); p.Repository != "acme/packages" {
		t.Errorf("moved to %s", p.Repository)
	}
	if err := pushed("root", true); err != nil {
		t.Fatal(err)
	}
	if p := b.pkg("root"); p.Repository != "acme/secret" || p.Access != "" {
		t.Errorf("not moved: %+v", p)
	}
}
