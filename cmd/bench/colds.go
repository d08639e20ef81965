package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"larder/cmd/bench/images"
	"larder/upstream/upstreamtest/ocitest"
)

// The layers that nobody has pulled through a mirror yet.
const (
	coldSize  = 100 << 20
	coldCrowd = 16
	coldTries = 3
	coldLine  = 1.5 // all clients, against one alone
)

// colds compares a layer that many clients pull at once through a mirror, where
// it is not yet, with one client alone.
func (b *bench) colds(ctx context.Context) error {
	far, err := ocitest.Start(ocitest.Options{})
	if err != nil {
		return err
	}
	defer far.Close()
	layers, err := addLayers(far, 2*coldTries)
	if err != nil {
		return err
	}
	s, err := b.mirror(filepath.Join(b.dir, "mirror"), far.URL)
	if err != nil {
		return err
	}
	far.Fail(ocitest.Fault{Delay: farDelay, Rate: farRate})
	c := s.client("mirror/far/image")
	defer c.HTTP.CloseIdleConnections()
	// The manifest is known before, so that only layers are measured.
	_, err = c.Manifest(ctx, "one")
	var rows [][]string
	for try := 0; err == nil && try < coldTries; try++ {
		var row []string
		row, err = b.coldRow(ctx, c, far, layers[2*try:2*try+2])
		rows = append(rows, append([]string{fmt.Sprintf("try %d", try+1)}, row...))
	}
	if err == nil {
		table(b.out, fmt.Sprintf("%d clients, one cold layer of %s | one client | all, the last one done | ratio, line | upstream requests, line", coldCrowd, bytesText(coldSize)), rows)
	}
	return errors.Join(err, s.end())
}

// mirror starts larder with one upstream of containers, far.
func (b *bench) mirror(data, upstream string) (*server, error) {
	file := data + ".yaml"
	if err := os.WriteFile(file, fmt.Appendf(nil, "upstreams:\n  far: {format: oci, url: %q}\n", upstream), 0o600); err != nil {
		return nil, err
	}
	return b.alone(data, file)
}

// coldRow pulls the first layer alone and the second as a crowd.
func (b *bench) coldRow(ctx context.Context, c *images.Client, far *ocitest.Registry, layers []images.Blob) ([]string, error) {
	begin := time.Now()
	if err := c.PullBlob(ctx, layers[0]); err != nil {
		return nil, err
	}
	alone := time.Since(begin)
	begin = time.Now()
	group, inner := errgroup.WithContext(ctx)
	for range coldCrowd {
		group.Go(func() error { return c.PullBlob(inner, layers[1]) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	all, asked := time.Since(begin), len(far.Log("/v2/image/blobs/"+layers[1].Digest))
	spread := over(all, alone)
	return []string{
		millis(alone), millis(all), ratio(spread) + b.most(spread, coldLine),
		fmt.Sprint(asked) + b.hold(asked == 1, ", = 1"),
	}, nil
}

// addLayers gives the far registry an image of so many layers.
func addLayers(far *ocitest.Registry, n int) ([]images.Blob, error) {
	var im ocitest.Image
	noise := images.NewNoise()
	blobs := noise.Image(0, n, coldSize).Layers
	for _, b := range blobs {
		content := make([]byte, b.Size)
		if _, err := io.ReadFull(b.Open(), content); err != nil {
			return nil, err
		}
		im.Layers = append(im.Layers, content)
	}
	_, err := far.Push("image", "one", im)
	return blobs, err
}
