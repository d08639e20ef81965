package bearer

import "strings"

// scopeOf returns the scope that reading a reference usually takes, "" where it
// concerns no image.
func scopeOf(ref string) string {
	name := imageOf(ref)
	if name == "" {
		return ""
	}
	return "repository:" + name + ":pull"
}

// imageOf returns the name of the image that a reference is about: a path below a
// registry's base, or an absolute URL. It is "" for what concerns no image, and
// for names that no image can have.
func imageOf(ref string) string {
	ref, _, _ = strings.Cut(ref, "?")
	path, ok := strings.CutPrefix(strings.TrimPrefix(ref, "/"), "v2/")
	if !ok {
		if _, path, ok = strings.Cut(ref, "/v2/"); !ok {
			return ""
		}
	}
	// From the right: an image may itself be called a/manifests/b.
	parts := strings.Split(path, "/")
	n := len(parts) - 2
	if n < 1 {
		return ""
	}
	switch kind := parts[n]; {
	case kind == "manifests", kind == "blobs", kind == "referrers", kind == "tags" && parts[n+1] == "list":
		name := strings.Join(parts[:n], "/")
		if isName(name) {
			return name
		}
	}
	return ""
}

// isName reports whether a text consists of what names consist of. That is less
// than the protocol asks of a name: whoever has the image knows better.
func isName(s string) bool {
	for part := range strings.SplitSeq(s, "/") {
		if strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789._-") != "" || strings.Trim(part, ".") == "" {
			return false
		}
	}
	return true
}
