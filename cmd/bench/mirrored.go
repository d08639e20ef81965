package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"larder/cmd/bench/images"
)

// What a mirror of an upstream as near as can be must hold to, against the
// reference registry as a mirror of the same.
const mirrorLine = 1.0

// mirrored compares an image pulled from its registry directly with one pulled
// through mirrors of that, for the first time and again.
func (b *bench) mirrored(ctx context.Context) error {
	im := images.NewNoise().Image(0, imageLayers, imageSize/imageLayers)
	data := filepath.Join(b.dir, "data-origin")
	defer os.RemoveAll(data)
	origin, err := b.reference(data, "")
	if err != nil {
		return err
	}
	c := origin.client("image")
	err = c.Push(ctx, "one", im)
	var direct []time.Duration
	var ours, theirs pulled
	for round := 0; err == nil && round < min(b.rounds, imageRounds); round++ {
		var took time.Duration
		took, _, err = origin.weigh(func() error { return wholly(im)(c.Pull(ctx, "one", false)) })
		direct = append(direct, took)
		turns := []func() error{
			func() error { return b.pullTwice(ctx, "larder", origin.url, &ours) },
			func() error { return b.pullTwice(ctx, "reference", origin.url, &theirs) },
		}
		first := round % 2
		if err == nil {
			err = turns[first]()
		}
		if err == nil {
			err = turns[1-first]()
		}
	}
	c.HTTP.CloseIdleConnections()
	if err := errors.Join(err, origin.end()); err != nil {
		return err
	}
	table(b.out, fmt.Sprintf("mirrored image of %d layers, %s | larder | of direct | reference registry | ratio, line", imageLayers, bytesText(imageSize)), [][]string{
		b.mirroredRow("first pull, time", ours.cold, theirs.cold, direct),
		b.mirroredRow("first pull, CPU of the server", ours.coldCPU, theirs.coldCPU, nil),
		b.mirroredRow("next pull, time", ours.warm, theirs.warm, direct),
		b.mirroredRow("next pull, CPU of the server", ours.warmCPU, theirs.warmCPU, nil),
	})
	return nil
}

// pulled is what the rounds through one mirror took.
type pulled struct{ cold, coldCPU, warm, warmCPU []time.Duration }

func (b *bench) mirroredRow(name string, ours, theirs, direct []time.Duration) []string {
	against, beside := over(median(ours), median(theirs)), ""
	if direct != nil {
		beside = ratio(over(median(ours), median(direct)))
	}
	return []string{name, millis(median(ours)), beside, millis(median(theirs)), ratio(against) + b.most(against, mirrorLine)}
}

// pullTwice starts an empty mirror of origin and pulls its image through it.
func (b *bench) pullTwice(ctx context.Context, which, origin string, into *pulled) error {
	im := images.NewNoise().Image(0, imageLayers, imageSize/imageLayers)
	data := filepath.Join(b.dir, "data-"+which)
	defer os.RemoveAll(data)
	s, repository, err := b.mirrorServer(which, data, origin)
	if err != nil {
		return err
	}
	c := s.client(repository)
	for _, to := range []*[2]*[]time.Duration{{&into.cold, &into.coldCPU}, {&into.warm, &into.warmCPU}} {
		took, cpu, err := s.weigh(func() error { return wholly(im)(c.Pull(ctx, "one", false)) })
		if err != nil {
			return errors.Join(fmt.Errorf("pull through %s: %w", which, err), s.end())
		}
		*to[0], *to[1] = append(*to[0], took), append(*to[1], cpu)
	}
	c.HTTP.CloseIdleConnections()
	return s.end()
}

// mirrorServer starts larder or the reference registry as a mirror of origin, and
// says where that has its image.
func (b *bench) mirrorServer(which, data, origin string) (s *server, repository string, err error) {
	if which == "reference" {
		s, err = b.reference(data, origin)
		return s, "image", err
	}
	s, err = b.mirror(data, origin)
	return s, "mirror/far/image", err
}
