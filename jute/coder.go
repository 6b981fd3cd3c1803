package jute

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// BytesMax is the longest string or buffer that a Reader accepts when none is configured:
// jute.maxbuffer plus its equally large extra size (BinaryInputArchive.checkLength).
const BytesMax = 2 * 0xfffff

// What a Reader refuses. Errors wrap one of these; test with errors.Is.
var (
	ErrShort  = errors.New("jute: input ends inside a field")
	ErrLength = errors.New("jute: length out of bounds")
)

// A Coder walks over the fields of a record, either writing or reading them.
//
//	bool     1 byte, 0 or 1 (any other value reads as true)
//	int      4 bytes, big endian, two's complement
//	long     8 bytes, big endian, two's complement
//	ustring  int length, then so many bytes of text; -1 is null (Null), which is not the same
//	         as empty
//	buffer   int length, then so many bytes; -1 is null (nil), which is not the same as empty
//	vector   int count, then the elements; -1 is null (nil)
type Coder struct {
	buf     []byte // written so far, or the whole input
	off     int    // reading: the next byte
	max     int    // reading: longest string or buffer
	err     error  // the first error
	reading bool
}

// Writer returns a Coder that appends to buf.
func Writer(buf []byte) Coder { return Coder{buf: buf} }

// Reader returns a Coder that reads from data. Strings and buffers it yields alias data.
func Reader(data []byte) Coder { return Coder{buf: data, max: BytesMax, reading: true} }

// ReaderMax is Reader with another bound for a single string or buffer, in bytes.
func ReaderMax(data []byte, bytesMax int) Coder {
	return Coder{buf: data, max: bytesMax, reading: true}
}

// Reading tells in which direction the Coder goes.
func (c *Coder) Reading() bool { return c.reading }

// Bytes is all that was written, including what the buffer held before.
func (c *Coder) Bytes() []byte { return c.buf }

// Len is the number of bytes in the buffer: written so far, or in the whole input.
func (c *Coder) Len() int { return len(c.buf) }

// Offset is the position of the next byte to read.
func (c *Coder) Offset() int { return c.off }

// Rest is the input that was not read yet; nil after an error.
func (c *Coder) Rest() []byte {
	if c.err != nil {
		return nil
	}
	return c.buf[c.off:]
}

// More tells whether a reader has input left: how optional trailing fields are detected.
func (c *Coder) More() bool { return c.err == nil && c.off < len(c.buf) }

// Err is the first error, nil if there was none.
func (c *Coder) Err() error { return c.err }

// Fail records an error that a record's own check found, unless there is one already.
func (c *Coder) Fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

// take returns the next n input bytes, nil and an error when there are fewer.
func (c *Coder) take(n int) []byte {
	if c.err != nil {
		return nil
	}
	if n > len(c.buf)-c.off {
		c.err = fmt.Errorf("%w: %d bytes wanted at offset %d of %d", ErrShort, n, c.off, len(c.buf))
		return nil
	}
	b := c.buf[c.off : c.off+n : c.off+n]
	c.off += n
	return b
}

// Byte codes one byte.
func (c *Coder) Byte(v *byte) {
	if !c.reading {
		c.buf = append(c.buf, *v)
	} else if b := c.take(1); b != nil {
		*v = b[0]
	}
}

// Bool codes a bool.
func (c *Coder) Bool(v *bool) {
	if !c.reading {
		if *v {
			c.buf = append(c.buf, 1)
		} else {
			c.buf = append(c.buf, 0)
		}
	} else if b := c.take(1); b != nil {
		*v = b[0] != 0
	}
}

// Append makes room for n bytes at the end of what is written and returns it; nil when reading.
func (c *Coder) Append(n int) []byte {
	if c.reading {
		return nil
	}
	at := len(c.buf)
	c.buf = append(c.buf, make([]byte, n)...)
	return c.buf[at:]
}

// Int codes a 32-bit integer.
func (c *Coder) Int(v *int32) {
	if !c.reading {
		c.buf = binary.BigEndian.AppendUint32(c.buf, uint32(*v))
	} else if b := c.take(4); b != nil {
		*v = int32(binary.BigEndian.Uint32(b))
	}
}

// Long codes a 64-bit integer.
func (c *Coder) Long(v *int64) {
	if !c.reading {
		c.buf = binary.BigEndian.AppendUint64(c.buf, uint64(*v))
	} else if b := c.take(8); b != nil {
		*v = int64(binary.BigEndian.Uint64(b))
	}
}

// length reads the length of a string or buffer, -1 for null or after an error.
func (c *Coder) length() int {
	b := c.take(4)
	if b == nil {
		return -1
	}
	n := int(int32(binary.BigEndian.Uint32(b)))
	if n < -1 || n > c.max {
		c.Fail(fmt.Errorf("%w: %d at offset %d, at most %d", ErrLength, n, c.off-4, c.max))
		return -1
	}
	return n
}

// String codes a ustring, keeping Null apart from empty. A string that was read aliases the
// input.
func (c *Coder) String(v *string) {
	if !c.reading {
		if *v == Null {
			c.buf = append(c.buf, 0xff, 0xff, 0xff, 0xff)
			return
		}
		c.buf = binary.BigEndian.AppendUint32(c.buf, uint32(len(*v)))
		c.buf = append(c.buf, *v...)
		return
	}
	*v = ""
	if n := c.length(); n >= 0 {
		*v = text(c.take(n))
	} else if c.err == nil {
		*v = Null
	}
}

// Buffer codes a buffer, keeping null apart from empty. Bytes that were read alias the input.
func (c *Coder) Buffer(v *[]byte) {
	if !c.reading {
		if *v == nil {
			c.buf = append(c.buf, 0xff, 0xff, 0xff, 0xff)
			return
		}
		c.buf = binary.BigEndian.AppendUint32(c.buf, uint32(len(*v)))
		c.buf = append(c.buf, *v...)
		return
	}
	*v = nil
	if n := c.length(); n >= 0 {
		*v = c.take(n)
		if n == 0 && c.err == nil {
			*v = []byte{}
		}
	}
}

// Embedded codes a record inside a buffer of its own: an int length, then the record.
func (c *Coder) Embedded(record func(*Coder)) {
	if !c.reading {
		at := len(c.buf)
		c.buf = append(c.buf, 0, 0, 0, 0)
		record(c)
		binary.BigEndian.PutUint32(c.buf[at:], uint32(len(c.buf)-at-4))
		return
	}
	var inner []byte
	c.Buffer(&inner)
	if c.err != nil {
		return
	}
	sub := ReaderMax(inner, c.max)
	record(&sub)
	c.Fail(sub.err)
}

// Vector codes a vector, keeping null apart from empty. elemBytesMin is the least number of
// bytes that an element takes; it bounds what a hostile count can make us allocate.
// A count below -1 reads as an empty vector, as in Java.
func Vector[T any](c *Coder, v *[]T, elemBytesMin int, elem func(*Coder, *T)) {
	if !c.reading {
		n := int32(len(*v))
		if *v == nil {
			n = -1
		}
		c.Int(&n)
		for i := range *v {
			elem(c, &(*v)[i])
		}
		return
	}
	*v = nil
	n := int32(-1)
	c.Int(&n)
	if c.err != nil || n == -1 {
		return
	}
	if n < 0 {
		n = 0
	}
	if int(n) > (len(c.buf)-c.off)/elemBytesMin {
		c.Fail(fmt.Errorf("%w: a vector of %d at offset %d with %d bytes left",
			ErrLength, n, c.off-4, len(c.buf)-c.off))
		return
	}
	s := make([]T, n)
	for i := range s {
		if elem(c, &s[i]); c.err != nil {
			return
		}
	}
	*v = s
}

// Strings codes a vector of ustrings.
func Strings(c *Coder, v *[]string) { Vector(c, v, 4, (*Coder).String) }
