package purl

import (
	"fmt"
	"strings"
)

// kind is a type of package URLs.
type kind struct {
	word   string // as URLs write it
	format string // our word for it
	shape  shape
	// spellings says that one version may be written in several ways, so that
	// only the format's order tells which are equal.
	spellings bool
}

// shape is what names of a kind look like.
type shape uint8

const (
	path   shape = iota // a/b/c
	flat                // a
	scoped              // a, or @scope/a
	group               // group/artifact, which we write group:artifact
)

func kinds() []kind {
	return []kind{
		{"npm", "npm", scoped, false}, {"gem", "rubygems", flat, true}, {"maven", "maven", group, true},
		{"nuget", "nuget", flat, true}, {"oci", "oci", path, false}, {"pypi", "pypi", flat, true},
		{"golang", "go", path, false}, {"cargo", "cargo", flat, false}, {"deb", "deb", path, true},
		{"generic", "generic", path, false},
	}
}

// Types are the words that may stand behind pkg:.
func Types() []string {
	var words []string
	for _, k := range kinds() {
		words = append(words, k.word)
	}
	return words
}

// Formats are our words for the types, in the order of Types.
func Formats() []string {
	var words []string
	for _, k := range kinds() {
		words = append(words, k.format)
	}
	return words
}

// kindOf finds the kind of a format; one that has none is its own word.
func kindOf(format string) kind {
	for _, k := range kinds() {
		if k.format == format {
			return k
		}
	}
	return kind{word: format, format: format}
}

// joined and split change between a name in a URL and the format's own.
func (k kind) joined(name string) string {
	if k.shape == group {
		return strings.Replace(name, "/", ":", 1)
	}
	return name
}

func (k kind) split(name string) string {
	if k.shape == group {
		return strings.Replace(name, ":", "/", 1)
	}
	return name
}

// Fold makes names and versions of a format comparable. It allocates only for
// what is not folded yet: NuGet looks at no case.
func Fold(format, text string) string {
	if format == "nuget" {
		return strings.ToLower(text)
	}
	return text
}

// checkName refuses name patterns that could cover no name of the kind: a rule
// of a typing error would silently hold for nothing.
func (k kind) checkName(name string) error {
	scope, rest, slash := strings.Cut(name, "/")
	switch {
	case strings.HasPrefix(name, "/") || strings.HasSuffix(name, "/") || strings.Contains(name, "//"):
		return fmt.Errorf("a part of the name %q is empty", name)
	case strings.ContainsAny(name, "%#:") || strings.Contains(strings.TrimPrefix(name, "@"), "@"):
		return fmt.Errorf("the name %q holds a character that no name has", name)
	case name == "**" || name == "*":
		return nil
	case strings.HasPrefix(name, "@") && k.shape != scoped:
		return fmt.Errorf("no %s name begins with @", k.format)
	}
	switch k.shape {
	case flat:
		if slash {
			return fmt.Errorf("no %s name holds a slash", k.format)
		}
	case group:
		return checkGroup(name, rest, slash)
	case scoped:
		return checkScope(scope, rest, slash)
	}
	return nil
}

func checkGroup(name, artifact string, slash bool) error {
	switch {
	case strings.HasSuffix(name, ".**") && !slash, strings.Contains(name, "*") && !slash:
		return nil
	case !slash:
		return fmt.Errorf("a Maven package is named group/artifact: write pkg:maven/%s/* for the group, pkg:maven/%s.** for all below it", name, name)
	case strings.Contains(artifact, "/"):
		return fmt.Errorf("a Maven package is named group/artifact, with dots in the group: %q has too many slashes", name)
	}
	return nil
}

func checkScope(scope, name string, slash bool) error {
	at := strings.HasPrefix(scope, "@")
	switch {
	case at && !slash:
		return fmt.Errorf("the scope %s is no package: write pkg:npm/%s/* for all in it", scope, strings.TrimSuffix(scope, "**"))
	case slash && !at && !strings.HasPrefix(scope, "*"):
		return fmt.Errorf("an npm scope begins with @: write pkg:npm/@%s/%s", scope, name)
	case strings.Contains(name, "/"):
		return fmt.Errorf("an npm name has one slash: %q has too many", scope+"/"+name)
	}
	return nil
}
