package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"testing"
)

func TestNewHasTheForm(t *testing.T) {
	form := regexp.MustCompile(`^ldr[prj]_[0-9A-Za-z]{36}$`)
	seen := map[string]bool{}
	for _, kind := range []Kind{Personal, Robot, Job} {
		for range 200 {
			s, err := New(kind)
			if err != nil {
				t.Fatal(err)
			}
			text := s.Reveal()
			if !form.MatchString(text) || s.Kind() != kind || seen[text] {
				t.Fatalf("kind %s gave a token of the wrong form, kind or twice", kind)
			}
			seen[text] = true
			back, err := Parse(text)
			if err != nil || back.Reveal() != text || back.Digest() != s.Digest() {
				t.Fatalf("a new token does not parse: %v", err)
			}
			if !strings.HasPrefix(text, s.Hint()) || len(s.Hint()) != 9 || !strings.HasSuffix(text, s.Last4()) {
				t.Fatalf("hint %q, last four %q", s.Hint(), s.Last4())
			}
		}
	}
	for _, kind := range []Kind{"ldrq", "", Bearer} {
		if _, err := New(kind); err == nil {
			t.Errorf("the kind %q was accepted", kind)
		}
	}
}

// The checksum is fixed by its definition, so that scanners outside can confirm
// a leak: CRC32 of "123456789" is cbf43926.
func TestChecksumIsTheDocumentedOne(t *testing.T) {
	got := sum("123456789")
	v := uint64(0)
	for _, c := range got {
		v = v*62 + uint64(strings.IndexRune("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", c))
	}
	if v != 0xcbf43926 || len(got) != 6 {
		t.Errorf("checksum %q reads as %x", got, v)
	}
	if zero := sum(""); zero != "000000" {
		t.Errorf("a checksum of zero is %q, want it padded", zero)
	}
}

func TestParseRefusesGarbage(t *testing.T) {
	good, err := New(Personal)
	if err != nil {
		t.Fatal(err)
	}
	text := good.Reveal()
	changed := []byte(text)
	for i := range changed {
		old := changed[i]
		changed[i] = 'a'
		if old == 'a' {
			changed[i] = 'b'
		}
		if _, err := Parse(string(changed)); !errors.Is(err, ErrMalformed) {
			t.Errorf("a token with character %d changed was accepted", i)
		}
		changed[i] = old
	}
	for _, bad := range []string{
		"", "ldrp_", text[:40], text + "0", " " + text, text + "\n", strings.ToUpper(text),
		"ldrz" + text[4:], "ldrp-" + text[5:], "ldrp_" + strings.Repeat("é", 18), strings.Repeat("a", 41),
	} {
		if _, err := Parse(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestSecretNeverPrints(t *testing.T) {
	s, err := New(Robot)
	if err != nil {
		t.Fatal(err)
	}
	type holder struct {
		S Secret
		P *Secret
	}
	// Nothing asks an unexported field how it prints.
	type keeper struct {
		s  Secret
		in []Secret
	}
	h, k := holder{s, &s}, keeper{s, []Secret{s}}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T %v"} {
		fmt.Fprintf(&out, verb+"\n", s)
		fmt.Fprintf(&out, verb+"\n", &s)
		fmt.Fprintf(&out, verb+"\n", h)
		fmt.Fprintf(&out, verb+"\n", k)
		fmt.Fprintf(&out, verb+"\n", &k)
		fmt.Fprintf(&out, verb+"\n", []Secret{s})
		fmt.Fprintf(&out, verb+"\n", map[Secret]int{s: 1})
	}
	b, err := json.Marshal(map[string]any{"a": h, "b": map[Secret]int{s: 1}})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(b)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "secret", s, "holder", h)
	fmt.Fprintln(&out, s.String(), s.GoString(), errors.New("with "+fmt.Sprint(s)))
	body := s.Reveal()[5:]
	if strings.Contains(out.String(), body) || strings.Contains(out.String(), fmt.Sprintf("%x", body)) {
		t.Errorf("the secret was printed:\n%s", out.String())
	}
	if !strings.Contains(out.String(), redacted) {
		t.Error("nothing was printed in its place")
	}
	if s.IsZero() || !(Secret{}).IsZero() || (Secret{}).Kind() != "" || (Secret{}).Hint() != "" || (Secret{}).Last4() != "" {
		t.Error("the zero value is no token")
	}
}

// Bytes beyond 247 would make the first eight digits likelier than the others.
func TestRandomDigitsAreFair(t *testing.T) {
	got, err := randomDigits(bytes.NewReader([]byte{255, 248, 0, 247, 61, 62, 250, 1, 2}), 3)
	if err != nil || got != "0zz" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := randomDigits(bytes.NewReader(nil), 3); !errors.Is(err, io.EOF) {
		t.Errorf("no randomness gave %v", err)
	}
}

func FuzzParse(f *testing.F) {
	s, err := New(Job)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(s.Reveal())
	f.Add("ldrp_000000000000000000000000000000000000")
	f.Add("ldrx_")
	f.Fuzz(func(t *testing.T, in string) {
		s, err := Parse(in)
		if err != nil {
			if !s.IsZero() || err != ErrMalformed {
				t.Fatalf("refused %q, but returned a secret, or more than the plain error", in)
			}
			return
		}
		if s.Reveal() != in || len(in) != Length || !s.Kind().Valid() {
			t.Fatalf("accepted %q as something else", in)
		}
	})
}
