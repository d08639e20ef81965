package typo

import "testing"

func TestNearest(t *testing.T) {
	words := []string{"fresh", "negative", "max_size", "why"}
	for typed, want := range map[string]string{"fersh": "fresh", "frsh": "fresh", "max-size": "max_size", "nagative": "negative", "listen": "", "": "", "by": ""} {
		if got := Nearest(typed, words); got != want {
			t.Errorf("nearest to %q is %q, want %q", typed, got, want)
		}
	}
}
