package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"larder/cache"
	"larder/formats"
)

// Limits of what is fetched before anybody asks for it.
const (
	foreseenAtOnce = 2       // files whose successors are fetched at the same time, one file each
	foreseenWait   = 256     // that may wait for their turn; more are left to those who ask
	foreseenDeep   = 2       // files after the first
	foreseenBody   = 8 << 20 // bytes of a file that names others
)

// Foreseen is what was fetched before anybody asked for it.
type Foreseen struct {
	Files int
	Bytes int64
	// Err says why that is not all, nil if it is.
	Err error
}

// foresight bounds what is fetched ahead.
type foresight struct {
	waiting atomic.Int64
	slots   *semaphore.Weighted
}

// errManyForeseen says that a file's successors are left to those who ask for them.
var errManyForeseen = errors.New("too much waits to be fetched ahead: what comes next is fetched when it is asked for")

// foresee fetches what a file that has just come says is asked for next. Nobody
// waits for it, so that it takes few connections, and ends with the first trouble.
func (e *Engine) foresee(q query, f formats.File) {
	if f.Next == nil || f.Early || !e.enter() {
		return
	}
	if e.foresight.waiting.Add(1) > foreseenWait {
		e.foresight.waiting.Add(-1)
		e.work.Done()
		e.foreseen(q, f, Foreseen{Err: errManyForeseen})
		return
	}
	go func() {
		defer e.work.Done()
		defer e.foresight.waiting.Add(-1)
		if err := e.foresight.slots.Acquire(e.life, 1); err != nil {
			return // the end of the engine
		}
		defer e.foresight.slots.Release(1)
		var got Foreseen
		got.Err = guarded(func() error { return e.bringNext(e.life, q, f, &got) })
		if e.life.Err() == nil && (got.Files > 0 || got.Err != nil) {
			e.foreseen(q, f, got)
		}
	}()
}

func (e *Engine) foreseen(q query, f formats.File, got Foreseen) {
	e.opt.Observer.Foreseen(q.registry.spec.Format.Name(), f.Package, f.Version, got)
}

// bringNext fetches what follows a file that is held, and what follows that.
func (e *Engine) bringNext(ctx context.Context, q query, first formats.File, got *Foreseen) error {
	level := []formats.File{first}
	for range foreseenDeep {
		var next []formats.File
		for _, f := range level {
			list, err := e.nextOf(ctx, q, f)
			if err != nil {
				return err
			}
			for _, g := range list {
				g.Early = true
				if err := e.bring(ctx, q, g, got); err != nil {
					return err
				}
				if g.Next != nil {
					next = append(next, g)
				}
			}
		}
		level = next
	}
	return nil
}

// nextOf reads in a file what follows it.
func (e *Engine) nextOf(ctx context.Context, q query, f formats.File) ([]formats.File, error) {
	f.Head = false
	c, err := e.fromUpstream(ctx, q, f)
	if err != nil {
		return nil, err
	}
	mediaType := c.MediaType
	body, err := c.All(ctx, foreseenBody)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Name, err)
	}
	return f.Next(bytes.NewReader(body), mediaType)
}

// bring fetches a file that is not held.
func (e *Engine) bring(ctx context.Context, q query, f formats.File, got *Foreseen) error {
	if _, err := e.record(ctx, upstreamFileKey(q.source.ID, f.Name)); !errors.Is(err, cache.ErrNotExist) {
		return err
	}
	c, err := e.fromUpstream(ctx, q, f)
	if err != nil {
		return err
	}
	defer c.Close()
	n := c.Size
	if c.Follow != nil {
		body, err := c.Follow(ctx, 0, -1)
		if err != nil {
			return err
		}
		n, err = io.Copy(io.Discard, body)
		if err := errors.Join(err, body.Close()); err != nil {
			return fmt.Errorf("fetch %s: %w", f.Name, err)
		}
	}
	got.Files, got.Bytes = got.Files+1, got.Bytes+n
	return nil
}
