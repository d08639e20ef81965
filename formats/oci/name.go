package oci

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"strings"

	"larder/cache"
	"larder/formats"
)

// Limits of names, in bytes.
const (
	// maxReference is what clients keep room for: host, slash and image name.
	maxReference = 255
	maxTag       = 128
	maxSession   = 64
)

// isName reports whether s is an image name: one or more components of
// lower-case letters and digits, joined inside by one dot, one or two
// underscores, or any number of dashes.
func isName(s string) bool {
	for component := range strings.SplitSeq(s, "/") {
		if !isComponent(component) {
			return false
		}
	}
	return true
}

func isComponent(s string) bool {
	for {
		rest := strings.TrimLeft(s, "abcdefghijklmnopqrstuvwxyz0123456789")
		switch {
		case len(rest) == len(s):
			return false
		case rest == "":
			return true
		}
		s = strings.TrimLeft(rest, "._-")
		if !isJoint(rest[:len(rest)-len(s)]) {
			return false
		}
	}
}

func isJoint(s string) bool {
	return s == "." || s == "_" || s == "__" || s != "" && strings.Trim(s, "-") == ""
}

// isTag reports whether s has the form of a tag. Case counts.
func isTag(s string) bool {
	return s != "" && len(s) <= maxTag && s[0] != '.' && s[0] != '-' && onlyWord(s)
}

// isSession reports whether s can be the id of an upload.
func isSession(s string) bool { return s != "" && len(s) <= maxSession && onlyWord(s) }

func onlyWord(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '.', c == '-':
		default:
			return false
		}
	}
	return true
}

// digest is the name of bytes, "sha256:" or "sha512:" and lower-case hex. A
// value that is not empty came from parseDigest or digestOf and is well formed.
type digest string

// parseDigest reads a digest. The error is a 400 with DIGEST_INVALID.
func parseDigest(s string) (digest, error) {
	algorithm, value, _ := strings.Cut(s, ":")
	size := 0
	switch cache.Algorithm(algorithm) {
	case cache.SHA256:
		size = sha256.Size
	case cache.SHA512:
		size = sha512.Size
	default:
		return "", refuse(formats.ErrBadRequest, codeDigestInvalid,
			"the digest %s has no algorithm that is supported here: use sha256 or sha512", clip(s))
	}
	if len(value) != 2*size || strings.Trim(value, "0123456789abcdef") != "" {
		return "", refuse(formats.ErrBadRequest, codeDigestInvalid,
			"the digest %s must have %d lower-case hex digits", clip(s), 2*size)
	}
	return digest(s), nil
}

// digestOf computes the digest of b.
func digestOf(a cache.Algorithm, b []byte) digest {
	if a == cache.SHA512 {
		sum := sha512.Sum512(b)
		return digest("sha512:" + hex.EncodeToString(sum[:]))
	}
	sum := sha256.Sum256(b)
	return digest("sha256:" + hex.EncodeToString(sum[:]))
}

// algorithm returns cache.SHA256 or cache.SHA512.
func (d digest) algorithm() cache.Algorithm {
	algorithm, _, _ := strings.Cut(string(d), ":")
	return cache.Algorithm(algorithm)
}

// sum is the digest as the engine compares it.
func (d digest) sum() cache.Sum {
	_, value, _ := strings.Cut(string(d), ":")
	raw, _ := hex.DecodeString(value) // parseDigest has looked at it
	return cache.Sum{Algorithm: d.algorithm(), Value: raw}
}

// fallbackTag is the tag under which clients keep the referrers of d in
// registries that have no list of them: algorithm, a dash, 64 hex digits.
func (d digest) fallbackTag() string {
	algorithm, value, _ := strings.Cut(string(d), ":")
	return algorithm + "-" + value[:min(len(value), 64)]
}

// blobFile and manifestFile are the names of an image's files.
func blobFile(name string, d digest) string     { return name + "/blobs/" + string(d) }
func manifestFile(name string, d digest) string { return name + "/manifests/" + string(d) }
