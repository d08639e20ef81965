package admin

import (
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// maxPurl bounds a package URL, in bytes: above any name and version.
const maxPurl = 2 << 10

// Purl is a package URL taken apart: pkg:TYPE/NAME[@VERSION], each part decoded.
type Purl struct {
	Format  string // our word for the type
	Name    string // namespace and name, as the format writes them
	Version string // "" for all
}

// ParsePurl reads a package URL. The scope of an npm name may stand as it is
// (pkg:npm/@acme/widget) or encoded (pkg:npm/%40acme/widget). Qualifiers and
// subpaths are not taken: packages here have none. Errors are sentences.
func ParsePurl(text string) (Purl, error) {
	rest, ok := strings.CutPrefix(text, "pkg:")
	if !ok || len(text) > maxPurl {
		return Purl{}, fmt.Errorf("%.80q is no package URL: write it as pkg:npm/name or pkg:npm/name@1.2.3", text)
	}
	if strings.ContainsAny(rest, "?#") {
		return Purl{}, fmt.Errorf("%.80q: qualifiers and subpaths are not taken", text)
	}
	kind, name, _ := strings.Cut(strings.TrimLeft(rest, "/"), "/")
	format := formatOf(strings.ToLower(kind))
	if format == "" {
		return Purl{}, fmt.Errorf("%.80q: %.20q is no type of package URLs that larder knows", text, kind)
	}
	name, version := cutVersion(name)
	p := Purl{Format: format}
	var errName, errVersion error
	p.Name, errName = decode(name)
	p.Version, errVersion = decode(version)
	if errName != nil || errVersion != nil || p.Name == "" {
		return Purl{}, fmt.Errorf("%.80q: the name or the version cannot be read", text)
	}
	if format == "maven" {
		p.Name = strings.Replace(p.Name, "/", ":", 1)
	}
	return p, nil
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

// types pairs the registered types of package URLs with our format words.
func types() [][2]string {
	return [][2]string{
		{"npm", "npm"}, {"gem", "rubygems"}, {"maven", "maven"}, {"nuget", "nuget"}, {"oci", "oci"}, {"pypi", "pypi"},
		{"golang", "go"}, {"cargo", "cargo"}, {"deb", "deb"}, {"generic", "generic"},
	}
}

func formatOf(kind string) string {
	for _, pair := range types() {
		if pair[0] == kind {
			return pair[1]
		}
	}
	return ""
}

// String writes the package URL so that ParsePurl reads it.
func (p Purl) String() string {
	kind := p.Format
	for _, pair := range types() {
		if pair[1] == p.Format {
			kind = pair[0]
		}
	}
	name := p.Name
	if p.Format == "maven" {
		name = strings.Replace(name, ":", "/", 1)
	}
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = strings.ReplaceAll(url.PathEscape(part), "@", "%40")
	}
	text := "pkg:" + kind + "/" + strings.Join(parts, "/")
	if p.Version != "" {
		text += "@" + strings.ReplaceAll(url.PathEscape(p.Version), "@", "%40")
	}
	return text
}
