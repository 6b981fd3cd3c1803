package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"io"
	"math"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"github.com/meerkat-zk/meerkat/proto"
)

// readBytes is how much of a file is read at a time.
const readBytes = 1 << 20

// A logFile is a file named log.<zxid>.
type logFile struct {
	path string
	zxid proto.Zxid // of its name: no record of it is smaller
}

func logName(z proto.Zxid) string { return "log." + strconv.FormatInt(int64(z), 16) }

// parseHexZxid parses the zxid of a file name (Util.getZxidFromName).
func parseHexZxid(s string) (proto.Zxid, bool) {
	n, err := strconv.ParseUint(s, 16, 63)
	return proto.Zxid(n), err == nil
}

// logFiles lists the log files, oldest first.
func logFiles(o *Options) ([]logFile, error) {
	names, err := o.fs().List(o.LogDir)
	if err != nil {
		return nil, fmt.Errorf("wal: list log files: %w", err)
	}
	var files []logFile
	for _, name := range names {
		hex, ok := strings.CutPrefix(name, "log.")
		if !ok {
			continue
		}
		if z, ok := parseHexZxid(hex); ok {
			files = append(files, logFile{filepath.Join(o.LogDir, name), z})
		}
	}
	sort.SliceStable(files, func(i, j int) bool { return files[i].zxid < files[j].zxid })
	return files, nil
}

// logsFrom drops the files that hold nothing above z: all before the newest one whose name
// is not above z.
func logsFrom(files []logFile, z proto.Zxid) []logFile {
	first := 0
	for i, f := range files {
		if f.zxid <= z {
			first = i
		}
	}
	return files[first:]
}

// A logReader reads records of one file at a time through a buffer.
type logReader struct {
	fs          FS
	unsyncedMax int64 // how many bytes may have been written without a sync

	f    File
	path string
	size int64
	buf  []byte // what was read last
	base int64  // where buf stands in the file
}

func newLogReader(o *Options) logReader {
	r := logReader{fs: o.fs(), unsyncedMax: stepBytesMax}
	if o.NoSync {
		r.unsyncedMax = math.MaxInt64
	}
	return r
}

func (r *logReader) open(path string) error {
	r.close()
	if info, err := r.fs.Stat(path); err == nil && info.Dir {
		return corruptHeader(r.fs, path)
	}
	f, err := r.fs.OpenRead(path)
	if err != nil {
		return fmt.Errorf("wal: open log: %w", err)
	}
	if r.size, err = f.Size(); err != nil {
		_ = f.Close() // the size is what failed
		return fmt.Errorf("wal: size of log: %w", err)
	}
	r.f, r.path, r.buf, r.base = f, path, r.buf[:0], 0
	return nil
}

func (r *logReader) close() {
	if r.f != nil {
		_ = r.f.Close() // nothing was written
		r.f = nil
	}
}

// errShortened says that a file became shorter while it was read: the Log finished it.
var errShortened = errors.New("the file became shorter")

// bytes returns n bytes of the file, valid until the next call. They must lie within size.
func (r *logReader) bytes(off int64, n int) ([]byte, error) {
	if off >= r.base && off+int64(n) <= r.base+int64(len(r.buf)) {
		at := int(off - r.base)
		return r.buf[at : at+n : at+n], nil
	}
	want := int(min(int64(max(n, readBytes)), r.size-off))
	if cap(r.buf) < want {
		r.buf = make([]byte, want)
	}
	r.buf, r.base = r.buf[:want], off
	got, err := r.f.ReadAt(r.buf, off)
	if got < want {
		r.buf = r.buf[:got]
		if err == io.EOF {
			r.size, err = off+int64(got), nil // its padding was cut off meanwhile
		}
		if err == nil && got < n {
			err = errShortened
		}
		if err != nil {
			return nil, fmt.Errorf("wal: read %s at offset %d: %w", r.path, off, err)
		}
	}
	return r.buf[:n:n], nil
}

// A frame is what the head of a record claims.
type frame struct {
	sum   uint64
	txn   int64 // length of the txn
	whole bool  // the claim is possible: sum and length in bounds, an end mark in its place
}

func (fr frame) bytes() int64 { return recordFrameBytes + fr.txn }

// frame reads the claim of the record at off. A record that ends in 'B' within the file
// bounds what reading it may allocate by what the file holds.
func (r *logReader) frame(off int64) (frame, error) {
	if r.size-off < recordHeadBytes {
		return frame{}, nil
	}
	h, err := r.bytes(off, recordHeadBytes)
	if err != nil {
		return frame{}, err
	}
	fr := frame{sum: binary.BigEndian.Uint64(h), txn: int64(int32(binary.BigEndian.Uint32(h[8:])))}
	if fr.sum>>32 != 0 || fr.txn < txnBytesMin || off+fr.bytes() > r.size {
		return fr, nil
	}
	end, err := r.byteAt(off + fr.bytes() - 1)
	fr.whole = end == recordEnd
	return fr, err
}

// byteAt reads one byte without moving the buffer.
func (r *logReader) byteAt(off int64) (byte, error) {
	if off >= r.base && off < r.base+int64(len(r.buf)) {
		return r.buf[off-r.base], nil
	}
	var b [1]byte
	if _, err := r.f.ReadAt(b[:], off); err != nil && !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("wal: read %s at offset %d: %w", r.path, off, err)
	}
	return b[0], nil
}

// record returns the txn of the record at off, nil if there is no whole and correct one.
func (r *logReader) record(off int64) ([]byte, error) {
	fr, err := r.frame(off)
	if err != nil || !fr.whole {
		return nil, err
	}
	txn, err := r.bytes(off+recordHeadBytes, int(fr.txn))
	if err != nil || uint64(adler32.Checksum(txn)) != fr.sum {
		return nil, err
	}
	return txn, nil
}

// header tells whether the file starts with the header of a log file. Like Java, it looks at
// the magic alone (FileTxnIterator.inStreamCreated).
func (r *logReader) header() (bool, error) {
	if r.size < fileHeaderBytes {
		return false, nil
	}
	h, err := r.bytes(0, int(fileHeaderBytes))
	return err == nil && string(h[:len(fileMagic)]) == fileMagic, err
}

// A span is what a file holds.
type span struct {
	first, last proto.Zxid // of its records
	records     int
	end         int64 // behind the last whole record; 0 if not even the header is whole
}

// scan visits the whole records of the open file from its start, up to the first one that is
// not whole or to an error of visit.
func (r *logReader) scan(visit func(proto.Zxid, []byte) error) (span, error) {
	var s span
	if ok, err := r.header(); err != nil || !ok {
		return s, err
	}
	s.end = fileHeaderBytes
	for {
		txn, err := r.record(s.end)
		if errors.Is(err, errShortened) {
			return s, nil
		}
		if err != nil || txn == nil {
			return s, err
		}
		s.last = TxnZxid(txn)
		if s.records == 0 {
			s.first = s.last
		}
		s.records++
		s.end += int64(recordFrameBytes + len(txn))
		if visit == nil {
			continue
		}
		if err := visit(s.last, txn); err != nil {
			return s, err
		}
	}
}
