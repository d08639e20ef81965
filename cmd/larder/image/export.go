package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

// transfers is how many blobs are under way at once.
const transfers = 4

// Source is an image and the server that has it.
type Source struct {
	Reference
	Registry *Registry
	// Used says that nobody named it: it was pulled lately, and may be gone, or be
	// a part of what goes along already.
	Used bool
}

// Export writes images to one layout.
type Export struct {
	// Out is a folder, or a file where it ends in .tar: that is written when its
	// folder beside it, of the same name and .d, is complete.
	Out string
	// Platforms are the only ones to take out of an index; none: all.
	Platforms []string
	// Base is a layout that the reader has imported already, "" for none: what an
	// image has there is left out of the image of the same name.
	Base string
	// Tell is told of each image, and what is left out.
	Tell func(format string, args ...any)
}

// Report says how much there was.
type Report struct {
	Images    int   `json:"images"`    // that were named
	Manifests int   `json:"manifests"` // with those of indexes, and what refers to them
	Blobs     int   `json:"blobs"`
	Bytes     int64 `json:"bytes"` // of blobs
}

// exporter is one export.
type exporter struct {
	*Export
	to     *folder
	base   *base
	seen   map[string]bool // name and digest of manifests
	held   map[string]bool // digests of all that is in the layout for these images
	blobs  map[string]task
	images []descriptor
	about  []descriptor // what refers to them
	report Report
}

// task is a blob to get.
type task struct {
	descriptor
	from Source
}

// Run writes the layout. A second run goes on where the first was stopped, and
// adds to what is there. Errors: *Refusal, cache.ErrCorrupt, ErrLayout.
func (e *Export) Run(ctx context.Context, sources []Source) (Report, error) {
	place, tarred := strings.CutSuffix(e.Out, ".tar")
	if tarred {
		place += ".tar.d"
	}
	to, err := makeFolder(place)
	if err != nil {
		return Report{}, err
	}
	x := &exporter{Export: e, to: to, seen: map[string]bool{}, held: map[string]bool{}, blobs: map[string]task{}}
	if tarred {
		err = to.forget() // a tar has what was asked for now, and a folder what was ever
	}
	if err == nil {
		err = x.run(ctx, sources)
	}
	if err == nil && tarred {
		if err = to.pack(e.Out, x.held); err == nil {
			err = os.RemoveAll(place)
		}
	}
	return x.report, errors.Join(err, to.Close())
}

func (x *exporter) run(ctx context.Context, sources []Source) error {
	if x.Base != "" {
		base, err := openBase(x.Base)
		if err != nil {
			return err
		}
		defer base.Close()
		x.base = base
	}
	for _, s := range sources {
		if s.Used && (x.seen[s.Host+"/"+s.Name+"@"+s.Digest] || isFallback(s.Tag)) {
			continue // it goes along with what it is a part of, or about
		}
		x.Tell("%s", s.Reference)
		if err := x.image(ctx, s); err != nil {
			return fmt.Errorf("export %s: %w", s.Reference, err)
		}
	}
	if err := x.fetch(ctx); err != nil {
		return err
	}
	return x.to.finish(x.images, x.about)
}

// image takes an image that was named.
func (x *exporter) image(ctx context.Context, s Source) error {
	body, d, err := s.Registry.manifest(ctx, s.Name, s.which())
	switch {
	case err == nil:
	case s.Used && missing(err):
		x.Tell("%s is not there any more, and left out", s.Reference)
		return nil
	case s.Used && refused(err):
		x.Tell("%s is left out: %v", s.Reference, err)
		return nil
	default:
		return err
	}
	x.report.Images++
	x.images = append(x.images, x.entry(s.Reference, d))
	return x.manifest(ctx, s, d, body, 0)
}

// entry is what the layout says of an image.
func (x *exporter) entry(r Reference, d descriptor) descriptor {
	notes := map[string]string{noteName: r.String()}
	if len(x.Platforms) > 0 && (d.MediaType == typeIndex || d.MediaType == typeDockerList) {
		notes[notePlatforms] = strings.Join(x.Platforms, ",")
	}
	return descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size, ArtifactType: d.ArtifactType, Annotations: notes}
}

// manifest writes a manifest, and takes its parts and what refers to it.
func (x *exporter) manifest(ctx context.Context, s Source, d descriptor, body []byte, depth int) error {
	key := s.Host + "/" + s.Name + "@" + d.Digest
	switch {
	case x.seen[key]:
		return nil
	case depth > maxDepth:
		return fmt.Errorf("manifests name or refer to each other more than %d deep", maxDepth)
	}
	x.seen[key], x.held[d.Digest] = true, true
	x.report.Manifests++
	doc, err := decode(body)
	if err != nil {
		return err
	}
	if !holds(x.to, d) {
		if err := x.to.put(d, body); err != nil {
			return err
		}
	}
	for _, b := range doc.blobs() {
		if !x.base.has(s.Name, b) {
			x.blobs[b.Digest] = task{b, s}
		}
	}
	if err := x.children(ctx, s, doc, depth); err != nil {
		return err
	}
	return x.refers(ctx, s, d, depth)
}

func (x *exporter) children(ctx context.Context, s Source, doc *document, depth int) error {
	list := chosen(doc, x.Platforms)
	if len(list) == 0 && len(doc.Manifests) > 0 && len(x.Platforms) > 0 {
		return fmt.Errorf("there is nothing for %s", strings.Join(x.Platforms, ", "))
	}
	for _, m := range list {
		if err := x.follow(ctx, s, m, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// follow takes a manifest that another one names.
func (x *exporter) follow(ctx context.Context, s Source, d descriptor, depth int) error {
	body, found, err := s.Registry.manifest(ctx, s.Name, d.Digest)
	if err != nil {
		return err
	}
	if found.Size != d.Size {
		return fmt.Errorf("%s has %d bytes, and %d where it is named: %w", d.Digest, found.Size, d.Size, ErrLayout)
	}
	return x.manifest(ctx, s, d, body, depth)
}

// refers takes what refers to a manifest, by the list and by the tags in which
// clients keep such things where there is no list.
func (x *exporter) refers(ctx context.Context, s Source, d descriptor, depth int) error {
	list, err := s.Registry.referrers(ctx, s.Name, d.Digest)
	if err != nil {
		return err
	}
	for _, r := range list {
		if !x.seen[s.Host+"/"+s.Name+"@"+r.Digest] {
			x.about = append(x.about, x.entry(Reference{Host: s.Host, Name: s.Name, Digest: r.Digest}, r))
		}
		if err := x.follow(ctx, s, r, depth+1); err != nil {
			return err
		}
	}
	algorithm, value, _ := strings.Cut(d.Digest, ":")
	for _, end := range []string{"", ".sig", ".att", ".sbom"} {
		r := Reference{Host: s.Host, Name: s.Name, Tag: algorithm + "-" + value[:64] + end}
		body, found, err := s.Registry.manifest(ctx, s.Name, r.Tag)
		if missing(err) {
			continue
		}
		if err != nil {
			return err
		}
		x.about = append(x.about, x.entry(r, found))
		if err := x.manifest(ctx, s, found, body, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// isFallback reports the tags in which refers looks.
func isFallback(tag string) bool {
	algorithm, rest, ok := strings.Cut(tag, "-")
	return ok && (algorithm == "sha256" || algorithm == "sha512") && len(rest) >= 64 && strings.Trim(rest[:64], "0123456789abcdef") == ""
}

// fetch gets the blobs that are not here.
func (x *exporter) fetch(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(transfers)
	for _, digest := range slices.Sorted(maps.Keys(x.blobs)) {
		t := x.blobs[digest]
		x.held[digest] = true
		x.report.Blobs++
		x.report.Bytes += t.Size
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return x.to.fetch(t.descriptor, func(at int64) (io.ReadCloser, int64, error) {
				return t.from.Registry.blob(ctx, t.from.Name, t.Digest, at)
			})
		})
	}
	return group.Wait()
}
