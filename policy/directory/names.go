package directory

import (
	"regexp"
	"slices"
	"strings"
)

var (
	accountName    = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)
	repositoryName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,99}$`)
)

// reservedNames begin paths of their own (design.md section 3).
func reservedNames() []string {
	return []string{"v2", "r", "api", "ui", "healthz", "readyz", "metrics", "mirror"}
}

func checkAccountName(name string) error {
	if !accountName.MatchString(name) {
		return fail(ErrInvalid, "the name %.80q cannot be an owner: use up to 64 of a-z, 0-9 and dashes, beginning with a letter or digit", name)
	}
	if slices.Contains(reservedNames(), name) {
		return fail(ErrInvalid, "the name %s is reserved: choose another one", name)
	}
	return nil
}

// splitRepository validates owner/name and takes it apart.
func splitRepository(full string) (owner, name string, err error) {
	owner, name, ok := strings.Cut(full, "/")
	if !ok || !repositoryName.MatchString(name) {
		return "", "", fail(ErrInvalid, "%.170q is no repository: write owner/name, the name with up to 100 of a-z, 0-9, dot, dash and underscore", full)
	}
	return owner, name, checkAccountName(owner)
}
