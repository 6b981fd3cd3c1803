package jute

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
)

// everything has a field of each type that a record can have.
type everything struct {
	b       byte
	t       bool
	i       int32
	l       int64
	s       string
	buf     []byte
	strings []string
	inner   []int32
}

func (e *everything) fields(c *Coder) {
	c.Byte(&e.b)
	c.Bool(&e.t)
	c.Int(&e.i)
	c.Long(&e.l)
	c.String(&e.s)
	c.Buffer(&e.buf)
	Strings(c, &e.strings)
	c.Embedded(func(c *Coder) { Vector(c, &e.inner, 4, (*Coder).Int) })
}

func (e *everything) equal(o *everything) bool {
	return e.b == o.b && e.t == o.t && e.i == o.i && e.l == o.l && e.s == o.s &&
		bytes.Equal(e.buf, o.buf) && (e.buf == nil) == (o.buf == nil) &&
		slices.Equal(e.strings, o.strings) && (e.strings == nil) == (o.strings == nil) &&
		slices.Equal(e.inner, o.inner) && (e.inner == nil) == (o.inner == nil)
}

func TestEveryTypeBothWays(t *testing.T) {
	tests := map[string]struct {
		record everything
		want   string
	}{
		"zero values": {
			everything{buf: []byte{}, strings: []string{}, inner: []int32{}},
			"00" + "00" + "00000000" + "0000000000000000" + "00000000" + "00000000" +
				"00000000" + "00000004" + "00000000",
		},
		"null": {
			everything{},
			"00" + "00" + "00000000" + "0000000000000000" + "00000000" + "ffffffff" +
				"ffffffff" + "00000004" + "ffffffff",
		},
		"extremes": {
			everything{b: 255, t: true, i: math.MinInt32, l: math.MaxInt64, s: "/ü\x00",
				buf: []byte{0, 0xff}, strings: []string{"", "a"}, inner: []int32{-1}},
			"ff" + "01" + "80000000" + "7fffffffffffffff" + "00000004" + "2fc3bc00" +
				"00000002" + "00ff" + "00000002" + "00000000" + "00000001" + "61" +
				"00000008" + "00000001" + "ffffffff",
		},
	}
	for name, test := range tests {
		w := Writer([]byte("prefix"))
		test.record.fields(&w)
		got, ok := bytes.CutPrefix(w.Bytes(), []byte("prefix"))
		if !ok || hexOf(got) != test.want {
			t.Errorf("%s\ngot  %x\nwant %s", name, got, test.want)
		}
		var back everything
		r := Reader(got)
		back.fields(&r)
		if r.Err() != nil || r.More() || !back.equal(&test.record) {
			t.Errorf("%s: %v, %+v", name, r.Err(), back)
		}
	}
}

func hexOf(b []byte) string {
	const digits = "0123456789abcdef"
	var s strings.Builder
	for _, c := range b {
		s.WriteByte(digits[c>>4])
		s.WriteByte(digits[c&15])
	}
	return s.String()
}

// Every proper prefix of a record is an error, which sticks, and leaves nothing to read.
func TestEveryCutIsShort(t *testing.T) {
	e := everything{s: "text", buf: []byte("data"), strings: []string{"x", "yz"},
		inner: []int32{1, 2}}
	w := Writer(nil)
	e.fields(&w)
	for n := range w.Len() {
		var back everything
		r := Reader(w.Bytes()[:n])
		back.fields(&r)
		if err := r.Err(); !errors.Is(err, ErrShort) && !errors.Is(err, ErrLength) {
			t.Fatalf("%d of %d bytes: %v", n, w.Len(), err)
		}
		first := r.Err()
		var i int32
		if r.Int(&i); r.Err() != first || r.Rest() != nil || r.More() {
			t.Fatalf("%d bytes: the error did not stick", n)
		}
	}
}

func TestLengths(t *testing.T) {
	length := func(n int32, data string) []byte {
		w := Writer(nil)
		w.Int(&n)
		return append(w.Bytes(), data...)
	}
	tests := []struct {
		name string
		data []byte
		max  int
		want error
	}{
		{"at the bound", length(4, "four"), 4, nil},
		{"over the bound", length(5, "fives"), 4, ErrLength},
		{"null", length(-1, ""), 4, nil},
		{"negative", length(-2, "four"), 4, ErrLength},
		{"least", length(math.MinInt32, "four"), 4, ErrLength},
		{"longer than the input", length(4, "tre"), 4, ErrShort},
		{"huge", length(math.MaxInt32, "four"), BytesMax, ErrLength},
		{"cut inside the length", []byte{0, 0, 0}, 4, ErrShort},
	}
	for _, test := range tests {
		var s string
		r := ReaderMax(test.data, test.max)
		if r.String(&s); !errors.Is(r.Err(), test.want) {
			t.Errorf("string %s: %v", test.name, r.Err())
		}
		var b []byte
		r = ReaderMax(test.data, test.max)
		if r.Buffer(&b); !errors.Is(r.Err(), test.want) {
			t.Errorf("buffer %s: %v", test.name, r.Err())
		}
		if r.Err() != nil && (s != "" || b != nil) {
			t.Errorf("%s: a refused field has a value: %q %x", test.name, s, b)
		}
	}
}

// Java reads a count below -1 as an empty vector, and any byte but 0 as true.
func TestJavaLeniency(t *testing.T) {
	var v []string
	r := Reader([]byte{0x80, 0, 0, 0})
	if Strings(&r, &v); r.Err() != nil || v == nil || len(v) != 0 {
		t.Errorf("%v %v", v, r.Err())
	}
	var b bool
	r = Reader([]byte{0x02})
	if r.Bool(&b); r.Err() != nil || !b {
		t.Errorf("%v %v", b, r.Err())
	}
}

// A count is checked against the input before memory is taken for it.
func TestVectorCountIsBounded(t *testing.T) {
	data := []byte{0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0}
	var v []string
	r := Reader(data)
	if Strings(&r, &v); !errors.Is(r.Err(), ErrLength) || v != nil {
		t.Errorf("three strings in eight bytes: %v %v", v, r.Err())
	}
	data[0] = 0x7f
	allocated := testing.AllocsPerRun(10, func() {
		r := Reader(data)
		Strings(&r, &v)
	})
	if allocated > 8 { // the error and its arguments
		t.Errorf("%v allocations", allocated)
	}
}

// Strings and buffers alias the input, and a buffer cannot grow over what follows it.
func TestReadValuesAlias(t *testing.T) {
	data := []byte{0, 0, 0, 2, 'a', 'b', 0, 0, 0, 1, 'c', 'd'}
	var (
		s string
		b []byte
	)
	r := Reader(data)
	r.String(&s)
	r.Buffer(&b)
	data[4], data[10] = 'A', 'C'
	if s != "Ab" || string(b) != "C" {
		t.Errorf("%q %q", s, b)
	}
	if _ = append(b, 'x'); data[11] != 'd' {
		t.Error("append to a buffer wrote into the input")
	}
	if string(r.Rest()) != "d" || r.Offset() != 11 || r.Len() != 12 || !r.More() {
		t.Errorf("rest %q at %d", r.Rest(), r.Offset())
	}
}

func TestFirstErrorWins(t *testing.T) {
	r := Reader(nil)
	first := errors.New("first")
	r.Fail(first)
	r.Fail(ErrLength)
	var l int64
	if r.Long(&l); r.Err() != first {
		t.Error(r.Err())
	}
}

// An embedded record that runs over its own length is short, whatever follows it.
func TestEmbeddedIsBounded(t *testing.T) {
	var l int64
	r := Reader([]byte{0, 0, 0, 4, 1, 2, 3, 4, 5, 6, 7, 8})
	if r.Embedded(func(c *Coder) { c.Long(&l) }); !errors.Is(r.Err(), ErrShort) || l != 0 {
		t.Errorf("%d %v", l, r.Err())
	}
}

// FuzzCoder reads any bytes as any sequence of types. Reading never panics and never yields
// more than there was; what was read is written to bytes that read as the same again.
func FuzzCoder(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7}, []byte("\x01\x01\x00\x00\x00\x07"))
	f.Add([]byte{6, 6, 7}, []byte{0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0})
	f.Add([]byte{7, 4}, []byte{0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, types, data []byte) {
		if len(types) > 64 {
			types = types[:64]
		}
		in := Reader(data)
		records := make([]everything, len(types))
		total := 0
		for i, kind := range types {
			records[i].one(&in, kind)
			total += len(records[i].s) + len(records[i].buf) + 4*len(records[i].strings) +
				4*len(records[i].inner)
		}
		if total > len(data) || in.Offset() > len(data) {
			t.Fatalf("%d bytes of values, offset %d, of %d", total, in.Offset(), len(data))
		}
		if in.Err() != nil {
			return
		}
		once := writeAll(records, types)
		back := Reader(once)
		again := make([]everything, len(types))
		for i, kind := range types {
			again[i].one(&back, kind)
			if !again[i].equal(&records[i]) {
				t.Fatalf("type %d: %+v, then %+v", kind, records[i], again[i])
			}
		}
		if back.Err() != nil || back.More() {
			t.Fatalf("%v, more %v", back.Err(), back.More())
		}
		if twice := writeAll(again, types); !bytes.Equal(once, twice) {
			t.Fatalf("%x, then %x", once, twice)
		}
	})
}

func writeAll(records []everything, types []byte) []byte {
	w := Writer(nil)
	for i, kind := range types {
		records[i].one(&w, kind)
	}
	return w.Bytes()
}

// one codes a single field.
func (e *everything) one(c *Coder, kind byte) {
	switch kind % 8 {
	case 0:
		c.Byte(&e.b)
	case 1:
		c.Bool(&e.t)
	case 2:
		c.Int(&e.i)
	case 3:
		c.Long(&e.l)
	case 4:
		c.String(&e.s)
	case 5:
		c.Buffer(&e.buf)
	case 6:
		Strings(c, &e.strings)
	case 7:
		c.Embedded(func(c *Coder) { Vector(c, &e.inner, 4, (*Coder).Int) })
	}
}
