package registry_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"testing"
	"time"

	"larder/cache"
	"larder/cache/memory"
	"larder/cache/refs"
	"larder/formats"
	"larder/policy"
	"larder/proxy/registry"
	"larder/upstream"
	"larder/upstream/upstreamtest"
)

// bench is an engine with one registry and one scripted upstream.
type bench struct {
	t      testing.TB
	far    *upstreamtest.Server
	store  cache.Store
	index  cache.Index
	locks  *refs.Locks
	room   *room
	access *access
	seen   *observer
	clock  *clock
	format *plain
	engine *registry.Engine
	spec   registry.Spec
	reg    *registry.Registry
	reader formats.Registry // of a caller who may read what is public
}

// setting changes a bench before its engine is built.
type setting func(*bench, *registry.Options)

func newBench(t testing.TB, settings ...setting) *bench {
	t.Helper()
	b := &bench{
		t: t, far: upstreamtest.New(t), store: memory.NewStore(), index: memory.NewIndex(), locks: &refs.Locks{},
		room: &room{}, access: newAccess(), seen: &observer{}, clock: &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)},
		format: &plain{},
	}
	opt := registry.Options{Locks: b.locks, Room: b.room, Access: b.access, Observer: b.seen, Clock: b.clock.now}
	b.spec = registry.Spec{Name: "plain", Format: b.format, Hosted: true, Upstreams: b.only(b.source("far", b.far))}
	for _, set := range settings {
		set(b, &opt)
	}
	opt.Store, opt.Index = b.store, b.index
	b.open(opt)
	return b
}

// open builds the engine; opening again is a restart over the same rows.
func (b *bench) open(opt registry.Options) {
	b.t.Helper()
	e, err := registry.New(opt)
	if err != nil {
		b.t.Fatal(err)
	}
	b.engine = e
	b.reg = e.Registry(b.spec)
	b.reader = b.reg.For(policy.Subject{}, "", base)
	b.t.Cleanup(func() { b.close(e) })
}

const base = "http://127.0.0.1/plain/"

// close ends the engine and looks for goroutines it left behind.
func (b *bench) close(e *registry.Engine) {
	b.far.Close()
	if err := e.Close(); err != nil {
		b.t.Errorf("close: %v", err)
	}
	eventually(b.t, "no goroutine of the engine is left", func() bool {
		return !running("registry.(*Engine).") && !running("registry.(*flight).")
	})
}

// running reports whether a goroutine is within a function.
func running(name string) bool {
	stacks := make([]byte, 1<<20)
	return bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte(name))
}

// eventually waits for what other goroutines do; it fails after long, not after soon.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("in vain waited: %s", what)
			return
		}
	}
}

func (b *bench) source(id string, s *upstreamtest.Server) registry.Source {
	b.t.Helper()
	way := upstream.NewTransport(upstream.Options{
		Proxy: func(*http.Request) (*url.URL, error) { return nil, nil }, Now: b.clock.now,
		Wait: func(ctx context.Context, _ time.Duration) error { return context.Cause(ctx) },
	})
	c, err := upstream.New(upstream.Config{ID: id, URL: s.URL, Concurrency: 256}, way)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(c.CloseIdle)
	return registry.Source{ID: id, Fetcher: c}
}

func (b *bench) only(s ...registry.Source) func(context.Context) ([]registry.Source, error) {
	return func(context.Context) ([]registry.Source, error) { return s, nil }
}

// file describes a file of the package p; sums are what its index announces.
func file(name string, want ...cache.Sum) formats.File {
	return formats.File{Package: "p", Name: name, MediaType: "application/x-test", Locate: func(context.Context) (formats.Location, error) {
		return formats.Location{Ref: name, Want: want}, nil
	}}
}

func sumOf(body []byte) cache.Sum {
	d := sha256.Sum256(body)
	return cache.Sum{Algorithm: cache.SHA256, Value: d[:]}
}

// body reads all of a content the way a reply does.
func body(c *formats.Content) ([]byte, error) { return part(c, 0, -1) }

func part(c *formats.Content, off, n int64) ([]byte, error) {
	defer c.Close()
	switch {
	case c.Follow != nil:
		r, err := c.Follow(context.Background(), off, n)
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return io.ReadAll(r)
	case c.File != nil:
		if _, err := c.File.Seek(off, io.SeekStart); err != nil {
			return nil, err
		}
		return io.ReadAll(c.File)
	}
	return c.Bytes[off:], nil
}

// get reads a file whole.
func (b *bench) get(f formats.File) ([]byte, formats.Result, error) {
	c, err := b.reader.File(context.Background(), f)
	if err != nil {
		return nil, "", err
	}
	all, err := body(c)
	return all, c.Result, err
}

// want reads a file and insists on its bytes and on how they came.
func (b *bench) want(f formats.File, text []byte, result formats.Result) {
	b.t.Helper()
	got, how, err := b.get(f)
	if err != nil || !bytes.Equal(got, text) || how != result {
		b.t.Fatalf("%s: %d bytes (right: %v), %s, %v; want %d bytes, %s", f.Name, len(got), bytes.Equal(got, text), how, err, len(text), result)
	}
}

// refuse reads a file and insists that it does not come whole.
func (b *bench) refuse(f formats.File, kind error) {
	b.t.Helper()
	if got, how, err := b.get(f); !errors.Is(err, kind) {
		b.t.Fatalf("%s: %d bytes, %s, %v; want %v", f.Name, len(got), how, err, kind)
	}
}

// stored waits until the flight of a file has ended in a record.
func (b *bench) stored(f formats.File) {
	b.t.Helper()
	eventually(b.t, f.Name+" is a hit", func() bool {
		c, err := b.reader.File(context.Background(), f)
		if err != nil {
			return false
		}
		defer c.Close()
		return c.Result == formats.Hit
	})
	// The flight goes after its record is visible: what is lost in between is a
	// join, and the tests that follow look for a miss.
	eventually(b.t, f.Name+"'s flight is gone", func() bool {
		return b.engine.Flying() == 0
	})
}

// blobs counts what the store holds.
func (b *bench) blobs() int {
	n := 0
	for _, err := range b.store.List(context.Background()) {
		if err != nil {
			b.t.Fatal(err)
		}
		n++
	}
	return n
}

// rows returns the keys of all rows that begin with prefix.
func (b *bench) rows(prefix string) []string {
	var keys []string
	err := b.index.View(context.Background(), func(r cache.Reader) error {
		for row, err := range r.Scan([]byte(prefix), nil) {
			if err != nil {
				return err
			}
			keys = append(keys, string(row.Key))
		}
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return keys
}

// doc reads a document of a package, decoded.
func doc(r formats.Registry, d formats.Document) (string, *formats.Content, error) {
	c, err := r.Document(context.Background(), d)
	if err != nil {
		return "", nil, err
	}
	text := c.Bytes
	if c.Encoding == "gzip" {
		z, err := gzip.NewReader(bytes.NewReader(c.Bytes))
		if err != nil {
			return "", nil, err
		}
		if text, err = io.ReadAll(z); err != nil {
			return "", nil, err
		}
	}
	return string(text), c, nil
}

// upload stores bytes for a package.
func upload(r formats.Registry, pkg string, data []byte) (cache.Blob, error) {
	ctx := context.Background()
	up, err := r.Upload(ctx, formats.UploadOptions{Package: pkg, Size: int64(len(data))})
	if err != nil {
		return cache.Blob{}, err
	}
	defer up.Close()
	if _, err := up.Write(data); err != nil {
		return cache.Blob{}, err
	}
	blob, err := up.Verify()
	if err != nil {
		return blob, err
	}
	return blob, up.Keep(ctx)
}

// publish adds a version with one file.
func publish(r formats.Registry, pkg, version string, data []byte) error {
	blob, err := upload(r, pkg, data)
	if err != nil {
		return err
	}
	c := formats.Change{Package: pkg, Action: policy.Publish, Create: true}
	return r.Change(context.Background(), c, func(tx formats.Tx) error {
		rel := &formats.Release{Version: version, Files: []formats.ReleaseFile{{Name: pkg + "/" + version, Blob: blob}}, Meta: []byte("meta " + version)}
		if err := tx.Add(rel); err != nil {
			return err
		}
		p, err := tx.Package()
		if err != nil {
			return err
		}
		p.Tags["latest"] = version
		return tx.Save(p)
	})
}

func (b *bench) as(name, repository string) formats.Registry {
	return b.reg.For(user(name), repository, base)
}

func hostedFile(pkg, version string) formats.File {
	return formats.File{Package: pkg, Version: version, Name: pkg + "/" + version}
}

// stallSoon makes a body that is silent for a moment count as stalled.
func stallSoon(_ *bench, o *registry.Options) { o.Pace.Stall = 40 * time.Millisecond }
