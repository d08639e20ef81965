package formats

import (
	"context"
	"io"
	"iter"
	"time"

	"larder/cache"
	"larder/policy"
)

// Registry is one registry as one caller may use it: all a format may touch.
// Every method asks policy again for the names it is given, so that a name
// found in a body cannot get round the check made for the URL.
type Registry interface {
	Reading
	Writing
	Rights
	// Forward passes a call of the protocol on to the upstream. It must carry
	// no name of ours (see Ours). Errors: those of upstream.
	Forward(ctx context.Context, f Forward) (*Answer, error)
}

// Reading is the half of a Registry that changes nothing here but the cache.
type Reading interface {
	Naming
	Listing
	// Document returns bytes that change over time: an index, a packument, a
	// tag list. Hosted ones are built, upstream ones fetched and rewritten,
	// both once per change. Errors: ErrNotFound, those of upstream.
	Document(ctx context.Context, d Document) (*Content, error)
	// File returns bytes that never change: hosted, cached or fetched now.
	// Errors: ErrNotFound, those of upstream and cache.
	File(ctx context.Context, f File) (*Content, error)
	// Allows reports whether the rules let a version be shown in a list, by what
	// is known of it there. It costs no request.
	Allows(pkg string, v Listed) bool
	// Ours reports, name by name, whether it is hosted or claimed here, so that
	// it must not be told to an upstream.
	Ours(ctx context.Context, names []string) ([]bool, error)
}

// Naming is the part of Reading about names that move.
type Naming interface {
	// Resolve says what a name that moves, such as a tag, stands for now. Errors:
	// ErrNoVersion, ErrNotFound, those of upstream.
	Resolve(ctx context.Context, p Pointer) (Target, error)
	// Tags yields the tags of a hosted package that come after the one given, in
	// byte order. Only packages whose tags were set by Tagging have any here.
	Tags(ctx context.Context, pkg, after string) iter.Seq2[Tag, error]
	// Used notes that something was read, so that what was used lately can be told.
	// It is noted once a day, and not at once.
	Used(u Use)
}

// Use is what somebody read: a package by a tag, or a version by its name.
type Use struct{ Package, Tag, Version string }

// Listing is the part of Reading about hosted packages and what is in them.
type Listing interface {
	// Package returns a hosted package. Errors: ErrNotFound, also for names
	// that an upstream has.
	Package(ctx context.Context, name string) (*Package, error)
	// Releases yields the hosted versions of a package in the order of their
	// publication, those retracted left out.
	Releases(ctx context.Context, name string) iter.Seq2[*Release, error]
	// Having yields the hosted versions, by version, that were published with a
	// term and come after the version given, those retracted left out.
	Having(ctx context.Context, pkg, term, after string) iter.Seq2[*Release, error]
	// Packages yields the hosted packages the caller may read, by name, that
	// come after the name given. One that has only linked files is not among them.
	// Those of a mirror whose names are apart are the ones that were asked for here.
	Packages(ctx context.Context, after string) iter.Seq2[*Package, error]
}

// Writing is the half of a Registry that changes hosted packages.
type Writing interface {
	// Upload begins to store bytes that a later Change refers to. Bytes that
	// no Change refers to within an hour are dropped.
	// Errors: cache.ErrFull, ErrTooLarge, ErrTooMany, ErrUnsupported on a registry
	// that only mirrors.
	Upload(ctx context.Context, u UploadOptions) (Upload, error)
	// Change runs fn on one hosted package in one transaction: all of it is
	// durable when Change returns nil, and nothing of it otherwise. fn may run
	// twice and must not block. Errors: those of fn, policy refusals, ErrExists
	// where an upstream owns the name.
	Change(ctx context.Context, c Change, fn func(Tx) error) error
	Uploading
}

// Rights is what a format may tell of who may do what.
type Rights interface {
	// Role returns what a user may do with a hosted package that the caller may
	// read, without what its visibility adds. Errors: ErrNotFound.
	Role(ctx context.Context, user, pkg string) (policy.Role, error)
	// May says whether somebody may do something with a package, named as clients
	// name it, with the prefix of its mirror. It tells nobody what exists: a read
	// that would be answered as if the package were missing is true.
	May(ctx context.Context, who policy.Subject, a policy.Action, name string) (bool, error)
}

// Document names changing bytes and how to make them.
type Document struct {
	Package string // the package whose owner decides; "" for registry-wide ones
	// Name is unique among the registry's documents, and Variant among the
	// forms the same document is served in. Both are part of cache keys.
	Name      string
	Variant   string
	MediaType string
	// Path and Accept are sent to the upstream; Path is relative to its base.
	Path   string
	Accept string
	// Check reads the whole upstream body, decoded, before it replaces the one
	// held. An error means that the upstream is at fault.
	Check func(src io.Reader) error
	// Render turns the upstream's body into the variant.
	Render func(dst io.Writer, src io.Reader, v View) error
	// Build makes the variant of a hosted package.
	Build func(dst io.Writer, p *Package, releases iter.Seq2[*Release, error], v View) error
	// BaseFree says that neither Render nor Build looks at View.Base.
	BaseFree bool
	// Whole is shown whatever rules hide: what a client gets to send it back.
	Whole bool
	// Header names fields of the upstream's reply that are kept beside the
	// document, and given in Content.Header.
	Header []string
	// Transient variants are made for this request and not kept.
	Transient bool
	Age       Age
}

// View is what a rendering may depend on beside the document itself.
type View struct {
	Base      string    // URL of the registry with a final slash, as the client reached it
	FirstSeen time.Time // when this document was first fetched: a floor for missing dates
	// Keep says whether a version may be shown; nil shows all. What points to a
	// hidden version (a tag) moves to the newest shown, or goes.
	Keep func(version string) bool
	// Changed is when Keep last changed by itself or by a rule; zero: never.
	Changed time.Time
}

// Age says how old an upstream document may be for this request.
type Age uint8

// The ages.
const (
	// Normal follows the configured freshness, stale-while-revalidate and stale-if-error.
	Normal Age = iota
	// Any takes whatever is held, and fetches only when nothing is.
	Any
	// Latest revalidates now, unless that was done within the last ten seconds.
	Latest
	// Checked follows the configured freshness and revalidates now once it is
	// over. What is old is given only while the upstream is in trouble, with a
	// Warning; an upstream that refuses us has no such document.
	Checked
)

// File names immutable bytes.
type File struct {
	Package   string
	Version   string
	Name      string // path, unique among the registry's files
	MediaType string
	// Head says that no body is wanted: a file not held is asked for by HEAD.
	Head bool
	// Locate says where an upstream has the file. It is called once per
	// flight, only for files that are neither hosted nor cached.
	Locate func(ctx context.Context) (Location, error)
	// Check, if not nil, reads the whole file before a byte of it is served or
	// stored; mediaType is what the upstream sent. Its facts are kept with the
	// file, and the media type of the upstream takes the place of MediaType. An
	// error means that the upstream is at fault; ErrNoVersion goes to the client.
	Check func(src io.Reader, mediaType string) (FileFacts, error)
	// Next, if not nil, reads a file that has just come from an upstream and says
	// which files are likely to be asked for now: they are fetched beside, as far as
	// nothing else suffers from it.
	Next func(src io.Reader, mediaType string) ([]File, error)
	// Early says that nobody has asked for the file yet: it leaves the cache before
	// what was used today.
	Early bool
}

// Location is where an upstream has a file and what it must look like.
type Location struct {
	Ref string // path below the upstream's base, or an absolute URL it named
	// Want holds the checksums that the upstream's own index published. Empty
	// means trust on first use.
	Want []cache.Sum
	// Version and Published are what the upstream's index says of the file:
	// rules about versions are asked before it is fetched. Zero: not known.
	Version   string
	Published time.Time
	// Accept is sent to the upstream; "" for anything.
	Accept string
	// Limit bounds the bytes that the upstream may send; 0: none but the length
	// it announces.
	Limit int64
	// Adopt says that the upstream is known to have these bytes under this name,
	// so that a copy held from the same upstream under another serves as well.
	// Want must hold their SHA-256. Of what FileFacts.Needs named of the package
	// the engine knows by itself.
	Adopt bool
}

// Listed is one version as an upstream's document lists it.
type Listed struct {
	Version   string
	File      string    // as File.Name; "" for none
	Published time.Time // as the registry says, never its author; zero: not known
	Hosted    bool      // it was published here
}

// Package is the state of one hosted package.
type Package struct {
	Name       string
	Repository string // owner/name
	Visibility policy.Visibility
	// Access is the id of the grants that the package has of its own; "" for one
	// that takes those of its repository.
	Access string `json:",omitempty"`
	// Revision counts the changes; 0 is a package that does not exist yet.
	Revision uint64
	Created  time.Time
	Modified time.Time
	Tags     map[string]string
	// Meta is the format's own, at most cache.MaxValue bytes.
	Meta []byte
	// Deleted is set on a package whose name stays reserved.
	Deleted time.Time
}

// Release is one version of a hosted package. A retracted one stays as a
// tombstone: its version is never used again for other bytes.
type Release struct {
	Version   string
	Published time.Time // zero: when it is stored
	Publisher string    // "": the caller
	Files     []ReleaseFile
	// Meta is the format's own record of the version, at most 4 MiB.
	Meta []byte
	// Acknowledged says that the publisher is known to have got the answer, so
	// that the same request cannot be its retry.
	Acknowledged bool
	Retracted    time.Time
	// Uses names the files of the same package that the version needs: they are
	// kept as long as it lives. At most MaxUses.
	Uses []string `json:",omitempty"`
	// Terms are words to find the version by, see Having. At most MaxTerms of
	// MaxTerm bytes each.
	Terms []string `json:",omitempty"`
}

// TxBudget is about how many bytes of records one transaction may write, well below
// what an index takes.
const TxBudget = 512 << 10

// Weight is about how many bytes of records it takes to retract the version, or to
// restore it.
func (r *Release) Weight() int { return 4<<10 + 2*len(r.Meta) + 1200*len(r.Uses) }

// ReleaseFile is a file of a release and the blob that holds it.
type ReleaseFile struct {
	Name      string // as File.Name
	MediaType string
	Blob      cache.Blob
}

// Change names the package a transaction is about.
type Change struct {
	Package string
	Action  policy.Action
	// Create allows the package to come into being.
	Create bool
	// Visibility of a package that comes into being; "" takes its repository's.
	Visibility policy.Visibility
	// Into is the repository that Mover may move the package to; the caller needs
	// to be allowed the action there too.
	Into string
}

// Tx is a hosted package inside a transaction. Package and Release return
// copies: changes count once they are given back.
type Tx interface {
	// Package returns the state; Revision is 0 before the first Save.
	Package() (*Package, error)
	// Save stores tags, meta, visibility and Deleted, and moves Revision and
	// Modified. Nothing is served before it. Errors: ErrConflict for a package
	// that was public and is not to be.
	Save(p *Package) error
	Versions
	Linking
	Tagging
}

// Versions is the part of a Tx about the versions of the package.
type Versions interface {
	// Release returns a version, tombstones included. Errors: ErrNotFound.
	Release(version string) (*Release, error)
	// Releases yields all versions in order of publication, tombstones included.
	Releases() iter.Seq2[*Release, error]
	// Add stores a new version and the names of its files. Errors: ErrExists
	// for a version that is or was here, and for a file name in use.
	Add(r *Release) error
	// Amend replaces Meta and Acknowledged of a version. Errors: ErrNotFound.
	Amend(r *Release) error
	// Retract turns a version into a tombstone; its files are gone at once.
	// Errors: ErrNotFound.
	Retract(version string) error
}

// Mover is implemented by transactions that can change where a package gets its
// access from.
type Mover interface {
	// Move puts the package into the repository that Change.Into names, to take
	// its access from there or to have grants of its own. It counts with Save. It
	// takes the right to change settings, or to publish where no version ever was.
	Move(inherit bool) error
}

// UploadOptions describes bytes to come.
type UploadOptions struct {
	Package string
	Size    int64 // bytes announced, or -1
	// Also names checksums to compute beside SHA-256.
	Also []cache.Algorithm
	// Max bounds the bytes of this upload; 0 takes the limit of the server.
	Max int64
}

// Upload is a write that belongs to nothing yet: write, verify, look at, keep.
type Upload interface {
	io.Writer // Errors: cache.ErrFull, ErrTooLarge, ErrTooMany
	// Verify ends the writing. Errors: cache.ErrCorrupt.
	Verify(want ...cache.Sum) (cache.Blob, error)
	// Open reads the verified bytes.
	Open() (io.ReadSeekCloser, error)
	// Keep makes them durable and holds them for an hour, until a Change refers to them.
	Keep(ctx context.Context) error
	// Close drops whatever was not kept. Until then, or Keep, it counts as under way.
	Close() error
}

// Forward is a call that only an upstream can answer.
type Forward struct {
	Method      string
	Path        string // relative to the upstream's base, with query
	Accept      string
	ContentType string
	Body        []byte
	// Keep remembers a 200 for this long under method, path and body.
	Keep time.Duration
	// Timeout bounds the whole call; 0 takes the upstream's own.
	Timeout time.Duration
}

// Answer is the reply to a Forward.
type Answer struct {
	MediaType string
	Body      []byte // decoded; at most 32 MiB
	Stale     bool
}
