// Package cache names what larder keeps: immutable bytes by digest (Store) and
// small records by key in transactions (Index), with the errors both may return.
//
// It holds no policy, no HTTP and no protocol. Backends live in sub-packages
// and all pass the suites of cache/cachetest.
package cache

import "errors"

// Errors of every Store and Index. Backends wrap them with the item concerned.
var (
	// ErrNotExist says that no such blob or record is here.
	ErrNotExist = errors.New("not in the store")
	// ErrCorrupt says that bytes do not have the digest or the length announced for them.
	ErrCorrupt = errors.New("bytes do not match their digest")
	// ErrFull says that there is no room left by budget, by the free-space floor or on the volume.
	ErrFull = errors.New("no room left in the store")
	// ErrUnhealthy says that a durable write failed before; the Index takes no
	// further ones until the process is restarted, reads go on.
	ErrUnhealthy = errors.New("the store refuses writes after a failed one")
	// ErrBusy says that a session is open already: two writers would mix their bytes.
	ErrBusy = errors.New("the session is in use")
	// ErrAborted is what followers of a Partial see when its writer gave up
	// without naming a cause.
	ErrAborted = errors.New("the write was given up")
)
