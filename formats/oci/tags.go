package oci

import (
	"errors"
	"iter"

	"larder/formats"
	"larder/policy"
)

const mediaJSON = "application/json"

func (s *serving) serveTags() error {
	if s.mirror {
		return s.mirrorTags()
	}
	if _, err := s.Registry.Package(s.r.Context(), s.t.name); err != nil {
		return err
	}
	tags := func(yield func(string, error) bool) {
		for tag, err := range s.Registry.Tags(s.r.Context(), s.t.name, s.t.page.last) {
			if !yield(tag.Name, err) {
				return
			}
		}
	}
	list, err := s.take(tags)
	if err != nil {
		return err
	}
	body, err := renderTags(s.t.spoken, list)
	if err != nil {
		return err
	}
	return s.json(mediaJSON, body)
}

// serveCatalog lists the images that the caller may read; of a mirror, those that
// somebody here asked for. Clients that hold
// credentials send them only after a 401.
func (s *serving) serveCatalog() error {
	if err := s.mustList(); err != nil {
		return err
	}
	names := func(yield func(string, error) bool) {
		for p, err := range s.Registry.Packages(s.r.Context(), s.t.page.last) {
			if err != nil {
				yield("", err)
				return
			}
			if !yield(p.Name, nil) {
				return
			}
		}
	}
	list, err := s.take(names)
	if err != nil {
		return err
	}
	body, err := renderCatalog(list)
	if err != nil {
		return err
	}
	return s.json(mediaJSON, body)
}

// take collects the page that was asked for, and says where the next one is.
// What is empty is no nil, which would be written as null.
func (s *serving) take(names iter.Seq2[string, error]) ([]string, error) {
	list, more, err := s.t.page.take(names)
	if err != nil || list == nil {
		return []string{}, err
	}
	if more {
		s.link(next(s.r.URL, s.t.page.size, list[len(list)-1]))
	}
	return list, nil
}

func (s *serving) link(value string) { s.w.Header()["Link"] = []string{value} }

// serveReferrers lists the manifests that refer to one, which need not exist.
func (s *serving) serveReferrers() error {
	if s.mirror {
		return s.mirrorReferrers()
	}
	_, err := s.Registry.Package(s.r.Context(), s.t.name)
	if errors.Is(err, formats.ErrNotFound) {
		return s.noReferrers(err)
	}
	if err != nil {
		return err
	}
	list, err := renderReferrers(s.referrers(), s.t.artifactType)
	if err != nil {
		return err
	}
	if list.last != "" {
		s.link(next(s.r.URL, 0, list.last))
	}
	filtered(s.w.Header(), s.t.artifactType)
	return s.json(typeIndex, list.body)
}

// noReferrers answers for an image that is not there: whoever could push it may
// push a signature before it, and is to find none meanwhile. To others it is
// missing. What a token is narrowed to does not matter to that.
func (s *serving) noReferrers(missing error) error {
	who := s.Caller
	who.Grants = nil
	may, err := s.Registry.May(s.r.Context(), who, policy.Publish, s.t.spoken)
	if err != nil {
		return err
	}
	if !may {
		return missing
	}
	filtered(s.w.Header(), s.t.artifactType)
	return s.json(typeIndex, []byte(indexHead+indexTail))
}

func (s *serving) referrers() iter.Seq2[referrer, error] {
	return func(yield func(referrer, error) bool) {
		for r, err := range s.Registry.Having(s.r.Context(), s.t.name, subjectTerm(s.t.digest), s.t.page.last) {
			var about facts
			if err == nil {
				about, err = decodeFacts(r.Meta)
			}
			if err != nil {
				yield(referrer{}, err)
				return
			}
			if !yield(about.referrer(digest(r.Version)), nil) {
				return
			}
		}
	}
}
