package audit

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"

	"larder/cache"
	"larder/cache/badger"
	"larder/cache/clocktest"
	"larder/cache/memory"
)

// backends runs a test on every Index.
func backends(t *testing.T, test func(t *testing.T, index cache.Index)) {
	t.Run("memory", func(t *testing.T) { test(t, memory.NewIndex()) })
	t.Run("badger", func(t *testing.T) { test(t, openBadger(t, filepath.Join(t.TempDir(), "index"))) })
}

func openBadger(t testing.TB, dir string) cache.Index {
	t.Helper()
	index, err := badger.Open(dir, badger.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, index.Close()) })
	return index
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var here = netip.MustParseAddr("192.0.2.1")

func alice() Origin {
	return Origin{
		RequestID: "r-1", IP: here, UserAgent: "npm/11.0.0", Via: "bearer",
		Actor: Actor{ID: "alice", Kind: User, TokenID: "0a1b", TokenLast4: "wxyz"},
	}
}

// change is the record of some change.
func change(n int) Record {
	return Record{
		Action: "grant.set", Decision: Allow,
		Resource: Resource{Owner: "acme", Repository: fmt.Sprintf("acme/r%d", n)},
		Before:   State{"role": "none"}, After: State{"role": "write", "user": "bob"},
	}
}

// refusal is one that a cooldown rule would make.
func refusal(pkg string) Record {
	return Record{
		Action: "read", Status: 403,
		Resource: Resource{Format: "npm", Package: pkg, Version: "1.4.0"},
		Reason:   Reason{RuleID: "cool", Sentence: pkg + " 1.4.0 is 2 h old; this registry waits 72 h"},
	}
}

// record appends in a transaction of its own.
func record(t testing.TB, index cache.Index, c Chain, r Record) {
	t.Helper()
	ctx := With(t.Context(), alice())
	must(t, index.Update(ctx, func(w cache.Writer) error { return c.Append(ctx, w, r) }))
}

// fill appends n changes.
func fill(t testing.TB, index cache.Index, n int) {
	t.Helper()
	ctx, c := With(t.Context(), alice()), Chain{Clock: clocktest.New(0).Now}
	for begun := 0; begun < n; begun += 100 {
		must(t, index.Update(ctx, func(w cache.Writer) error {
			for i := begun; i < min(begun+100, n); i++ {
				if err := c.Append(ctx, w, change(i)); err != nil {
					return err
				}
			}
			return nil
		}))
	}
}

// records returns the whole log.
func records(t testing.TB, index cache.Index) (list []Record) {
	t.Helper()
	for r, err := range Export(t.Context(), index, 0, Filter{}) {
		must(t, err)
		list = append(list, r)
	}
	return list
}

// clean fails unless the log is whole and has n records.
func wantClean(t testing.TB, index cache.Index, n uint64, noted ...Head) Report {
	t.Helper()
	report, err := Verify(t.Context(), index, noted...)
	must(t, err)
	if report.Fault != nil || report.Records != n || report.Head.Seq != n {
		t.Fatalf("%+v, fault %v; want %d records and none", report, report.Fault, n)
	}
	return report
}

func rows(t testing.TB, index cache.Index) (all []cache.Row) {
	t.Helper()
	must(t, index.View(t.Context(), func(r cache.Reader) error {
		for row, err := range r.Scan([]byte("l"), nil) {
			if err != nil {
				return err
			}
			all = append(all, row)
		}
		return nil
	}))
	return all
}

func update(t testing.TB, index cache.Index, fn func(w cache.Writer) error) {
	t.Helper()
	must(t, index.Update(t.Context(), fn))
}

// gate is an Index whose updates stop until they are let through, or fail.
type gate struct {
	cache.Index
	begun chan struct{}   // gets one for each update
	let   chan error      // what each update waits for; nil goes on
	twice bool            // run every function twice, the first time in vain
	ctx   context.Context // that ends the wait
}

func (g *gate) Update(ctx context.Context, fn func(cache.Writer) error) error {
	if g.begun != nil {
		g.begun <- struct{}{}
		select {
		case err := <-g.let:
			if err != nil {
				return err
			}
		case <-g.ctx.Done():
			return g.ctx.Err()
		}
	}
	if g.twice {
		vain := fmt.Errorf("in vain")
		err := g.Index.Update(ctx, func(w cache.Writer) error {
			if err := fn(w); err != nil {
				return err
			}
			return vain
		})
		if err != vain {
			return err
		}
	}
	return g.Index.Update(ctx, fn)
}
