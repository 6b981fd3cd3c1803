package jute

import "unsafe"

// Null is the string that is not there, which ZooKeeper tells from an empty one. It is a byte
// that no UTF-8 has, so that it stays what it is wherever strings are copied, compared and
// hashed. Invariant: no Coder reads it from anything but a null; see text.
const Null = "\xff"

// text is the string that a record holds as b, and aliases it. The one text that would be taken
// for Null is read as Java reads all bytes that are not UTF-8, as U+FFFD.
func text(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if len(b) == len(Null) && b[0] == Null[0] {
		return "\ufffd"
	}
	return unsafe.String(&b[0], len(b))
}

// CopyText is the string that a record holds as b, for readers that have no Coder. It does not
// alias b.
func CopyText(b []byte) string { return text(append([]byte(nil), b...)) }
