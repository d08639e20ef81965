package npm

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"larder/formats"
)

// Target is what a request asks for: one operation and the fields its route
// names. Fields that the route lacks are empty.
type Target struct {
	Op      Op
	Package string // canonical name, "@scope/bare" or "bare"
	Ref     string // version or tag of a manifest read, as asked
	Version string // of an attestation
	Tag     string // of a dist-tag change
	File    string // tarball file name without any scope, "left-part-1.0.0.tgz"
	Rev     string // document revision that the client worked from
	User    string // user name without the org.couchdb.user: prefix
	Org     string
	Team    string
	Token   string // secret (logout), key (revoke), id (login poll), stage or trust id
	// Abbreviated says that the client wants the short packument.
	Abbreviated bool
	// Write says that the document is read in order to change it (?write=true):
	// hosted data alone may answer.
	Write bool
}

// Parse reads method, path, query and headers, never the body. segs are the
// path segments after the registry's mount, each decoded exactly once; a scoped
// name may be one segment ("@s/n") or two. Errors: formats.ErrNotFound for a
// path or a package name that cannot exist, formats.ErrBadRequest for such a
// name in a write, *formats.MethodError for a method that the path lacks.
func Parse(method string, segs []string, query url.Values, header http.Header) (Target, error) {
	var allow []string
	badName := ""
	reserved := len(segs) > 0 && segs[0] == "-"
	for _, r := range routes {
		if reserved != (len(r.path) > 0 && r.path[0] == "-") {
			continue // most routes are told by their first segment
		}
		var t Target
		bad, ok := match(r.path, segs, &t)
		switch {
		case !ok:
			continue
		case bad != "":
			badName = bad
			continue
		}
		op, ok := r.ops[readMethod(method)]
		if !ok {
			allow = append(allow, r.methods()...)
			continue
		}
		t.Op = op
		t.Write = query.Get("write") == "true"
		t.Abbreviated = op == opPackument && prefersAbbreviated(header.Values("Accept"))
		return t, nil
	}
	switch {
	case allow != nil:
		slices.Sort(allow)
		return Target{}, &formats.MethodError{Allow: slices.Compact(allow)}
	case badName != "" && method != http.MethodGet && method != http.MethodHead:
		return Target{}, refuseName(badName, "is not valid")
	}
	return Target{}, formats.Refuse(formats.ErrNotFound, "Not found")
}

// readMethod lets HEAD reach whatever GET does.
func readMethod(method string) string {
	if method == http.MethodHead {
		return http.MethodGet
	}
	return method
}

// match walks a route's pattern along segs and fills t. badName is a package
// name that has the right place and a wrong form.
func match(pattern, segs []string, t *Target) (badName string, ok bool) {
	for _, p := range pattern {
		if len(segs) == 0 {
			return "", false
		}
		if !strings.HasPrefix(p, ":") {
			if segs[0] != p {
				return "", false
			}
			segs = segs[1:]
			continue
		}
		n, bad, ok := capture(p[1:], segs, t)
		if !ok {
			return "", false
		}
		badName += bad
		segs = segs[n:]
	}
	return badName, len(segs) == 0
}

// capture reads one field from the front of segs and returns how many segments
// it took.
func capture(slot string, segs []string, t *Target) (n int, badName string, ok bool) {
	switch slot {
	case "pkg":
		return capturePackage(segs, t)
	case "pkg@version":
		return captureAttested(segs, t)
	case "file":
		return captureFile(segs, t)
	case "user":
		t.User = strings.TrimPrefix(segs[0], "org.couchdb.user:")
		return 1, "", t.User != "" && !strings.Contains(t.User, "/")
	}
	if strings.Contains(segs[0], "/") {
		return 0, "", false
	}
	switch slot {
	case "ref":
		t.Ref = segs[0]
		return 1, "", segs[0] != "-" && segs[0] != "-rev"
	case "tag":
		t.Tag = segs[0]
	case "rev":
		t.Rev = segs[0]
	case "org":
		t.Org = segs[0]
	case "team":
		t.Team = segs[0]
	case "token":
		t.Token = segs[0]
	}
	return 1, "", true
}

// capturePackage takes "bare", "@s/n" or the pair "@s", "n".
func capturePackage(segs []string, t *Target) (n int, badName string, ok bool) {
	name, n := joinScope(segs)
	if segs[0] == "-" {
		return 0, "", false
	}
	t.Package = name
	if !readableName(name) {
		return n, name, true
	}
	return n, "", true
}

// joinScope returns the first segment, or the first two with a slash between
// when the first is a scope alone.
func joinScope(segs []string) (name string, n int) {
	if len(segs) > 1 && strings.HasPrefix(segs[0], "@") && !strings.Contains(segs[0], "/") {
		return segs[0] + "/" + segs[1], 2
	}
	return segs[0], 1
}

// captureAttested takes "name@version" in the spellings of a package.
func captureAttested(segs []string, t *Target) (n int, badName string, ok bool) {
	joined, n := joinScope(segs)
	at := strings.LastIndexByte(joined, '@')
	if at <= 0 || !readableName(joined[:at]) || !safeVersion(joined[at+1:]) {
		return 0, "", false
	}
	t.Package, t.Version = joined[:at], joined[at+1:]
	return n, "", true
}

// captureFile takes a tarball's file name, alone or, as old lockfiles have it,
// with the package's own scope before it.
func captureFile(segs []string, t *Target) (n int, badName string, ok bool) {
	joined, n := joinScope(segs)
	scope, file := splitName(joined)
	if of, _ := splitName(t.Package); scope != "" && scope != of {
		return 0, "", false
	}
	if file == "" || strings.ContainsAny(file, "/\\") {
		return 0, "", false
	}
	t.File = file
	return n, "", true
}

// prefersAbbreviated reports whether Accept names the install document with a
// higher weight than plain JSON. No Accept, and */*, mean the full document.
func prefersAbbreviated(accept []string) bool {
	short, long := -1.0, -1.0
	for _, line := range accept {
		for item := range strings.SplitSeq(line, ",") {
			kind, params, _ := strings.Cut(item, ";")
			switch strings.ToLower(strings.TrimSpace(kind)) {
			case mediaAbbreviated:
				short = max(short, weight(params))
			case mediaFull:
				long = max(long, weight(params))
			}
		}
	}
	return short > 0 && short > long
}

// weight returns the q of media range parameters, 1 when none is given or it
// makes no sense.
func weight(params string) float64 {
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if !strings.EqualFold(name, "q") {
			continue
		}
		if q, err := strconv.ParseFloat(value, 64); err == nil && q >= 0 && q <= 1 {
			return q
		}
	}
	return 1
}

// The media types of a packument.
const (
	mediaFull        = "application/json"
	mediaAbbreviated = "application/vnd.npm.install-v1+json"
)
