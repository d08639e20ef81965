package bearer

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestParseToken(t *testing.T) {
	for body, want := range map[string]struct {
		text string
		life time.Duration
	}{
		`{"token":"t","access_token":"a","expires_in":300}`: {"t", 300 * time.Second},
		`{"access_token":"a"}`:                              {"a", assumedLife},
		`{"token":"","access_token":"a"}`:                   {"a", assumedLife},
		`{"token":"t","expires_in":null}`:                   {"t", assumedLife},
		`{"token":"t","expires_in":"120"}`:                  {"t", 120 * time.Second},
		`{"token":"t","expires_in":0.5}`:                    {"t", 500 * time.Millisecond},
		`{"token":"t","expires_in":0}`:                      {"t", assumedLife},
		`{"token":"t","expires_in":-5}`:                     {"t", assumedLife},
		`{"token":"t","expires_in":-1e999}`:                 {"t", assumedLife},
		`{"token":"t","expires_in":1e300}`:                  {"t", maxLife},
		`{"token":"t","expires_in":1e999}`:                  {"t", maxLife},
		`{"token":"t","expires_in":"NaN"}`:                  {"t", assumedLife},
		`{"token":"t","expires_in":{"a":1}}`:                {"t", assumedLife},
		`{"token":"a.b-c_d~e+f/g="}`:                        {"a.b-c_d~e+f/g=", assumedLife},
	} {
		text, life, err := readToken(strings.NewReader(body))
		if err != nil || text != want.text || life != want.life {
			t.Errorf("%s: %q for %v, %v", body, text, life, err)
		}
	}
	for name, body := range map[string]string{
		"nothing":            "",
		"no JSON":            "<html>",
		"half":               `{"token":"t"`,
		"a list":             `["t"]`,
		"another type":       `{"token":5}`,
		"none":               `{"expires_in":5}`,
		"null":               `null`,
		"a blank":            `{"token":"a b"}`,
		"a line break":       `{"token":"a\r\nX-Own: b"}`,
		"a zero":             `{"token":"a\u0000"}`,
		"no ASCII":           `{"token":"\u00fc"}`,
		"a long one":         `{"token":"` + strings.Repeat("x", maxToken+1) + `"}`,
		"a megabyte":         `{"token":"t","x":"` + strings.Repeat("x", 1<<20) + `"}`,
		"a megabyte, broken": strings.Repeat("[", 1<<20),
	} {
		if text, _, err := readToken(strings.NewReader(body)); err == nil {
			t.Errorf("%s: took %q", name, text)
		} else if len(err.Error()) > 100 {
			t.Errorf("%s: the error repeats the answer: %v", name, err)
		}
	}
	if _, _, err := readToken(iotest.ErrReader(io.ErrUnexpectedEOF)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a body that broke off: %v", err)
	}
}

func FuzzToken(f *testing.F) {
	for _, s := range []string{`{"token":"t","access_token":"a","expires_in":300}`, `{"access_token":"a\n","expires_in":"1e300"}`, `[]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		text, life, err := parseToken(body)
		if err != nil {
			return
		}
		if text == "" || len(text) > maxToken || strings.Trim(text, "!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~") != "" {
			t.Errorf("%q gives the token %q", body, text)
		}
		if life < 0 || life > maxLife {
			t.Errorf("%q is good for %v", body, life)
		}
	})
}

func TestTheWalletIsBounded(t *testing.T) {
	w := wallet{held: map[string]*token{}}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i := range 3 * maxHeld {
		now = now.Add(time.Second)
		w.put(strings.Repeat("x", i), &token{got: now, until: now.Add(time.Minute)})
		if len(w.held) > maxHeld {
			t.Fatalf("%d tokens are held", len(w.held))
		}
		if got, _, ok := w.get(strings.Repeat("x", i)); !ok || !got.got.Equal(now) {
			t.Fatal("the last one is not held")
		}
	}
	for i := range maxHeld {
		w.put(strings.Repeat("y", i+1), &token{got: now, until: now.Add(time.Hour)})
	}
	if len(w.held) != maxHeld {
		t.Errorf("%d tokens are held", len(w.held))
	}
}
