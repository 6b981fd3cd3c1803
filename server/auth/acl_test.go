package auth

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/meerkat-zk/meerkat/proto"
)

func id(scheme, id string) proto.ID { return proto.ID{Scheme: scheme, ID: id} }

func entry(perms int32, scheme, who string) proto.ACL {
	return proto.ACL{Perms: perms, ID: id(scheme, who)}
}

func TestAllows(t *testing.T) {
	ip := id("ip", "10.1.2.3")
	digest := id("digest", "u:hash")
	for _, c := range []struct {
		name string
		acl  []proto.ACL
		perm int32
		ids  []proto.ID
		want bool
	}{
		{"nil is open", nil, proto.PermWrite, nil, true},
		{"empty is open", []proto.ACL{}, proto.PermWrite, nil, true},
		{"world", proto.OpenACL, proto.PermAdmin, nil, true},
		{"world without the bit", []proto.ACL{entry(1, "world", "anyone")}, proto.PermWrite,
			[]proto.ID{ip}, false},
		{"world other than anyone", []proto.ACL{entry(31, "world", "x")}, proto.PermRead,
			[]proto.ID{id("world", "x")}, false},
		{"one of two bits", []proto.ACL{entry(proto.PermAdmin, "world", "anyone")},
			proto.PermRead | proto.PermAdmin, nil, true},
		{"no bit at all", []proto.ACL{entry(0, "world", "anyone")}, proto.PermRead, nil, false},
		{"super passes all", []proto.ACL{entry(0, "digest", "a:b")}, proto.PermDelete,
			[]proto.ID{ip, id("super", "")}, true},
		{"digest equal", []proto.ACL{entry(31, "digest", "u:hash")}, proto.PermCreate,
			[]proto.ID{ip, digest}, true},
		{"digest of another", []proto.ACL{entry(31, "digest", "u:other")}, proto.PermCreate,
			[]proto.ID{ip, digest}, false},
		{"scheme must agree", []proto.ACL{entry(31, "sasl", "u:hash")}, proto.PermCreate,
			[]proto.ID{digest}, false},
		{"second entry grants", []proto.ACL{entry(1, "world", "anyone"),
			entry(2, "digest", "u:hash")}, proto.PermWrite, []proto.ID{digest}, true},
		{"entry without the bit does not deny", []proto.ACL{entry(1, "digest", "u:hash"),
			entry(31, "world", "anyone")}, proto.PermWrite, []proto.ID{digest}, true},
		{"ip prefix", []proto.ACL{entry(31, "ip", "10.0.0.0/8")}, proto.PermRead,
			[]proto.ID{ip}, true},
		{"sasl equal", []proto.ACL{entry(31, "sasl", "u@R")}, proto.PermRead,
			[]proto.ID{id("sasl", "u@R")}, true},
		{"sasl super", []proto.ACL{entry(31, "sasl", "u@R")}, proto.PermRead,
			[]proto.ID{id("sasl", "super")}, true},
		{"ensemble is no identity", []proto.ACL{entry(31, "ensemble", "e")}, proto.PermRead,
			[]proto.ID{id("ensemble", "e")}, false},
	} {
		if got := Allows(c.acl, c.perm, c.ids); got != c.want {
			t.Errorf("%s: got %v", c.name, got)
		}
	}
}

func TestAllowsDoesNotAllocate(t *testing.T) {
	acl := []proto.ACL{
		entry(31, "digest", "other:hash"), entry(31, "ip", "10.0.0.0/8"),
		entry(31, "ip", "fe80::/10"), entry(31, "ip", "not an address"),
		entry(31, "sasl", "a@B"), entry(31, "digest", "u:hash"),
	}
	ids := []proto.ID{id("ip", "192.168.1.1"), id("ip", "0:0:0:0:0:0:0:1"),
		id("digest", "u:hash")}
	n := testing.AllocsPerRun(100, func() {
		if !Allows(acl, proto.PermRead, ids) {
			t.Fatal("denied")
		}
	})
	if n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func TestMask(t *testing.T) {
	acl := []proto.ACL{
		entry(1, "world", "anyone"), entry(31, "digest", "u:secret"),
		entry(31, "digest", "u:two\nlines"), entry(31, "digest", "nocolon"),
		entry(16, "ip", "0:0:0:0:0:0:0:1"),
	}
	before := slices.Clone(acl)
	want := []proto.ACL{
		entry(1, "world", "anyone"), entry(31, "digest", "u:x"),
		entry(31, "digest", "u:x"), entry(31, "digest", "nocolon"),
		entry(16, "ip", "0:0:0:0:0:0:0:1"),
	}
	if got := Mask(acl); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if !slices.Equal(acl, before) {
		t.Error("Mask changed its argument")
	}
}

func TestJoin(t *testing.T) {
	a, b, c := id("ip", "a"), id("digest", "b"), id("digest", "c")
	ids := make([]proto.ID, 1, 8) // room to append in place, which must not be used
	ids[0] = a
	got := Join(ids, []proto.ID{b, a, b})
	if !slices.Equal(got, []proto.ID{a, b}) {
		t.Errorf("got %v", got)
	}
	Join(ids, []proto.ID{c})
	if got[1] != b {
		t.Error("a second Join changed the result of the first")
	}
	if !HasScheme(got, []string{"sasl", "digest"}) || HasScheme(got, []string{"sasl"}) {
		t.Error("HasScheme is wrong")
	}
}

// The answers are those of a real server (3.8.0) for IPv4, and of IPAuthenticationProvider in
// 3.9.4 for IPv6, which earlier versions refuse.
func TestIPSyntax(t *testing.T) {
	valid := []string{"127.0.0.1", "127.0.0.1/8", "127.0.0.1/0", "127.0.0.1/32",
		"127.0.0.1/+8", "127.0.0.01", "+127.0.0.1", "-0.0.0.0", "1.2.3.4/08",
		"1.2.3.4/0000000000008", "::", "::1", "1::", "1:2:3:4:5:6:7:8", "1:2:3::6:7:8/128",
		"fe80::/10", "+fff::", "ABCD::abcd"}
	invalid := []string{"", "127.0.0", "127.0.0.1.", ".127.0.0.1", "127.0.0.256", "1.2.3.-1",
		"127.0.0.1/33", "127.0.0.1/", "1.2.3.4/-1", "1.2.3.4/8/8", "1.2.3.4/4294967304",
		"1.2.3.4/99999999999999999999", "1.2.3.4.5", "1..3.4", "localhost", "a.b.c.d",
		"1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7::8", "1::2::3", ":::", ":1",
		"1:", "12345::", "g::", "::ffff:1.2.3.4", "::1/129", "fe80::1%eth0", "::/"}
	for _, s := range valid {
		if !isValidIP(s) {
			t.Errorf("%q refused", s)
		}
	}
	for _, s := range invalid {
		if isValidIP(s) {
			t.Errorf("%q accepted", s)
		}
	}
}

func TestIPMatch(t *testing.T) {
	for _, c := range []struct {
		caller, want string
		ok           bool
	}{
		{"10.1.2.3", "10.1.2.3", true},
		{"10.1.2.3", "10.1.2.4", false},
		{"10.1.2.3", "10.1.2.4/31", false},
		{"10.1.2.5", "10.1.2.4/31", true},
		{"10.1.2.3", "10.0.0.0/8", true},
		{"11.1.2.3", "10.0.0.0/8", false},
		{"11.1.2.3", "10.0.0.0/7", true},
		{"11.1.2.3", "200.0.0.0/0", true},
		{"10.1.2.3", "10.255.0.0/12", false},
		{"0:0:0:0:0:0:0:1", "::1", true},
		{"fe80:0:0:0:1:2:3:4", "fe80::/10", true},
		{"febf:0:0:0:1:2:3:4", "fe80::/10", true},
		{"fec0:0:0:0:1:2:3:4", "fe80::/10", false},
		{"10.1.2.3", "::/0", false},
		{"0:0:0:0:0:0:0:1", "0.0.0.0/0", false},
		{"fe80:0:0:0:1:2:3:4%2", "fe80::/10", false}, // as in Java: a zone is no hex digit
		{"10.1.2.3", "nonsense", false},
	} {
		if got := matchesIP(c.caller, c.want); got != c.ok {
			t.Errorf("%s in %s: got %v", c.caller, c.want, got)
		}
	}
}

func TestRemoteID(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1":        "127.0.0.1",
		"::1":              "0:0:0:0:0:0:0:1",
		"::ffff:10.0.0.1":  "10.0.0.1",
		"2001:db8::a0:1":   "2001:db8:0:0:0:0:a0:1",
		"fe80::1%eth0":     "fe80:0:0:0:0:0:0:1%eth0",
		"ffff:f::ffff:a:b": "ffff:f:0:0:0:ffff:a:b",
	} {
		got := RemoteID(netip.MustParseAddr(addr))
		if got != id("ip", want) {
			t.Errorf("%s: got %v, want %s", addr, got, want)
		}
		if !strings.Contains(want, "%") && !matchesIP(got.ID, got.ID) {
			t.Errorf("%s does not match itself", addr)
		}
	}
}

// FuzzMatchesIP holds the parser against package netip wherever both take an address.
func FuzzMatchesIP(f *testing.F) {
	f.Add("10.1.2.3", "10.0.0.0/8")
	f.Add("0:0:0:0:0:0:0:1", "::/0")
	f.Add("1:2:3:4:5:6:7:8", "1:2::/32")
	f.Fuzz(func(t *testing.T, caller, want string) {
		got := matchesIP(caller, want)
		if got && (!isValidIP(caller) || !isValidIP(want)) {
			t.Fatalf("%q matches %q", caller, want)
		}
		addr, errAddr := netip.ParseAddr(caller)
		prefix, errPrefix := netip.ParsePrefix(want)
		if errAddr != nil || errPrefix != nil || addr.Is4In6() || prefix.Addr().Is4In6() ||
			addr.Zone() != "" || strings.Contains(caller+want, ":") &&
			strings.Contains(caller+want, ".") {
			return
		}
		if got != prefix.Contains(addr) {
			t.Fatalf("%q in %q: got %v", caller, want, got)
		}
	})
}

func BenchmarkAllows(b *testing.B) {
	ids := []proto.ID{id("ip", "192.168.1.1"), id("digest", "u:hash")}
	for _, c := range []struct {
		name string
		acl  []proto.ACL
	}{
		{"world", proto.OpenACL},
		{"digest", []proto.ACL{entry(31, "digest", "u:hash")}},
		{"ip", []proto.ACL{entry(31, "ip", "192.168.0.0/16")}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !Allows(c.acl, proto.PermRead, ids) {
					b.Fatal("denied")
				}
			}
		})
	}
}
