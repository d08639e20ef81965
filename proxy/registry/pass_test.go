package registry_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"larder/cache"
	"larder/cache/memory"
	"larder/formats"
	"larder/proxy/registry"
	"larder/upstream"
	"larder/upstream/upstreamtest"
)

// TestFull: what cannot be stored passes through, verified all the same.
func TestFull(t *testing.T) {
	data := text(300 << 10)
	fullRoom := func(b *bench, _ *registry.Options) { b.room.full.Store(true) }
	smallStore := func(b *bench, _ *registry.Options) { b.store = memory.NewStoreOf(1000) }
	sickStore := func(b *bench, _ *registry.Options) { b.store = sick{b.store} }
	for name, set := range map[string]setting{"budget": fullRoom, "store": smallStore, "after a failed write": sickStore} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, set)
			b.far.Serve("/f", upstreamtest.Answer{Body: data})
			clients(t, 4, func() { b.want(file("f", sumOf(data)), data, formats.Pass) })
			if b.blobs() != 0 || len(b.rows("f")) != 0 {
				t.Error("something was stored")
			}
			b.far.Serve("/f", upstreamtest.Answer{Body: data, Wrong: true})
			b.refuse(file("f", sumOf(data)), upstream.ErrCorrupt)
			b.refuse(file("f", sumOf(data)), upstream.ErrCorrupt) // and is left alone now
			if b.seen.integrity.Load() != 1 {
				t.Errorf("%d alarms", b.seen.integrity.Load())
			}
		})
	}
}

// TestPassMark: for a minute nobody tries to store a file that had no room.
func TestPassMark(t *testing.T) {
	b := newBench(t)
	data := text(300 << 10)
	b.far.Serve("/f", upstreamtest.Answer{Body: data})
	b.room.full.Store(true)
	b.want(file("f", sumOf(data)), data, formats.Pass)
	b.room.full.Store(false)
	b.clock.advance(time.Minute - 1)
	b.want(file("f", sumOf(data)), data, formats.Pass)
	b.clock.advance(1)
	b.want(file("f", sumOf(data)), data, formats.Miss)
	b.stored(file("f"))
}

// TestPassCutBody: a body passed through that breaks does not look whole either.
func TestPassCutBody(t *testing.T) {
	b := newBench(t, func(_ *bench, o *registry.Options) { o.Pace.Stall = time.Second })
	data := text(300 << 10)
	b.room.full.Store(true)
	for _, answer := range []upstreamtest.Answer{
		{Body: data, Cut: true, CutAfter: 299 << 10}, {Body: data, Chunked: true, Cut: true, CutAfter: 300 << 10}, {Body: data, Stall: true, StallAfter: 100 << 10},
	} {
		b.far.Serve("/f", answer)
		got, _, err := b.get(file("f"))
		if err == nil || len(got) > len(data)-cache.HoldBack {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	}
}

// TestFullWhileFilling: a body of unknown length that outgrows the store is cut,
// and passes through the next time.
func TestFullWhileFilling(t *testing.T) {
	b := newBench(t, func(b *bench, _ *registry.Options) { b.store = memory.NewStoreOf(300 << 10) })
	data := text(1 << 20)
	b.far.Serve("/f", upstreamtest.Answer{Body: data, Chunked: true})
	// Who reads from the beginning is cut; who comes too late for that gets all.
	if got, how, err := b.get(file("f", sumOf(data))); err == nil && !bytes.Equal(got, data) {
		t.Errorf("%d bytes, %s", len(got), how)
	}
	eventually(t, "the file passes through", func() bool {
		got, how, err := b.get(file("f", sumOf(data)))
		return err == nil && how == formats.Pass && bytes.Equal(got, data)
	})
	if b.blobs() != 0 {
		t.Error("something was stored")
	}
}

// sick is a store that takes no writes after a failed one.
type sick struct{ cache.Store }

func (sick) Begin(context.Context, int64, ...cache.Algorithm) (cache.Partial, error) {
	return nil, cache.ErrUnhealthy
}
