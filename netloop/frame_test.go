package netloop

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

func TestNextFrame(t *testing.T) {
	for _, tt := range []struct {
		in    string
		frame string
		n     int
		err   string
	}{
		{in: ""},
		{in: "\x00\x00\x00"},
		{in: "\x00\x00\x00\x02a"},
		{in: "\x00\x00\x00\x00", n: 4},
		{in: "\x00\x00\x00\x02abc", frame: "ab", n: 6},
		{in: "\x00\x00\x00\x0a0123456789", frame: "0123456789", n: 14},
		{in: "\x00\x00\x00\x0b", err: "11 (limit 10)"},
		{in: "\xff\xff\xff\xff", err: "-1 (limit 10)"},
		{in: "\x80\x00\x00\x00", err: "-2147483648 (limit 10)"},
		{in: "\x7f\xff\xff\xff", err: "2147483647 (limit 10)"},
		{in: "ruok", err: "1920298859 (limit 10)"},
	} {
		frame, n, err := NextFrame([]byte(tt.in), 10)
		if tt.err != "" {
			if !errors.Is(err, ErrFrameLength) || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%q: error %v, want %q", tt.in, err, tt.err)
			}
			continue
		}
		if err != nil || string(frame) != tt.frame || n != tt.n || (frame == nil) != (n == 0) {
			t.Errorf("%q: %q %d %v, want %q %d", tt.in, frame, n, err, tt.frame, tt.n)
		}
	}
}

// FuzzNextFrame checks that cutting never panics, that what it cuts is what encoding gives,
// and that whatever comes behind a frame does not change it.
func FuzzNextFrame(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x02abc"), 10)
	f.Add([]byte("\xff\xff\xff\xff"), 10)
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x01x"), 0)
	f.Fuzz(func(t *testing.T, in []byte, bytesMax int) {
		bytesMax &= 1<<20 - 1
		var again []byte
		rest := in
		for {
			frame, n, err := NextFrame(rest, bytesMax)
			if err != nil {
				length := int32(binary.BigEndian.Uint32(rest))
				if length >= 0 && int(length) <= bytesMax {
					t.Fatalf("refused length %d with limit %d", length, bytesMax)
				}
				break
			}
			if n == 0 {
				if frame != nil {
					t.Fatal("a frame of no bytes")
				}
				break
			}
			again = appendFrame(again, frame)
			rest = rest[n:]
		}
		if !bytes.Equal(again, in[:len(in)-len(rest)]) {
			t.Fatal("cut and joined differ")
		}
	})
}
