package oci

import (
	"strings"

	"larder/formats"
)

// Settle leaves the state of a package as it is after versions went or came
// back: tags are rows that go and come with their versions, and no tag means more
// than another, so that none is made up.
func (*Format) Settle(formats.Tx, *formats.Package) error { return nil }

// Subject returns the manifest that a manifest is about, "" for none.
func (*Format) Subject(r *formats.Release) string {
	for _, term := range r.Terms {
		if d, ok := strings.CutPrefix(term, subjectWord); ok {
			return d
		}
	}
	return ""
}
