package registry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"larder/formats"
	"larder/upstream"
	"larder/upstream/upstreamtest"
)

var errOdd = formats.Refuse(formats.ErrBadRequest, "it is odd")

// checked is a file that is read before it counts; it takes what begins with "ok".
func checked(body []byte, seen *atomic.Int64) formats.File {
	f := tagged(digestOf(body))
	f.MediaType = ""
	locate := f.Locate
	f.Locate = func(ctx context.Context) (formats.Location, error) {
		loc, err := locate(ctx)
		loc.Accept, loc.Limit = typeOfTags, 1<<20
		return loc, err
	}
	f.Check = func(src io.Reader, mediaType string) (formats.FileFacts, error) {
		seen.Add(1)
		all, err := io.ReadAll(src)
		switch {
		case err != nil:
			return formats.FileFacts{}, errOdd
		case bytes.HasPrefix(all, []byte("old")):
			return formats.FileFacts{}, formats.Refuse(formats.ErrNoVersion, "it is too old a kind")
		case !bytes.HasPrefix(all, []byte("ok")):
			return formats.FileFacts{}, errOdd
		case mediaType == "application/x-alias":
			return formats.FileFacts{MediaType: typeOfTags}, nil
		}
		return formats.FileFacts{}, nil
	}
	return f
}

// TestChecked: a file that is read first is served as what the upstream says it
// is, once and again, from the store and past it, and by HEAD.
func TestChecked(t *testing.T) {
	for _, full := range []bool{false, true} {
		for sent, want := range map[string]string{typeOfTags: typeOfTags, "application/x-alias": typeOfTags, "application/x-other; a=b": "application/x-other; a=b"} {
			b := newBench(t)
			b.room.full.Store(full)
			data, seen := append([]byte("ok "), text(300<<10)...), new(atomic.Int64)
			b.far.Serve("/p/"+digestOf(data), upstreamtest.Answer{Body: data, ContentType: sent})
			f := checked(data, seen)
			f.Head = true
			if c, err := b.reader.File(context.Background(), f); err != nil || c.MediaType != sent || c.Size != int64(len(data)) || seen.Load() != 0 {
				t.Errorf("HEAD: %+v, %v", c, err)
			}
			f.Head = false
			for _, again := range []bool{false, true} {
				c, err := b.reader.File(context.Background(), f)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := body(c); err != nil || !bytes.Equal(got, data) || c.MediaType != want {
					t.Errorf("full %v: %d bytes as %s, %v; want %s", full, len(got), c.MediaType, err, want)
				}
				if full != (c.Result == formats.Pass) || !full && c.Result != formats.Hit || !full && seen.Load() != 1 {
					t.Errorf("full %v, again %v: %s, read %d times", full, again, c.Result, seen.Load())
				}
			}
			for _, e := range b.far.Log() {
				if e.Header.Get("Accept") != typeOfTags {
					t.Errorf("%s with Accept %q", e.Method, e.Header.Get("Accept"))
				}
			}
		}
	}
}

// TestCheckedAndBad: what the format does not take is not stored, and not one
// byte of it leaves; the upstream is not asked again at once.
func TestCheckedAndBad(t *testing.T) {
	for _, full := range []bool{false, true} {
		b := newBench(t)
		b.room.full.Store(full)
		odd, seen := text(1000), new(atomic.Int64)
		b.far.Serve("/p/"+digestOf(odd), upstreamtest.Answer{Body: odd})
		b.refuse(checked(odd, seen), upstream.ErrCorrupt)
		if _, _, err := b.get(checked(odd, seen)); !errors.Is(err, upstream.ErrCorrupt) || errors.Is(err, formats.ErrBadRequest) {
			t.Errorf("again: %v", err)
		}
		if seen.Load() != 1 || b.blobs() != 0 || b.seen.integrity.Load() != 1 {
			t.Errorf("full %v: read %d times, %d blobs, told %d times", full, seen.Load(), b.blobs(), b.seen.integrity.Load())
		}
		old := []byte("old")
		b.far.Serve("/p/"+digestOf(old), upstreamtest.Answer{Body: old})
		b.refuse(checked(old, seen), formats.ErrNoVersion)
		if b.blobs() != 0 {
			t.Errorf("full %v: %d blobs", full, b.blobs())
		}
	}
}

// TestLimit: an upstream may send no more than the format takes.
func TestLimit(t *testing.T) {
	long, seen := append([]byte("ok "), text(1<<20)...), new(atomic.Int64)
	for _, full := range []bool{false, true} {
		for _, chunked := range []bool{false, true} {
			b := newBench(t)
			b.room.full.Store(full)
			b.far.Serve("/p/"+digestOf(long), upstreamtest.Answer{Body: long, Chunked: chunked})
			b.refuse(checked(long, seen), upstream.ErrCorrupt)
			if b.blobs() != 0 || seen.Load() != 0 {
				t.Errorf("%d blobs, read %d times", b.blobs(), seen.Load())
			}
		}
	}
}

// TestCheckedTogether: sixteen clients read it once.
func TestCheckedTogether(t *testing.T) {
	b := newBench(t)
	data, seen := []byte("ok"), new(atomic.Int64)
	b.far.Serve("/p/"+digestOf(data), upstreamtest.Answer{Body: data, Delay: 20 * time.Millisecond})
	clients(t, 16, func() {
		if got, _, err := b.get(checked(data, seen)); err != nil || string(got) != "ok" {
			t.Errorf("%q, %v", got, err)
		}
	})
	if n := len(b.far.Log()); n != 1 || seen.Load() != 1 {
		t.Errorf("%d requests, read %d times", n, seen.Load())
	}
}

// TestSealed: no row that stays for ever is written of a file whose name tells
// its bytes, where the format says that it does, and one of every other.
func TestSealed(t *testing.T) {
	m := newMirror(t, false)
	data := []byte("ok")
	m.far.Serve("/p/"+digestOf(data), upstreamtest.Answer{Body: data})
	m.far.Serve("/f", upstreamtest.Answer{Body: data})
	for want, get := range []func(){
		func() { m.fetches(tagged(digestOf(data)), data) },
		func() { m.fetches(file("f"), data) },
	} {
		get()
		m.settled()
		if keys := m.rows("s"); len(keys) != min(want, 1) {
			t.Errorf("rows %q", keys)
		}
	}
	b := newBench(t)
	b.far.Serve("/p/"+digestOf(data), upstreamtest.Answer{Body: data})
	b.want(tagged(digestOf(data)), data, formats.Miss)
	b.stored(tagged(digestOf(data)))
	if keys := b.rows("s"); len(keys) != 1 {
		t.Errorf("rows %q", keys)
	}
}

// TestPointerToBad: a tag does not move to what the format does not take, and
// what is no longer taken at all is said to be missing, in its own words.
func TestPointerToBad(t *testing.T) {
	m := newMirror(t, false)
	seen := new(atomic.Int64)
	point := func(name string) (formats.Target, error) {
		p := tagOf(name)
		p.File = func(version string) formats.File {
			f := checked(nil, seen)
			g := tagged(version)
			f.Name, f.Locate = g.Name, g.Locate
			return f
		}
		p.Digest = func(body []byte, mediaType string) (string, error) {
			if mediaType == "application/x-old" {
				return "", formats.Refuse(formats.ErrNoVersion, "it is too old a kind")
			}
			return digestOf(body), nil
		}
		return m.Resolve(context.Background(), p)
	}
	one := push(m.far, "t", "ok one")
	m.far.Serve("/p/"+one, upstreamtest.Answer{Body: []byte("ok one"), ContentType: "application/x-alias"})
	if got, err := point("t"); err != nil || got.Version != one || got.MediaType != typeOfTags || got.Size != 6 {
		t.Fatalf("%+v, %v", got, err)
	}
	m.clock.advance(5 * time.Minute)
	push(m.far, "t", "bad")
	if got, err := point("t"); err != nil || got.Version != one || got.Result != formats.Stale {
		t.Errorf("%+v, %v", got, err)
	}
	m.clock.advance(5 * time.Minute)
	push(m.far, "t", "old")
	push(m.far, "u", "old")
	for _, name := range []string{"t", "u"} {
		if got, err := point(name); !errors.Is(err, formats.ErrNoVersion) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for _, kind := range []string{typeOfTags, "application/x-old"} {
		m.far.Serve("/p/tags/v", upstreamtest.Answer{Body: []byte("old"), ContentType: kind})
		if got, err := point("v"); !errors.Is(err, formats.ErrNoVersion) {
			t.Errorf("by the body, %s: %+v, %v", kind, got, err)
		}
	}
}
