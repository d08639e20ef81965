package purl

import (
	"fmt"
	"slices"
	"strings"

	"larder/policy"
)

// maxBounds bounds the comparators of one pattern.
const maxBounds = 8

// versions is the part of a pattern behind the @. At most one field is set;
// none covers every version.
type versions struct {
	exact  string
	glob   string
	bounds []bound
}

// bound is one comparator.
type bound struct {
	op      string // > >= < <= =
	version string
}

// parseVersions reads the part behind the @, decoded and folded; "" is every
// version.
func parseVersions(k kind, text string) (versions, error) {
	if err := checkVersions(text); err != nil {
		return versions{}, err
	}
	switch {
	case text == "" || text == "*":
		return versions{}, nil
	case strings.ContainsAny(text, "<>=,"):
		return parseBounds(k, text)
	case strings.Contains(text, "*"):
		if strings.Contains(text, "**") || policy.CheckPattern(text) != nil {
			return versions{}, fmt.Errorf("the version %q holds too many *: write it as 1.*", text)
		}
		return versions{glob: text}, nil
	}
	return versions{exact: text}, k.checkVersion(text)
}

// checkVersions refuses what other range languages have and this one has not.
func checkVersions(text string) error {
	const write = "write comparators such as >=1.2.0,<2.0.0"
	switch {
	case strings.HasPrefix(text, "^") || strings.HasPrefix(text, "~"):
		return fmt.Errorf("the version %q begins with %s, which is not taken here: %s, or a glob such as 1.*", text, text[:1], write)
	case strings.ContainsAny(text, "[]()"):
		return fmt.Errorf("the version %q holds brackets, which are not taken here: %s", text, write)
	case strings.Contains(text, "|"):
		return fmt.Errorf("the version %q holds an alternative: write one pattern for each", text)
	case strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune("@?#%\\/'\"{}", c) }):
		return fmt.Errorf("the version %q holds a blank or a character that no version has: %s", text, write)
	}
	return nil
}

// checkVersion refuses a text that looks like a version and is none, because
// it would silently cover nothing.
func (k kind) checkVersion(text string) error {
	if k.word != "npm" && k.word != "cargo" {
		return nil
	}
	core, _, _ := strings.Cut(text, "+")
	core, _, _ = strings.Cut(core, "-")
	parts := strings.Split(core, ".")
	n := slices.IndexFunc(parts, func(s string) bool { return s == "" || strings.Trim(s, "0123456789") != "" })
	if n < 0 {
		n = len(parts)
	}
	switch {
	case n == 3 && len(parts) == 3:
		return nil
	case n > 0 && len(parts) <= 3:
		return fmt.Errorf("%q is no whole %s version: write all three numbers, or the glob %s.*", text, k.format, strings.Join(parts[:n], "."))
	}
	return fmt.Errorf("%q is no %s version: write it as 1.2.3; tags are not versions", text, k.format)
}

func parseBounds(k kind, text string) (versions, error) {
	var v versions
	for part := range strings.SplitSeq(text, ",") {
		version := strings.TrimLeft(part, "<>=")
		op := part[:len(part)-len(version)]
		switch {
		case !slices.Contains([]string{">", ">=", "<", "<=", "="}, op):
			return versions{}, fmt.Errorf("%q is no comparator: write >, >=, <, <= or = and a version", part)
		case version == "" || strings.ContainsAny(version, "<>=*"):
			return versions{}, fmt.Errorf("%q is no comparator: behind %s one version must stand", part, op)
		case k.checkVersion(version) != nil:
			return versions{}, k.checkVersion(version)
		}
		v.bounds = append(v.bounds, bound{op, version})
	}
	if len(v.bounds) > maxBounds {
		return versions{}, fmt.Errorf("%d comparators: at most %d are taken", len(v.bounds), maxBounds)
	}
	return v, nil
}

func (v versions) every() bool { return v.exact == "" && v.glob == "" && len(v.bounds) == 0 }

// match: equal decides whether a version is the exact one, nil where only its
// text does. Without an order nothing is within bounds.
func (v versions) match(version string, equal, compare func(a, b string) int) bool {
	switch {
	case v.exact != "":
		return version == v.exact || equal != nil && equal(version, v.exact) == 0
	case v.glob != "":
		return policy.Match(v.glob, version)
	}
	for _, b := range v.bounds {
		if compare == nil || !b.holds(compare(version, b.version)) {
			return false
		}
	}
	return true
}

func (b bound) holds(order int) bool {
	switch b.op {
	case ">":
		return order > 0
	case ">=":
		return order >= 0
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	}
	return order == 0
}

// checkOrder looks for two bounds that no version is within.
func (v versions) checkOrder(k kind, compare func(a, b string) int) error {
	if len(v.bounds) > 0 && compare == nil {
		return fmt.Errorf("versions of %s have no order here: write them one by one, or as a glob such as 1.*", k.format)
	}
	for _, low := range v.bounds {
		for _, high := range v.bounds {
			if low.op[0] == '<' || high.op[0] == '>' {
				continue
			}
			order := compare(low.version, high.version)
			if order > 0 || order == 0 && (low.op == ">" || high.op == "<") {
				return fmt.Errorf("no version is both %s%s and %s%s", low.op, low.version, high.op, high.version)
			}
		}
	}
	return nil
}

// suffix writes the part with its @; bounds in a fixed order.
func (v versions) suffix() string {
	switch {
	case v.every():
		return ""
	case v.exact != "":
		return "@" + v.exact
	case v.glob != "":
		return "@" + v.glob
	}
	var texts []string
	for _, b := range v.bounds {
		texts = append(texts, b.op+b.version)
	}
	slices.Sort(texts)
	return "@" + strings.Join(slices.Compact(texts), ",")
}
