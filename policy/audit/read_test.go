package audit

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"larder/cache"
	"larder/cache/clocktest"
	"larder/cache/memory"
)

func TestExportPages(t *testing.T) {
	backends(t, func(t *testing.T, index cache.Index) {
		for range Export(t.Context(), index, 0, Filter{}) {
			t.Fatal("an empty log has records")
		}
		const n = 2*page + 10
		fill(t, index, n)
		for _, after := range []uint64{0, 1, page - 1, page, n - 1, n, n + 5} {
			next := after + 1
			for r, err := range Export(t.Context(), index, after, Filter{}) {
				must(t, err)
				if r.Seq != next {
					t.Fatalf("after %d: record %d, want %d", after, r.Seq, next)
				}
				next++
			}
			if next != max(n, after)+1 {
				t.Errorf("after %d: it ends before record %d", after, next)
			}
		}
	})
}

// An export ends where the log ended when it began, and stops when asked.
func TestExportEnds(t *testing.T) {
	index := memory.NewIndex()
	fill(t, index, page+5)
	seen := 0
	for _, err := range Export(t.Context(), index, 0, Filter{}) {
		must(t, err)
		seen++
		fill(t, index, 1) // the caller holds no transaction, or this would not return
	}
	if seen != page+5 {
		t.Errorf("%d records, want %d", seen, page+5)
	}
	for range Export(t.Context(), index, 0, Filter{}) {
		break
	}
}

func TestExportTellsOfFaults(t *testing.T) {
	for says, tamper := range map[string]func(w cache.Writer) error{
		"record 3 is missing": func(w cache.Writer) error { return w.Delete(recordKey(3)) },
		"3 is missing":        func(w cache.Writer) error { return errors.Join(w.Delete(recordKey(3)), w.Delete(recordKey(4))) },
		"record 3: it has":    func(w cache.Writer) error { return w.Put(recordKey(3), make([]byte, 99)) },
		"record 3: it holds record 2": func(w cache.Writer) error {
			value, err := w.Get(recordKey(2))
			return errors.Join(err, w.Put(recordKey(3), value))
		},
	} {
		index := memory.NewIndex()
		fill(t, index, 4)
		update(t, index, tamper)
		var seqs []uint64
		var last error
		for r, err := range Export(t.Context(), index, 0, Filter{}) {
			if last = err; err == nil {
				seqs = append(seqs, r.Seq)
			}
		}
		if fmt.Sprint(seqs) != "[1 2]" || last == nil || !strings.Contains(last.Error(), says) {
			t.Errorf("%s: records %v, then %v", says, seqs, last)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range Export(ctx, memory.NewIndex(), 0, Filter{}) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	}
}

func TestExportFilter(t *testing.T) {
	index, c := memory.NewIndex(), clocktest.New(0)
	chain := Chain{Clock: c.Now}
	start := c.Now()
	for i, r := range []Record{
		{Action: "token.create", Decision: Allow},
		{Action: "token.revoke", Decision: Allow, Actor: Actor{ID: "bob", Kind: User}},
		{Action: "read", Decision: Deny, Resource: Resource{Package: "left-pad"}},
		{Action: "tokens", Decision: Allow, Resource: Resource{Repository: "acme/web"}},
	} {
		record(t, index, chain, r)
		c.Advance(time.Duration(i+1) * time.Minute)
	}
	for _, test := range []struct {
		filter Filter
		want   string
	}{
		{Filter{}, "[1 2 3 4]"},
		{Filter{Action: "token"}, "[1 2]"},
		{Filter{Action: "token.revoke"}, "[2]"},
		{Filter{Action: "tok"}, "[]"},
		{Filter{Actor: "bob"}, "[2]"},
		{Filter{Actor: "alice", Decision: Allow}, "[1 4]"},
		{Filter{Decision: Deny}, "[3]"},
		{Filter{Package: "left-pad"}, "[3]"},
		{Filter{Repository: "acme/web"}, "[4]"},
		{Filter{Since: start.Add(time.Minute), Until: start.Add(6 * time.Minute)}, "[2 3]"},
	} {
		seqs := []uint64{}
		for r, err := range Export(t.Context(), index, 0, test.filter) {
			must(t, err)
			seqs = append(seqs, r.Seq)
		}
		if fmt.Sprint(seqs) != test.want {
			t.Errorf("%+v: %v, want %s", test.filter, seqs, test.want)
		}
	}
}

func TestFind(t *testing.T) {
	backends(t, func(t *testing.T, index cache.Index) {
		r := refusal("left-pad")
		r.Decision, r.DecisionID = Deny, "D1"
		record(t, index, Chain{}, r)
		record(t, index, Chain{}, change(1))
		found, err := Find(t.Context(), index, "D1")
		if err != nil || found.Seq != 1 || found.Resource.Package != "left-pad" || found.Hash == "" {
			t.Errorf("%+v, %v", found, err)
		}
		for _, id := range []string{"", "D", "D12", strings.Repeat("x", 2000), "\x00"} {
			if _, err := Find(t.Context(), index, id); !errors.Is(err, cache.ErrNotExist) {
				t.Errorf("%.10q: %v", id, err)
			}
		}
		update(t, index, func(w cache.Writer) error {
			two, err := w.Get(recordKey(2))
			return errors.Join(err, w.Put(recordKey(1), two), w.Put(decisionKey("D2"), []byte{1}),
				w.Put(decisionKey("D3"), binary.BigEndian.AppendUint64(nil, 2)))
		})
		for _, id := range []string{"D1", "D2", "D3"} {
			if _, err := Find(t.Context(), index, id); err == nil || errors.Is(err, cache.ErrNotExist) {
				t.Errorf("of a spoiled log, %s: %v", id, err)
			}
		}
	})
}
