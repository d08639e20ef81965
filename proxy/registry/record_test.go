package registry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"larder/formats"
	"larder/policy"
	"larder/policy/audit"
)

// recorded returns the records behind the first n.
func (b *bench) recorded(n int) (all []audit.Record) {
	b.t.Helper()
	for r, err := range audit.Export(context.Background(), b.index, uint64(n), audit.Filter{}) {
		if err != nil {
			b.t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

func TestChangesOfPackagesAreRecorded(t *testing.T) {
	b := newBench(t)
	alice := b.as("alice", "")
	change := func(fn func(formats.Tx) error) error {
		return alice.Change(context.Background(), formats.Change{Package: "p", Action: policy.Publish}, fn)
	}
	save := func(fn func(*formats.Package)) func(formats.Tx) error {
		return func(tx formats.Tx) error {
			p, err := tx.Package()
			if err != nil {
				return err
			}
			fn(p)
			return tx.Save(p)
		}
	}
	amend := func(fn func(*formats.Release)) func(formats.Tx) error {
		return func(tx formats.Tx) error {
			r, err := tx.Release("1")
			if err != nil {
				return err
			}
			fn(r)
			return tx.Amend(r)
		}
	}
	restore := func(tx formats.Tx) error {
		r, ok := tx.(interface{ Restore(version string) error })
		if !ok {
			return errors.New("the engine restores nothing")
		}
		return r.Restore("1")
	}
	opened := func(tx formats.Tx) error {
		if err := tx.Add(&formats.Release{Version: "2"}); err != nil {
			return err
		}
		return save(func(p *formats.Package) { p.Visibility = policy.Public; p.Tags["latest"] = "2" })(tx)
	}
	for _, step := range []struct {
		run  func() error
		want string
	}{
		{func() error { return publish(alice, "p", "1", []byte("one")) }, "[package.publish 1 true map[] map[]]"},
		{func() error { return change(save(func(p *formats.Package) { p.Tags["next"] = "1" })) }, "[package.change  false map[] map[tag next:1]]"},
		{func() error {
			c := formats.Change{Package: "q", Action: policy.Publish, Create: true, Visibility: policy.Private}
			return alice.Change(context.Background(), c, save(func(*formats.Package) {}))
		}, "[package.change  false map[] map[]]"},
		{func() error {
			return alice.Change(context.Background(), formats.Change{Package: "q", Action: policy.Publish}, opened)
		}, "[package.publish 2 false map[] map[] package.change  false map[visibility:private] map[visibility:public]]"},
		{func() error { return change(save(func(p *formats.Package) { delete(p.Tags, "next") })) }, "[package.change  false map[tag next:1] map[]]"},
		{func() error { return change(amend(func(r *formats.Release) { r.Meta = []byte("old") })) }, "[package.amend 1 true map[] map[]]"},
		{func() error { return change(amend(func(r *formats.Release) { r.Acknowledged = true })) }, "[]"},
		{func() error { return change(func(tx formats.Tx) error { return tx.Retract("1") }) }, "[package.delete 1 true map[] map[]]"},
		{func() error { return change(restore) }, "[package.restore 1 true map[] map[]]"},
	} {
		n := len(b.recorded(0))
		if err := step.run(); err != nil {
			t.Fatalf("%s: %v", step.want, err)
		}
		got := []string{}
		for _, r := range b.recorded(n) {
			got = append(got, fmt.Sprint(r.Action, " ", r.Resource.Version, " ", r.Resource.Digest != "", " ", map[string]string(r.Before), " ", map[string]string(r.After)))
			if r.Actor.ID != "alice" || r.Resource.Package != "p" && r.Resource.Package != "q" || r.Resource.Repository == "" {
				t.Errorf("%+v", r)
			}
		}
		if fmt.Sprint(got) != step.want {
			t.Errorf("%v, want %s", got, step.want)
		}
	}
}

func TestChangesOfManyVersionsAreCounted(t *testing.T) {
	b := newBench(t)
	alice := b.as("alice", "")
	const versions = 60
	for v := range versions {
		if err := publish(alice, "p", fmt.Sprint(v), bytes.Repeat([]byte("x"), v+1)); err != nil {
			t.Fatal(err)
		}
	}
	n := len(b.recorded(0))
	err := alice.Change(context.Background(), formats.Change{Package: "p", Action: policy.Delete}, func(tx formats.Tx) error {
		for v := range versions {
			if err := tx.Retract(fmt.Sprint(v)); err != nil {
				return err
			}
		}
		return nil
	})
	all := b.recorded(n)
	if err != nil || len(all) != 1 || all[0].Action != "package.delete" || all[0].After["versions"] != "60" || all[0].Resource.Version != "" {
		t.Errorf("%v %+v", err, all)
	}
}
