package audit

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"larder/cache"
	"larder/cache/clocktest"
	"larder/cache/memory"
)

func TestAppendNumbersAndCompletes(t *testing.T) {
	backends(t, func(t *testing.T, index cache.Index) {
		c := clocktest.New(0)
		chain := Chain{Node: "n1", Clock: c.Now}
		record(t, index, chain, change(1))
		update(t, index, func(w cache.Writer) error {
			r := change(2)
			r.Actor, r.IP = Actor{Kind: System, ID: "gc"}, netip.MustParseAddr("::ffff:192.0.2.9")
			return errors.Join(chain.Append(context.Background(), w, r), chain.Append(t.Context(), w, change(3)))
		})
		must(t, index.Update(t.Context(), func(w cache.Writer) error {
			return chain.Append(With(t.Context(), Origin{RequestID: "r-2"}), w, change(4))
		}))
		list := records(t, index)
		wantClean(t, index, 4)
		for i, r := range list {
			if r.Seq != uint64(i+1) || !r.Time.Equal(c.Now()) || r.Node != "n1" || i > 0 && r.PrevHash != list[i-1].Hash {
				t.Errorf("record %d: %+v", i+1, r)
			}
		}
		if r := list[0]; r.Actor != (Actor{"alice", User, "0a1b", "wxyz", "bearer"}) || r.IP != here || r.RequestID != "r-1" || r.UserAgent != "npm/11.0.0" {
			t.Errorf("of a request: %+v", r)
		}
		if r := list[1]; r.Actor != (Actor{ID: "gc", Kind: System}) || r.IP.String() != "192.0.2.9" {
			t.Errorf("what the record says itself: %+v", r)
		}
		if r := list[2]; r.Actor.Kind != Unknown || r.IP.IsValid() {
			t.Errorf("without an origin: %+v", r)
		}
		if r := list[3]; r.Actor.Kind != Anonymous || r.RequestID != "r-2" {
			t.Errorf("of nobody: %+v", r)
		}
	})
}

// The record and the change come and go together.
func TestAppendIsPartOfItsTransaction(t *testing.T) {
	backends(t, func(t *testing.T, index cache.Index) {
		fill(t, index, 2)
		broken := errors.New("broken")
		for _, fn := range []func(w cache.Writer) error{
			func(w cache.Writer) error { return errors.Join(Chain{}.Append(t.Context(), w, change(3)), broken) },
			func(w cache.Writer) error { return Chain{}.Append(t.Context(), w, Record{}) },
		} {
			if err := index.Update(t.Context(), fn); err == nil {
				t.Error("the update did not fail")
			}
		}
		wantClean(t, index, 2)
		g := &gate{Index: index, twice: true}
		update(t, g, func(w cache.Writer) error { return Chain{}.Append(t.Context(), w, change(3)) })
		wantClean(t, index, 3)
	})
}

// Whoever deletes the head does not get the log written over.
func TestAppendWithoutHead(t *testing.T) {
	for name, spoil := range map[string]func(w cache.Writer) error{
		"deleted":   func(w cache.Writer) error { return w.Delete(headKey()) },
		"cut":       func(w cache.Writer) error { return w.Put(headKey(), []byte{rowVersion}) },
		"version 9": func(w cache.Writer) error { return w.Put(headKey(), append([]byte{9}, make([]byte, 40)...)) },
		"zero":      func(w cache.Writer) error { return w.Put(headKey(), head{}.encode()) },
	} {
		index := memory.NewIndex()
		fill(t, index, 2)
		update(t, index, spoil)
		before := rows(t, index)
		err := index.Update(t.Context(), func(w cache.Writer) error { return Chain{}.Append(t.Context(), w, change(3)) })
		if err == nil || !strings.Contains(err.Error(), "tampered") || len(rows(t, index)) != len(before) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Appenders and refusals run side by side with changes: every change has its
// record, and the log is whole.
func TestConcurrentAppenders(t *testing.T) {
	backends(t, func(t *testing.T, index cache.Index) {
		const writers, each = 8, 25
		l := startLog(t, index, Chain{})
		var group sync.WaitGroup
		for i := range writers {
			group.Go(func() {
				for n := range each {
					err := index.Update(t.Context(), func(w cache.Writer) error {
						if err := addOne(w); err != nil {
							return err
						}
						return l.Append(t.Context(), w, change(i*each+n))
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
			group.Go(func() {
				ctx := With(t.Context(), Origin{IP: netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})})
				for n := range each {
					if _, err := l.Refused(ctx, refusal(fmt.Sprint("p", i, "-", n))); err != nil {
						t.Error(err)
					}
				}
			})
			group.Go(func() {
				for range 3 {
					if report, err := Verify(t.Context(), index); err != nil || report.Fault != nil {
						t.Errorf("while it is written: %+v, %v", report.Fault, err)
					}
				}
			})
		}
		group.Wait()
		wantClean(t, index, 2*writers*each)
		changes := map[string]bool{}
		for _, r := range records(t, index) {
			if r.Decision == Allow {
				changes[r.Resource.Repository] = true
			}
		}
		if len(changes) != writers*each {
			t.Errorf("%d changes are recorded, want %d", len(changes), writers*each)
		}
	})
}

// addOne is a change that can be counted.
func addOne(w cache.Writer) error {
	n, err := counted(w)
	if err != nil {
		return err
	}
	return w.Put([]byte("counter"), binary.BigEndian.AppendUint64(nil, n+1))
}

func counted(r cache.Reader) (uint64, error) {
	value, err := r.Get([]byte("counter"))
	if errors.Is(err, cache.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(value), nil
}

func TestHeadText(t *testing.T) {
	index := memory.NewIndex()
	fill(t, index, 3)
	var h Head
	must(t, index.View(t.Context(), func(r cache.Reader) (err error) {
		h, err = ReadHead(r)
		return err
	}))
	back, err := ParseHead(h.String())
	if err != nil || back != h || h.Seq != 3 || len(h.Hash) != 64 {
		t.Errorf("%v reads as %v, %v", h, back, err)
	}
	for _, bad := range []string{"", "3", "3:", "x:" + h.Hash, "3:" + h.Hash[1:], "-3:" + h.Hash, "3:" + h.Hash + "00"} {
		if _, err := ParseHead(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
