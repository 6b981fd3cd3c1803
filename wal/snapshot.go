package wal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/meerkat-zk/meerkat/proto"
)

// A SnapshotFile is a file named snapshot.<zxid>, perhaps compressed.
type SnapshotFile struct {
	Path        string
	Zxid        proto.Zxid
	Compression Compression
	Size        int64 // on disk
	ModTime     time.Time
	Invalid     string // why it does not even look like a snapshot; "" if it does
	Blank       bool   // it holds nothing, or zeros alone; then Invalid says so
	Denied      error  // why we may not read it, nil if we may; then Invalid says so too
}

type snapshotName struct {
	zxid        proto.Zxid
	compression Compression
	temporary   bool
}

const temporarySuffix = ".tmp" // AtomicFileOutputStream's

// parseSnapshotName takes snapshot.<zxid>[.gz|.snappy|.zst][.tmp] apart.
func parseSnapshotName(name string) (snapshotName, bool) {
	var n snapshotName
	rest, ok := strings.CutPrefix(name, "snapshot.")
	if !ok {
		return n, false
	}
	rest, n.temporary = strings.CutSuffix(rest, temporarySuffix)
	hex, ext, _ := strings.Cut(rest, ".")
	if n.compression, ok = compressionOf(ext); !ok {
		return n, false
	}
	n.zxid, ok = parseHexZxid(hex)
	return n, ok
}

func (n snapshotName) String() string {
	s := "snapshot." + strconv.FormatInt(int64(n.zxid), 16)
	if n.compression != None {
		s += "." + n.compression.extension()
	}
	return s
}

// WriteSnapshot writes the snapshot of zxid z: write gets the stream to fill. The steps:
//
//  1. the stream goes, compressed, into a file with a temporary name, synced every few MiB so
//     that it never fills the disk's queue in front of the log's syncs;
//  2. the file is synced, then renamed, then the directory is synced: the commit point.
//
// A failure removes the temporary file; after a crash Purge does. It returns the bytes on disk.
func WriteSnapshot(o Options, z proto.Zxid, c Compression, write func(io.Writer) error) (
	path string, size int64, err error) {
	path = filepath.Join(o.SnapDir, snapshotName{zxid: z, compression: c}.String())
	temp := path + temporarySuffix
	if err := o.fs().Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", 0, fmt.Errorf("wal: remove old temporary snapshot: %w", err)
	}
	size, err = writeSynced(o.fs(), temp, c, write)
	if err == nil {
		err = o.fs().Rename(temp, path)
	}
	if err != nil {
		// What failed is reported; a file that cannot be removed either is for Purge.
		_ = o.fs().Remove(temp)
		return "", 0, fmt.Errorf("wal: write snapshot %s: %w", path, err)
	}
	if err := o.fs().SyncDir(o.SnapDir); err != nil {
		return "", 0, fmt.Errorf("wal: sync snapshot directory: %w", err)
	}
	return path, size, nil
}

// writeSynced creates a file, lets write fill it through a compressor, syncs and closes it.
func writeSynced(fs FS, path string, c Compression, write func(io.Writer) error) (int64, error) {
	f, err := fs.Create(path)
	if err != nil {
		return 0, err
	}
	w := &pacedWriter{f: f}
	err = compress(w, c, write)
	if err == nil {
		err = f.SyncData()
	}
	return w.size, errors.Join(err, f.Close())
}

// A pacedWriter appends to a file and syncs it now and then.
type pacedWriter struct {
	f        File
	size     int64
	unsynced int
}

const pacedSyncBytes = 4 << 20

func (w *pacedWriter) Write(b []byte) (int, error) {
	n, err := w.f.WriteAt(b, w.size)
	w.size += int64(n)
	w.unsynced += n
	if err == nil && w.unsynced >= pacedSyncBytes {
		w.unsynced = 0
		err = w.f.SyncData()
	}
	return n, err
}

// Snapshots lists the snapshot files, newest first. Those that fail Java's quick check
// (SnapStream.isValidSnapshot) are listed with Invalid set; Java would not look at them.
func Snapshots(o Options) ([]SnapshotFile, error) {
	names, err := o.fs().List(o.SnapDir)
	if err != nil {
		return nil, fmt.Errorf("wal: list snapshots: %w", err)
	}
	var files []SnapshotFile
	for _, name := range names {
		n, ok := parseSnapshotName(name)
		if !ok || n.temporary {
			continue
		}
		s := SnapshotFile{Path: filepath.Join(o.SnapDir, name), Zxid: n.zxid,
			Compression: n.compression}
		info, err := o.fs().Stat(s.Path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // purged since it was listed
		}
		if err != nil {
			return nil, fmt.Errorf("wal: list snapshots: %w", err)
		}
		s.Size, s.ModTime = info.Size, info.ModTime
		s.check(o.fs())
		files = append(files, s)
	}
	sort.SliceStable(files, func(i, j int) bool { return files[i].Zxid > files[j].Zxid })
	return files, nil
}

// check fills in what a look at the file tells.
func (s *SnapshotFile) check(files FS) {
	reason, err := s.quickCheck(files)
	switch {
	case errors.Is(err, fs.ErrPermission):
		s.Denied = fmt.Errorf("wal: read snapshot: %w", err)
		reason = s.Denied.Error()
	case err != nil || reason != "":
		kind := kindOf(files, s.Path)
		s.Blank = kind == kindEmpty || kind == kindBlank
		if err != nil {
			reason = err.Error()
		}
		if other := notA(files, s.Path, s.Compression.snapshotKind()); other != "" {
			reason = other
		}
	}
	s.Invalid = reason
}

// quickCheck is Java's: a plain file ends with a seal, a compressed one starts with its magic.
func (s *SnapshotFile) quickCheck(fs FS) (string, error) {
	f, err := fs.OpenRead(s.Path)
	if err != nil {
		return "", err
	}
	defer f.Close() // nothing was written
	want, at, part := s.Compression.magic(), int64(0), "starts"
	if s.Compression == None {
		if s.Size < 10 {
			return "too short", nil
		}
		want, at, part = snapshotEnd, s.Size-int64(len(snapshotEnd)), "ends"
	}
	if s.Size < int64(len(want)) {
		return "too short", nil
	}
	got := make([]byte, len(want))
	if n, err := f.ReadAt(got, at); n < len(got) {
		return "", err
	}
	if string(got) != want {
		return fmt.Sprintf("%s with % x, not % x", part, got, want), nil
	}
	return "", nil
}

// snapshotEnd is the ustring "/" that closes every seal.
const snapshotEnd = "\x00\x00\x00\x01/"

// Open returns the uncompressed stream. Reading damaged compressed bytes fails with an
// ErrCorrupt; the checksums inside the stream are for its reader.
func (s SnapshotFile) Open(fs FS) (io.ReadCloser, error) {
	if fs == nil {
		fs = OS
	}
	f, err := fs.OpenRead(s.Path)
	if err != nil {
		return nil, fmt.Errorf("wal: open snapshot: %w", err)
	}
	size, err := f.Size()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("wal: size of snapshot: %w", err), f.Close())
	}
	in := &snapshotReader{file: f, path: s.Path}
	in.section = io.NewSectionReader(f, 0, size)
	if in.stream, in.release, err = decompress(in.section, s.Compression); err != nil {
		return nil, errors.Join(in.wrap(err), f.Close())
	}
	return in, nil
}

type snapshotReader struct {
	file    File
	path    string
	section *io.SectionReader
	stream  io.Reader
	release func()
}

func (r *snapshotReader) Read(b []byte) (int, error) {
	n, err := r.stream.Read(b)
	if err != nil && err != io.EOF {
		err = r.wrap(err)
	}
	return n, err
}

func (r *snapshotReader) Close() error {
	r.release()
	return r.file.Close()
}

// wrap turns a decoder's complaint into an ErrCorrupt; an error of the disk stays what it is.
func (r *snapshotReader) wrap(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("wal: read snapshot: %w", err)
	}
	at, _ := r.section.Seek(0, io.SeekCurrent) // telling the position cannot fail
	return corruptSnapshot(r.path, at, "the compressed stream is damaged ("+err.Error()+")")
}
