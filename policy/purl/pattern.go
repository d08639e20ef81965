package purl

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"larder/policy"
)

// Pattern covers packages, or versions of them. It does not change once parsed.
type Pattern struct {
	kind     kind
	name     string // as the format writes it, folded
	versions versions
	digest   string // 64 lower-case hex digits of SHA-256, "" for any
}

// ParsePattern reads a pattern of package URLs. The name takes the wildcards of
// policy.CheckPattern, so that pkg:npm/* covers the names without a scope and
// pkg:npm/** all. Of Maven, com.acme.** stands for the group and those below.
// VERSIONS is one of
//
//	nothing, or *       every version
//	1.2.3               this one
//	1.*                 a glob
//	>=1.2.0,<2.0.0      comparators, of which all must hold: > >= < <= =
//
// and is ordered as the format says. A checksum narrows it to files of that
// digest; an image may be written with it as @sha256:HEX. Errors are sentences
// that say what to write instead.
func ParsePattern(text string) (*Pattern, error) {
	k, rest, err := cutKind(text)
	if err != nil {
		return nil, err
	}
	p := &Pattern{kind: k}
	rest, query, asked := strings.Cut(rest, "?")
	if asked {
		if p.digest, err = checksum(query); err != nil {
			return nil, fmt.Errorf("%.80q: %w", text, err)
		}
	}
	name, version := cutVersion(rest)
	if err := p.setName(name); err != nil {
		return nil, fmt.Errorf("%.80q: %w", text, err)
	}
	if version == "" && strings.HasSuffix(rest, "@") {
		return nil, fmt.Errorf("%.80q: the version behind @ is missing", text)
	}
	if err := p.setVersions(version); err != nil {
		return nil, fmt.Errorf("%.80q: %w", text, err)
	}
	return p, nil
}

func (p *Pattern) setName(text string) error {
	name, err := decode(text)
	if err != nil {
		return errors.New("the name cannot be read")
	}
	if err := p.kind.checkName(name); err != nil {
		return err
	}
	p.name = Fold(p.kind.format, p.kind.joined(name))
	return policy.CheckPattern(p.name)
}

func (p *Pattern) setVersions(text string) error {
	text, err := decode(text)
	if err != nil {
		return errors.New("the version cannot be read")
	}
	text = Fold(p.kind.format, text)
	if hash, ok := strings.CutPrefix(text, "sha256:"); ok && p.kind.word == "oci" {
		if p.digest != "" {
			return errors.New("the digest is there twice")
		}
		p.digest, err = parseDigest(hash)
		return err
	}
	p.versions, err = parseVersions(p.kind, text)
	return err
}

// checksum reads the one qualifier that is taken.
func checksum(query string) (string, error) {
	value, ok := strings.CutPrefix(query, "checksum=")
	value, err := url.PathUnescape(value)
	hash, sha256 := strings.CutPrefix(value, "sha256:")
	if !ok || err != nil || !sha256 {
		return "", errors.New("behind ? only checksum=sha256: with 64 hex digits may stand")
	}
	return parseDigest(hash)
}

func parseDigest(hash string) (string, error) {
	if b, err := hex.DecodeString(hash); err != nil || len(b) != 32 {
		return "", fmt.Errorf("%.80q is no SHA-256: write 64 hex digits", hash)
	}
	return strings.ToLower(hash), nil
}

// Format is our word for the type of the pattern.
func (p *Pattern) Format() string { return p.kind.format }

// Name is the pattern of names, in the language of policy.Match, folded.
func (p *Pattern) Name() string { return p.name }

// Digest is the SHA-256 in 64 lower-case hex digits that a file must have, ""
// for any.
func (p *Pattern) Digest() string { return p.digest }

// EveryVersion reports whether versions and digests do not matter.
func (p *Pattern) EveryVersion() bool { return p.versions.every() && p.digest == "" }

// MatchName reports whether the pattern covers a name, which may be longer or
// shorter by case where the format looks at none. It allocates nothing for a
// folded name.
func (p *Pattern) MatchName(name string) bool {
	return policy.Match(p.name, Fold(p.kind.format, name))
}

// MatchVersion reports whether the pattern covers a version, whatever its
// digest. compare is the format's order of versions: negative, 0 or positive as
// a is less than, equal to or greater than b; nil where it has none. It
// allocates no more than compare does.
func (p *Pattern) MatchVersion(version string, compare func(a, b string) int) bool {
	if !p.kind.spellings {
		return p.versions.match(version, nil, compare)
	}
	return p.versions.match(Fold(p.kind.format, version), compare, compare)
}

// CheckOrder returns an error for a range that the order cannot decide, because
// there is none, or that covers no version.
func (p *Pattern) CheckOrder(compare func(a, b string) int) error {
	return p.versions.checkOrder(p.kind, compare)
}

// String writes the pattern so that ParsePattern reads it. Patterns that mean
// the same by their parts are written the same.
func (p *Pattern) String() string {
	text := "pkg:" + p.kind.word + "/" + p.kind.split(p.name) + p.versions.suffix()
	if p.digest != "" {
		text += "?checksum=sha256:" + p.digest
	}
	return text
}
