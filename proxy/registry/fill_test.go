package registry_test

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha512"
	"errors"
	"io"
	"testing"
	"time"

	"larder/cache"
	"larder/formats"
	"larder/proxy/registry"
	"larder/upstream"
	"larder/upstream/upstreamtest"
)

// TestOtherChecksums: every checksum that an index announces is compared, of
// whatever algorithm, stored or passed through.
func TestOtherChecksums(t *testing.T) {
	data := text(100 << 10)
	long, short := sha512.Sum512(data), sha1.Sum(data)
	good := []cache.Sum{{Algorithm: cache.SHA512, Value: long[:]}, {Algorithm: cache.SHA1, Value: short[:]}, sumOf(data)}
	for _, full := range []bool{false, true} {
		b := newBench(t)
		b.room.full.Store(full)
		b.far.Serve("/f", upstreamtest.Answer{Body: data})
		if got, _, err := b.get(file("f", good...)); err != nil || !bytes.Equal(got, data) {
			t.Errorf("full %v: %d bytes, %v", full, len(got), err)
		}
		for i := range good {
			bad := append([]cache.Sum(nil), good...)
			bad[i].Value = append([]byte{bad[i].Value[0] ^ 1}, bad[i].Value[1:]...)
			name := string(bad[i].Algorithm)
			b.far.Serve("/"+name, upstreamtest.Answer{Body: data})
			b.refuse(file(name, bad...), upstream.ErrCorrupt)
		}
		unknown := cache.Sum{Algorithm: "crc7", Value: []byte{1}}
		b.far.Serve("/u", upstreamtest.Answer{Body: data})
		if got, _, err := b.get(file("u", unknown)); err == nil {
			t.Errorf("full %v: %d bytes with a checksum that cannot be computed", full, len(got))
		}
	}
}

// TestLocateIsBounded: a format that looks for a file does not do so for ever.
func TestLocateIsBounded(t *testing.T) {
	b := newBench(t)
	b.far.Serve("/f", upstreamtest.Answer{Body: []byte("x")})
	f := file("f")
	bounded := false
	f.Locate = func(ctx context.Context) (formats.Location, error) {
		_, bounded = ctx.Deadline()
		return formats.Location{Ref: "f"}, nil
	}
	b.want(f, []byte("x"), formats.Miss)
	if !bounded {
		t.Error("no deadline")
	}
}

// TestPauseBeginsAnew once good bytes came.
func TestPauseBeginsAnew(t *testing.T) {
	b := newBench(t)
	data := text(100 << 10)
	wrong, right := upstreamtest.Answer{Body: data, Wrong: true}, upstreamtest.Answer{Body: data}
	for _, a := range []upstreamtest.Answer{wrong, wrong} {
		b.far.Serve("/f", a)
		b.refuse(file("f", sumOf(data)), upstream.ErrCorrupt)
		b.clock.advance(time.Minute)
	}
	b.far.Serve("/f", right)
	b.want(file("f", sumOf(data)), data, formats.Miss)
	b.stored(file("f"))
	b.clock.advance(time.Second)
	b.evict(data)
	b.far.Serve("/f", wrong)
	b.refuse(file("f", sumOf(data)), upstream.ErrCorrupt)
	b.clock.advance(5 * time.Second)
	b.far.Serve("/f", right)
	b.want(file("f", sumOf(data)), data, formats.Miss)
}

// slowCommit is a store whose commits wait for leave to go on.
type slowCommit struct {
	cache.Store
	begun, leave chan struct{}
}

type slowPartial struct {
	cache.Partial
	store *slowCommit
}

func (s *slowCommit) Begin(ctx context.Context, size int64, also ...cache.Algorithm) (cache.Partial, error) {
	p, err := s.Store.Begin(ctx, size, also...)
	return slowPartial{p, s}, err
}

func (p slowPartial) Commit(ctx context.Context) error {
	p.store.begun <- struct{}{}
	<-p.store.leave
	return p.Partial.Commit(ctx)
}

// TestCloseWaitsForTheStore: what was received whole is kept, although the
// server ends; nobody waits for it who reads.
func TestCloseWaitsForTheStore(t *testing.T) {
	slow := &slowCommit{begun: make(chan struct{}, 1), leave: make(chan struct{})}
	b := newBench(t, func(b *bench, _ *registry.Options) { slow.Store, b.store = b.store, slow })
	data := text(300 << 10)
	b.far.Serve("/f", upstreamtest.Answer{Body: data})
	b.want(file("f", sumOf(data)), data, formats.Miss) // before it is committed
	<-slow.begun
	closed := make(chan error, 1)
	go func() { closed <- b.engine.Close() }()
	eventually(t, "the engine takes nothing new", func() bool {
		_, err := b.reader.File(context.Background(), file("g"))
		return err != nil
	})
	close(slow.leave)
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	if b.blobs() != 1 || len(b.rows("f")) != 1 {
		t.Errorf("%d blobs, %d records", b.blobs(), len(b.rows("f")))
	}
}

// TestPinOfAnotherVersion of larder is not taken for none.
func TestPinOfAnotherVersion(t *testing.T) {
	b := newBench(t)
	data := text(100 << 10)
	b.far.Serve("/f", upstreamtest.Answer{Body: data})
	b.want(file("f"), data, formats.Miss)
	b.stored(file("f"))
	b.clock.advance(time.Second)
	b.evict(data)
	for _, row := range [][]byte{nil, {2}, append([]byte{9}, sumOf(data).Value...), make([]byte, 40)} {
		err := b.index.Update(context.Background(), func(w cache.Writer) error { return w.Put([]byte(b.rows("s")[0]), row) })
		if err != nil {
			t.Fatal(err)
		}
		if got, _, err := b.get(file("f")); err == nil || errors.Is(err, formats.ErrNotFound) {
			t.Errorf("row %x: %d bytes, %v", row, len(got), err)
		}
	}
}

// TestRepliesToAWholeRequest: a part is no whole, and a body is gone on with
// only where the upstream said that it gives parts.
func TestRepliesToAWholeRequest(t *testing.T) {
	data := text(300 << 10)
	part := reply(206, data, nil, "Content-Range", "bytes 0-307199/307200", "Etag", `"one"`)
	broken := reply(200, data[:200<<10], errors.New("cut"), "Etag", `"one"`)
	broken.Size = int64(len(data))
	broken.Header.Del("Accept-Ranges")
	for name, first := range map[string]*upstream.Response{"a part": part, "no parts": broken} {
		b := newBench(t)
		src := b.source("far", b.far)
		src.Fetcher = &scripted{replies: []*upstream.Response{first, reply(206, data[200<<10:], nil, "Content-Range", "bytes 204800-307199/307200", "Etag", `"one"`)}}
		b.spec.Upstreams = b.only(src)
		b.reader = b.engine.Registry(b.spec).For(user("alice"), "", base)
		if got, how, err := b.get(file("f", sumOf(data))); !errors.Is(err, upstream.ErrUnavailable) {
			t.Errorf("%s: %d bytes, %s, %v", name, len(got), how, err)
		}
	}
}

// TestTwoRegistriesOneUpstream share what they fetch, and nothing that depends
// on their own address.
func TestTwoRegistriesOneUpstream(t *testing.T) {
	b := newBench(t)
	other := b.spec
	other.Name = "other"
	second := b.engine.Registry(other).For(user("alice"), "", "http://127.0.0.1/other/")
	data := text(100 << 10)
	b.far.Serve("/p", answer("p: one", `"1"`))
	b.far.Serve("/f", upstreamtest.Answer{Body: data})
	b.sees("p: one", formats.Miss)
	got, c, err := doc(second, b.format.document("p"))
	if err != nil || got != "http://127.0.0.1/other/ p: one" || c.Result != formats.Hit {
		t.Errorf("%q, %v", got, err)
	}
	b.want(file("f"), data, formats.Miss)
	b.stored(file("f"))
	if c, err := second.File(context.Background(), file("f")); err != nil || c.Result != formats.Hit {
		t.Errorf("%+v, %v", c, err)
	} else {
		c.Close()
	}
	if len(b.far.Log()) != 2 {
		t.Errorf("log %v", b.far.Log())
	}
}

// TestTwoUpstreamsOneName: what one upstream says of a name, and its bytes,
// say nothing of the same name at another.
func TestTwoUpstreamsOneName(t *testing.T) {
	b := newBench(t)
	second := upstreamtest.New(t)
	spec := b.spec
	spec.Name, spec.Upstreams = "second", b.only(b.source("second", second))
	there := b.engine.Registry(spec).For(user("alice"), "", base)
	one, two := text(100<<10), append([]byte("other"), text(100<<10)...)
	b.far.Serve("/p/f", upstreamtest.Answer{Body: one})
	b.far.Serve("/p", answer("p: one", `"1"`))
	f := file("p/f")
	if _, err := there.File(context.Background(), f); !errors.Is(err, formats.ErrNotFound) {
		t.Errorf("missing at the second: %v", err)
	}
	b.want(f, one, formats.Miss)
	b.stored(f)
	second.Serve("/p/f", upstreamtest.Answer{Body: two})
	b.clock.advance(time.Minute)
	c, err := there.File(context.Background(), f)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := body(c); err != nil || !bytes.Equal(got, two) {
		t.Errorf("the second has %d bytes, %v", len(got), err)
	}
	b.want(f, one, formats.Hit)
}

// TestNamesThatLookAlike are names of their own, on every file system.
func TestNamesThatLookAlike(t *testing.T) {
	b := newBench(t, onDisk(1<<30))
	for _, name := range []string{"p", "P", "\u00e9", "e\u0301", "\u212b", "\u00c5", "p.", "p ", "con", "CON", "\u0131", "i", "I"} {
		data := []byte("bytes of " + name)
		src := b.source("far-of-one", b.far)
		b.spec.Upstreams = b.only(src)
		f := file(name)
		f.Locate = func(context.Context) (formats.Location, error) { return formats.Location{Ref: "one"}, nil }
		b.reader = b.engine.Registry(b.spec).For(user("alice"), "", base)
		b.far.Serve("/one", upstreamtest.Answer{Body: data})
		b.want(f, data, formats.Miss)
		b.stored(f)
		b.want(f, data, formats.Hit)
	}
}

// TestHugeDocument: as large as the limit allows it comes, beyond it nothing
// does, however small it looked on its way.
func TestHugeDocument(t *testing.T) {
	b := newBench(t)
	for _, tt := range []struct {
		mib int64
		ok  bool
	}{{70, true}, {257, false}} {
		var seen int64
		d := formats.Document{
			Package: "huge", Name: "huge", Path: "huge", Variant: "size", Transient: true,
			Check: func(src io.Reader) (err error) { seen, err = io.Copy(io.Discard, src); return err },
			Render: func(dst io.Writer, src io.Reader, _ formats.View) error {
				n, err := io.Copy(io.Discard, src)
				if n != 70<<20 {
					t.Errorf("%d bytes are rendered", n)
				}
				_, _ = io.WriteString(dst, "rendered") // into memory
				return err
			},
		}
		b.clock.advance(day)
		b.far.Serve("/huge", upstreamtest.Answer{Body: make([]byte, tt.mib<<20), Gzip: true})
		got, c, err := doc(b.reader, d)
		switch {
		case tt.ok && (err != nil || got != "rendered" || seen != tt.mib<<20):
			t.Errorf("%d MiB: %q after %d bytes, %v", tt.mib, got, seen, err)
		case !tt.ok && (err != nil || c.Result != formats.Stale || seen > 256<<20):
			t.Errorf("%d MiB: %v after %d bytes; want the old one", tt.mib, err, seen)
		}
		b.far.Serve("/huge", upstreamtest.Answer{})
	}
}
