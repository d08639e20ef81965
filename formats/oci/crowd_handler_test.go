package oci_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"larder/cache/evict"
	"larder/policy"
)

// crowd are clients that push and delete the same few layers under the same few
// tags while garbage is collected.
type crowd struct {
	*world
	gc *evict.Evictor
	// days keeps the days from passing in the middle of a push: what a client was
	// told holds for half a day at least, and nothing is said of weeks.
	days sync.RWMutex
}

func crowdLayer(i int) string { return fmt.Sprintf("layer %d %s", i, strings.Repeat("x", i*1000)) }

const crowdLayers = 4

// TestCrowd: whatever others do at the same time, and however much time passes
// between two pushes, a blob that was said to be here, was mounted or was sent is
// here when the manifest comes; and of what was deleted nothing is left in the end.
func TestCrowd(t *testing.T) {
	w := newWorld(t)
	gc, err := evict.New(w.Index, w.Store, evict.Options{Budget: 1 << 30, Clock: w.Clock.Now, Locks: w.Locks})
	w.Must(err)
	c := &crowd{world: w, gc: gc}
	var clients, keepers sync.WaitGroup
	done := make(chan struct{})
	keepers.Go(func() {
		for over := false; !over; c.collect() {
			select {
			case <-done:
				over = true
			default:
			}
		}
	})
	for range 6 {
		clients.Go(func() {
			for n := range 25 {
				c.one(n)
				if rand.IntN(3) == 0 {
					c.pass(time.Duration(rand.IntN(40*24)) * time.Hour)
				}
			}
		})
	}
	clients.Wait()
	close(done)
	keepers.Wait()
	c.clear()
}

// pass lets time go by, after which everybody signs in again.
func (c *crowd) pass(d time.Duration) {
	c.days.Lock()
	defer c.days.Unlock()
	c.Clock.Advance(d)
	for _, who := range []string{"olga", "rita", "wim"} {
		c.Tokens[who] = c.Token(who, policy.ReadPackages, policy.WritePackages, policy.DeletePackages)
	}
}

func (c *crowd) collect() {
	if r, err := c.gc.GC(context.Background(), false, nil); err != nil || r.Failures > 0 {
		c.T.Errorf("collection: %+v, %v", r, err)
	}
}

// one pushes an image, reads it, and may delete one.
func (c *crowd) one(n int) {
	c.days.RLock()
	defer c.days.RUnlock()
	image := []string{"acme/one", "acme/two"}[rand.IntN(2)]
	layers := []string{crowdLayer(rand.IntN(crowdLayers)), crowdLayer(rand.IntN(crowdLayers))}
	config := fmt.Sprintf(`{"n":%d}`, rand.IntN(3))
	for _, blob := range append(slices.Clone(layers), config) {
		c.send(image, blob)
	}
	m := written(config, layers)
	tag := fmt.Sprintf("t%d", rand.IntN(3))
	c.want("201", "PUT /"+image+"/manifests/"+tag, "wim", m, "Content-Type: "+typeImage)
	for _, blob := range append(layers, config) {
		if got := c.want("200", "GET /"+image+"/blobs/"+digestOf(blob), "rita", ""); string(got.body) != blob {
			c.T.Errorf("%d bytes of %s", len(got.body), digestOf(blob))
		}
	}
	if got := c.do("GET /"+image+"/manifests/"+tag, "rita", ""); got.StatusCode == http.StatusOK {
		c.read(image, got)
	} else {
		c.is("404 MANIFEST_UNKNOWN", "a tag that others delete", got)
	}
	if n%5 == 0 {
		c.gone("DELETE /" + image + "/manifests/" + tag)
	}
	c.gone("DELETE /" + image + "/manifests/" + digestOf(m)) // so that leases hold most blobs
}

// gone deletes what others may have deleted.
func (c *crowd) gone(line string) {
	if got := c.do(line, "olga", ""); got.StatusCode != http.StatusAccepted && got.StatusCode != http.StatusNotFound {
		c.T.Errorf("%s: %s %s", line, got.Status, got.body)
	}
}

// send brings a blob to an image in one of the ways that clients have.
func (c *crowd) send(image, blob string) {
	d := digestOf(blob)
	if got := c.do("HEAD /"+image+"/blobs/"+d, "wim", ""); got.StatusCode == http.StatusOK {
		return
	}
	at := "/" + image + "/blobs/uploads/"
	switch rand.IntN(3) {
	case 0:
		c.want("201", "POST "+at+"?digest="+d, "wim", blob)
		return
	case 1:
		other := map[string]string{"acme/one": "acme/two", "acme/two": "acme/one"}[image]
		got := c.do("POST "+at+"?mount="+d+"&from="+other, "wim", "")
		if got.StatusCode == http.StatusCreated {
			return
		}
		c.is("202", "a mount", got)
		at = strings.TrimPrefix(got.Header.Get("Location"), "/v2")
	default:
		at = c.begin("wim", image)
	}
	half := len(blob) / 2
	c.want("202", "PATCH "+at, "wim", blob[:half])
	c.want("201", "PUT "+at+"?digest="+d, "wim", blob[half:])
}

// read follows a manifest to its blobs: others may have deleted it, which leaves
// the blobs for a month.
func (c *crowd) read(image string, m *reply) {
	var doc struct {
		Layers []struct {
			Digest string
			Size   int
		}
	}
	c.Must(json.Unmarshal(m.body, &doc))
	for _, l := range doc.Layers {
		got := c.want("200", "GET /"+image+"/blobs/"+l.Digest, "rita", "")
		if digestOf(string(got.body)) != l.Digest || len(got.body) != l.Size {
			c.T.Errorf("%d bytes of %s", len(got.body), l.Digest)
		}
	}
}

// clear deletes all that is left, and waits until it can be gone.
func (c *crowd) clear() {
	for _, image := range []string{"acme/one", "acme/two"} {
		for r, err := range c.hosted.For(c.Admin, "", "").Releases(c.T.Context(), image) {
			c.Must(err)
			if r.Retracted.IsZero() {
				c.want("202", "DELETE /"+image+"/manifests/"+r.Version, "olga", "")
			}
		}
	}
	for range 2 { // restore windows and leases, then what they held
		c.Clock.Advance(31 * 24 * time.Hour)
		c.collect()
	}
	for blob, err := range c.Store.List(c.T.Context()) {
		c.Must(err)
		c.T.Errorf("%d bytes are left of %s", blob.Size, blob.Digest)
	}
}
