package image

import (
	"errors"
	"fmt"
	"io/fs"
)

// base is a layout that the reader has imported before.
type base struct {
	layout
	names map[string]bool // name and digest of blobs; without a name where the layout has none
	good  map[string]bool // by digest and size, for those that were proved or not
}

// openBase opens a layout and finds out what each of its images has: a blob that
// the reader has in one image is not yet in another.
func openBase(place string) (*base, error) {
	from, err := openLayout(place)
	if err != nil {
		return nil, err
	}
	b := &base{from, map[string]bool{}, map[string]bool{}}
	index, err := readIndex(from)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", place, err), from.Close())
	}
	seen := map[string]bool{}
	for _, d := range index {
		r, err := ParseReference(d.Annotations[noteName])
		if err != nil {
			r.Name = ""
		}
		if err := b.note(r.Name, d, seen, 0); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", place, err), from.Close())
		}
	}
	return b, nil
}

// note notes the blobs of a manifest and of those below it. What is not in the
// layout has nothing.
func (b *base) note(name string, d descriptor, seen map[string]bool, depth int) error {
	key := name + "@" + d.Digest
	if seen[key] || depth > maxDepth || !d.isManifest() {
		return nil
	}
	seen[key] = true
	body, err := readFrom(b, d)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	doc, err := decode(body)
	if err != nil {
		return err
	}
	for _, part := range doc.blobs() {
		b.names[name+"@"+part.Digest] = true
	}
	for _, m := range doc.Manifests {
		if err := b.note(name, m, seen, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// has reports whether the reader has a blob in an image.
func (b *base) has(name string, d descriptor) bool {
	if b == nil || !b.names[name+"@"+d.Digest] && !b.names["@"+d.Digest] {
		return false
	}
	key := fmt.Sprint(d.Digest, d.Size)
	good, known := b.good[key]
	if !known {
		good = holds(b, d)
		b.good[key] = good
	}
	return good
}
