package auth

import (
	"crypto/md5"  // an algorithm that an old ensemble may have configured
	"crypto/sha1" // ZooKeeper's default
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/base64"
	"hash"
	"strings"
	"unicode/utf8"
)

// A digestHash makes the secret half of a digest id.
type digestHash func() hash.Hash

// digestHashes are the algorithms of Java's MessageDigest, by the names it knows them under,
// in upper case. MD2 is missing: nothing here implements it.
var digestHashes = []struct {
	names []string // the first is the one we print
	hash  digestHash
}{
	{[]string{"SHA1", "SHA-1", "SHA"}, sha1.New},
	{[]string{"SHA-224", "SHA224"}, sha256.New224},
	{[]string{"SHA-256", "SHA256"}, sha256.New},
	{[]string{"SHA-384", "SHA384"}, sha512.New384},
	{[]string{"SHA-512", "SHA512"}, sha512.New},
	{[]string{"SHA-512/224", "SHA512/224"}, sha512.New512_224},
	{[]string{"SHA-512/256", "SHA512/256"}, sha512.New512_256},
	{[]string{"SHA3-224"}, func() hash.Hash { return sha3.New224() }},
	{[]string{"SHA3-256"}, func() hash.Hash { return sha3.New256() }},
	{[]string{"SHA3-384"}, func() hash.Hash { return sha3.New384() }},
	{[]string{"SHA3-512"}, func() hash.Hash { return sha3.New512() }},
	{[]string{"MD5"}, md5.New},
}

// DigestAlgs lists the algorithms that a digest may be made with.
func DigestAlgs() []string {
	names := make([]string, len(digestHashes))
	for i, h := range digestHashes {
		names[i] = h.names[0]
	}
	return names
}

// hashOf finds an algorithm by name, in any case; "" is the default.
func hashOf(alg string) (digestHash, bool) {
	if alg == "" {
		return sha1.New, true
	}
	for _, h := range digestHashes {
		for _, name := range h.names {
			if strings.EqualFold(name, alg) {
				return h.hash, true
			}
		}
	}
	return nil, false
}

// digestID makes the id of credentials "user:password": the user, a colon, and the base64 of
// the hash of all of it (DigestAuthenticationProvider.generateDigest). Credentials without a
// colon are all user.
func digestID(h digestHash, credentials []byte) string {
	text := javaText(credentials)
	user, _, _ := strings.Cut(text, ":")
	sum := h()
	sum.Write([]byte(text))
	return user + ":" + base64.StdEncoding.EncodeToString(sum.Sum(nil))
}

// Digest makes the digest id of "user:password" with an algorithm by name, "" being SHA1.
func Digest(alg, credentials string) (id string, ok bool) {
	h, ok := hashOf(alg)
	if !ok {
		return "", false
	}
	return digestID(h, []byte(credentials)), true
}

// isValidDigest tells whether id is two parts around a colon, not counting colons at its end.
func isValidDigest(id string) bool {
	return strings.Count(strings.TrimRight(id, ":"), ":") == 1
}

// isValidKerberos tells whether id could be a Kerberos name, service/host@REALM. One without
// a realm may be anything (KerberosName).
func isValidKerberos(id string) bool {
	name, realm, found := strings.Cut(id, "@")
	return !found || !strings.ContainsAny(realm, "/@") && strings.Count(name, "/") <= 1
}

// javaText is what java.lang.String makes of bytes that should be UTF-8. Java hashes that text
// and not the bytes, so a password of other bytes has the hash of its replacements: U+FFFD for
// each longest beginning of a character, and one for an encoded surrogate.
func javaText(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	var text strings.Builder
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			n = malformedBytes(b)
		}
		text.WriteRune(r)
		b = b[n:]
	}
	return text.String()
}

// malformedBytes is how many of the bytes one replacement stands for, at least one.
func malformedBytes(b []byte) int {
	if len(b) >= 3 && b[0] == 0xED && b[1]&0xE0 == 0xA0 && b[2]&0xC0 == 0x80 {
		return 3 // an encoded surrogate
	}
	want, second := sequence(b[0])
	n := 1
	for n < want && n < len(b) && b[n]&0xC0 == 0x80 {
		if n == 1 && (b[1] < second.min || b[1] > second.max) {
			break
		}
		n++
	}
	return n
}

type byteRange struct{ min, max byte }

// sequence is the length of the character that starts with b, 1 if none does, and what its
// second byte may be. Of a surrogate (after 0xED) Java takes the second byte for good.
func sequence(b byte) (bytes int, second byteRange) {
	switch {
	case b >= 0xC2 && b <= 0xDF:
		return 2, byteRange{0x80, 0xBF}
	case b == 0xE0:
		return 3, byteRange{0xA0, 0xBF}
	case b > 0xE0 && b <= 0xEF:
		return 3, byteRange{0x80, 0xBF}
	case b == 0xF0:
		return 4, byteRange{0x90, 0xBF}
	case b > 0xF0 && b < 0xF4:
		return 4, byteRange{0x80, 0xBF}
	case b == 0xF4:
		return 4, byteRange{0x80, 0x8F}
	default:
		return 1, byteRange{}
	}
}
