package oci

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"larder/cache"
	"larder/formats"
)

// maxTags is how many tags one push may set.
const maxTags = 100

// target is what a request asks for. Fields that its route lacks are empty.
type target struct {
	op     op
	name   string // of the image, as it is known here
	spoken string // the same as the client has it, which its tokens name
	tag    string // of a manifest, when it is not named by digest
	digest digest // of a manifest, a blob, a subject, or of an upload's bytes

	session   string
	mount     digest // wanted from another image
	from      string // that image; "" for whichever has it
	algorithm cache.Algorithm
	tags      []string // to set beside a push by digest

	page         page
	artifactType string
}

// reference is the tag or digest of a manifest.
func (t target) reference() string {
	if t.digest != "" {
		return string(t.digest)
	}
	return t.tag
}

// Parse turns a request into an operation and what it needs of policy.
func (f *Format) Parse(r *http.Request, path []string) (formats.Request, error) {
	sh, t, err := f.place(r, path)
	if err != nil {
		return formats.Request{}, err
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	allowed := sh.methods(f.mirror)
	if !slices.Contains(allowed, method) {
		return formats.Request{}, f.wrongMethod(sh, method, allowed)
	}
	t.op = sh.ops()[method]
	if err := t.refer(); err != nil {
		return formats.Request{}, err
	}
	if err := t.query(r.URL.RawQuery); err != nil {
		return formats.Request{}, err
	}
	req := formats.Request{Op: string(t.op), Action: t.op.action(f.mirror), Package: t.name, Detail: t, Guests: t.op == opToken}
	if sh == shapeManifest {
		req.Version = t.reference()
	}
	return req, nil
}

func (f *Format) wrongMethod(sh shape, method string, allowed []string) error {
	kind := &formats.MethodError{Allow: allowed}
	if _, known := sh.ops()[method]; known {
		return refuse(kind, codeUnsupported, "this is a read-only mirror: push to a registry of your own")
	}
	return refuse(kind, codeUnsupported, "%s is not allowed here", clip(method))
}

// place finds the shape of a path and the name in it. The words of the protocol
// are looked for from the right: a/manifests/b/manifests/latest is the tag
// latest of a/manifests/b. A final slash is for the root and the start of an
// upload alone.
func (f *Format) place(r *http.Request, path []string) (shape, target, error) {
	for _, s := range path {
		if strings.Contains(s, "/") {
			return 0, target{}, refuse(formats.ErrBadRequest, codeNameInvalid, "the path holds an encoded slash in %s", clip(s))
		}
	}
	sh, name, t := locate(path)
	slash := strings.HasSuffix(r.URL.Path, "/") && len(path) > 0
	if name == nil && (sh == 0 && len(path) > 0) || slash && sh != shapeUploads {
		return 0, target{}, refuse(formats.ErrNotFound, codeNameUnknown, "there is no such path in the protocol of container registries")
	}
	if name == nil {
		return sh, target{}, nil
	}
	t.spoken = strings.Join(name, "/")
	t.name = f.Meant(r.Context(), t.spoken)
	return sh, t, checkName(r, t.spoken)
}

// locate splits a path into its shape, the name's components and what follows
// them. Of a path that has no name, name is nil; of one that is none of the
// protocol's, the shape is zero too.
func locate(path []string) (sh shape, name []string, t target) {
	n := len(path)
	word := func(fromEnd int) string {
		if n <= fromEnd { // the name needs at least one component
			return ""
		}
		return path[n-fromEnd]
	}
	switch {
	case n == 1 && path[0] == "_catalog":
		return shapeCatalog, nil, t
	case n == 1 && path[0] == "token":
		return shapeToken, nil, t
	case word(2) == "manifests":
		t.tag = path[n-1]
		return shapeManifest, path[:n-2], t
	case word(2) == "blobs" && path[n-1] == "uploads":
		return shapeUploads, path[:n-2], t
	case word(3) == "blobs" && path[n-2] == "uploads":
		t.session = path[n-1]
		return shapeSession, path[:n-3], t
	case word(2) == "blobs":
		t.digest = digest(path[n-1])
		return shapeBlob, path[:n-2], t
	case word(2) == "tags" && path[n-1] == "list":
		return shapeTags, path[:n-2], t
	case word(2) == "referrers":
		t.digest = digest(path[n-1])
		return shapeReferrers, path[:n-2], t
	}
	return shapeRoot, nil, t
}

// checkName refuses what can be no image's name: with 404 where somebody only
// looks for it.
func checkName(r *http.Request, name string) error {
	if most := maxReference - len(r.Host) - 1; len(name) > most {
		return refuse(formats.ErrBadRequest, codeNameInvalid,
			"the image name %s is longer than %d bytes, which is what clients leave for it beside the host", clip(name), most)
	}
	if isName(name) {
		return nil
	}
	kind := formats.ErrBadRequest
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		kind = formats.ErrNotFound
	}
	return refuse(kind, codeNameInvalid,
		"%s is no image name: its parts are of a-z and 0-9, joined inside by one dot, one or two underscores, or dashes", clip(name))
}

// refer checks the last part of the path, which locate took as it came.
func (t *target) refer() error {
	var err error
	switch {
	case t.session != "":
		if !isSession(t.session) {
			return refuse(formats.ErrNotFound, codeBlobUploadUnknown, "there is no upload %s", clip(t.session))
		}
	case t.digest != "":
		t.digest, err = parseDigest(string(t.digest))
	case strings.Contains(t.tag, ":"):
		t.digest, err = parseDigest(t.tag)
		t.tag = ""
	case t.tag != "" && !isTag(t.tag):
		if t.op == opManifest || t.op == opManifestDelete {
			return refuse(formats.ErrNotFound, codeManifestUnknown, "there is no tag %s", clip(t.tag))
		}
		return badTag(t.tag)
	}
	return err
}

func badTag(s string) error {
	return refuse(formats.ErrBadRequest, codeManifestInvalid,
		"%s is no tag: use at most %d letters, digits and _ . -, not beginning with a dot or a dash", clip(s), maxTag)
}

// query reads the parameters that the operation knows and ignores others.
func (t *target) query(raw string) error {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return refuse(formats.ErrBadRequest, codeUnsupported, "the query of the request is malformed")
	}
	q := parameters{values: values}
	switch t.op {
	case opUpload:
		t.queryUpload(&q)
	case opCommit:
		t.digest = q.digest("digest")
		if t.digest == "" {
			q.fail(codeDigestInvalid, "an upload is finished with the parameter digest, which is missing")
		}
	case opManifestPut:
		t.queryTags(&q)
	case opTags, opCatalog:
		t.page, q.err = parsePage(&q)
	case opReferrer:
		t.artifactType = q.one("artifactType")
		t.page = page{size: maxPage}
		if after := q.digest("last"); after != "" {
			t.page.last = string(after)
		}
	}
	return q.err
}

func (t *target) queryUpload(q *parameters) {
	t.digest = q.digest("digest")
	t.mount = q.digest("mount")
	t.from = q.one("from")
	switch word := q.one("digest-algorithm"); {
	case word == "":
	case word != string(cache.SHA256) && word != string(cache.SHA512):
		q.fail(codeDigestInvalid, "the algorithm %s is not supported: use sha256 or sha512", clip(word))
	case t.digest != "" && word != string(t.digest.algorithm()):
		q.fail(codeDigestInvalid, "the parameters digest and digest-algorithm disagree")
	default:
		t.algorithm = cache.Algorithm(word)
	}
	switch {
	case t.mount != "" && t.digest != "":
		q.fail(codeDigestInvalid, "the parameters digest and mount exclude each other")
	case t.from != "" && !isName(t.from):
		q.fail(codeNameInvalid, "the parameter from is no image name: %s", clip(t.from))
	case t.mount != "":
		t.op = opMount
	}
}

// queryTags reads the tags that a push by digest sets at once.
func (t *target) queryTags(q *parameters) {
	given := q.values["tag"]
	switch {
	case len(given) == 0:
		return
	case t.digest == "":
		q.fail(codeManifestInvalid, "the parameter tag needs a manifest that is pushed by digest")
		return
	case len(given) > maxTags:
		q.err = tooManyTags(len(given))
		return
	}
	for _, tag := range given {
		if !isTag(tag) {
			q.err = badTag(tag)
			return
		}
		if !slices.Contains(t.tags, tag) {
			t.tags = append(t.tags, tag)
		}
	}
}

func tooManyTags(n int) error {
	f := refuse(formats.ErrBadRequest, codeUnsupported, "%d tags in one push are too many: at most %d", n, maxTags)
	f.status = http.StatusRequestURITooLong
	return f
}

// parameters are those of a query. The first that is no good is kept in err.
type parameters struct {
	values url.Values
	err    error
}

func (q *parameters) fail(c code, format string, args ...any) {
	if q.err == nil {
		q.err = refuse(formats.ErrBadRequest, c, format, args...)
	}
}

// one returns a parameter that may be given once only: of two, somebody else
// might read the other.
func (q *parameters) one(name string) string {
	list := q.values[name]
	if len(list) > 1 {
		c := codeUnsupported
		if name == "digest" {
			c = codeDigestInvalid
		}
		q.fail(c, "the parameter %s is given %d times", name, len(list))
	}
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// digest returns a parameter that is a digest, "" where it is missing or empty.
func (q *parameters) digest(name string) digest {
	text := q.one(name)
	if text == "" {
		return ""
	}
	d, err := parseDigest(text)
	if err != nil && q.err == nil {
		q.err = err
	}
	return d
}
