package main

import "fmt"

// broken marks, in a table, the figure that breaks its line.
const broken = " BROKEN"

// hold writes down what a figure must hold to, and remembers if it does not:
// one broken line makes the whole run end with an error.
func (b *bench) hold(ok bool, line string) string {
	if ok {
		return line
	}
	b.broken++
	return line + broken
}

// most and least are hold for ratios; a line of 0 is none.
func (b *bench) most(got, line float64) string {
	if line == 0 {
		return ""
	}
	return b.hold(got <= line, ", ≤ "+ratio(line))
}

func (b *bench) least(got, line float64) string {
	if line == 0 {
		return ""
	}
	return b.hold(got >= line, ", ≥ "+ratio(line))
}

// verdict is the error of a run that broke lines.
func (b *bench) verdict() error {
	if b.broken == 0 {
		return nil
	}
	return fmt.Errorf("%d figures break their lines", b.broken)
}
