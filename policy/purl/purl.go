// Package purl reads package URLs, which name packages and versions of every
// format alike, and patterns of them, which rules are written with:
//
//	pkg:TYPE/NAME[@VERSION]                      one package, or one version
//	pkg:TYPE/NAME[@VERSIONS][?checksum=sha256:HEX]  a pattern
//
// It is pure and knows no format beyond the shape of its names.
package purl

import (
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// maxText bounds a package URL, in bytes: above any name and version.
const maxText = 2 << 10

// Purl is a package URL taken apart, each part decoded.
type Purl struct {
	Format  string // our word for the type
	Name    string // namespace and name, as the format writes them
	Version string // "" for all
}

// Parse reads a package URL. The scope of an npm name may stand as it is
// (pkg:npm/@acme/widget) or encoded (pkg:npm/%40acme/widget). Qualifiers and
// subpaths are not taken: packages here have none. Errors are sentences.
func Parse(text string) (Purl, error) {
	k, rest, err := cutKind(text)
	if err != nil {
		return Purl{}, err
	}
	if strings.ContainsAny(rest, "?#") {
		return Purl{}, fmt.Errorf("%.80q: qualifiers and subpaths are not taken", text)
	}
	name, version := cutVersion(rest)
	p := Purl{Format: k.format}
	var errName, errVersion error
	p.Name, errName = decode(name)
	p.Version, errVersion = decode(version)
	if errName != nil || errVersion != nil || p.Name == "" {
		return Purl{}, fmt.Errorf("%.80q: the name or the version cannot be read", text)
	}
	p.Name = k.joined(p.Name)
	return p, nil
}

// cutKind reads the type, and returns what follows it.
func cutKind(text string) (kind, string, error) {
	rest, ok := strings.CutPrefix(text, "pkg:")
	word, rest, slash := strings.Cut(strings.TrimLeft(rest, "/"), "/")
	if !ok || !slash || rest == "" || len(text) > maxText {
		return kind{}, "", fmt.Errorf("%.80q is no package URL: write it as pkg:npm/name or pkg:npm/name@1.2.3", text)
	}
	for _, k := range kinds() {
		if k.word == strings.ToLower(word) {
			return k, rest, nil
		}
	}
	return kind{}, "", fmt.Errorf("%.80q: %.20q is no type of package URLs: use %s", text, word, strings.Join(Types(), ", "))
}

// cutVersion splits at the last @ that does not begin a segment of the name:
// those are scopes.
func cutVersion(s string) (name, version string) {
	i := strings.LastIndexByte(s, '@')
	if i <= 0 || s[i-1] == '/' {
		return s, ""
	}
	return s[:i], s[i+1:]
}

// decode decodes a part once; control characters and bad UTF-8 are refused.
func decode(s string) (string, error) {
	text, err := url.PathUnescape(s)
	if err != nil {
		return "", err
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return "", fmt.Errorf("%.20q holds control characters", text)
	}
	return text, nil
}

// String writes the package URL so that Parse reads it.
func (p Purl) String() string {
	k := kindOf(p.Format)
	parts := strings.Split(k.split(p.Name), "/")
	for i, part := range parts {
		parts[i] = escape(part)
	}
	text := "pkg:" + k.word + "/" + strings.Join(parts, "/")
	if p.Version != "" {
		text += "@" + escape(p.Version)
	}
	return text
}

func escape(s string) string { return strings.ReplaceAll(url.PathEscape(s), "@", "%40") }
