package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"larder/cmd/bench/seed"
)

// What an eviction takes: blobs seeded for it, unused for longer than all others.
const (
	evictions = 40_000 // enough to go on for as long as the loads
	doomed    = 96 * time.Hour
	doomedAt  = 50_000_000 // their first number
	fewest    = 1000       // blobs that stay, for a server takes no smaller budget
	// What a blob of seedSize takes in the cache's budget, in bytes: a block, and
	// 1 KiB for its records.
	blobCost = 4<<10 + 1<<10
	// The shares of its budget above which a server evicts, and down to which.
	fullShare, freeShare = 0.98, 0.95
)

// upkept are loads of a server that is quiet, and of one that tidies up.
type upkept struct{ quiet, busy loads }

// moment is the length of a load during upkeep, which may not last long.
const moment = time.Second

// whileEvicting loads a server that is quiet, and one that evicts, both over a
// copy of the data folder.
func (s *seeding) whileEvicting(ctx context.Context, t target) (upkept, error) {
	var found upkept
	data := filepath.Join(s.dir, "evicting")
	defer os.RemoveAll(data)
	if err := seed.Copy(s.data, data); err != nil {
		return found, err
	}
	take := seed.Packages{From: doomedAt, To: doomedAt + evictions, Make: s.make, Unused: doomed}
	if _, err := s.sample.Fill(ctx, data, take); err != nil {
		return found, err
	}
	t.last = moment
	ours, err := s.larder(data, s.far.URL)
	if err != nil {
		return found, err
	}
	cached, err := ours.cached(ctx)
	if err == nil {
		found.quiet, err = s.drives(ctx, ours, t)
	}
	if err = errors.Join(err, ours.end()); err != nil {
		return found, err
	}
	limit := budget(cached)
	ours, err = s.larder(data, s.far.URL, fmt.Sprintf("LARDER_CACHE_MAX_SIZE=%.0fB", limit))
	if err != nil {
		return found, err
	}
	found.busy, err = s.drives(ctx, ours, t)
	left, leftErr := ours.cached(ctx)
	if err == nil && leftErr == nil && (left <= limit*freeShare || left >= cached) {
		err = fmt.Errorf("no eviction was under way at the end of the loads: of %.0f bytes %.0f are left, at most %.0f stay", cached, left, limit*freeShare)
	}
	return found, errors.Join(err, leftErr, ours.end())
}

// budget makes a server evict what was seeded for it, and anyhow begin.
func budget(cached float64) float64 {
	stay := max(cached-evictions*blobCost, fewest*blobCost)
	return min(stay/freeShare, cached/(fullShare+0.005))
}

// cached asks a server how many bytes it caches, as its budget counts them.
func (s *server) cached(ctx context.Context) (float64, error) {
	var text strings.Builder
	if _, err := s.read(ctx, "/metrics", &text, "Authorization", "Bearer "+s.token); err != nil {
		return 0, err
	}
	found := regexp.MustCompile(`(?m)^larder_store_bytes\{kind="cached"\} ([\d.e+]+)$`).FindStringSubmatch(text.String())
	if found == nil {
		return 0, errors.New("the metrics do not tell how many bytes are cached")
	}
	return strconv.ParseFloat(found[1], 64)
}
