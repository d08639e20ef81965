package refs

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"larder/cache"
)

// model is what the rows are to say, kept the plain way: the edges of each
// blob, and which leases have a record.
type model struct {
	*table
	random  *rand.Rand
	edges   map[cache.Digest]map[string]Edge
	records map[string]bool
}

const (
	modelBlobs   = 6
	modelRecords = 4
)

func (m *model) pick() (cache.Digest, Edge) {
	kinds := [...]Kind{Hosted, Cached, Cached, Cached, Upload, Pin, Lease, Lease}
	d := digest(byte(m.random.IntN(modelBlobs)))
	k := kinds[m.random.IntN(len(kinds))]
	e := Edge{Kind: k, Record: fmt.Appendf(nil, "f%c%x%d", k, d[0], m.random.IntN(modelRecords))}
	if k == Upload || k == Lease {
		e.Expires = m.now.Add(time.Duration(1+m.random.IntN(5)) * time.Hour)
	}
	return d, e
}

func (m *model) step() {
	m.now = m.now.Add(time.Duration(m.random.IntN(40)) * time.Minute)
	d, e := m.pick()
	name := string(e.Kind) + string(e.Record)
	switch m.random.IntN(6) {
	case 0, 1:
		m.link(d, int64(d[0])*3000, e)
		m.push(e)
		if m.edges[d] == nil {
			m.edges[d] = map[string]Edge{}
		}
		m.edges[d][name] = e
	case 2:
		m.unlink(d, e, m.now.Add(time.Hour))
		delete(m.edges[d], name)
		if m.random.IntN(2) == 0 { // the file is deleted, else it was made permanent
			m.write(func(w cache.Writer) error { return w.Delete(e.Record) })
			delete(m.records, string(e.Record))
		}
	case 3:
		m.write(func(w cache.Writer) error { _, err := Touch(w, d, m.now); return err })
	case 4:
		m.evictOldest()
	case 5:
		m.settleAll()
	}
}

// push writes the record of a lease.
func (m *model) push(e Edge) {
	if e.Kind == Lease {
		m.write(func(w cache.Writer) error { return w.Put(e.Record, []byte("file")) })
		m.records[string(e.Record)] = true
	}
}

func (m *model) evictOldest() {
	m.write(func(w cache.Writer) error {
		for c, err := range Oldest(w, Queue(m.random.IntN(2)), nil) {
			if err != nil {
				return err
			}
			for _, e := range m.edges[c.Digest] {
				if e.Kind != Cached {
					m.t.Errorf("%s is in the order with an edge of kind %c", c.Digest, e.Kind)
				}
			}
			ev, err := Evict(w, c, m.now)
			if !ev.Gone {
				m.t.Errorf("%s did not go: %+v", c.Digest, ev)
			}
			delete(m.edges, c.Digest)
			return err
		}
		return nil
	})
}

// settleAll works off what is due, as the sweeper does.
func (m *model) settleAll() {
	m.settle()
	for d, edges := range m.edges {
		for name, e := range edges {
			if !e.Expires.IsZero() && !e.Expires.After(m.now) {
				delete(m.edges[d], name)
				if e.Kind == Lease {
					delete(m.records, string(e.Record))
				}
			}
		}
	}
	for _, due := range m.due() {
		m.write(func(w cache.Writer) error {
			in, err := Unused(w, due.Digest)
			if err != nil {
				return err
			}
			return Swept(w, due.Digest, in)
		})
	}
}

// check compares every row with the model.
func (m *model) check() {
	m.t.Helper()
	var want Usage
	leases, live, intents := 0, 0, 0
	for b := range byte(modelBlobs) {
		d := digest(b)
		cost := Cost(int64(b) * 3000)
		only := len(m.edges[d]) > 0
		for _, e := range m.edges[d] {
			only = only && e.Kind == Cached
			if !e.Expires.IsZero() {
				leases++
			}
		}
		if m.recorded(d) != (len(m.edges[d]) > 0) || m.evictable(d) != only {
			m.t.Fatalf("%d edges of %s: recorded %v, evictable %v", len(m.edges[d]), d, m.recorded(d), m.evictable(d))
		}
		if only {
			live++
			want = want.Plus(Usage{CachedBytes: cost, CachedBlobs: 1})
		} else if len(m.edges[d]) > 0 {
			want = want.Plus(Usage{KeptBytes: cost, KeptBlobs: 1})
		}
		if m.doomed(d) {
			intents++
		}
		m.checkEdges(d)
	}
	m.checkRecords()
	counted := m.count()
	want.MainBytes = counted.MainBytes
	if m.usage() != want || counted != want {
		m.t.Fatalf("usage %+v, counted %+v, want %+v", m.usage(), counted, want)
	}
	if m.rows("a") != live || m.rows("e") != live || m.rows("gd") != intents || m.rows("gt") != intents+leases {
		m.t.Fatalf("%d+%d rows of order for %d blobs, %d+%d due rows for %d intents and %d leases",
			m.rows("a"), m.rows("e"), live, m.rows("gd"), m.rows("gt"), intents, leases)
	}
}

// checkRecords wants the records of leases that are held or were made permanent.
func (m *model) checkRecords() {
	m.t.Helper()
	if got := m.rows("fe"); got != len(m.records) {
		m.t.Fatalf("%d records of leases, want %d", got, len(m.records))
	}
	for name := range m.records {
		if !m.has(func(r cache.Reader) error { _, err := r.Get([]byte(name)); return err }) {
			m.t.Fatalf("the record %s went", name)
		}
	}
}

func (m *model) checkEdges(d cache.Digest) {
	m.t.Helper()
	seen := 0
	m.read(func(r cache.Reader) error {
		for e, err := range Edges(r, d) {
			if err != nil {
				return err
			}
			seen++
			known, ok := m.edges[d][string(e.Kind)+string(e.Record)]
			if !ok || !known.Expires.Equal(e.Expires) {
				m.t.Fatalf("edge %c %s of %s: %v, want %v", e.Kind, e.Record, d, e.Expires, known.Expires)
			}
		}
		info, err := Lookup(r, d)
		if err != nil {
			return nil // told by the caller
		}
		odd, err := Unsettled(r, d)
		if odd {
			m.t.Fatalf("%s: the row says %b, and its edges or the order do not", d, info.kinds)
		}
		return err
	})
	if seen != len(m.edges[d]) {
		m.t.Fatalf("%d edges of %s, want %d", seen, d, len(m.edges[d]))
	}
}

func (m *model) count() (u Usage) {
	m.read(func(r cache.Reader) (err error) { u, err = CountUsage(r); return err })
	return u
}

// Whatever happens in whatever order, the rows agree with each other.
func TestRowsAgree(t *testing.T) {
	for seed := range uint64(40) {
		m := &model{newTable(t), rand.New(rand.NewPCG(seed, 1)), map[cache.Digest]map[string]Edge{}, map[string]bool{}}
		for range 150 {
			m.step()
			m.check()
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}
