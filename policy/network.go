package policy

import "net/netip"

// Network is the unit by which clients are counted: an address, or what one
// IPv6 customer has. Clients without an address are one unit, the zero Prefix.
func Network(a netip.Addr) netip.Prefix {
	a = a.Unmap()
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
