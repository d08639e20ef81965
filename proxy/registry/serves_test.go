package registry_test

import (
	"errors"
	"testing"

	"larder/formats"
	"larder/proxy/registry"
)

// TestSourcesServeSomeNames: a name that an upstream is not to serve is neither
// asked for nor served from what came of it before.
func TestSourcesServeSomeNames(t *testing.T) {
	shut := false
	m := newMirror(t, false)
	m.open(func(s *registry.Source) { s.Serves = func(pkg string) bool { return pkg != "p" || !shut } })
	version := push(m.far, "latest", "one")
	m.far.Serve("/p", answer("p: one", `"1"`))
	m.far.Serve("/q", answer("q: one", `"1"`))
	look := func() (errs [3]error) {
		_, errs[0] = m.Resolve(t.Context(), tagOf("latest"))
		c, err := m.File(t.Context(), tagged(version))
		if errs[1] = err; err == nil {
			c.Close()
		}
		_, _, errs[2] = doc(m.Registry, m.format.document("p"))
		return errs
	}
	for range 2 {
		shut = false
		if errs := look(); errs != [3]error{} {
			t.Fatal(errs)
		}
		shut = true
		m.far.Forget()
		for i, err := range look() {
			if !errors.Is(err, formats.ErrNotFound) {
				t.Errorf("%d: %v", i, err)
			}
		}
		if n := len(m.far.Log()); n != 0 {
			t.Errorf("%d requests", n)
		}
		if _, _, err := doc(m.Registry, m.format.document("q")); err != nil {
			t.Error(err)
		}
	}
}
