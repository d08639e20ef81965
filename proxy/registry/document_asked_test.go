package registry_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"larder/cache"
	"larder/formats"
	"larder/proxy/registry"
)

// meanwhile is an index that lets something happen after the next View has read
// what it reads, and before its caller hears of it.
type meanwhile struct {
	cache.Index
	next atomic.Pointer[func()]
}

func (m *meanwhile) View(ctx context.Context, fn func(cache.Reader) error) error {
	err := m.Index.View(ctx, fn)
	if do := m.next.Swap(nil); do != nil {
		(*do)()
	}
	return err
}

// TestAnsweredOnTheWay: a question that somebody else had answered between the
// look at what is held and the asking is not asked again.
func TestAnsweredOnTheWay(t *testing.T) {
	index := &meanwhile{}
	b := newBench(t, func(b *bench, _ *registry.Options) { index.Index, b.index = b.index, index })
	b.sees404("p")
	b.clock.advance(2 * time.Minute)
	b.far.Serve("/p", answer("p: one", `"1"`))
	b.far.Forget()
	other := b.format.document("p")
	other.Variant = "other"
	ask := func() {
		if _, _, err := doc(b.reader, other); err != nil {
			t.Error(err)
		}
	}
	index.next.Store(&ask)
	if got, _, err := doc(b.reader, b.format.document("p")); err != nil || got != base+" p: one" {
		t.Errorf("cold: %q, %v", got, err)
	}
	b.asked("/p", 1)
	b.clock.advance(3 * time.Hour)
	index.next.Store(&ask)
	if got, _, err := doc(b.reader, b.format.document("p")); err != nil || got != base+" p: one" {
		t.Errorf("old: %q, %v", got, err)
	}
	b.asked("/p", 1)
}

func (b *bench) sees404(pkg string) {
	b.t.Helper()
	if _, _, err := doc(b.reader, b.format.document(pkg)); err == nil {
		b.t.Fatalf("%s is there", pkg)
	}
}

// TestNonsenseIsNotAskedForAgain at once, however old what is held is.
func TestNonsenseIsNotAskedForAgain(t *testing.T) {
	for _, age := range []time.Duration{10 * time.Minute, 3 * time.Hour} {
		b := newBench(t)
		b.far.Serve("/p", answer("p: one", `"1"`))
		b.sees("p: one", formats.Miss)
		b.far.Serve("/p", answer("<html>", ""))
		b.far.Forget()
		b.clock.advance(age)
		read := func() {
			if got, _, err := doc(b.reader, b.format.document("p")); err != nil || got != base+" p: one" {
				t.Fatalf("%q, %v", got, err)
			}
		}
		read()
		eventually(t, "the question has arrived", func() bool { return b.far.Requests("/p") > 0 })
		for range 50 { // the first of them may join it
			read()
		}
		b.clock.advance(5 * time.Second)
		read()
		eventually(t, "it is asked again", func() bool { return b.far.Requests("/p") > 1 })
		if err := b.engine.Close(); err != nil { // waits for what is asked behind the readers
			t.Fatal(err)
		}
		b.asked("/p", 2)
	}
}

// TestUsedDocumentsStay: a document in the store counts as used when its
// rendering is, though its bytes are not read.
func TestUsedDocumentsStay(t *testing.T) {
	const budget = 2 << 20
	b := newBench(t, onDisk(budget))
	read := func(i int) formats.Result {
		t.Helper()
		pkg := fmt.Sprintf("p%d", i)
		long := pkg + ": " + strings.Repeat(pkg, 100<<10/len(pkg))
		b.far.Serve("/"+pkg, answer(long, `"1"`))
		got, c, err := doc(b.reader, b.format.document(pkg))
		if err != nil || got != base+" "+long {
			t.Fatalf("%s: %d bytes, %v", pkg, len(got), err)
		}
		return c.Result
	}
	for i := range 60 {
		read(i)
		b.clock.advance(time.Minute)
		if result := read(0); result != formats.Hit && result != formats.Revalidated && result != formats.Stale {
			t.Fatalf("what is always used went after %d others: %s", i, result)
		}
	}
	if result := read(1); result != formats.Miss {
		t.Errorf("what was used once, long ago: %s", result)
	}
}
