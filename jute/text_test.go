package jute

import (
	"bytes"
	"testing"
)

// A string that is null, one that is empty, and the one text that a null must not be taken for.
func TestNullStringIsNotEmpty(t *testing.T) {
	tests := []struct {
		name, bytes, want string
		again             string // as it is written; "" for the same bytes
	}{
		{"null", "\xff\xff\xff\xff", Null, ""},
		{"empty", "\x00\x00\x00\x00", "", ""},
		{"byte of null", "\x00\x00\x00\x01\xff", "\ufffd", "\x00\x00\x00\x03\xef\xbf\xbd"},
		{"bytes of null", "\x00\x00\x00\x02\xff\xff", "\xff\xff", ""},
		{"a byte of another kind", "\x00\x00\x00\x01\xfe", "\xfe", ""},
	}
	for _, test := range tests {
		in := []byte(test.bytes)
		var s string
		r := Reader(in)
		if r.String(&s); r.Err() != nil || s != test.want || r.More() {
			t.Errorf("%s: read %q, %v, not %q", test.name, s, r.Err(), test.want)
		}
		w := Writer(nil)
		w.String(&s)
		if test.again == "" {
			test.again = test.bytes
		}
		if got := string(w.Bytes()); got != test.again {
			t.Errorf("%s: written as %x, not %x", test.name, got, test.again)
		}
		if len(in) > 4 && CopyText(in[4:]) != test.want {
			t.Errorf("%s: CopyText has %q", test.name, CopyText(in[4:]))
		}
	}
}

func TestCopyTextDoesNotAlias(t *testing.T) {
	b := []byte("text")
	s := CopyText(b)
	copy(b, bytes.Repeat([]byte{'x'}, len(b)))
	if s != "text" {
		t.Errorf("%q", s)
	}
}

// What a request's path and an ACL's entry cost: a string each way.
func BenchmarkString(b *testing.B) {
	paths := []string{"/", "/app/services/node-0000000042"}
	w := Writer(nil)
	for i := range paths {
		w.String(&paths[i])
	}
	data := append([]byte(nil), w.Bytes()...)
	b.Run("read", func(b *testing.B) {
		var s string
		for range b.N {
			r := Reader(data)
			r.String(&s)
			r.String(&s)
		}
	})
	b.Run("write", func(b *testing.B) {
		buf := make([]byte, 0, 128)
		for range b.N {
			w := Writer(buf)
			w.String(&paths[0])
			w.String(&paths[1])
		}
	})
}
