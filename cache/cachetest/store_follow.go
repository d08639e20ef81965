package cachetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"testing"

	"larder/cache"
)

func follow(t *testing.T, p cache.Partial, off, n int64) io.ReadCloser {
	t.Helper()
	f, err := p.Follow(t.Context(), off, n)
	if err != nil {
		t.Fatalf("follow %d bytes from %d: %v", n, off, err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// onlyWriter hides all but Write, so that io.Copy meets no shortcut in the sink.
type onlyWriter struct{ io.Writer }

// drain reads f to its end: through Read if byRead, else through WriteTo.
func drain(f io.ReadCloser, byRead bool) ([]byte, error) {
	var buf bytes.Buffer
	src := io.Reader(f)
	if byRead {
		src = struct{ io.Reader }{f}
	} else if _, ok := f.(io.WriterTo); !ok {
		return nil, errors.New("the follower is no io.WriterTo")
	}
	_, err := io.Copy(onlyWriter{&buf}, src)
	return buf.Bytes(), errors.Join(err, f.Close())
}

// drained is what a drain in the background ended with.
type drained struct {
	bytes []byte
	err   error
}

func drainLater(f io.ReadCloser, byRead bool) <-chan drained {
	out := make(chan drained, 1)
	go func() {
		b, err := drain(f, byRead)
		out <- drained{b, err}
	}()
	return out
}

func followAll(t *testing.T, s cache.Store) {
	for i, n := range sizes() {
		b := content(n, uint64(i))
		p := begin(t, s, int64(n))
		var followers []<-chan drained
		for j := range 4 {
			followers = append(followers, drainLater(follow(t, p, 0, -1), j%2 == 0))
		}
		for rest := b; len(rest) > 0; { // odd pieces
			step := min(len(rest), 30_011)
			write(t, p, rest[:step])
			rest = rest[step:]
		}
		blob := verify(t, p)
		commit(t, p)
		for j, f := range followers {
			if got := <-f; got.err != nil || !bytes.Equal(got.bytes, b) {
				t.Errorf("%d bytes, follower %d: %d bytes, %v", n, j, len(got.bytes), got.err)
			}
		}
		wantBytes(t, s, blob.Digest, b)
	}
}

// followHoldBack counts what one follower gets after each write.
func followHoldBack(t *testing.T, s cache.Store) {
	b := content(4*cache.HoldBack, 1)
	p := begin(t, s, int64(len(b)))
	f := follow(t, p, 0, -1)
	came := make(chan int)
	go func() {
		defer close(came)
		buf := make([]byte, len(b))
		for {
			n, err := f.Read(buf)
			if err != nil {
				return
			}
			came <- n
		}
	}()
	written, got := 0, 0
	for _, step := range []int{cache.HoldBack - 1, 1, 1, 1000, cache.HoldBack, cache.HoldBack + 1} {
		write(t, p, b[written:written+step])
		written += step
		for got < written-cache.HoldBack {
			got += <-came
		}
		if got > max(0, written-cache.HoldBack) {
			t.Fatalf("%d bytes came when %d were written", got, written)
		}
	}
	write(t, p, b[written:])
	verify(t, p)
	for n := range came { // closed at io.EOF
		got += n
	}
	if got != len(b) {
		t.Errorf("%d bytes came, want %d", got, len(b))
	}
}

// followCut gives up writes in the middle and at the end: no follower may have
// got the last bytes, however long it was given.
func followCut(t *testing.T, s cache.Store) {
	cause := errors.New("cut")
	for i, n := range sizes() {
		b := content(n, uint64(i))
		for j, size := range []int64{int64(n), -1} {
			p := begin(t, s, size)
			f := drainLater(follow(t, p, 0, -1), j == 0)
			write(t, p, b)
			wrong := cache.Sum{Algorithm: cache.SHA256, Value: make([]byte, 32)}
			if _, err := p.Verify(wrong); !errors.Is(err, cache.ErrCorrupt) {
				t.Fatalf("verify: %v", err)
			}
			p.Abort(cause)
			got := <-f
			if !errors.Is(got.err, cause) || len(got.bytes) > max(0, n-cache.HoldBack) || !bytes.HasPrefix(b, got.bytes) {
				t.Errorf("%d bytes were written, %d came, %v", n, len(got.bytes), got.err)
			}
		}
	}
	wantList(t, s)
}

func followAbort(t *testing.T, s cache.Store) {
	cause := errors.New("the upstream hung up")
	for _, given := range []error{cause, nil} {
		want := given
		if want == nil {
			want = cache.ErrAborted
		}
		p := begin(t, s, -1)
		byRead, byWrite := drainLater(follow(t, p, 0, -1), true), drainLater(follow(t, p, 0, -1), false)
		write(t, p, content(cache.HoldBack+10, 1))
		p.Abort(given)
		p.Abort(errors.New("the first cause stays"))
		for _, f := range []<-chan drained{byRead, byWrite} {
			if got := <-f; !errors.Is(got.err, want) {
				t.Errorf("a follower ended with %v, want %v", got.err, want)
			}
		}
		late, err := p.Follow(t.Context(), 0, -1)
		if err == nil {
			_, err = drain(late, true)
		}
		if !errors.Is(err, want) {
			t.Errorf("a follower that came after the end: %v, want %v", err, want)
		}
	}
}

func followLate(t *testing.T, s cache.Store) {
	b := content(3*cache.HoldBack, 1)
	p := begin(t, s, -1)
	write(t, p, b[:cache.HoldBack*2])
	kept := map[string]io.ReadCloser{"in the middle": follow(t, p, 0, -1)}
	write(t, p, b[cache.HoldBack*2:])
	kept["before it is verified"] = follow(t, p, 0, -1)
	verify(t, p)
	kept["before the commit"] = follow(t, p, 0, -1)
	commit(t, p)
	kept["after the commit"] = follow(t, p, 0, -1)
	if err := s.Delete(t.Context(), digestOf(b)); err != nil {
		t.Fatal(err)
	}
	byRead := false
	for name, f := range kept {
		byRead = !byRead
		if got, err := drain(f, byRead); err != nil || !bytes.Equal(got, b) {
			t.Errorf("from %s, read after commit and delete: %d bytes, %v", name, len(got), err)
		}
	}
	again := begin(t, s, -1) // verified bytes stay readable when they are given up
	write(t, again, b)
	verify(t, again)
	f := follow(t, again, 0, -1)
	again.Abort(errors.New("no room for the record"))
	if got, err := drain(f, true); err != nil || !bytes.Equal(got, b) {
		t.Errorf("verified and then given up: %d bytes, %v", len(got), err)
	}
}

func followRange(t *testing.T, s cache.Store) {
	b := content(3*cache.HoldBack+5, 1)
	size := int64(len(b))
	p := begin(t, s, size)
	type part struct{ off, n int64 }
	parts := []part{
		{0, 0}, {0, 1}, {0, -1}, {0, size}, {0, size + 1}, {5, 10}, {cache.HoldBack - 3, 7}, {2 * cache.HoldBack, -1},
		{size - 1, 1}, {size - 1, 100}, {size - 1, -1}, {size, 1}, {size, -1}, {size + 100, -1}, {7, math.MaxInt64},
		{math.MaxInt64, 1}, {math.MaxInt64 - 1, -1}, {math.MaxInt64, math.MaxInt64},
	}
	if f, err := p.Follow(t.Context(), -1, 1); err == nil {
		f.Close()
		t.Error("followed from before the beginning")
	}
	var followers []<-chan drained
	for i, c := range parts {
		followers = append(followers, drainLater(follow(t, p, c.off, c.n), i%2 == 0))
	}
	write(t, p, b[:size/2])
	write(t, p, b[size/2:])
	verify(t, p)
	for i, c := range parts {
		followers = append(followers, drainLater(follow(t, p, c.off, c.n), i%2 == 1))
	}
	commit(t, p)
	for i, f := range followers {
		c := parts[i%len(parts)]
		want := b[min(c.off, size):]
		if c.n >= 0 {
			want = want[:min(c.n, int64(len(want)))]
		}
		if got := <-f; got.err != nil || !bytes.Equal(got.bytes, want) {
			t.Errorf("%d bytes from %d: got %d, want %d: %v", c.n, c.off, len(got.bytes), len(want), got.err)
		}
	}
}

func followCancelled(t *testing.T, s cache.Store) {
	b := content(3*cache.HoldBack, 1)
	p := begin(t, s, int64(len(b)))
	cause := errors.New("the client went away")
	ctx, cancel := context.WithCancelCause(t.Context())
	var gone []<-chan drained
	for i := range 4 {
		f, err := p.Follow(ctx, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		gone = append(gone, drainLater(f, i%2 == 0))
	}
	stays := drainLater(follow(t, p, 0, -1), true)
	write(t, p, b[:2*cache.HoldBack])
	cancel(cause)
	for _, f := range gone { // they end although nothing more is written
		if got := <-f; !errors.Is(got.err, cause) && !errors.Is(got.err, context.Canceled) {
			t.Errorf("cancelled, and ended with %v", got.err)
		}
	}
	write(t, p, b[2*cache.HoldBack:])
	verify(t, p)
	if got := <-stays; got.err != nil || !bytes.Equal(got.bytes, b) {
		t.Errorf("the one that stayed: %d bytes, %v", len(got.bytes), got.err)
	}
}

func followClosed(t *testing.T, s cache.Store) {
	p := begin(t, s, -1)
	for _, byRead := range []bool{true, false} {
		f := follow(t, p, 0, -1)
		waiting := drainLater(struct {
			io.Reader
			io.WriterTo
			io.Closer
		}{f, f.(io.WriterTo), io.NopCloser(nil)}, byRead)
		if err := f.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if got := <-waiting; got.err == nil || len(got.bytes) > 0 {
			t.Errorf("closed, and ended with %d bytes, %v", len(got.bytes), got.err)
		}
		if err := f.Close(); err != nil {
			t.Errorf("a second close: %v", err)
		}
	}
}

// stuck takes some bytes and then fails.
type stuck struct {
	left int
	err  error
}

func (w *stuck) Write(b []byte) (int, error) {
	n := min(w.left, len(b))
	w.left -= n
	if n < len(b) {
		return n, w.err
	}
	return n, nil
}

func followBadWriter(t *testing.T, s cache.Store) {
	b := content(4*cache.HoldBack, 1)
	p := begin(t, s, -1)
	write(t, p, b)
	cause := errors.New("the connection broke")
	f := follow(t, p, 0, -1)
	n, err := f.(io.WriterTo).WriteTo(&stuck{left: 1000, err: cause})
	if n != 1000 || !errors.Is(err, cause) {
		t.Errorf("wrote %d bytes, %v", n, err)
	}
	verify(t, p) // the write goes on undisturbed
	commit(t, p)
	wantBytes(t, s, digestOf(b), b)
}

// followCommitRace starts followers while the blob gets its name.
func followCommitRace(t *testing.T, s cache.Store) {
	for round := range 20 {
		b := content(cache.HoldBack+round, uint64(round))
		p := begin(t, s, int64(len(b)))
		write(t, p, b)
		verify(t, p)
		together(t, 8, func(i int) error {
			if i == 0 {
				return p.Commit(t.Context())
			}
			f, err := p.Follow(t.Context(), 0, -1)
			if err != nil {
				return err
			}
			got, err := drain(f, i%2 == 0)
			if err == nil && !bytes.Equal(got, b) {
				err = fmt.Errorf("%d bytes of %d, or others", len(got), len(b))
			}
			return err
		})
	}
}

// followCrowd has 1 000 followers of 50 writes, of which every fifth fails.
func followCrowd(t *testing.T, s cache.Store) {
	const followers = 20
	cause := errors.New("given up")
	together(t, 50, func(i int) error {
		b := content(cache.HoldBack*2+i, uint64(i))
		p, err := s.Begin(t.Context(), int64(len(b)))
		if err != nil {
			return err
		}
		defer p.Abort(nil)
		var all []<-chan drained
		for j := range followers {
			f, err := p.Follow(t.Context(), 0, -1)
			if err != nil {
				return err
			}
			all = append(all, drainLater(f, j%2 == 0))
		}
		bad := i%5 == 0
		if err := fillHalves(t.Context(), p, b, bad, cause); err != nil {
			return err
		}
		for _, f := range all {
			got := <-f
			if bad && !errors.Is(got.err, cause) || !bad && (got.err != nil || !bytes.Equal(got.bytes, b)) {
				return fmt.Errorf("write %d, given up %t: a follower got %d bytes, %w", i, bad, len(got.bytes), got.err)
			}
		}
		return nil
	})
}

// fillHalves writes b and commits it, or gives up in the middle.
func fillHalves(ctx context.Context, p cache.Partial, b []byte, giveUp bool, cause error) error {
	if _, err := p.Write(b[:len(b)/2]); err != nil {
		return err
	}
	if giveUp {
		p.Abort(cause)
		return nil
	}
	if _, err := p.Write(b[len(b)/2:]); err != nil {
		return err
	}
	if _, err := p.Verify(); err != nil {
		return err
	}
	return p.Commit(ctx)
}
