package npm

import "time"

// timeLayout is the form of all times in documents: UTC, milliseconds.
const timeLayout = "2006-01-02T15:04:05.000Z"

// FormatTime returns t as documents write it.
func FormatTime(t time.Time) string { return t.UTC().Format(timeLayout) }

// parseTime reads any RFC 3339 time between the years 1970 and 9999.
func parseTime(s string) (time.Time, bool) {
	if len(s) > 64 {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.Unix() < 0 || t.UTC().Year() > 9999 {
		return time.Time{}, false
	}
	return t.UTC(), true
}

// span collects the earliest and the latest of times.
type span struct{ first, last time.Time }

func (s *span) add(t time.Time) {
	if s.first.IsZero() || t.Before(s.first) {
		s.first = t
	}
	if t.After(s.last) {
		s.last = t
	}
}
