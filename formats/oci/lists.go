package oci

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"larder/formats"
	"larder/policy"
)

// maxQuery bounds what of a query goes to an upstream, in bytes.
const maxQuery = 4 << 10

// passed is the query that an upstream gets for a list: what it understands of
// it, the names of its pages among them, is its own affair.
func (s *serving) passed(without ...string) (string, error) {
	query := s.r.URL.Query()
	for _, name := range append(without, "ns") {
		query.Del(name)
	}
	text := query.Encode()
	if len(text) > maxQuery {
		return "", refuse(formats.ErrBadRequest, codeUnsupported, "the query is longer than %d bytes", maxQuery)
	}
	if text != "" {
		text = "?" + text
	}
	return text, nil
}

// mirrorTags hands an upstream's list of tags on, page by page.
func (s *serving) mirrorTags() error {
	without := []string{}
	if s.t.page.size == 0 {
		without = append(without, "n") // not every registry takes it
	}
	query, err := s.passed(without...)
	if err != nil {
		return err
	}
	spoken, none := s.t.spoken, s.t.page.size == 0
	d := formats.Document{
		Package: s.t.name, Name: s.t.name + " tags" + query, Variant: spoken, MediaType: mediaJSON, Accept: mediaJSON,
		Path: upstreamPath(s.t.name, "tags", "list") + query, Header: []string{"Link"}, Age: formats.Checked, BaseFree: true,
		Check: func(src io.Reader) error {
			return eachTag(src, func(string) {})
		},
		Render: func(dst io.Writer, src io.Reader, v formats.View) error {
			tags, err := readTags(src)
			if err != nil {
				return err
			}
			if v.Keep != nil {
				tags = slices.DeleteFunc(tags, func(tag string) bool { return !v.Keep(tag) })
			}
			if none {
				tags = []string{}
			}
			return write(dst)(renderTags(spoken, tags))
		},
	}
	if none {
		d.Variant += " none"
	}
	return s.list(d)
}

// readTags reads an upstream's list of tags.
func readTags(src io.Reader) ([]string, error) {
	tags := []string{}
	err := eachTag(src, func(tag string) { tags = append(tags, tag) })
	return tags, err
}

// eachTag reads them one by one. Some write null for an empty list.
func eachTag(src io.Reader, fn func(string)) error {
	kind, err := elements(src, "tags", func(value jsontext.Value) error {
		tag, err := jsontext.AppendUnquote(nil, value)
		fn(string(tag))
		return err
	})
	switch {
	case err != nil:
		return fmt.Errorf("read a list of tags: %w", err)
	case kind == 0:
		return errors.New("a list of tags has no tags")
	}
	return nil
}

// write writes what a rendering comes to.
func write(dst io.Writer) func(body []byte, err error) error {
	return func(body []byte, err error) error {
		if err == nil {
			_, err = dst.Write(body)
		}
		return err
	}
}

// list answers with a document of the upstream, and leads from its page to the
// next as the client knows it.
func (s *serving) list(d formats.Document) error {
	c, err := s.Registry.Document(s.r.Context(), d)
	if err != nil {
		return err
	}
	if links := c.Header["Link"]; len(links) > 0 {
		c.Header = c.Header.Clone()
		delete(c.Header, "Link")
		if to := s.following(links); to != "" && s.t.page.size != 0 {
			c.Header["Link"] = []string{to}
		}
	}
	return formats.Reply(s.w, s.r, c)
}

// following turns an upstream's link to the next page into ours: the same query,
// below the path that the client asked for, and with what else it asked for.
func (s *serving) following(links []string) string {
	own := s.r.URL.Query()
	for rest := strings.Join(links, ", "); ; {
		_, text, _ := strings.Cut(rest, "<")
		target, text, ok := strings.Cut(text, ">")
		if !ok {
			return ""
		}
		at := strings.IndexByte(text+"<", '<')
		params := text[:at]
		rest = text[at:]
		u, err := url.Parse(target)
		if err != nil || !isNext(params) {
			continue
		}
		query := u.Query()
		for _, name := range []string{"ns", "artifactType"} { // these are between the client and us
			delete(query, name)
			if own.Has(name) {
				query[name] = own[name]
			}
		}
		if query.Encode() == own.Encode() {
			return "" // it leads to itself: whoever followed it would do so for ever
		}
		return "<" + s.r.URL.EscapedPath() + "?" + query.Encode() + `>; rel="next"`
	}
}

// isNext reports whether the parameters of a link say that it leads on.
func isNext(params string) bool {
	for p := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.Trim(p, " \t,"), "=")
		if strings.EqualFold(name, "rel") && strings.EqualFold(strings.Trim(value, `"`), "next") {
			return true
		}
	}
	return false
}

// mirrorReferrers hands an upstream's list on; of one that has no such lists, the
// index that clients keep under a tag in their place. It is never missing: an
// image nobody has ever signed has an empty list.
func (s *serving) mirrorReferrers() error {
	query, err := s.passed("artifactType")
	if err != nil {
		return err
	}
	want := s.t.artifactType
	d := formats.Document{
		Package: s.t.name, Name: s.t.name + " referrers " + string(s.t.digest) + query, Variant: want, MediaType: typeIndex, Accept: typeIndex,
		Path: upstreamPath(s.t.name, "referrers", string(s.t.digest)) + query, Header: []string{"Link"}, Age: formats.Checked, BaseFree: true,
		Check: checkIndex,
		Render: func(dst io.Writer, src io.Reader, _ formats.View) error {
			if want == "" {
				_, err := io.Copy(dst, src)
				return err
			}
			body, err := io.ReadAll(src)
			if err != nil {
				return err
			}
			return write(dst)(filterReferrers(body, want))
		},
	}
	filtered(s.w.Header(), want)
	err = s.list(d)
	if errors.Is(err, formats.ErrNotFound) || isTrouble(err) {
		err = s.fallback(err)
	}
	if err != nil {
		s.w.Header().Del("OCI-Filters-Applied")
	}
	return err
}

// isTrouble reports an upstream that could not be asked: neither did it say that
// something is not there, nor are we the ones who refuse.
func isTrouble(err error) bool {
	for _, known := range []error{
		formats.ErrNotFound, formats.ErrBadRequest, policy.ErrHidden, policy.ErrDenied, policy.ErrUnauthenticated,
	} {
		if errors.Is(err, known) {
			return false
		}
	}
	return err != nil
}

// checkIndex looks whether a body is an index.
func checkIndex(src io.Reader) error {
	var r referrer
	kind, err := elements(src, "manifests", func(value jsontext.Value) error {
		r = referrer{}
		return json.Unmarshal(value, &r)
	})
	switch {
	case err != nil:
		return fmt.Errorf("read an index of referrers: %w", err)
	case kind != '[':
		return errors.New("an index of referrers has no manifests")
	}
	return nil
}

// fallback answers with the index under the tag that stands in for a list. why
// is what came of the list: that there is none, or trouble, in which an index
// that is held is better than nothing.
func (s *serving) fallback(why error) error {
	to, err := s.Registry.Resolve(s.r.Context(), s.pointer(s.t.digest.fallbackTag()))
	switch {
	case err == nil:
	case isTrouble(why):
		return why
	case errors.Is(err, formats.ErrNotFound):
		return s.json(typeIndex, []byte(indexHead+indexTail))
	default:
		return err
	}
	f := s.manifest(digest(to.Version))
	f.Head = false
	c, err := s.Registry.File(s.r.Context(), f)
	if err != nil {
		return err
	}
	held, err := c.All(s.r.Context(), s.maxManifest)
	if err != nil {
		return err
	}
	body, err := filterReferrers(held, s.t.artifactType)
	if err != nil {
		return err
	}
	return formats.Reply(s.w, s.r, &formats.Content{
		Bytes: body, Size: int64(len(body)), MediaType: typeIndex, Private: c.Private, Result: to.Result, Header: to.Header,
	})
}
