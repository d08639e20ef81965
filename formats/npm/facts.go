package npm

import (
	"bytes"
	"cmp"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"larder/formats"
	"larder/policy"
)

// Times of calls that only an upstream can answer.
const (
	keepFacts     = time.Hour        // keys and attestations
	keepAudit     = 10 * time.Minute // answers to the same audit
	auditTimeout  = 3 * time.Second  // npm install waits for it
	searchTimeout = 1500 * time.Millisecond
	maxListed     = 10_000 // hosted packages looked at by one search or listing
)

// noAudit answers 404: pnpm waits over two minutes after a 5xx and prints one
// clear line after this.
func noAudit(err error) error {
	if errors.Is(err, formats.ErrBadRequest) || errors.Is(err, formats.ErrTooLarge) ||
		errors.Is(err, policy.ErrUnauthenticated) || errors.Is(err, policy.ErrDenied) {
		return err
	}
	why := "the upstream could not be asked"
	var told *formats.Error
	if errors.As(err, &told) && errors.Is(err, formats.ErrNotFound) {
		why = told.Sentence // it was, or there is none
	}
	return formats.Refuse(formats.ErrNoVersion, "no advisories: "+why)
}

// foreign returns which names must not be told to an upstream.
func (s *serving) foreign(names []string) (drop func(string) bool, err error) {
	mine, err := s.Registry.Ours(s.r.Context(), names)
	if err != nil {
		return nil, err
	}
	ours := map[string]bool{}
	for i, n := range names {
		ours[n] = mine[i]
	}
	return func(n string) bool { return ours[n] || !readableName(n) }, nil
}

func (s *serving) serveAuditBulk() error {
	body, err := ReadBody(s.r.Body)
	if err != nil {
		return err
	}
	bulk, err := ParseBulk(body)
	if err != nil {
		return err
	}
	drop, err := s.foreign(bulk.Names())
	if err != nil {
		return err
	}
	asked, left := bulk.Encode(drop)
	if !left {
		return s.json(http.StatusOK, []byte("{}"))
	}
	a, err := s.Registry.Forward(s.r.Context(), formats.Forward{
		Method: http.MethodPost, Path: "-/npm/v1/security/advisories/bulk", Accept: mediaJSON, ContentType: mediaJSON,
		Body: asked, Keep: keepAudit, Timeout: auditTimeout,
	})
	if err != nil {
		return noAudit(err)
	}
	clean, err := ReadBody(bytes.NewReader(a.Body)) // some answer with gzip they do not announce
	if err != nil {
		return noAudit(formats.Refuse(formats.ErrNotFound, "the upstream's answer makes no sense"))
	}
	merged, err := MergeBulk(clean)
	if err != nil {
		return noAudit(formats.Refuse(formats.ErrNotFound, "the upstream's answer makes no sense"))
	}
	return s.json(http.StatusOK, merged)
}

func (s *serving) serveAuditQuick() error {
	body, err := ReadBody(s.r.Body)
	if err != nil {
		return err
	}
	names, err := QuickNames(body)
	if err != nil {
		return err
	}
	drop, err := s.foreign(names)
	if err != nil {
		return err
	}
	q, err := FilterQuick(body, drop)
	if err != nil {
		return err
	}
	if !q.Left {
		return s.json(http.StatusOK, QuickReply(nil, q))
	}
	a, err := s.Registry.Forward(s.r.Context(), formats.Forward{
		Method: http.MethodPost, Path: "-/npm/v1/security/audits/quick", Accept: mediaJSON, ContentType: mediaJSON,
		Body: q.Asked, Keep: keepAudit, Timeout: auditTimeout,
	})
	if err != nil {
		return noAudit(err)
	}
	clean, err := ReadBody(bytes.NewReader(a.Body))
	if err == nil {
		clean, err = value(clean)
	}
	if err != nil || !isObject(clean) {
		return noAudit(formats.Refuse(formats.ErrNotFound, "the upstream's answer makes no sense"))
	}
	return s.json(http.StatusOK, QuickReply(clean, q))
}

func (s *serving) serveSearch() error {
	q := ParseSearch(s.r.URL.Query())
	var hits []SearchEntry
	for p, err := range s.hosted() {
		if err != nil {
			return err
		}
		e, err := entryOf(p)
		if err != nil {
			return err
		}
		if q.Matches(e) && s.Registry.Allows(e.Name, formats.Listed{Version: e.Version, Published: e.Date, Hosted: true}) {
			hits = append(hits, e)
		}
	}
	total := len(hits)
	foreign, more := s.searchUpstream(q)
	hits = append(hits, foreign...)
	total += more
	from := min(q.From, len(hits))
	hits = hits[from:min(from+q.Size, len(hits))]
	return s.json(http.StatusOK, BuildSearch(hits, total, s.clock()))
}

// hosted yields the first maxListed packages that the caller may read.
func (s *serving) hosted() iter.Seq2[*formats.Package, error] {
	return func(yield func(*formats.Package, error) bool) {
		looked := 0
		for p, err := range s.Registry.Packages(s.r.Context(), "") {
			if looked++; looked > maxListed || !yield(p, err) {
				return
			}
		}
	}
}

func entryOf(p *formats.Package) (SearchEntry, error) {
	a, err := readAbout(p)
	if err != nil {
		return SearchEntry{}, err
	}
	return SearchEntry{
		Name: p.Name, Version: a.Summary.Version, Description: a.Summary.Description, Keywords: a.Summary.Keywords,
		Date: a.Summary.Date, Links: a.Summary.Links, Publisher: a.Summary.Publisher, Maintainers: a.Maintainers,
	}, nil
}

// searchUpstream never fails a search: without an answer there are our own
// hits. Words that mean names of ours are not told.
func (s *serving) searchUpstream(q SearchQuery) ([]SearchEntry, int) {
	meant := q.Names()
	drop, err := s.foreign(meant)
	if err != nil || slices.ContainsFunc(meant, drop) {
		return nil, 0
	}
	query := url.Values{"text": {strings.Join(q.Words, " ")}, "size": {"250"}}
	a, err := s.Registry.Forward(s.r.Context(), formats.Forward{
		Method: http.MethodGet, Path: "-/v1/search?" + query.Encode(), Accept: mediaJSON,
		Keep: keepAudit, Timeout: searchTimeout,
	})
	if err != nil {
		return nil, 0
	}
	found, total, err := ReadSearch(a.Body)
	if err != nil {
		return nil, 0
	}
	names := make([]string, len(found))
	for i, e := range found {
		names[i] = e.Name
	}
	hide, err := s.foreign(names)
	if err != nil {
		return nil, 0
	}
	kept := found[:0]
	for _, e := range found {
		if !hide(e.Name) && s.Registry.Allows(e.Name, formats.Listed{Version: e.Version, Published: e.Date}) {
			kept = append(kept, e)
		}
	}
	return kept, total - (len(found) - len(kept))
}

// serveStarred lists the packages that a user starred, as far as the caller
// may see them. npm sends the name in JSON quotes.
func (s *serving) serveStarred() error {
	user, ok := text([]byte(s.r.URL.Query().Get("key")))
	if !ok {
		user = s.r.URL.Query().Get("key")
	}
	var b builder
	b.open()
	b.key("rows")
	b.openArray()
	for p, err := range s.hosted() {
		if err != nil {
			return err
		}
		a, err := readAbout(p)
		if err != nil {
			return err
		}
		if a.Users[user] {
			b.open()
			b.text("value", p.Name)
			b.close()
		}
	}
	b.closeArray()
	b.close()
	return s.json(http.StatusOK, b.out)
}

// serveCollaborators tells of those whom the package names as maintainers what
// they may do with it: the list itself gives nobody a role.
func (s *serving) serveCollaborators() error {
	p, err := s.Registry.Package(s.r.Context(), s.t.Package)
	if err != nil {
		return err
	}
	a, err := readAbout(p)
	if err != nil {
		return err
	}
	var b builder
	b.open()
	for _, m := range a.Maintainers {
		may, err := s.may(m.Name, p)
		if err != nil {
			return err
		}
		if may != "" {
			b.text(m.Name, may)
		}
	}
	b.close()
	return s.json(http.StatusOK, b.out)
}

// may is what a user may do with a package, in npm's words: "write", "read" or "".
func (s *serving) may(user string, p *formats.Package) (string, error) {
	role, err := s.Registry.Role(s.r.Context(), user, p.Name)
	switch {
	case err != nil:
		return "", err
	case role >= policy.RoleWrite:
		return "write", nil
	case role == policy.RoleRead || p.Visibility == policy.Public:
		return "read", nil
	}
	return "", nil
}

func (s *serving) serveVisibility() error {
	p, err := s.Registry.Package(s.r.Context(), s.t.Package)
	if err != nil {
		return err
	}
	var b builder
	b.open()
	b.bool("public", p.Visibility == policy.Public)
	b.close()
	return s.json(http.StatusOK, b.out)
}

// servePackages lists an owner's packages that the caller may read, and says
// which of them the caller may write.
func (s *serving) servePackages() error {
	owner := s.t.Org
	if s.t.Op == opUserPackages {
		owner = s.t.User
	}
	var b builder
	b.open()
	for p, err := range s.hosted() {
		if err != nil {
			return err
		}
		if !strings.HasPrefix(p.Repository, owner+"/") {
			continue
		}
		may, err := s.may(s.Caller.User, p)
		if err != nil {
			return err
		}
		b.text(p.Name, cmp.Or(may, "read")) // it may be read, or would not be here
	}
	b.close()
	return s.json(http.StatusOK, b.out)
}
