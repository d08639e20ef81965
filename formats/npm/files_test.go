package npm

import (
	"bytes"
	"strings"
	"testing"

	"larder/cache"
)

func TestWriteFiles(t *testing.T) {
	index := rendered(t, WriteFiles, upstreamDoc, view("@s/n"))
	want := strings.Join([]string{
		"n-1.0.0.tgz\t1.0.0\t-\t" + sha1Zero + "\thttps://upstream.example/download/@s/n/1.0.0/abc\t2020-01-01T00:00:00.000Z",
		"n-1.1.0.tgz\t1.1.0\t" + sha512Zero + "\t" + sha1Zero + "\thttps://upstream.example/@s/n/-/n-1.1.0.tgz\t2021-01-01T00:00:00.000Z",
		"n-2.0.0-beta.1.tgz\t2.0.0-beta.1\t-\t-\t-\t-",
		"n-2.0.0-beta.2.tgz\t2.0.0-beta.2\t-\t-\thttps://upstream.example/@s/n/-/n-2.0.0-beta.2.tgz\t-",
	}, "\n") + "\n"
	if index != want {
		t.Fatalf("got\n%s\nwant\n%s", index, want)
	}
	f, ok := FindVersion([]byte(index), "@s/n", "1.1.0")
	if !ok || f.File != "n-1.1.0.tgz" || len(f.Sums()) != 1 || f.Sums()[0].Algorithm != cache.SHA512 || len(f.Sums()[0].Value) != 64 {
		t.Errorf("%+v, %v", f, ok)
	}
	f, ok = FindFile([]byte(index), "n-1.0.0.tgz")
	if !ok || f.Integrity != "" || len(f.Sums()) != 1 || f.Sums()[0].Algorithm != cache.SHA1 || f.Published.Year() != 2020 {
		t.Errorf("%+v, %v", f, ok)
	}
	if f, ok = FindFile([]byte(index), "n-2.0.0-beta.1.tgz"); !ok || f.Sums() != nil || f.URL != "" || !f.Published.IsZero() {
		t.Errorf("%+v, %v", f, ok)
	}
	for _, absent := range []string{"", "a", "n-1.0.0", "n-1.0.0.tgz\t1.0.0", "n-1.0.1.tgz", "z", "\n"} {
		if f, ok := FindFile([]byte(index), absent); ok {
			t.Errorf("%q is found as %+v", absent, f)
		}
	}
	if _, ok := FindVersion([]byte(index), "@s/n", "../x"); ok {
		t.Errorf("an unsafe version is found")
	}
	if _, ok := FindFile(nil, "x"); ok {
		t.Errorf("found in nothing")
	}
}

func TestFindFileInMany(t *testing.T) {
	index := []byte(rendered(t, WriteFiles, generated(300), view("pkg")))
	n := 0
	for f := range Files(index) {
		if got, ok := FindFile(index, f.File); !ok || got != f {
			t.Errorf("%s is found as %+v", f.File, got)
		}
		n++
	}
	if n != 300 {
		t.Errorf("%d files", n)
	}
}

// TestSmuggling: nothing an upstream writes can forge a line or a path.
func TestSmuggling(t *testing.T) {
	doc := `{"name":"n","versions":{
	 "1.0.0\nevil.tgz":{"dist":{"tarball":"https://upstream.example/a"}},
	 "../../1.0.0":{"dist":{"tarball":"https://upstream.example/b"}},
	 "1.0.0":{"dist":{"tarball":"https://upstream.example/c\tx\ny","integrity":"sha512-AA== \tsha1-AA==","shasum":"zz\t1"}},
	 "1.0.1":{"dist":{"tarball":"file:///etc/passwd"}},
	 "1.0.2":{"dist":{"tarball":"//upstream.example/d"}},
	 "1.0.3":{"dist":{"tarball":"https://user:pw@upstream.example/e"}},
	 "1.0.4":{"dist":{"tarball":"https://upstream.example/f#x"}}}}`
	index := []byte(rendered(t, WriteFiles, doc, view("n")))
	var got []string
	for f := range Files(index) {
		got = append(got, f.File+" "+f.URL+" "+f.Integrity+" "+f.Shasum)
	}
	want := "n-1.0.0.tgz   |n-1.0.1.tgz   |n-1.0.2.tgz   |n-1.0.3.tgz   |n-1.0.4.tgz https://upstream.example/f  "
	if strings.Join(got, "|") != want {
		t.Errorf("%s", index)
	}
	full := decoded(t, rendered(t, WriteFull, doc, view("n")))
	if got := dig(full, "versions", "../../1.0.0", "dist", "tarball"); got != base+"n/-/n-..%2F..%2F1.0.0.tgz" {
		t.Errorf("tarball of an unsafe version: %v", got)
	}
}

func TestStrongest(t *testing.T) {
	sha1 := "sha1-AAAAAAAAAAAAAAAAAAAAAAAAAAA="
	sha256 := "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	for in, want := range map[string]string{
		"":                             "",
		sha1:                           sha1,
		sha1 + " " + sha256:            sha256,
		sha512Zero + "?opt " + sha1:    sha512Zero,
		sha1 + "\n" + sha512Zero:       sha512Zero,
		"sha384-AAAA " + sha1:          sha1,
		"sha512-AAAA":                  "",
		"sha512-!" + sha512Zero:        "",
		"md5-AAAAAAAAAAAAAAAAAAAAAA==": "",
	} {
		if got := strongest(in); got != want {
			t.Errorf("strongest(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzFindFile(f *testing.F) {
	f.Add([]byte("a\t1\t-\t-\t-\t-\nb\t1\t-\t-\t-\t-\n"), "b")
	f.Add([]byte("\n\n\n"), "")
	f.Fuzz(func(t *testing.T, index []byte, file string) {
		got, ok := FindFile(index, file)
		if ok && got.File != file && file != "-" {
			t.Errorf("%q found for %q", got.File, file)
		}
		if ok && !bytes.Contains(index, []byte(file)) {
			t.Errorf("%q is not in the index", file)
		}
	})
}
