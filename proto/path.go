package proto

import "unicode/utf8"

// ValidPath tells whether a znode may have this path: it starts with "/", ends with one only if
// it is the root, has no component that is empty, "." or "..", and no control character,
// surrogate (so nothing beyond the basic plane), private-use or special code point. The rules
// are PathUtils.validatePath; path is UTF-8, and bytes that are not make it invalid, because
// Java reads them as U+FFFD.
func ValidPath(path string) bool {
	if path == "" || path[0] != '/' {
		return false
	}
	if path == "/" {
		return true
	}
	start := 1 // of the component
	for i := 1; i < len(path); i++ {
		switch c := path[i]; {
		case c == '/':
			if !validComponent(path[start:i]) {
				return false
			}
			start = i + 1
		case c < 0x20 || c == 0x7f:
			return false
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRuneInString(path[i:])
			if !validRune(r) {
				return false
			}
			i += n - 1
		}
	}
	return validComponent(path[start:])
}

// validComponent checks a component as a whole; its characters are checked already.
func validComponent(s string) bool { return s != "" && s != "." && s != ".." }

// validRune checks a character beyond ASCII; U+FFFD, which also stands for bytes that are not
// UTF-8, is among those refused.
func validRune(r rune) bool {
	return r > 0x9f && r < 0xd800 || r > 0xf8ff && r < 0xfff0
}
