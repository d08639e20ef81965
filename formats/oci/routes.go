package oci

import (
	"net/http"
	"slices"

	"larder/policy"
)

// The field that every answer carries: some clients take a host without it for
// no registry.
const (
	apiVersion      = "Docker-Distribution-Api-Version"
	apiVersionValue = "registry/2.0"
)

// op is an operation of the protocol. Its text is a metric label.
type op string

// The operations.
const (
	opPing     op = "ping"
	opToken    op = "token"
	opCatalog  op = "catalog"
	opManifest op = "manifest"
	opBlob     op = "blob"
	opTags     op = "tags"
	opReferrer op = "referrers"

	opUpload  op = "upload"  // POST: a session, or the whole blob
	opMount   op = "mount"   // POST with mount=
	opSession op = "session" // GET: how far it is
	opChunk   op = "chunk"   // PATCH
	opCommit  op = "commit"  // PUT
	opCancel  op = "cancel"  // DELETE of a session

	opManifestPut    op = "manifest-put"
	opManifestDelete op = "manifest-delete" // of a tag or a digest
	opBlobDelete     op = "blob-delete"
)

// action says what an operation needs. A mirror has no repository whose
// administrator could be asked for leave to evict, so that is the operator's.
func (o op) action(mirror bool) policy.Action {
	switch o {
	case opPing, opToken, opCatalog:
		return policy.Open
	case opManifest, opBlob, opTags, opReferrer:
		return policy.Read
	case opManifestDelete, opBlobDelete:
		if mirror {
			return policy.Administer
		}
		return policy.Delete
	}
	return policy.Publish
}

// uploads reports whether the operation is about bytes on their way here.
func (o op) uploads() bool {
	switch o {
	case opUpload, opMount, opSession, opChunk, opCommit, opCancel:
		return true
	}
	return false
}

// missing is the code for a thing that an image lacks.
func (o op) missing() code {
	switch {
	case o == opBlob || o == opBlobDelete:
		return codeBlobUnknown
	case o.uploads():
		return codeBlobUploadUnknown
	case o == opManifest || o == opManifestDelete || o == opManifestPut:
		return codeManifestUnknown
	}
	return codeNameUnknown
}

// shape is a form of path.
type shape uint8

// The shapes.
const (
	shapeRoot shape = iota
	shapeToken
	shapeCatalog
	shapeManifest
	shapeUploads
	shapeSession
	shapeBlob
	shapeTags
	shapeReferrers
)

// ops lists what a shape accepts; HEAD is served by GET.
func (s shape) ops() map[string]op {
	switch s {
	case shapeRoot:
		return map[string]op{http.MethodGet: opPing}
	case shapeToken:
		return map[string]op{http.MethodGet: opToken, http.MethodPost: opToken}
	case shapeCatalog:
		return map[string]op{http.MethodGet: opCatalog}
	case shapeManifest:
		return map[string]op{http.MethodGet: opManifest, http.MethodPut: opManifestPut, http.MethodDelete: opManifestDelete}
	case shapeUploads:
		return map[string]op{http.MethodPost: opUpload}
	case shapeSession:
		return map[string]op{
			http.MethodGet: opSession, http.MethodPatch: opChunk, http.MethodPut: opCommit, http.MethodDelete: opCancel,
		}
	case shapeBlob:
		return map[string]op{http.MethodGet: opBlob, http.MethodDelete: opBlobDelete}
	case shapeTags:
		return map[string]op{http.MethodGet: opTags}
	}
	return map[string]op{http.MethodGet: opReferrer}
}

// methods lists what a shape accepts, sorted.
func (s shape) methods(mirror bool) []string {
	var names []string
	for method, o := range s.ops() {
		if mirror && o.action(mirror) == policy.Publish {
			continue
		}
		names = append(names, method)
		if method == http.MethodGet {
			names = append(names, http.MethodHead)
		}
	}
	slices.Sort(names)
	return names
}
