package registry

import (
	"context"
	"errors"
	"time"

	"larder/cache"
	"larder/formats"
)

// maxReturned is how many versions come back with those that they are about, in one
// transaction. More than these are restored by their own names.
const maxReturned = 200

// attachments says that a package has versions that were published with a term,
// as all that are about another one are. Few packages have any.
func (r *Registry) attachments(ctx context.Context, pkg string) (some bool, err error) {
	prefix := packageKey(r.spec.Format.Name(), pkg, partTerm)
	err = r.engine.opt.Index.View(ctx, func(v cache.Reader) error {
		some = false
		for _, err := range v.Scan(prefix, nil) {
			some = err == nil
			return err
		}
		return nil
	})
	return some, err
}

// retractWith retracts a version and notes that it went after its subject, if
// that is gone. "" for the subject is none.
func (t *tx) retractWith(version, subject string) error {
	if err := t.Retract(version); err != nil || subject == "" {
		return err
	}
	s, err := t.Release(subject)
	switch {
	case errors.Is(err, formats.ErrNoVersion):
		return nil
	case err != nil || s.Retracted.IsZero():
		return err
	}
	k, err := t.partKey(partFollow, subject, version)
	if err != nil {
		return err
	}
	return writeTime(t.w, k, t.now)
}

// returnWith restores what went after a version and was not touched since. What
// cannot be restored any more stays away.
func (t *tx) returnWith(version string) error {
	return t.followers(version, func(name string, went time.Time) error {
		rel, err := t.Release(name)
		switch {
		case errors.Is(err, formats.ErrNoVersion):
			return nil
		case err != nil || !rel.Retracted.Equal(went) || t.returned == maxReturned:
			return err
		}
		t.returned++
		if err := t.Restore(name); err != nil && !errors.Is(err, formats.ErrConflict) {
			return err
		}
		return nil
	})
}

// leaveBehind ends that anything comes back with a version.
func (t *tx) leaveBehind(version string) error {
	return t.followers(version, func(string, time.Time) error { return nil })
}

// followers takes the rows of what went after a version, and calls fn for each.
func (t *tx) followers(version string, fn func(name string, went time.Time) error) error {
	names, err := t.namesBelow(partFollow, version)
	if err != nil {
		return err
	}
	for _, name := range names {
		k, err := t.partKey(partFollow, version, name)
		if err != nil {
			return err
		}
		went, err := readTime(t.w, k)
		if err != nil {
			return err
		}
		if err := t.w.Delete(k); err != nil {
			return err
		}
		if err := fn(name, went); err != nil {
			return err
		}
	}
	return nil
}
