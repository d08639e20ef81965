package bearer

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"larder/policy"
	"larder/policy/token"
)

func now() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func ring(t testing.TB, at time.Time) Ring {
	t.Helper()
	r, err := Ring{}.Rotate(at)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func claims() Claims {
	parent := sha256.Sum256([]byte("ldrp_x"))
	return Claims{
		Parent: parent[:], Issued: now(), Expires: now().Add(Life),
		Grants: []policy.Grant{{Format: "oci", Package: "acme/app", Actions: []policy.Action{policy.Read, policy.Publish}}, {Format: "oci", Actions: []policy.Action{policy.Open}}},
	}
}

func mint(t testing.TB, r Ring, c Claims) string {
	t.Helper()
	text, err := r.Mint(c)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestWhatIsMintedIsRead(t *testing.T) {
	r := ring(t, now())
	for name, c := range map[string]Claims{"a user": claims(), "nobody": {Parent: []byte{}, Issued: now(), Expires: now().Add(time.Second)}} {
		text := mint(t, r, c)
		if !Is(text) || token.Redact("<"+text+">") != "<ldrx_redacted>" {
			t.Errorf("%s: %q is not taken for a token of this kind", name, text)
		}
		if got, err := r.Open(text, now()); err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if _, err := r.Open(text, c.Expires.Add(-time.Nanosecond)); err != nil {
			t.Errorf("%s: before its end: %v", name, err)
		}
		if _, err := r.Open(text, c.Expires); err != ErrExpired {
			t.Errorf("%s: at its end: %v", name, err)
		}
		if _, err := r.Open(text, now().Add(-Life-time.Second)); err != ErrExpired {
			t.Errorf("%s: after the clock was put back: %v", name, err)
		}
	}
	if _, err := (Ring{}).Mint(claims()); err == nil {
		t.Error("signed without a key")
	}
}

// Every character counts, and so does the key.
func TestForged(t *testing.T) {
	r := ring(t, now())
	text := mint(t, r, claims())
	for i := range text {
		for _, c := range []byte("A.-") {
			if text[i] == c {
				continue
			}
			changed := text[:i] + string(c) + text[i+1:]
			if _, err := r.Open(changed, now()); err != ErrForged {
				t.Fatalf("character %d changed to %c: %v", i, c, err)
			}
		}
	}
	other := ring(t, now())
	signed, sum, _ := strings.Cut(text, ".")
	stored, err := token.New(token.Personal)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"key of another": mint(t, other, claims()), "no sum": signed, "empty sum": signed + ".", "sum twice": text + "." + sum,
		"cut": text[:len(text)-1], "longer": text + "A", "new line": text + "\n", "padded": text + "=",
		"empty": "", "prefix": prefix, "nothing signed": prefix + "." + sum, "other kind": "ldrp" + text[4:], "stored": stored.Reveal(), "as a stored one": "ldrx" + stored.Reveal()[4:],
	} {
		if _, err := r.Open(bad, now()); err != ErrForged {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := (Ring{}).Open(bad, now()); err != ErrForged {
			t.Errorf("%s, without keys: %v", name, err)
		}
	}
}

// What the key has signed for another key, or is not the object, is none.
func TestSignedRubbish(t *testing.T) {
	r := ring(t, now())
	k := r.keys[0]
	parent := strings.Repeat("0a", sha256.Size)
	for _, body := range []string{
		"", "{}", "\n\n\n", k.ID, k.ID + "\n\n1", "other\n\n0\n99999999999", k.ID + "\n0a\n0\n99999999999", k.ID + "\nxx\n0\n99999999999",
		k.ID + "\n\nx\n99999999999", k.ID + "\n\n0\nx", k.ID + "\n" + parent + "\n0\n99999999999\n", k.ID + "\n" + parent + "\n0\n99999999999999999999",
	} {
		signed := base64.RawURLEncoding.EncodeToString([]byte(body))
		text := prefix + signed + "." + k.sign(signed)
		if _, err := r.Open(text, now()); err != ErrForged {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestRotation(t *testing.T) {
	if !(Ring{}).Due(now()) {
		t.Error("no key is no key")
	}
	first := ring(t, now())
	if first.Due(now()) || first.Due(now().Add(Rotation-time.Second)) || !first.Due(now().Add(Rotation)) || !first.Due(now().Add(-time.Second)) {
		t.Error("a key signs as long as it may, and none that was made in the future")
	}
	old := mint(t, first, claims())
	second, err := first.Rotate(now().Add(Rotation))
	if err != nil {
		t.Fatal(err)
	}
	third, err := second.Rotate(now().Add(2 * Rotation))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.Open(old, now()); err != nil {
		t.Errorf("signed with the key before: %v", err)
	}
	if _, err := third.Open(old, now()); err != ErrForged {
		t.Errorf("signed with the key before the one before: %v", err)
	}
	if _, err := first.Open(mint(t, second, claims()), now()); err != ErrForged {
		t.Errorf("signed with the next key: %v", err)
	}
	if len(first.keys) != 1 || len(third.keys) != 2 {
		t.Errorf("%d and %d keys", len(first.keys), len(third.keys))
	}
}

func TestStoredRing(t *testing.T) {
	r := ring(t, now())
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := back.Open(mint(t, r, claims()), now()); err != nil || back.Due(now()) {
		t.Errorf("another ring came back: %v", err)
	}
	for _, bad := range []string{"", "{}", "[null]", `[{"id":"a"}]`, `[{"id":"a","secret":"AAAA"}]`, `[{"secret":"AAAA"}]`} {
		if _, err := Decode([]byte(bad)); err == nil {
			t.Errorf("%q was taken for a ring", bad)
		}
	}
}

// A key must not get into a log by whoever prints what holds it.
func TestKeysDoNotPrint(t *testing.T) {
	r := ring(t, now())
	holder := struct {
		R  Ring
		in []Ring
	}{r, []Ring{r}}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		fmt.Fprintf(&out, verb+verb, r, holder)
	}
	if err := json.NewEncoder(&out).Encode(holder); err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{fmt.Sprintf("%x", *r.keys[0].Secret), fmt.Sprint(*r.keys[0].Secret), base64.StdEncoding.EncodeToString(*r.keys[0].Secret)} {
		if strings.Contains(out.String(), strings.Trim(form, "[]")) {
			t.Errorf("a key was printed: %s", out.String())
		}
	}
}

// A token has to fit into a header whatever was asked for.
func TestGrantsAreCapped(t *testing.T) {
	c := claims()
	c.Grants = nil
	for i := range 100 {
		c.Grants = append(c.Grants, policy.Grant{Format: "oci", Package: fmt.Sprintf("%0200d", i), Actions: []policy.Action{policy.Read, policy.Publish, policy.Delete}})
	}
	r := ring(t, now())
	text := mint(t, r, c)
	got, err := r.Open(text, now())
	if err != nil || len(text) > 12<<10 || len(got.Grants) == 0 || len(got.Grants) == 100 || !reflect.DeepEqual(got.Grants, c.Grants[:len(got.Grants)]) {
		t.Errorf("%d bytes, %d grants, %v", len(text), len(got.Grants), err)
	}
}

// What is no name cannot make a grant of its own out of a part of itself.
func TestNamesDoNotSplit(t *testing.T) {
	c := claims()
	c.Grants = []policy.Grant{{Format: "oci", Package: "a\noci\tb", Actions: []policy.Action{policy.Read}}, {Format: "oci", Package: "a\tread"}}
	r := ring(t, now())
	if got, err := r.Open(mint(t, r, c), now()); err != nil || got.Grants != nil {
		t.Errorf("%+v, %v", got.Grants, err)
	}
}

func FuzzOpen(f *testing.F) {
	r := ring(f, now())
	f.Add(mint(f, r, claims()))
	f.Add(prefix + "e30.e30")
	f.Add("ldrx_")
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := ring(t, now()).Open(s, now()); !errors.Is(err, ErrForged) {
			t.Fatalf("%q: %v", s, err)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	r := ring(b, now())
	text := mint(b, r, claims())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Open(text, now()); err != nil {
			b.Fatal(err)
		}
	}
}
