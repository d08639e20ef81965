package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"larder/cmd/bench/images"
)

// The tags of one image, and what a list of all must hold to.
const (
	tagCount  = 2500
	taggers   = 16 // who push tags at once
	tagLists  = 50
	tagLine   = 20 * time.Millisecond
	tagLayers = 64 << 10 // bytes of the image
)

// listings compares the list of all tags of an image with the reference registry.
func (b *bench) listings(ctx context.Context) error {
	var found [2][]time.Duration
	for i, which := range []string{"larder", "reference"} {
		took, err := b.listing(ctx, which)
		if err != nil {
			return fmt.Errorf("tags of %s: %w", which, err)
		}
		found[i] = took
	}
	ours, theirs := median(found[0]), median(found[1])
	table(b.out, fmt.Sprintf("%d tags | larder p50, p99 | line | reference registry p50, p99 | ratio", tagCount), [][]string{{
		"listed", millis(ours) + ", " + millis(quantile(found[0], 0.99)), b.hold(ours < tagLine, "< "+millis(tagLine)),
		millis(theirs) + ", " + millis(quantile(found[1], 0.99)), ratio(over(ours, theirs)),
	}})
	return nil
}

// listing returns what lists of all tags took, page by page.
func (b *bench) listing(ctx context.Context, which string) ([]time.Duration, error) {
	s, err := b.containerServer(which, filepath.Join(b.dir, which+"-tags"))
	if err != nil {
		return nil, err
	}
	c := s.client("image")
	defer c.HTTP.CloseIdleConnections()
	took, err := listed(ctx, c)
	return took, errors.Join(err, s.end())
}

func listed(ctx context.Context, c *images.Client) ([]time.Duration, error) {
	if err := tagged(ctx, c); err != nil {
		return nil, err
	}
	var took []time.Duration
	for range tagLists {
		begin := time.Now()
		all, err := c.Tags(ctx)
		if err != nil {
			return nil, err
		}
		took = append(took, time.Since(begin))
		if len(all) != tagCount {
			return nil, fmt.Errorf("%d tags are listed, want %d", len(all), tagCount)
		}
	}
	return took, nil
}

// tagged pushes an image under many tags.
func tagged(ctx context.Context, c *images.Client) error {
	if err := c.Push(ctx, tagName(0), images.NewNoise().Image(0, 1, tagLayers)); err != nil {
		return err
	}
	body, err := c.Manifest(ctx, tagName(0))
	if err != nil {
		return err
	}
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(taggers)
	for i := 1; i < tagCount; i++ {
		group.Go(func() error { return c.PushManifest(inner, tagName(i), body) })
	}
	return group.Wait()
}

func tagName(i int) string { return fmt.Sprintf("t%04d", i) }
