package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// table prints rows in Markdown.
func table(out io.Writer, head string, rows [][]string) {
	columns := strings.Split(head, " | ")
	fmt.Fprintf(out, "| %s |\n|%s\n", head, strings.Repeat(" --- |", len(columns)))
	for _, row := range rows {
		fmt.Fprintf(out, "| %s |\n", strings.Join(row, " | "))
	}
}

// quantile returns the value below which the share q of values lies; q is in
// 0 to 1. It returns 0 of no values.
func quantile[T int | int64 | float64 | time.Duration](values []T, q float64) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func median[T int | int64 | float64 | time.Duration](values []T) T { return quantile(values, 0.5) }

func bytesText(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.4g MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.4g KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}

// over is a ratio; it holds no line where there is nothing to compare with.
func over[T int64 | float64 | time.Duration](a, b T) float64 {
	if b == 0 {
		return math.NaN()
	}
	return float64(a) / float64(b)
}

func ratio(r float64) string { return fmt.Sprintf("%.2fx", r) }

func millis(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

func micros(d time.Duration) string {
	return fmt.Sprintf("%.1f µs", float64(d)/float64(time.Microsecond))
}

func perSecond(rate float64) string { return fmt.Sprintf("%.0f/s", rate) }

// numbers reads a list such as "1000,10000".
func numbers(list string) ([]int, error) {
	var all []int
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 1 || len(all) > 0 && n <= all[len(all)-1] {
			return nil, fmt.Errorf("%q is no ascending list of numbers", list)
		}
		all = append(all, n)
	}
	return all, nil
}
