package npm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"larder/cache"
	"larder/formats"
	"larder/policy"
)

// replayWindow is how long a publish that may not have been answered can be
// repeated with success (npm repeats a PUT after every 5xx and lost reply).
const replayWindow = 15 * time.Minute

// lookAhead is how long before its publish npm has read the document: it is by
// what stood there that it takes a version for the latest.
const lookAhead = 2 * time.Second

// began is when the publish that is served now began.
func (s *serving) began() time.Time {
	if s.r.Header.Get("npm-command") != "" {
		return s.clock().Add(-lookAhead)
	}
	return s.clock()
}

// addition is a version on its way into its package.
type addition struct {
	*serving
	pub      *Publication
	rel      *formats.Release
	began    time.Time
	settings bool // the caller may change who reads the package
}

// errAccess says that a publish would change who may read the package.
var errAccess = errors.New("the publish asks for another access than the package has")

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
	a := addition{serving: s, pub: pub, rel: rel, began: began}
	err = s.Registry.Change(s.r.Context(), change, a.add)
	if errors.Is(err, errAccess) {
		change.Action, a.settings = policy.Settings, true
		err = s.Registry.Change(s.r.Context(), change, a.add)
	}
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
	if err := info.Matches(pub); err != nil {
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

func (n *addition) add(tx formats.Tx) error {
	switch old, err := tx.Release(n.pub.Version); {
	case err == nil:
		return n.repeated(old)
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
	if len(p.Meta) == 0 { // new, or of a name that was given up
		a.Maintainers = []Person{n.person(n.Caller.User)}
	}
	if err := whole(tx, p); err != nil {
		return err
	}
	if err := n.access(p); err != nil {
		return err
	}
	p.Deleted = time.Time{}
	if err := tx.Add(n.rel); err != nil {
		return err
	}
	n.tag(p, &a)
	if p.Tags["latest"] == n.pub.Version {
		a.Summary = summarize(n.pub.Version, releaseManifest(n.rel.Meta), n.rel.Published, n.person(n.Caller.User))
	} else if err := resummarize(tx, p, &a); err != nil {
		return err
	}
	if err := a.store(p); err != nil {
		return err
	}
	return tx.Save(p)
}

// access opens a package that is there, if the publish says so and may.
func (n *addition) access(p *formats.Package) error {
	public := p.Visibility == policy.Public
	switch {
	case p.Revision == 0, n.pub.Access == "", public == (n.pub.Access == "public"):
		return nil
	case public:
		return formats.Refuse(policy.ErrDenied, p.Name+" is public and stays so: publish it without --access restricted, or under another name")
	case !n.settings:
		return errAccess
	}
	p.Visibility = policy.Public
	return nil
}

// tag moves the tags of the publish. Of publishes that overlap in time, latest
// goes to the highest version.
func (n *addition) tag(p *formats.Package, a *about) {
	for tag, version := range n.pub.Tags {
		if tag == "latest" {
			version = a.latest(attempt{Version: version, Began: n.began, Done: n.clock()})
		}
		p.Tags[tag] = version
	}
	if p.Tags["latest"] == "" {
		p.Tags["latest"] = n.pub.Version
	}
}

// repeated decides about a version that is here: a client's retry of what may
// not have been answered succeeds, everything else is a conflict.
func (n *addition) repeated(old *formats.Release) error {
	if !old.Retracted.IsZero() {
		return formats.Refuse(formats.ErrExists, fmt.Sprintf("%s@%s was unpublished and cannot be published again", n.pub.Name, n.pub.Version))
	}
	same := len(old.Files) == 1 && old.Files[0].Blob.Digest == n.rel.Files[0].Blob.Digest
	if same && !old.Acknowledged && old.Publisher == n.Caller.User && n.clock().Sub(old.Published) < replayWindow {
		return nil
	}
	return formats.Refuse(formats.ErrExists, "You cannot publish over the previously published versions: "+n.pub.Version+".")
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
