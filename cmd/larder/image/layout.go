package image

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
)

// maxEntries is how many files a tar may have.
const maxEntries = 200_000

// layout is an image layout that is read. What it says of itself is not true
// until it was proved.
type layout interface {
	// open returns a file and its size. Errors: fs.ErrNotExist.
	open(name string) (io.ReadCloser, int64, error)
	io.Closer
}

// openLayout opens a folder or a tar.
func openLayout(place string) (layout, error) {
	info, err := os.Stat(place)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return openTar(place)
	}
	root, err := os.OpenRoot(place)
	if err != nil {
		return nil, err
	}
	return &folder{root}, nil
}

// readIndex reads what a layout begins with: its images, and what it has about them.
func readIndex(l layout) ([]descriptor, error) {
	var version struct {
		Is string `json:"imageLayoutVersion"`
	}
	if err := readJSON(l, "oci-layout", &version); err != nil {
		return nil, errors.Join(err, notDockers(l))
	}
	if !strings.HasPrefix(version.Is, "1.") {
		return nil, fmt.Errorf("the layout has the version %.20q, and 1 is known: %w", version.Is, ErrLayout)
	}
	images, err := readList(l, "index.json")
	if err != nil {
		return nil, err
	}
	about, err := readList(l, aboutFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return slices.Concat(images, about), nil
}

// notDockers says what to do with the other kind of archive that has images.
func notDockers(l layout) error {
	f, _, err := l.open("manifest.json")
	if err != nil {
		return nil // it is something else, and that it is no layout was said
	}
	return errors.Join(errors.New("it is an archive of docker's own kind: make it a layout with skopeo copy docker-archive:FILE oci-archive:NEW.tar:NAME:TAG, or save it with podman save --format oci-archive"), f.Close())
}

func readList(l layout, name string) ([]descriptor, error) {
	var index document
	if err := readJSON(l, name, &index); err != nil {
		return nil, err
	}
	for _, m := range index.Manifests {
		if err := m.check(); err != nil {
			return nil, err
		}
	}
	return index.Manifests, nil
}

func readJSON(l layout, name string, v any) error {
	f, size, err := l.open(name)
	if err != nil {
		return fmt.Errorf("read %s: %w: %w", name, ErrLayout, err)
	}
	defer f.Close()
	if size > maxIndex {
		return fmt.Errorf("%s has %d bytes, the limit is %d: %w", name, size, maxIndex, ErrLayout)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxIndex))
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w: %w", name, ErrLayout, err)
	}
	return nil
}

// readFrom reads a manifest of a layout. Errors: fs.ErrNotExist, cache.ErrCorrupt.
func readFrom(l layout, d descriptor) ([]byte, error) {
	f, _, err := l.open(pathOf(d.Digest))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readManifest(f, d)
}

// holds reports whether a layout has the bytes of a descriptor, and they are what
// they must be.
func holds(l layout, d descriptor) bool {
	from, size, err := l.open(pathOf(d.Digest))
	if err != nil {
		return false
	}
	defer from.Close()
	return size == d.Size && prove(from, d) == nil
}

// folder is a layout in a folder. Nothing outside of it is reached, and no link
// is followed.
type folder struct{ root *os.Root }

// Close lets go of the folder.
func (f *folder) Close() error { return f.root.Close() }

func (f *folder) open(name string) (io.ReadCloser, int64, error) {
	info, err := f.root.Lstat(name)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s is no plain file: %w", name, ErrLayout)
	}
	file, err := f.root.Open(name)
	if err != nil {
		return nil, 0, err
	}
	return file, info.Size(), nil
}

// tarball is a layout in a tar. It is read where it is: nothing is unpacked, so
// that no name in it can be a path of this machine.
type tarball struct {
	file  *os.File
	parts map[string]*io.SectionReader
}

// Close closes the tar.
func (t *tarball) Close() error { return t.file.Close() }

func (t *tarball) open(name string) (io.ReadCloser, int64, error) {
	part, ok := t.parts[name]
	if !ok {
		return nil, 0, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return io.NopCloser(io.NewSectionReader(part, 0, part.Size())), part.Size(), nil
}

func openTar(place string) (*tarball, error) {
	file, err := os.Open(place)
	if err != nil {
		return nil, err
	}
	t := &tarball{file: file, parts: map[string]*io.SectionReader{}}
	if err := t.scan(); err != nil {
		return nil, errors.Join(fmt.Errorf("read %s: %w", place, err), file.Close())
	}
	return t, nil
}

// scan notes where in the file each part is.
func (t *tarball) scan() error {
	info, err := t.file.Stat()
	if err != nil {
		return err
	}
	if err := t.plain(); err != nil {
		return err
	}
	r := tar.NewReader(t.file)
	for n := 0; ; n++ {
		h, err := r.Next()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("%w: %w", ErrLayout, err)
		case n == maxEntries:
			return fmt.Errorf("it has more than %d files: %w", maxEntries, ErrLayout)
		case h.Typeflag == tar.TypeDir:
			continue
		}
		// The reader takes whole headers, so that the content begins here.
		at, err := t.file.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		if err := t.add(h, at, info.Size()); err != nil {
			return err
		}
	}
}

// plain refuses a tar that is compressed: its parts are read where they are.
func (t *tarball) plain() error {
	var head [4]byte
	if _, err := t.file.ReadAt(head[:], 0); err != nil && err != io.EOF {
		return err
	}
	for _, magic := range []string{"\x1f\x8b", "\x28\xb5\x2f\xfd", "BZh", "\xfd7zX"} { // gzip, zstd, bzip2, xz
		if strings.HasPrefix(string(head[:]), magic) {
			return fmt.Errorf("it is compressed: unpack it first: %w", ErrLayout)
		}
	}
	return nil
}

func (t *tarball) add(h *tar.Header, at, end int64) error {
	name := path.Clean(h.Name)
	holes := slices.ContainsFunc(slices.Collect(maps.Keys(h.PAXRecords)), func(key string) bool { return strings.HasPrefix(key, "GNU.sparse.") })
	switch {
	case h.Typeflag != tar.TypeReg || holes:
		return fmt.Errorf("%.100q is no plain file: %w", h.Name, ErrLayout)
	case !fs.ValidPath(name) || strings.Contains(h.Name, ".."):
		return fmt.Errorf("%.100q is outside of the layout: %w", h.Name, ErrLayout)
	case t.parts[name] != nil:
		return fmt.Errorf("%.100q is there twice, so that two readers may see two layouts: %w", h.Name, ErrLayout)
	case h.Size > end-at:
		return fmt.Errorf("%.100q ends behind the end of the tar: %w", h.Name, ErrLayout)
	}
	t.parts[name] = io.NewSectionReader(t.file, at, h.Size)
	return nil
}
