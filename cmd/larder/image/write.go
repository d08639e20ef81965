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
	"path/filepath"
	"slices"
	"strings"

	"larder/cache"
)

// parts is where a layout has what is not whole yet. It goes with the last part.
const parts = ".parts"

const layoutFile = `{"imageLayoutVersion":"1.0.0"}`

// makeFolder opens a folder to write a layout into. One that has something else
// in it is refused.
func makeFolder(place string) (*folder, error) {
	if err := os.MkdirAll(place, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(place)
	if err != nil {
		return nil, err
	}
	f := &folder{root}
	if err := f.begin(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", place, err), root.Close())
	}
	return f, nil
}

func (f *folder) begin() error {
	list, err := fs.ReadDir(f.root.FS(), ".")
	if err != nil {
		return err
	}
	ours := slices.ContainsFunc(list, func(e fs.DirEntry) bool { return e.Name() == "oci-layout" || e.Name() == parts })
	if len(list) > 0 && !ours {
		return errors.New("the folder has other files in it")
	}
	if err := f.root.MkdirAll(parts, 0o755); err != nil {
		return err
	}
	return f.replace("oci-layout", []byte(layoutFile))
}

// replace writes a small file, whole or not at all.
func (f *folder) replace(name string, text []byte) error {
	part := parts + "/" + strings.ReplaceAll(name, "/", "-")
	to, err := f.root.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = to.Write(text)
	if err := errors.Join(err, to.Sync(), to.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return f.place(part, name)
}

// place gives a file that is whole its name.
func (f *folder) place(part, name string) error {
	if err := f.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	return f.root.Rename(part, name)
}

// put writes bytes that are in memory and were proved.
func (f *folder) put(d descriptor, body []byte) error { return f.replace(pathOf(d.Digest), body) }

// fetch writes the bytes of a blob, beginning where an earlier run ended. get
// returns them from an offset on, or from an earlier one.
func (f *folder) fetch(d descriptor, get func(from int64) (io.ReadCloser, int64, error)) error {
	if holds(f, d) {
		return nil
	}
	part := parts + "/" + strings.ReplaceAll(d.Digest, ":", "-")
	to, err := f.root.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	began, err := to.Seek(0, io.SeekEnd)
	if err == nil {
		err = f.fill(to, d, get)
	}
	if errors.Is(err, cache.ErrCorrupt) {
		if again := to.Truncate(0); again != nil {
			err = errors.Join(err, again)
		} else if began > 0 { // what was kept may be at fault, and not what came
			err = f.fill(to, d, get)
		}
	}
	if err := errors.Join(err, to.Sync(), to.Close()); err != nil {
		return err
	}
	return f.place(part, pathOf(d.Digest))
}

// fill completes a part and proves it.
func (f *folder) fill(to *os.File, d descriptor, get func(from int64) (io.ReadCloser, int64, error)) error {
	had, err := to.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if had > d.Size {
		had = 0
	}
	if had < d.Size || d.Size == 0 {
		from, at, err := get(had)
		if err != nil {
			return err
		}
		defer from.Close()
		if err := to.Truncate(at); err != nil {
			return err
		}
		if _, err := to.Seek(at, io.SeekStart); err != nil {
			return err
		}
		if _, err := io.Copy(to, io.LimitReader(from, d.Size-at+1)); err != nil {
			return fmt.Errorf("fetch %s: %w", d.Digest, err)
		}
	}
	if _, err := to.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return prove(to, d)
}

// aboutFile lists what refers to the images, as index.json lists those. There it
// would keep programs from reading the layout that want one image in it.
const aboutFile = "referrers.json"

// finish names the images of the layout and what refers to them, those that were
// there before too, and ends the writing.
func (f *folder) finish(images, about []descriptor) error {
	if err := f.list(aboutFile, about); err != nil {
		return err
	}
	if err := f.list("index.json", images); err != nil {
		return err
	}
	return f.root.RemoveAll(parts)
}

// list adds entries to a file of them.
func (f *folder) list(name string, entries []descriptor) error {
	index := document{SchemaVersion: 2, MediaType: typeIndex}
	old, err := readList(f, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	at := map[string]int{} // by name: the later one counts
	for _, e := range slices.Concat(old, entries) {
		name := e.Annotations[noteName]
		if i, known := at[name]; known && name != "" {
			index.Manifests[i] = e
			continue
		}
		at[name] = len(index.Manifests)
		index.Manifests = append(index.Manifests, e)
	}
	if len(index.Manifests) == 0 && name == aboutFile {
		return nil
	}
	slices.SortStableFunc(index.Manifests, func(a, b descriptor) int {
		return strings.Compare(a.Annotations[noteName], b.Annotations[noteName])
	})
	giveTags(index.Manifests)
	text, err := json.MarshalIndent(index, "", "  ")
	if err == nil && len(text) >= maxIndex {
		err = fmt.Errorf("%s has more than %d bytes: export to more than one layout", name, maxIndex)
	}
	if err != nil {
		return err
	}
	return f.replace(name, append(text, '\n'))
}

// giveTags writes down by what clients find the images: the tag, and the name
// too where two images have the same tag.
func giveTags(entries []descriptor) {
	count := map[string]int{}
	named := make([]Reference, len(entries))
	for i, e := range entries {
		r, err := ParseReference(e.Annotations[noteName])
		if err == nil && r.Tag != "" {
			named[i] = r
			count[r.Tag]++
		}
	}
	for i, r := range named {
		switch {
		case r.Tag == "":
		case count[r.Tag] > 1:
			entries[i].Annotations[noteTag] = r.Name + ":" + r.Tag
		default:
			entries[i].Annotations[noteTag] = r.Tag
		}
	}
}

// forget takes back what the layout says that it has. The bytes stay.
func (f *folder) forget() error {
	for _, name := range []string{"index.json", aboutFile} {
		if err := f.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// pack writes the layout, of its blobs those with a digest in keep, as a tar that
// is the same for the same layout. It grows among the parts, so that one which was
// stopped is written anew and does not stay.
func (f *folder) pack(place string, keep map[string]bool) error {
	if err := f.root.MkdirAll(parts, 0o755); err != nil {
		return err
	}
	const part = parts + "/layout.tar"
	to, err := f.root.Create(part)
	if err != nil {
		return err
	}
	if err := errors.Join(f.packAll(to, keep), to.Chmod(0o644), to.Sync(), to.Close()); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", place, err), f.root.Remove(part))
	}
	return os.Rename(filepath.Join(f.root.Name(), part), place)
}

func (f *folder) packAll(to io.Writer, keep map[string]bool) error {
	names := []string{"oci-layout", "index.json"}
	if _, err := f.root.Lstat(aboutFile); err == nil {
		names = append(names, aboutFile)
	}
	for _, digest := range slices.Sorted(maps.Keys(keep)) {
		names = append(names, pathOf(digest))
	}
	w := tar.NewWriter(to)
	for _, name := range names {
		if err := f.packFile(w, name); err != nil {
			return err
		}
	}
	return w.Close()
}

func (f *folder) packFile(w *tar.Writer, name string) error {
	from, size, err := f.open(name)
	if err != nil {
		return err
	}
	defer from.Close()
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size}); err != nil {
		return err
	}
	_, err = io.Copy(w, from)
	return err
}
