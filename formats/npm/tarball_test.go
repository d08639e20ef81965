package npm

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"larder/formats"
)

type entry struct {
	name, body string
	kind       byte
}

func pack(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: 0o644, Size: int64(len(e.body)), Typeflag: tar.TypeReg}
		if e.kind != 0 {
			h.Typeflag, h.Size, h.Linkname = e.kind, 0, "package/x"
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			if _, err := io.WriteString(w, e.body); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestInspect(t *testing.T) {
	plain := `{"name":"n","version":"1.0.0"}`
	for _, c := range []struct {
		name    string
		entries []entry
		want    TarballInfo // PackageJSON left out
	}{
		{"plain", []entry{{"package/package.json", plain, 0}, {"package/index.js", "12345", 0}},
			TarballInfo{FileCount: 2, UnpackedSize: 35}},
		{"other folder, readmes", []entry{{"n-1.0.0/readme", "r", 0}, {"n-1.0.0/package.json", plain, 0}, {"n-1.0.0/README.md", "r", 0}, {"n-1.0.0/readme.txt", "", 0}, {"n-1.0.0/x/README.md", "", 0}},
			TarballInfo{FileCount: 5, UnpackedSize: 32, Readme: "README.md"}},
		{"directories and links", []entry{{"package/", "", tar.TypeDir}, {"package/package.json", plain, 0}, {"package/l", "", tar.TypeSymlink}},
			TarballInfo{FileCount: 1, UnpackedSize: 30}},
		{"script", []entry{{"package/package.json", `{"name":"n","version":"1.0.0","scripts":{"postinstall":"x"}}`, 0}},
			TarballInfo{FileCount: 1, UnpackedSize: 60, HasInstallScript: true}},
		{"other scripts", []entry{{"package/package.json", `{"name":"n","version":"1.0.0","scripts":{"test":"","install":""}}`, 0}},
			TarballInfo{FileCount: 1, UnpackedSize: 65}},
		{"gyp, shrinkwrap", []entry{{"package/package.json", plain, 0}, {"package/binding.gyp", "", 0}, {"package/npm-shrinkwrap.json", "", 0}},
			TarballInfo{FileCount: 3, UnpackedSize: 30, HasInstallScript: true, HasShrinkwrap: true}},
		{"gypfile false", []entry{{"package/package.json", `{"name":"n","version":"1.0.0","gypfile":false}`, 0}, {"package/binding.gyp", "", 0}, {"package/x/npm-shrinkwrap.json", "", 0}},
			TarballInfo{FileCount: 3, UnpackedSize: 46}},
		{"byte order mark", []entry{{"package/package.json", "\ufeff" + plain, 0}, {"package/sub/package.json", "no json", 0}},
			TarballInfo{FileCount: 2, UnpackedSize: 40}},
	} {
		got, err := Inspect(bytes.NewReader(pack(t, c.entries...)))
		if err == nil {
			err = got.Matches(&Publication{Name: "n", Version: "1.0.0"})
		}
		got.PackageJSON = nil
		c.want.Name, c.want.Version = "n", "1.0.0"
		if err != nil || !sameInfo(got, c.want) {
			t.Errorf("%s: %+v, %v\nwant %+v", c.name, got, err, c.want)
		}
	}
}

func sameInfo(a, b TarballInfo) bool {
	return a.Name == b.Name && a.Version == b.Version && a.HasInstallScript == b.HasInstallScript && a.HasShrinkwrap == b.HasShrinkwrap &&
		a.FileCount == b.FileCount && a.UnpackedSize == b.UnpackedSize && a.Readme == b.Readme
}

func TestInspectRefuses(t *testing.T) {
	ok := entry{"package/package.json", `{"name":"n","version":"1.0.0"}`, 0}
	good := pack(t, ok)
	deep := strings.Repeat("[", 70) + strings.Repeat("]", 70)
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "not a gzipped tar"},
		{"text", []byte("hello"), "not a gzipped tar"},
		{"cut", good[:len(good)-12], "not a gzipped tar"},
		{"garbage after", append(bytes.Clone(good), "garbage that is no member"...), "not a gzipped tar"},
		{"no package.json", pack(t, entry{"package/x", "", 0}), "no package/package.json"},
		{"at the root", pack(t, entry{"package.json", `{}`, 0}), "no package/package.json"},
		{"twice", pack(t, ok, ok), "two package.json"},
		{"in two folders", pack(t, ok, entry{"other/package.json", `{}`, 0}), "two package.json"},
		{"a link", pack(t, entry{"package/package.json", "", tar.TypeSymlink}), "is not a file"},
		{"not JSON", pack(t, entry{"package/package.json", `{`, 0}), "not a JSON object"},
		{"a list", pack(t, entry{"package/package.json", `[]`, 0}), "not a JSON object"},
		{"duplicate", pack(t, entry{"package/package.json", `{"name":"n","name":"m"}`, 0}), "not a JSON object"},
		{"deep", pack(t, entry{"package/package.json", `{"a":` + deep + `}`, 0}), "not a JSON object"},
		{"large", pack(t, entry{"package/package.json", strings.Repeat(" ", maxPackageJSON+1), 0}), "larger than 4 MiB"},
		{"dots", pack(t, ok, entry{"package/../../x", "", 0}), "entry with the path"},
		{"dots with backslashes", pack(t, ok, entry{`package\..\..\x`, "", 0}), "entry with the path"},
		{"absolute", pack(t, ok, entry{"/etc/passwd", "", 0}), "entry with the path"},
		{"drive", pack(t, ok, entry{"c:/x", "", 0}), "entry with the path"},
		{"dots in a link's name", pack(t, ok, entry{"../x", "", tar.TypeLink}), "entry with the path"},
		{"bomb", bomb(t), "times its size"},
	} {
		_, err := Inspect(bytes.NewReader(c.data))
		if !errors.Is(err, formats.ErrBadRequest) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	cut := errors.New("disk")
	if _, err := Inspect(io.MultiReader(bytes.NewReader(good[:20]), iotest.ErrReader(cut))); !errors.Is(err, cut) {
		t.Errorf("failing reader: %v", err)
	}
	info, err := Inspect(bytes.NewReader(good))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{{"m", "1.0.0"}, {"n", "1.0.1"}} {
		if err := info.Matches(&Publication{Name: c[0], Version: c[1]}); !errors.Is(err, formats.ErrBadRequest) {
			t.Errorf("matches %v: %v", c, err)
		}
	}
}

// TestMatches: manifest and package.json install the same packages, however the
// client that made the manifest writes that down.
func TestMatches(t *testing.T) {
	for _, c := range []struct {
		packed, published string
		want              bool
	}{
		{`"dependencies":{"a":"1"}`, `"dependencies":{"a":"1"}`, true},
		{`"dependencies":{"a":"workspace:*"}`, `"dependencies":{"a":"^1.0.0"}`, true},
		{`"dependencies":{"a":"1"}`, ``, false},
		{``, `"dependencies":{"a":"1"}`, false},
		{`"dependencies":{"a":"1"}`, `"dependencies":{"b":"1"}`, false},
		{`"dependencies":{"a":"1","b":"1"},"optionalDependencies":{"b":"1"}`, `"dependencies":{"a":"1"},"optionalDependencies":{"b":"1"}`, true},
		{`"optionalDependencies":{"b":"1"}`, `"dependencies":{"b":"1"},"optionalDependencies":{"b":"1"}`, true},
		{`"bundledDependencies":["b"]`, `"dependencies":{"b":"*"},"bundleDependencies":["b"]`, true},
		{`"dependencies":{"a":{}}`, `"dependencies":{}`, true},
		{`"devDependencies":{"a":"1"}`, ``, true},
		{`"dependencies":null`, ``, true},
	} {
		wrap := func(s string) []byte {
			return []byte(strings.TrimSuffix(`{"name":"n","version":"1.0.0",`+s, ",") + "}")
		}
		err := TarballInfo{PackageJSON: wrap(c.packed)}.Matches(&Publication{Name: "n", Version: "1.0.0", Manifest: wrap(c.published)})
		if (err == nil) != c.want || err != nil && !errors.Is(err, formats.ErrBadRequest) {
			t.Errorf("%s as %s: %v", c.packed, c.published, err)
		}
	}
}

// bomb is the header of a large file, and then one small gzip member after the
// other.
func bomb(t *testing.T) []byte {
	t.Helper()
	member := func(raw []byte) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write(raw); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	var head bytes.Buffer
	if err := tar.NewWriter(&head).WriteHeader(&tar.Header{Name: "package/zeros", Size: 1 << 30, Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	return append(member(head.Bytes()), bytes.Repeat(member(make([]byte, 1<<20)), 66)...)
}

func TestInspectManyEntries(t *testing.T) {
	x := inspection{entries: maxEntries, seen: map[string]bool{}}
	if err := x.entry(&tar.Header{Name: "package/x"}); !errors.Is(err, formats.ErrBadRequest) {
		t.Errorf("%v", err)
	}
}

func FuzzInspect(f *testing.F) {
	unpacked := func(zipped []byte) []byte {
		z, err := gzip.NewReader(bytes.NewReader(zipped))
		if err != nil {
			f.Fatal(err)
		}
		b, err := io.ReadAll(z)
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	f.Add(unpacked(pack(f, entry{"package/package.json", `{"name":"n","version":"1.0.0"}`, 0})))
	f.Add(unpacked(pack(f, entry{"p/../package.json", `{}`, 0}, entry{"p/l", "", tar.TypeSymlink})))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write(raw); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		info, err := Inspect(&b)
		if err == nil && (!isObject(info.PackageJSON) || info.FileCount < 1 || info.UnpackedSize < 0) {
			t.Errorf("%+v", info)
		}
		if err != nil && !errors.Is(err, formats.ErrBadRequest) {
			t.Errorf("%v", err)
		}
	})
}
