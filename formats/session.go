package formats

import "context"

// Uploading is the part of Writing for protocols that send a file in several
// requests, or do not send it at all where the server has it.
type Uploading interface {
	// Begin opens an upload session: bytes that come in several requests, and
	// survive a restart. It is bound to the package and to the right to publish
	// there, not to the credential of the caller. Errors: those of Upload,
	// ErrTooMany.
	Begin(ctx context.Context, u UploadOptions) (id string, err error)
	// Resume takes a session up. Nobody else can until Suspend or Close. Errors:
	// ErrNoVersion for one that is unknown, over, or of another package;
	// ErrConflict at once while another request has it.
	Resume(ctx context.Context, pkg, id string) (Session, error)
	// Progress says how many bytes of a session are durable; while a request has
	// it, as many as when that began. Errors: ErrNoVersion, as Resume.
	Progress(ctx context.Context, pkg, id string) (offset int64, err error)
	// Cancel ends a session, also one that a request has: whatever that does then
	// fails with ErrNoVersion. Errors: ErrNoVersion, as Resume.
	Cancel(ctx context.Context, pkg, id string) error
	// Mount links a file of another package, if the caller may read that one and
	// publish here. Everything that speaks against it but a lack of rights here is
	// false, nil: which of them it was is nobody's business.
	Mount(ctx context.Context, m Mount) (bool, error)
	// Forget drops a cached file of an upstream, or a pointer, from the cache.
	// What is not there is no error. Errors: ErrUnsupported on a registry with
	// packages of its own.
	Forget(ctx context.Context, f Forgotten) error
}

// Session is an Upload that can be left and taken up again. Close without
// Suspend or Keep leaves it where the last Suspend left it; Cancel ends it. All of
// it but Close may fail with ErrNoVersion, where somebody else has cancelled it.
type Session interface {
	Upload
	// Offset is how many bytes there are.
	Offset() int64
	// Suspend makes what was written durable and lets go of the session. It does
	// so also for a request whose client has left.
	Suspend(ctx context.Context) error
	// Cancel ends the session and drops its bytes.
	Cancel(ctx context.Context) error
}

// Mount names a file of one package that another is to have too.
type Mount struct {
	Package string // the one to get it
	Name    string // of the file, there
	// From is the other package as this server's clients name it, with the prefix
	// of its mirror.
	From string
	// Source returns the file's name in the other package.
	Source func(pkg string) string
}

// Forgotten names what a mirror is to drop: a file, or a pointer.
type Forgotten struct {
	Package string
	File    string // as File.Name
	Pointer string // as Pointer.Name
}
