package npm

import (
	"cmp"
	"regexp"
	"strings"

	"github.com/Masterminds/semver/v3"

	"larder/formats"
)

const (
	maxVersion = 256       // bytes; node-semver's limit
	maxNumber  = 1<<53 - 1 // the greatest major, minor or patch that JavaScript holds exactly
	xr         = `(0|[1-9][0-9]*|[xX*])`
	partial    = `[v=\s]*` + xr + `(\.` + xr + `(\.` + xr + `(-?[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?)?)?`
)

// rangePart is one alternative of a version range as node-semver reads it,
// white space inside left out: tags cannot hold any.
var rangePart = regexp.MustCompile(`^(([<>]?=?|~>?|\^)` + partial + `)?$`)

// isRange reports whether s reads as a version range (1.x, v1, ^1.2, *, "").
func isRange(s string) bool {
	for part := range strings.SplitSeq(s, "||") {
		if !rangePart.MatchString(part) {
			return false
		}
	}
	return true
}

// parseVersion reads a strict semantic version within node-semver's limits.
func parseVersion(s string) (*semver.Version, bool) {
	if len(s) > maxVersion {
		return nil, false
	}
	v, err := semver.StrictNewVersion(s)
	if err != nil || v.Major() > maxNumber || v.Minor() > maxNumber || v.Patch() > maxNumber {
		return nil, false
	}
	return v, true
}

// checkNewVersion returns nil for a version that may be published. Build
// metadata is refused: versions that differ only in it are equal to clients.
func checkNewVersion(s string) error {
	v, ok := parseVersion(s)
	switch {
	case !ok:
		return formats.Refuse(formats.ErrBadRequest, "version "+quoteShort(s)+" is not a valid semantic version")
	case v.Metadata() != "":
		return formats.Refuse(formats.ErrBadRequest, "version "+quoteShort(s)+" has build metadata (+"+v.Metadata()+"); publish it without")
	}
	return nil
}

// compareVersions orders by semantic version. What is no version sorts before
// all that are, and bytewise among itself.
func compareVersions(a, b string) int {
	va, _ := parseVersion(a)
	vb, _ := parseVersion(b)
	return ranked{a, va}.compare(ranked{b, vb})
}

// isStable reports whether s is a version without a prerelease part.
func isStable(s string) bool {
	v, ok := parseVersion(s)
	return ok && v.Prerelease() == ""
}

// prereleaseID returns the first identifier of the prerelease part: "beta" of
// 1.0.0-beta.4, "" of a stable version.
func prereleaseID(s string) string {
	v, ok := parseVersion(s)
	if !ok {
		return ""
	}
	id, _, _ := strings.Cut(v.Prerelease(), ".")
	return id
}

// Latest returns the version that the tag latest should name when nobody set
// it: the highest stable one, else the highest; "" of no versions.
func Latest(versions []string) string {
	stable, any := "", ""
	for _, v := range versions {
		if any == "" || compareVersions(v, any) > 0 {
			any = v
		}
		if isStable(v) && (stable == "" || compareVersions(v, stable) > 0) {
			stable = v
		}
	}
	return cmp.Or(stable, any)
}
