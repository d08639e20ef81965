package ocitest

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"larder/upstream/upstreamtest/faulty"
)

// answer answers at the address of the registry itself.
func (r *Registry) answer(q *http.Request, body []byte) faulty.Answer {
	if q.URL.Path == "/v2/token" && !r.opt.RealmElsewhere && r.opt.Auth == Bearer {
		return r.token(q, body)
	}
	name, kind, ref, ok := divide(q.URL.Path)
	if !ok {
		return refusal(http.StatusNotFound, "NAME_UNKNOWN")
	}
	a, ok := r.challenge(q, name)
	if ok {
		a = r.read(q, name, kind, ref)
	}
	a.Header.Set("Docker-Distribution-Api-Version", "registry/2.0")
	return a
}

// divide cuts a path, from the right, into an image's name, the kind of thing
// and its name. Root and catalog have no image.
func divide(p string) (name, kind, ref string, ok bool) {
	rest, ok := strings.CutPrefix(p, "/v2")
	switch rest = strings.Trim(rest, "/"); {
	case !ok:
		return "", "", "", false
	case rest == "" || rest == "_catalog":
		return "", rest, "", true
	}
	kind, ref = path.Base(path.Dir(rest)), path.Base(rest)
	name = path.Dir(path.Dir(rest))
	return name, kind, ref, name != "."
}

func (r *Registry) read(q *http.Request, name, kind, ref string) faulty.Answer {
	if q.Method != http.MethodGet && q.Method != http.MethodHead {
		return refusal(http.StatusMethodNotAllowed, "UNSUPPORTED")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	i := r.images[name]
	switch {
	case kind == "":
		return encode("application/json", struct{}{})
	case kind == "_catalog":
		list, next := r.page(q, slices.Sorted(maps.Keys(r.images)))
		return withNext(encode("application/json", map[string]any{"repositories": list}), next)
	case q.Method == http.MethodHead && r.opt.NoHead != 0:
		return refusal(r.opt.NoHead, "UNSUPPORTED")
	case i == nil:
		return refusal(http.StatusNotFound, "NAME_UNKNOWN")
	case kind == "manifests":
		return r.manifest(i, ref)
	case kind == "blobs":
		return r.blob(q, i, name, ref)
	case kind == "tags" && ref == "list":
		list, next := r.page(q, slices.Sorted(maps.Keys(i.tags)))
		return withNext(encode("application/json", map[string]any{"name": name, "tags": list}), next)
	case kind == "referrers" && !r.opt.NoReferrers:
		return referring(q, i, ref)
	}
	return refusal(http.StatusNotFound, "UNSUPPORTED")
}

func (r *Registry) manifest(i *image, ref string) faulty.Answer {
	digest := ref
	if !strings.Contains(ref, ":") {
		digest = i.tags[ref]
	}
	s, ok := i.manifests[digest]
	if !ok {
		return refusal(http.StatusNotFound, "MANIFEST_UNKNOWN")
	}
	a := faulty.Answer{
		Status: http.StatusOK, Header: http.Header{"Content-Type": {s.mediaType}}, ETag: `"` + digest + `"`, Body: s.body,
	}
	if r.opt.NoDigest {
		a.ETag = ""
		return a
	}
	a.Header.Set("Docker-Content-Digest", digest)
	return a
}

func (r *Registry) blob(q *http.Request, i *image, name, digest string) faulty.Answer {
	content, ok := i.blobs[digest]
	if !ok {
		return refusal(http.StatusNotFound, "BLOB_UNKNOWN")
	}
	if !r.opt.Redirects || q.Method == http.MethodHead {
		return blobAnswer(digest, content)
	}
	link := fmt.Sprintf("%s/%s/%s?signed=%d", r.Blobs.URL, name, digest, r.links)
	return faulty.Answer{Status: http.StatusTemporaryRedirect, Header: http.Header{"Location": {link}}}
}

func blobAnswer(digest string, content []byte) faulty.Answer {
	return faulty.Answer{
		Status: http.StatusOK, ETag: `"` + digest + `"`, Body: content, Ranges: true,
		Header: http.Header{"Content-Type": {"application/octet-stream"}, "Docker-Content-Digest": {digest}},
	}
}

// linked answers at the address of blobs. As such stores do, it takes the
// signature of a link and no other credential beside it.
func (r *Registry) linked(q *http.Request, _ []byte) faulty.Answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	if q.Header.Get("Authorization") != "" {
		return refusal(http.StatusBadRequest, "UNSUPPORTED")
	}
	if q.URL.Query().Get("signed") != strconv.Itoa(r.links) {
		return refusal(http.StatusForbidden, "DENIED")
	}
	if i := r.images[strings.TrimPrefix(path.Dir(q.URL.Path), "/")]; i != nil {
		digest := path.Base(q.URL.Path)
		if content, ok := i.blobs[digest]; ok {
			return blobAnswer(digest, content)
		}
	}
	return refusal(http.StatusNotFound, "BLOB_UNKNOWN")
}

func referring(q *http.Request, i *image, digest string) faulty.Answer {
	list := i.referrers(digest)
	kind := q.URL.Query().Get("artifactType")
	if kind != "" {
		list = slices.DeleteFunc(list, func(d Descriptor) bool { return d.ArtifactType != kind })
	}
	a := encode(TypeIndex, document{SchemaVersion: 2, MediaType: TypeIndex, Manifests: &list})
	if kind != "" {
		a.Header.Set("OCI-Filters-Applied", "artifactType")
	}
	return a
}

// page returns the part of a sorted list that n and last ask for, and the
// address of what follows it.
func (r *Registry) page(q *http.Request, list []string) (part []string, next string) {
	query := q.URL.Query()
	size := r.opt.PageSize
	if n, err := strconv.Atoi(query.Get("n")); err == nil && n >= 0 {
		size = min(n, size)
	}
	last := query.Get("last")
	from := 0
	for last != "" && from < len(list) && list[from] <= last {
		from++
	}
	part = append([]string{}, list[from:min(from+size, len(list))]...)
	if size == 0 || from+size >= len(list) {
		return part, ""
	}
	further := url.Values{"n": {strconv.Itoa(size)}, "last": {part[len(part)-1]}}
	return part, q.URL.EscapedPath() + "?" + further.Encode()
}

func withNext(a faulty.Answer, next string) faulty.Answer {
	if next != "" {
		a.Header.Set("Link", "<"+next+`>; rel="next"`)
	}
	return a
}
