package auth

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
)

const superDigest = "super:xQJmxLMiHGwaqBvst5y6rkB6HQs=" // of super:admin

func providers(t *testing.T, change func(*Config)) *Providers {
	t.Helper()
	cfg := Config{DigestEnabled: true, SuperDigest: superDigest}
	if change != nil {
		change(&cfg)
	}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestNewRefusesUnknownAlgorithm(t *testing.T) {
	if _, err := New(Config{DigestAlg: "MD2"}); err == nil {
		t.Fatal("MD2 accepted")
	}
}

// Captured from a real server (3.8.0): credentials in hex, and the id that it stored for
// them. Most are not UTF-8, and Java hashes what its decoder made of them.
var javaDigests = map[string]string{
	"753a70":                 "u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=",
	"613a623a63":             "a:cLzgnoJ6mP5qz3w+mwvPE2vDgu0=",
	"75":                     "u:UeaYkqtJ34XGIwzMV/jh0WBsrMw=",
	"":                       ":2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
	"3a":                     ":BaefBs8/Z/cm2uaNGKIpD2yaUMk=",
	"753ae228":               "u:fJOOmaoPVWztgBN3yOHx/hkB8Mo=",
	"753ae282":               "u:NP+S9gihaPOxs49p+sWDO0/R0ac=",
	"753aeda080":             "u:NP+S9gihaPOxs49p+sWDO0/R0ac=",
	"753aeda0":               "u:NP+S9gihaPOxs49p+sWDO0/R0ac=",
	"753af09080":             "u:NP+S9gihaPOxs49p+sWDO0/R0ac=",
	"753af0808080":           "u:HCZx0lTy+9lYQAH9rf604FmDKjw=",
	"753af5808080":           "u:HCZx0lTy+9lYQAH9rf604FmDKjw=",
	"753ac0af":               "u:tBXHUAUzZXYCqAcMeZihzl82Xwo=",
	"753af490808078":         "u:kymzraofm6utlu7xSqQoY3G66xA=",
	"753ae08080":             "u:vEkuhjHdfUZNvfORkvAkZ7fhsck=",
	"753afffe807a":           "u:ZhS6kSJVmRKIP6KIH6hGhbRyBh4=",
	"753af09f9880":           "u:jJrVWxbcrh8H8NliuTU6Me6qGLY=",
	"f09f3ae2":               "�:ipNoT9MRIoSM4DrYkmqaDGEYOsE=",
	"753ae180e2f09192f1bf41": "u:p+OV+EmZrRCyAwA7/+nOvhHxFJ0=",
	"753aeda080edb080":       "u:tBXHUAUzZXYCqAcMeZihzl82Xwo=",
}

func TestDigestOfAnyBytesIsJavas(t *testing.T) {
	p := providers(t, nil)
	for text, want := range javaDigests {
		data, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		ids, code := p.Authenticate("digest", data, netip.Addr{})
		if code != proto.OK || !slices.Equal(ids, []proto.ID{id("digest", want)}) {
			t.Errorf("%s: got %v %v, want %s", text, ids, code, want)
		}
	}
}

// Made with Python's hashlib over "u:p".
func TestDigestAlgorithms(t *testing.T) {
	for alg, want := range map[string]string{
		"":        "Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=",
		"SHA1":    "Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=",
		"sha-1":   "Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=",
		"SHA":     "Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=",
		"SHA-224": "buY2RDLG1qb161QWn3zO7zdHv1Jw5JzOzvoq8w==",
		"SHA-256": "/Y8xRBngpX5duYn15uUqIRaIaCviy5TEwSk419hCwuA=",
		"Sha-384": "joW9fAMExHHjPTquSoLHR7yNt+hmUQSWOdXLQ1YgEw4t89oJD5tqLNcOJbpOm3hr",
		"SHA-512": "JuOwXdmk4f1omXNJj7k4ILDOHOlc+8PMyEaxl9nrWl6OmV83jKYivSqJWsp5" +
			"PsMTda6BtnipueoU1r5DtBd7CA==",
		"SHA-512/224": "uQhd9bjKXP6GHJndVVZ2qIjzcJFAYrjzPmzxOg==",
		"SHA-512/256": "GahcuEqKVDomB4u/ebwuUp9/SoZ9jjQVdblytNb5wPo=",
		"SHA3-224":    "VetFxgqKhf3M+E8Pj5X4NLMXFF7lPCr+KjMt9g==",
		"SHA3-256":    "3+U94Pf1dSrKR/q5qu/huTFf1Fha6TtpdtpSdhWvIS0=",
		"SHA3-384":    "d4zgobLcJSLRER2rxMYl64bQqLziPCVxzKEWJoX+pEfq/zm0wPI8ZyXDgZrO/jZl",
		"SHA3-512": "CxK7PYZe5JmbxbczQTl9zOaNZXrjA0kC+0x9tzWMsGKrpYRMUAdSUKhye+yl" +
			"fkRhhXm3ReL68pT1mUct81OUyQ==",
		"MD5": "wj9ntl1lUHd6RGlGHs+1Hg==",
	} {
		got, ok := Digest(alg, "u:p")
		if !ok || got != "u:"+want {
			t.Errorf("%q: got %q", alg, got)
		}
	}
	if len(DigestAlgs()) != 12 {
		t.Errorf("%d algorithms, not all of them tested", len(DigestAlgs()))
	}
}

func TestAuthenticate(t *testing.T) {
	remote := netip.MustParseAddr("10.0.0.1")
	ip := id("ip", "10.0.0.1")
	sup := []proto.ID{id("super", ""), id("digest", superDigest)}
	named := func(c *Config) { c.Ensemble, c.EnsembleNames = true, []string{"blue", "red"} }
	for _, c := range []struct {
		name   string
		change func(*Config)
		scheme string
		data   []byte
		ids    []proto.ID
		code   proto.Code
	}{
		{"super", nil, "digest", []byte("super:admin"), sup, proto.OK},
		{"wrong password of super", nil, "digest", []byte("super:x"),
			[]proto.ID{id("digest", "super:eXJov8znpQ4dl1Mi6FnyKh1mSgw=")}, proto.OK},
		{"null digest", nil, "digest", nil, nil, proto.ErrAuthFailed},
		{"digest off", func(c *Config) { c.DigestEnabled = false }, "digest", []byte("u:p"),
			nil, proto.ErrAuthFailed},
		{"ip", nil, "ip", nil, []proto.ID{ip}, proto.OK},
		{"world", nil, "world", []byte("anyone"), nil, proto.ErrAuthFailed},
		{"super as scheme", nil, "super", []byte(""), nil, proto.ErrAuthFailed},
		{"unknown", nil, "nope", []byte("x"), nil, proto.ErrAuthFailed},
		{"sasl absent", nil, "sasl", []byte("x"), nil, proto.ErrAuthFailed},
		{"sasl", func(c *Config) { c.SASL = true }, "sasl", []byte("x"), nil,
			proto.ErrAuthFailed},
		{"ensemble absent", nil, "ensemble", []byte("blue"), nil, proto.ErrAuthFailed},
		{"ensemble unnamed", func(c *Config) { c.Ensemble = true }, "ensemble",
			[]byte("any"), nil, proto.OK},
		{"ensemble", named, "ensemble", []byte("red"), nil, proto.OK},
		{"ensemble not asked for", named, "ensemble", nil, nil, proto.OK},
		{"other ensemble", named, "ensemble", []byte("green"), nil, proto.ErrBadArguments},
	} {
		ids, code := providers(t, c.change).Authenticate(c.scheme, c.data, remote)
		if code != c.code || !slices.Equal(ids, c.ids) {
			t.Errorf("%s: got %v %v", c.name, ids, code)
		}
	}
}

func TestEmptySuperDigestMakesNoSuper(t *testing.T) {
	p := providers(t, func(c *Config) { c.SuperDigest = "" })
	ids, _ := p.Authenticate("digest", []byte(""), netip.Addr{})
	if isSuper(ids) {
		t.Fatal("super without a super digest")
	}
}

func TestWhoAmI(t *testing.T) {
	ids := []proto.ID{id("ip", "10.0.0.1"), id("super", ""), id("digest", "u:hash"),
		id("sasl", "a@B")}
	want := []proto.ClientInfo{{Scheme: "ip", User: "10.0.0.1"}, {Scheme: "super"},
		{Scheme: "digest", User: "u"}, {Scheme: "sasl", User: "a@B"}}
	p := providers(t, func(c *Config) { c.SASL = true })
	if got := p.WhoAmI(ids); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

// Answers of a real server (3.8.0), with the sasl and ensemble providers off and on.
func TestFixupValidity(t *testing.T) {
	plain := providers(t, nil)
	full := providers(t, func(c *Config) { c.SASL, c.Ensemble = true, true })
	for _, c := range []struct {
		p          *Providers
		scheme, id string
		ok         bool
	}{
		{plain, "world", "anyone", true}, {plain, "world", "x", false},
		{plain, "world", "", false}, {plain, "super", "", false},
		{plain, "x509", "CN=a", false}, {plain, "sasl", "a", false},
		{plain, "ensemble", "a", false}, {plain, "", "", false},
		{plain, "ip", "10.0.0.0/8", true}, {plain, "ip", "10.0.0.0/33", false},
		{plain, "digest", "a:b", true}, {plain, "digest", "a:b:", true},
		{plain, "digest", "a:b::", true}, {plain, "digest", ":b", true},
		{plain, "digest", "a:", false}, {plain, "digest", ":", false},
		{plain, "digest", "", false}, {plain, "digest", "a", false},
		{plain, "digest", "a::", false}, {plain, "digest", "::b", false},
		{plain, "digest", "a:b:c", false},
		{full, "ensemble", "a", false},
		{full, "sasl", "a", true}, {full, "sasl", "", true}, {full, "sasl", "a/b/c", true},
		{full, "sasl", "a/b@C", true}, {full, "sasl", "@", true},
		{full, "sasl", "a/b/c@D", false}, {full, "sasl", "a@b@c", false},
		{full, "sasl", "a@b/c", false},
	} {
		acl := []proto.ACL{entry(31, c.scheme, c.id)}
		got, code := c.p.Fixup(acl, nil, new(1<<20))
		switch {
		case c.ok && (code != proto.OK || !slices.Equal(got, acl)):
			t.Errorf("%s:%s refused: %v %v", c.scheme, c.id, got, code)
		case !c.ok && (code != proto.ErrInvalidACL || got != nil):
			t.Errorf("%s:%s accepted: %v %v", c.scheme, c.id, got, code)
		}
	}
}

func TestFixupExpandsAuth(t *testing.T) {
	p := providers(t, nil)
	u, v := id("digest", "u:1"), id("digest", "v:2")
	acl := []proto.ACL{entry(1, "world", "anyone"), entry(31, "auth", ""),
		entry(31, "auth", ""), entry(1, "world", "anyone"), entry(31, "digest", "u:1"),
		entry(3, "auth", "ignored")}
	ids := []proto.ID{id("ip", "10.0.0.1"), id("super", ""), u, v}
	want := []proto.ACL{entry(1, "world", "anyone"), {Perms: 31, ID: u}, {Perms: 31, ID: v},
		entry(31, "digest", "u:1"), {Perms: 3, ID: u}, {Perms: 3, ID: v}}
	got, code := p.Fixup(acl, ids, new(1<<20))
	if code != proto.OK || !slices.Equal(got, want) {
		t.Errorf("got %v %v", got, code)
	}
	for _, ids := range [][]proto.ID{nil, {id("ip", "10.0.0.1")}, {id("super", "")}} {
		if got, code := p.Fixup(acl, ids, new(1<<20)); code != proto.ErrInvalidACL || got != nil {
			t.Errorf("%v: got %v %v", ids, got, code)
		}
	}
}

func TestFixupEmpty(t *testing.T) {
	p := providers(t, nil)
	for _, acl := range [][]proto.ACL{nil, {}} {
		if _, code := p.Fixup(acl, nil, new(1<<20)); code != proto.ErrInvalidACL {
			t.Errorf("got %v", code)
		}
	}
}

// A long list and a short one are freed of duplicates in different ways, to the same result.
func TestFixupRemovesDuplicatesInOrder(t *testing.T) {
	p := providers(t, nil)
	for _, n := range []int{2, 8, 9, 1000} {
		var acl, want []proto.ACL
		for i := range n {
			want = append(want, entry(int32(i%31), "digest", fmt.Sprintf("u%d:x", i)))
		}
		acl = append(append(acl, want...), want...)
		got, code := p.Fixup(acl, nil, new(1<<20))
		if code != proto.OK || !slices.Equal(got, want) {
			t.Errorf("%d: %v, %d entries", n, code, len(got))
		}
	}
}

// Answers of a real server (3.8.0): a null is refused by the code of an exception where Java
// looks at it, and not where it does not.
func TestFixupNull(t *testing.T) {
	const null = jute.Null
	ensemble := providers(t, func(c *Config) { c.Ensemble = true })
	ids := []proto.ID{id("digest", "u:1")}
	open := entry(31, "world", "anyone")
	const invalid, marshalling = proto.ErrInvalidACL, proto.ErrMarshalling
	for i, c := range []struct {
		acl  []proto.ACL
		want proto.Code
	}{
		{[]proto.ACL{entry(31, null, "x")}, invalid},
		{[]proto.ACL{entry(31, null, null)}, invalid},
		{[]proto.ACL{entry(31, "world", null)}, marshalling},
		{[]proto.ACL{entry(31, "digest", null)}, marshalling},
		{[]proto.ACL{entry(31, "ip", null)}, marshalling},
		{[]proto.ACL{entry(31, "nope", null)}, invalid},
		{[]proto.ACL{entry(31, "ensemble", null)}, invalid},
		{[]proto.ACL{entry(31, "auth", null)}, proto.OK},
		{[]proto.ACL{open, entry(31, "auth", null)}, proto.OK},
		{[]proto.ACL{entry(31, "auth", null), open}, proto.OK},
		{[]proto.ACL{entry(1, "auth", null), entry(31, "auth", "")}, proto.OK},
		{[]proto.ACL{entry(31, "auth", null), entry(31, "auth", "")}, proto.OK},
		{[]proto.ACL{entry(31, "auth", ""), entry(31, "auth", null)}, marshalling},
		{[]proto.ACL{entry(31, "auth", null), entry(31, "auth", null)}, marshalling},
		{[]proto.ACL{open, entry(31, null, "x")}, marshalling},
		{[]proto.ACL{open, entry(1, null, "x")}, invalid},
		{[]proto.ACL{entry(31, null, "x"), open}, invalid},
		{[]proto.ACL{entry(31, null, "x"), entry(31, null, "x")}, marshalling},
		{[]proto.ACL{open, entry(31, "world", null)}, marshalling},
		{[]proto.ACL{entry(31, "ip", "127.0.0.1"), entry(1, "ip", null)}, marshalling},
	} {
		if _, code := ensemble.Fixup(c.acl, ids, new(1<<20)); code != c.want {
			t.Errorf("%d: %q: %v, not %v", i, c.acl, code, c.want)
		}
	}
}
