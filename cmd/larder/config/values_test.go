package config

import (
	"math"
	"testing"
	"time"
)

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "500ms": 500 * time.Millisecond, "90s": 90 * time.Second, "5m": 5 * time.Minute, "36h": 36 * time.Hour,
		"7d": 7 * 24 * time.Hour, "2w": 14 * 24 * time.Hour, "1h30m": 90 * time.Minute, "1.5h": 90 * time.Minute,
	} {
		if d, err := ParseDuration(text); err != nil || d.Std() != want {
			t.Errorf("%s: %v, %v", text, d, err)
		}
	}
	for _, text := range []string{"", "5", "-5m", "5 m", "5M", "m", "1e3s", "9999999999d", "1..5h", "NaNs"} {
		if d, err := ParseDuration(text); err == nil {
			t.Errorf("%q is taken as %v", text, d)
		}
	}
	for d, want := range map[time.Duration]string{0: "0s", 90 * time.Minute: "90m", 48 * time.Hour: "2d", 1500 * time.Millisecond: "1500ms"} {
		if got := Duration(d).String(); got != want {
			t.Errorf("%v is written %q, want %q", d, got, want)
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "512": 512, "512B": 512, "64KiB": 64 << 10, "1.5MiB": 3 << 19, "50GiB": 50 << 30, "1 TiB": 1 << 40, "2PiB": 2 << 50,
	} {
		if s, err := ParseSize(text); err != nil || s != want {
			t.Errorf("%s: %d, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "5K", "5G", "5GB", "-1", "x", "NaN", "Inf", "9000PiB", "9223372036854775807"} {
		if s, err := ParseSize(text); err == nil {
			t.Errorf("%q is taken as %d", text, s)
		}
	}
	for s, want := range map[Size]string{0: "0B", 1000: "1000B", 3 << 19: "1536KiB", 2 << 30: "2GiB"} {
		if got := s.String(); got != want {
			t.Errorf("%d is written %q, want %q", s, got, want)
		}
	}
}

func TestDates(t *testing.T) {
	d, err := ParseDate("2027-01-31")
	if err != nil || !d.Equal(time.Date(2027, 1, 31, 23, 59, 59, 0, time.UTC)) {
		t.Errorf("%v, %v", d, err)
	}
	again, err := ParseDate(d.String())
	if err != nil || !again.Equal(d.Time) {
		t.Errorf("%v, %v", again, err)
	}
	if _, err := ParseDate("31.1.2027"); err == nil {
		t.Error("another order of day and month is taken")
	}
}

// What is written is read again as the same value.
func FuzzValues(f *testing.F) {
	for _, s := range []string{"0", "90s", "1h30m", "7d", "64MiB", "1.5GiB", "2027-01-31", "-1", "9e99PiB", "1w2d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := ParseDuration(s); err == nil {
			whole := Duration(d.Std().Truncate(time.Millisecond))
			if again, err := ParseDuration(whole.String()); err != nil || again != whole || d < 0 {
				t.Errorf("%q: %v is read as %v, %v", s, whole, again, err)
			}
		}
		if n, err := ParseSize(s); err == nil && n < math.MaxInt64>>12 {
			if again, err := ParseSize(n.String()); err != nil || again != n || n < 0 {
				t.Errorf("%q: %v is read as %v, %v", s, n, again, err)
			}
		}
	})
}

// No file crashes the loader, and what it takes passes the check again.
func FuzzLoad(f *testing.F) {
	f.Add("cache: {fresh: 5m}\n", "LARDER_OFFLINE=true")
	f.Add("upstreams:\n  npm: {url: 'https://${A}', auth: {type: basic, username: x}}\n", "LARDER_UPSTREAMS_A_B_URL=x")
	f.Add("policy: {claims: [{id: a, match: ['@a/**'], repository: a/b}], rules: [], waivers: [{}]}\n", "LARDER_POLICY_RULES=[{id: a}]")
	f.Add("a: &a [*a]\n", "LARDER_=")
	f.Add("registries: null\n---\nx", "LARDER_REGISTRIES_X_HOSTS=a,b")
	f.Fuzz(func(t *testing.T, text, pair string) {
		if len(text) > 4096 {
			return
		}
		l, err := Load(Source{File: write(t, text), Env: []string{pair}, Formats: formats()})
		if err != nil {
			return
		}
		if _, err := l.Check(formats()); err != nil {
			t.Errorf("%q with %q was taken: %v", text, pair, err)
		}
		if len(l.Values()) == 0 {
			t.Error("no values")
		}
	})
}

func TestParseNetwork(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.1": "10.0.0.1/32", "10.0.0.9/8": "10.0.0.0/8", "::1": "::1/128", "fd00::7/8": "fd00::/8", "fe80::1%eth0": "fe80::1/128",
		"::ffff:10.0.0.1": "10.0.0.1/32", "::ffff:10.0.0.9/104": "10.0.0.0/8", "::ffff:0.0.0.0/96": "0.0.0.0/0", "::ffff:a00:1": "10.0.0.1/32",
		"::ffff:10.0.0.1/64": "", "10.0.0.0/33": "", "proxy.example": "", "": "", "10.0.0.1/": "", "fe80::1%eth0/64": "",
	} {
		got, err := ParseNetwork(text)
		if (err == nil) != (want != "") || err == nil && got.String() != want {
			t.Errorf("%q: %v, %v; want %q", text, got, err, want)
		}
	}
}
