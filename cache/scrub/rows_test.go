package scrub

import (
	"context"
	"errors"
	"strings"
	"testing"

	"larder/cache"
	"larder/cache/refs"
)

// write changes rows behind everybody's back.
func (b *bench) write(fn func(w cache.Writer) error) {
	b.t.Helper()
	if err := b.s.Index.Update(context.Background(), fn); err != nil {
		b.t.Fatal(err)
	}
}

// drop deletes all rows under a prefix that refs documents.
func drop(prefix string, d cache.Digest) func(w cache.Writer) error {
	return func(w cache.Writer) error {
		for row, err := range w.Scan(append([]byte(prefix), d[:]...), nil) {
			if err != nil {
				return err
			}
			if err := w.Delete(row.Key); err != nil {
				return err
			}
		}
		return nil
	}
}

// Each kind of damage is found without a repair, put right by one, and gone
// after it, unless it is for people to decide.
func TestRowsThatDisagree(t *testing.T) {
	for name, c := range map[string]struct {
		kind     refs.Kind
		damage   func(b *bench, blob cache.Blob) error
		rows     int64 // found
		hosted   int64
		left     int64 // found after the repair
		finding  string
		recorded bool // the record is there in the end
	}{
		"a cached record without a row of its blob": {
			kind: refs.Cached, rows: 2, finding: "do not know each other",
			damage: func(b *bench, blob cache.Blob) error { b.write(drop("b", blob.Digest)); return nil },
		},
		"a cached blob without its record": {
			kind: refs.Cached, rows: 1, finding: "do not know each other",
			damage: func(b *bench, _ cache.Blob) error {
				b.write(func(w cache.Writer) error { return w.Delete([]byte("fa")) })
				return nil
			},
		},
		"a cached blob out of the eviction order": {
			kind: refs.Cached, rows: 1, finding: "disagree with its uses", recorded: true,
			damage: func(b *bench, blob cache.Blob) error { b.write(drop("a", blob.Digest)); return nil },
		},
		"a hosted file without a row of its blob": {
			kind: refs.Hosted, rows: 2, finding: "is stored and has no row", recorded: true,
			damage: func(b *bench, blob cache.Blob) error { b.write(drop("b", blob.Digest)); return nil },
		},
		"a hosted file without a row and without bytes": {
			kind: refs.Hosted, rows: 1, hosted: 1, finding: "it has no row", recorded: true,
			damage: func(b *bench, blob cache.Blob) error {
				b.write(drop("b", blob.Digest))
				return b.s.Store.Delete(context.Background(), blob.Digest)
			},
		},
		"a hosted blob without a use": {
			kind: refs.Hosted, rows: 1, left: 1, finding: "no package uses it", recorded: true,
			damage: func(b *bench, blob cache.Blob) error { b.write(drop("x", blob.Digest)); return nil },
		},
		"a hosted blob without its record": {
			kind: refs.Hosted, rows: 1, left: 1, finding: "has no record",
			damage: func(b *bench, _ cache.Blob) error {
				b.write(func(w cache.Writer) error { return w.Delete([]byte("fa")) })
				return nil
			},
		},
		"a leased file without a row of its blob": {
			kind: refs.Lease, rows: 2, finding: "is stored and has no row", recorded: true,
			damage: func(b *bench, blob cache.Blob) error { b.write(drop("b", blob.Digest)); return nil },
		},
		"a leased file without its record": {
			kind: refs.Lease, rows: 1, finding: "held for a pushed file",
			damage: func(b *bench, _ cache.Blob) error {
				b.write(func(w cache.Writer) error { return w.Delete([]byte("fa")) })
				return nil
			},
		},
		"a leased file whose bytes are gone": {
			kind: refs.Lease, hosted: 1, finding: "hosted", recorded: true,
			damage: func(b *bench, blob cache.Blob) error { return b.s.Store.Delete(context.Background(), blob.Digest) },
		},
		"counters that drifted": {
			kind: refs.Hosted, rows: 1, finding: "counters", recorded: true,
			damage: func(b *bench, _ cache.Blob) error {
				b.write(func(w cache.Writer) error { return refs.WriteUsage(w, refs.Usage{CachedBytes: 1 << 40, KeptBlobs: -3}) })
				return nil
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			blob := b.add("a", c.kind)
			b.add("other", refs.Hosted)
			if err := c.damage(b, blob); err != nil {
				t.Fatal(err)
			}
			r := b.check(false)
			if r.Rows != c.rows || r.Hosted != c.hosted || r.Repaired != 0 || !strings.Contains(strings.Join(r.Findings, "\n"), c.finding) {
				t.Errorf("found %+v", r)
			}
			if r := b.check(true); r.Repaired != c.rows-c.left {
				t.Errorf("repaired %+v", r)
			}
			if r := b.check(true); r.Rows != c.left || r.Hosted != c.hosted || r.Repaired != 0 {
				t.Errorf("after the repair %+v", r)
			}
			if b.record("a") != c.recorded || c.kind == refs.Hosted && c.hosted == 0 && !b.stored(blob) {
				t.Errorf("record %v, stored %v", b.record("a"), b.stored(blob))
			}
		})
	}
}

func TestOrphansAreCounted(t *testing.T) {
	b := newBench(t)
	b.add("a", refs.Hosted)
	size := int64(0)
	for i := range page + 1 { // more than a page
		blob, err := cache.Put(context.Background(), b.s.Store, strings.NewReader(strings.Repeat("x", i+1)), -1)
		if err != nil {
			t.Fatal(err)
		}
		size += blob.Size
	}
	if r := b.check(true); r.Orphans != page+1 || r.OrphanBytes != size || r.Rows+r.Hosted+r.Cached != 0 {
		t.Errorf("%+v", r)
	}
}

// TestInlineBytes lie in their records: no file is missing for them, and a
// record that went leaves nothing behind.
func TestInlineBytes(t *testing.T) {
	b := newBench(t)
	record := []byte("d far p")
	blob, edge := refs.Inlined(record, 700)
	b.write(func(w cache.Writer) error {
		return errors.Join(w.Put(record, make([]byte, 700)), refs.Link(w, blob, edge, b.now))
	})
	if r := b.check(true); r.Hosted+r.Cached+r.Rows+r.Repaired != 0 {
		t.Errorf("%+v", r)
	}
	b.write(func(w cache.Writer) error { return w.Delete(record) })
	if r := b.check(true); r.Rows != 1 || r.Repaired != 1 {
		t.Errorf("%+v", r)
	}
	if r := b.check(false); r.Blobs != 0 || r.Rows != 0 {
		t.Errorf("%+v", r)
	}
}
