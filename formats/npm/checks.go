package npm

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"larder/formats"
)

func bad(format string, args ...any) error {
	return formats.Refuse(formats.ErrBadRequest, fmt.Sprintf(format, args...))
}

// settle decides what the body means and checks what that kind needs.
func (p *reading) settle(name string, rev bool) error {
	pub := p.pub
	pub.Name = name
	switch {
	case p.hasName && p.name != name, p.id != "" && p.id != name:
		return bad("the document is about %s, the URL about %s", quoteShort(p.other(name)), quoteShort(name))
	case rev && p.split.found:
		return bad("a tarball is published without a revision in the URL")
	case rev && p.hasVersions:
		pub.Kind, pub.Manifest = KindUnpublish, nil
		return p.settleTags("")
	case rev && p.owners:
		pub.Kind = KindMaintainers
		return checkOwners(pub.Maintainers)
	case rev:
		return bad("the document has neither versions nor maintainers, so there is nothing to change")
	case p.split.found || !emptyObject(p.attachments):
		pub.Kind = KindPublish
		return p.settlePublish()
	case p.hasVersions:
		pub.Kind, pub.Manifest = KindDeprecate, nil
		return nil
	case p.hasUsers:
		pub.Kind = KindStar
		return nil
	}
	return bad("request body is not a publish document")
}

// other returns the name that disagrees.
func (p *reading) other(name string) string {
	if p.hasName && p.name != name {
		return p.name
	}
	return p.id
}

func emptyObject(raw []byte) bool {
	for range members(raw) {
		return false
	}
	return true
}

func (p *reading) settlePublish() error {
	pub := p.pub
	if err := checkNewName(pub.Name); err != nil {
		return err
	}
	switch {
	case !p.hasName:
		return bad("the document has no name")
	case len(pub.Versions) == 0:
		return bad("the document has no version to publish")
	case len(pub.Versions) > 1:
		return bad("the document has %d versions; publish one at a time", len(pub.Versions))
	}
	pub.Version, pub.Versions = pub.Versions[0].Version, nil
	for _, check := range []func() error{
		func() error { return checkNewVersion(pub.Version) },
		func() error { return checkIdentity(pub.Manifest, pub.Name, pub.Version, "manifest") },
		func() error { return checkManifest(pub.Manifest) },
		func() error { return p.settleTags(pub.Version) },
		p.settleAccess,
		p.settleAttachments,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	if pub.Readme == "" {
		pub.Readme = cutReadme(textField(pub.Manifest, "readme"))
	}
	return nil
}

// checkIdentity compares a manifest with what it is published as.
func checkIdentity(manifest []byte, name, version, what string) error {
	if got := textField(manifest, "name"); got != name {
		return bad("the %s is of package %s, not of %s", what, quoteShort(got), name)
	}
	if got := textField(manifest, "version"); got != version {
		return bad("the %s is of version %s, not of %s", what, quoteShort(got), version)
	}
	return nil
}

// checkManifest refuses members whose wrong type would break every install.
func checkManifest(manifest []byte) error {
	for m := range members(manifest) {
		name := string(m.name)
		switch name {
		case "dependencies", "devDependencies", "optionalDependencies", "peerDependencies":
			if err := checkStrings(name, m.value); err != nil {
				return err
			}
		case "bin":
			if _, ok := text(m.value); ok || string(m.value) == "null" {
				continue
			}
			if err := checkStrings(name, m.value); err != nil {
				return err
			}
		case "dist":
			if err := checkDist(m.value); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkDist refuses checksums that are none: passed over, they would let through
// a tarball that the publisher did not mean.
func checkDist(dist []byte) error {
	if string(dist) == "null" {
		return nil
	}
	if !isObject(dist) {
		return bad("dist in the manifest is not an object")
	}
	for _, name := range []string{"integrity", "shasum"} {
		raw := field(dist, name)
		value, ok := text(raw)
		switch {
		case raw == nil, string(raw) == "null", ok && value == "":
		case name == "integrity" && strongest(value) == "", name == "shasum" && !isShasum(value):
			return bad("dist.%s in the manifest is no checksum: leave it out, or let the client compute it", name)
		}
	}
	return nil
}

func isShasum(s string) bool {
	raw, err := hex.DecodeString(s)
	return err == nil && len(raw) == sha1.Size
}

func checkStrings(name string, value []byte) error {
	if string(value) == "null" {
		return nil
	}
	if !isObject(value) {
		return bad("%s in the manifest is not an object", name)
	}
	for m := range members(value) {
		if _, ok := text(m.value); !ok {
			return bad("%s.%s in the manifest is not a string", name, quoteShort(string(m.name)))
		}
	}
	return nil
}

// settleTags reads the body's dist-tags. With a version each must be a fit tag
// and name it, and none at all means latest; without, in a body made from a
// document of ours, whatever does not fit is for the caller to pass over.
func (p *reading) settleTags(version string) error {
	tags := map[string]string{}
	for m := range members(p.tags) {
		tag := string(m.name)
		v, ok := text(m.value)
		if version == "" {
			if ok {
				tags[tag] = v
			}
			continue
		}
		if err := checkTag(tag); err != nil {
			return err
		}
		if !ok || v != version {
			return bad("tag %s points to %s, not to the version published, %s", quoteShort(tag), quoteShort(v), version)
		}
		tags[tag] = v
	}
	if version != "" && len(tags) == 0 {
		tags["latest"] = version
	}
	p.pub.Tags = tags
	return nil
}

func (p *reading) settleAccess() error {
	if len(p.access) == 0 || string(p.access) == "null" {
		return nil
	}
	access, _ := text(p.access)
	if access != "public" && access != "restricted" {
		return bad("access is neither public nor restricted")
	}
	p.pub.Access = access
	return nil
}

// settleAttachments checks what the splitter left of the attachments: the
// tarball's announced length, and the provenance.
func (p *reading) settleAttachments() error {
	tarballs := 0
	for m := range members(p.attachments) {
		if strings.HasSuffix(string(m.name), sigstoreFile) {
			data, _ := text(field(m.value, "data"))
			bundle, err := value([]byte(data))
			if err != nil || !isObject(bundle) || depth(bundle) > maxDepth || p.pub.Provenance != nil {
				return bad("the provenance attachment is not one JSON object as text")
			}
			p.pub.Provenance = bundle
			continue
		}
		tarballs++
		length := field(m.value, "length")
		if length == nil || p.split.size == 0 {
			continue
		}
		if n, err := strconv.ParseInt(string(length), 10, 64); err != nil || n != p.split.size {
			return bad("the tarball is announced with %.20s bytes and has %d", length, p.split.size)
		}
	}
	switch {
	case tarballs > 1:
		return bad("the request carries two tarballs; publish one version at a time")
	case !p.split.found || p.split.size == 0:
		return bad("the request carries no tarball")
	}
	p.pub.Size = p.split.size
	return nil
}

func checkOwners(owners []Person) error {
	if len(owners) == 0 {
		return bad("a package must keep at least one maintainer")
	}
	for _, o := range owners {
		if o.Name == "" {
			return bad("a maintainer has no name")
		}
	}
	return nil
}
