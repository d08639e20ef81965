package npm

import (
	"cmp"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// fact is what the tags need to know of a version.
type fact struct {
	hidden     bool // the view does not keep it
	deprecated bool
}

// facts are the versions of a packument in the order of the document.
type facts struct {
	order  []string
	of     map[string]fact
	ranked map[string][]ranked // by prerelease identifier, ascending; made on demand
}

func (f *facts) add(version string, is fact) {
	if f.of == nil {
		f.of = map[string]fact{}
	}
	f.order = append(f.order, version)
	f.of[version] = is
}

// visible reports whether the version is in the rendered document.
func (f *facts) visible(version string) bool {
	is, ok := f.of[version]
	return ok && !is.hidden
}

// tag is one dist-tag.
type tag struct{ name, version string }

// repair returns the dist-tags of a rendered document: every one of raw whose
// version is visible as it is, the others moved to what remains or dropped, and
// latest added if any version is visible. A tag that names a version which was
// never there is dropped, latest excepted.
func (f *facts) repair(raw []byte) []tag {
	var tags []tag
	latest := ""
	for m := range members(raw) {
		name := string(m.name)
		version, ok := text(m.value)
		if !ok {
			continue
		}
		if name == "latest" {
			latest = version
		}
		if f.visible(version) {
			tags = append(tags, tag{name, version})
		} else if name != "latest" && f.of[version].hidden {
			if v := f.before(version); v != "" {
				tags = append(tags, tag{name, v})
			}
		}
	}
	if !f.visible(latest) {
		if v := f.latest(latest); v != "" {
			tags = append(tags, tag{"latest", v})
		}
	}
	return tags
}

// latest returns what latest should name in place of a version that is gone:
// the highest stable, undeprecated version not above it, else the highest not
// above it. Without such a bound, or with nothing below it, all versions count.
func (f *facts) latest(bound string) string {
	var good, stable, below, all []string
	_, bounded := parseVersion(bound)
	for _, v := range f.order {
		is := f.of[v]
		if is.hidden {
			continue
		}
		all = append(all, v)
		if bounded && compareVersions(v, bound) > 0 {
			continue
		}
		below = append(below, v)
		if isStable(v) {
			stable = append(stable, v)
			if !is.deprecated {
				good = append(good, v)
			}
		}
	}
	for _, set := range [][]string{good, stable, below, all} {
		if len(set) > 0 {
			return Latest(set)
		}
	}
	return ""
}

// before returns the highest visible version below bound with the same
// prerelease identifier, "" if there is none.
func (f *facts) before(bound string) string {
	if f.ranked == nil {
		f.rank()
	}
	group := f.ranked[prereleaseID(bound)]
	b := ranked{version: bound}
	b.parsed, _ = parseVersion(bound)
	i, _ := slices.BinarySearchFunc(group, b, ranked.compare)
	if i == 0 {
		return ""
	}
	return group[i-1].version
}

// ranked is a version that was parsed once, to be compared often: documents
// with thousands of versions and hundreds of tags exist.
type ranked struct {
	version string
	parsed  *semver.Version // nil: no semantic version, sorts first
}

func (r ranked) compare(o ranked) int {
	switch {
	case r.parsed != nil && o.parsed != nil:
		return cmp.Or(r.parsed.Compare(o.parsed), strings.Compare(r.version, o.version))
	case r.parsed != nil:
		return 1
	case o.parsed != nil:
		return -1
	}
	return strings.Compare(r.version, o.version)
}

// rank sorts the visible versions of each prerelease identifier.
func (f *facts) rank() {
	f.ranked = map[string][]ranked{}
	for _, v := range f.order {
		if f.of[v].hidden {
			continue
		}
		parsed, _ := parseVersion(v)
		id := prereleaseID(v)
		f.ranked[id] = append(f.ranked[id], ranked{v, parsed})
	}
	for _, group := range f.ranked {
		slices.SortFunc(group, ranked.compare)
	}
}
