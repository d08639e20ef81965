package registry

import (
	"context"
	"errors"
	"fmt"

	"larder/cache"
	"larder/cache/refs"
	"larder/formats"
	"larder/policy"
)

func (b *bound) Mount(ctx context.Context, m formats.Mount) (bool, error) {
	if err := b.publishable(ctx, m.Package); err != nil {
		return false, err
	}
	if m.From == "" {
		return false, nil
	}
	l, err := b.lend(ctx, m)
	if err == nil {
		err = b.borrow(ctx, m, l)
	}
	if errors.Is(err, errNotLent) || errors.Is(err, formats.ErrConflict) || errors.Is(err, formats.ErrExists) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("mount %s: %w", m.Name, err)
	}
	return true, nil
}

// errNotLent stands for all that speaks against a mount but a lack of rights to
// the package that is to get the file.
var errNotLent = errors.New("nothing to be mounted")

// loan is a file that may be mounted elsewhere.
type loan struct {
	key    []byte
	record *fileRecord
}

// lend finds a file of another package that the caller may read. No upstream is
// asked for it. Errors: errNotLent.
func (b *bound) lend(ctx context.Context, m formats.Mount) (*loan, error) {
	from := *b
	var pkg string
	if from.Registry, pkg = b.located(m.From); from.Registry != b.Registry {
		from.repository = ""
	}
	if two, ok := from.spec.Format.(Aliased); ok {
		pkg = two.Meant(ctx, pkg)
	}
	source := m.Source(pkg)
	c, err := from.File(ctx, formats.File{Package: pkg, Name: source, Head: true, Locate: nowhere})
	if err == nil {
		err = c.Close()
	}
	if err != nil {
		return nil, notLent(err)
	}
	keys, err := from.fileKeys(ctx, source)
	if err != nil {
		return nil, notLent(err)
	}
	for _, k := range keys {
		l := &loan{key: k}
		err := b.engine.opt.Index.View(ctx, func(r cache.Reader) error {
			l.record, err = readFile(r, k)
			return err
		})
		if err == nil && l.record.Package == pkg {
			return l, nil
		}
		if err != nil && !errors.Is(err, cache.ErrNotExist) {
			return nil, err
		}
	}
	return nil, errNotLent
}

// nowhere is where files are that are not held.
func nowhere(context.Context) (formats.Location, error) {
	return formats.Location{}, formats.Refuse(formats.ErrNotFound, "only what is held is mounted")
}

// notLent hides why a file is not lent: that it is not here, not for the caller,
// or damaged. Failures of the server stay what they are.
func notLent(err error) error {
	for _, reason := range []error{
		formats.ErrNotFound, policy.ErrHidden, policy.ErrDenied, policy.ErrUnauthenticated, cache.ErrNotExist, cache.ErrCorrupt, formats.ErrDamaged,
	} {
		if errors.Is(err, reason) {
			return errNotLent
		}
	}
	return err
}

// fileKeys returns where the record of a file of this registry may be.
func (r *Registry) fileKeys(ctx context.Context, name string) ([][]byte, error) {
	if r.spec.Hosted {
		return [][]byte{hostedFileKey(r.spec.Format.Name(), name)}, nil
	}
	sources, err := r.sources(ctx, "", nil)
	var keys [][]byte
	for _, s := range sources {
		keys = append(keys, upstreamFileKey(s.ID, name))
	}
	return keys, err
}

// borrow links a file that is lent, while its bytes cannot be swept.
func (b *bound) borrow(ctx context.Context, m formats.Mount, l *loan) error {
	e := b.engine
	unlock := e.opt.Locks.Lock(l.record.Digest)
	defer unlock()
	if err := e.present(ctx, l.record); err != nil {
		return notLent(err)
	}
	c := formats.Change{Package: m.Package, Action: policy.Publish, Create: true}
	return b.Change(ctx, c, func(in formats.Tx) error {
		t, ok := in.(*tx)
		if !ok {
			return fmt.Errorf("a transaction of type %T", in)
		}
		blob, err := l.still(t.w)
		if err != nil {
			return err
		}
		// What is only cached is kept from now on: a link needs that.
		if err := e.hold(t.w, blob); err != nil {
			return err
		}
		return t.Link(formats.ReleaseFile{Name: m.Name, Blob: blob, MediaType: l.record.MediaType})
	})
}

// still returns the bytes of a file if it is what it was when it was lent.
// Errors: errNotLent.
func (l *loan) still(r cache.Reader) (cache.Blob, error) {
	now, err := readFile(r, l.key)
	if err != nil {
		return cache.Blob{}, notLent(err)
	}
	if now.Digest != l.record.Digest || !now.Fetched.Equal(l.record.Fetched) {
		return cache.Blob{}, errNotLent
	}
	info, err := refs.Lookup(r, now.Digest)
	if err != nil {
		return cache.Blob{}, notLent(err)
	}
	return info.Blob, nil
}
