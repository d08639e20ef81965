package cachetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"larder/cache"
)

// together runs fn n times at once and fails with the first error.
func together(t *testing.T, n int, fn func(i int) error) {
	t.Helper()
	var wg sync.WaitGroup
	errs := make(chan error, n)
	for i := range n {
		wg.Go(func() { errs <- fn(i) })
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func storeEqual(t *testing.T, s cache.Store) {
	b := content(300_000, 1)
	var kept cache.Blob
	for round := range 2 { // the second time it is there already
		together(t, 32, func(i int) error {
			size := int64(-1)
			if i%2 == 0 {
				size = int64(len(b))
			}
			blob, err := cache.Put(t.Context(), s, source(b, i%4 < 2), size)
			if err == nil && blob.Digest != digestOf(b) {
				err = fmt.Errorf("round %d: stored as %s", round, blob.Digest)
			}
			return err
		})
		kept = cache.Blob{Digest: digestOf(b), Size: int64(len(b))}
		wantList(t, s, kept)
	}
	wantBytes(t, s, kept.Digest, b)
}

func storeOrder(t *testing.T, s cache.Store) {
	p := begin(t, s, -1)
	write(t, p, []byte("abc"))
	if f, err := p.Open(); err == nil {
		f.Close()
		t.Error("opened before it was verified")
	}
	verify(t, p)
	if n, err := p.Write([]byte("d")); err == nil || n != 0 {
		t.Errorf("wrote %d bytes after Verify: %v", n, err)
	}
	for range 2 {
		f, err := p.Open()
		if err != nil {
			t.Fatalf("open what is verified: %v", err)
		}
		got, err := io.ReadAll(f)
		if err := errors.Join(err, f.Close()); err != nil || string(got) != "abc" {
			t.Errorf("read %q: %v", got, err)
		}
	}
	wantList(t, s) // verified is not yet committed
	commit(t, p)
	commit(t, p) // once more is harmless
	wantList(t, s, cache.Blob{Digest: digestOf([]byte("abc")), Size: 3})
	unverified := begin(t, s, -1)
	write(t, unverified, []byte("never"))
	if err := unverified.Commit(t.Context()); err == nil {
		t.Error("committed what was not verified")
	}
	unverified.Abort(nil)
	wantList(t, s, cache.Blob{Digest: digestOf([]byte("abc")), Size: 3})
}

func storeAbort(t *testing.T, s cache.Store) {
	b := content(100_000, 1)
	for _, verified := range []bool{false, true} {
		p := begin(t, s, int64(len(b)))
		write(t, p, b)
		if verified {
			verify(t, p)
		}
		p.Abort(nil)
		p.Abort(errors.New("a second time"))
		if _, err := p.Write([]byte("more")); err == nil {
			t.Error("written after Abort")
		}
		if err := p.Commit(t.Context()); !errors.Is(err, cache.ErrAborted) {
			t.Errorf("commit after Abort, verified %t: %v", verified, err)
		}
		wantList(t, s)
	}
	p := begin(t, s, int64(len(b)))
	write(t, p, b)
	verify(t, p)
	commit(t, p)
	p.Abort(errors.New("too late"))
	wantBytes(t, s, digestOf(b), b)
}

func storeReadDeleted(t *testing.T, s cache.Store) {
	b := content(1<<20, 1)
	f, err := s.Open(t.Context(), store(t, s, b).Digest)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	head := make([]byte, 1000)
	if _, err := io.ReadFull(f, head); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), digestOf(b)); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(f)
	if err != nil || !bytes.Equal(append(head, rest...), b) {
		t.Errorf("read %d bytes after the delete: %v", len(rest), err)
	}
	store(t, s, b) // and it can come back
	wantBytes(t, s, digestOf(b), b)
}

// storeDeleteRace reads whole blobs or none while others delete and put them.
func storeDeleteRace(t *testing.T, s cache.Store) {
	b := content(100_000, 1)
	d := digestOf(b)
	together(t, 12, func(i int) error {
		for range 50 {
			var err error
			switch i % 3 {
			case 0:
				_, err = cache.Put(t.Context(), s, bytes.NewReader(b), int64(len(b)))
			case 1:
				err = s.Delete(t.Context(), d)
			default:
				err = readWhole(t.Context(), s, d, b)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	store(t, s, b)
	wantBytes(t, s, d, b)
}

// readWhole accepts all bytes of b, or that there is no such blob.
func readWhole(ctx context.Context, s cache.Store, d cache.Digest, b []byte) error {
	f, err := s.Open(ctx, d)
	if errors.Is(err, cache.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	got, err := io.ReadAll(f)
	if err == nil && !bytes.Equal(got, b) {
		err = fmt.Errorf("%d bytes of %d, or others", len(got), len(b))
	}
	return err
}

func storeList(t *testing.T, s cache.Store) {
	var all []cache.Blob
	for i := range 300 { // some of the first bytes of their digests are the same
		all = append(all, store(t, s, content(i, uint64(i))))
	}
	p := begin(t, s, 5)
	write(t, p, []byte("abcde"))
	wantList(t, s, all...)
	verify(t, p)
	wantList(t, s, all...)
	p.Abort(nil)
	seen := 0
	for _, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if seen++; seen == 7 {
			break
		}
	}
	if seen != 7 {
		t.Errorf("stopped after %d", seen)
	}
	for b, err := range s.List(t.Context()) { // deleting while listing
		if err == nil {
			err = s.Delete(t.Context(), b.Digest)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	wantList(t, s)
}

// storeCrowd is a thousand goroutines that do everything with a few blobs.
func storeCrowd(t *testing.T, s cache.Store) {
	blobs := make([][]byte, 8)
	for i := range blobs {
		blobs[i] = content(1000+i*20_000, uint64(i))
	}
	cause := errors.New("given up")
	together(t, 1000, func(i int) error {
		b := blobs[i%len(blobs)]
		switch i / len(blobs) % 7 {
		case 0:
			return s.Delete(t.Context(), digestOf(b))
		case 1:
			_, err := s.Stat(t.Context(), digestOf(b))
			if errors.Is(err, cache.ErrNotExist) {
				return nil
			}
			return err
		case 2:
			return readWhole(t.Context(), s, digestOf(b), b)
		case 3:
			return walk(t.Context(), s)
		case 4:
			src := io.MultiReader(bytes.NewReader(b[:500]), failing{cause})
			if _, err := cache.Put(t.Context(), s, src, int64(len(b))); !errors.Is(err, cause) {
				return fmt.Errorf("a source that failed: %w", err)
			}
			return nil
		}
		_, err := cache.Put(t.Context(), s, source(b, i%2 == 0), int64(len(b)))
		return err
	})
	var all []cache.Blob
	for _, b := range blobs {
		all = append(all, store(t, s, b))
		wantBytes(t, s, digestOf(b), b)
	}
	wantList(t, s, all...)
}

func walk(ctx context.Context, s cache.Store) error {
	for _, err := range s.List(ctx) {
		if err != nil {
			return err
		}
	}
	return nil
}

// failing is a source that only fails.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
