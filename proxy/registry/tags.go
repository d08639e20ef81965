package registry

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"time"

	"larder/cache"
	"larder/formats"
	"larder/policy"
	"larder/policy/audit"
)

func encodeTag(version string, moved time.Time) []byte {
	v := binary.BigEndian.AppendUint64([]byte{rowVersion}, uint64(moved.UnixNano()))
	return append(v, version...)
}

func decodeTag(name string, v []byte) (formats.Tag, error) {
	if len(v) < 1+8+1 || v[0] != rowVersion {
		return formats.Tag{}, fmt.Errorf("tag %.64q: %w", name, errRow)
	}
	moved := time.Unix(0, int64(binary.BigEndian.Uint64(v[1:]))).UTC()
	return formats.Tag{Name: name, Version: string(v[9:]), Moved: moved}, nil
}

// readTag returns a tag of a package. Errors: formats.ErrNoVersion.
func readTag(r cache.Reader, format, pkg, name string) (formats.Tag, error) {
	k, err := partKey(format, pkg, partTag, name)
	if err != nil {
		return formats.Tag{}, err
	}
	value, err := r.Get(k)
	if errors.Is(err, cache.ErrNotExist) {
		return formats.Tag{}, formats.Refuse(formats.ErrNoVersion, pkg+" has no tag "+name)
	}
	if err != nil {
		return formats.Tag{}, err
	}
	return decodeTag(name, value)
}

func (t *tx) Tag(name string) (string, error) {
	tag, err := readTag(t.w, t.format, t.name, name)
	return tag.Version, err
}

func (t *tx) SetTag(name, version string) error {
	_, r, err := t.find(version)
	if err == nil && !r.Retracted.IsZero() {
		err = formats.Refuse(formats.ErrNoVersion, "version not found: "+version)
	}
	if err != nil {
		return err
	}
	was, err := t.Tag(name)
	switch {
	case err == nil && was == version:
		return nil
	case err == nil:
		if err := t.movableTag(name, formats.ErrExists); err != nil {
			return err
		}
		if err := t.untie(was, name); err != nil {
			return err
		}
	case !errors.Is(err, formats.ErrNoVersion):
		return err
	}
	k, err := t.partKey(partTag, name)
	if err != nil {
		return err
	}
	if err := t.w.Put(k, encodeTag(version, t.now)); err != nil {
		return err
	}
	t.didTag("tag.set", name, was, version)
	return t.mark(partTagged, version, name)
}

func (t *tx) DropTag(name string) error {
	was, err := t.Tag(name)
	if err != nil {
		return err
	}
	if err := t.movableTag(name, policy.ErrDenied); err != nil {
		return err
	}
	return t.dropTag(name, was)
}

func (t *tx) dropTag(name, was string) error {
	k, err := t.partKey(partTag, name)
	if err != nil {
		return err
	}
	if err := t.w.Delete(k); err != nil {
		return err
	}
	t.didTag("tag.drop", name, was, "")
	return t.untie(was, name)
}

// untie notes that a tag leaves a version, and when: versions without a tag may
// not be kept for ever.
func (t *tx) untie(version, tag string) error {
	if err := t.unmark(partTagged, version, tag); err != nil {
		return err
	}
	return t.loosen(version)
}

// loosen begins the time anew that a version without a tag is kept for.
func (t *tx) loosen(version string) error {
	k, err := t.partKey(partLoose, version)
	if err != nil {
		return err
	}
	return writeTime(t.w, k, t.now)
}

func (t *tx) TagsOf(version string) ([]string, error) { return t.namesBelow(partTagged, version) }

// namesBelow returns the second names of rows by the first.
func (t *tx) namesBelow(part byte, name string) ([]string, error) {
	prefix, err := t.partKey(part, name, "")
	if err != nil {
		return nil, err
	}
	var names []string
	for row, err := range t.w.Scan(prefix, nil) {
		if err != nil {
			return nil, err
		}
		names = append(names, string(row.Key[len(prefix):]))
	}
	return names, nil
}

// untag drops all tags of a version that goes, or none. What they were is kept
// with its tombstone.
func (t *tx) untag(version string) error {
	names, err := t.TagsOf(version)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := t.movableTag(name, policy.ErrDenied); err != nil {
			return err
		}
	}
	for _, name := range names {
		if err := t.dropTag(name, version); err != nil {
			return err
		}
		if err := t.mark(partParted, version, name); err != nil {
			return err
		}
	}
	return nil
}

// retag gives a version that was restored the tags that went with it, but those
// that stand for another by now.
func (t *tx) retag(version string) error {
	names, err := t.forgetTags(version)
	if err != nil {
		return err
	}
	for _, name := range names {
		_, err := t.Tag(name)
		if errors.Is(err, formats.ErrNoVersion) {
			err = t.SetTag(name, version)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// forgetTags ends that tags come back with a version, and returns them.
func (t *tx) forgetTags(version string) ([]string, error) {
	names, err := t.namesBelow(partParted, version)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if err := t.unmark(partParted, version, name); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// movableTag refuses, with the kind of error given, to move or drop a tag that
// its repository keeps where it is.
func (t *tx) movableTag(name string, kind error) error {
	fixed, err := t.access.Immutable(t.ctx, t.head.Repository, name)
	if err != nil {
		return fmt.Errorf("whether the tag %s may be moved is not known now: %w", name, err)
	}
	if !fixed {
		return nil
	}
	return formats.Refuse(kind, fmt.Sprintf("the tag %s is immutable in the repository %s: it stays on the version it was first given to", name, t.head.Repository))
}

// didTag notes a tag that moved; the package has changed by it.
func (t *tx) didTag(action, name, was, is string) {
	d := deed{action: action, before: audit.State{}, after: audit.State{}}
	d.on = audit.Resource{Format: t.format, Repository: t.home, Package: t.name, Version: is, ID: name}
	note(d.before, d.after, "version", was, is)
	t.done = append(t.done, d)
	t.moved = true
}

// tagsPage is how many tags one transaction reads.
const tagsPage = 1000

func (b *bound) Tags(ctx context.Context, pkg, after string) iter.Seq2[formats.Tag, error] {
	return pages(after, func(after string) ([]formats.Tag, string, error) {
		if err := b.readable(ctx, pkg); err != nil {
			return nil, "", err
		}
		page, err := b.tagsPage(ctx, pkg, after)
		if err != nil || len(page) < tagsPage {
			return page, "", err
		}
		return page, page[len(page)-1].Name, nil
	})
}

func (b *bound) tagsPage(ctx context.Context, pkg, after string) ([]formats.Tag, error) {
	format := b.spec.Format.Name()
	prefix := packageKey(format, pkg, partTag)
	from := append(packageKey(format, pkg, partTag), after...)
	if after == "" {
		from = nil
	}
	var page []formats.Tag
	err := b.engine.opt.Index.View(ctx, func(r cache.Reader) error {
		page = page[:0]
		for row, err := range r.Scan(prefix, from) {
			if err != nil {
				return err
			}
			tag, err := decodeTag(string(row.Key[len(prefix):]), row.Value)
			if err != nil {
				return err
			}
			if page = append(page, tag); len(page) == tagsPage {
				return nil
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("tags of %s: %w", pkg, err)
	}
	return page, nil
}

// readable says that the caller may read a hosted package at this URL.
func (b *bound) readable(ctx context.Context, pkg string) error {
	if _, err := b.allow(ctx, policy.Read, pkg, ""); err != nil {
		return err
	}
	o, err := b.lookup(ctx, pkg)
	if err == nil && !b.visible(o) {
		err = b.missing(pkg)
	}
	return err
}

// pages yields what read returns page by page, each in a transaction that has
// ended by then, so that a slow consumer keeps no old rows alive. read gets where
// to go on and returns where the next page does, "" after the last.
func pages[T any](after string, read func(after string) ([]T, string, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for next := after; ; {
			page, more, err := read(next)
			for _, one := range page {
				if !yield(one, nil) {
					return
				}
			}
			if err != nil {
				yield(*new(T), err)
				return
			}
			if more == "" {
				return
			}
			next = more
		}
	}
}

// ownTag says what a tag of a hosted package stands for.
func (b *bound) ownTag(ctx context.Context, p formats.Pointer) (formats.Target, error) {
	format := b.spec.Format.Name()
	t := formats.Target{Result: formats.Hosted}
	err := b.engine.opt.Index.View(ctx, func(r cache.Reader) error {
		tag, err := readTag(r, format, p.Package, p.Name)
		if err != nil {
			return err
		}
		rec, err := readFile(r, hostedFileKey(format, p.File(tag.Version).Name))
		if errors.Is(err, cache.ErrNotExist) {
			return fmt.Errorf("%w: it stands for %s, which is not there", formats.ErrDamaged, tag.Version)
		}
		if err != nil {
			return err
		}
		t.Version, t.MediaType, t.Size = tag.Version, rec.MediaType, rec.Size
		return b.permitHosted(p.Package, &fileRecord{Version: p.Name, Fetched: rec.Fetched, Digest: rec.Digest})
	})
	if err != nil && !errors.Is(err, formats.ErrNoVersion) {
		err = fmt.Errorf("tag %s of %s: %w", p.Name, p.Package, err)
	}
	return t, err
}
