package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"larder/upstream/upstreamtest/npmtest"
)

// hitSizes are the tarballs that hits serves, in bytes, the smallest first.
func hitSizes() []int64 { return []int64{1 << 10, 16 << 10, 64 << 10, 1 << 20, 10 << 20} }

func hitPath(size int64) string {
	return fmt.Sprintf("/npm/hit-%[1]d/-/hit-%[1]d-1.0.0.tgz", size)
}

// The document that hits serves is half a megabyte when compressed.
const (
	hitDocument = "/npm/hit-document"
	hitVersions = 500
	hitFiller   = 790 // bytes in each version that do not compress
)

// addHits makes the upstream of hits.
func addHits(far *npmtest.Registry) error {
	for _, size := range hitSizes() {
		if err := far.Add(map[string]any{"name": fmt.Sprintf("hit-%d", size), "version": "1.0.0"}, noise(int(size))); err != nil {
			return err
		}
	}
	filler := noise(hitVersions * hitFiller)
	for i := range hitVersions {
		manifest := map[string]any{
			"name": "hit-document", "version": fmt.Sprintf("1.0.%d", i),
			"description": hex.EncodeToString(filler[i*hitFiller : (i+1)*hitFiller]),
		}
		if err := far.Add(manifest, fmt.Appendf(nil, "tarball %d", i)); err != nil {
			return err
		}
	}
	return nil
}

// contests are what hits compares. Those over TLS have no nginx in front of nginx.
func contests(plain, secure *server, peers *peers) []contest {
	lines := map[int64]standing{
		1 << 10: {0.55, 2.2, 0.6}, 16 << 10: {0.45, 2.5, 0.5}, 64 << 10: {0.55, 2.3, 0.55},
		1 << 20: {0.9, 1.7, 0.85}, 10 << 20: {0.9, 1.9, 0.85},
	}
	var all []contest
	for _, size := range hitSizes() {
		all = append(all, contest{
			name: bytesText(size), target: target{path: hitPath(size), size: size},
			ours: plain, static: peers.static, cached: peers.cached, line: lines[size],
		})
	}
	for _, c := range []contest{{target: target{size: 1 << 10}, line: standing{rate: 0.45}}, {target: target{size: 1 << 20}, line: standing{rate: 0.9}}} {
		c.name, c.target.path = bytesText(c.target.size)+" over TLS", hitPath(c.target.size)
		c.ours, c.static = secure, peers.secure
		all = append(all, c)
	}
	return append(all, contest{
		name: "compressed document", target: target{path: hitDocument, header: "Accept-Encoding: gzip"},
		ours: plain, static: peers.static, cached: peers.cached, line: standing{rate: 0.75},
	})
}

// prepare lets larder cache what c is about, puts the same bytes where nginx
// finds them, and looks whether everybody answers with them from its cache.
func (b *bench) prepare(ctx context.Context, c *contest) error {
	var first bytes.Buffer
	if _, err := c.ours.read(ctx, c.target.path, &first, "Accept-Encoding", "gzip"); err != nil {
		return err
	}
	if c.target.size == 0 { // a document: as large as it turns out to be
		c.target.size = int64(first.Len())
		c.name += ", " + bytesText(c.target.size)
	}
	file := filepath.Join(b.dir, "static", c.target.path)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(file, first.Bytes(), 0o644); err != nil {
		return err
	}
	for _, s := range []*server{c.ours, c.static, c.cached} {
		if s == nil {
			continue
		}
		if err := s.answers(ctx, c.target, first.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// answers asks until the reply comes from the cache, which is soon, and wants
// the right bytes every time.
func (s *server) answers(ctx context.Context, t target, want []byte) error {
	for range 50 {
		var got bytes.Buffer
		f, err := s.read(ctx, t.path, &got, "Accept-Encoding", "gzip")
		if err != nil {
			return err
		}
		if !bytes.Equal(got.Bytes(), want) {
			return fmt.Errorf("%s sent %d bytes that are not the %d wanted", s.url+t.path, got.Len(), len(want))
		}
		if s.hit == "" || f.header.Get(s.hit) == "hit" || f.header.Get(s.hit) == "HIT" {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s never comes from the cache", s.url+t.path)
}
