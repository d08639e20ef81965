package npm

import (
	"slices"
	"time"
)

// Build machines publish versions of one package side by side, all as latest.
// Which of them commits last is chance, so that the highest one must win; of
// publishes one after the other, the last one does. What began before another
// one ended belongs to the same burst.

// attempt is a publish that was to move latest.
type attempt struct {
	Version string
	Began   time.Time
	Done    time.Time // when it was committed
}

// moved is an attempt as it is kept: times in microseconds since 1970.
type moved struct {
	Version string `json:"v"`
	Began   int64  `json:"b"`
	Done    int64  `json:"d"`
}

// What is kept of attempts: they share a row with all else about the package.
const (
	maxMoves = 32
	keepMove = 15 * time.Minute // longer than any publish takes
)

// latest notes an attempt and returns the version that latest must name now:
// the highest of all that overlap with it, directly or through others.
func (a *about) latest(p attempt) string {
	now := moved{p.Version, p.Began.UnixMicro(), p.Done.UnixMicro()}
	old := now.Done - keepMove.Microseconds()
	a.Moves = slices.DeleteFunc(a.Moves, func(m moved) bool { return m.Done < old })
	a.Moves = append(a.Moves, now)
	a.Moves = a.Moves[max(0, len(a.Moves)-maxMoves):]
	from, to, best := now.Began, now.Done, now.Version
	for grew := true; grew; {
		grew = false
		for _, m := range a.Moves {
			if m.Began >= to || m.Done <= from {
				continue
			}
			if compareVersions(m.Version, best) > 0 {
				best = m.Version
			}
			grew = grew || m.Began < from || m.Done > to
			from, to = min(from, m.Began), max(to, m.Done)
		}
	}
	return best
}
