package npm

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"

	"larder/formats"
)

// Limits of a tarball, beside that of its own size.
const (
	maxEntries     = 200_000
	maxPackageJSON = 4 << 20  // bytes
	freeInflation  = 64 << 20 // bytes that may come of any tarball, however well it packs
	maxRatio       = 200      // beyond that, bytes inflated per byte of tarball
)

// TarballInfo is what a tarball says of itself.
type TarballInfo struct {
	Name, Version    string
	PackageJSON      []byte
	HasInstallScript bool // a script runs at install time, or there is a binding.gyp to build
	HasShrinkwrap    bool
	FileCount        int
	UnpackedSize     int64  // bytes of all files
	Readme           string // path of the readme below the package's folder, "" if there is none
}

// Inspect reads a gzipped tarball to its end. As npm does, it passes over the
// first part of each path, whatever its name. Errors: formats.ErrBadRequest
// with a sentence for the publisher, those of r.
func Inspect(r io.Reader) (TarballInfo, error) {
	in := &counter{r: r}
	zip, err := gzip.NewReader(in)
	if err != nil {
		return TarballInfo{}, in.refusal(err)
	}
	unpacked := &inflation{zip: zip, in: in}
	x := inspection{tar: tar.NewReader(unpacked), seen: map[string]bool{}}
	for {
		h, err := x.tar.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = x.entry(h)
		}
		if err != nil {
			return TarballInfo{}, in.refusal(err)
		}
	}
	if _, err := io.Copy(io.Discard, unpacked); err != nil {
		return TarballInfo{}, in.refusal(err)
	}
	return x.finish()
}

// counter counts the packed bytes and keeps the reader's own failure apart
// from what the archive readers make of it.
type counter struct {
	r   io.Reader
	n   int64
	err error
}

// Read reads on.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}

func (c *counter) refusal(err error) error {
	if c.err != nil {
		return fmt.Errorf("read the tarball: %w", c.err)
	}
	if _, ok := errors.AsType[*formats.Error](err); ok {
		return err
	}
	return bad("the tarball is not a gzipped tar archive, or is damaged")
}

// inflation passes unpacked bytes on until there are far too many.
type inflation struct {
	zip io.Reader
	in  *counter
	n   int64
}

// Read reads on. Errors: formats.ErrBadRequest for an archive that grows out
// of proportion.
func (f *inflation) Read(p []byte) (int, error) {
	n, err := f.zip.Read(p)
	f.n += int64(n)
	if f.n > freeInflation && f.n/maxRatio > f.in.n {
		return 0, bad("the tarball unpacks to more than %d times its size", maxRatio)
	}
	return n, err
}

// inspection gathers facts entry by entry.
type inspection struct {
	tar     *tar.Reader
	info    TarballInfo
	entries int
	seen    map[string]bool // root files that count, by name
}

func (x *inspection) entry(h *tar.Header) error {
	if x.entries++; x.entries > maxEntries {
		return bad("the tarball has more than %d entries", maxEntries)
	}
	if err := checkEntry(h.Name); err != nil {
		return err
	}
	if h.Typeflag == tar.TypeXGlobalHeader || h.FileInfo().IsDir() {
		return nil
	}
	if h.Typeflag == tar.TypeGNUSparse || h.PAXRecords["GNU.sparse.major"] != "" || h.PAXRecords["GNU.sparse.size"] != "" {
		return bad("the tarball has a sparse file, %s", quoteShort(h.Name))
	}
	_, below, _ := strings.Cut(h.Name, "/")
	if h.Typeflag != tar.TypeReg {
		if below == "package.json" {
			return bad("package.json in the tarball is not a file")
		}
		return nil // npm unpacks neither links nor devices
	}
	x.info.FileCount++
	x.info.UnpackedSize += h.Size
	switch {
	case below == "package.json":
		return x.packageJSON(h)
	case below == "binding.gyp", below == "npm-shrinkwrap.json":
		x.seen[below] = true
	case isReadme(below) && (x.info.Readme == "" || strings.EqualFold(below, "readme.md")):
		x.info.Readme = below
	}
	return nil
}

// checkEntry refuses paths that would leave the folder they are unpacked in.
func checkEntry(name string) error {
	slashed := strings.ReplaceAll(name, `\`, "/")
	drive := len(slashed) > 1 && slashed[1] == ':'
	if name == "" || strings.HasPrefix(slashed, "/") || drive || strings.ContainsRune(name, 0) {
		return bad("the tarball has an entry with the path %s", quoteShort(name))
	}
	for part := range strings.SplitSeq(slashed, "/") {
		if part == ".." {
			return bad("the tarball has an entry with the path %s", quoteShort(name))
		}
	}
	return nil
}

func (x *inspection) packageJSON(h *tar.Header) error {
	if x.info.PackageJSON != nil {
		return bad("the tarball has two package.json files")
	}
	if h.Size > maxPackageJSON {
		return bad("package.json in the tarball is larger than %d MiB", maxPackageJSON>>20)
	}
	raw, err := io.ReadAll(x.tar)
	if err != nil {
		return err
	}
	// A byte order mark is what some editors leave; npm reads past it.
	raw = []byte(strings.TrimPrefix(string(raw), "\ufeff"))
	s := newSource(strings.NewReader(string(raw)), maxPackageJSON, maxPackageJSON)
	value, err := s.read()
	if err == nil {
		value = append([]byte(nil), value...)
		err = s.end()
	}
	if err != nil || !isObject(value) {
		return bad("package.json in the tarball is not a JSON object")
	}
	x.info.PackageJSON = value
	return nil
}

// isReadme reports whether a file at the root is one of the names npm shows.
func isReadme(name string) bool {
	stem, _, _ := strings.Cut(name, ".")
	return strings.EqualFold(stem, "readme") && !strings.Contains(name, "/")
}

func (x *inspection) finish() (TarballInfo, error) {
	info := x.info
	if info.PackageJSON == nil {
		return TarballInfo{}, bad("the tarball has no package/package.json")
	}
	info.Name = textField(info.PackageJSON, "name")
	info.Version = textField(info.PackageJSON, "version")
	info.HasShrinkwrap = x.seen["npm-shrinkwrap.json"]
	info.HasInstallScript = hasInstallScript(field(info.PackageJSON, "scripts")) ||
		x.seen["binding.gyp"] && string(field(info.PackageJSON, "gypfile")) != "false"
	return info, nil
}

// Matches compares the tarball's package.json with what it is published as:
// name, version, and the names of what is installed with it. Clients choose by
// the manifest and people read the tarball, so that neither may hide a package
// from the other. Ranges may differ: some clients rewrite them.
// Errors: formats.ErrBadRequest.
func (t TarballInfo) Matches(pub *Publication) error {
	if err := checkIdentity(t.PackageJSON, pub.Name, pub.Version, "package.json in the tarball"); err != nil {
		return err
	}
	packed, published := installs(t.PackageJSON), installs(pub.Manifest)
	for name := range packed {
		if !published[name] {
			return bad("package.json in the tarball depends on %s, the manifest does not", quoteShort(name))
		}
	}
	for name := range published {
		if !packed[name] {
			return bad("the manifest depends on %s, package.json in the tarball does not", quoteShort(name))
		}
	}
	return nil
}

// installs returns the names of what is installed with a package. Optional ones
// stand in one list or in both, and npm adds to the first what is bundled.
func installs(manifest []byte) map[string]bool {
	names := map[string]bool{}
	for _, list := range []string{"dependencies", "optionalDependencies"} {
		for m := range members(field(manifest, list)) {
			if _, ok := text(m.value); ok {
				names[string(m.name)] = true
			}
		}
	}
	for _, list := range []string{"bundleDependencies", "bundledDependencies"} {
		for e := range elements(field(manifest, list)) {
			if name, ok := text(e); ok {
				names[name] = true
			}
		}
	}
	return names
}
