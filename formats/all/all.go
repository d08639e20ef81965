// Package all is the list of formats a program knows. It is made explicitly, so
// that a test can hold only the ones it needs; a new format is one more
// argument where the program makes the list.
package all

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"larder/formats"
)

// List holds formats by name. It does not change once made.
type List struct{ formats []formats.Format }

var word = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`)

// New makes a list, in the order of the names. Errors: a name that is there
// twice, or cannot be a config value and a metric label.
func New(list ...formats.Format) (*List, error) {
	l := &List{formats: slices.Clone(list)}
	slices.SortFunc(l.formats, func(a, b formats.Format) int { return strings.Compare(a.Name(), b.Name()) })
	for i, f := range l.formats {
		if !word.MatchString(f.Name()) {
			return nil, fmt.Errorf("format name %q: want lower-case letters, digits and dashes", f.Name())
		}
		if i > 0 && l.formats[i-1].Name() == f.Name() {
			return nil, fmt.Errorf("format %s is there twice", f.Name())
		}
	}
	return l, nil
}

// Find returns the format of that name.
func (l *List) Find(name string) (formats.Format, error) {
	for _, f := range l.formats {
		if f.Name() == name {
			return f, nil
		}
	}
	return nil, fmt.Errorf("there is no format %q: the formats are %s", name, strings.Join(l.Names(), ", "))
}

// Names returns the names in order.
func (l *List) Names() []string {
	names := make([]string, len(l.formats))
	for i, f := range l.formats {
		names[i] = f.Name()
	}
	return names
}
