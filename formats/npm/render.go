package npm

import "net/url"

// abbreviatedField reports whether the short packument keeps a manifest member.
func abbreviatedField(name []byte) bool {
	switch string(name) {
	case "name", "version", "deprecated", "dependencies", "optionalDependencies", "devDependencies",
		"bundleDependencies", "bundledDependencies", "peerDependencies", "peerDependenciesMeta", "acceptDependencies",
		"bin", "directories", "dist", "engines", "os", "cpu", "libc", "funding",
		"hasInstallScript", "_hasShrinkwrap":
		return true
	}
	return false
}

// manifest writes one manifest: name and version as the document says, dist
// rewritten, the rest as it is.
func (r *renderer) manifest(version string, manifest []byte) {
	r.w.WriteByte('{')
	o := object{r: r}
	named, versioned, install, flagged := false, false, false, false
	for m := range members(manifest) {
		switch string(m.name) {
		case "name":
			named = true
			o.text(m.key, r.view.Name)
			continue
		case "version":
			versioned = true
			o.text(m.key, version)
			continue
		case "dist":
			if isObject(m.value) {
				o.key(m.key)
				r.dist(version, m.value)
			}
			continue
		case "hasInstallScript":
			flagged = true
		case "scripts":
			install = install || hasInstallScript(m.value)
		case "gypfile":
			install = install || string(m.value) == "true"
		}
		if !r.abbreviated || abbreviatedField(m.name) {
			o.key(m.key)
			r.w.Write(m.value)
		}
	}
	if !named {
		o.text([]byte(`"name"`), r.view.Name)
	}
	if !versioned {
		o.text([]byte(`"version"`), version)
	}
	if r.abbreviated && install && !flagged {
		o.key([]byte(`"hasInstallScript"`))
		r.w.WriteString("true")
	}
	r.w.WriteByte('}')
}

// dist writes a dist object with our URLs in it.
func (r *renderer) dist(version string, dist []byte) {
	r.w.WriteByte('{')
	o := object{r: r}
	located := false
	for m := range members(dist) {
		switch string(m.name) {
		case "tarball":
			located = true
			o.text(m.key, r.tarballURL(version))
		case "attestations":
			if isObject(m.value) {
				o.key(m.key)
				r.attestations(version, m.value)
			}
		default:
			o.key(m.key)
			r.w.Write(m.value)
		}
	}
	if !located {
		o.text([]byte(`"tarball"`), r.tarballURL(version))
	}
	r.w.WriteByte('}')
}

func (r *renderer) attestations(version string, value []byte) {
	r.w.WriteByte('{')
	o := object{r: r}
	for m := range members(value) {
		if string(m.name) == "url" {
			o.text(m.key, attestationsURL(r.view.Base, r.view.Name, version))
			continue
		}
		o.key(m.key)
		r.w.Write(m.value)
	}
	r.w.WriteByte('}')
}

// tarballURL is the conventional URL, which lockfiles leave out. A version key
// that is no version is escaped whole and leads to a plain 404.
func (r *renderer) tarballURL(version string) string {
	if !safeVersion(version) {
		version = url.PathEscape(version)
	}
	return r.tarball + version + ".tgz"
}

// object puts the commas between the members of one object.
type object struct {
	r *renderer
	n int
}

// key begins a member; name is quoted already.
func (o *object) key(name []byte) {
	if o.n++; o.n > 1 {
		o.r.w.WriteByte(',')
	}
	o.r.w.Write(name)
	o.r.w.WriteByte(':')
}

// text writes a member whose value is a string.
func (o *object) text(name []byte, value string) {
	o.key(name)
	o.r.quote(value)
}

// hasInstallScript reports whether the scripts of a manifest run at install time.
func hasInstallScript(scripts []byte) bool {
	for m := range members(scripts) {
		switch string(m.name) {
		case "preinstall", "install", "postinstall":
			if s, ok := text(m.value); ok && s != "" {
				return true
			}
		}
	}
	return false
}
