package registry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"larder/cache"
	"larder/formats"
)

func TestBodyLimits(t *testing.T) {
	tests := []struct {
		name string
		r    io.Reader
		ok   bool
	}{
		{"within the limit", &bounded{strings.NewReader("12345"), 5}, true},
		{"beyond the limit", &bounded{strings.NewReader("123456"), 5}, false},
		{"as announced", &exactly{strings.NewReader("12345"), 5}, true},
		{"shorter", &exactly{strings.NewReader("1234"), 5}, false},
		{"not announced", &exactly{strings.NewReader("1234"), -1}, true},
	}
	for _, tt := range tests {
		n := &noting{from: tt.r}
		_, err := io.ReadAll(n)
		if (err == nil) != tt.ok || !errors.Is(n.err, err) {
			t.Errorf("%s: %v, noted %v", tt.name, err, n.err)
		}
	}
}

func TestSpool(t *testing.T) {
	s := &spool{max: 4}
	if _, err := s.Write([]byte("123")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte("45")); !errors.Is(err, cache.ErrFull) {
		t.Errorf("beyond the memory: %v", err)
	}
}

// TestKeys: no two names share a key, however long or odd they are.
func TestKeys(t *testing.T) {
	long := strings.Repeat("x", 2000)
	names := []string{"a", "b", "ab", "a/b", "@a/b", long, long + "y", "ä"}
	seen := map[string]string{}
	note := func(what string, k []byte) {
		if len(k) > cache.MaxKey {
			t.Errorf("%.40s: key of %d bytes", what, len(k))
		}
		if old, ok := seen[string(k)]; ok {
			t.Errorf("%.80s and %.80s share a key", old, what)
		}
		seen[string(k)] = what
	}
	for _, n := range names {
		note("hosted "+n, hostedFileKey("npm", n))
		note("seen "+n, seenKey("far", n))
		note("name "+n, nameKey("npm", n))
		note("head "+n, packageKey("npm", n, partHead))
		for _, m := range names {
			note("file "+n+" "+m, upstreamFileKey(n, m))
			note("document "+n+" "+m, documentKey("far", n, m))
			note("first "+n+" "+m, seenDocumentKey("far", n, m))
			note("version "+n+" "+m, versionKey("npm", n, m))
		}
		note("release "+n, releaseKey("npm", n, 1, 0))
	}
}

func FuzzDecodeFile(f *testing.F) {
	rec := fileRecord{Digest: cache.Digest{1, 2}, Size: 7, Package: "p", Version: "1", Fetched: time.Unix(1, 2).UTC()}
	good, err := rec.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte{1})
	f.Add([]byte("\x01{}"))
	f.Add([]byte("\x02" + string(good[1:])))
	f.Fuzz(func(t *testing.T, row []byte) {
		rec, err := decodeFile(row)
		if err != nil {
			return
		}
		again, err := rec.encode()
		if err != nil {
			return // a time that JSON cannot write, such as one beyond the year 9999
		}
		twice, err := decodeFile(again)
		if err != nil || twice.Digest != rec.Digest || !reflect.DeepEqual(twice, rec) {
			t.Errorf("%+v became %+v, %v", rec, twice, err)
		}
	})
}

func FuzzSplitBody(f *testing.F) {
	row, err := withBody(&documentRecord{Name: "d", Identity: "x"}, []byte("body"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(row)
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 1, '{', '}'})
	f.Add([]byte{1, 0, 0, 0, 3, 1, '{', '}'})
	f.Fuzz(func(t *testing.T, row []byte) {
		var rec documentRecord
		body, err := splitBody(row, &rec)
		if (decodeDocument(row) == nil) != (err != nil) {
			t.Error("two readings of one row")
		}
		if err == nil && !bytes.HasSuffix(row, body) {
			t.Errorf("a body of %d bytes that is not the end of the row", len(body))
		}
	})
}

func FuzzJoinRelease(f *testing.F) {
	h := releaseHead{Release: formats.Release{Version: "1.0.0"}, MetaSize: 4}
	row, err := withBody(&h, []byte("meta"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(row)
	f.Add(row[:len(row)-1])
	f.Add([]byte{1, 0, 0, 0, 3, 1, '{', '}', 'x'})
	f.Fuzz(func(t *testing.T, row []byte) {
		rel, err := joinRelease(row)
		if err == nil && !bytes.HasSuffix(row, rel.Meta) {
			t.Errorf("metadata of %d bytes that is not the end of the row", len(rel.Meta))
		}
	})
}

func FuzzUnpackAnswer(f *testing.F) {
	at := time.Unix(1700000000, 5)
	f.Add(packAnswer(&formats.Answer{MediaType: "application/json", Body: []byte("{}")}, at))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, at := unpackAnswer(b)
		if at.IsZero() {
			return
		}
		if got := packAnswer(a, at); !bytes.Equal(got, b) {
			t.Errorf("%x became %x", b, got)
		}
	})
}

// TestAbandoned: what is small or nearly there is fetched without readers too.
func TestAbandoned(t *testing.T) {
	const gib = 1 << 30
	now := time.Unix(1700000000, 0)
	e := &Engine{opt: Options{Clock: func() time.Time { return now }}}
	tests := []struct {
		name         string
		size, offset int64
		readers      int64
		idle         time.Duration
		want         bool
	}{
		{"somebody reads", gib, 0, 1, time.Hour, false},
		{"nobody for a moment", gib, 0, 0, lonely, false},
		{"nobody for long", gib, 0, 0, lonely + 1, true},
		{"nobody, more than half is here", gib, gib/2 + 1, 0, time.Hour, false},
		{"nobody, small", keepFetching, 0, 0, time.Hour, false},
		{"nobody, of unknown length", -1, 0, 0, time.Hour, true},
	}
	for _, tt := range tests {
		fl := &flight{engine: e}
		fl.readers.Store(tt.readers)
		fl.idle.Store(now.Add(-tt.idle).UnixNano())
		if got := fl.abandoned(&download{size: tt.size, offset: tt.offset}); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestPartOf(t *testing.T) {
	text := []byte("0123456789")
	closed := false
	for _, c := range []*formats.Content{
		{Size: 10, Bytes: text},
		{Size: 10, File: noteClose{bytes.NewReader(text), &closed}},
		{Size: 10, Follow: func(_ context.Context, off, n int64) (io.ReadCloser, error) {
			return io.NopCloser(io.NewSectionReader(bytes.NewReader(text), off, n)), nil
		}},
	} {
		for _, span := range [][2]int64{{0, 10}, {3, 4}, {9, 1}} {
			r, err := partOf(context.Background(), c, span[0], span[1])
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if err != nil || string(got) != string(text[span[0]:span[0]+span[1]]) {
				t.Errorf("%v: %q, %v", span, got, err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if !closed {
		t.Error("the file stays open")
	}
	if r, err := partOf(context.Background(), &formats.Content{Size: 10, Bytes: text}, 4, -1); err != nil {
		t.Error(err)
	} else if got, err := io.ReadAll(r); err != nil || string(got) != "456789" {
		t.Errorf("to the end: %q, %v", got, err)
	}
}

type noteClose struct {
	*bytes.Reader
	closed *bool
}

func (n noteClose) Close() error { *n.closed = true; return nil }
