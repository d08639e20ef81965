package image

import (
	"fmt"
	"strings"
)

// Reference names an image in a registry.
type Reference struct {
	Host   string // with port
	Name   string // of the image, below /v2/
	Tag    string
	Digest string // counts more than the tag; one of both is given
}

// ParseReference reads HOST/NAME[:TAG][@DIGEST]; without either the tag is latest.
func ParseReference(s string) (Reference, error) {
	bad := fmt.Errorf("%q is no image: write HOST/NAME:TAG or HOST/NAME@DIGEST", s)
	var r Reference
	host, rest, found := strings.Cut(s, "/")
	rest, digest, pinned := strings.Cut(rest, "@")
	if !found || host == "" {
		return r, bad
	}
	r.Host, r.Digest = host, digest
	if at := strings.LastIndex(rest, ":"); at > strings.LastIndex(rest, "/") {
		rest, r.Tag = rest[:at], rest[at+1:]
		if !isTag(r.Tag) {
			return r, bad
		}
	}
	r.Name = rest
	if !isName(r.Name) {
		return r, bad
	}
	if _, err := sumOf(digest); pinned && err != nil {
		return r, bad
	}
	if r.Tag == "" && !pinned {
		r.Tag = "latest"
	}
	return r, nil
}

// String is what ParseReference reads.
func (r Reference) String() string {
	if r.Tag != "" {
		return r.Host + "/" + r.Name + ":" + r.Tag
	}
	return r.Host + "/" + r.Name + "@" + r.Digest
}

// which is the tag or digest that is asked for.
func (r Reference) which() string {
	if r.Digest != "" {
		return r.Digest
	}
	return r.Tag
}

// isName reports whether s can be a part of a path as it is. What is a good name
// is for the registry to say.
func isName(s string) bool {
	for part := range strings.SplitSeq(s, "/") {
		if part == "" || part[0] == '.' || strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789._-") != "" {
			return false
		}
	}
	return true
}

func isTag(s string) bool {
	const word = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
	return s != "" && len(s) <= 128 && strings.Contains(word, s[:1]) && strings.Trim(s, word+".-") == ""
}
