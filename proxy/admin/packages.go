package admin

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"larder/cache"
	"larder/formats"
	"larder/policy"
	"larder/policy/purl"
)

// Bounds of a list of packages.
const (
	defaultPage = 100
	maxPage     = 1000
)

// Package is a hosted package as the API shows it.
type Package struct {
	Purl       string            `json:"purl"`
	Format     string            `json:"format"`
	Name       string            `json:"name"`
	Repository string            `json:"repository"`
	Visibility policy.Visibility `json:"visibility"`
	Created    time.Time         `json:"created_at"`
	Modified   time.Time         `json:"updated_at"`
	Tags       map[string]string `json:"tags,omitempty"`
	Versions   []Version         `json:"versions,omitempty"` // in order of publication
}

// Version is a hosted version as the API shows it.
type Version struct {
	Version   string    `json:"version"`
	Published time.Time `json:"published_at"`
	Publisher string    `json:"publisher"`
	Files     []File    `json:"files"`
}

// File is a file of a version.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

func describePackage(format string, p *formats.Package) Package {
	return Package{
		Purl: purl.Purl{Format: format, Name: p.Name}.String(), Format: format, Name: p.Name, Repository: p.Repository,
		Visibility: p.Visibility, Created: p.Created, Modified: p.Modified, Tags: p.Tags,
	}
}

func describeVersion(r *formats.Release) Version {
	v := Version{Version: r.Version, Published: r.Published, Publisher: r.Publisher, Files: []File{}}
	for _, f := range r.Files {
		v.Files = append(v.Files, File{Name: f.Name, Size: f.Blob.Size, SHA256: f.Blob.Digest.String()})
	}
	return v
}

// hide words all that must not be told apart from a missing thing the same.
func hide(err error) error {
	gone := errors.Is(err, policy.ErrHidden) || errors.Is(err, formats.ErrNotFound) || errors.Is(err, cache.ErrNotExist)
	if !gone || errors.Is(err, formats.ErrNoVersion) {
		return err
	}
	missing := formats.Refuse(formats.ErrNotFound, notFound)
	if errors.Is(err, policy.ErrHidden) {
		return errors.Join(missing, policy.ErrHidden) // for the audit log; clients see no difference
	}
	return missing
}

// registryOf returns the first registry of a format, as the caller may use it:
// all registries of one format share the hosted packages.
func (c *call) registryOf(format string) (Registry, formats.Registry, error) {
	for _, r := range c.Registries {
		if r.Mount.Format().Name() == format {
			return r, r.Mount.For(c.caller, "", c.visit.Origin+"/"+r.Mount.Name()+"/"), nil
		}
	}
	return Registry{}, nil, bad("there is no registry of the format %s on this server", format)
}

// PackageList is the answer of GET /api/v1/packages.
type PackageList struct {
	Packages []Package `json:"packages"`
	// Next is what after= takes for the next page; absent on the last one.
	Next string `json:"next,omitempty"`
}

// listPackages lists hosted packages by format and name. Query: format, prefix
// of the name, limit, after.
func (c *call) listPackages() (any, error) {
	q := c.r.URL.Query()
	limit := defaultPage
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxPage {
			return nil, bad("limit is a number from 1 to %d", maxPage)
		}
		limit = n
	}
	from, after, _ := strings.Cut(q.Get("after"), ":")
	list := PackageList{Packages: []Package{}}
	for _, format := range c.formats(q.Get("format")) {
		if format < from {
			continue
		}
		if format > from {
			after = ""
		}
		full, err := c.page(&list, format, q.Get("prefix"), after, limit)
		if err != nil || full {
			return list, err
		}
	}
	return list, nil
}

// formats lists those that are served, in order; only restricts it to one.
func (c *call) formats(only string) []string {
	var list []string
	for _, r := range c.Registries {
		if f := r.Mount.Format().Name(); only == "" || f == only {
			list = append(list, f)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// page adds packages of one format until the list is full.
func (c *call) page(list *PackageList, format, prefix, after string, limit int) (full bool, err error) {
	_, reg, err := c.registryOf(format)
	if err != nil {
		return false, err
	}
	if after == "" && prefix != "" {
		after = prefix[:len(prefix)-1] // which comes before all that begin with prefix
	}
	for p, err := range reg.Packages(c.r.Context(), after) {
		switch {
		case err != nil:
			return false, err
		case !strings.HasPrefix(p.Name, prefix):
			if p.Name > prefix {
				return false, nil
			}
			continue
		case len(list.Packages) == limit:
			last := list.Packages[limit-1]
			list.Next = last.Format + ":" + last.Name
			return true, nil
		}
		list.Packages = append(list.Packages, describePackage(format, p))
	}
	return false, nil
}

func (c *call) purl() (purl.Purl, error) {
	p, err := purl.Parse(c.r.URL.Query().Get("purl"))
	if err != nil {
		return p, bad("%s", err)
	}
	return p, nil
}

// showPackage shows a hosted package with its versions, or with the one named.
func (c *call) showPackage() (any, error) {
	which, err := c.purl()
	if err != nil {
		return nil, err
	}
	_, reg, err := c.registryOf(which.Format)
	if err != nil {
		return nil, err
	}
	p, err := reg.Package(c.r.Context(), which.Name)
	if err != nil {
		return nil, hide(err)
	}
	shown := describePackage(which.Format, p)
	for r, err := range reg.Releases(c.r.Context(), which.Name) {
		if err != nil {
			return nil, hide(err)
		}
		if which.Version == "" || which.Version == r.Version {
			shown.Versions = append(shown.Versions, describeVersion(r))
		}
	}
	if which.Version != "" && len(shown.Versions) == 0 {
		return nil, formats.Refuse(formats.ErrNoVersion, which.Name+" has no version "+which.Version)
	}
	return shown, nil
}
