package npm

import (
	"encoding/json"
	"errors"
	"net/http"

	"larder/formats"
	"larder/policy"
)

// unpublish removes the versions that a document no longer holds and applies
// its tags; nothing else of it is read.
func (s *serving) unpublish(pub *Publication) error {
	stay := map[string]bool{}
	for _, v := range pub.Versions {
		stay[v.Version] = true
	}
	err := s.withdraw(s.t.Rev, func(tx formats.Tx, p *formats.Package) ([]string, error) {
		gone, err := living(tx, func(version string) bool { return !stay[version] })
		if err != nil {
			return nil, err
		}
		for tag, v := range pub.Tags {
			r, err := tx.Release(v)
			switch {
			case errors.Is(err, formats.ErrNotFound):
			case err != nil:
				return nil, err
			case r.Retracted.IsZero() && checkTag(tag) == nil:
				p.Tags[tag] = v
			}
		}
		return gone, nil
	})
	if err != nil {
		return err
	}
	return s.json(http.StatusCreated, changed)
}

// Settle puts tags and the summary for searches right after versions went away
// or came back by other ways than this protocol.
func (f *Format) Settle(tx formats.Tx, p *formats.Package) error {
	a, err := readAbout(p)
	if err != nil {
		return err
	}
	if err := f.settleTags(tx, p, &a); err != nil {
		return err
	}
	return a.store(p)
}

// settleTags drops the tags of versions that are not there, and gives latest
// to the highest version if it lost its own. A package without any version is
// gone; its name and its versions stay reserved.
func (f *Format) settleTags(tx formats.Tx, p *formats.Package, a *about) error {
	var living []string
	there := map[string]bool{}
	for r, err := range tx.Releases() {
		if err != nil {
			return err
		}
		if r.Retracted.IsZero() {
			living = append(living, r.Version)
			there[r.Version] = true
		}
	}
	for tag, v := range p.Tags {
		if !there[v] {
			delete(p.Tags, tag)
		}
	}
	a.Moves = nil
	switch {
	case len(living) == 0 && p.Deleted.IsZero():
		p.Deleted = f.clock().UTC()
	case len(living) > 0 && p.Tags["latest"] == "":
		p.Tags["latest"] = Latest(living)
	}
	return resummarize(tx, p, a)
}

// resummarize describes the version that latest names now.
func resummarize(tx formats.Tx, p *formats.Package, a *about) error {
	latest := p.Tags["latest"]
	if latest == "" || latest == a.Summary.Version {
		return nil
	}
	r, err := tx.Release(latest)
	if err != nil {
		return err
	}
	a.Summary = summarize(latest, releaseManifest(r.Meta), r.Published, Person{Name: r.Publisher})
	return nil
}

// serveDelete removes the whole package; its name and versions stay reserved.
func (s *serving) serveDelete() error {
	err := s.withdraw("", func(tx formats.Tx, p *formats.Package) ([]string, error) {
		all, err := living(tx, every)
		switch {
		case err != nil:
			return nil, err
		case !p.Deleted.IsZero() && len(all) == 0:
			return nil, errUnchanged // what npm repeats when it got no answer
		case p.Deleted.IsZero() && s.t.Rev != revision(p):
			return nil, errConflict()
		}
		// It is not seen from now on, however long the rest takes.
		p.Deleted = s.clock().UTC()
		return all, nil
	})
	if err != nil {
		return err
	}
	return s.json(http.StatusOK, changed)
}

// serveDeleteTarball is the second half of an unpublish, whose first has
// removed the version already: that is success.
func (s *serving) serveDeleteTarball() error {
	err := s.alter(policy.Delete, "", func(tx formats.Tx, p *formats.Package, a *about) error {
		name := fileKey(s.t.Package, s.t.File)
		version := ""
		for r, err := range tx.Releases() {
			if err != nil {
				return err
			}
			if r.Retracted.IsZero() && len(r.Files) == 1 && r.Files[0].Name == name {
				version = r.Version
			}
		}
		if version == "" {
			return errUnchanged
		}
		if s.t.Rev != revision(p) {
			return errConflict()
		}
		if err := tx.Retract(version); err != nil {
			return err
		}
		return s.settleTags(tx, p, a)
	})
	if err != nil {
		return err
	}
	return s.json(http.StatusOK, changed)
}

// serveSetTags sets the tag of the URL to the version in the body, or each tag
// of an object.
func (s *serving) serveSetTags() error {
	body, err := s.readBody(maxTagBody)
	if err != nil {
		return err
	}
	tags := map[string]string{}
	if s.t.Op == opTagSet {
		var version string
		if json.Unmarshal(body, &version) != nil || version == "" {
			return bad("the body must be a version as a JSON string")
		}
		tags[s.t.Tag] = version
	} else if json.Unmarshal(body, &tags) != nil || len(tags) == 0 {
		return bad("the body must be a JSON object of versions by tag")
	}
	for tag := range tags {
		if err := checkTag(tag); err != nil {
			return err
		}
	}
	err = s.alter(policy.Publish, "", func(tx formats.Tx, p *formats.Package, a *about) error {
		for tag, version := range tags {
			r, err := tx.Release(version)
			if errors.Is(err, formats.ErrNotFound) || (err == nil && !r.Retracted.IsZero()) {
				return formats.Refuse(formats.ErrNoVersion, "this version doesn't exist: "+quoteShort(version))
			}
			if err != nil {
				return err
			}
			p.Tags[tag] = version
		}
		a.Moves = nil
		return resummarize(tx, p, a)
	})
	if err != nil {
		return err
	}
	return s.json(http.StatusCreated, []byte(`{"ok":"dist-tags updated"}`))
}

func (s *serving) serveDeleteTag() error {
	if s.t.Tag == "latest" {
		return bad("the latest tag cannot be removed")
	}
	err := s.alter(policy.Publish, "", func(_ formats.Tx, p *formats.Package, _ *about) error {
		if _, ok := p.Tags[s.t.Tag]; !ok {
			return formats.Refuse(formats.ErrNoVersion, "the package has no tag "+quoteShort(s.t.Tag))
		}
		delete(p.Tags, s.t.Tag)
		return nil
	})
	if err != nil {
		return err
	}
	return s.json(http.StatusOK, []byte(`{"ok":"dist-tag removed"}`))
}

// serveAccess sets who may read the package.
func (s *serving) serveAccess() error {
	body, err := s.readBody(maxTagBody)
	if err != nil {
		return err
	}
	visibility, err := accessOf(body)
	if err != nil {
		return err
	}
	err = s.alter(policy.Settings, "", func(_ formats.Tx, p *formats.Package, _ *about) error {
		switch {
		case visibility == "", visibility == p.Visibility:
			return errUnchanged
		case p.Visibility == policy.Public:
			return formats.Refuse(formats.ErrConflict, "a public package cannot become private again")
		}
		p.Visibility = visibility
		return nil
	})
	if err != nil {
		return err
	}
	return s.json(http.StatusOK, []byte(`{"ok":"access updated"}`))
}

// accessOf reads the body of an access call: the visibility to set, "" for none.
func accessOf(body []byte) (policy.Visibility, error) {
	if !json.Valid(body) || !isObject(body) {
		return "", bad("the body must be a JSON object")
	}
	switch textField(body, "access") {
	case "public":
		return policy.Public, nil
	case "restricted":
		return policy.Private, nil
	}
	switch factor := field(body, "publish_requires_tfa"); {
	case string(factor) == "false":
		return "", nil // as it is
	case factor != nil:
		return "", bad("this registry has no second factor; limit a token instead: larder token create --help")
	}
	return "", bad("access must be public or restricted")
}

func errConflict() error { return formats.Refuse(formats.ErrConflict, "document update conflict") }
