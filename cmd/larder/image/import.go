package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

// Import pushes what is in a layout.
type Import struct {
	From string // folder or tar
	// Into is what names go below, in the place of their owner; images without a
	// name of their own get it as theirs. "": each to the name that it had.
	Into string
	Tell func(format string, args ...any)
	// Unfinished is what a run that was stopped left; nil: what was sent by half is
	// sent anew.
	Unfinished *Unfinished
}

// node is a manifest to put.
type node struct {
	descriptor
	name   string // of the image
	sparse bool   // it lacks manifests on purpose
}

// entry is an image of index.json with its place.
type entry struct {
	descriptor
	name, tag string // tag "": by digest
}

// importer is one import.
type importer struct {
	*Import
	from   layout
	to     *Registry
	seen   map[string]bool // name and digest of manifests, and what was looked for at the server
	proved map[string]bool // digests of blobs
	nodes  []node          // those that are named come before those that name them
	blobs  map[string]map[string]descriptor
	lost   map[string]bool // digests of what is neither in the layout nor at the server
	report Report
}

// Run proves the whole layout, then pushes blobs, then manifests, then tags, so
// that nothing is seen before it is whole. What the server has is not sent again.
// Errors: *Refusal, cache.ErrCorrupt, ErrLayout.
func (i *Import) Run(ctx context.Context, to *Registry) (Report, error) {
	from, err := openLayout(i.From)
	if err != nil {
		return Report{}, err
	}
	defer from.Close()
	x := &importer{
		Import: i, from: from, to: to, seen: map[string]bool{}, proved: map[string]bool{},
		blobs: map[string]map[string]descriptor{}, lost: map[string]bool{},
	}
	entries, err := x.entries()
	if err != nil {
		return Report{}, err
	}
	for _, e := range entries {
		if err := x.look(ctx, e); err != nil {
			return Report{}, fmt.Errorf("import %s: %w", e.name, err)
		}
	}
	if len(x.lost) > 0 {
		return Report{}, fmt.Errorf("%s lacks %s, and the server too: %w", i.From, x.lacking(), ErrLayout)
	}
	return x.report, x.push(ctx, entries)
}

// entries finds out where each image goes.
func (x *importer) entries() ([]entry, error) {
	index, err := readIndex(x.from)
	if err != nil {
		return nil, err
	}
	var list []entry
	named := map[string]string{} // digests, by name and tag
	for _, d := range index {
		if !d.isManifest() {
			return nil, fmt.Errorf("the layout names %s, which is no manifest: %w", d.Digest, ErrLayout)
		}
		e, err := x.target(d)
		if err != nil {
			return nil, err
		}
		name := e.name + ":" + e.tag
		if was := named[name]; e.tag != "" && was != "" && was != d.Digest {
			return nil, fmt.Errorf("two images would be called %s, %s and %s: export them to two layouts, and import one of those with --into: %w", name, was, d.Digest, ErrLayout)
		}
		named[name] = d.Digest
		list = append(list, e)
	}
	return list, nil
}

// target finds the name of an image: that which an export noted, else what other
// programs note.
func (x *importer) target(d descriptor) (entry, error) {
	e := entry{descriptor: d}
	r, err := ParseReference(d.Annotations[noteName])
	if err != nil {
		r, err = ParseReference(d.Annotations[noteForeign])
	}
	if err == nil {
		name := r.Name
		if rest, ok := strings.CutPrefix(name, "mirror/"); ok {
			_, name, _ = strings.Cut(rest, "/")
			return x.below(e, name, r.Tag)
		}
		if owner, rest, ok := strings.Cut(name, "/"); ok && owner != "" && x.Into != "" {
			name = rest
		}
		return x.below(e, name, r.Tag)
	}
	noted := d.Annotations[noteTag]
	if isTag(noted) || noted == "" {
		e.name, e.tag = x.Into, noted
	} else if r, err := ParseReference("here/" + noted); err == nil {
		return x.below(e, r.Name, r.Tag)
	}
	if !isName(e.name) {
		return e, fmt.Errorf("%s has no name in the layout: say with --into what it is to be called: %w", d.Digest, ErrLayout)
	}
	return e, nil
}

func (x *importer) below(e entry, name, tag string) (entry, error) {
	if x.Into != "" {
		name = x.Into + "/" + name
	}
	if !isName(name) {
		return e, fmt.Errorf("%q is no name of an image: %w", name, ErrLayout)
	}
	e.name, e.tag = name, tag
	return e, nil
}

// look proves an image and all below it.
func (x *importer) look(ctx context.Context, e entry) error {
	if !x.inside(e.Digest) {
		x.lose(e.Digest)
		return nil
	}
	var platforms []string
	if noted := e.Annotations[notePlatforms]; noted != "" {
		platforms = strings.Split(noted, ",")
	}
	x.report.Images++
	return x.manifest(ctx, e, e.descriptor, platforms, 0)
}

func (x *importer) lose(digest string) { x.lost[digest] = true }

// lacking names what is lost, of much the first few.
func (x *importer) lacking() string {
	list := slices.Sorted(maps.Keys(x.lost))
	if more := len(list) - maxNamed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:maxNamed], ", "), more)
	}
	return strings.Join(list, ", ")
}

// inside reports whether the layout has a file for a digest.
func (x *importer) inside(digest string) bool {
	f, _, err := x.from.open(pathOf(digest))
	return err == nil && f.Close() == nil
}

func (x *importer) manifest(ctx context.Context, e entry, d descriptor, platforms []string, depth int) error {
	key := e.name + "@" + d.Digest
	switch {
	case x.seen[key]:
		return nil
	case depth > maxDepth:
		return fmt.Errorf("manifests name each other more than %d deep: %w", maxDepth, ErrLayout)
	}
	x.seen[key] = true
	body, err := readFrom(x.from, d)
	if err != nil {
		return err
	}
	doc, err := decode(body)
	if err != nil {
		return err
	}
	n := node{descriptor: d, name: e.name}
	wanted := digests(chosen(doc, platforms))
	for _, m := range doc.Manifests {
		switch {
		case !m.isManifest():
		case x.inside(m.Digest):
			if err := x.manifest(ctx, e, m, platforms, depth+1); err != nil {
				return err
			}
		case wanted[m.Digest]:
			if err := x.elsewhere(ctx, e.name, "manifests", m.Digest); err != nil {
				return err
			}
		default:
			n.sparse = true
		}
	}
	for _, b := range doc.blobs() {
		if err := x.blob(ctx, e.name, b); err != nil {
			return err
		}
	}
	x.nodes = append(x.nodes, n)
	x.report.Manifests++
	return nil
}

// elsewhere looks at the server, once, for what the layout does not have.
func (x *importer) elsewhere(ctx context.Context, name, kind, digest string) error {
	path := name + "/" + kind + "/" + digest
	if x.seen[path] {
		return nil
	}
	x.seen[path] = true
	there, err := x.to.has(ctx, name, kind, digest)
	if err == nil && !there {
		x.lose(digest)
	}
	return err
}

// blob proves a blob, once.
func (x *importer) blob(ctx context.Context, name string, d descriptor) error {
	if x.blobs[name] == nil {
		x.blobs[name] = map[string]descriptor{}
	}
	if old, known := x.blobs[name][d.Digest]; known && old.Size == d.Size {
		return nil
	}
	f, _, err := x.from.open(pathOf(d.Digest))
	if errors.Is(err, fs.ErrNotExist) {
		return x.elsewhere(ctx, name, "blobs", d.Digest)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	key := fmt.Sprint(d.Digest, d.Size)
	if !x.proved[key] {
		if err := prove(f, d); err != nil {
			return err
		}
		x.report.Blobs++
		x.report.Bytes += d.Size
	}
	x.proved[key] = true
	x.blobs[name][d.Digest] = d
	return nil
}

func (x *importer) push(ctx context.Context, entries []entry) error {
	sent := map[string]string{} // digest to the name that has it by now
	for _, name := range slices.Sorted(maps.Keys(x.blobs)) {
		x.Tell("%s", name)
		if err := x.send(ctx, name, sent); err != nil {
			return fmt.Errorf("import %s: %w", name, err)
		}
		for digest := range x.blobs[name] {
			sent[digest] = name
		}
	}
	sparse := map[string]bool{}
	for _, n := range x.nodes {
		sparse[n.name+"@"+n.Digest] = n.sparse
		if err := x.put(ctx, n, n.Digest); err != nil {
			return fmt.Errorf("import %s@%s: %w", n.name, n.Digest, err)
		}
	}
	for _, e := range entries {
		if e.tag == "" {
			continue
		}
		n := node{e.descriptor, e.name, sparse[e.name+"@"+e.Digest]}
		if err := x.put(ctx, n, e.tag); err != nil {
			return fmt.Errorf("import %s:%s: %w", e.name, e.tag, err)
		}
	}
	return nil
}

// put puts a manifest, read and proved once more, under a tag or its digest.
func (x *importer) put(ctx context.Context, n node, which string) error {
	body, err := readFrom(x.from, n.descriptor)
	if err != nil {
		return err
	}
	return x.to.putManifest(ctx, n.name+"/manifests/"+which, n.MediaType, body, n.sparse)
}

// send pushes the blobs of an image that the server does not have there.
func (x *importer) send(ctx context.Context, name string, sent map[string]string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(transfers)
	for _, digest := range slices.Sorted(maps.Keys(x.blobs[name])) {
		d := x.blobs[name][digest]
		group.Go(func() error {
			there, err := x.to.has(ctx, name, "blobs", d.Digest)
			if err != nil || there {
				return err
			}
			u := upload{x.to, name, d, func() (io.ReadCloser, error) {
				f, _, err := x.from.open(pathOf(d.Digest))
				return f, err
			}}
			return u.put(ctx, sent[d.Digest], x.Unfinished)
		})
	}
	return group.Wait()
}
