package npm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"larder/formats"
)

const (
	mediaJSON    = "application/json"
	mediaTarball = "application/octet-stream"
)

// upstreamPath is a package's path as registries take it: the slash of a scope escaped.
func upstreamPath(name string) string {
	scope, bare := splitName(name)
	if scope == "" {
		return url.PathEscape(bare)
	}
	return "@" + url.PathEscape(scope) + "%2f" + url.PathEscape(bare)
}

func viewOf(name string, v formats.View) View {
	return View{Name: name, Base: v.Base, FirstSeen: v.FirstSeen, Keep: v.Keep, Changed: v.Changed}
}

// document is a form of a package's packument.
func document(name, variant string) formats.Document {
	return formats.Document{
		Package: name, Name: name, Variant: variant, MediaType: mediaJSON,
		// Always the full document: one stored form, every other made from it.
		Path: upstreamPath(name), Accept: mediaJSON,
		Check: func(src io.Reader) error { return Check(src, name) },
	}
}

func (f *Format) packument(name string, abbreviated bool) formats.Document {
	d := document(name, "full")
	write, build := WriteFull, BuildFull
	if abbreviated {
		d = document(name, "abbreviated")
		d.MediaType = mediaAbbreviated
		write, build = WriteAbbreviated, BuildAbbreviated
	}
	d.Render = func(dst io.Writer, src io.Reader, v formats.View) error { return write(dst, src, viewOf(name, v)) }
	d.Build = func(dst io.Writer, p *formats.Package, releases iter.Seq2[*formats.Release, error], v formats.View) error {
		h, err := hostedOf(p, releases, !abbreviated)
		if err != nil {
			return err
		}
		return build(dst, h, v.Base)
	}
	return d
}

func tagsDocument(name string) formats.Document {
	d := document(name, "tags")
	d.BaseFree = true
	d.Render = func(dst io.Writer, src io.Reader, v formats.View) error { return WriteTags(dst, src, viewOf(name, v)) }
	d.Build = func(dst io.Writer, p *formats.Package, _ iter.Seq2[*formats.Release, error], _ formats.View) error {
		_, err := dst.Write(tagsObject(p.Tags))
		return err
	}
	return d
}

func manifestDocument(name, version string) formats.Document {
	d := document(name, "manifest "+version)
	d.Transient = true
	d.Render = func(dst io.Writer, src io.Reader, v formats.View) error {
		return WriteManifest(dst, src, viewOf(name, v), version)
	}
	d.Build = func(dst io.Writer, p *formats.Package, releases iter.Seq2[*formats.Release, error], v formats.View) error {
		for r, err := range releases {
			if err != nil {
				return err
			}
			if r.Version == version {
				return BuildManifest(dst, name, version, releaseManifest(r.Meta), v.Base)
			}
		}
		return notFound(version)
	}
	return d
}

// filesDocument is the index of an upstream package's tarballs.
func filesDocument(name string, age formats.Age) formats.Document {
	d := document(name, "files")
	d.BaseFree, d.Age, d.MediaType = true, age, "text/plain"
	d.Render = func(dst io.Writer, src io.Reader, v formats.View) error { return WriteFiles(dst, src, viewOf(name, v)) }
	d.Build = func(io.Writer, *formats.Package, iter.Seq2[*formats.Release, error], formats.View) error {
		return notFound(name) // hosted files are found by their names
	}
	return d
}

// Listing is the document that List reads.
func (f *Format) Listing(pkg string) formats.Document { return filesDocument(pkg, formats.Any) }

// List yields the versions that the body of a Listing holds.
func (f *Format) List(pkg string, body []byte) iter.Seq[formats.Listed] {
	return func(yield func(formats.Listed) bool) {
		for v := range Files(body) {
			if !yield(formats.Listed{Version: v.Version, File: fileKey(pkg, v.File), Published: v.Published}) {
				return
			}
		}
	}
}

// Newest returns what the tag latest would name.
func (f *Format) Newest(versions []string) string { return Latest(versions) }

// Compare orders versions for rules about ranges of them. Versions that differ
// in build metadata alone are equal, as they are to clients.
func (f *Format) Compare(a, b string) int {
	va, okA := parseVersion(a)
	vb, okB := parseVersion(b)
	if okA && okB {
		return va.Compare(vb)
	}
	return compareVersions(a, b)
}

// plain returns the bytes of a document, decoded.
func plain(c *formats.Content) ([]byte, error) {
	defer c.Close()
	if c.Encoding == "" {
		return c.Bytes, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(c.Bytes))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

func (s *serving) document(d formats.Document) ([]byte, error) {
	c, err := s.Registry.Document(s.r.Context(), d)
	if err != nil {
		return nil, err
	}
	return plain(c)
}

func (s *serving) servePackument() error {
	if s.t.Write {
		// What the client sends back after this must be ours alone.
		if _, err := s.Registry.Package(s.r.Context(), s.t.Package); err != nil {
			return err
		}
	}
	d := s.packument(s.t.Package, s.t.Abbreviated)
	d.Whole = s.t.Write
	c, err := s.Registry.Document(s.r.Context(), d)
	if err != nil {
		return err
	}
	s.w.Header().Set("Vary", "Accept")
	s.note(c)
	return formats.Reply(s.w, s.r, c)
}

// quietStale is how long a document may go unchecked before people are told.
const quietStale = time.Hour

// note says in the header that npm prints what a document leaves out, and that
// it is old.
func (s *serving) note(c *formats.Content) {
	notices := []string{c.Notice, s.stale(c)}
	if text := strings.Join(slices.DeleteFunc(notices, func(n string) bool { return n == "" }), "; "); text != "" {
		s.w.Header().Set("npm-notice", text)
	}
}

func (s *serving) stale(c *formats.Content) string {
	seconds, err := strconv.Atoi(c.Header.Get("Age"))
	age := time.Duration(seconds) * time.Second
	if c.Result != formats.Stale || err != nil || age <= quietStale {
		return ""
	}
	return fmt.Sprintf("%s is shown as it was %s ago: its upstream does not answer", s.t.Package, age.Round(time.Minute))
}

func (s *serving) serveTags() error {
	c, err := s.Registry.Document(s.r.Context(), tagsDocument(s.t.Package))
	if err != nil {
		return err
	}
	return formats.Reply(s.w, s.r, c)
}

func (s *serving) serveManifest() error {
	c, err := s.manifest(formats.Normal)
	if errors.Is(err, formats.ErrNoVersion) {
		// It may be newer than the document held.
		c, err = s.manifest(formats.Latest)
	}
	if err != nil {
		return err
	}
	return formats.Reply(s.w, s.r, c)
}

func (s *serving) manifest(age formats.Age) (*formats.Content, error) {
	d := tagsDocument(s.t.Package)
	d.Age = age
	tags, err := s.document(d)
	if err != nil {
		return nil, err
	}
	version, err := ResolveRef(tags, s.t.Ref)
	if err != nil {
		return nil, err
	}
	return s.Registry.Document(s.r.Context(), manifestDocument(s.t.Package, version))
}

func fileKey(name, file string) string { return name + "/-/" + file }

func (s *serving) serveTarball() error {
	c, err := s.Registry.File(s.r.Context(), formats.File{
		Package: s.t.Package, Name: fileKey(s.t.Package, s.t.File), MediaType: mediaTarball,
		Head: s.r.Method == http.MethodHead,
		Locate: func(ctx context.Context) (formats.Location, error) {
			return locate(ctx, s.Registry, s.t.Package, s.t.File)
		},
	})
	if err != nil {
		return err
	}
	return formats.Reply(s.w, s.r, c)
}

// locate finds a tarball in the package's index: name and version are never
// taken from the file name. A file that the held document lacks may be newer
// than that.
func locate(ctx context.Context, reg formats.Registry, name, file string) (formats.Location, error) {
	for _, age := range []formats.Age{formats.Any, formats.Latest} {
		c, err := reg.Document(ctx, filesDocument(name, age))
		if err != nil {
			return formats.Location{}, err
		}
		index, err := plain(c)
		if err != nil {
			return formats.Location{}, err
		}
		if facts, ok := FindFile(index, file); ok {
			ref := facts.URL
			if ref == "" {
				ref = upstreamPath(name) + "/-/" + url.PathEscape(file)
			}
			return formats.Location{Ref: ref, Want: facts.Sums(), Version: facts.Version, Published: facts.Published}, nil
		}
	}
	return formats.Location{}, formats.Refuse(formats.ErrNoVersion, "no version of "+name+" has the file "+quoteShort(file))
}

func (s *serving) serveAttestations() error {
	mine, err := s.Registry.Ours(s.r.Context(), []string{s.t.Package})
	if err != nil {
		return err
	}
	if mine[0] {
		return s.hostedAttestations()
	}
	path := "-/npm/v1/attestations/" + upstreamPath(s.t.Package) + "@" + url.PathEscape(s.t.Version)
	return s.forward(formats.Forward{Method: http.MethodGet, Path: path, Accept: mediaJSON, Keep: keepFacts})
}

func (s *serving) hostedAttestations() error {
	for r, err := range s.Registry.Releases(s.r.Context(), s.t.Package) {
		if err != nil {
			return err
		}
		if bundle := field(r.Meta, "provenance"); r.Version == s.t.Version && isObject(bundle) {
			var b builder
			b.open()
			b.key("attestations")
			b.openArray()
			b.open()
			b.text("predicateType", provenanceType)
			b.key("bundle")
			b.value(bundle)
			b.close()
			b.closeArray()
			b.close()
			return s.json(http.StatusOK, b.out)
		}
	}
	return formats.Refuse(formats.ErrNoVersion, "no attestations for "+s.t.Package+"@"+s.t.Version)
}

func (s *serving) serveKeys() error {
	return s.forward(formats.Forward{Method: http.MethodGet, Path: "-/npm/v1/keys", Accept: mediaJSON, Keep: keepFacts})
}

// forward passes an upstream's JSON on.
func (s *serving) forward(f formats.Forward) error {
	a, err := s.Registry.Forward(s.r.Context(), f)
	if err != nil {
		return err
	}
	if !strings.Contains(a.MediaType, "json") || !isObject(bytes.TrimSpace(a.Body)) {
		return formats.Refuse(formats.ErrNotFound, "the upstream has no such facts")
	}
	return s.json(http.StatusOK, a.Body)
}
