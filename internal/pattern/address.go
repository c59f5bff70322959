package pattern

import (
	"net/netip"
	"strings"
)

// parseAddress reads an IP address in the spellings that event-ruler takes for
// one: dotted decimal with leading zeros, and IPv6 with groups of any case and
// length of leading zeros, without embedded IPv4 and zones. An IPv4-mapped
// address is the IPv4 address.
func parseAddress(s string) (netip.Addr, bool) {
	if s == "" || len(s) > 128 {
		return netip.Addr{}, false
	}
	if strings.IndexByte(s, ':') >= 0 {
		return parseIPv6(s)
	}
	return parseIPv4(s)
}

func parseIPv4(s string) (netip.Addr, bool) {
	if len(s) > 15 || s[0] < '0' || s[0] > '9' {
		return netip.Addr{}, false
	}
	var out [4]byte
	for n := range 4 {
		part, rest, more := strings.Cut(s, ".")
		if more != (n < 3) || part == "" {
			return netip.Addr{}, false
		}
		v := 0
		for i := range len(part) {
			if part[i] < '0' || part[i] > '9' {
				return netip.Addr{}, false
			}
			if v = v*10 + int(part[i]-'0'); v > 255 {
				return netip.Addr{}, false
			}
		}
		out[n], s = byte(v), rest
	}
	return netip.AddrFrom4(out), true
}

func parseIPv6(s string) (netip.Addr, bool) {
	long := false
	group := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == ':':
			group = 0
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f', c >= 'A' && c <= 'F':
			group++
			long = long || group > 4
		default:
			return netip.Addr{}, false
		}
	}
	if long {
		s = shortGroups(s)
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}

// shortGroups drops leading zeros beyond four digits, which netip refuses.
func shortGroups(s string) string {
	groups := strings.Split(s, ":")
	for i, g := range groups {
		for len(g) > 4 && g[0] == '0' {
			g = g[1:]
		}
		groups[i] = g
	}
	return strings.Join(groups, ":")
}
