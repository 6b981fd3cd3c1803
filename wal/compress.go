package wal

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
)

// Compression is the form of a snapshot file; its name's extension tells it.
type Compression uint8

// Java reads None, Gzip and Snappy since 3.6 (SnapStream.StreamMode); Zstd is ours.
const (
	None   Compression = iota
	Gzip               // snapshot.<zxid>.gz
	Snappy             // snapshot.<zxid>.snappy, in snappy-java's framing
	Zstd               // snapshot.<zxid>.zst
)

// CompressionDefault is written when nothing is configured. On a stream like a tree's, snappy
// writes 1.6 times as fast as gzip at its fastest and reads 4 to 5 times as fast, which is what a
// start waits for; its file is 0.44 of the plain size, gzip's 0.29 (BenchmarkSnapshot).
const CompressionDefault = Snappy

var compressions = [...]struct{ name, extension, magic string }{
	None:   {"", "", ""},
	Gzip:   {"gz", "gz", "\x1f\x8b"},
	Snappy: {"snappy", "snappy", snappyMagic},
	Zstd:   {"zstd", "zst", "\x28\xb5\x2f\xfd"},
}

// ParseCompression reads the value of zookeeper.snapshot.compression.method: "", "gz",
// "snappy"; and "zstd".
func ParseCompression(s string) (Compression, error) {
	for c, d := range compressions {
		if s == d.name {
			return Compression(c), nil
		}
	}
	return None, fmt.Errorf("wal: unknown compression %q: want gz, snappy, zstd or nothing", s)
}

func (c Compression) String() string    { return compressions[c].name }
func (c Compression) extension() string { return compressions[c].extension }
func (c Compression) magic() string     { return compressions[c].magic }

func compressionOf(extension string) (Compression, bool) {
	for c, d := range compressions {
		if extension == d.extension {
			return Compression(c), true
		}
	}
	return None, false
}

// streamBytes is how much is handed to a compressor or to the disk at once.
const streamBytes = 256 << 10

// compress runs write into a compressor over w and flushes both.
func compress(w io.Writer, c Compression, write func(io.Writer) error) error {
	out := bufio.NewWriterSize(w, streamBytes)
	var z io.WriteCloser
	switch c {
	case None:
		if err := write(out); err != nil {
			return err
		}
		return out.Flush()
	case Gzip:
		z, _ = gzip.NewWriterLevel(out, gzip.BestSpeed) // the level is valid
	case Snappy:
		z = newSnappyWriter(out)
	case Zstd:
		enc, err := zstd.NewWriter(out, zstd.WithEncoderConcurrency(1),
			zstd.WithEncoderLevel(zstd.SpeedFastest))
		if err != nil {
			return err
		}
		z = enc
	}
	// Records are small; compressors like large pieces.
	in := bufio.NewWriterSize(z, streamBytes)
	err := write(in)
	if err == nil {
		err = in.Flush()
	}
	if closed := z.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return out.Flush()
}

// decompress returns the uncompressed stream of r, and what to call when done with it.
func decompress(r io.Reader, c Compression) (io.Reader, func(), error) {
	in := bufio.NewReaderSize(r, streamBytes)
	switch c {
	case Gzip:
		z, err := gzip.NewReader(in)
		return z, func() {}, err
	case Snappy:
		z, err := newSnappyReader(in)
		return z, func() {}, err
	case Zstd:
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderMaxWindow(8<<20), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return in, func() {}, nil
}

// Decompress returns the uncompressed stream of a snapshot in whatever form it comes, told by
// its first bytes, and what to call when done with it.
func Decompress(r io.Reader) (io.Reader, func(), error) {
	in := bufio.NewReaderSize(r, streamBytes)
	head, err := in.Peek(len(snappyMagic))
	if err != nil && err != io.EOF { // what is shorter is of no form
		return nil, nil, err
	}
	form := None
	for c, d := range compressions {
		if d.magic != "" && strings.HasPrefix(string(head), d.magic) {
			form = Compression(c)
		}
	}
	return decompress(in, form)
}

// snappy-java's framing, which SnappyInputStream reads:
//
//	┌───────────────────┬───────────┬──────────────┬──────────────────────────────┐
//	│ 82 "SNAPPY" 00    │ version 1 │ compatible 1 │ length n, n bytes of snappy  │ ...
//	│ 8                 │ 4         │ 4            │ 4         n                  │
//	└───────────────────┴───────────┴──────────────┴──────────────────────────────┘
//
// Each block is at most 32 KiB uncompressed, as SnappyOutputStream's. A header may come again
// between blocks, where streams were concatenated: 0x82534e41 is no length.
const (
	snappyMagic      = "\x82SNAPPY\x00"
	snappyHeader     = snappyMagic + "\x00\x00\x00\x01\x00\x00\x00\x01"
	snappyBlockBytes = 32 << 10

	// snappyBlockMax is what a reader accepts: snappy-java's writer can be told other sizes.
	snappyBlockMax = 1 << 20
)

type snappyWriter struct {
	w     io.Writer
	block []byte // not compressed yet, fewer than snappyBlockBytes
	out   []byte // scratch: length and compressed bytes
	begun bool
}

func newSnappyWriter(w io.Writer) *snappyWriter {
	return &snappyWriter{w: w, block: make([]byte, 0, snappyBlockBytes),
		out: make([]byte, 4+snappy.MaxEncodedLen(snappyBlockBytes))}
}

func (w *snappyWriter) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		part := b[:min(len(b), snappyBlockBytes-len(w.block))]
		w.block = append(w.block, part...)
		b = b[len(part):]
		if len(w.block) == snappyBlockBytes {
			if err := w.flush(); err != nil {
				return n - len(b), err
			}
		}
	}
	return n, nil
}

func (w *snappyWriter) flush() error {
	if !w.begun {
		w.begun = true
		if _, err := io.WriteString(w.w, snappyHeader); err != nil {
			return err
		}
	}
	if len(w.block) == 0 {
		return nil
	}
	// Not snappy.Encode: that packs a little better at half the speed.
	n := len(s2.EncodeSnappy(w.out[4:], w.block))
	binary.BigEndian.PutUint32(w.out, uint32(n))
	w.block = w.block[:0]
	_, err := w.w.Write(w.out[:4+n])
	return err
}

func (w *snappyWriter) Close() error { return w.flush() }

var errSnappy = errors.New("bad snappy framing")

type snappyReader struct {
	r     io.Reader
	in    []byte // scratch: a compressed block
	block []byte // the uncompressed block
	rest  []byte // of block, not read yet
}

func newSnappyReader(r io.Reader) (*snappyReader, error) {
	s := &snappyReader{r: r}
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, noEOF(err)
	}
	if string(head[:]) != snappyMagic[:4] {
		return nil, errSnappy
	}
	return s, s.header()
}

// header reads what follows the first four bytes of a header.
func (s *snappyReader) header() error {
	var b [len(snappyHeader) - 4]byte
	if _, err := io.ReadFull(s.r, b[:]); err != nil {
		return noEOF(err)
	}
	if string(b[:4]) != snappyMagic[4:] {
		return errSnappy
	}
	if v := binary.BigEndian.Uint32(b[8:]); v > 1 {
		return fmt.Errorf("snappy framing needs a reader of version %d", v)
	}
	return nil
}

func (s *snappyReader) Read(b []byte) (int, error) {
	for len(s.rest) == 0 {
		if err := s.next(); err != nil {
			return 0, err
		}
	}
	n := copy(b, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func (s *snappyReader) next() error {
	var head [4]byte
	if _, err := io.ReadFull(s.r, head[:]); err != nil {
		return err // io.EOF between blocks is the end
	}
	if string(head[:]) == snappyMagic[:4] {
		return s.header()
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > uint32(snappy.MaxEncodedLen(snappyBlockMax)) {
		return errSnappy
	}
	if cap(s.in) < int(n) {
		s.in = make([]byte, n)
	}
	s.in = s.in[:n]
	if _, err := io.ReadFull(s.r, s.in); err != nil {
		return noEOF(err)
	}
	if size, err := snappy.DecodedLen(s.in); err != nil || size > snappyBlockMax {
		return errSnappy
	}
	var err error
	s.block, err = snappy.Decode(s.block[:cap(s.block)], s.in)
	s.rest = s.block
	return err
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
