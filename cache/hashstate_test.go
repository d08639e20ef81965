package cache_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash/crc32"
	"testing"

	"larder/cache"
)

var everySum = []cache.Algorithm{cache.SHA512, cache.SHA1, cache.MD5}

func hasher(t testing.TB, also ...cache.Algorithm) *cache.Hasher {
	t.Helper()
	h, err := cache.NewHasher(also...)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func state(t testing.TB, h *cache.Hasher, name string) []byte {
	t.Helper()
	s, err := h.State(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// pass hands a hasher on as a restart would.
func pass(t testing.TB, h *cache.Hasher, name string) *cache.Hasher {
	t.Helper()
	next, err := cache.ResumeHasher(name, state(t, h, name))
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func text(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * i >> 3)
	}
	return b
}

// wantAll compares with what the standard library says of all bytes at once.
func wantAll(t testing.TB, got cache.Blob, b []byte) {
	t.Helper()
	long, short, old := sha512.Sum512(b), sha1.Sum(b), md5.Sum(b)
	want := cache.Blob{
		Digest: sha256.Sum256(b), Size: int64(len(b)), CRC32C: crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)),
	}
	if got.Digest != want.Digest || got.Size != want.Size || got.CRC32C != want.CRC32C {
		t.Errorf("%d bytes: got %s, %d, %x", len(b), got.Digest, got.Size, got.CRC32C)
	}
	err := got.Check(cache.Sum{Algorithm: cache.SHA512, Value: long[:]}, cache.Sum{Algorithm: cache.SHA1, Value: short[:]},
		cache.Sum{Algorithm: cache.MD5, Value: old[:]})
	if err != nil {
		t.Errorf("%d bytes: %v", len(b), err)
	}
}

// Wherever the bytes are cut, and however often, the sums are those of one pass.
func TestResumedAnywhere(t *testing.T) {
	b := text(300)
	for cut := range len(b) + 1 {
		h := hasher(t, everySum...)
		h.Write(b[:cut])
		h = pass(t, h, "a")
		if h.Size() != int64(cut) {
			t.Fatalf("resumed at %d, want %d", h.Size(), cut)
		}
		h.Write(b[cut:])
		wantAll(t, h.Blob(), b)
	}
	h := hasher(t, everySum...)
	for i := range b {
		h = pass(t, h, "a")
		h.Write(b[i : i+1])
	}
	wantAll(t, pass(t, h, "a").Blob(), b)
}

// The state is a photograph: the hasher goes on, and the state with it does not.
func TestStateStaysBehind(t *testing.T) {
	h := hasher(t)
	h.Write([]byte("hello "))
	kept := state(t, h, "a")
	h.Write([]byte("moon"))
	for _, rest := range []string{"world", "", "sun"} {
		again, err := cache.ResumeHasher("a", kept)
		if err != nil {
			t.Fatal(err)
		}
		again.Write([]byte(rest))
		if want := sha256.Sum256([]byte("hello " + rest)); again.Blob().Digest != want {
			t.Errorf("hello %s: got %s", rest, again.Blob().Digest)
		}
	}
	if want := sha256.Sum256([]byte("hello moon")); h.Blob().Digest != want {
		t.Errorf("the first: %s", h.Blob().Digest)
	}
}

func TestStateThatIsNoState(t *testing.T) {
	h := hasher(t, everySum...)
	h.Write(text(77))
	good := state(t, h, "a")
	if len(good) >= 1<<10 {
		t.Errorf("a state of %d bytes", len(good))
	}
	if _, err := cache.ResumeHasher("b", good); err == nil {
		t.Error("resumed with the state of other bytes")
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1 << (i % 8)
		if _, err := cache.ResumeHasher("a", bad); err == nil {
			t.Errorf("resumed with byte %d changed", i)
		}
		if _, err := cache.ResumeHasher("a", good[:i]); err == nil {
			t.Errorf("resumed with %d bytes of %d", i, len(good))
		}
	}
	if _, err := cache.ResumeHasher("a", append(good, 0)); err == nil {
		t.Error("resumed with a byte too many")
	}
}

// TestStateOfAnEarlierProgram holds that an upgrade in the middle of an upload
// goes on with what the program before it wrote.
func TestStateOfAnEarlierProgram(t *testing.T) {
	written, err := hex.DecodeString(earlierState)
	if err != nil {
		t.Fatal(err)
	}
	h, err := cache.ResumeHasher("earlier", written)
	if err != nil {
		t.Fatal(err)
	}
	b := text(1000)
	h.Write(b[h.Size():])
	wantAll(t, h.Blob(), b)
}

// FuzzResumeHasher feeds states with and without the seal that protects them:
// none may panic, and what is taken goes on as a hasher.
func FuzzResumeHasher(f *testing.F) {
	h := hasher(f, everySum...)
	h.Write(text(100))
	good := state(f, h, "a")
	f.Add(good[:len(good)-sha256.Size])
	f.Add(good)
	f.Add([]byte{})
	f.Add([]byte{1, 255, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, body []byte) {
		seal := sha256.Sum256(append([]byte("1 a"), body...))
		for _, s := range [][]byte{body, append(bytes.Clone(body), seal[:]...)} {
			h, err := cache.ResumeHasher("a", s)
			if err != nil {
				continue
			}
			if h.Size() < 0 {
				t.Fatalf("size %d", h.Size())
			}
			next := pass(t, h, "b")
			h.Write([]byte("more"))
			next.Write([]byte("more"))
			if h.Blob().Digest != next.Blob().Digest {
				t.Errorf("%s and then %s", h.Blob().Digest, next.Blob().Digest)
			}
		}
	})
}

// earlierState is of the first 333 bytes of text, as version 1 wrote it.
const earlierState = "" +
	"0103000000000000014d067368613531320473686131036d64356c7368610365591ff7bbbcd45c106a34d8979a7ec82797d47a4356af47" +
	"a675e9e2ab355daa0050a0f14293e43688da2c7fd200000000000000000000000000000000000000000000000000000000000000000000" +
	"0000000000000000000000000000000000000000000000014d0c63726301774284818fc69c30cc7368610725bbea227b8d6e302713d002" +
	"49cf88f402e05c0892662740870f8bf874ded29f054c54a9f154b9eabf632328c10491e7185f6780245186dd454e73a3fcc2a03e004080" +
	"c1024384c6084a8ccf125598dc2064a8ed3277bc02488ed41b62a9f03880c81059a2eb347ec8125ca7f23d88d4206cb805529fec3a88d6" +
	"2473c21160b00050a0f14293e43688da2c7fd2000000000000000000000000000000000000000000000000000000000000000000000000" +
	"000000000000000000000000000000000000000000014d6073686101ad962c279950082a8b6eb0d08095a2c94f8b48f60050a0f14293e4" +
	"3688da2c7fd200000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000" +
	"0000000000000000014d5c6d643501635e2c20c8ccf9d35f84a1a565d19cac0050a0f14293e43688da2c7fd20000000000000000000000" +
	"00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000014dbf502339f081b0" +
	"fa77f960c9d25accaab9256dde290be4262b4ffaaf2ea4830b"
