package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"larder/cmd/bench/seed"
)

func TestHold(t *testing.T) {
	b := &bench{}
	for text, want := range map[string]string{
		b.most(1.2, 1.5):            ", ≤ 1.50x",
		b.most(9, 0):                "",
		b.least(0.6, 0.5):           ", ≥ 0.50x",
		b.hold(true, "= 1"):         "= 1",
		b.least(over(1.0, 1), 0.99): ", ≥ 0.99x",
	} {
		if text != want {
			t.Errorf("got %q, want %q", text, want)
		}
	}
	if err := b.verdict(); err != nil {
		t.Errorf("nothing is broken: %v", err)
	}
	for _, text := range []string{b.most(1.6, 1.5), b.least(0.4, 0.5), b.hold(false, "= 1"), b.most(over(1.0, 0), 3), b.least(over(1.0, 0), 3)} {
		if !strings.HasSuffix(text, broken) {
			t.Errorf("%q is not said to be broken", text)
		}
	}
	if b.broken != 5 || b.verdict() == nil {
		t.Errorf("%d broken lines, want 5; %v", b.broken, b.verdict())
	}
}

// good is a size at which everything holds.
func good(entries int) grown {
	all := loads{rate: []float64{1000}, cpu: []time.Duration{1}, p50: []time.Duration{1e6}, p99: []time.Duration{2e6}}
	return grown{
		entries: entries, fill: time.Second, added: 100_000, write: 1e6, bare: 1e6, ready: 1e8, anonymous: 100 << 20,
		index: seed.Figures{Open: 1e7, Get: 5e3, Absent: 3e5, Scan: 2e6, Bytes: int64(entries) * 170},
		hot:   all, all: all, upkeep: upkept{all, all},
	}
}

// TestGrowthTable breaks each line in turn.
func TestGrowthTable(t *testing.T) {
	later := loads{rate: []float64{1000}, cpu: []time.Duration{1}, p50: []time.Duration{1e6}, p99: []time.Duration{4e6}}
	breaks := map[string]func(*grown){
		"":                          func(*grown) {},
		"open the index":            func(g *grown) { g.index.Open = 4 * time.Second },
		"read a record":             func(g *grown) { g.index.Get = 15e3 },
		"read one that is not":      func(g *grown) { g.index.Absent = 9e4 },
		"records inserted":          func(g *grown) { g.added = 30_000 },
		"records scanned":           func(g *grown) { g.index.Scan = 9e5 },
		"bytes on disk":             func(g *grown) { g.index.Bytes *= 2 },
		"start until ready":         func(g *grown) { g.ready = 4 * time.Second },
		"anonymous memory":          func(g *grown) { g.anonymous = 400 << 20 },
		"p99 of these |":            func(g *grown) { g.hot = later },
		"the same while blobs":      func(g *grown) { g.upkeep.busy = later },
		"store one more blob of 1 ": func(g *grown) { g.write = 2e6 },
	}
	for name, spoil := range breaks {
		var out bytes.Buffer
		b := &bench{out: &out}
		last := good(1_000_000)
		spoil(&last)
		b.growthTable([]grown{good(1000), good(10_000), last})
		if name == "" {
			if b.broken != 0 {
				t.Errorf("%d lines are broken where all hold:\n%s", b.broken, out.String())
			}
			continue
		}
		marked := ""
		for line := range strings.Lines(out.String()) {
			if strings.Contains(line, broken) {
				marked += line
			}
		}
		if b.broken != 1 || !strings.Contains(marked, name) {
			t.Errorf("%s: %d broken lines:\n%s", name, b.broken, marked)
		}
	}
}
