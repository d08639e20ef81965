package registry_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"larder/cache"
	"larder/formats"
	"larder/policy"
	"larder/proxy/registry"
)

// writes counts the transactions that may write.
type writes struct {
	cache.Index
	n int
}

func (w *writes) Update(ctx context.Context, fn func(cache.Writer) error) error {
	w.n++
	return w.Index.Update(ctx, fn)
}

// used lists what somebody may know to be used since so many days, as "package:tag
// day" or "package@version day".
func (b *bench) used(who string, days int, after string) (list []string, last string) {
	b.t.Helper()
	since := b.clock.now().Add(-time.Duration(days) * day)
	for u, err := range b.reg.Used(b.t.Context(), policy.Subject{User: who, Scopes: []policy.Scope{policy.ReadPackages}}, since, after) {
		if err != nil {
			b.t.Fatal(err)
		}
		name := ":" + u.Tag
		if u.Version != "" {
			name = "@" + u.Version
		}
		list = append(list, u.Package+name+" "+u.Day.Format("0102"))
		last = u.Cursor()
	}
	return list, last
}

// TestUsed: a use is known from the day on, told to those who may read the package,
// over a restart, and written once a day.
func TestUsed(t *testing.T) {
	count := &writes{}
	b := newBench(t, func(b *bench, o *registry.Options) {
		count.Index = b.index
		b.index = count
	})
	open := registry.Options{Locks: b.locks, Room: b.room, Access: b.access, Clock: b.clock.now, Store: b.store, Index: b.index}
	b.access.claim("hidden", "acme/secret")
	b.access.claim("p", "acme/packages")
	b.access.claim("p/q", "acme/packages")
	use := func(pkg, tag, version string) { b.reader.Used(formats.Use{Package: pkg, Tag: tag, Version: version}) }
	want := func(who string, days int, want ...string) {
		t.Helper()
		if got, _ := b.used(who, days, ""); !slices.Equal(got, want) {
			t.Errorf("%q in %d days: %q, want %q", who, days, got, want)
		}
	}
	want("", 400)
	use("p", "1", "")
	use("p", "", "sha256:0")
	use("p/q", "latest", "")
	use("hidden", "1", "")
	use(strings.Repeat("long", 300), "1", "")
	want("sam", 30, "hidden:1 0301", "p:1 0301", "p@sha256:0 0301", "p/q:latest 0301")
	want("", 30, "p:1 0301", "p@sha256:0 0301", "p/q:latest 0301")

	b.clock.advance(11 * time.Hour) // still that day
	before := count.n
	use("p", "1", "")
	want("", 0, "p:1 0301", "p@sha256:0 0301", "p/q:latest 0301")
	if count.n != before {
		t.Errorf("a second use of a day is %d writes", count.n-before)
	}
	b.clock.advance(30 * day)
	use("p", "1", "")
	want("", 29, "p:1 0331")
	want("", 30, "p:1 0331", "p@sha256:0 0301", "p/q:latest 0301")

	if err := b.engine.FlushUses(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.open(open)
	use("p", "1", "")
	b.clock.advance(-20 * day) // a clock that was set back takes nothing back
	use("p", "1", "")
	want("", 100, "p:1 0331", "p@sha256:0 0301", "p/q:latest 0301")
	if list, last := b.used("", 100, "p t1"); len(list) != 2 || last != "p/q tlatest" {
		t.Errorf("behind the first: %q, %q", list, last)
	}

	b.clock.advance(395 * day)
	if err := registry.ForgetUses(t.Context(), b.engine); err != nil {
		t.Fatal(err)
	}
	want("", 1000, "p:1 0331")
}

// TestUsedMany: more than one transaction writes, and one reads.
func TestUsedMany(t *testing.T) {
	b := newBench(t)
	b.access.claim("p", "acme/packages")
	for i := range 2500 {
		b.reader.Used(formats.Use{Package: "p", Tag: fmt.Sprintf("%04d", i)})
	}
	if got, _ := b.used("", 1, ""); len(got) != 2500 || !slices.IsSorted(got) {
		t.Errorf("%d uses", len(got))
	}
}
