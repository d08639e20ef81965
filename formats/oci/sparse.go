package oci

import (
	"errors"
	"slices"

	"larder/formats"
)

// SparseField is the field of a request that puts an index some of whose
// manifests stay away on purpose: an image was carried here for some platforms
// only, and its index keeps the bytes that people sign. Its value is "true".
const SparseField = "X-Larder-Sparse"

// maxAbsent is how many manifests an index may lack.
const maxAbsent = formats.MaxTerms - 8

const absentWord = "absent "

// absentTerm finds the indexes that were put without d.
func absentTerm(d digest) string { return absentWord + string(d) }

// sparse reports whether a manifest is taken without these: where the client says
// that it leaves them out, or the repository takes such pushes. Manifests can be
// left out: whoever wants one is told so. Layers cannot, an image without one is none.
func (s *serving) sparse(tx formats.Tx, absent []need) (bool, error) {
	switch {
	case len(absent) == 0:
		return true, nil
	case len(absent) > maxAbsent, slices.ContainsFunc(absent, func(n need) bool { return !n.manifest }):
		return false, nil
	case s.r.Header.Get(SparseField) == "true":
		return true, nil
	}
	return tx.Sparse()
}

// lack makes a release do without what is absent, and remember that.
func lack(r *formats.Release, name string, absent []need) {
	for _, n := range absent {
		file := n.file(name)
		r.Uses = slices.DeleteFunc(r.Uses, func(used string) bool { return used == file })
		r.Terms = append(r.Terms, absentTerm(n.digest))
	}
}

// leftOut replaces the answer for a manifest that is not here where an index is
// here that was put without it.
func (s *serving) leftOut(err error, d digest) error {
	if s.mirror || !errors.Is(err, formats.ErrNoVersion) {
		return err
	}
	for r, failed := range s.Registry.Having(s.r.Context(), s.t.name, absentTerm(d), "") {
		if failed != nil {
			return failed
		}
		return refuse(formats.ErrNoVersion, codeManifestUnknown,
			"platform not synchronised: %s has the index %s, which was brought here without its manifest %s", s.t.name, r.Version, d)
	}
	return err
}
