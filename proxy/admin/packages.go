package admin

import (
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"larder/cache"
	"larder/formats"
	"larder/policy"
	"larder/policy/purl"
)

// Package is a hosted package as the API shows it.
type Package struct {
	Purl       string            `json:"purl" doc:"Package URL without a version."`
	Format     string            `json:"format" doc:"Format, such as npm."`
	Name       string            `json:"name" doc:"Name as the format writes it."`
	Repository string            `json:"repository" doc:"Where it is, OWNER/NAME."`
	Visibility policy.Visibility `json:"visibility" doc:"Who may read it without a role."`
	Inherit    bool              `json:"inherit_access" doc:"The grants of the repository count, and not grants of its own."`
	Created    time.Time         `json:"created_at" doc:"When it was first published."`
	Modified   time.Time         `json:"updated_at" doc:"When it was changed last."`
	Tags       map[string]string `json:"tags,omitempty" doc:"Versions by tag; of containers the first 1000, and absent in lists."`
	Versions   []Version         `json:"versions,omitempty" doc:"In order of publication; absent in lists."`
}

// Version is a hosted version as the API shows it.
type Version struct {
	Version   string    `json:"version" doc:"Version as the format writes it."`
	Published time.Time `json:"published_at" doc:"When it was published."`
	Publisher string    `json:"publisher" doc:"User who published it."`
	Files     []File    `json:"files" doc:"What it consists of."`
}

// File is a file of a version.
type File struct {
	Name   string `json:"name" doc:"Name of the file."`
	Size   int64  `json:"size" doc:"Bytes."`
	SHA256 string `json:"sha256" min:"64" max:"64" doc:"Digest, in hexadecimal."`
}

func describePackage(format string, p *formats.Package) Package {
	return Package{
		Purl: purl.Purl{Format: format, Name: p.Name}.String(), Format: format, Name: p.Name, Repository: p.Repository,
		Visibility: p.Visibility, Inherit: p.Access == "", Created: p.Created, Modified: p.Modified, Tags: p.Tags,
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
			return r, r.Mount.For(c.caller, "", r.url(c.visit.Origin)), nil
		}
	}
	return Registry{}, nil, bad("there is no registry of the format %s on this server", format)
}

// PackageList is the answer of GET /api/v1/packages.
type PackageList struct {
	Packages []Package `json:"packages" doc:"By format and name."`
	Page
}

type packagesQuery struct {
	Format string `query:"format" doc:"Only packages of this format."`
	Prefix string `query:"prefix" doc:"Only packages whose names begin so."`
	paging
}

// listPackages lists hosted packages by format and name.
func (c *call) listPackages(q packagesQuery, _ none) (PackageList, error) {
	packages, next, err := pageOf(c.hosted(q.Format, q.Prefix, q.After), q.Limit, func(p Package) string { return p.Format + ":" + p.Name })
	return PackageList{packages, Page{next}}, err
}

// hosted yields the packages of one format, or with "" of all, whose names
// begin with prefix.
func (c *call) hosted(only, prefix, after string) iter.Seq2[Package, error] {
	from, name, _ := strings.Cut(after, ":")
	return func(yield func(Package, error) bool) {
		for _, format := range c.formats(only) {
			if format < from {
				continue
			}
			if format > from {
				name = ""
			}
			for p, err := range c.hostedOf(format, prefix, name) {
				if !yield(p, err) || err != nil {
					return
				}
			}
		}
	}
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

// hostedOf yields the packages of one format.
func (c *call) hostedOf(format, prefix, after string) iter.Seq2[Package, error] {
	return func(yield func(Package, error) bool) {
		_, reg, err := c.registryOf(format)
		if err != nil {
			yield(Package{}, err)
			return
		}
		if after == "" && prefix != "" {
			after = prefix[:len(prefix)-1] // which comes before all that begin with prefix
		}
		for p, err := range reg.Packages(c.r.Context(), after) {
			switch {
			case err != nil:
				yield(Package{}, err)
				return
			case strings.HasPrefix(p.Name, prefix):
				if !yield(describePackage(format, p), nil) {
					return
				}
			case p.Name > prefix:
				return
			}
		}
	}
}

func (c *call) purl() (purl.Purl, error) {
	p, err := purl.Parse(c.r.URL.Query().Get("purl"))
	if err != nil {
		return p, bad("%s", err)
	}
	return p, nil
}

// purlQuery names a package, or a version, for calls that are about one.
type purlQuery struct {
	Purl string `query:"purl" required:"true" max:"2048" doc:"Package URL, such as pkg:npm/%40acme/tool, or pkg:npm/%40acme/tool@1.2.3 for one version."`
}

// showPackage shows a hosted package with its versions, or with the one named.
func (c *call) showPackage(purlQuery, none) (Package, error) {
	which, err := c.purl()
	if err != nil {
		return Package{}, err
	}
	_, reg, err := c.registryOf(which.Format)
	if err != nil {
		return Package{}, err
	}
	p, err := reg.Package(c.r.Context(), which.Name)
	if err != nil {
		return Package{}, hide(err)
	}
	shown := describePackage(which.Format, p)
	if shown.Tags, err = c.tagsOf(reg, p); err != nil {
		return Package{}, hide(err)
	}
	for r, err := range reg.Releases(c.r.Context(), which.Name) {
		if err != nil {
			return Package{}, hide(err)
		}
		if which.Version == "" || which.Version == r.Version {
			shown.Versions = append(shown.Versions, describeVersion(r))
		}
	}
	if which.Version != "" && len(shown.Versions) == 0 {
		return Package{}, formats.Refuse(formats.ErrNoVersion, which.Name+" has no version "+which.Version)
	}
	return shown, nil
}

// mostTags bounds what one answer holds of tags that are rows of their own.
const mostTags = 1000

// tagsOf returns the tags of a package, wherever its format keeps them.
func (c *call) tagsOf(reg formats.Registry, p *formats.Package) (map[string]string, error) {
	if len(p.Tags) > 0 {
		return p.Tags, nil
	}
	tags := map[string]string{}
	for tag, err := range reg.Tags(c.r.Context(), p.Name, "") {
		if err != nil {
			return nil, err
		}
		if tags[tag.Name] = tag.Version; len(tags) == mostTags {
			break
		}
	}
	return tags, nil
}
