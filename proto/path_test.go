package proto

import (
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"
)

func TestValidPath(t *testing.T) {
	valid := []string{"/", "/a", "/a/b", "/.a", "/a.", "/...", "/..a", "/a..", "/.a./b", "/ ",
		"/~", "/\u00a0", "/é", "/日本", "/\ud7ff", "/\uf900", "/\uffef"}
	invalid := []string{"", "a", "a/", "//", "/a/", "/a//b", "/.", "/..", "/./a", "/../a",
		"/a/.", "/a/..", "/a/./b", "/a/../b", "/\x00", "/a\x00b", "/\x01", "/\x1f", "/\x7f",
		"/\u0080", "/\u009f", "/\ue000", "/\uf8ff", "/\ufff0", "/\ufffd", "/\uffff",
		"/\U00010000", "/\U0001f600", "/\xff", "/\xc3", "/\xed\xa0\x80", "/\xc0\xaf", "\u00e9"}
	for _, p := range valid {
		if !ValidPath(p) {
			t.Errorf("%q refused", p)
		}
	}
	for _, p := range invalid {
		if ValidPath(p) {
			t.Errorf("%q accepted", p)
		}
	}
}

// javaValidPath is PathUtils.validatePath as it is described: over UTF-16 code units.
func javaValidPath(path string) bool {
	u := utf16.Encode([]rune(path))
	if len(u) == 0 || u[0] != '/' {
		return false
	}
	if len(u) == 1 {
		return true
	}
	for _, component := range strings.Split(path[1:], "/") {
		if component == "" || component == "." || component == ".." {
			return false
		}
	}
	for _, c := range u {
		if c <= 0x1f || c >= 0x7f && c <= 0x9f || c >= 0xd800 && c <= 0xf8ff || c >= 0xfff0 {
			return false
		}
	}
	return true
}

func TestValidPathEveryCharacter(t *testing.T) {
	for r := range rune(utf8.MaxRune + 1) {
		for _, p := range []string{"/" + string(r), "/a" + string(r) + "/b"} {
			if ValidPath(p) != javaValidPath(p) {
				t.Fatalf("U+%04X in %q: got %v", r, p, ValidPath(p))
			}
		}
	}
}

func FuzzValidPath(f *testing.F) {
	for _, p := range []string{"/a/../b", "/.../x", "//", "/é/.", "/\xed\xa0\x80", "/a/b/"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if ValidPath(p) != javaValidPath(p) {
			t.Fatalf("%q: got %v", p, ValidPath(p))
		}
	})
}

func BenchmarkValidPath(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if !ValidPath("/services/checkout/instances/instance-0000012345") {
			b.Fatal("refused")
		}
	}
}
