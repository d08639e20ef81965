package registry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"larder/cache"
	"larder/formats"
	"larder/proxy/registry"
	"larder/upstream"
	"larder/upstream/upstreamtest"
)

// TestCheckByDate: an upstream that knows no tags is asked by date.
func TestCheckByDate(t *testing.T) {
	b := newBench(t)
	b.far.Serve("/p", upstreamtest.Answer{Body: []byte("p: one"), LastModified: b.clock.now().Add(-day)})
	b.sees("p: one", formats.Miss)
	b.far.Forget()
	b.clock.advance(day)
	b.sees("p: one", formats.Revalidated)
	if log := b.far.Log(); len(log) != 1 || log[0].Header.Get("If-Modified-Since") == "" || log[0].Header.Get("If-None-Match") != "" {
		t.Errorf("log %v", log)
	}
}

// asks notes the requests that go to an upstream.
type asks struct {
	registry.Fetcher
	unbounded int
}

func (a *asks) Fetch(ctx context.Context, req upstream.Request) (*upstream.Response, error) {
	if _, ok := ctx.Deadline(); !ok {
		a.unbounded++
	}
	return a.Fetcher.Fetch(ctx, req)
}

// with puts another fetcher in the place of the upstream.
func (b *bench) with(f registry.Fetcher) {
	src := b.source("far", b.far)
	src.Fetcher = f
	b.spec.Upstreams = b.only(src)
	b.reader = b.engine.Registry(b.spec).For(user("alice"), "", base)
}

// TestPartOfADocument is no document, and every fetch of one ends some time.
func TestPartOfADocument(t *testing.T) {
	b := newBench(t)
	noted := &asks{Fetcher: &scripted{replies: []*upstream.Response{reply(206, []byte("p: one"), nil)}}}
	b.with(noted)
	if got, _, err := doc(b.reader, b.format.document("p")); !errors.Is(err, upstream.ErrUnavailable) {
		t.Errorf("%q, %v", got, err)
	}
	if noted.unbounded != 0 {
		t.Error("a fetch without a deadline")
	}
}

// TestCheckThatStopsEarly: what a format does not look at belongs to a document
// all the same: it must be there, and other bytes are another document.
func TestCheckThatStopsEarly(t *testing.T) {
	b := newBench(t)
	d := b.format.document("p")
	d.Check = func(src io.Reader) error {
		_, err := src.Read(make([]byte, 1))
		return err
	}
	long := "p: " + string(text(100<<10))
	b.far.Serve("/p", upstreamtest.Answer{Body: []byte(long), Chunked: true, Cut: true, CutAfter: len(long)})
	if got, _, err := doc(b.reader, d); !errors.Is(err, upstream.ErrUnavailable) {
		t.Errorf("without its end: %d bytes, %v", len(got), err)
	}
	var tags []string
	for _, end := range []string{"one", "two"} {
		b.far.Serve("/p", upstreamtest.Answer{Body: []byte(long + end)})
		b.clock.advance(day)
		got, c, err := doc(b.reader, d)
		if err != nil || got != base+" "+long+end {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		tags = append(tags, c.ETag)
	}
	if tags[0] == tags[1] {
		t.Error("two documents with one tag")
	}
}

// TestGoneTwiceAtOnce: two answers within a minute are one, also for those who
// insist on the latest.
func TestGoneTwiceAtOnce(t *testing.T) {
	b := newBench(t)
	b.far.Serve("/p", answer("p: one", `"1"`))
	b.sees("p: one", formats.Miss)
	b.far.Serve("/p", upstreamtest.Answer{Status: 404})
	b.clock.advance(day)
	d := b.format.document("p")
	d.Age = formats.Latest
	for range 3 {
		if got, c, err := doc(b.reader, d); err != nil || got != base+" p: one" || c.Result != formats.Stale {
			t.Fatalf("%q, %v", got, err)
		}
		b.clock.advance(19 * time.Second)
	}
	b.clock.advance(10 * time.Second)
	if got, _, err := doc(b.reader, d); !errors.Is(err, formats.ErrNotFound) {
		t.Errorf("a minute later: %q, %v", got, err)
	}
}

// TestTroubleBeginsAnew once a good document came, and silence counts as
// trouble where something is held.
func TestTroubleBeginsAnew(t *testing.T) {
	b := newBench(t, stallSoon)
	b.far.Serve("/p", answer("p: one", `"1"`))
	b.sees("p: one", formats.Miss)
	wait := func(n int, pause time.Duration) {
		t.Helper()
		b.asked("/p", n)
		b.clock.advance(pause - 1)
		b.sees("p: one", formats.Stale)
		b.asked("/p", 0)
		b.clock.advance(1)
	}
	silent := upstreamtest.Answer{Body: []byte("p: two"), ETag: `"2"`, Stall: true, StallAfter: 3}
	b.far.Serve("/p", silent)
	b.far.Forget()
	b.clock.advance(day)
	b.sees("p: one", formats.Stale)
	wait(1, 5*time.Second)
	b.far.Serve("/p", answer("<html>", ""))
	b.sees("p: one", formats.Stale)
	wait(1, 10*time.Second)
	b.far.Serve("/p", answer("p: one", `"1"`))
	b.sees("p: one", formats.Revalidated)
	b.far.Forget()
	b.far.Serve("/p", silent)
	b.clock.advance(day)
	b.sees("p: one", formats.Stale)
	wait(1, 5*time.Second)
	b.sees("p: one", formats.Stale)
	b.asked("/p", 1)
}

// TestConfirmedTooLate: an answer of "not modified" brings nothing back that was
// evicted, or replaced, while it was on its way.
func TestConfirmedTooLate(t *testing.T) {
	for name, change := range map[string]func(b *bench, long string){
		"evicted": func(b *bench, long string) { b.evict([]byte(long)) },
		"replaced": func(b *bench, _ string) {
			err := b.index.Update(context.Background(), func(w cache.Writer) error {
				return w.Put([]byte(b.rows("d")[0]), []byte("a row of another version"))
			})
			if err != nil {
				b.t.Fatal(err)
			}
		},
	} {
		b := newBench(t)
		long := "p: " + string(text(100<<10))
		b.far.Serve("/p", answer(long, `"1"`))
		b.sees(long, formats.Miss)
		open := make(chan struct{})
		b.far.Serve("/p", upstreamtest.Answer{Body: []byte(long), ETag: `"1"`, Wait: open})
		b.far.Forget()
		b.clock.advance(day)
		done := make(chan error, 1)
		go func() {
			got, _, err := doc(b.reader, b.format.document("p"))
			if err == nil && got != base+" "+long {
				err = errors.New("other bytes")
			}
			done <- err
		}()
		eventually(t, "the question has arrived", func() bool { return b.far.Requests("/p") == 1 })
		before := b.rows("d")
		change(b, long)
		close(open)
		if err := <-done; err != nil {
			t.Errorf("%s: %v", name, err)
		}
		after := b.rows("d")
		if name == "evicted" && len(after) != 0 || name == "replaced" && len(after) != len(before) {
			t.Errorf("%s: rows %q", name, after)
		}
		err := b.index.View(context.Background(), func(r cache.Reader) error {
			if row, err := r.Get([]byte(before[0])); err == nil && string(row) != "a row of another version" {
				t.Errorf("%s: the row is written again", name)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestNoRoomForRecords: while the index takes no writes all is served, and what
// was held before stays.
func TestNoRoomForRecords(t *testing.T) {
	index := &readOnly{}
	b := newBench(t, func(b *bench, _ *registry.Options) { index.Index, b.index = b.index, index })
	b.far.Serve("/p", answer("p: one", `"1"`))
	b.sees("p: one", formats.Miss)
	index.now.Store(true)
	for _, size := range []int{10, 100 << 10} {
		long := "p: " + string(text(size))
		b.far.Serve("/p", answer(long, `"2"`))
		b.clock.advance(day)
		b.sees(long, formats.Miss)
		data := text(size)
		name := string(rune('a' + size%26))
		b.far.Serve("/"+name, upstreamtest.Answer{Body: data})
		for range 2 {
			if got, _, err := b.get(file(name, sumOf(data))); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			b.landed()
		}
	}
	b.far.Serve("/p", upstreamtest.Answer{Status: 404})
	b.clock.advance(day)
	b.sees("p: one", formats.Stale)
	b.clock.advance(day)
	index.now.Store(false)
	b.far.Serve("/p", answer("p: one", `"1"`))
	b.sees("p: one", formats.Revalidated)
}
