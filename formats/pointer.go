package formats

import "net/http"

// Pointer is a name that moves: a tag of an upstream or of a hosted package. What it
// stands for is asked by HEAD, and is a file that never changes.
type Pointer struct {
	Package string
	// Name is the tag. It is unique among the pointers of the package.
	Name string
	// Path and Accept are sent to the upstream.
	Path, Accept string
	// Read finds the target in the headers of a reply. false: they do not tell, and
	// the body has to be read, by Body.
	Read func(h http.Header, size int64) (Target, bool)
	// File says which file a version is, so that it can be fetched before the
	// pointer moves to it.
	File func(version string) File
	// Digest finds the version in a body, where the headers do not tell it.
	Digest func(body []byte, mediaType string) (version string, err error)
	// Limit bounds the body, in bytes.
	Limit int64
}

// Target is what a pointer stands for.
type Target struct {
	Version   string
	MediaType string // "" while unknown
	Size      int64  // bytes; -1 while unknown
	Result    Result
	// Header holds Warning and Age of an answer that is old.
	Header http.Header
}

// FileFacts are what File.Check found in a file.
type FileFacts struct {
	MediaType string // as it is served from now on; "" keeps that of the upstream
	// Needs names the files of the package that this one refers to. At most
	// MaxUses are kept: rules about a manifest are held against its parts.
	Needs []string
}
