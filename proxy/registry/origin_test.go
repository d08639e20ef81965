package registry_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"larder/formats"
	"larder/policy"
	"larder/policy/audit"
	"larder/proxy/registry"
	"larder/upstream/upstreamtest"
)

// administrator is a caller who may reset origins.
func administrator() policy.Subject {
	return policy.Subject{User: "root", TokenID: "t", Admin: true, Scopes: policy.AllScopes()}
}

func (b *bench) reset(pkg string) (*registry.OriginReset, error) {
	return b.reg.ResetOrigin(context.Background(), administrator(), pkg, false)
}

// unpublish deletes a package as a format does.
func (b *bench) unpublish(r formats.Registry, pkg string) {
	b.t.Helper()
	err := r.Change(context.Background(), formats.Change{Package: pkg, Action: policy.Delete}, func(tx formats.Tx) error {
		p, err := tx.Package()
		if err != nil {
			return err
		}
		for rel, err := range tx.Releases() {
			if err == nil {
				err = tx.Retract(rel.Version)
			}
			if err != nil {
				return err
			}
		}
		p.Deleted = b.clock.now()
		return tx.Save(p)
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) restore(r formats.Registry, pkg, version string) error {
	return r.Change(context.Background(), formats.Change{Package: pkg, Action: policy.Restore}, func(tx formats.Tx) error {
		return tx.(interface{ Restore(version string) error }).Restore(version)
	})
}

// deeds are the origin resets that were recorded.
func (b *bench) deeds() (list []audit.Record) {
	b.t.Helper()
	for r, err := range audit.Export(context.Background(), b.index, 0, audit.Filter{Action: "origin"}) {
		if err != nil {
			b.t.Fatal(err)
		}
		list = append(list, r)
	}
	return list
}

// A name that an upstream once had and has no more can be published, once an
// administrator says so.
func TestResetOfAnUpstreamsName(t *testing.T) {
	b := newBench(t)
	alice := b.as("alice", "")
	b.far.Serve("/p", answer("p: one", `"1"`))
	b.far.Serve("/p/1", upstreamtest.Answer{Body: []byte("upstream's")})
	b.sees("p: one", formats.Miss)
	b.far.Serve("/p", upstreamtest.Answer{Status: 404})
	if err := publish(alice, "p", "1", []byte("ours")); !errors.Is(err, policy.ErrDenied) {
		t.Fatalf("before: %v", err)
	}
	dry, err := b.reg.ResetOrigin(context.Background(), administrator(), "p", true)
	if err != nil || dry.Upstream != "far" || dry.Documents != 1 || len(b.deeds()) != 0 {
		t.Errorf("dry: %+v, %v", dry, err)
	}
	if err := publish(alice, "p", "1", []byte("ours")); !errors.Is(err, policy.ErrDenied) {
		t.Fatalf("after a dry run: %v", err)
	}
	done, err := b.reset("p")
	if err != nil || *done != *dry || done.Since.IsZero() {
		t.Fatalf("%+v, %v; the dry run said %+v", done, err, dry)
	}
	if log := b.deeds(); len(log) != 1 || log[0].Action != "origin.reset" || log[0].Actor.ID != "root" || log[0].Resource.Package != "p" || log[0].Before["upstream"] != "far" {
		t.Errorf("%+v", log)
	}
	if err := publish(alice, "p", "1", []byte("ours")); err != nil {
		t.Fatalf("after: %v", err)
	}
	b.far.Serve("/p", answer("p: two", `"2"`))
	b.clock.advance(10 * 24 * time.Hour)
	b.shows(b.reader, "p", "1")
	if _, err := b.reset("p"); !errors.Is(err, formats.ErrConflict) || !strings.Contains(err.Error(), "delete it first") {
		t.Errorf("while it is published: %v", err)
	}
}

// While the upstream has the name, a reset changes nothing but that it is asked.
func TestResetWhileTheUpstreamHasTheName(t *testing.T) {
	b := newBench(t)
	b.far.Serve("/p", answer("p: one", `"1"`))
	b.sees("p: one", formats.Miss)
	if _, err := b.reset("p"); err != nil {
		t.Fatal(err)
	}
	b.far.Forget()
	if err := publish(b.as("alice", ""), "p", "1", nil); !errors.Is(err, policy.ErrDenied) || len(b.far.Log()) != 1 {
		t.Errorf("%v, asked %v", err, b.far.Log())
	}
	b.sees("p: one", formats.Hit)
	if done, err := b.reset("p"); err != nil || done.Upstream != "far" {
		t.Errorf("it came again: %+v, %v", done, err)
	}
}

// What was published by mistake under an upstream's name can be given back.
func TestResetOfANameOfOurs(t *testing.T) {
	b := newBench(t)
	alice := b.as("alice", "")
	for _, v := range []string{"1", "2"} {
		if err := publish(alice, "p", v, []byte("ours "+v)); err != nil {
			t.Fatal(err)
		}
	}
	b.far.Serve("/p", answer("p: one", `"1"`))
	b.unpublish(alice, "p")
	b.silent("p")
	done, err := b.reset("p")
	if err != nil || done.Repository != "acme/packages" || done.Upstream != "" {
		t.Fatalf("%+v, %v", done, err)
	}
	b.sees("p: one", formats.Miss)
	if err := b.restore(alice, "p", "1"); !errors.Is(err, policy.ErrDenied) {
		t.Errorf("restored beside the upstream's: %v", err)
	}
	if err := publish(alice, "p", "3", nil); !errors.Is(err, policy.ErrDenied) {
		t.Errorf("published beside the upstream's: %v", err)
	}
	b.sees("p: one", formats.Hit)
	// A claim takes it back for good, and what was taken stays taken.
	b.access.claim("p", "acme/packages")
	if err := publish(alice, "p", "1", []byte("other")); !errors.Is(err, formats.ErrExists) {
		t.Errorf("a version number that was given up: %v", err)
	}
	if err := publish(alice, "p", "3", []byte("three")); err != nil {
		t.Fatal(err)
	}
	b.shows(b.reader, "p", "3")
	if err := b.restore(alice, "p", "2"); !errors.Is(err, formats.ErrConflict) || !strings.Contains(err.Error(), "given up") {
		t.Errorf("restored what was given up: %v", err)
	}
	if _, err := b.reset("p"); !errors.Is(err, formats.ErrConflict) {
		t.Errorf("%v", err)
	}
}

// A name that was given up may be published by others; they get nothing of
// what was there.
func TestNameThatWasGivenUpIsNew(t *testing.T) {
	b := newBench(t)
	sam := b.as("sam", "acme/secret")
	if err := publish(sam, "p", "1", []byte("secret")); err != nil {
		t.Fatal(err)
	}
	b.unpublish(sam, "p")
	if err := publish(b.as("alice", "acme/packages"), "p", "2", nil); err == nil {
		t.Fatal("a name that stays reserved was taken")
	}
	if _, err := b.reset("p"); err != nil {
		t.Fatal(err)
	}
	alice := b.as("alice", "acme/packages")
	if err := publish(alice, "p", "2", []byte("alice's")); err != nil {
		t.Fatal(err)
	}
	b.shows(b.reader, "p", "2")
	p, err := b.reader.Package(context.Background(), "p")
	if err != nil || p.Repository != "acme/packages" || p.Visibility != policy.Public || !p.Deleted.IsZero() {
		t.Errorf("%+v, %v", p, err)
	}
	if err := b.restore(alice, "p", "1"); !errors.Is(err, formats.ErrConflict) {
		t.Errorf("the bytes of the owner before: %v", err)
	}
}

func TestResetOfNothing(t *testing.T) {
	b := newBench(t)
	if _, err := b.reset("p"); !errors.Is(err, formats.ErrNotFound) {
		t.Errorf("a name nobody asked for: %v", err)
	}
	b.access.claim("claimed", "acme/packages")
	for _, name := range []string{"claimed", "@acme/p"} {
		if _, err := b.reset(name); !errors.Is(err, formats.ErrConflict) || !strings.Contains(err.Error(), "is claimed") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, s := range []policy.Subject{{}, user("alice")} {
		var refusal *policy.Refusal
		if _, err := b.reg.ResetOrigin(context.Background(), s, "p", true); !errors.As(err, &refusal) {
			t.Errorf("%q: %v", s.User, err)
		}
	}
	if log := b.deeds(); len(log) != 0 {
		t.Errorf("recorded: %+v", log)
	}
}

// Resets, publishes, deletions and reads of one name at once: whatever their
// order, a document never has versions of both, and in the end one owns it.
func TestResetsAtOnce(t *testing.T) {
	b := newBench(t)
	alice := b.as("alice", "")
	b.far.Serve("/p", answer("p: one", `"1"`))
	var all sync.WaitGroup
	for i := range 8 {
		version := string(rune('1' + i))
		all.Go(func() {
			for range 5 {
				text, _, err := doc(b.reader, b.format.document("p"))
				ours, theirs := strings.Contains(text, "hosted"), strings.Contains(text, "one")
				if err == nil && ours == theirs || err != nil && !errors.Is(err, formats.ErrNotFound) {
					t.Errorf("%q, %v", text, err)
				}
			}
		})
		all.Go(func() {
			if err := publish(alice, "p", version, []byte(version)); err != nil && !errors.Is(err, policy.ErrDenied) && !errors.Is(err, formats.ErrConflict) {
				t.Errorf("publish: %v", err)
			}
		})
		all.Go(func() {
			if _, err := b.reset("p"); err != nil && !errors.Is(err, formats.ErrConflict) && !errors.Is(err, formats.ErrNotFound) {
				t.Errorf("reset: %v", err)
			}
		})
	}
	all.Wait()
	text, c, err := doc(b.reader, b.format.document("p"))
	if err != nil || strings.Contains(text, "hosted") != (c.Result == formats.Hosted) {
		t.Errorf("%q, %v", text, err)
	}
}
