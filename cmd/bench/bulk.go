package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"larder/cmd/bench/images"
	"larder/cmd/bench/process"
)

// bulkLine is the most memory, in bytes, that a layer of any size may take.
const bulkLine = 200 << 20

// bulk looks at the memory of larder after a large layer was pushed, and after
// it was pulled.
func bulk(ctx context.Context, b *bench) error {
	s, err := b.alone(filepath.Join(b.dir, "bulk"), os.DevNull)
	if err != nil {
		return err
	}
	size := int64(b.bulk) << 30
	im := images.NewNoise().Image(0, 1, size)
	c := s.client("image")
	defer c.HTTP.CloseIdleConnections()
	var rows [][]string
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"push", func() error { return c.Push(ctx, "one", im) }},
		{"pull", func() error { return wholly(im)(c.Pull(ctx, "one", true)) }},
	} {
		var row []string
		if row, err = b.bulkRow(s, step.do); err != nil {
			err = fmt.Errorf("%s: %w", step.name, err)
			break
		}
		rows = append(rows, append([]string{step.name}, row...))
	}
	if err == nil {
		table(b.out, fmt.Sprintf("layer of %d GiB | time | CPU of the server | memory at its highest so far | line", b.bulk), rows)
	}
	return errors.Join(err, s.end())
}

func (b *bench) bulkRow(s *server, do func() error) ([]string, error) {
	took, cpu, err := s.weigh(do)
	if err != nil {
		return nil, err
	}
	_, peak, err := process.Memory(s.ID())
	if err != nil {
		return nil, err
	}
	return []string{
		took.Round(10 * time.Millisecond).String(), cpu.String(), bytesText(peak), b.hold(peak < bulkLine, "< "+bytesText(bulkLine)),
	}, nil
}
