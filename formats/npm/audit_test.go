package npm

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"larder/formats"
)

func zipped(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestReadBody(t *testing.T) {
	for name, in := range map[string][]byte{"plain": []byte("{}"), "zipped": zipped(t, []byte("{}"))} {
		if got, err := ReadBody(iotest.OneByteReader(bytes.NewReader(in))); err != nil || string(got) != "{}" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if got, err := ReadBody(strings.NewReader("")); err != nil || len(got) != 0 {
		t.Errorf("empty: %q, %v", got, err)
	}
	large := zipped(t, make([]byte, maxAudit+1))
	if _, err := ReadBody(bytes.NewReader(large)); !errors.Is(err, formats.ErrTooLarge) {
		t.Errorf("large: %v", err)
	}
	for _, broken := range [][]byte{{0x1f, 0x8b}, large[:50]} {
		if _, err := ReadBody(bytes.NewReader(broken)); !errors.Is(err, formats.ErrBadRequest) {
			t.Errorf("broken: %v", err)
		}
	}
	cut := errors.New("cut")
	if _, err := ReadBody(io.MultiReader(strings.NewReader("{}"), iotest.ErrReader(cut))); !errors.Is(err, cut) {
		t.Errorf("cut: %v", err)
	}
}

func TestBulk(t *testing.T) {
	b, err := ParseBulk([]byte(` {"z":["2.0.0","1.0.0"],"@acme/secret":["1.0.0"],"a":[]} `))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(b.Names(), " "); got != "@acme/secret a z" {
		t.Errorf("%s", got)
	}
	body, left := b.Encode(func(name string) bool { return strings.HasPrefix(name, "@acme/") })
	if string(body) != `{"a":[],"z":["1.0.0","2.0.0"]}` || !left {
		t.Errorf("%s, %v", body, left)
	}
	if body, left = b.Encode(func(string) bool { return true }); string(body) != `{}` || left {
		t.Errorf("%s, %v", body, left)
	}
	for _, body := range []string{``, `[]`, `{"a":[1]}`, `{"a":["1"]`, `{"a":["1"],"a":[]}`} {
		if _, err := ParseBulk([]byte(body)); !errors.Is(err, formats.ErrBadRequest) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestMergeBulk(t *testing.T) {
	got, err := MergeBulk([]byte(`{"b":[{"id":1,"t":"x"}],"a":[{"id":2}]}`), []byte(`{}`), []byte(`{"b":[{"id":1,"t":"y"},{"id":3}],"c":[{}, {}]}`))
	if err != nil || string(got) != `{"a":[{"id":2}],"b":[{"id":1,"t":"x"},{"id":3}],"c":[{},{}]}` {
		t.Errorf("%s, %v", got, err)
	}
	for _, broken := range []string{`[]`, `{`, `<html>`} {
		if _, err := MergeBulk([]byte(broken)); !errors.Is(err, ErrDocument) {
			t.Errorf("%s: %v", broken, err)
		}
	}
}

func TestFilterQuick(t *testing.T) {
	body := `{"name":"@acme/app","version":"1.0.0","requires":{"a":"^1","@acme/x":"^1"},"install":["a@1.0.0","@acme/x@2"],"remove":[],
	"dependencies":{"a":{"version":"1.0.0","requires":{"@acme/x":"1","b":"2"},"dependencies":{"@acme/x":{"version":"1"},"b":{"version":"2","requires":true}}},"@acme/x":{"version":"2.0.0","dependencies":{"c":{"version":"1"}}}},
	"metadata":{"npm_version":"6"}}`
	names, err := QuickNames([]byte(body))
	if err != nil || strings.Join(names, " ") != "@acme/app @acme/x a b c" {
		t.Errorf("%v, %v", names, err)
	}
	got, err := FilterQuick([]byte(body), func(name string) bool { return strings.HasPrefix(name, "@acme/") })
	want := `{"version":"1.0.0","requires":{"a":"^1"},"install":["a@1.0.0"],"remove":[],` +
		`"dependencies":{"a":{"version":"1.0.0","requires":{"b":"2"},"dependencies":{"b":{"version":"2","requires":true}}}},"metadata":{"npm_version":"6"}}`
	if err != nil || string(got.Asked) != want {
		t.Errorf("%s, %v\nwant %s", got.Asked, err, want)
	}
	deep := strings.Repeat(`{"dependencies":{"a":`, 300) + `{}` + strings.Repeat(`}}`, 300)
	for _, broken := range []string{``, `[]`, `{`, deep} {
		if _, err := FilterQuick([]byte(broken), func(string) bool { return false }); !errors.Is(err, formats.ErrBadRequest) {
			t.Errorf("%.50s: %v", broken, err)
		}
	}
}

func FuzzAudit(f *testing.F) {
	f.Add([]byte(`{"a":["1.0.0"],"@s/b":["2"]}`))
	f.Add([]byte(`{"":["1.0.0"]}`))
	f.Add([]byte(`{"name":"secret","requires":{"secret":"1"},"dependencies":{"secret":{},"a":{"requires":{"secret":"1"}}},"install":["secret@1"]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		drop := func(name string) bool { return strings.Contains(name, "secret") }
		if b, err := ParseBulk(body); err == nil {
			out, _ := b.Encode(drop)
			if again, err := ParseBulk(out); err != nil || len(again) > len(b) {
				t.Errorf("%q: %v", out, err)
			}
		}
		if q, err := FilterQuick(body, drop); err == nil {
			out := q.Asked
			names, err := QuickNames(out)
			if err != nil {
				t.Fatalf("%v in %q", err, out)
			}
			for _, n := range names {
				if drop(n) {
					t.Errorf("%q is left in %q", n, out)
				}
			}
		}
		if _, err := MergeBulk(body, body); err != nil && !errors.Is(err, ErrDocument) {
			t.Error(err)
		}
		if _, _, err := ReadSearch(body); err != nil && !errors.Is(err, ErrDocument) {
			t.Error(err)
		}
	})
}
