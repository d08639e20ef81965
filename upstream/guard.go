package upstream

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
)

// guard judges resolved addresses, at the moment of dialling: a name that
// resolves to something else the second time gains nothing.
type guard struct {
	metadata []netip.Addr   // cloud metadata services: for nobody
	special  []netip.Prefix // IPv4 and global IPv6 blocks that are not the public Internet
	global   netip.Prefix   // where all public IPv6 addresses are
	embeds   []embed        // IPv6 blocks that carry an IPv4 address
}

// embed says where in an IPv6 address of a block an IPv4 address begins.
type embed struct {
	block  netip.Prefix
	offset int // bytes
	invert bool
}

// newGuard holds the blocks of the IANA special-purpose address registries
// (RFC 6890 and updates) and the metadata addresses of the large clouds.
func newGuard() *guard {
	g := &guard{global: netip.MustParsePrefix("2000::/3")}
	for _, s := range []string{
		"169.254.169.254", "169.254.170.2", "169.254.170.23", "169.254.169.253", "169.254.169.123",
		"192.0.0.192", "100.100.100.200", "168.63.129.16",
		"fd00:ec2::254", "fd00:ec2::253", "fd00:ec2::23", "fd20:ce::254", "fe80::a9fe:a9fe",
	} {
		g.metadata = append(g.metadata, netip.MustParseAddr(s))
	}
	for _, s := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "168.63.129.16/32", "169.254.0.0/16",
		"172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24",
		"192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
		"224.0.0.0/4", "240.0.0.0/4",
		"2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
	} {
		g.special = append(g.special, netip.MustParsePrefix(s))
	}
	g.embeds = []embed{
		{block: netip.MustParsePrefix("::/96"), offset: 12},                   // IPv4-compatible
		{block: netip.MustParsePrefix("::ffff:0:0:0/96"), offset: 12},         // IPv4-translated
		{block: netip.MustParsePrefix("64:ff9b::/96"), offset: 12},            // NAT64
		{block: netip.MustParsePrefix("64:ff9b:1::/48"), offset: 12},          // local NAT64
		{block: netip.MustParsePrefix("2002::/16"), offset: 2},                // 6to4
		{block: netip.MustParsePrefix("2001::/32"), offset: 12, invert: true}, // Teredo
		{block: netip.MustParsePrefix("2001::/32"), offset: 4},                // Teredo's server
	}
	return g
}

// refusal is the guard's no. It wraps ErrRefused.
type refusal struct {
	addr netip.Addr
	why  string
}

func (r *refusal) Error() string { return fmt.Sprintf("%s is %s", r.addr, r.why) }
func (r *refusal) Unwrap() error { return ErrRefused }

// named judges the address of a host that the configuration names.
func (g *guard) named(a netip.Addr) error {
	if a.Zone() != "" {
		return &refusal{a, "an address with a zone"}
	}
	a = a.Unmap()
	switch {
	case a.IsUnspecified():
		return &refusal{a, "the unspecified address"}
	case a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return &refusal{a, "a multicast or broadcast address"}
	}
	for _, inner := range append(g.inner(a), a) {
		for _, m := range g.metadata {
			if inner == m {
				return &refusal{a, "the address of a metadata service"}
			}
		}
	}
	return nil
}

// public judges the address of any other host: only the public Internet.
func (g *guard) public(a netip.Addr) error {
	if err := g.named(a); err != nil {
		return err
	}
	a = a.Unmap()
	if a.Is6() && !g.global.Contains(a) {
		return &refusal{a, "not a public address"}
	}
	for _, p := range g.special {
		if p.Contains(a) {
			return &refusal{a, "not a public address"}
		}
	}
	return nil
}

// inner returns the IPv4 addresses that an IPv6 address may lead to.
func (g *guard) inner(a netip.Addr) []netip.Addr {
	var found []netip.Addr
	if !a.Is6() {
		return nil
	}
	raw := a.As16()
	for _, e := range g.embeds {
		if !e.block.Contains(a) {
			continue
		}
		v4 := [4]byte(raw[e.offset : e.offset+4])
		if e.invert {
			for i := range v4 {
				v4[i] = ^v4[i]
			}
		}
		found = append(found, netip.AddrFrom4(v4))
	}
	return found
}

// control makes a judge of addresses into a net.Dialer's ControlContext.
func control(judge func(netip.Addr) error) func(context.Context, string, string, syscall.RawConn) error {
	return func(_ context.Context, network, address string, _ syscall.RawConn) error {
		if !strings.HasPrefix(network, "tcp") {
			return fmt.Errorf("network %s: %w", network, ErrRefused)
		}
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("address %s: %w", address, ErrRefused)
		}
		return judge(ap.Addr())
	}
}
