package npm

import (
	"strings"

	"larder/formats"
)

// maxName is the longest package name, scope included, in bytes: the limit of
// npm's own name check.
const maxName = 214

// checkNewName returns nil for a name that may be published: lower case, URL
// safe, with an optional scope. The error is a sentence for the publisher.
func checkNewName(name string) error {
	scope, bare := splitName(name)
	switch {
	case !readableName(name):
		return refuseName(name, "is not a valid package name: use at most 214 characters from a-z 0-9 - . _ ~, with an optional @scope/, not beginning with . or _")
	case !newPart(bare) || (scope != "" && !newPart(scope)):
		return refuseName(name, "is not a valid name for a new package: use lower-case letters, digits and - . _ ~ only")
	}
	return nil
}

func refuseName(name, why string) error {
	return formats.Refuse(formats.ErrBadRequest, "package name "+quoteShort(name)+" "+why)
}

// newPart reports whether s, a scope without its @ or an unscoped name, keeps
// to [a-z0-9-~][a-z0-9-._~]*.
func newPart(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '~':
		case i > 0 && (c == '.' || c == '_'):
		default:
			return false
		}
	}
	return s != ""
}

// readableName reports whether name may exist in some registry: the rules for
// new names and, beyond them, what was allowed in early years (upper case and
// !'()*). Everything else is answered "not found" without being looked up.
func readableName(name string) bool {
	if len(name) > maxName {
		return false
	}
	scope, bare := splitName(name)
	if strings.HasPrefix(name, "@") && (scope == "" || !readablePart(scope)) {
		return false
	}
	return readablePart(bare) && bare != "-" &&
		!strings.EqualFold(bare, "node_modules") && !strings.EqualFold(bare, "favicon.ico")
}

func readablePart(s string) bool {
	if s == "" || s[0] == '.' || s[0] == '_' {
		return false
	}
	for i := 0; i < len(s); i++ {
		if !isAlnum(s[i]) && strings.IndexByte("-._~!'()*", s[i]) < 0 {
			return false
		}
	}
	return true
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// splitName cuts "@scope/bare" into scope (without @) and bare. A name without
// a scope has an empty one; a name that begins with @ and has no slash has an
// empty bare part.
func splitName(name string) (scope, bare string) {
	if !strings.HasPrefix(name, "@") {
		return "", name
	}
	scope, bare, _ = strings.Cut(name[1:], "/")
	return scope, bare
}

// FileName returns the conventional name of a version's tarball,
// <unscoped>-<version>.tgz, and whether it may stand in a path: a version key
// of a foreign document need not be a version.
func FileName(name, version string) (file string, safe bool) {
	_, bare := splitName(name)
	return bare + "-" + version + ".tgz", safeVersion(version)
}

// safeVersion reports whether a version key holds only what versions are made
// of, so that it can be part of a file name and of a URL.
func safeVersion(v string) bool {
	for i := 0; i < len(v); i++ {
		if !isAlnum(v[i]) && strings.IndexByte("-.+_~", v[i]) < 0 {
			return false
		}
	}
	return v != "" && len(v) <= maxVersion && v[0] != '.'
}

// checkTag returns nil for a usable dist-tag. A tag that reads as a version
// range is refused, because install commands could never reach it.
func checkTag(tag string) error {
	switch {
	case len(tag) <= maxVersion && isRange(tag):
		return formats.Refuse(formats.ErrBadRequest,
			"tag "+quoteShort(tag)+" is not valid: a tag must not be a version or a version range")
	case !tagShape(tag):
		return formats.Refuse(formats.ErrBadRequest,
			"tag "+quoteShort(tag)+" is not valid: use at most 214 letters, digits and - . _ ~ ! ' ( ) *")
	}
	return nil
}

// tagShape keeps tags to what survives in one URL segment.
func tagShape(tag string) bool {
	if tag == "" || len(tag) > maxName || tag == "." || tag == ".." {
		return false
	}
	for i := 0; i < len(tag); i++ {
		if !isAlnum(tag[i]) && strings.IndexByte("-._~!'()*", tag[i]) < 0 {
			return false
		}
	}
	return true
}

// quoteShort quotes what a client sent for a sentence shown to it: control
// characters escaped, at most 80 bytes.
func quoteShort(s string) string {
	if len(s) > 80 {
		s = strings.ToValidUTF8(s[:77], "") + "..."
	}
	return string(appendQuoted(nil, s))
}
