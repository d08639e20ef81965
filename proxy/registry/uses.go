package registry

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"larder/cache"
	"larder/cache/refs"
	"larder/formats"
)

// need is a file that a version uses.
type need struct {
	name string
	key  []byte
	file *fileRecord
}

// needs finds the files that a version uses, each once, before anything is
// written. Errors: *formats.MissingError with all that are not here.
func (t *tx) needs(r *formats.Release) ([]need, error) {
	if err := t.bounded(r); err != nil {
		return nil, err
	}
	var found []need
	var missing []string
	for _, name := range r.Uses {
		k, rec, err := t.file(name)
		if err == nil {
			err = t.held(k, rec)
		}
		switch {
		case errors.Is(err, cache.ErrNotExist):
			missing = append(missing, name)
		case err != nil:
			return nil, err
		default:
			found = append(found, need{name, k, rec})
		}
	}
	if len(missing) > 0 {
		return nil, &formats.MissingError{Names: missing}
	}
	return found, nil
}

// bounded holds what a version refers to against the limits.
func (t *tx) bounded(r *formats.Release) error {
	refuse := func(form string, args ...any) error {
		return formats.Refuse(formats.ErrBadRequest, r.Version+" "+fmt.Sprintf(form, args...))
	}
	switch {
	case len(r.Uses) > formats.MaxUses:
		return refuse("refers to %d different files, the limit is %d", len(r.Uses), formats.MaxUses)
	case len(r.Terms) > formats.MaxTerms:
		return refuse("comes with %d terms, the limit is %d", len(r.Terms), formats.MaxTerms)
	}
	for _, term := range r.Terms {
		if len(term) > formats.MaxTerm {
			return refuse("comes with a term of %d bytes, the limit is %d", len(term), formats.MaxTerm)
		}
	}
	for _, f := range r.Files {
		if slices.Contains(r.Uses, f.Name) {
			return refuse("refers to itself")
		}
	}
	return nil
}

// distinct returns the names in their order, each once.
func distinct(names []string) []string {
	seen := make(map[string]bool, len(names))
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool {
		was := seen[n]
		seen[n] = true
		return was
	})
}

// held says that a record holds its bytes. Errors: cache.ErrNotExist.
func (t *tx) held(k []byte, rec *fileRecord) error {
	_, err := refs.Find(t.w, rec.Digest, refs.Hosted, k)
	if errors.Is(err, cache.ErrNotExist) {
		_, err = refs.Find(t.w, rec.Digest, refs.Lease, k)
	}
	return err
}

// refer writes what a version uses, and by what it is found. Links that only a
// lease held are held by the version from now on.
func (t *tx) refer(r *formats.Release, needs []need) error {
	for _, n := range needs {
		k, err := useKey(t.format, t.name, n.name, r.Version)
		if err != nil {
			return err
		}
		if err := t.w.Put(k, []byte{rowVersion}); err != nil {
			return err
		}
		if n.file.Version != "" {
			continue
		}
		if err := t.swap(n, refs.Edge{Kind: refs.Lease}, refs.Edge{Kind: refs.Hosted}); err != nil {
			return err
		}
	}
	for _, term := range r.Terms {
		if err := t.mark(partTerm, term, r.Version); err != nil {
			return err
		}
	}
	return nil
}

// unrefer undoes refer. Links that no version uses any more stay for a while, so
// that the version can be restored.
func (t *tx) unrefer(r *formats.Release) error {
	for _, name := range r.Uses {
		used, err := useKey(t.format, t.name, name, r.Version)
		if err != nil {
			return err
		}
		if err := t.w.Delete(used); err != nil {
			return err
		}
		k, rec, err := t.file(name)
		if errors.Is(err, cache.ErrNotExist) || err == nil && rec.Version != "" {
			continue // only damage can have taken it; a version keeps its own files
		}
		if err != nil {
			return err
		}
		if by, err := t.Users(name); err != nil {
			return err
		} else if len(by) > 0 {
			continue
		}
		lease := refs.Edge{Kind: refs.Lease, Expires: t.now.Add(restoreWindow)}
		if err := t.swap(need{name, k, rec}, refs.Edge{Kind: refs.Hosted}, lease); err != nil {
			return err
		}
	}
	for _, term := range r.Terms {
		if err := t.unmark(partTerm, term, r.Version); err != nil {
			return err
		}
	}
	return nil
}

// swap puts one edge of a link in the place of another.
func (t *tx) swap(n need, old, made refs.Edge) error {
	old.Record, made.Record = n.key, n.key
	if err := refs.Link(t.w, n.file.blob(), made, t.now); err != nil {
		return err
	}
	return refs.Unlink(t.w, n.file.Digest, old, t.now)
}

// mark writes a row that is there or not.
func (t *tx) mark(part byte, names ...string) error {
	k, err := t.partKey(part, names...)
	if err != nil {
		return err
	}
	return t.w.Put(k, []byte{rowVersion})
}

func (t *tx) unmark(part byte, names ...string) error {
	k, err := t.partKey(part, names...)
	if err != nil {
		return err
	}
	return t.w.Delete(k)
}

// Put tells versions that were never here from those that are, and from those
// that were retracted and come back with the bytes that were sent now. A package
// that was deleted, or not there, is seen from then on.
func (t *tx) Put(r *formats.Release) error {
	seq, old, err := t.find(r.Version)
	switch {
	case errors.Is(err, formats.ErrNoVersion):
		if err := t.Add(r); err != nil {
			return err
		}
		return t.appear()
	case err != nil:
		return err
	case !sameFiles(old.Files, r.Files):
		return formats.Refuse(formats.ErrExists, fmt.Sprintf("%s %s is or was published here with other bytes", t.name, r.Version))
	case old.Retracted.IsZero():
		// Its tag, or the index that it belongs to, is to come yet.
		if err := t.loosen(r.Version); err != nil {
			return err
		}
		return t.describe(seq, old, r)
	}
	return t.revive(seq, r)
}

func sameFiles(a, b []formats.ReleaseFile) bool {
	return slices.EqualFunc(a, b, func(a, b formats.ReleaseFile) bool {
		return a.Name == b.Name && a.Blob.Digest == b.Blob.Digest
	})
}

// describe replaces what is said about a version that is here. Of what it uses
// only more can come: parts that it was first put without.
func (t *tx) describe(seq uint64, old, r *formats.Release) error {
	more := *r
	more.Uses = slices.DeleteFunc(distinct(r.Uses), func(name string) bool { return slices.Contains(old.Uses, name) })
	if string(old.Meta) == string(r.Meta) && slices.Equal(old.Terms, r.Terms) && len(more.Uses) == 0 {
		return nil
	}
	if err := t.bounded(r); err != nil {
		return err
	}
	needs, err := t.needs(&more)
	if err != nil {
		return err
	}
	changed := *old
	changed.Meta, changed.Terms, changed.Uses = r.Meta, r.Terms, slices.Concat(old.Uses, more.Uses)
	for _, term := range old.Terms {
		if err := t.unmark(partTerm, term, r.Version); err != nil {
			return err
		}
	}
	if err := t.refer(&more, needs); err != nil {
		return err
	}
	t.did("package.amend", r)
	return t.rewrite(seq, &changed)
}

// revive brings a retracted version back under a number of its own time: its
// bytes were sent again, so that it needs nothing of what was kept of it, and
// gets the tags that it is given now.
func (t *tx) revive(seq uint64, r *formats.Release) error {
	if err := dropRelease(t.w, t.format, t.name, seq); err != nil {
		return err
	}
	if err := t.place(r); err != nil {
		return err
	}
	if err := t.unpin(r); err != nil {
		return err
	}
	if _, err := t.forgetTags(r.Version); err != nil {
		return err
	}
	if err := t.leaveBehind(r.Version); err != nil {
		return err
	}
	t.did("package.restore", r)
	if err := t.journal("restored", r.Version); err != nil {
		return err
	}
	return t.appear()
}

// unpin ends what held the bytes of a retracted version.
func (t *tx) unpin(r *formats.Release) error {
	for _, f := range r.Files {
		held := refs.Edge{Kind: refs.Pin, Record: hostedFileKey(t.format, f.Name)}
		if err := refs.Unlink(t.w, f.Blob.Digest, held, t.now); err != nil {
			return err
		}
	}
	return nil
}

// unused refuses to let go of a version whose files other versions use.
func (t *tx) unused(r *formats.Release) error {
	for _, f := range r.Files {
		by, err := t.Users(f.Name)
		if err != nil {
			return err
		}
		if len(by) > 0 {
			return &formats.UsedError{By: by}
		}
	}
	return nil
}

func (t *tx) Sparse() (bool, error) {
	ok, err := t.access.SparseIndexes(t.ctx, t.head.Repository)
	if err != nil {
		err = fmt.Errorf("whether %s takes indexes without all that they name is not known now: %w", t.head.Repository, err)
	}
	return ok, err
}

// rejoin finds what a retracted version used, to be restored with it. Errors:
// formats.ErrConflict that names what is gone.
func (t *tx) rejoin(r *formats.Release) ([]need, error) {
	needs, err := t.needs(r)
	var gone *formats.MissingError
	if errors.As(err, &gone) {
		return nil, formats.Refuse(formats.ErrConflict, fmt.Sprintf("%s %s cannot be restored: these parts of it are gone: %s",
			t.name, r.Version, strings.Join(gone.Names, ", ")))
	}
	return needs, err
}
