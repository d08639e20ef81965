package npm

import (
	"errors"
	"io"
	"net/http"
	"slices"

	"larder/cache"
	"larder/formats"
	"larder/policy"
)

func (s *serving) servePut() error {
	body, err := s.body()
	if err != nil {
		return err
	}
	var up formats.Upload
	defer func() {
		if up != nil {
			// Dropping what was not kept can only fail as the sweep of left-overs repairs.
			_ = up.Close()
		}
	}()
	began := s.began()
	pub, err := ReadPublish(body, s.t.Package, s.t.Op == opPutRev, s.limits, func() (io.Writer, error) {
		var err error
		up, err = s.Registry.Upload(s.r.Context(), formats.UploadOptions{
			Package: s.t.Package, Size: -1, Also: []cache.Algorithm{cache.SHA1, cache.SHA512},
		})
		return up, err
	})
	if err != nil {
		return err
	}
	switch pub.Kind {
	case KindPublish:
		return s.publish(pub, up, began)
	case KindDeprecate:
		return s.deprecate(pub)
	case KindStar:
		return s.star(pub)
	case KindMaintainers:
		return s.setMaintainers(pub)
	}
	return s.unpublish(pub)
}

var changed = []byte(`{"ok":"package changed","success":true}`)

// deprecate applies only the deprecations of a document, to versions of ours, in as
// many transactions as that takes.
func (s *serving) deprecate(pub *Publication) error {
	left, err := s.deprecateSome(pub.Versions)
	for err == nil && len(left) > 0 {
		left, err = s.deprecateSome(left)
	}
	if err != nil {
		return err
	}
	return s.json(http.StatusCreated, changed)
}

// deprecateSome does what one transaction has room for, and returns the rest.
func (s *serving) deprecateSome(list []VersionState) (left []VersionState, err error) {
	err = s.alter(policy.Publish, "", func(tx formats.Tx, _ *formats.Package, _ *about) error {
		unchanged, size := errUnchanged, 0
		left = nil
		for i, v := range list {
			r, err := tx.Release(v.Version)
			if errors.Is(err, formats.ErrNotFound) || (err == nil && !r.Retracted.IsZero()) {
				continue
			}
			if err != nil {
				return err
			}
			manifest := releaseManifest(r.Meta)
			if textField(manifest, "deprecated") == v.Deprecated {
				continue
			}
			if size += r.Weight(); size > formats.TxBudget && unchanged == nil {
				left = list[i:]
				break
			}
			r.Meta = withManifest(r.Meta, SetDeprecated(manifest, v.Deprecated))
			if err := tx.Amend(r); err != nil {
				return err
			}
			unchanged = nil
		}
		return unchanged
	})
	return left, err
}

// star sets or clears the caller's own star; other users' are not looked at.
func (s *serving) star(pub *Publication) error {
	if s.Caller.Anonymous() {
		return formats.Refuse(policy.ErrUnauthenticated, "log in to star a package")
	}
	err := s.alter(policy.Read, "", func(_ formats.Tx, _ *formats.Package, a *about) error {
		switch wanted := pub.Users[s.Caller.User]; {
		case wanted == a.Users[s.Caller.User]:
			return errUnchanged
		case !wanted:
			delete(a.Users, s.Caller.User)
			return nil
		case len(a.Users) >= maxStars:
			return bad("the package has %d stars, the limit here", maxStars)
		case a.Users == nil:
			a.Users = map[string]bool{}
		}
		a.Users[s.Caller.User] = true
		return nil
	})
	if err != nil {
		return err
	}
	return s.json(http.StatusOK, changed)
}

func (s *serving) setMaintainers(pub *Publication) error {
	err := s.alter(policy.Settings, s.t.Rev, func(_ formats.Tx, _ *formats.Package, a *about) error {
		a.Maintainers = slices.Clone(pub.Maintainers)
		return nil
	})
	if err != nil {
		return err
	}
	return s.json(http.StatusCreated, changed)
}

// errUnchanged ends a change that has nothing to do: tag and revision of the
// document stay.
var errUnchanged = errors.New("nothing to change")

// alter changes an existing package in one transaction; rev, if not empty, is
// the revision that the client worked from. fn may return errUnchanged.
func (s *serving) alter(action policy.Action, rev string, fn func(formats.Tx, *formats.Package, *about) error) error {
	return s.Registry.Change(s.r.Context(), formats.Change{Package: s.t.Package, Action: action}, func(tx formats.Tx) error {
		p, err := tx.Package()
		if err != nil {
			return err
		}
		if !p.Deleted.IsZero() && action != policy.Delete {
			return formats.Refuse(formats.ErrNotFound, p.Name+" was unpublished")
		}
		if rev != "" && rev != revision(p) {
			return errConflict()
		}
		a, err := readAbout(p)
		if err != nil {
			return err
		}
		switch err := fn(tx, p, &a); {
		case errors.Is(err, errUnchanged):
			return nil
		case err != nil:
			return err
		}
		if err := a.store(p); err != nil {
			return err
		}
		return tx.Save(p)
	})
}
