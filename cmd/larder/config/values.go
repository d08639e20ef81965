package config

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"larder/upstream"
)

const day = 24 * time.Hour

// Duration is a length of time, written as digits and a unit: 500ms, 90s, 5m,
// 36h, 7d, or several of them (1h30m). It is never negative.
type Duration time.Duration

// ParseDuration reads a Duration. A bare 0 needs no unit.
func ParseDuration(s string) (Duration, error) {
	if s == "0" {
		return 0, nil
	}
	var total float64
	for rest := s; rest != ""; {
		digits := strings.TrimLeft(rest, "0123456789.")
		number, err := strconv.ParseFloat(rest[:len(rest)-len(digits)], 64)
		if err != nil {
			return 0, errDuration(s)
		}
		unit := digits
		if i := strings.IndexAny(digits, "0123456789."); i >= 0 {
			unit = digits[:i]
		}
		scale := unitOf(unit)
		if scale == 0 {
			return 0, errDuration(s)
		}
		total += number * float64(scale)
		rest = digits[len(unit):]
	}
	if s == "" || total >= math.MaxInt64 {
		return 0, errDuration(s)
	}
	return Duration(total), nil
}

func errDuration(s string) error {
	return fmt.Errorf("%q is not a duration: write digits and a unit, such as 90s, 5m, 36h or 7d", s)
}

func unitOf(s string) time.Duration {
	switch s {
	case "ms":
		return time.Millisecond
	case "s":
		return time.Second
	case "m":
		return time.Minute
	case "h":
		return time.Hour
	case "d":
		return day
	case "w":
		return 7 * day
	}
	return 0
}

// Std returns the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// String writes d so that ParseDuration reads it, in its largest whole unit.
func (d Duration) String() string {
	if d == 0 {
		return "0s"
	}
	for _, u := range []string{"d", "h", "m", "s", "ms"} {
		if scale := unitOf(u); time.Duration(d)%scale == 0 {
			return strconv.FormatInt(int64(time.Duration(d)/scale), 10) + u
		}
	}
	return time.Duration(d).String()
}

// Size is a number of bytes, written with a binary unit: 64KiB, 100MiB, 50GiB,
// 1TiB, or as plain bytes (512 or 512B). It is never negative.
type Size int64

// sizeUnits in the order that String tries them. A small k or M would leave
// open which of two meanings is meant, so only the binary names are taken.
func sizeUnits() []string { return []string{"PiB", "TiB", "GiB", "MiB", "KiB"} }

// ParseSize reads a Size.
func ParseSize(s string) (Size, error) {
	number, scale := strings.TrimSuffix(s, "B"), int64(1)
	for i, u := range sizeUnits() {
		if n, ok := strings.CutSuffix(s, u); ok {
			number, scale = n, 1<<(10*(len(sizeUnits())-i))
			break
		}
	}
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || v < 0 || math.IsNaN(v) || v*float64(scale) >= math.MaxInt64 {
		return 0, fmt.Errorf("%q is not a size: write a number and a unit, such as 64KiB, 100MiB or 50GiB", s)
	}
	return Size(v * float64(scale)), nil
}

// String writes s so that ParseSize reads it, in its largest whole unit.
func (s Size) String() string {
	units := sizeUnits()
	for i, u := range units {
		if scale := int64(1) << (10 * (len(units) - i)); s != 0 && int64(s)%scale == 0 {
			return strconv.FormatInt(int64(s)/scale, 10) + u
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// Date is a moment given as a day (2027-01-31, its end in UTC) or as RFC 3339.
type Date struct{ time.Time }

// ParseDate reads a Date. A day means its last second: "until 31 January"
// includes that day.
func ParseDate(s string) (Date, error) {
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return Date{t.Add(day - time.Second)}, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return Date{}, fmt.Errorf("%q is not a date: write 2027-01-31, or 2027-01-31T12:00:00Z", s)
	}
	return Date{t.UTC()}, nil
}

// String writes d so that ParseDate reads it; "" for none.
func (d Date) String() string {
	if d.IsZero() {
		return ""
	}
	return d.UTC().Format(time.RFC3339)
}

// Rate is a number of requests in a time, written as 100/6h. The zero value is
// no limit.
type Rate struct {
	Requests int
	Per      time.Duration
}

// ParseRate reads a Rate; "" is none.
func ParseRate(s string) (Rate, error) {
	if s == "" {
		return Rate{}, nil
	}
	number, unit, _ := strings.Cut(s, "/")
	n, err := strconv.Atoi(number)
	per, wrong := ParseDuration(unit)
	if err != nil || wrong != nil || n < 1 || per.Std() < time.Duration(n) {
		return Rate{}, fmt.Errorf("%q is not a rate: write a number of requests, a slash and a time, such as 100/6h or 10/1s", s)
	}
	return Rate{n, per.Std()}, nil
}

// String writes r so that ParseRate reads it.
func (r Rate) String() string {
	if r == (Rate{}) {
		return ""
	}
	return strconv.Itoa(r.Requests) + "/" + Duration(r.Per).String()
}

// ParseNetwork reads an address or a network such as 10.0.0.0/8, for comparison
// with the addresses of peers: those have no zone, and one of version 4 that is
// written as one of version 6 (::ffff:10.0.0.1) is one of version 4.
func ParseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && !strings.Contains(s, "/") {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, fmt.Errorf("%q is neither an address nor a network such as 10.0.0.0/8", s)
	}
	const mapped = 96 // bits of ::ffff:0:0
	if !p.Addr().Is4In6() {
		return p.Masked(), nil
	}
	if p.Bits() < mapped {
		return p, fmt.Errorf("%q holds addresses of version 4 and others: write two networks", s)
	}
	return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mapped).Masked(), nil
}

// Secret is a text that no log, error or listing shows. In the file it may be
// written as ${NAME} (from the environment) or file:PATH (first line of a file,
// relative to the configuration file).
type Secret struct{ upstream.Secret }

// Hide makes a text a Secret.
func Hide(text string) Secret { return Secret{upstream.Hide(text)} }

// String hides the text. Of an address the scheme and host are shown; the word
// auto tells nothing and is shown.
func (s Secret) String() string {
	text := s.Reveal()
	if text == "" || text == Auto {
		return text
	}
	if u, err := url.Parse(text); err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" {
		if bare := u.Scheme + "://" + u.Host; text == bare || text == bare+"/" {
			return text
		}
		return u.Scheme + "://" + u.Host + "/[redacted]"
	}
	return "[redacted]"
}

// Format hides the text from every verb of fmt.
func (s Secret) Format(f fmt.State, verb rune) { upstream.WriteHidden(f, verb, s.String()) }

// MarshalText hides the text.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// maxSecretFile bounds a file: reference, in bytes.
const maxSecretFile = 64 << 10

// expand resolves references in a secret's text.
func expand(text string, lookup func(string) (string, bool), read func(string) ([]byte, error)) (Secret, error) {
	if path, ok := strings.CutPrefix(text, "file:"); ok && !strings.HasPrefix(path, "//") {
		b, err := read(path)
		if err != nil {
			return Secret{}, fmt.Errorf("secret from file: %w", err)
		}
		if len(b) > maxSecretFile {
			return Secret{}, fmt.Errorf("secret from file %s: the file is larger than %s", path, Size(maxSecretFile))
		}
		line, _, _ := strings.Cut(string(b), "\n")
		if line = strings.TrimSpace(line); line == "" {
			return Secret{}, fmt.Errorf("secret from file %s: its first line is empty", path)
		}
		return Hide(line), nil
	}
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${")
		out.WriteString(before)
		if !found {
			return Hide(out.String()), nil
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed || name == "" {
			return Secret{}, errors.New("a ${ without a name and a }")
		}
		value, ok := lookup(name)
		if !ok {
			return Secret{}, fmt.Errorf("${%s} is not set in the environment", name)
		}
		out.WriteString(value)
		text = after
	}
}
