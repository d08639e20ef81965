package registry_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"larder/formats"
	"larder/upstream/upstreamtest"
)

// TestDocumentWithoutRoom: what cannot be stored is served all the same, and a
// document that is held stays.
func TestDocumentWithoutRoom(t *testing.T) {
	b := newBench(t)
	long := "p: " + string(text(100<<10))
	b.far.Serve("/p", answer(long, `"1"`))
	b.room.full.Store(true)
	for range 2 {
		b.sees(long, formats.Miss)
	}
	b.asked("/p", 2)
	if b.blobs() != 0 || len(b.rows("d")) != 0 {
		t.Error("something was stored")
	}
	b.room.full.Store(false)
	b.sees(long, formats.Miss)
	b.sees(long, formats.Hit)
}

// TestDocumentSizes: rows, blobs and compression at their thresholds.
func TestDocumentSizes(t *testing.T) {
	for _, size := range []int{1, 400, 513, 24 << 10, 24<<10 + 1, 300 << 10} {
		for _, packed := range []bool{false, true} {
			b := newBench(t)
			long := "p: " + string(text(size))
			b.far.Serve("/p", upstreamtest.Answer{Body: []byte(long), Gzip: packed, Chunked: size%2 == 0})
			b.sees(long, formats.Miss)
			c := b.sees(long, formats.Hit)
			if (c.Encoding == "gzip") != (size > 500) {
				t.Errorf("%d bytes: encoding %q", size, c.Encoding)
			}
		}
	}
}

// TestDocumentReplaced: the old bytes lose their use when new ones come.
func TestDocumentReplaced(t *testing.T) {
	b := newBench(t)
	one, two := "p: "+string(text(100<<10)), "p: "+string(text(100<<10+1))
	b.far.Serve("/p", answer(one, `"1"`), answer(two, `"2"`), answer("p: short", `"3"`))
	b.sees(one, formats.Miss)
	for _, next := range []string{two, "p: short"} {
		b.clock.advance(3 * time.Hour)
		b.sees(next, formats.Miss)
	}
	if n := len(b.rows("x")); n != 1 {
		t.Errorf("%d uses of bytes are left, want that of the row", n)
	}
	if n := len(b.rows("g")); n == 0 {
		t.Error("nothing is due to be deleted")
	}
}

// TestHugeTag: an upstream's tag does not make its document unstorable.
func TestHugeTag(t *testing.T) {
	b := newBench(t)
	b.far.Serve("/p", answer("p: one", `"`+strings.Repeat("x", 60<<10)+`"`))
	b.sees("p: one", formats.Miss)
	b.sees("p: one", formats.Hit)
}

// TestNoVersion: what a format says of a version gets through to the client.
func TestNoVersion(t *testing.T) {
	b := newBench(t)
	b.far.Serve("/p", answer("p: one", `"1"`))
	d := b.format.document("p")
	d.Render = b.format.refuseVersion
	if _, _, err := doc(b.reader, d); !errors.Is(err, formats.ErrNoVersion) {
		t.Errorf("error %v", err)
	}
}

// TestFirstSeen: when a document was first fetched outlives it.
func TestFirstSeen(t *testing.T) {
	b := newBench(t)
	b.far.Serve("/p", answer("p: one", `"1"`), upstreamtest.Answer{Status: 404}, upstreamtest.Answer{Status: 404}, answer("p: two", `"2"`))
	d := b.format.document("p")
	var at []time.Time
	d.Render = b.format.noteFirst(&at)
	begin := b.clock.now()
	for _, wait := range []time.Duration{0, 3 * time.Hour, 2 * time.Minute, 2 * time.Minute} {
		b.clock.advance(wait)
		_, _, err := doc(b.reader, d)
		if err != nil && !errors.Is(err, formats.ErrNotFound) {
			t.Fatal(err)
		}
	}
	if len(at) != 2 || !at[0].Equal(begin) || !at[1].Equal(begin) {
		t.Errorf("first seen %v, want %v twice", at, begin)
	}
}
