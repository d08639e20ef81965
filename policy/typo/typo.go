// Package typo finds the word that was meant.
package typo

import "slices"

// Nearest returns the word that s is most likely a misspelling of, "" for none.
func Nearest(s string, words []string) string {
	best, least := "", min(max(2, len(s)/3)+1, len(s)) // a word in which every letter is wrong is another
	for _, w := range words {
		if n := Distance(s, w); n < least {
			best, least = w, n
		}
	}
	return best
}

// Distance counts the letters to add, drop, change or swap with their
// neighbour to make one word of the other.
func Distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return max(len(a), len(b))
	}
	rows := [][]int{make([]int, len(b)+1)}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = slices.Min([]int{rows[i-1][j] + 1, row[j-1] + 1, rows[i-1][j-1] + cost})
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], rows[i-2][j-2]+1)
			}
		}
		rows = append(rows, row)
	}
	return rows[len(a)][len(b)]
}
