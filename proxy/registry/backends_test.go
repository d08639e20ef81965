package registry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"larder/cache/badger"
	"larder/cache/disk"
	"larder/cache/evict"
	"larder/formats"
	"larder/proxy/registry"
	"larder/upstream"
	"larder/upstream/upstreamtest"
)

// onDisk puts a bench on the store, the index and the evictor that a node uses.
func onDisk(budget int64) setting {
	return func(b *bench, o *registry.Options) {
		dir := b.t.TempDir()
		store, err := disk.Open(dir, disk.Options{Room: disk.RoomOptions{Floor: 1 << 20}})
		if err != nil {
			b.t.Fatal(err)
		}
		index, err := badger.Open(filepath.Join(dir, "index"), badger.Options{})
		if err != nil {
			b.t.Fatal(err)
		}
		b.t.Cleanup(func() {
			if err := errors.Join(index.Close(), store.Close()); err != nil {
				b.t.Error(err)
			}
		})
		evictor, err := evict.New(index, store, evict.Options{Budget: budget, Clock: b.clock.now, Locks: b.locks})
		if err != nil {
			b.t.Fatal(err)
		}
		b.store, b.index, o.Room = store, index, evictor
	}
}

// TestOnDisk is one day of a registry over the backends of a node.
func TestOnDisk(t *testing.T) {
	b := newBench(t, onDisk(1<<30))
	for _, size := range sizes {
		name, data := fmt.Sprintf("f%d", size), text(size)
		b.far.Serve("/"+name, upstreamtest.Answer{Body: data})
		clients(t, 8, func() {
			if got, _, err := b.get(file(name, sumOf(data))); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s: %d bytes, %v", name, len(got), err)
			}
		})
		b.stored(file(name))
		b.want(file(name), data, formats.Hit)
		if n := b.far.Requests("/" + name); n != 1 {
			t.Errorf("%s: %d requests", name, n)
		}
	}
	for _, bad := range []upstreamtest.Answer{{Body: text(300 << 10), Wrong: true}, {Body: text(300 << 10), Cut: true, CutAfter: 200 << 10}} {
		b.far.Serve("/bad", bad)
		if got, _, err := b.get(file("bad", sumOf(text(300<<10)))); err == nil {
			t.Errorf("%d bytes looked whole", len(got))
		}
		b.clock.advance(time.Minute)
	}
	long := "p: " + string(text(100<<10))
	b.far.Serve("/p", answer(long, `"1"`))
	b.sees(long, formats.Miss)
	b.clock.advance(3 * time.Hour)
	b.sees(long, formats.Revalidated)
	alice := b.as("alice", "")
	for _, version := range []string{"1", "2"} {
		if err := publish(alice, "mine", version, []byte(version)); err != nil {
			t.Fatal(err)
		}
	}
	if err := publish(alice, "p", "1", nil); err == nil {
		t.Error("an upstream's name was published")
	}
	if err := retract(alice, "mine", "1"); err != nil {
		t.Fatal(err)
	}
	b.shows(b.reader, "mine", "2")
	b.want(hostedFile("mine", "2"), []byte("2"), formats.Hosted)
}

// TestRestart: another engine over the same rows finds all of it, and asks nobody.
func TestRestart(t *testing.T) {
	b := newBench(t, onDisk(1<<30))
	data, long := text(1<<20), "p: "+string(text(500<<10)) // what is rendered is kept too
	b.far.Serve("/f", upstreamtest.Answer{Body: data})
	b.far.Serve("/p", answer(long, `"1"`))
	b.want(file("f"), data, formats.Miss)
	first := b.sees(long, formats.Miss)
	if err := publish(b.as("alice", ""), "mine", "1", []byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := b.engine.Close(); err != nil { // waits for the fill
		t.Fatal(err)
	}
	b.far.Forget()
	b.open(registry.Options{Store: b.store, Index: b.index, Locks: b.locks, Room: b.room, Access: b.access, Clock: b.clock.now})
	b.want(file("f"), data, formats.Hit)
	if c := b.sees(long, formats.Hit); c.ETag != first.ETag {
		t.Error("a restart moved the tag")
	}
	b.shows(b.reader, "mine", "1")
	if len(b.far.Log()) != 0 {
		t.Errorf("asked again: %v", b.far.Log())
	}
	if n := b.format.renders.Load(); n != 1 {
		t.Errorf("%d renderings", n)
	}
}

// TestSmallBudget: more files and documents than fit, in a circle, with the
// real evictor; all come whole, and hosted ones stay.
func TestSmallBudget(t *testing.T) {
	b := newBench(t, onDisk(2<<20))
	if err := publish(b.as("alice", ""), "mine", "1", text(300<<10)); err != nil {
		t.Fatal(err)
	}
	clients(t, 4, func() {
		for i := range 24 {
			name := fmt.Sprint(i % 12)
			data := append(text(200<<10), name...)
			b.far.Serve("/"+name, upstreamtest.Answer{Body: data})
			if got, _, err := b.get(file(name, sumOf(data))); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s: %d bytes, %v", name, len(got), err)
			}
			pkg := "doc" + name
			long := pkg + ": " + string(text(300<<10))
			b.far.Serve("/"+pkg, answer(long, `"1"`))
			if got, _, err := doc(b.reader, b.format.document(pkg)); err != nil || got != base+" "+long {
				t.Errorf("%s: %d bytes, %v", pkg, len(got), err)
			}
			b.clock.advance(time.Second)
		}
	})
	b.want(hostedFile("mine", "1"), text(300<<10), formats.Hosted)
	if b.seen.integrity.Load() != 0 {
		t.Errorf("%d evictions were taken for damage", b.seen.integrity.Load())
	}
}

// TestIndexGone: with nothing to look things up in, nothing is invented.
func TestIndexGone(t *testing.T) {
	b := newBench(t)
	if err := b.index.Close(); err != nil {
		t.Fatal(err)
	}
	_, docErr := b.reader.Document(context.Background(), b.format.document("p"))
	_, fileErr := b.reader.File(context.Background(), file("f"))
	for _, err := range []error{docErr, fileErr, publish(b.as("alice", ""), "p", "1", nil)} {
		if err == nil || errors.Is(err, formats.ErrNotFound) || errors.Is(err, upstream.ErrNotExist) {
			t.Errorf("error %v", err)
		}
	}
	if len(b.far.Log()) != 0 {
		t.Errorf("the upstream was asked: %v", b.far.Log())
	}
}
