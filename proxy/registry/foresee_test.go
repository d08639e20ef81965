package registry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"larder/cache"
	"larder/cache/refs"
	"larder/formats"
	"larder/proxy/registry"
	"larder/upstream/upstreamtest"
)

// before makes a file that says that another comes after it.
func before(f formats.File, next ...formats.File) formats.File {
	f.Next = func(io.Reader, string) ([]formats.File, error) { return next, nil }
	return f
}

// TestForeseenGoesFirst: what nobody asked for is evicted before what somebody did.
func TestForeseenGoesFirst(t *testing.T) {
	b := newBench(t)
	b.seen.foreseen = make(chan registry.Foreseen, 1)
	b.far.Serve("/first", upstreamtest.Answer{Body: []byte("first")})
	b.far.Serve("/next", upstreamtest.Answer{Body: []byte("next")})
	b.want(before(file("first"), file("next")), []byte("first"), formats.Miss)
	if got := <-b.seen.foreseen; got.Err != nil || got.Files != 1 || got.Bytes != 4 {
		t.Errorf("%+v", got)
	}
	hours := map[string]uint32{}
	for _, text := range []string{"first", "next"} {
		d, err := cache.ParseDigest(fmt.Sprintf("%x", sumOf([]byte(text)).Value))
		b.ok(err)
		// A file is told of when its bytes are through, and noted right after.
		eventually(t, text+" is noted", func() bool {
			err = b.index.View(t.Context(), func(r cache.Reader) error {
				at, err := refs.ReadAccess(r, d)
				hours[text] = at.Hour
				return err
			})
			return !errors.Is(err, cache.ErrNotExist)
		})
		b.ok(err)
	}
	if hours["first"]-hours["next"] != 24 {
		t.Errorf("used in the hours %v", hours)
	}
	b.stored(file("next"))
	b.want(file("next"), []byte("next"), formats.Hit)
}

// TestForeseenIsBounded: of more than may wait nothing comes by itself, and who asked
// hears nothing of it; the end of the engine waits for none of them.
func TestForeseenIsBounded(t *testing.T) {
	b := newBench(t)
	b.seen.foreseen = make(chan registry.Foreseen, 400)
	b.far.Serve("/next", upstreamtest.Answer{Body: []byte("next")})
	stuck := func(ctx context.Context) (formats.Location, error) {
		<-ctx.Done()
		return formats.Location{}, ctx.Err()
	}
	next := file("never")
	next.Locate = stuck
	for i := range 300 {
		name := fmt.Sprint("first", i)
		b.far.Serve("/"+name, upstreamtest.Answer{Body: []byte(name)})
		n := next
		n.Name = fmt.Sprint("never", i)
		b.want(before(file(name), n), []byte(name), formats.Miss)
	}
	refused := 0
	eventually(t, "some are refused", func() bool {
		for len(b.seen.foreseen) > 0 {
			if got := <-b.seen.foreseen; got.Err != nil {
				refused++
			}
		}
		return refused >= 300-256
	})
}
