package evict

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"larder/cache"
	"larder/cache/badger"
	"larder/cache/memory"
	"larder/cache/refs"
)

// fill adds n cached blobs, an hour apart.
func (b *bench) fill(n int) []cache.Blob {
	b.t.Helper()
	var blobs []cache.Blob
	for i := range n {
		blobs = append(blobs, b.add(fmt.Sprint("n", i), refs.Cached))
		b.now = b.now.Add(time.Hour)
	}
	return blobs
}

// left returns which of the blobs are there.
func (b *bench) left(blobs []cache.Blob) (list []int) {
	b.t.Helper()
	for i, blob := range blobs {
		if b.there(blob) {
			list = append(list, i)
		}
	}
	return list
}

// The first queue gives until it holds a tenth, then the second gives too.
func TestQueuesShareTheLoss(t *testing.T) {
	b := newBench(t, 100*5<<10)
	blobs := b.fill(40)
	for _, blob := range blobs[:20] { // the older half is used again
		b.evict.Touch(blob.Digest)
	}
	b.evict.SetBudget(25 * 5 << 10)
	if err := b.keep(); err != nil {
		t.Fatal(err)
	}
	var again, once int
	for _, i := range b.left(blobs) {
		if i < 20 {
			again++
		} else {
			once++
		}
	}
	if again != 20 || once < 2 || once > 4 {
		t.Errorf("%d blobs used again and %d used once are left, want 20 and 2 to 4", again, once)
	}
	b.evict.SetBudget(10 * 5 << 10)
	if err := b.keep(); err != nil {
		t.Fatal(err)
	}
	if u := b.usage(); u.CachedBytes > 10*5<<10 || u.MainBytes == 0 || u.MainBytes == u.CachedBytes {
		t.Errorf("usage %+v: want both queues to have something left", u)
	}
}

// What an eviction reads and writes depends on what it evicts, not on how much there is.
func TestCostDoesNotGrow(t *testing.T) {
	cost := func(n int) int64 {
		s := &spy{Index: memory.NewIndex()}
		b := newBenchOn(t, 1<<30, s, memory.NewStore())
		b.fill(n)
		b.evict.SetBudget(b.usage().CachedBytes)
		s.rows.Store(0)
		if err := b.evict.Reserve(context.Background(), 40<<10); err != nil { // nine blobs
			t.Fatal(err)
		}
		if gone := int64(n) - b.usage().CachedBlobs; gone != 9 {
			t.Errorf("%d of %d blobs went, want 9", gone, n)
		}
		return s.rows.Load()
	}
	few, many := cost(batch+10), cost(8*batch)
	if few != many {
		t.Errorf("%d rows touched among few blobs, %d among many", few, many)
	}
}

// A file that cannot be deleted is reported once, tried again later, and keeps
// nothing else from going.
func TestDeletionsThatFail(t *testing.T) {
	s := &stubborn{Store: memory.NewStore(), stuck: map[cache.Digest]bool{}}
	b := newBenchOn(t, 20*5<<10, memory.NewIndex(), s)
	blobs := b.fill(20)
	s.set(blobs[1].Digest, true)
	if err := b.evict.Reserve(context.Background(), 10<<10); err != nil {
		t.Fatalf("a file that cannot be deleted keeps a fill out: %v", err)
	}
	if left := b.left(blobs); len(left) != 18 || left[0] != 1 {
		t.Errorf("left: %v", left)
	}
	if err := b.keep(); err == nil {
		t.Error("nobody hears that a file cannot be deleted")
	}
	if err := b.keep(); err != nil {
		t.Errorf("reported again at once: %v", err)
	}
	s.set(blobs[1].Digest, false)
	b.now = b.now.Add(retryAfter)
	if err := b.keep(); err != nil || b.there(blobs[1]) {
		t.Errorf("not tried again (%v)", err)
	}
}

// Without room for a write in the Index the bytes go alone, oldest first, and
// what is kept stays; the rows follow when they can.
func TestNoRoomToWrite(t *testing.T) {
	s := &spy{Index: memory.NewIndex()}
	b := newBenchOn(t, 40*5<<10, s, memory.NewStore())
	ours := b.add("ours", refs.Hosted)
	blobs := b.fill(40)
	s.refuse = cache.ErrFull
	b.evict.opt.Pressure = func() bool { return true }
	for range 3 { // each round frees more
		before := len(b.left(blobs))
		if err := b.keep(); err != nil {
			t.Fatal(err)
		}
		if len(b.left(blobs)) >= before {
			t.Fatalf("%d blobs before and after", before)
		}
	}
	left := b.left(blobs)
	if !b.there(ours) || left[0] != 40-len(left) {
		t.Errorf("hosted there: %v; left %v", b.there(ours), left)
	}
	s.refuse = nil
	b.evict.opt.Pressure = func() bool { return false }
	b.evict.SetBudget(int64(len(left)) * 5 << 10)
	if err := b.keep(); err != nil {
		t.Fatal(err)
	}
	if b.record("n0") || !b.record("n39") {
		t.Error("the rows of the missing bytes are still there, or those of others are gone")
	}
}

func TestUnhealthyIndexIsReported(t *testing.T) {
	s := &spy{Index: memory.NewIndex()}
	b := newBenchOn(t, 10*5<<10, s, memory.NewStore())
	blobs := b.fill(10)
	s.refuse = cache.ErrUnhealthy
	b.evict.SetBudget(1)
	if err := b.keep(); !errors.Is(err, cache.ErrUnhealthy) {
		t.Errorf("got %v", err)
	}
	if n := len(b.left(blobs)); n != 10 {
		t.Errorf("%d blobs left", n)
	}
}

// One row that cannot be read does not keep the rest from going.
func TestDamagedRowIsPassed(t *testing.T) {
	b := newBench(t, 10*5<<10)
	blobs := b.fill(10)
	err := b.index.Update(context.Background(), func(w cache.Writer) error {
		return w.Put(append([]byte{'b'}, blobs[0].Digest[:]...), []byte("no such layout"))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.evict.Reserve(context.Background(), 10<<10); err != nil {
		t.Fatal(err)
	}
	if err := b.keep(); err == nil {
		t.Error("nobody hears of the damaged row")
	}
	if left := b.left(blobs); left[0] != 0 || len(left) > 8 {
		t.Errorf("left: %v", left)
	}
}

// On the real index: a blob that many records share, with keys of the longest
// kind, is more than one transaction takes.
func TestManyLongRecordsOnBadger(t *testing.T) {
	index, err := badger.Open(t.TempDir(), badger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer index.Close()
	b := newBenchOn(t, 10*5<<10, index, memory.NewStore())
	blob := b.add("a", refs.Cached)
	const records = 1500
	for from := 0; from < records; from += 250 {
		err := index.Update(context.Background(), func(w cache.Writer) error {
			for i := from; i < from+250; i++ {
				record := append(bytes.Repeat([]byte("f"), cache.MaxKey-4), fmt.Sprintf("%04d", i)...)
				err := errors.Join(w.Put(record, nil), refs.Link(w, blob, refs.Edge{Kind: refs.Cached, Record: record}, b.now))
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	rest := b.fill(20)
	b.evict.SetBudget(5 * 5 << 10)
	if err := b.keep(); err != nil {
		t.Fatal(err)
	}
	if b.there(blob) || len(b.left(rest)) > 5 {
		t.Errorf("there: %v, and %d others", b.there(blob), len(b.left(rest)))
	}
	if u := b.usage(); u.CachedBytes > 5*5<<10 {
		t.Errorf("usage %+v", u)
	}
}
