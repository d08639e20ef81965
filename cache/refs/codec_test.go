package refs

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"larder/cache"
)

func digest(b byte) cache.Digest { return cache.Digest{0: b, 31: b} }

// again writes what was read and reads that: it must be the same, or the row
// would change when it is touched.
func again[T any](t *testing.T, was T, encode func(T) []byte, decode func([]byte) (T, error)) {
	t.Helper()
	is, err := decode(encode(was))
	if err != nil || !reflect.DeepEqual(was, is) {
		t.Errorf("%+v became %+v when written again: %v", was, is, err)
	}
}

func FuzzBlobRow(f *testing.F) {
	for _, i := range []Info{
		{kinds: 2, Blob: cache.Blob{Size: 0}},
		{kinds: allKinds, Created: time.Unix(1767225600, 1), Blob: cache.Blob{Size: 1<<62 + 1, CRC32C: 1<<32 - 1, Sums: []cache.Sum{
			{Algorithm: cache.SHA512, Value: make([]byte, 64)}, {Algorithm: cache.SHA1, Value: make([]byte, 20)}, {Algorithm: cache.MD5, Value: make([]byte, 16)},
		}}},
	} {
		v, err := encodeBlob(i)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(v)
		f.Add(v[:len(v)-1])
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, v []byte) {
		d := digest(1)
		i, err := decodeBlob(d, v)
		if err != nil {
			return
		}
		if i.Blob.Size < 0 || i.kinds == 0 || i.Blob.Digest != d {
			t.Errorf("read %+v", i)
		}
		again(t, i, func(i Info) []byte {
			v, err := encodeBlob(i)
			if err != nil {
				t.Error(err)
			}
			return v
		}, func(v []byte) (Info, error) { return decodeBlob(d, v) })
	})
}

func FuzzEdgeRow(f *testing.F) {
	d := digest(2)
	for _, e := range []Edge{
		{Kind: Hosted, Record: []byte("f")},
		{Kind: Lease, Record: []byte("f"), Expires: time.Unix(9, 0)},
		{Kind: Pin, Record: bytes.Repeat([]byte{0xff}, cache.MaxKey), Expires: time.Unix(0, 1)},
	} {
		f.Add(edgeKey(d, edgeTail(e)), encodeEdge(e))
	}
	f.Add([]byte("x"), []byte{})
	f.Fuzz(func(t *testing.T, k, v []byte) {
		_, e, err := parseUse(cache.Row{Key: k, Value: v})
		if err != nil {
			return
		}
		if len(e.Record) == 0 || len(e.Record) > cache.MaxKey {
			t.Errorf("a record key of %d bytes", len(e.Record))
		}
		again(t, e, encodeEdge, func(v []byte) (Edge, error) { return decodeEdge(e.Kind, v) })
	})
}

func FuzzOrderRow(f *testing.F) {
	f.Add(orderKey(digest(3), Access{Main, 1<<32 - 1}), []byte{layout, 1, 0, 0, 0, 7})
	f.Add(orderKey(digest(3), Access{}), []byte{layout, 0, 0, 0, 0, 0})
	f.Add([]byte("e"), []byte{layout})
	f.Fuzz(func(t *testing.T, k, v []byte) {
		if d, a, err := parseOrderKey(k); err == nil && !bytes.Equal(orderKey(d, a), k) {
			t.Errorf("the key %x is %x when written again", k, orderKey(d, a))
		}
		if a, err := decodeAccess(v); err == nil {
			again(t, a, encodeAccess, decodeAccess)
		}
	})
}

func FuzzDueRow(f *testing.F) {
	d, at := digest(4), time.Unix(0, 99)
	f.Add(dueKey(at, d, nil), encodeIntent(Intent{at, 5}))
	f.Add(dueKey(at, d, edgeTail(Edge{Kind: Upload, Record: []byte("u")})), encodeIntent(Intent{time.Unix(1<<33, 0), 1 << 60}))
	f.Add([]byte("gt"), []byte{layout})
	f.Fuzz(func(t *testing.T, k, v []byte) {
		if due, err := parseDueKey(k); err == nil && !bytes.Equal(due.Key(), k) {
			t.Errorf("the key %x is %x when written again", k, due.Key())
		}
		if in, err := decodeIntent(v); err == nil {
			if in.Size < 0 || in.Due.IsZero() {
				t.Errorf("read %+v", in)
			}
			again(t, in, encodeIntent, decodeIntent)
		}
	})
}

func FuzzUsageRow(f *testing.F) {
	f.Add(encodeUsage(Usage{}))
	f.Add(encodeUsage(Usage{1, 2, 3, 4, 5}))
	f.Add([]byte{layout})
	f.Fuzz(func(t *testing.T, v []byte) {
		if u, err := decodeUsage(v); err == nil && !bytes.Equal(encodeUsage(u), v) {
			t.Errorf("%x is %x when written again", v, encodeUsage(u))
		}
	})
}

// A row of a later version is refused, never guessed at.
func TestOtherVersionsAreRefused(t *testing.T) {
	blob, err := encodeBlob(Info{kinds: 1})
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		value  []byte
		decode func([]byte) error
	}{
		"blob":   {blob, func(v []byte) error { _, err := decodeBlob(digest(1), v); return err }},
		"edge":   {encodeEdge(Edge{Record: []byte("f")}), func(v []byte) error { _, err := decodeEdge(Cached, v); return err }},
		"access": {encodeAccess(Access{}), func(v []byte) error { _, err := decodeAccess(v); return err }},
		"intent": {encodeIntent(Intent{Due: time.Unix(1, 0)}), func(v []byte) error { _, err := decodeIntent(v); return err }},
		"usage":  {encodeUsage(Usage{}), func(v []byte) error { _, err := decodeUsage(v); return err }},
	} {
		if err := row.decode(row.value); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		row.value[0]++
		if row.decode(row.value) == nil {
			t.Errorf("%s of another version is read", name)
		}
	}
}

func TestUnknownKindsAndChecksumsAreRefused(t *testing.T) {
	if _, err := decodeEdge('z', encodeEdge(Edge{Record: []byte("f")})); err == nil {
		t.Error("an edge of an unknown kind is read")
	}
	for _, s := range []cache.Sum{{Algorithm: "crc7", Value: []byte{1}}, {Algorithm: cache.MD5, Value: []byte{1}}} {
		if _, err := encodeBlob(Info{kinds: 1, Blob: cache.Blob{Sums: []cache.Sum{s}}}); err == nil {
			t.Errorf("%s is recorded", s)
		}
	}
}
