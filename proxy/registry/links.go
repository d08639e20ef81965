package registry

import (
	"errors"
	"time"

	"larder/cache"
	"larder/cache/refs"
	"larder/formats"
)

// maxNamed is how many versions are named where there may be any number.
const maxNamed = 10

// Link writes the row that makes a file visible in the package, held by a lease
// that takes the row with it when it ends. The first one makes the package.
func (t *tx) Link(f formats.ReleaseFile) error {
	k := hostedFileKey(t.format, f.Name)
	rec, err := readFile(t.w, k)
	switch {
	case errors.Is(err, cache.ErrNotExist):
		return t.newLink(k, f)
	case err != nil:
		return err
	case rec.Package == t.name && !rec.belongs(&t.head.Package):
		if err := t.dropLink(k, rec); err != nil {
			return err
		}
		return t.newLink(k, f)
	case rec.Package != t.name || rec.Digest != f.Blob.Digest:
		return formats.Refuse(formats.ErrExists, f.Name+" is here already, with other bytes")
	}
	err = rec.extend(t.w, k, t.now)
	if errors.Is(err, cache.ErrNotExist) { // rows were damaged: what was sent now is whole
		return t.newLink(k, f)
	}
	return err
}

func (t *tx) newLink(k []byte, f formats.ReleaseFile) error {
	if err := t.kept(f); err != nil {
		return err
	}
	rec := fileRecord{Digest: f.Blob.Digest, Size: f.Blob.Size, MediaType: f.MediaType, Package: t.name, Fetched: t.now}
	if rec.Fetched.Before(t.head.Created) { // the clock was set back
		rec.Fetched = t.head.Created
	}
	if err := rec.put(t.w, k); err != nil {
		return err
	}
	lease := refs.Edge{Kind: refs.Lease, Record: k, Expires: t.now.Add(formats.LinkLease)}
	if err := refs.Link(t.w, f.Blob, lease, t.now); err != nil {
		return err
	}
	return t.appear()
}

// appear lets a package be seen that is not there, or not any more.
func (t *tx) appear() error {
	if t.head.Revision > 0 && !t.head.Released && t.head.Deleted.IsZero() {
		return nil
	}
	p, err := t.Package()
	if err != nil {
		return err
	}
	p.Deleted = time.Time{}
	return t.Save(p)
}

func (t *tx) Unlink(name string) error {
	k, rec, err := t.file(name)
	if errors.Is(err, cache.ErrNotExist) {
		return noFile(name)
	}
	if err != nil {
		return err
	}
	if rec.Version != "" {
		return &formats.UsedError{By: []string{rec.Version}}
	}
	if by, err := t.Users(name); err != nil {
		return err
	} else if len(by) > 0 {
		return &formats.UsedError{By: by}
	}
	return t.dropLink(k, rec)
}

// dropLink removes a link that no version uses.
func (t *tx) dropLink(k []byte, rec *fileRecord) error {
	if err := t.w.Delete(k); err != nil {
		return err
	}
	return refs.Unlink(t.w, rec.Digest, refs.Edge{Kind: refs.Lease, Record: k}, t.now)
}

func noFile(name string) error { return formats.Refuse(formats.ErrNoVersion, "file not found: "+name) }

// file reads the record of a file of the package. Errors: cache.ErrNotExist.
func (t *tx) file(name string) ([]byte, *fileRecord, error) {
	k := hostedFileKey(t.format, name)
	rec, err := readFile(t.w, k)
	if err == nil && !rec.belongs(&t.head.Package) {
		err = cache.ErrNotExist
	}
	return k, rec, err
}

func (t *tx) File(name string) (formats.ReleaseFile, error) {
	var info refs.Info
	_, rec, err := t.file(name)
	if err == nil {
		info, err = refs.Lookup(t.w, rec.Digest)
	}
	if errors.Is(err, cache.ErrNotExist) {
		return formats.ReleaseFile{}, noFile(name)
	}
	if err != nil {
		return formats.ReleaseFile{}, err
	}
	return formats.ReleaseFile{Name: name, MediaType: rec.MediaType, Blob: info.Blob}, nil
}

func (t *tx) Users(name string) ([]string, error) {
	prefix, err := useKey(t.format, t.name, name, "")
	if err != nil {
		return nil, err
	}
	var by []string
	for row, err := range t.w.Scan(prefix, nil) {
		if err != nil {
			return nil, err
		}
		if by = append(by, string(row.Key[len(prefix):])); len(by) == maxNamed {
			break
		}
	}
	return by, nil
}

func (t *tx) partKey(part byte, names ...string) ([]byte, error) {
	return partKey(t.format, t.name, part, names...)
}
