package cachetest

import (
	"bytes"
	"errors"
	"testing"

	"larder/cache"
)

// OpenStoreOf opens an empty Store in which blobs of room bytes together fit,
// unfinished writes included, and twice as many do not.
type OpenStoreOf func(t *testing.T, room int64) cache.Store

// limit is the room of the Stores that StoreRoom asks for, in bytes.
const limit = 4 << 20

// StoreRoom runs what a Store owes that can be full: it says so with
// cache.ErrFull, and nothing is left of what did not fit.
func StoreRoom(t *testing.T, open OpenStoreOf) {
	for name, check := range map[string]func(*testing.T, cache.Store){
		"an announced size too large": roomAnnounced,
		"too many bytes unannounced":  roomUnannounced,
		"a length beyond all reason":  roomHuge,
		"room comes back":             roomComesBack,
		"equal bytes take room once":  roomEqual,
		"writes at once":              roomTogether,
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, limit)
			check(t, s)
			// Whatever happened before, all room is there again.
			b := content(limit, 99)
			wantList(t, s)
			wantBytes(t, s, store(t, s, b).Digest, b)
		})
	}
}

func roomAnnounced(t *testing.T, s cache.Store) {
	if p, err := s.Begin(t.Context(), 2*limit); !errors.Is(err, cache.ErrFull) {
		t.Errorf("begin: %v, %v", p, err)
	}
}

func roomUnannounced(t *testing.T, s cache.Store) {
	cause := errors.New("cut for want of room")
	p := begin(t, s, -1)
	f := drainLater(follow(t, p, 0, -1), true)
	piece := content(256<<10, 1)
	var err error
	for range 2 * limit / len(piece) {
		if _, err = p.Write(piece); err != nil {
			break
		}
	}
	if !errors.Is(err, cache.ErrFull) {
		t.Errorf("write: %v", err)
	}
	if _, err := p.Write([]byte("x")); err == nil {
		t.Error("written after a failure")
	}
	if _, err := p.Verify(); !errors.Is(err, cache.ErrFull) {
		t.Errorf("verify: %v", err)
	}
	if err := p.Commit(t.Context()); !errors.Is(err, cache.ErrFull) {
		t.Errorf("commit: %v", err)
	}
	p.Abort(cause)
	// Commit may have told the followers why before Abort did.
	if got := <-f; !errors.Is(got.err, cause) && !errors.Is(got.err, cache.ErrFull) {
		t.Errorf("a follower ended with %v", got.err)
	}
}

// roomHuge announces what an upstream that lies may announce.
func roomHuge(t *testing.T, s cache.Store) {
	for _, size := range []int64{1 << 40, 1<<63 - 4096, 1<<63 - 1} {
		if p, err := s.Begin(t.Context(), size); !errors.Is(err, cache.ErrFull) {
			t.Errorf("begin %d bytes: %v, %v", size, p, err)
		}
		store(t, s, []byte("small"))
		if err := s.Delete(t.Context(), digestOf([]byte("small"))); err != nil {
			t.Fatal(err)
		}
	}
}

func roomComesBack(t *testing.T, s cache.Store) {
	b := content(limit/2, 1)
	size := int64(len(b))
	for range 6 { // each takes half of all room
		p := begin(t, s, size) // given up before the end
		write(t, p, b[:100_000])
		p.Abort(nil)
		p = begin(t, s, -1) // given up when verified
		write(t, p, b)
		verify(t, p)
		p.Abort(nil)
		wrong := cache.Sum{Algorithm: cache.SHA256, Value: make([]byte, 32)}
		if _, err := cache.Put(t.Context(), s, bytes.NewReader(b), size, wrong); !errors.Is(err, cache.ErrCorrupt) {
			t.Fatalf("put: %v", err)
		}
		blob := store(t, s, b)
		if err := s.Delete(t.Context(), blob.Digest); err != nil {
			t.Fatal(err)
		}
	}
}

func roomEqual(t *testing.T, s cache.Store) {
	b := content(limit/2-8192, 1)
	for range 6 {
		store(t, s, b)
	}
	store(t, s, content(limit/2-8192, 2))
	for _, seed := range []uint64{1, 2} {
		if err := s.Delete(t.Context(), digestOf(content(len(b), seed))); err != nil {
			t.Fatal(err)
		}
	}
}

// roomTogether has more writes at once than fit: each ends whole or with ErrFull.
func roomTogether(t *testing.T, s cache.Store) {
	const each = limit / 4
	together(t, 32, func(i int) error {
		b := content(each, uint64(i))
		size := int64(each)
		if i%2 == 0 {
			size = -1
		}
		blob, err := cache.Put(t.Context(), s, source(b, false), size)
		if errors.Is(err, cache.ErrFull) {
			return nil
		}
		if err == nil {
			err = readWhole(t.Context(), s, blob.Digest, b)
		}
		return err
	})
	kept := 0
	for b, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		kept++
		if err := s.Delete(t.Context(), b.Digest); err != nil {
			t.Fatal(err)
		}
	}
	if kept > 2*limit/each {
		t.Errorf("%d blobs of %d bytes are kept in room for %d", kept, each, limit)
	}
}
