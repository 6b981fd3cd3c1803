package wal

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func fileOf(t *testing.T, files FS, path string, content []byte) {
	t.Helper()
	f, err := files.Create(path)
	if err == nil {
		_, err = f.WriteAt(content, 0)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A file of another kind is named for what it is, where a snapshot or a log belongs.
func TestFilesOfAnotherKind(t *testing.T) {
	text := "tickTime=2000\n# größer\n"
	snapshot := "ZKSN" + strings.Repeat("\x00\x01", 40) + snapshotEnd
	tar := strings.Repeat("name\x00\x01\x02", 60)[:257] + "ustar" + strings.Repeat("\x00", 400)
	for content, kind := range map[string]string{
		"":                                 "an empty file",
		strings.Repeat("\x00", 70<<10):     "a file of zeros",
		text:                               "a text file",
		strings.Repeat("ü", 600):           "a text file", // cut within a letter
		fileHeader + "\x00":                "a transaction log",
		snapshot:                           "a snapshot",
		"\x1f\x8b" + text:                  "a gzip file",
		"PK\x03\x04" + text:                "a zip archive",
		tar:                                "a tar archive",
		strings.Repeat("\x01\xfe\x02", 90): "",
		text + "\x00":                      "",
	} {
		files := NewMemFS()
		if err := files.MkdirAll("/d"); err != nil {
			t.Fatal(err)
		}
		fileOf(t, files, "/d/snapshot.5", []byte(content))
		if got := kindOf(files, "/d/snapshot.5"); got != kind {
			t.Errorf("%.20q is %q, want %q", content, got, kind)
		}
		found, err := Snapshots(Options{FS: files, SnapDir: "/d"})
		if err != nil || len(found) != 1 {
			t.Fatal(found, err)
		}
		switch s := found[0]; {
		case (s.Invalid == "") != (kind == "a snapshot"), !strings.Contains(s.Invalid, kind) &&
			kind != "a snapshot":
			t.Errorf("%.20q as a snapshot: %q", content, s.Invalid)
		case s.Blank != (kind == kindEmpty || kind == kindBlank):
			t.Errorf("%.20q is blank: %t", content, s.Blank)
		}

		fileOf(t, files, "/d/log.5", []byte(content))
		_, err = Replay(Options{FS: files, LogDir: "/d"}, 4, nil)
		switch kind {
		case kindEmpty, kindBlank, "a transaction log": // what a kill leaves
			if err != nil {
				t.Errorf("%.20q as a log: %v", content, err)
			}
		default:
			if !errors.Is(err, ErrCorrupt) || kind != "" &&
				!strings.Contains(err.Error(), "log.5 is "+kind+", not a transaction log") {
				t.Errorf("%.20q as a log: %v", content, err)
			}
		}
	}

	files := NewMemFS()
	for _, dir := range []string{"/d/snapshot.5", "/d/log.5"} {
		if err := files.MkdirAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	found, err := Snapshots(Options{FS: files, SnapDir: "/d"})
	if err != nil || len(found) != 1 || !strings.Contains(found[0].Invalid, "a directory") {
		t.Errorf("a directory as a snapshot: %+v, %v", found, err)
	}
	if _, err = Replay(Options{FS: files, LogDir: "/d"}, 0, nil); err == nil ||
		!strings.Contains(err.Error(), "log.5 is a directory, not a transaction log") {
		t.Errorf("a directory as a log: %v", err)
	}
}

// What kindOf calls each form of snapshot is what a written one of that form is.
func TestKindOfSnapshots(t *testing.T) {
	for c := range compressions {
		c, files := Compression(c), NewMemFS()
		if err := files.MkdirAll("/d"); err != nil {
			t.Fatal(err)
		}
		path, _, err := WriteSnapshot(Options{FS: files, SnapDir: "/d"}, 1, c, func(w io.Writer) error {
			_, err := w.Write(append([]byte("ZKSN"), bytes.Repeat([]byte("data"), 999)...))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := kindOf(files, path); got != c.snapshotKind() || got == "" {
			t.Errorf("%v: %q, want %q", c, got, c.snapshotKind())
		}
	}
}
