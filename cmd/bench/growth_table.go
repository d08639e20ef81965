package main

import "fmt"

// The lines of growth.
const (
	openLine   = 3   // seconds to open the index, and until the server is ready
	getLine    = 2.5 // reads, against the first size that is large enough
	absentLine = 100_000
	insertLine = 40_000
	memoryLine = 350 << 20 // bytes, anonymous
	entryLine  = 250       // bytes on disk
	scanLine   = 1_000_000
	growLine   = 1.5 // hits and writes, against the first size
	// settled is from which number of entries on fixed costs no longer decide.
	settled = 10_000
)

// quantity is a row of the table: the text of its value, its share of what it
// is held to, and whether it holds.
type quantity struct {
	name, line string
	show       func(grown) (string, bool)
}

// growthTable has a column for every size.
func (b *bench) growthTable(all []grown) {
	head := "entries in the index | line"
	for _, g := range all {
		head += fmt.Sprintf(" | %d", g.entries)
	}
	var rows [][]string
	for _, q := range quantities(all) {
		row := []string{q.name, q.line}
		for _, g := range all {
			text, ok := q.show(g)
			row = append(row, b.hold(ok, text))
		}
		rows = append(rows, row)
	}
	table(b.out, head, rows)
}

// base is the first size that later ones are compared with.
func base(all []grown) grown {
	for _, g := range all {
		if g.entries >= settled {
			return g
		}
	}
	return all[0]
}

func quantities(all []grown) []quantity {
	return append(indexQuantities(base(all)), serverQuantities(base(all))...)
}

func indexQuantities(base grown) []quantity {
	return []quantity{
		{"open the index", fmt.Sprintf("≤ %d s", openLine), func(g grown) (string, bool) {
			return millis(g.index.Open), g.index.Open.Seconds() <= openLine
		}},
		{"read a record that is there, p50", fmt.Sprintf("≤ %.1fx of %d", getLine, base.entries), func(g grown) (string, bool) {
			return micros(g.index.Get), g.entries < settled || over(g.index.Get, base.index.Get) <= getLine
		}},
		{"read one that is not", "≥ " + perSecond(absentLine), func(g grown) (string, bool) {
			return perSecond(g.index.Absent), g.index.Absent >= absentLine
		}},
		{"records inserted", "≥ " + perSecond(insertLine), func(g grown) (string, bool) {
			rate := float64(g.added) / g.fill.Seconds()
			return perSecond(rate), g.entries < settled || rate >= insertLine
		}},
		{"records scanned", "≥ " + perSecond(scanLine), func(g grown) (string, bool) {
			return perSecond(g.index.Scan), g.entries < settled || g.index.Scan >= scanLine
		}},
		{"bytes on disk for each", fmt.Sprintf("≤ %d", entryLine), func(g grown) (string, bool) {
			each := float64(g.index.Bytes) / float64(g.entries)
			return fmt.Sprintf("%.0f", each), g.entries < settled || each <= entryLine
		}},
	}
}

func serverQuantities(base grown) []quantity {
	grows := fmt.Sprintf("≤ %.1fx of %d", growLine, base.entries)
	return []quantity{
		{"start until ready", fmt.Sprintf("≤ %d s", openLine), func(g grown) (string, bool) {
			return millis(g.ready), g.ready.Seconds() <= openLine
		}},
		{"anonymous memory after loads", "≤ " + bytesText(memoryLine), func(g grown) (string, bool) {
			return bytesText(g.anonymous), g.anonymous <= memoryLine
		}},
		{fmt.Sprintf("hits of %d files of 1 KiB", hot), "", func(g grown) (string, bool) {
			return perSecond(median(g.hot.rate)), true
		}},
		{"p99 of these", grows, func(g grown) (string, bool) {
			p99 := median(g.hot.p99)
			return millis(p99), over(p99, median(base.hot.p99)) <= growLine
		}},
		{"hits of any file", "", func(g grown) (string, bool) {
			return fmt.Sprintf("%s, p99 %s", perSecond(median(g.all.rate)), millis(median(g.all.p99))), true
		}},
		{"p99 of these at half load", "", func(g grown) (string, bool) { return millis(median(g.upkeep.quiet.p99)), true }},
		{"the same while blobs are evicted", grows, func(g grown) (string, bool) {
			p99 := median(g.upkeep.busy.p99)
			return millis(p99), over(p99, median(base.upkeep.busy.p99)) <= growLine
		}},
		{"store one more blob of 1 KiB durably, p50", fmt.Sprintf("≤ %.1fx of an empty store", growLine), func(g grown) (string, bool) {
			return fmt.Sprintf("%s, %s", millis(g.write), ratio(over(g.write, g.bare))), over(g.write, g.bare) <= growLine
		}},
	}
}
