package wal

import (
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"
)

// kindBytes is how much of a file tells its kind; a tar archive says so at offset 257.
const kindBytes = 512

// kindOf says what a file is, by how it begins: people put all sorts of files where a snapshot or
// a log belongs, and "bad bytes" does not tell them which. It is "" for what nobody can name.
func kindOf(files FS, path string) string {
	info, err := files.Stat(path)
	if err != nil {
		return ""
	}
	if info.Dir {
		return "a directory"
	}
	if info.Size == 0 {
		return kindEmpty
	}
	f, err := files.OpenRead(path)
	if err != nil {
		return ""
	}
	defer f.Close() // nothing was written
	head := make([]byte, min(info.Size, kindBytes))
	if n, err := f.ReadAt(head, 0); n < len(head) {
		_ = err // it says no more than an unknown kind does
		return ""
	}
	if allZero(head) && isBlank(f, info.Size) {
		return kindBlank
	}
	return kindOfHead(string(head))
}

const (
	kindEmpty = "an empty file"
	kindBlank = "a file of zeros"
)

func kindOfHead(head string) string {
	for _, k := range []struct{ magic, kind string }{
		{fileMagic, "a transaction log"},
		{"ZKSN", "a snapshot"},
		{Gzip.magic(), "a gzip file"},
		{Snappy.magic(), "a snappy file"},
		{Zstd.magic(), "a zstd file"},
		{"PK\x03\x04", "a zip archive"},
		{"\x7fELF", "a program"},
	} {
		if strings.HasPrefix(head, k.magic) {
			return k.kind
		}
	}
	if len(head) > 262 && head[257:262] == "ustar" {
		return "a tar archive"
	}
	if isText(head) {
		return "a text file"
	}
	return ""
}

// isText tells whether the beginning of a file is text. Its last character may be cut.
func isText(head string) bool {
	for i, r := range head {
		cut := r == utf8.RuneError && i > 0 && len(head)-i < utf8.UTFMax
		if !cut && (r == utf8.RuneError || !unicode.IsPrint(r) && !unicode.IsSpace(r)) {
			return false
		}
	}
	return true
}

// isBlank tells whether an open file holds nothing but zeros.
func isBlank(f File, size int64) bool {
	buf := make([]byte, min(size, 64<<10))
	for at := int64(0); at < size; at += int64(len(buf)) {
		b := buf[:min(size-at, int64(len(buf)))]
		if n, _ := f.ReadAt(b, at); n < len(b) || !allZero(b) {
			return false
		}
	}
	return true
}

// snapshotKind is what kindOf says of a whole snapshot file.
func (c Compression) snapshotKind() string {
	if c == None {
		return "a snapshot"
	}
	return kindOfHead(c.magic() + "\x00")
}

// notA says that a file is of another kind than the one it should be; "" if it is not, or if
// nobody can tell.
func notA(files FS, path, want string) string {
	if kind := kindOf(files, path); kind != "" && kind != want {
		return filepath.Base(path) + " is " + kind + ", not " + want
	}
	return ""
}
