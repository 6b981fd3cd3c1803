package auth

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/meerkat-zk/meerkat/proto"
)

// RemoteID is the id that every connection has from the start: its address as Java writes
// one. IPv6 has all its eight groups, and IPv4 mapped into IPv6 is IPv4
// (Inet6Address.getHostAddress).
func RemoteID(remote netip.Addr) proto.ID {
	remote = remote.Unmap()
	if !remote.Is6() {
		return proto.ID{Scheme: schemeIP, ID: remote.String()}
	}
	b := remote.As16()
	text := make([]byte, 0, len("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"))
	for i := 0; i < len(b); i += 2 {
		if i > 0 {
			text = append(text, ':')
		}
		text = strconv.AppendUint(text, uint64(b[i])<<8|uint64(b[i+1]), 16)
	}
	if zone := remote.Zone(); zone != "" {
		text = append(text, '%')
		text = append(text, zone...)
	}
	return proto.ID{Scheme: schemeIP, ID: string(text)}
}

// An ipBytes is an address as parsed from text: the first n bytes of b, n being 4 or 16.
type ipBytes struct {
	b [16]byte
	n int
}

// isValidIP tells whether an ACL may name this address or prefix.
func isValidIP(id string) bool {
	_, _, ok := parsePrefix(id)
	return ok
}

// matchesIP tells whether a caller's address lies in the prefix of an ACL.
func matchesIP(caller, want string) bool {
	prefix, bits, ok := parsePrefix(want)
	if !ok {
		return false
	}
	addr, ok := parseIP(caller)
	if !ok || addr.n != prefix.n {
		return false
	}
	whole := bits / 8
	if string(addr.b[:whole]) != string(prefix.b[:whole]) {
		return false
	}
	rest := bits % 8
	return rest == 0 || (addr.b[whole]^prefix.b[whole])>>(8-rest) == 0
}

// parsePrefix reads "address" or "address/bits". It and those below take what
// IPAuthenticationProvider takes, which is not quite what package netip does: "010" is ten and
// "+1" is one. They return no error, for one would be allocated on every read.
func parsePrefix(s string) (addr ipBytes, bits int, ok bool) {
	text, length, found := strings.Cut(s, "/")
	addr, ok = parseIP(text)
	if !ok || !found {
		return addr, addr.n * 8, ok
	}
	bits, ok = javaInt(length, 10)
	return addr, bits, ok && bits >= 0 && bits <= addr.n*8
}

func parseIP(s string) (ipBytes, bool) {
	if strings.IndexByte(s, ':') >= 0 {
		return parseIPv6(s)
	}
	return parseIPv4(s)
}

func parseIPv4(s string) (addr ipBytes, ok bool) {
	addr.n = 4
	for i := range 4 {
		part, rest, found := strings.Cut(s, ".")
		v, isInt := javaInt(part, 10)
		if !isInt || v < 0 || v > 255 || found != (i < 3) {
			return addr, false
		}
		addr.b[i] = byte(v)
		s = rest
	}
	return addr, true
}

func parseIPv6(s string) (addr ipBytes, ok bool) {
	addr.n = 16
	head, tail, gap := strings.Cut(s, "::")
	if !gap {
		n, ok := parseGroups(addr.b[:], head)
		return addr, ok && n == 8
	}
	var end [16]byte
	nHead, okHead := parseGroups(addr.b[:], head)
	nTail, okTail := parseGroups(end[:], tail)
	if !okHead || !okTail || nHead+nTail >= 8 {
		return addr, false
	}
	copy(addr.b[16-2*nTail:], end[:2*nTail])
	return addr, true
}

// parseGroups reads groups of hex digits with colons between them into b; "" has none.
func parseGroups(b []byte, s string) (groups int, ok bool) {
	for more := s != ""; more; groups++ {
		var group string
		group, s, more = strings.Cut(s, ":")
		v, isInt := javaInt(group, 16)
		if !isInt || len(group) > 4 || groups == 8 {
			return groups, false
		}
		b[2*groups], b[2*groups+1] = byte(v>>8), byte(v)
	}
	return groups, true
}

// javaInt is Integer.parseInt for ASCII: an optional sign and digits, within 32 bits.
func javaInt(s string, base int) (int, bool) {
	negative := s != "" && s[0] == '-'
	if negative || s != "" && s[0] == '+' {
		s = s[1:]
	}
	if s == "" || len(s) > 10 && strings.Trim(s[:len(s)-10], "0") != "" {
		return 0, false
	}
	v := 0
	for i := range len(s) {
		d := digitValue(s[i])
		if d >= base {
			return 0, false
		}
		v = v*base + d
	}
	if negative {
		v = -v
	}
	return v, v == int(int32(v))
}

func digitValue(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	default:
		return 1 << 10
	}
}
