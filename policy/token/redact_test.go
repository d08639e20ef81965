package token

import (
	"strings"
	"testing"
)

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"":                       "",
		"ldr":                    "ldr",
		"ldrp_":                  "ldrp_",
		"ldrp_abc/x":             "ldrp_redacted/x",
		"a ldrr_1 b ldrj_2_3":    "a ldrr_redacted b ldrj_redacted",
		"ldrq_abc":               "ldrq_abc",
		"ldrldrx_abc":            "ldrldrx_redacted",
		"ldrp-abc ldrp_abc.tgz ": "ldrp-abc ldrp_redacted.tgz ",
		// Those that are signed have more than digits in them.
		"<ldrx_eyJ-_9.b-_Z>":         "<ldrx_redacted>",
		"ldrx_abc, ldrx_a.b. ldrx_-": "ldrx_redacted, ldrx_redacted. ldrx_redacted",
		"a/ldrx_abc/..":              "a/ldrx_redacted/..",
		"ldrp_a-b ldrr_a.b":          "ldrp_redacted-b ldrr_redacted.b",
	} {
		if got := Redact(in); got != want {
			t.Errorf("Redact(%q) = %q, want %q", in, got, want)
		}
	}
}

// Every kind of token there is must be found.
func TestRedactKnowsEveryKind(t *testing.T) {
	for _, kind := range []Kind{Personal, Robot, Job, Bearer} {
		secret, err := New(Personal)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := Redact("<"+string(kind)+secret.Reveal()[prefix-1:]+">"), "<"+string(kind)+"_redacted>"; got != want {
			t.Errorf("kind %s: %q, want %q", kind, got, want)
		}
	}
}

func FuzzRedact(f *testing.F) {
	for _, seed := range []string{"ldrp_abc", "ldrldrp_x", "xldrp_", "ldr"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got := Redact(s); Redact(got) != got {
			t.Errorf("Redact(%q) = %q is not final", s, got)
		}
		if got := Redact(s + " ldrp_SECRET"); strings.Contains(got, "ldrp_SECRET") {
			t.Errorf("a token survives behind %q: %q", s, got)
		}
	})
}
