package npmtest

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// document is a packument, ready to send.
type document struct {
	plain, zipped []byte
	etag          string
}

// abbreviated are the fields of a version in the short form.
func abbreviated() []string {
	return []string{
		"name", "version", "deprecated", "dependencies", "optionalDependencies", "devDependencies",
		"bundleDependencies", "peerDependencies", "peerDependenciesMeta", "bin", "directories", "dist",
		"engines", "os", "cpu", "libc", "funding", "hasInstallScript",
	}
}

// document returns the packument of p; the caller holds r.mu.
func (r *Registry) document(p *pkg, short bool) (document, error) {
	if d, ok := p.documents[short]; ok {
		return d, nil
	}
	plain, err := json.Marshal(r.packument(p, short))
	if err != nil {
		return document{}, fmt.Errorf("packument of %s: %w", p.name, err)
	}
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	// Writing to memory does not fail.
	_, _ = zip.Write(plain)
	_ = zip.Close()
	sum := sha256.Sum256(plain)
	d := document{plain: plain, zipped: zipped.Bytes(), etag: `"` + hex.EncodeToString(sum[:12]) + `"`}
	if p.documents == nil {
		p.documents = make(map[bool]document)
	}
	p.documents[short] = d
	return d, nil
}

func (r *Registry) packument(p *pkg, short bool) map[string]any {
	numbers := slices.SortedFunc(maps.Keys(p.versions), compare)
	versions := make(map[string]any, len(numbers))
	times := map[string]string{}
	var modified time.Time
	for i, number := range numbers {
		at, ok := p.times[number]
		if !ok {
			at = epoch().AddDate(0, 0, i)
		}
		if at.After(modified) {
			modified = at
		}
		times[number] = stamp(at)
		versions[number] = r.manifest(p, number, short)
	}
	doc := map[string]any{"name": p.name, "dist-tags": p.distTags(numbers), "versions": versions}
	if short {
		doc["modified"] = stamp(modified)
		return doc
	}
	times["created"] = stamp(epoch())
	times["modified"] = stamp(modified)
	doc["_id"], doc["_rev"], doc["time"] = p.name, fmt.Sprintf("%d-0", len(numbers)), times
	doc["maintainers"] = []map[string]string{{"name": "upstream", "email": "upstream@upstream.example"}}
	return doc
}

func (r *Registry) manifest(p *pkg, number string, short bool) map[string]any {
	v := p.versions[number]
	m := maps.Clone(v.manifest)
	m["_id"] = p.name + "@" + number
	m["dist"] = map[string]any{
		"tarball":   r.URL + "/" + p.name + "/-/" + path.Base(p.name) + "-" + number + ".tgz",
		"integrity": Integrity(v.tarball),
		"shasum":    shasum(v.tarball),
	}
	if !short {
		return m
	}
	keep := abbreviated()
	maps.DeleteFunc(m, func(field string, _ any) bool { return !slices.Contains(keep, field) })
	return m
}

func (p *pkg) distTags(sorted []string) map[string]string {
	tags := map[string]string{}
	for _, number := range sorted {
		if !strings.Contains(number, "-") || tags["latest"] == "" {
			tags["latest"] = number
		}
	}
	maps.Copy(tags, p.tags)
	return tags
}

func stamp(t time.Time) string { return t.Format("2006-01-02T15:04:05.000Z") }
