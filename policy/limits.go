package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// maxLimit bounds each list of a token's limits.
const maxLimit = 100

// Check validates the limits as they come from a caller.
func (l Limits) Check() error {
	for _, list := range []struct {
		name  string
		items []string
		check func(string) error
	}{
		{"owners", l.Owners, checkWord}, {"repositories", l.Repositories, checkRepository},
		{"packages", l.Packages, CheckPattern}, {"formats", l.Formats, checkWord}, {"cidrs", l.CIDRs, checkCIDR},
	} {
		if len(list.items) > maxLimit {
			return fmt.Errorf("token limit %s: at most %d entries, not %d", list.name, maxLimit, len(list.items))
		}
		for _, item := range list.items {
			if err := list.check(item); err != nil {
				return fmt.Errorf("token limit %s: %w", list.name, err)
			}
		}
	}
	return nil
}

func checkWord(s string) error {
	if s == "" || len(s) > 100 || strings.ContainsFunc(s, notName) || strings.ContainsAny(s, "/*") {
		return fmt.Errorf("%.40q is no name", s)
	}
	return nil
}

func checkRepository(s string) error {
	owner, name, ok := strings.Cut(s, "/")
	if !ok || checkWord(owner) != nil || checkWord(name) != nil {
		return fmt.Errorf("%.80q is not of the form owner/name", s)
	}
	return nil
}

func checkCIDR(s string) error {
	_, err := parseCIDR(s)
	return err
}

// parseCIDR reads a prefix or a single address.
func parseCIDR(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%.60q is no address and no prefix such as 192.0.2.0/24", s)
	}
	return p.Masked(), nil
}

// Address reports whether a request from this address may use the token. An
// address that is not known is inside no limit.
func (l Limits) Address(a netip.Addr) bool {
	if len(l.CIDRs) == 0 {
		return true
	}
	a = a.Unmap().WithZone("")
	for _, c := range l.CIDRs {
		if p, err := parseCIDR(c); err == nil && p.Contains(a) {
			return true
		}
	}
	return false
}

// resources reports whether anything but the address is limited.
func (l Limits) resources() bool {
	return len(l.Owners)+len(l.Repositories)+len(l.Packages)+len(l.Formats) > 0
}

// cover reports whether the limits leave res to the token. It allocates nothing.
func (l Limits) cover(res Resource) bool {
	owner, _, _ := strings.Cut(res.Repository, "/")
	return inside(l.Owners, owner) && inside(l.Repositories, res.Repository) &&
		inside(l.Formats, res.Format) && (len(l.Packages) == 0 || l.coverPackage(res.Package))
}

func (l Limits) coverPackage(name string) bool {
	for _, p := range l.Packages {
		if name != "" && Match(p, name) {
			return true
		}
	}
	return false
}

func inside(list []string, item string) bool {
	return len(list) == 0 || slices.Contains(list, item)
}

// Narrow returns the limits of a token that is made with a token limited by l
// and asked to be limited by want: what want leaves open keeps the limits of l.
// The error names the first entry of want that would go beyond l.
func (l Limits) Narrow(want Limits) (Limits, error) {
	var out Limits
	for _, list := range []struct {
		name       string
		held, want []string
		out        *[]string
		within     func(inner, outer string) bool
	}{
		{"owners", l.Owners, want.Owners, &out.Owners, equal},
		{"repositories", l.Repositories, want.Repositories, &out.Repositories, equal},
		{"packages", l.Packages, want.Packages, &out.Packages, within},
		{"formats", l.Formats, want.Formats, &out.Formats, equal},
		{"cidrs", l.CIDRs, want.CIDRs, &out.CIDRs, cidrWithin},
	} {
		*list.out = slices.Clone(list.want)
		if len(list.want) == 0 {
			*list.out = slices.Clone(list.held)
		}
		for _, w := range list.want {
			covered := func(h string) bool { return list.within(w, h) }
			if len(list.held) > 0 && !slices.ContainsFunc(list.held, covered) {
				return Limits{}, fmt.Errorf("the token in use is limited to the %s %s: it cannot give %s",
					list.name, strings.Join(list.held, ", "), w)
			}
		}
	}
	return out, nil
}

// Covers reports whether a token limited by other can do nothing that one
// limited by l cannot. It may say no where the answer is yes.
func (l Limits) Covers(other Limits) bool {
	both, err := l.Narrow(other)
	// What other leaves open and l does not has come in from l.
	return err == nil && both.entries() == other.entries()
}

func (l Limits) entries() int {
	return len(l.Owners) + len(l.Repositories) + len(l.Packages) + len(l.Formats) + len(l.CIDRs)
}

func equal(a, b string) bool { return a == b }

func cidrWithin(inner, outer string) bool {
	i, errInner := parseCIDR(inner)
	o, errOuter := parseCIDR(outer)
	return errInner == nil && errOuter == nil && o.Bits() <= i.Bits() && o.Contains(i.Addr())
}
