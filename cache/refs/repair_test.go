package refs

import (
	"testing"

	"larder/cache"
)

// Each damage is undone by Resettle, and a second one finds nothing to do.
func TestResettle(t *testing.T) {
	d := digest(1)
	for name, c := range map[string]struct {
		edges  []Edge
		damage func(w cache.Writer) error
		live   bool // evictable afterwards
		gone   bool // recorded no longer
	}{
		"an edge the row does not know": {
			[]Edge{cached("f")},
			func(w cache.Writer) error { return putEdge(w, d, hosted("h")) }, false, false,
		},
		"a kind without an edge": {
			[]Edge{cached("f"), {Kind: Pin, Record: []byte("p")}},
			func(w cache.Writer) error {
				return w.Delete(edgeKey(d, edgeTail(Edge{Kind: Pin, Record: []byte("p")})))
			}, true, false,
		},
		"no edges at all": {
			[]Edge{cached("f")},
			func(w cache.Writer) error { return w.Delete(edgeKey(d, edgeTail(cached("f")))) }, false, true,
		},
		"no access row": {
			[]Edge{cached("f")}, func(w cache.Writer) error { return w.Delete(accessKey(d)) }, true, false,
		},
		"no row in the order": {
			[]Edge{cached("f")},
			func(w cache.Writer) error {
				at, err := ReadAccess(w, d)
				if err != nil {
					return err
				}
				return w.Delete(orderKey(d, at))
			}, true, false,
		},
		"in the order, yet kept": {
			[]Edge{hosted("h")}, func(w cache.Writer) error { return putAccess(w, d, Access{}) }, false, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newTable(t)
			for _, e := range c.edges {
				b.link(d, 1, e)
			}
			b.write(c.damage)
			b.unsettled(d, true)
			b.write(func(w cache.Writer) error {
				changed, err := Resettle(w, d, b.now)
				if !changed {
					t.Error("found nothing to do")
				}
				return err
			})
			if b.recorded(d) == c.gone || b.evictable(d) != c.live || b.doomed(d) != c.gone {
				t.Errorf("recorded %v, evictable %v, doomed %v", b.recorded(d), b.evictable(d), b.doomed(d))
			}
			if c.gone {
				return
			}
			b.unsettled(d, false)
			b.write(func(w cache.Writer) error {
				changed, err := Resettle(w, d, b.now)
				if changed {
					t.Error("found something to do again")
				}
				return err
			})
		})
	}
}

func (b *table) unsettled(d cache.Digest, want bool) {
	b.t.Helper()
	b.read(func(r cache.Reader) error {
		got, err := Unsettled(r, d)
		if got != want {
			b.t.Errorf("unsettled: %v", got)
		}
		return err
	})
}

func TestBlobsAndEdgesInPages(t *testing.T) {
	b := newTable(t)
	for i := range byte(9) {
		b.link(digest(i), 1, cached("f"))
	}
	blobs, edges := 0, 0
	b.read(func(r cache.Reader) error {
		var at *cache.Digest
		for more := true; more; {
			more = false
			for info, err := range Blobs(r, at) {
				if err != nil {
					return err
				}
				if at != nil && string(at[:]) >= string(info.Blob.Digest[:]) {
					t.Errorf("%s after %s", info.Blob.Digest, at)
				}
				at, more = &info.Blob.Digest, true
				blobs++
				break
			}
		}
		var after []byte
		for more := true; more; {
			more = false
			for u, err := range AllEdges(r, after) {
				if err != nil {
					return err
				}
				after, more = u.Key, true
				edges++
				break
			}
		}
		return nil
	})
	if blobs != 9 || edges != 9 {
		t.Errorf("%d blobs and %d edges, want 9", blobs, edges)
	}
}
