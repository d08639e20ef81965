package cachetest

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"hash/crc32"
	"io"
	"testing"

	"larder/cache"
)

// OpenStore opens an empty Store. The suite ends every write and closes every
// reader that it begins; the Store itself is the opener's to close.
type OpenStore func(t *testing.T) cache.Store

// Store runs the contract of cache.Store.
func Store(t *testing.T, open OpenStore) {
	for name, check := range map[string]func(*testing.T, cache.Store){
		"in and out again":              storeRoundTrip,
		"checksums":                     storeSums,
		"a missing blob":                storeMissing,
		"seek and read":                 storeSeek,
		"equal bytes at once":           storeEqual,
		"wrong bytes":                   storeCorrupt,
		"checksums named late":          storeLateSums,
		"a source that fails":           storeSourceFails,
		"an unknown checksum":           storeUnknownSum,
		"a cancelled context":           storeCancelled,
		"the order of calls":            storeOrder,
		"abort":                         storeAbort,
		"read what is deleted":          storeReadDeleted,
		"delete under readers":          storeDeleteRace,
		"a list":                        storeList,
		"a thousand at once":            storeCrowd,
		"followers see all":             followAll,
		"followers are held back":       followHoldBack,
		"a cut body never looks whole":  followCut,
		"abort wakes followers":         followAbort,
		"follow at any time":            followLate,
		"follow a range":                followRange,
		"a follower that is cancelled":  followCancelled,
		"a follower that is closed":     followClosed,
		"a follower that cannot write":  followBadWriter,
		"followers through the commit":  followCommitRace,
		"many followers of many writes": followCrowd,
	} {
		t.Run(name, func(t *testing.T) { check(t, open(t)) })
	}
}

// sizes are the lengths at which something may go wrong, in bytes.
func sizes() []int {
	return []int{0, 1, cache.HoldBack - 1, cache.HoldBack, cache.HoldBack + 1, 3*cache.HoldBack + 17, 2 << 20}
}

// content makes n bytes that differ by seed and by place.
func content(n int, seed uint64) []byte {
	b := make([]byte, n)
	state := seed + 1
	for i := range b {
		state = state*6364136223846793005 + 1442695040888963407
		b[i] = byte(state >> 56)
	}
	return b
}

func digestOf(b []byte) cache.Digest { return sha256.Sum256(b) }

func store(t *testing.T, s cache.Store, b []byte) cache.Blob {
	t.Helper()
	blob, err := cache.Put(t.Context(), s, bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatalf("put %d bytes: %v", len(b), err)
	}
	return blob
}

func begin(t *testing.T, s cache.Store, size int64, also ...cache.Algorithm) cache.Partial {
	t.Helper()
	p, err := s.Begin(t.Context(), size, also...)
	if err != nil {
		t.Fatalf("begin %d bytes: %v", size, err)
	}
	t.Cleanup(func() { p.Abort(nil) })
	return p
}

func write(t *testing.T, p cache.Partial, b []byte) {
	t.Helper()
	if n, err := p.Write(b); err != nil || n != len(b) {
		t.Fatalf("write: %d of %d bytes: %v", n, len(b), err)
	}
}

func verify(t *testing.T, p cache.Partial) cache.Blob {
	t.Helper()
	b, err := p.Verify()
	if err != nil {
		t.Fatalf("verify: %v", err)
	}
	return b
}

func commit(t *testing.T, p cache.Partial) {
	t.Helper()
	if err := p.Commit(t.Context()); err != nil {
		t.Fatalf("commit: %v", err)
	}
}

// wantBytes opens d and compares.
func wantBytes(t *testing.T, s cache.Store, d cache.Digest, b []byte) {
	t.Helper()
	f, err := s.Open(t.Context(), d)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	defer f.Close()
	got, err := io.ReadAll(f)
	if err != nil || !bytes.Equal(got, b) {
		t.Fatalf("read %d bytes, want %d, equal %t: %v", len(got), len(b), bytes.Equal(got, b), err)
	}
}

// wantList compares what List yields, in any order.
func wantList(t *testing.T, s cache.Store, want ...cache.Blob) {
	t.Helper()
	got := map[cache.Digest]int64{}
	for b, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		if _, twice := got[b.Digest]; twice {
			t.Errorf("%s is listed twice", b.Digest)
		}
		got[b.Digest] = b.Size
	}
	for _, b := range want {
		if size, ok := got[b.Digest]; !ok || size != b.Size {
			t.Errorf("%s: listed %t with %d bytes, want %d", b.Digest, ok, size, b.Size)
		}
		delete(got, b.Digest)
	}
	for d := range got {
		t.Errorf("%s is listed and was never committed", d)
	}
}

// source reads b, at once if whole and else in the pieces of io.Copy.
func source(b []byte, whole bool) io.Reader {
	if whole {
		return bytes.NewReader(b)
	}
	return struct{ io.Reader }{bytes.NewReader(b)}
}

func storeRoundTrip(t *testing.T, s cache.Store) {
	var all []cache.Blob
	for _, announced := range []bool{true, false} {
		for i, n := range sizes() {
			b, size := content(n, uint64(i)), int64(-1)
			if announced {
				size = int64(n)
			}
			blob, err := cache.Put(t.Context(), s, source(b, announced), size)
			if err != nil {
				t.Fatalf("put %d bytes, announced %d: %v", n, size, err)
			}
			if blob.Digest != digestOf(b) || blob.Size != int64(n) {
				t.Fatalf("stored as %s with %d bytes, want %s with %d", blob.Digest, blob.Size, digestOf(b), n)
			}
			got, err := s.Stat(t.Context(), blob.Digest)
			if err != nil || got.Digest != blob.Digest || got.Size != blob.Size {
				t.Fatalf("stat: %v, %v", got, err)
			}
			wantBytes(t, s, blob.Digest, b)
			if announced {
				all = append(all, blob)
			}
		}
	}
	wantList(t, s, all...)
	for _, b := range all {
		for range 2 { // the second time it is not there, which is no error
			if err := s.Delete(t.Context(), b.Digest); err != nil {
				t.Fatalf("delete: %v", err)
			}
		}
		if _, err := s.Stat(t.Context(), b.Digest); !errors.Is(err, cache.ErrNotExist) {
			t.Errorf("stat after delete: %v", err)
		}
	}
	wantList(t, s)
}

func storeSums(t *testing.T, s cache.Store) {
	b := content(100_000, 1)
	sum := md5.Sum(b)
	want := cache.Sum{Algorithm: cache.MD5, Value: sum[:]}
	d := digestOf(b)
	blob, err := cache.Put(t.Context(), s, bytes.NewReader(b), -1, want, cache.Sum{Algorithm: cache.SHA256, Value: d[:]})
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := blob.Sum(cache.MD5); !ok || !got.Equal(want) {
		t.Errorf("md5: %v, known %t", got, ok)
	}
	if crc := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)); blob.CRC32C != crc {
		t.Errorf("crc32c %x, want %x", blob.CRC32C, crc)
	}
}

func storeMissing(t *testing.T, s cache.Store) {
	store(t, s, content(10, 1))
	for _, d := range []cache.Digest{{}, digestOf([]byte("never"))} {
		if _, err := s.Open(t.Context(), d); !errors.Is(err, cache.ErrNotExist) {
			t.Errorf("open: %v", err)
		}
		if _, err := s.Stat(t.Context(), d); !errors.Is(err, cache.ErrNotExist) {
			t.Errorf("stat: %v", err)
		}
		if err := s.Delete(t.Context(), d); err != nil {
			t.Errorf("delete: %v", err)
		}
	}
}

func storeSeek(t *testing.T, s cache.Store) {
	b := content(100_000, 1)
	f, err := s.Open(t.Context(), store(t, s, b).Digest)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, off := range []int{0, 1, 50_000, len(b) - 1, len(b), len(b) + 10} {
		if at, err := f.Seek(int64(off), io.SeekStart); err != nil || at != int64(off) {
			t.Fatalf("seek to %d: at %d, %v", off, at, err)
		}
		got, err := io.ReadAll(f)
		if want := b[min(off, len(b)):]; err != nil || !bytes.Equal(got, want) {
			t.Errorf("from %d: %d bytes, want %d: %v", off, len(got), len(want), err)
		}
	}
	if end, err := f.Seek(0, io.SeekEnd); err != nil || end != int64(len(b)) {
		t.Errorf("the end is at %d: %v", end, err)
	}
}

func storeCorrupt(t *testing.T, s cache.Store) {
	b := content(200_000, 1)
	other := digestOf([]byte("other"))
	for name, c := range map[string]struct {
		size int64
		want []cache.Sum
	}{
		"another digest":   {int64(len(b)), []cache.Sum{{Algorithm: cache.SHA256, Value: other[:]}}},
		"another sha1":     {-1, []cache.Sum{{Algorithm: cache.SHA1, Value: make([]byte, 20)}}},
		"no digest at all": {-1, []cache.Sum{{Algorithm: cache.SHA256}}},
		"too short":        {int64(len(b)) + 1, nil},
		"too long":         {int64(len(b)) - 1, nil},
		"nothing expected": {0, nil},
	} {
		if _, err := cache.Put(t.Context(), s, bytes.NewReader(b), c.size, c.want...); !errors.Is(err, cache.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantList(t, s)
}

// storeLateSums wants checksums that Begin was not told of: they are compared
// and recorded as those that were computed while the bytes came.
func storeLateSums(t *testing.T, s cache.Store) {
	for i, n := range sizes() {
		b := content(n, uint64(i))
		long, short := sha512.Sum512(b), sha1.Sum(b)
		late := []cache.Sum{{Algorithm: cache.SHA512, Value: long[:]}, {Algorithm: cache.SHA1, Value: short[:]}}
		d := digestOf(b)
		p := begin(t, s, -1)
		write(t, p, b)
		blob, err := p.Verify(append(late, late[0], cache.Sum{Algorithm: cache.SHA256, Value: d[:]})...)
		if err != nil || len(blob.Sums) != len(late) {
			t.Fatalf("%d bytes: %v, %v", n, blob, err)
		}
		for _, w := range late {
			if got, ok := blob.Sum(w.Algorithm); !ok || !got.Equal(w) {
				t.Errorf("%d bytes: got %s, want %s", n, got, w)
			}
		}
		commit(t, p)
		wantBytes(t, s, d, b)
		if err := s.Delete(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	for name, wrong := range map[string]cache.Sum{
		"another":           {Algorithm: cache.SHA512, Value: make([]byte, 64)},
		"none":              {Algorithm: cache.SHA512},
		"one nobody can do": {Algorithm: "crc7", Value: []byte{1}},
	} {
		p := begin(t, s, -1, cache.MD5)
		write(t, p, content(1000, 1))
		if _, err := p.Verify(wrong); err == nil || name != "one nobody can do" && !errors.Is(err, cache.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
		if err := p.Commit(t.Context()); err == nil {
			t.Errorf("%s: what failed to verify was committed", name)
		}
		p.Abort(nil)
	}
	wantList(t, s)
}

func storeSourceFails(t *testing.T, s cache.Store) {
	cause := errors.New("the source failed")
	for _, size := range []int64{-1, 300_000} {
		src := io.MultiReader(bytes.NewReader(content(200_000, 1)), failing{cause})
		if _, err := cache.Put(t.Context(), s, src, size); !errors.Is(err, cause) {
			t.Errorf("announced %d: %v", size, err)
		}
	}
	wantList(t, s)
}

func storeUnknownSum(t *testing.T, s cache.Store) {
	if p, err := s.Begin(t.Context(), 1, "crc7"); err == nil {
		p.Abort(nil)
		t.Error("a checksum that nobody can compute was accepted")
	}
	wantList(t, s)
}

func storeCancelled(t *testing.T, s cache.Store) {
	blob := store(t, s, content(10, 1))
	p := begin(t, s, 3)
	write(t, p, []byte("abc"))
	verify(t, p)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, beginErr := s.Begin(ctx, 1)
	_, openErr := s.Open(ctx, blob.Digest)
	_, statErr := s.Stat(ctx, blob.Digest)
	_, putErr := cache.Put(ctx, s, bytes.NewReader(content(10, 2)), 10)
	for name, err := range map[string]error{
		"begin": beginErr, "open": openErr, "stat": statErr, "put": putErr,
		"delete": s.Delete(ctx, blob.Digest), "commit": p.Commit(ctx),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var listErr error
	for _, err := range s.List(ctx) {
		listErr = errors.Join(listErr, err)
	}
	if !errors.Is(listErr, context.Canceled) {
		t.Errorf("list: %v", listErr)
	}
	p.Abort(nil)
	wantList(t, s, blob)
}
