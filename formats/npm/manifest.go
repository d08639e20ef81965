package npm

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"larder/cache"
)

// Signature is one signature over "<name>@<version>:<integrity>".
type Signature struct {
	KeyID string
	Sig   string // base64
}

// ManifestFacts is what the server says of a version, whatever its publisher said.
type ManifestFacts struct {
	Name, Version string
	Blob          cache.Blob // the tarball, with SHA-1 and SHA-512
	Tarball       TarballInfo
	Publisher     Person
	Signatures    []Signature
	// Predicate is the predicateType of the attestations, "" without any.
	Predicate string
}

// StoreManifest returns the manifest to keep of a published version: as sent
// and in its order, but for what only the publisher's machine knows, what the
// server knows better, and the readme, which is kept once per package. Lone
// surrogates, which some clients cannot read, become U+FFFD. URLs are filled in
// when it is rendered. It fails for a manifest that is no JSON, and for a blob
// whose checksums were not computed.
func StoreManifest(sent []byte, f ManifestFacts) ([]byte, error) {
	b := builder{out: make([]byte, 0, len(sent)+1024)}
	b.open()
	for m := range members(sent) {
		if !serverMember(m.name) {
			b.member(m)
		}
	}
	b.text("_id", f.Name+"@"+f.Version)
	b.key("_npmUser")
	b.open()
	b.text("name", f.Publisher.Name)
	b.text("email", f.Publisher.Email) // npm view prints "undefined" without
	b.close()
	if f.Tarball.HasInstallScript {
		b.bool("hasInstallScript", true)
	}
	b.bool("_hasShrinkwrap", f.Tarball.HasShrinkwrap)
	if err := f.dist(&b); err != nil {
		return nil, fmt.Errorf("manifest of %s@%s: %w", f.Name, f.Version, err)
	}
	b.close()
	return jsontext.AppendFormat(nil, b.out, jsontext.AllowInvalidUTF8(true))
}

// serverMember reports whether a manifest member is dropped or written anew.
// The first three leak paths of the publisher's machine.
func serverMember(name []byte) bool {
	switch string(name) {
	case "_resolved", "_from", "_integrity",
		"readme", "_id", "_npmUser", "dist", "hasInstallScript", "_hasShrinkwrap":
		return true
	}
	return false
}

func (f ManifestFacts) dist(b *builder) error {
	sha1, ok1 := f.Blob.Sum(cache.SHA1)
	sha512, ok512 := f.Blob.Sum(cache.SHA512)
	if !ok1 || !ok512 {
		return errors.New("the SHA-1 and SHA-512 of the tarball were not computed")
	}
	b.key("dist")
	b.open()
	b.text("integrity", "sha512-"+base64.StdEncoding.EncodeToString(sha512.Value))
	b.text("shasum", hex.EncodeToString(sha1.Value))
	b.int("fileCount", int64(f.Tarball.FileCount))
	b.int("unpackedSize", f.Tarball.UnpackedSize)
	if len(f.Signatures) > 0 {
		b.key("signatures")
		b.openArray()
		for _, s := range f.Signatures {
			b.open()
			b.text("keyid", s.KeyID)
			b.text("sig", s.Sig)
			b.close()
		}
		b.closeArray()
	}
	if f.Predicate != "" {
		b.key("attestations")
		b.open()
		b.text("url", "")
		b.key("provenance")
		b.open()
		b.text("predicateType", f.Predicate)
		b.close()
		b.close()
	}
	b.close()
	return nil
}

// SetDeprecated returns a stored manifest with the message as its deprecation,
// or without any if the message is empty.
func SetDeprecated(manifest []byte, message string) []byte {
	b := builder{out: make([]byte, 0, len(manifest)+len(message)+32)}
	b.open()
	for m := range members(manifest) {
		if string(m.name) != "deprecated" {
			b.member(m)
		}
	}
	if message != "" {
		b.text("deprecated", message)
	}
	b.close()
	return b.out
}
