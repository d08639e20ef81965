package oci

import (
	"net/http"
	"strings"

	"larder/formats"
)

// serving is one request being answered.
type serving struct {
	*Format
	*formats.Call
	w http.ResponseWriter
	r *http.Request
	t target
}

// Serve answers a request that policy has allowed.
func (f *Format) Serve(w http.ResponseWriter, r *http.Request, call *formats.Call) error {
	t, ok := call.Request.Detail.(target)
	if !ok {
		return formats.Refuse(formats.ErrBadRequest, "the request was not read as one of a container client")
	}
	w.Header().Set(apiVersion, apiVersionValue)
	s := &serving{Format: f, Call: call, w: w, r: r, t: t}
	if serve := s.reads(); serve != nil {
		return serve()
	}
	if serve := s.writes(); serve != nil {
		if err := s.plain(); err != nil {
			return err
		}
		return serve()
	}
	return refuse(formats.ErrNotFound, codeNameUnknown, "this registry does not offer the operation %s", t.op)
}

// plain refuses bodies that say they are encoded: what is sent is what has the
// digest.
func (s *serving) plain() error {
	if coding := s.r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return refuse(formats.ErrMediaType, codeUnsupported, "the body must be sent as it is: leave out Content-Encoding")
	}
	return nil
}

func (s *serving) reads() func() error {
	switch s.t.op {
	case opPing:
		return s.servePing
	case opToken:
		return s.serveToken
	case opManifest:
		return s.serveManifest
	case opBlob:
		return s.serveBlob
	case opTags:
		return s.serveTags
	case opCatalog:
		return s.serveCatalog
	case opReferrer:
		return s.serveReferrers
	}
	return nil
}

func (s *serving) writes() func() error {
	switch s.t.op {
	case opUpload:
		return s.serveUpload
	case opMount:
		return s.serveMount
	case opSession:
		return s.serveSession
	case opChunk:
		return s.serveChunk
	case opCommit:
		return s.serveCommit
	case opCancel:
		return s.serveCancel
	case opManifestPut:
		return s.servePush
	case opManifestDelete:
		return s.serveManifestDelete
	case opBlobDelete:
		return s.serveBlobDelete
	}
	return nil
}
