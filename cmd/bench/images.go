package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"larder/cmd/bench/images"
	"larder/cmd/bench/process"
)

// What goes to and from the registries.
const (
	imageLayers   = 10
	imageSize     = 1 << 30 // bytes, of all layers of the large image
	lightImages   = 20      // in a row, as builds push them
	lightLayer    = 16 << 10
	imageParallel = 4 // blobs at once, as container clients have it
	imageRounds   = 3 // at most
)

// cargo is what one round carries.
type cargo struct {
	name   string
	images int   // one after the other
	layer  int64 // bytes
}

// What larder must hold to, against the reference registry.
const (
	imageWall = 1.0
	imageCPU  = 1.0
)

// containers compares images, lists of tags and mirrored layers with the
// reference registry, or with one client alone.
func containers(ctx context.Context, b *bench) error {
	large := cargo{fmt.Sprintf("image of %d layers, %s", imageLayers, bytesText(imageSize)), 1, imageSize / imageLayers}
	light := cargo{fmt.Sprintf("%d images of %d layers of %s", lightImages, imageLayers, bytesText(lightLayer)), lightImages, lightLayer}
	for _, part := range []func(context.Context) error{
		func(ctx context.Context) error { return b.carries(ctx, large) },
		func(ctx context.Context) error { return b.carries(ctx, light) },
		b.mirrored, b.listings, b.colds,
	} {
		if err := part(ctx); err != nil {
			return err
		}
		fmt.Fprintln(b.out)
	}
	return nil
}

func (b *bench) carries(ctx context.Context, c cargo) error {
	noise := images.NewNoise()
	var ours, theirs carried
	for round := range min(b.rounds, imageRounds) {
		var all []images.Image
		for i := range c.images {
			all = append(all, noise.Image(round*c.images+i, imageLayers, c.layer))
		}
		turns := []func() error{
			func() error { return b.carry(ctx, "larder", all, &ours) },
			func() error { return b.carry(ctx, "reference", all, &theirs) },
		}
		if round%2 == 1 {
			turns[0], turns[1] = turns[1], turns[0]
		}
		for _, turn := range turns {
			if err := turn(); err != nil {
				return err
			}
		}
	}
	table(b.out, c.name+" | larder | reference registry | ratio, line", b.carriedRows(ours, theirs))
	return nil
}

// carried is what the rounds of one registry took.
type carried struct {
	push, pull, pushCPU, pullCPU []time.Duration
	peak                         []int64 // bytes of memory
}

func (b *bench) carriedRows(ours, theirs carried) [][]string {
	var rows [][]string
	for _, f := range []struct {
		name         string
		ours, theirs []time.Duration
		line         float64
	}{
		{"push, time", ours.push, theirs.push, imageWall},
		{"push, CPU of the server", ours.pushCPU, theirs.pushCPU, imageCPU},
		{"pull, time", ours.pull, theirs.pull, imageWall},
		{"pull, CPU of the server", ours.pullCPU, theirs.pullCPU, imageCPU},
	} {
		against := over(median(f.ours), median(f.theirs))
		rows = append(rows, []string{f.name, millis(median(f.ours)), millis(median(f.theirs)), ratio(against) + b.most(against, f.line)})
	}
	against := over(median(ours.peak), median(theirs.peak))
	return append(rows, []string{"memory at its highest", bytesText(median(ours.peak)), bytesText(median(theirs.peak)), ratio(against)})
}

// carry starts an empty registry, pushes and pulls images, and removes all.
func (b *bench) carry(ctx context.Context, which string, all []images.Image, into *carried) error {
	data := filepath.Join(b.dir, "data-"+which) // the program is beside it
	defer os.RemoveAll(data)
	s, err := b.containerServer(which, data)
	if err != nil {
		return err
	}
	return errors.Join(b.pushAndPull(ctx, s, all, into), s.end())
}

// containerServer starts larder or the reference registry, empty.
func (b *bench) containerServer(which, data string) (*server, error) {
	if which == "reference" {
		return b.reference(data, "")
	}
	return b.alone(data, os.DevNull)
}

// client returns a client of one repository of a server.
func (s *server) client(repository string) *images.Client {
	return &images.Client{
		URL: s.url + "/v2/" + repository, Token: s.token, Parallel: imageParallel,
		HTTP: &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: taggers, ReadBufferSize: 64 << 10}},
	}
}

func (b *bench) pushAndPull(ctx context.Context, s *server, all []images.Image, into *carried) error {
	c := s.client("image")
	defer c.HTTP.CloseIdleConnections()
	each := func(do func(tag string, im images.Image) error) func() error {
		return func() error {
			for i, im := range all {
				if err := do(strconv.Itoa(i), im); err != nil {
					return err
				}
			}
			return nil
		}
	}
	pull := func(check bool) func() error {
		return each(func(tag string, im images.Image) error { return wholly(im)(c.Pull(ctx, tag, check)) })
	}
	syscall.Sync() // nobody pays for what was written before
	took, cpu, err := s.weigh(each(func(tag string, im images.Image) error { return c.Push(ctx, tag, im) }))
	if err != nil {
		return fmt.Errorf("push: %w", err)
	}
	into.push, into.pushCPU = append(into.push, took), append(into.pushCPU, cpu)
	took, cpu, err = s.weigh(pull(false))
	if err != nil {
		return fmt.Errorf("pull: %w", err)
	}
	into.pull, into.pullCPU = append(into.pull, took), append(into.pullCPU, cpu)
	_, peak, err := process.Memory(s.ID())
	if err != nil {
		return err
	}
	into.peak = append(into.peak, peak)
	return pull(true)()
}

// wholly wants all bytes of an image.
func wholly(im images.Image) func(int64, error) error {
	return func(got int64, err error) error {
		if err == nil && got != im.Size() {
			err = fmt.Errorf("the image came back with %d bytes, want %d", got, im.Size())
		}
		return err
	}
}

// weigh returns how long something took, and what it cost the server.
func (s *server) weigh(do func() error) (took, cpu time.Duration, err error) {
	before, err := process.CPU(s.ID())
	if err != nil {
		return 0, 0, err
	}
	begin := time.Now()
	if err := do(); err != nil {
		return 0, 0, err
	}
	took = time.Since(begin)
	after, err := process.CPU(s.ID())
	return took, after - before, err
}
