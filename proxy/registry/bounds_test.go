package registry_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"larder/cache"
	"larder/cache/refs"
	"larder/formats"
)

// usage returns the counters of what is stored.
func (b *bench) usage() refs.Usage {
	b.t.Helper()
	var u refs.Usage
	err := b.index.View(context.Background(), func(r cache.Reader) error {
		var err error
		u, err = refs.ReadUsage(r)
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return u
}

// TestSmallDocumentsAreBounded: documents that lie in the index count against
// the budget like all that is cached, and those least used go.
func TestSmallDocumentsAreBounded(t *testing.T) {
	const budget, many = 1 << 20, 400
	b := newBench(t, onDisk(budget))
	read := func(i int) formats.Result {
		t.Helper()
		pkg := fmt.Sprintf("p%d", i)
		long := pkg + ": " + strings.Repeat(pkg, 10<<10/len(pkg))
		b.far.Serve("/"+pkg, answer(long, `"1"`))
		got, c, err := doc(b.reader, b.format.document(pkg))
		if err != nil || got != base+" "+long {
			t.Fatalf("%s: %d bytes, %v", pkg, len(got), err)
		}
		return c.Result
	}
	for i := range many {
		read(i)
		b.clock.advance(time.Minute)
		if i%20 == 0 && read(0) != formats.Hit { // its rendering is in memory, so that its bytes are never read
			t.Errorf("what is always used went after %d others", i)
		}
		if u := b.usage(); u.CachedBytes > budget || u.CachedBytes == 0 {
			t.Fatalf("%d cached bytes after %d documents, the budget is %d", u.CachedBytes, i+1, budget)
		}
	}
	if n := len(b.rows("d")); n > budget/(10<<10) {
		t.Errorf("%d documents in the index", n)
	}
	if result := read(1); result != formats.Miss {
		t.Errorf("what was used once, long ago: %s", result)
	}
	if n := len(b.rows("g")); n != 0 {
		t.Errorf("%d deletions are due of bytes that are in no file", n)
	}
}

// TestSmallDocumentsReplaced: what a document in the index takes is counted
// once, however often it changes its size or leaves the index.
func TestSmallDocumentsReplaced(t *testing.T) {
	b := newBench(t)
	for i, size := range []int{100, 20 << 10, 20 << 10, 100 << 10, 300, 0} {
		long := "p: " + string(text(size))
		b.far.Serve("/p", answer(long, fmt.Sprintf(`"%d"`, i)))
		b.clock.advance(3 * time.Hour)
		if got, _, err := doc(b.reader, b.format.document("p")); err != nil || got != base+" "+long {
			t.Fatalf("%d bytes: %v", size, err)
		}
		u := b.usage()
		counted := u
		err := b.index.View(context.Background(), func(r cache.Reader) error {
			var err error
			counted, err = refs.CountUsage(r)
			return err
		})
		if err != nil || u != counted || u.CachedBlobs != 1 {
			t.Errorf("%d bytes: counters %+v, counted %+v, %v", size, u, counted, err)
		}
	}
}
