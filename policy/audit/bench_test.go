package audit

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"larder/cache"
	"larder/cache/memory"
)

// BenchmarkAppend is what a change pays on top of its own transaction: encoding,
// hashing and two rows. On badger it holds a commit as well.
func BenchmarkAppend(b *testing.B) {
	chain := Chain{Node: "n1"}
	ctx := With(context.Background(), alice())
	b.Run("one/memory", func(b *testing.B) { benchmarkAppend(b, memory.NewIndex(), chain, 1) })
	b.Run("hundred/badger", func(b *testing.B) { benchmarkAppend(b, openBadger(b, b.TempDir()), chain, 100) })
	b.Run("seal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := seal(chain.fill(ctx, change(1))); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func benchmarkAppend(b *testing.B, index cache.Index, chain Chain, each int) {
	b.ReportAllocs()
	ctx := With(b.Context(), alice())
	start := time.Now()
	for b.Loop() {
		must(b, index.Update(ctx, func(w cache.Writer) error {
			for i := range each {
				if err := chain.Append(ctx, w, change(i)); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	b.ReportMetric(float64(b.N*each)/time.Since(start).Seconds(), "records/s")
}

// BenchmarkRefused is a refusal as the edge sees it.
func BenchmarkRefused(b *testing.B) {
	index := openBadger(b, b.TempDir())
	l := newLog(index, Chain{})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Run(ctx, func(err error) { b.Error(err) })
	}()
	b.Run("repeated", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(p *testing.PB) {
			ctx := With(context.Background(), alice())
			for p.Next() {
				if _, err := l.Refused(ctx, refusal("left-pad")); err != nil {
					b.Error(err)
				}
			}
		})
	})
	var n atomic.Uint32
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(32)
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				i := n.Add(1)
				o := Origin{IP: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})}
				if _, err := l.Refused(With(context.Background(), o), refusal(fmt.Sprint("p", i))); err != nil {
					b.Error(err)
				}
			}
		})
	})
	cancel()
	<-done
}

// BenchmarkVerify reads a whole log.
func BenchmarkVerify(b *testing.B) {
	const size = 20_000
	for name, index := range map[string]cache.Index{"memory": memory.NewIndex(), "badger": openBadger(b, b.TempDir())} {
		b.Run(name, func(b *testing.B) {
			fill(b, index, size)
			start := time.Now()
			n := uint64(0)
			for b.Loop() {
				report, err := Verify(b.Context(), index)
				must(b, err)
				if report.Fault != nil {
					b.Fatal(report.Fault)
				}
				n += report.Records
			}
			b.ReportMetric(float64(n)/time.Since(start).Seconds(), "records/s")
		})
	}
}

func BenchmarkFind(b *testing.B) {
	index := openBadger(b, b.TempDir())
	fill(b, index, 20_000)
	r := refusal("left-pad")
	r.Decision, r.DecisionID = Deny, "D1"
	record(b, index, Chain{}, r)
	for b.Loop() {
		if _, err := Find(b.Context(), index, "D1"); err != nil {
			b.Fatal(err)
		}
	}
}
