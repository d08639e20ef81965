package oci

import (
	"strings"
	"testing"

	"larder/cache"
)

// hexOf is n hex digits.
func hexOf(n int) string { return strings.Repeat("0123456789abcdef", n/16+1)[:n] }

func TestNames(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "a/b": true, "a/b/c/d": true, "0": true, "library/alpine": true, "a.b": true, "a_b": true, "a__b": true,
		"a-b": true, "a---b": true, "a.b_c__d--e": true, "blobs": true, "tags/list": true, "a/manifests/b": true,
		"": false, "A": false, "a/B": false, "/a": false, "a/": false, "a//b": false, "a/../b": false, "a/./b": false,
		"..": false, ".a": false, "a.": false, "_a": false, "a_": false, "-a": false, "a-": false, "a..b": false, "a___b": false,
		"a._b": false, "a-_b": false, "a-.b": false, "a b": false, "a%2fb": false, "a\\b": false, "a\x00": false, "ä": false,
		"a:b": false, "a@b": false, "_catalog": false,
	} {
		if got := isName(name); got != want {
			t.Errorf("isName(%q) = %v", name, got)
		}
	}
}

func TestTagsAreNamesOfTheirOwn(t *testing.T) {
	for tag, want := range map[string]bool{
		"latest": true, "LATEST": true, "1.0": true, "_x": true, "a-b": true, "sha256-" + hexOf(64): true, "sha256-" + hexOf(64) + ".sig": true,
		strings.Repeat("a", 128): true, strings.Repeat("a", 129): false,
		"": false, "-a": false, ".a": false, "a/b": false, "a:b": false, "a b": false, "a+b": false, "é": false, "a\n": false,
	} {
		if got := isTag(tag); got != want {
			t.Errorf("isTag(%q) = %v", tag, got)
		}
	}
}

func TestDigests(t *testing.T) {
	for text, want := range map[string]bool{
		"sha256:" + hexOf(64): true, "sha512:" + hexOf(128): true,
		"sha256:" + hexOf(63): false, "sha256:" + hexOf(65): false, "sha512:" + hexOf(64): false, "sha256:" + hexOf(128): false,
		"sha256:" + strings.ToUpper(hexOf(64)): false, "SHA256:" + hexOf(64): false, "md5:" + hexOf(32): false, "sha1:" + hexOf(40): false,
		"sha384:" + hexOf(96): false, "sha256": false, "sha256:": false, ":" + hexOf(64): false, "": false, hexOf(64): false,
		"sha256:" + hexOf(63) + "g": false, "sha256:baddigeststring": false, "sha256+b64:" + hexOf(64): false, "sha256:" + hexOf(62) + "/x": false,
	} {
		d, err := parseDigest(text)
		if (err == nil) != want || want && string(d) != text {
			t.Errorf("parseDigest(%q) = %q, %v", text, d, err)
		}
		if err != nil && codeOf(failureOf(err)) != codeDigestInvalid {
			t.Errorf("parseDigest(%q): code %s", text, codeOf(failureOf(err)))
		}
	}
}

func TestDigestsOfBytes(t *testing.T) {
	short := digestOf(cache.SHA256, []byte("a"))
	if short != "sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb" || short.algorithm() != cache.SHA256 {
		t.Errorf("sha256: %s", short)
	}
	if sum := short.sum(); sum.Algorithm != cache.SHA256 || sum.String() != string(short) {
		t.Errorf("as a checksum: %s", sum)
	}
	if tag := short.fallbackTag(); tag != "sha256-ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb" || !isTag(tag) {
		t.Errorf("fallback tag: %s", tag)
	}
	long := digestOf(cache.SHA512, []byte("a"))
	if _, err := parseDigest(string(long)); err != nil || long.algorithm() != cache.SHA512 {
		t.Errorf("sha512: %s, %v", long, err)
	}
	if tag := long.fallbackTag(); len(tag) != len("sha512-")+64 || !isTag(tag) {
		t.Errorf("fallback tag: %s", tag)
	}
	if got := blobFile("a/b", "sha256:x") + " " + manifestFile("a/b", "sha256:x"); got != "a/b/blobs/sha256:x a/b/manifests/sha256:x" {
		t.Errorf("files: %s", got)
	}
}

func FuzzNames(f *testing.F) {
	for _, s := range []string{"a/b", "a..b", "A", "sha256:" + hexOf(64), "sha512:" + hexOf(128), ".x", "a__b", "\xff", "a-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if isName(s) {
			if s != strings.ToLower(s) || strings.ContainsAny(s, " \\%:@?#\x00\n") || strings.Contains(s, "..") || strings.Contains(s, "//") ||
				strings.Trim(s, "/._-") != s {
				t.Errorf("the name %q", s)
			}
		}
		if isTag(s) && strings.ContainsAny(s, "/:@ \\%\n") {
			t.Errorf("the tag %q", s)
		}
		d, err := parseDigest(s)
		if err != nil {
			return
		}
		if isTag(s) || isName(s) || d.sum().String() != s || !isTag(d.fallbackTag()) {
			t.Errorf("the digest %q", s)
		}
	})
}
