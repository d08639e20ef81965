package npm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"larder/cache"
	"larder/formats"
	"larder/policy"
)

// replayWindow is how long a publish that may not have been answered can be
// repeated with success (npm repeats a PUT after every 5xx and lost reply).
const replayWindow = 15 * time.Minute

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
	began := s.clock()
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

// publish checks the tarball, keeps it and adds the version.
func (s *serving) publish(pub *Publication, up formats.Upload, began time.Time) error {
	rel, err := s.release(pub, up)
	if err != nil {
		return err
	}
	change := formats.Change{Package: pub.Name, Action: policy.Publish, Create: true}
	switch pub.Access {
	case "public":
		change.Visibility = policy.Public
	case "restricted":
		change.Visibility = policy.Private
	}
	err = s.Registry.Change(s.r.Context(), change, func(tx formats.Tx) error {
		return s.addRelease(tx, pub, rel, began)
	})
	if err != nil {
		return err
	}
	if err := s.json(http.StatusCreated, []byte(`{"ok":"created new package","success":true}`)); err != nil {
		return err
	}
	s.acknowledge(pub)
	return nil
}

// release reads the uploaded tarball and describes the version it makes.
func (s *serving) release(pub *Publication, up formats.Upload) (*formats.Release, error) {
	blob, err := up.Verify(pub.Announced()...)
	if errors.Is(err, cache.ErrCorrupt) {
		return nil, formats.Refuse(formats.ErrBadRequest, "integrity mismatch: the tarball is not the one that its manifest describes")
	}
	if err != nil {
		return nil, err
	}
	file, err := up.Open()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := Inspect(file)
	if err != nil {
		return nil, err
	}
	if err := info.Matches(pub.Name, pub.Version); err != nil {
		return nil, err
	}
	facts := ManifestFacts{Name: pub.Name, Version: pub.Version, Blob: blob, Tarball: info, Publisher: s.person(s.Caller.User)}
	if len(pub.Provenance) > 0 {
		facts.Predicate = provenanceType
	}
	manifest, err := StoreManifest(pub.Manifest, facts)
	if err != nil {
		return nil, err
	}
	name, _ := FileName(pub.Name, pub.Version)
	if err := up.Keep(s.r.Context()); err != nil {
		return nil, err
	}
	return &formats.Release{
		Version: pub.Version, Published: s.clock().UTC(), Publisher: s.Caller.User, Meta: releaseMeta(manifest, pub),
		Files: []formats.ReleaseFile{{Name: fileKey(pub.Name, name), MediaType: mediaTarball, Blob: blob}},
	}, nil
}

// person is a user as documents show one.
func (s *serving) person(name string) Person {
	p := Person{Name: name}
	if u, err := s.Accounts.User(s.r.Context(), name); err == nil {
		p.Email = u.Email // a document without an address is as good
	}
	return p
}

func (s *serving) addRelease(tx formats.Tx, pub *Publication, rel *formats.Release, began time.Time) error {
	switch old, err := tx.Release(pub.Version); {
	case err == nil:
		return s.repeated(pub, rel, old)
	case !errors.Is(err, formats.ErrNotFound):
		return err
	}
	p, err := tx.Package()
	if err != nil {
		return err
	}
	a, err := readAbout(p)
	if err != nil {
		return err
	}
	if p.Revision == 0 {
		a.Maintainers = []Person{s.person(s.Caller.User)}
	}
	p.Deleted = time.Time{}
	if err := tx.Add(rel); err != nil {
		return err
	}
	for tag, version := range pub.Tags {
		if tag == "latest" {
			if overlaps(a, p, version, began) {
				continue
			}
			a.LatestAt = s.clock()
		}
		p.Tags[tag] = version
	}
	if p.Tags["latest"] == "" {
		p.Tags["latest"] = pub.Version
	}
	if p.Tags["latest"] == pub.Version {
		a.Summary = summarize(pub.Version, releaseManifest(rel.Meta), rel.Published, s.person(s.Caller.User))
	}
	if err := a.store(p); err != nil {
		return err
	}
	return tx.Save(p)
}

// together is how far apart the publishes of machines that started at once may
// arrive and still count as overlapping.
const together = 2 * time.Second

// overlaps reports that latest was moved to a higher version while this
// publish was under way.
func overlaps(a about, p *formats.Package, version string, began time.Time) bool {
	latest := p.Tags["latest"]
	return latest != "" && a.LatestAt.After(began.Add(-together)) && compareVersions(latest, version) > 0
}

// repeated decides about a version that is here: a client's retry of what may
// not have been answered succeeds, everything else is a conflict.
func (s *serving) repeated(pub *Publication, rel, old *formats.Release) error {
	if !old.Retracted.IsZero() {
		return formats.Refuse(formats.ErrExists, fmt.Sprintf("%s@%s was unpublished and cannot be published again", pub.Name, pub.Version))
	}
	same := len(old.Files) == 1 && old.Files[0].Blob.Digest == rel.Files[0].Blob.Digest
	if same && !old.Acknowledged && old.Publisher == s.Caller.User && s.clock().Sub(old.Published) < replayWindow {
		return nil
	}
	return formats.Refuse(formats.ErrExists, "You cannot publish over the previously published versions: "+pub.Version+".")
}

// acknowledge notes that the publisher got the answer. It is not noted when
// the connection broke, so that the client's retry finds its publish done.
func (s *serving) acknowledge(pub *Publication) {
	if http.NewResponseController(s.w).Flush() != nil || s.r.Context().Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.r.Context()), 10*time.Second)
	defer cancel()
	change := formats.Change{Package: pub.Name, Action: policy.Publish}
	// Failing leaves the publish repeatable for a while: harmless.
	_ = s.Registry.Change(ctx, change, func(tx formats.Tx) error {
		r, err := tx.Release(pub.Version)
		if err != nil {
			return err
		}
		r.Acknowledged = true
		return tx.Amend(r)
	})
}

var changed = []byte(`{"ok":"package changed","success":true}`)

// deprecate applies only the deprecations of a document, to versions of ours.
func (s *serving) deprecate(pub *Publication) error {
	err := s.Registry.Change(s.r.Context(), formats.Change{Package: pub.Name, Action: policy.Publish}, func(tx formats.Tx) error {
		p, err := tx.Package()
		if err != nil {
			return err
		}
		moved := false
		for _, v := range pub.Versions {
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
			r.Meta = withManifest(r.Meta, SetDeprecated(manifest, v.Deprecated))
			if err := tx.Amend(r); err != nil {
				return err
			}
			moved = true
		}
		if !moved {
			return nil // the document stays as it is, and so does its tag
		}
		return tx.Save(p)
	})
	if err != nil {
		return err
	}
	return s.json(http.StatusCreated, changed)
}

// star sets or clears the caller's own star; other users' are not looked at.
func (s *serving) star(pub *Publication) error {
	if s.Caller.Anonymous() {
		return formats.Refuse(policy.ErrUnauthenticated, "log in to star a package")
	}
	err := s.alter(policy.Read, "", func(_ formats.Tx, _ *formats.Package, a *about) error {
		if !pub.Users[s.Caller.User] {
			delete(a.Users, s.Caller.User)
			return nil
		}
		if len(a.Users) >= maxStars {
			return bad("the package has %d stars, the limit here", maxStars)
		}
		if a.Users == nil {
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

// alter changes an existing package in one transaction; rev, if not empty, is
// the revision that the client worked from.
func (s *serving) alter(action policy.Action, rev string, fn func(formats.Tx, *formats.Package, *about) error) error {
	return s.Registry.Change(s.r.Context(), formats.Change{Package: s.t.Package, Action: action}, func(tx formats.Tx) error {
		p, err := tx.Package()
		if err != nil {
			return err
		}
		if rev != "" && rev != revision(p) {
			return formats.Refuse(formats.ErrConflict, "document update conflict")
		}
		a, err := readAbout(p)
		if err != nil {
			return err
		}
		if err := fn(tx, p, &a); err != nil {
			return err
		}
		if err := a.store(p); err != nil {
			return err
		}
		return tx.Save(p)
	})
}
