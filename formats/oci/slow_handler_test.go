package oci_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"

	"larder/cache"
	"larder/cache/disk"
	"larder/cache/memory"
)

// onDisk keeps the bytes of a world in files, so that they take no memory.
func onDisk(w *world) {
	store, err := disk.Open(w.T.TempDir(), disk.Options{Room: disk.RoomOptions{Floor: 1 << 20}})
	w.Must(err)
	w.T.Cleanup(func() {
		if err := store.Close(); err != nil {
			w.T.Error(err)
		}
	})
	w.Store = store
}

// live is how many bytes are in use.
func live() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// padded is a manifest of so many bytes.
func padded(size int) string {
	m := written("{}", []string{"layer"})
	return m + strings.Repeat(" ", size-len(m))
}

// TestThreat27SlowManifests: clients that never come to the end of a manifest hold
// little memory, and others push meanwhile.
func TestThreat27SlowManifests(t *testing.T) {
	const clients, size = 40, 3 << 20
	w := newWorld(t, onDisk)
	w.push("wim", "acme/app", "v1", "layer")
	body := padded(size)
	before := live()
	var done sync.WaitGroup
	var ends []func()
	for range clients {
		slow := &waiting{make(chan struct{}), make(chan struct{})}
		done.Go(func() {
			src := io.MultiReader(strings.NewReader(body[:size-1]), slow, strings.NewReader(body[size-1:]))
			w.is("201", "a slow one", w.send(w.request("PUT", "/acme/app/manifests/slow", "wim", src, "Content-Type: "+typeImage)))
		})
		<-slow.began
		ends = append(ends, func() { close(slow.open) })
	}
	if used := live() - before; used > clients*size/4 {
		t.Errorf("%d clients that have sent %d MiB hold %d MiB", clients, clients*size>>20, used>>20)
	}
	w.push("wim", "acme/app", "v2", "other")
	for _, end := range ends {
		end()
	}
	done.Wait()
	if got := w.want("200", "GET /acme/app/manifests/slow", "rita", ""); string(got.body) != body {
		t.Errorf("%d other bytes", len(got.body))
	}
}

// unreadable is a store that cannot open a blob.
type unreadable struct {
	*memory.Store
	blob cache.Digest
}

var errDisk = errors.New("input/output error")

func (s *unreadable) Open(ctx context.Context, d cache.Digest) (io.ReadSeekCloser, error) {
	if d == s.blob {
		return nil, errDisk
	}
	return s.Store.Open(ctx, d)
}

// TestUnreadableConfig: a fault of ours is no push without what the config says.
func TestUnreadableConfig(t *testing.T) {
	store := &unreadable{Store: memory.NewStore()}
	w := newWorld(t, func(w *world) { w.Store = store })
	const config = `{"os":"linux","architecture":"amd64"}`
	w.blob("wim", "acme/app", config)
	w.blob("wim", "acme/app", "layer")
	m := written(config, []string{"layer"})
	var err error
	store.blob, err = cache.ParseDigest(strings.TrimPrefix(digestOf(config), "sha256:"))
	w.Must(err)
	push := "PUT /acme/app/manifests/v1"
	w.want("500 UNKNOWN", push, "wim", m, "Content-Type: "+typeImage)
	w.want("404", "GET /acme/app/manifests/v1", "wim", "")
	store.blob = cache.Digest{}
	w.want("201", push, "wim", m, "Content-Type: "+typeImage)
}
