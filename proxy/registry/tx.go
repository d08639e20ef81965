package registry

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"larder/cache"
	"larder/cache/refs"
	"larder/formats"
	"larder/policy"
)

// restoreWindow is how long the bytes of a retracted version are kept, so that
// it can be restored.
const restoreWindow = 30 * 24 * time.Hour

// tx is a hosted package inside one transaction of the Index.
type tx struct {
	ctx    context.Context
	w      cache.Writer
	access PackageAccess
	asked  policy.Resource // as policy was asked about it
	format string
	name   string
	home   string // repository that a new package belongs to
	actor  policy.Subject
	upkeep string // why larder itself does it, "" for a change that the actor asked for
	now    time.Time
	begun  formats.Change
	head   *head
	moved  bool            // versions came or went since the last Save
	was    formats.Package // as it was loaded
	saved  bool
	done   []deed

	returned int // versions that came back with others
}

// load reads the package before anything is done to it. One that belongs to
// another repository than policy was asked about, or has other grants, came into
// being or was moved meanwhile.
func (t *tx) load() error {
	h, err := readHead(t.w, t.format, t.name)
	switch {
	case errors.Is(err, cache.ErrNotExist):
		h = &head{Package: formats.Package{
			Name: t.name, Repository: t.home, Visibility: t.begun.Visibility, Created: t.now,
		}}
	case err != nil:
		return err
	case h.Released:
		if err := t.renew(h); err != nil {
			return err
		}
	case h.Repository != t.home || h.Access != t.asked.Access:
		return formats.Refuse(formats.ErrConflict, fmt.Sprintf("%s has just been published or moved elsewhere: try again", t.name))
	}
	t.head, t.was = h, h.Package
	return nil
}

// renew makes a package of a name that was given up: a new one, but that its
// revisions go on, which name documents. An upstream may have been faster, which
// does not matter under a claim.
func (t *tx) renew(h *head) error {
	if !t.begun.Create {
		return formats.Refuse(formats.ErrNotFound, t.name+" was deleted, and its name given up")
	}
	n, err := readName(t.w, t.format, t.name)
	if err == nil && t.asked.Claim == "" {
		return formats.Refuse(formats.ErrConflict, fmt.Sprintf("%s has just come from the upstream %s: try again", t.name, n.Upstream))
	}
	if err != nil && !errors.Is(err, cache.ErrNotExist) {
		return err
	}
	h.Package = formats.Package{
		Name: t.name, Repository: t.home, Visibility: t.begun.Visibility, Access: t.asked.Access, Created: t.now,
		Revision: h.Revision,
	}
	return nil
}

// errUnsaved is a mistake of a format: versions without a package.
var errUnsaved = errors.New("a version was added to a package that was never saved")

// finish ends what the format did. Documents are kept by the package's
// revision, so that a retracted version must move it to vanish from them.
func (t *tx) finish() error {
	if t.moved {
		if t.head.Revision == 0 {
			return errUnsaved
		}
		if err := t.save(); err != nil {
			return err
		}
	}
	return t.record()
}

func (t *tx) Package() (*formats.Package, error) {
	p := t.head.Package
	p.Tags = maps.Clone(p.Tags)
	if p.Tags == nil {
		p.Tags = map[string]string{}
	}
	p.Meta = slices.Clone(p.Meta)
	return &p, nil
}

func (t *tx) Release(version string) (*formats.Release, error) {
	_, rel, err := t.find(version)
	return rel, err
}

func (t *tx) find(version string) (uint64, *formats.Release, error) {
	seq, err := readSeq(t.w, t.format, t.name, version)
	if errors.Is(err, cache.ErrNotExist) {
		return 0, nil, formats.Refuse(formats.ErrNoVersion, "version not found: "+version)
	}
	if err != nil {
		return 0, nil, err
	}
	rel, err := readRelease(t.w, t.format, t.name, seq)
	return seq, rel, err
}

func (t *tx) Releases() iter.Seq2[*formats.Release, error] {
	return func(yield func(*formats.Release, error) bool) {
		for s, err := range scanReleases(t.w, packageKey(t.format, t.name, partRelease), nil) {
			if !yield(s.Release, err) || err != nil {
				return
			}
		}
	}
}

func (t *tx) Add(r *formats.Release) error {
	if _, err := readSeq(t.w, t.format, t.name, r.Version); err == nil {
		return formats.Refuse(formats.ErrExists, fmt.Sprintf("%s %s is or was published here", t.name, r.Version))
	} else if !errors.Is(err, cache.ErrNotExist) {
		return err
	}
	if err := t.place(r); err != nil {
		return err
	}
	t.did("package.publish", r)
	return t.journal("published", r.Version)
}

// place stores a version that is not here, behind all others.
func (t *tx) place(given *formats.Release) error {
	own := *given
	r := &own
	r.Uses = distinct(r.Uses)
	if r.Published.IsZero() {
		r.Published = t.now
	}
	r.Publisher = cmp.Or(r.Publisher, t.actor.User)
	needs, err := t.needs(r)
	if err != nil {
		return err
	}
	for _, f := range r.Files {
		if err := t.addFile(r.Version, f); err != nil {
			return err
		}
	}
	if err := t.refer(r, needs); err != nil {
		return err
	}
	t.head.LastSeq++
	t.moved = true
	seq := binary.BigEndian.AppendUint64(nil, t.head.LastSeq)
	if err := t.w.Put(versionKey(t.format, t.name, r.Version), seq); err != nil {
		return err
	}
	return writeRelease(t.w, t.format, t.name, t.head.LastSeq, r)
}

func (t *tx) addFile(version string, f formats.ReleaseFile) error {
	k := hostedFileKey(t.format, f.Name)
	if _, err := t.w.Get(k); err == nil {
		return formats.Refuse(formats.ErrExists, f.Name+" is published already")
	} else if !errors.Is(err, cache.ErrNotExist) {
		return err
	}
	if err := t.kept(f); err != nil {
		return err
	}
	rec := fileRecord{
		Digest: f.Blob.Digest, Size: f.Blob.Size, MediaType: f.MediaType,
		Package: t.name, Version: version, Fetched: t.now,
	}
	if err := rec.put(t.w, k); err != nil {
		return err
	}
	return refs.Link(t.w, f.Blob, refs.Edge{Kind: refs.Hosted, Record: k}, t.now)
}

// kept refuses bytes that may go. The lease of an upload may have ended: no
// record may name bytes that go, and those that are only cached may be going at
// this moment.
func (t *tx) kept(f formats.ReleaseFile) error {
	kept, err := refs.Kept(t.w, f.Blob.Digest)
	if err == nil && !kept {
		err = formats.Refuse(formats.ErrConflict, "the uploaded bytes of "+f.Name+" are gone by now: send them again")
	}
	return err
}

func (t *tx) Amend(r *formats.Release) error {
	seq, old, err := t.find(r.Version)
	if err != nil {
		return err
	}
	changed := *old
	if !bytes.Equal(r.Meta, old.Meta) {
		t.did("package.amend", r)
	}
	changed.Meta, changed.Acknowledged = r.Meta, r.Acknowledged
	return t.rewrite(seq, &changed)
}

func (t *tx) rewrite(seq uint64, r *formats.Release) error {
	if err := dropRelease(t.w, t.format, t.name, seq); err != nil {
		return err
	}
	return writeRelease(t.w, t.format, t.name, seq, r)
}

// Retract takes the files away at once and keeps the bytes for restoreWindow.
func (t *tx) Retract(version string) error {
	seq, rel, err := t.find(version)
	if err != nil {
		return err
	}
	if !rel.Retracted.IsZero() {
		return nil
	}
	if err := t.unused(rel); err != nil {
		return err
	}
	if err := t.untag(version); err != nil {
		return err
	}
	if err := t.unrefer(rel); err != nil {
		return err
	}
	for _, f := range rel.Files {
		k := hostedFileKey(t.format, f.Name)
		if err := t.w.Delete(k); err != nil {
			return err
		}
		until := t.now.Add(restoreWindow)
		kept := refs.Edge{Kind: refs.Pin, Record: k, Expires: until}
		if err := refs.Link(t.w, f.Blob, kept, t.now); err != nil {
			return err
		}
		if err := refs.Unlink(t.w, f.Blob.Digest, refs.Edge{Kind: refs.Hosted, Record: k}, until); err != nil {
			return err
		}
	}
	rel.Retracted, t.moved = t.now, true
	if err := t.rewrite(seq, rel); err != nil {
		return err
	}
	t.did("package.delete", rel)
	return t.journal("deleted", version)
}

// Restore brings a retracted version back, while its bytes are kept, and what went
// after it because it was about it. Errors: formats.ErrNoVersion, formats.ErrConflict once
// the window is over or a file's name is in use. A version that was not retracted is no error.
func (t *tx) Restore(version string) error {
	seq, rel, err := t.find(version)
	if err != nil || rel.Retracted.IsZero() {
		return err
	}
	if seq <= t.head.GivenUp {
		return formats.Refuse(formats.ErrConflict, fmt.Sprintf("%s %s cannot be restored: the name was given up after it was deleted", t.name, version))
	}
	if t.now.Sub(rel.Retracted) >= restoreWindow {
		return formats.Refuse(formats.ErrConflict, fmt.Sprintf("%s %s was deleted on %s; deleted versions are kept for 30 days",
			t.name, version, rel.Retracted.Format(time.DateOnly)))
	}
	needs, err := t.rejoin(rel)
	if err != nil {
		return err
	}
	for _, f := range rel.Files {
		if err := t.addFile(version, f); err != nil {
			return err
		}
	}
	if err := t.refer(rel, needs); err != nil {
		return err
	}
	if err := t.unpin(rel); err != nil {
		return err
	}
	rel.Retracted, t.moved = time.Time{}, true
	if err := t.rewrite(seq, rel); err != nil {
		return err
	}
	if err := t.retag(version); err != nil {
		return err
	}
	if err := t.returnWith(version); err != nil {
		return err
	}
	if len(rel.Uses)+len(rel.Terms) > 0 {
		if err := t.loosen(version); err != nil {
			return err
		}
	}
	t.did("package.restore", rel)
	return t.journal("restored", version)
}

// Move implements formats.Mover. The grants under which policy was asked end
// with the transaction that puts others in their place, so that nobody has both.
func (t *tx) Move(inherit bool) error {
	h, to := t.head, t.asked
	if t.begun.Into == "" || h.Revision == 0 || t.begun.Action != policy.Settings && !(inherit && t.unpublished()) {
		return fmt.Errorf("%s is moved by a change that was not asked about as one: %w", t.name, policy.ErrDenied)
	}
	h.Repository, to.Repository = t.begun.Into, t.begun.Into
	if inherit == (h.Access == "") {
		return nil
	}
	if inherit {
		gone := h.Access
		h.Access = ""
		return t.access.Attach(t.w, gone)
	}
	var err error
	h.Access, err = t.access.Detach(t.ctx, t.w, t.actor, to)
	return err
}

// unpublished says that the change is a push to a package in which nothing was
// ever published, and that has no grants of its own. Whoever may publish to both
// repositories could as well have begun it in the other.
func (t *tx) unpublished() bool {
	return t.begun.Action == policy.Publish && t.head.LastSeq == 0 && t.head.Access == ""
}

func (t *tx) Save(p *formats.Package) error {
	h := t.head
	if h.Revision > 0 && h.Visibility == policy.Public && p.Visibility != policy.Public {
		return formats.Refuse(formats.ErrConflict, t.name+" is public and stays so: others may hold what was published; publish under another name instead")
	}
	if h.Revision == 0 || h.Visibility != p.Visibility {
		if err := t.access.Admit(t.w, t.actor, h.Repository, p.Visibility); err != nil {
			return err
		}
	}
	h.Tags, h.Meta, h.Visibility, h.Deleted = p.Tags, p.Meta, p.Visibility, p.Deleted
	return t.save()
}

func (t *tx) save() error {
	t.head.Revision++
	t.head.Modified, t.head.Released, t.moved, t.saved = t.now, false, false, true
	if err := writeHead(t.w, t.format, t.head); err != nil {
		return err
	}
	return t.journal("changed", "")
}

func (t *tx) journal(what, version string) error {
	return appendJournal(t.w, event{
		Time: t.now, Format: t.format, Package: t.name, Version: version,
		What: what, Revision: t.head.Revision, Actor: t.actor.User,
	})
}
