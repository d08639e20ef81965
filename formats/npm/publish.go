package npm

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"larder/cache"
	"larder/formats"
)

// Limits of a publish body; a zero field takes its default.
type Limits struct {
	Tarball  int64 // decoded bytes; default 256 MiB
	Document int64 // bytes of all the rest; default 256 MiB, which a deprecation of 10 000 versions needs
	Value    int64 // bytes of one manifest or other member; default 4 MiB
}

const (
	defaultTarball  = 256 << 20
	defaultDocument = 256 << 20
	defaultManifest = 4 << 20
	maxReadme       = 64 << 10 // bytes of a readme that are kept
)

func (l Limits) withDefaults() Limits {
	if l.Tarball <= 0 {
		l.Tarball = defaultTarball
	}
	if l.Document <= 0 {
		l.Document = defaultDocument
	}
	if l.Value <= 0 {
		l.Value = defaultManifest
	}
	return l
}

// Kind says what a PUT of a package document means.
type Kind string

// The kinds. They are told apart by the members of the body and by whether the
// URL names a revision.
const (
	KindPublish     Kind = "publish"     // one version with its tarball
	KindDeprecate   Kind = "deprecate"   // versions without a tarball: their deprecations count
	KindStar        Kind = "star"        // users: the caller's own entry counts
	KindMaintainers Kind = "maintainers" // with a revision: the new owners
	KindUnpublish   Kind = "unpublish"   // with a revision and versions: those that stay
)

// Publication is the body of a PUT, read and checked.
type Publication struct {
	Kind Kind
	Name string
	Rev  string // the body's _rev, "" if it has none

	// Of a publish.
	Version  string
	Manifest []byte // as sent
	Access   string // "public", "restricted" or "" for the repository's default
	Readme   string // at most 64 KiB
	Size     int64  // bytes of the tarball
	// Provenance is the JSON text of a sigstore bundle, nil if none was sent.
	Provenance []byte

	// Tags are those to set: of a publish they all name Version.
	Tags map[string]string
	// Versions are those in the body of a deprecation or an unpublish.
	Versions    []VersionState
	Users       map[string]bool
	Maintainers []Person
}

// VersionState is one version of a body that changes a package.
type VersionState struct {
	Version    string
	Deprecated string // "": not, or no longer
}

// Person is an entry of maintainers.
type Person struct {
	Name  string `json:"name"`
	Email string `json:"email,omitempty"`
}

// ReadPublish reads the body of a PUT of the package named name; rev says that
// the URL named a revision. The bytes of the tarball go to the writer that sink
// returns, which is asked for once, before anything of the body is known to be
// right: the caller drops them on error. Errors: formats.ErrBadRequest with a
// sentence for the publisher, formats.ErrTooLarge, those of r and of the sink.
func ReadPublish(r io.Reader, name string, rev bool, lim Limits, sink func() (io.Writer, error)) (*Publication, error) {
	lim = lim.withDefaults()
	split := newSplitter(r, lim.Tarball, sink)
	p := reading{source: newSource(split, lim.Document, lim.Value), split: split, pub: &Publication{}}
	p.strict = true // others could not read the package's document any more
	if err := p.document(); err != nil {
		return nil, p.refusal(err)
	}
	if err := p.settle(name, rev); err != nil {
		return nil, err
	}
	return p.pub, nil
}

// reading is a publish body on its way in.
type reading struct {
	*source
	split *splitter
	pub   *Publication

	id, name    string
	hasName     bool
	hasVersions bool
	hasUsers    bool
	owners      bool
	tags        []byte
	access      []byte
	attachments []byte
}

// refusal words what went wrong: the sentences of this package as they are,
// the decoder's not at all, and what the body or the sink failed with wrapped.
func (p *reading) refusal(err error) error {
	if _, ok := errors.AsType[*formats.Error](err); ok {
		return err
	}
	if p.in.err != nil && !errors.Is(p.in.err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("read the publish body: %w", err)
	}
	return formats.Refuse(formats.ErrBadRequest, "request body is not a publish document")
}

func (p *reading) document() error {
	if err := p.open(); err != nil {
		return err
	}
	for {
		name, ok, err := p.next()
		if err != nil {
			return err
		}
		if !ok {
			return p.end()
		}
		if name == "versions" {
			p.hasVersions = true
			err = p.versions()
		} else {
			err = p.part(name)
		}
		if err != nil {
			return err
		}
	}
}

// part reads one top-level member other than versions.
func (p *reading) part(name string) error {
	raw, err := p.read()
	if err != nil {
		return err
	}
	s, _ := text(raw)
	switch name {
	case "_id":
		p.id = s
	case "name":
		p.name, p.hasName = s, true
	case "_rev":
		p.pub.Rev = s
	case "readme":
		p.pub.Readme = cutReadme(s)
	case "access":
		p.access = append([]byte(nil), raw...)
	case "dist-tags":
		p.tags = append([]byte(nil), raw...)
	case "_attachments":
		p.attachments = append([]byte(nil), raw...)
	case "users":
		p.hasUsers = isObject(raw)
		p.pub.Users = map[string]bool{}
		for m := range members(raw) {
			p.pub.Users[string(m.name)] = string(m.value) == "true"
		}
	case "maintainers":
		p.owners = true
		known := map[string]bool{}
		for e := range elements(raw) {
			if who := (Person{textField(e, "name"), textField(e, "email")}); !known[who.Name] {
				known[who.Name] = true
				p.pub.Maintainers = append(p.pub.Maintainers, who)
			}
		}
	}
	return nil
}

// versions keeps the first manifest and of the others their state.
func (p *reading) versions() error {
	if err := p.open(); err != nil {
		return err
	}
	for {
		version, ok, err := p.next()
		if err != nil || !ok {
			return err
		}
		raw, err := p.read()
		if err != nil {
			return err
		}
		if !isObject(raw) {
			return errNotObject
		}
		if len(p.pub.Versions) >= maxVersions {
			return formats.Refuse(formats.ErrTooLarge, fmt.Sprintf("the document has more than %d versions", maxVersions))
		}
		if len(p.pub.Versions) == 0 {
			p.pub.Manifest = append([]byte(nil), raw...)
		}
		p.pub.Versions = append(p.pub.Versions, VersionState{version, textField(raw, "deprecated")})
	}
}

// cutReadme returns at most maxReadme bytes of s, whole letters only.
func cutReadme(s string) string {
	if len(s) <= maxReadme {
		return s
	}
	end := maxReadme
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

// Announced returns the checksums that the publisher's manifest states, to
// verify the tarball by.
func (p *Publication) Announced() []cache.Sum {
	dist := field(p.Manifest, "dist")
	sums := FileFacts{Integrity: strongest(textField(dist, "integrity"))}.Sums()
	shasum := FileFacts{Shasum: strings.ToLower(textField(dist, "shasum"))}.Sums()
	for _, s := range shasum {
		if len(sums) == 0 || sums[0].Algorithm != s.Algorithm {
			sums = append(sums, s)
		}
	}
	return sums
}
