package oci

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"larder/cache"
	"larder/formats"
	"larder/policy"
)

// servePush takes a manifest: its checks by itself, then what it needs, and then
// all of it in one transaction with its tags.
func (s *serving) servePush() error {
	in, err := s.receiveManifest()
	if err != nil {
		return err
	}
	defer s.drop(in.up)
	m, known, err := s.examine(in)
	if err != nil {
		return err
	}
	about, err := known.encode()
	if err != nil {
		return err
	}
	if err := s.settle(known.repository()); err != nil {
		return err
	}
	if err := in.up.Keep(s.r.Context()); err != nil {
		return err
	}
	err = s.change(policy.Publish, func(tx formats.Tx) error { return s.put(tx, m, m.release(s.t.name, about, in.blob)) })
	var absent *formats.MissingError
	if errors.As(err, &absent) {
		return missing(s.t.name, m.named(s.t.name, absent.Names))
	}
	if err != nil {
		return err
	}
	more := http.Header{}
	if m.doc.Subject != nil {
		more["Oci-Subject"] = []string{m.doc.Subject.Digest}
	}
	if len(s.t.tags) > 0 {
		more["Oci-Tag"] = []string{strings.Join(s.t.tags, ", ")}
	}
	return s.created("manifests", m.digest, more)
}

// config reads the config of an image that is to be pushed, for what it says of
// it: nil for none. One that is not there, or is not what its descriptor says, is
// found out later; one that cannot be read is a fault of ours.
func (s *serving) config(m *manifest) ([]byte, error) {
	c := m.doc.Config
	if c == nil || !isConfig(c.MediaType) || *c.Size > maxConfig {
		return nil, nil
	}
	f := s.blob(digest(c.Digest))
	f.Head = false
	held, err := s.Registry.File(s.r.Context(), f)
	var body []byte
	if err == nil {
		body, err = held.All(s.r.Context(), maxConfig)
	}
	for _, unusable := range append(refusals(), formats.ErrNotFound, formats.ErrNoVersion, formats.ErrTooLarge) {
		if errors.Is(err, unusable) {
			return nil, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read the config of %s: %w", s.t.name, err)
	}
	return body, nil
}

// refusals are what policy says no with.
func refusals() []error {
	return []error{policy.ErrDenied, policy.ErrHidden, policy.ErrUnauthenticated}
}

// settle puts an image that has no manifest yet into the repository that it says
// it comes from, where the caller may publish to that; else it is only shown.
func (s *serving) settle(repository string) error {
	if repository == "" {
		return nil
	}
	p, err := s.Registry.Package(s.r.Context(), s.t.name)
	if err != nil || p.Repository == repository {
		return nil // what is wrong with the image itself shows in the push
	}
	for range s.Registry.Releases(s.r.Context(), s.t.name) {
		return nil
	}
	to := formats.Change{Package: s.t.name, Action: policy.Publish, Into: repository}
	err = s.Registry.Change(s.r.Context(), to, func(tx formats.Tx) error {
		mover, ok := tx.(formats.Mover)
		if !ok {
			return formats.ErrConflict
		}
		if err := mover.Move(true); err != nil {
			return err
		}
		p, err := tx.Package()
		if err != nil {
			return err
		}
		return tx.Save(p)
	})
	for _, refusal := range append(refusals(), formats.ErrNotFound, formats.ErrConflict) {
		if errors.Is(err, refusal) {
			return nil
		}
	}
	return err
}

// release is the manifest as a version of the image.
func (m *manifest) release(name string, about []byte, blob cache.Blob) *formats.Release {
	r := &formats.Release{
		Version: string(m.digest), Meta: about,
		Files: []formats.ReleaseFile{{Name: manifestFile(name, m.digest), MediaType: m.mediaType, Blob: blob}},
	}
	for _, n := range m.needs {
		r.Uses = append(r.Uses, n.file(name))
	}
	if m.doc.Subject != nil {
		r.Terms = []string{subjectTerm(digest(m.doc.Subject.Digest))}
	}
	return r
}

// subjectTerm finds the manifests that refer to d.
func subjectTerm(d digest) string { return subjectWord + string(d) }

const subjectWord = "subject "

// named returns the needs whose files are among those given.
func (m *manifest) named(name string, files []string) []need {
	var list []need
	for _, n := range m.needs {
		if slices.Contains(files, n.file(name)) {
			list = append(list, n)
		}
	}
	return list
}

// put is the transaction of a push.
func (s *serving) put(tx formats.Tx, m *manifest, r *formats.Release) error {
	absent, err := s.hold(tx, m)
	if err != nil {
		return err
	}
	if ok, err := s.sparse(tx, absent); err != nil {
		return err
	} else if !ok {
		return missing(s.t.name, absent)
	}
	lack(r, s.t.name, absent)
	if err := sameType(tx, m, r.Files[0]); err != nil {
		return err
	}
	r.Publisher = s.Caller.User
	if err := tx.Put(r); err != nil {
		return err
	}
	tags := s.t.tags
	if s.t.tag != "" {
		tags = []string{s.t.tag}
	}
	for _, tag := range tags {
		if err := tx.SetTag(tag, r.Version); err != nil {
			return err
		}
	}
	p, err := tx.Package()
	if err != nil {
		return err
	}
	p.Deleted = time.Time{} // a name that was kept is in use again
	return tx.Save(p)
}

// hold compares what a manifest needs with what the image has, and returns what
// it has not.
func (s *serving) hold(tx formats.Tx, m *manifest) (absent []need, err error) {
	for _, n := range m.needs {
		f, err := tx.File(n.file(s.t.name))
		switch {
		case errors.Is(err, formats.ErrNoVersion):
			absent = append(absent, n)
		case err != nil:
			return nil, err
		case f.Blob.Size != n.size:
			return nil, otherSize(n, f.Blob.Size)
		}
	}
	return absent, nil
}

// sameType refuses bytes that are here as a manifest of another type: they would
// be an image to one reader and an index to another.
func sameType(tx formats.Tx, m *manifest, f formats.ReleaseFile) error {
	held, err := tx.File(f.Name)
	switch {
	case errors.Is(err, formats.ErrNoVersion):
		return nil
	case err != nil:
		return err
	case held.MediaType != f.MediaType:
		return invalid("is here already as %s, and was sent as %s: the same bytes cannot be both", clip(held.MediaType), clip(m.mediaType))
	}
	return nil
}
