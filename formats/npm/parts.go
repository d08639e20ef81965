package npm

import "io"

// WriteTags renders the dist-tags object of an upstream packument, repaired as
// in the full document. Errors as WriteFull.
func WriteTags(dst io.Writer, src io.Reader, v View) error {
	r := newRenderer(dst, v, true)
	t, err := walk(src, v.Name, noter{r})
	if err != nil {
		return err
	}
	if t.unpublished {
		return errUnpublished(v.Name)
	}
	r.tags(t.tags)
	return r.w.Flush()
}

// noter notes versions without writing them.
type noter struct{ r *renderer }

func (n noter) member(string, []byte) error { return nil }

func (n noter) version(version string, manifest []byte) error {
	n.r.facts.add(version, fact{hidden: !n.r.view.keeps(version), deprecated: isDeprecated(manifest)})
	return nil
}

// ResolveRef returns the version that a manifest read means: a version as it
// is, a tag through tags, the object that WriteTags wrote. Errors:
// formats.ErrNotFound.
func ResolveRef(tags []byte, ref string) (version string, err error) {
	if version = textField(tags, ref); version != "" {
		return version, nil
	}
	if _, ok := parseVersion(ref); ok || !isRange(ref) && safeVersion(ref) {
		return ref, nil
	}
	return "", notFound(ref)
}

// WriteManifest renders one version of an upstream packument as it stands in
// the full document. Errors: formats.ErrNotFound if it is absent or hidden,
// else as WriteFull.
func WriteManifest(dst io.Writer, src io.Reader, v View, version string) error {
	p := picker{renderer: newRenderer(dst, v, false), want: version}
	if _, err := walk(src, v.Name, &p); err != nil {
		return err
	}
	if !p.found {
		return notFound(version)
	}
	return p.w.Flush()
}

// picker writes one version and passes over the rest.
type picker struct {
	*renderer
	want  string
	found bool
}

func (p *picker) member(string, []byte) error { return nil }

func (p *picker) version(version string, manifest []byte) error {
	if version == p.want && p.view.keeps(version) {
		p.found = true
		p.manifest(version, manifest)
	}
	return nil
}
