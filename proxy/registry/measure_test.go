package registry_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"larder/formats"
	"larder/upstream/upstreamtest"
)

// together runs fn so many times at once, and returns the first error.
func together(n int, fn func() error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = fn() })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// drain reads a file as a reply does, without keeping it.
func (b *bench) drain(f formats.File, size int64) error {
	c, err := b.reader.File(context.Background(), f)
	if err != nil {
		return err
	}
	defer c.Close()
	var src io.Reader = bytes.NewReader(c.Bytes)
	switch {
	case c.Follow != nil:
		r, err := c.Follow(context.Background(), 0, -1)
		if err != nil {
			return err
		}
		defer r.Close()
		src = r
	case c.File != nil:
		src = c.File
	}
	n, err := io.Copy(io.Discard, src)
	if err == nil && n != size {
		err = fmt.Errorf("%s came as %d bytes, want %d", f.Name, n, size)
	}
	return err
}

// BenchmarkHit serves one cached file from memory (up to 64 KiB) or from the store.
func BenchmarkHit(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			x := newBench(b, onDisk(1<<30))
			x.far.Serve("/f", upstreamtest.Answer{Body: text(size)})
			if err := x.drain(file("f"), int64(size)); err != nil {
				b.Fatal(err)
			}
			x.stored(file("f"))
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if err := x.drain(file("f"), int64(size)); err != nil {
					b.Fatal(err)
				}
			}
			if n := x.far.Requests("/f"); n != 1 {
				b.Errorf("%d upstream requests", n)
			}
		})
	}
}

// BenchmarkMiss lets clients fetch one file of 1 MiB that nobody has yet.
func BenchmarkMiss(b *testing.B) {
	const size = 1 << 20
	for _, clients := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			x := newBench(b, onDisk(1<<40))
			body := text(size)
			b.SetBytes(int64(clients) * size)
			for i := 0; b.Loop(); i++ {
				name := fmt.Sprintf("f%d", i)
				copy(body, name)
				x.far.Serve("/"+name, upstreamtest.Answer{Body: bytes.Clone(body)})
				if err := together(clients, func() error { return x.drain(file(name), size) }); err != nil {
					b.Fatal(err)
				}
				if n := x.far.Requests("/" + name); n != 1 {
					b.Fatalf("%d upstream requests for %d clients", n, clients)
				}
			}
		})
	}
}

// BenchmarkRevalidate lets 64 clients ask for a document that must be asked for
// again, unchanged and changed.
func BenchmarkRevalidate(b *testing.B) {
	const clients, size = 64, 1 << 20
	for _, changed := range []bool{false, true} {
		b.Run(fmt.Sprintf("changed=%v", changed), func(b *testing.B) {
			x := newBench(b, onDisk(1<<40))
			answered := "p: " + string(text(size))
			ask := func() error {
				c, err := x.reader.Document(context.Background(), x.format.document("p"))
				if err != nil {
					return err
				}
				return c.Close()
			}
			for i := 0; b.Loop(); i++ {
				tag := `"always"`
				if changed {
					tag = fmt.Sprintf("%q", fmt.Sprint(i))
					answered = fmt.Sprintf("p: %08d", i) + answered[len("p: 00000000"):]
				}
				x.far.Serve("/p", answer(answered, tag))
				x.far.Forget()
				x.clock.advance(3 * time.Hour)
				if err := together(clients, ask); err != nil {
					b.Fatal(err)
				}
				if n := x.far.Requests("/p"); n != 1 {
					b.Fatalf("%d upstream requests for %d clients", n, clients)
				}
			}
		})
	}
}
