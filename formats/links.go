package formats

import (
	"strings"
	"time"
)

// Limits of what a version may refer to.
const (
	MaxUses  = 1000
	MaxTerms = 256
	MaxTerm  = 512 // bytes
)

// LinkLease is how long a file without a version is held at least after a client
// was told that it is here: as long as a push may take to name it.
const LinkLease = 24 * time.Hour

// Linking is the part of a Tx for formats whose versions share files: files
// that come before the versions that need them, and outlive some of them.
type Linking interface {
	// Link gives the package a file that belongs to no version. Unless a version
	// uses it by then it goes after LinkLease; a later Link of the same bytes, or
	// File for a HEAD of it, begins that time anew. The package may be without a
	// version. Errors: ErrConflict if the bytes are gone, ErrExists for other
	// bytes under that name.
	Link(f ReleaseFile) error
	// Unlink takes a linked file away. Errors: ErrNoVersion if it is not there,
	// *UsedError while a version uses it.
	Unlink(name string) error
	// File returns a file of the package, of a version or linked. Errors:
	// ErrNoVersion.
	File(name string) (ReleaseFile, error)
	// Users returns versions that use a file, at most ten.
	Users(name string) ([]string, error)
	// Put is Add for versions whose name says what is in them: of one that is here
	// it replaces Meta and Terms and adds Uses, and one that was retracted comes
	// back. Uses that
	// are not files of the package are a *MissingError. Errors: those of Add.
	Put(r *Release) error
	// Sparse says whether the repository of the package takes versions without
	// some of the versions that they name.
	Sparse() (bool, error)
}

// Tagging is the part of a Tx for formats with more tags than a package's own
// state has room for: they are rows of their own.
type Tagging interface {
	// Tag returns the version that a tag stands for. Errors: ErrNoVersion.
	Tag(name string) (version string, err error)
	// SetTag points a tag at a version that is here. Errors: ErrNoVersion,
	// ErrExists for an immutable tag that stands for another version.
	SetTag(name, version string) error
	// DropTag removes a tag. Errors: ErrNoVersion, policy.ErrDenied for an
	// immutable one.
	DropTag(name string) error
	// TagsOf returns the tags that stand for a version, sorted. They go with it
	// when it is retracted, unless one of them is immutable: policy.ErrDenied.
	TagsOf(version string) ([]string, error)
}

// Tag is a name that can be moved from one version to another.
type Tag struct {
	Name    string
	Version string
	Moved   time.Time
}

// MissingError is ErrBadRequest with everything that a version needs and the
// package does not have.
type MissingError struct{ Names []string }

// Error names what is missing.
func (e *MissingError) Error() string {
	return "missing from the package: " + strings.Join(e.Names, ", ")
}

// Unwrap returns ErrBadRequest.
func (e *MissingError) Unwrap() error { return ErrBadRequest }

// UsedError is ErrUnsupported with the versions that need what was to go, at
// most ten.
type UsedError struct{ By []string }

// Error names the versions.
func (e *UsedError) Error() string { return "still used by " + strings.Join(e.By, ", ") }

// Unwrap returns ErrUnsupported.
func (e *UsedError) Unwrap() error { return ErrUnsupported }
