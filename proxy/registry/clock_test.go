package registry_test

import (
	"errors"
	"testing"
	"time"

	"larder/formats"
	"larder/upstream"
	"larder/upstream/upstreamtest"
)

const day = 24 * time.Hour

// TestClockSetBack (F13): nothing that was noted holds longer because the clock
// was a day ahead when it was.
func TestClockSetBack(t *testing.T) {
	b := newBench(t)
	b.refuse(file("f"), formats.ErrNotFound)
	if _, _, err := doc(b.reader, b.format.document("p")); !errors.Is(err, formats.ErrNotFound) {
		t.Fatal(err)
	}
	b.far.Serve("/bad", upstreamtest.Answer{Body: text(10), Wrong: true})
	b.refuse(file("bad", sumOf(text(10))), upstream.ErrCorrupt)

	b.clock.advance(-day)
	b.far.Serve("/f", upstreamtest.Answer{Body: text(10)})
	b.far.Serve("/bad", upstreamtest.Answer{Body: text(10)})
	b.far.Serve("/p", answer("p: one", `"1"`))
	b.want(file("f"), text(10), formats.Miss)
	b.want(file("bad", sumOf(text(10))), text(10), formats.Miss)
	b.sees("p: one", formats.Miss)
}

// TestDocumentFromTheFuture is served at once, and checked: not in a day, when
// the clock has come back to where it was. Nothing expires by it either.
func TestDocumentFromTheFuture(t *testing.T) {
	b := newBench(t)
	b.far.Serve("/p", answer("p: one", `"1"`))
	b.sees("p: one", formats.Miss)
	b.asked("/p", 1)
	b.clock.advance(-time.Minute) // as clocks are set right every day
	b.sees("p: one", formats.Hit)
	b.asked("/p", 0)

	b.far.Serve("/p", answer("p: two", `"2"`))
	b.clock.advance(-day)
	b.sees("p: one", formats.Hit)
	eventually(t, "the check is in", func() bool {
		got, _, err := doc(b.reader, b.format.document("p"))
		return err == nil && got == base+" p: two"
	})
	b.asked("/p", 1)

	d := b.format.document("p")
	b.far.Serve("/p", answer("p: three", `"3"`))
	b.clock.advance(-day)
	d.Age = formats.Latest
	if got, _, err := doc(b.reader, d); err != nil || got != base+" p: three" {
		t.Errorf("latest: %q, %v", got, err)
	}
}

// TestGoneInTheFuture: a 404 that was noted a day ahead is noted anew, and
// keeps nobody from asking.
func TestGoneInTheFuture(t *testing.T) {
	b := newBench(t)
	b.far.Serve("/p", answer("p: one", `"1"`))
	b.sees("p: one", formats.Miss)
	b.clock.advance(2 * day)
	b.far.Serve("/p", upstreamtest.Answer{Status: 404})
	b.sees("p: one", formats.Stale)
	b.clock.advance(-day) // the document itself is a day old now
	b.far.Forget()
	b.sees("p: one", formats.Stale)
	b.asked("/p", 1)
	b.sees("p: one", formats.Stale)
	b.asked("/p", 0)
	b.clock.advance(time.Minute)
	if _, _, err := doc(b.reader, b.format.document("p")); !errors.Is(err, formats.ErrNotFound) {
		t.Errorf("error %v", err)
	}
}
