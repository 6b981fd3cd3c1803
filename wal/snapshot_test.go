package wal

import (
	"errors"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
)

var forms = []Compression{None, Gzip, Snappy, Zstd}

// Streams of many sizes come out as they went in.
func TestSnapshotForms(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, c := range forms {
		for _, n := range []int{0, 1, snappyBlockBytes - 1, snappyBlockBytes, 300_001, 9 << 20} {
			o := testOptions(t, NewMemFS())
			stream := make([]byte, n, n+len(snapshotEnd)+10)
			for i := range stream {
				stream[i] = byte(rng.UintN(256)) & 0x3f
			}
			stream = append(stream, "0123456789"+snapshotEnd...)
			path, size, err := WriteSnapshot(o, 0x1f, c, writeInPieces(rng, stream))
			if err != nil {
				t.Fatal(err)
			}
			list, err := Snapshots(o)
			if err != nil || len(list) != 1 || list[0].Path != path || list[0].Size != size ||
				list[0].Invalid != "" || list[0].Compression != c || list[0].Zxid != 0x1f {
				t.Fatalf("%v of %d: %+v, %v", c, n, list, err)
			}
			if got, err := readSnapshot(o, list[0]); err != nil || got != string(stream) {
				t.Fatalf("%v of %d: %d bytes came back, %v", c, n, len(got), err)
			}
		}
	}
}

func writeInPieces(rng *rand.Rand, b []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		for len(b) > 0 {
			n := min(len(b), 1+rng.IntN(70_000))
			if _, err := w.Write(b[:n]); err != nil {
				return err
			}
			b = b[n:]
		}
		return nil
	}
}

func readSnapshot(o Options, s SnapshotFile) (string, error) {
	r, err := s.Open(o.FS)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(r)
	return string(b), errors.Join(err, r.Close())
}

// A compressed file that was cut says so; one that starts wrong is listed as invalid.
func TestDamagedSnapshot(t *testing.T) {
	for _, c := range forms[1:] {
		o := testOptions(t, NewMemFS())
		path, size, err := WriteSnapshot(o, 1, c, writeString(strings.Repeat("0123456789abc", 9999)))
		if err != nil {
			t.Fatal(err)
		}
		f, err := o.FS.OpenWrite(path)
		if err == nil {
			err = f.Truncate(size - 3)
		}
		if err != nil {
			t.Fatal(err)
		}
		_, err = readSnapshot(o, SnapshotFile{Path: path, Compression: c})
		var corrupt *CorruptError
		if !errors.Is(err, ErrCorrupt) || !errors.As(err, &corrupt) || corrupt.File != path {
			t.Errorf("%v cut: %v", c, err)
		}
		if _, err := f.WriteAt([]byte{0}, 0); err != nil {
			t.Fatal(err)
		}
		if list, err := Snapshots(o); err != nil || list[0].Invalid == "" {
			t.Errorf("%v with a bad magic: %+v, %v", c, list, err)
		}
		if _, err = readSnapshot(o, SnapshotFile{Path: path, Compression: c}); err == nil {
			t.Errorf("%v with a bad magic was read", c)
		}
	}
}

// Names that are none of ours, and Java's quick check of plain files.
func TestSnapshotNames(t *testing.T) {
	o := testOptions(t, NewMemFS())
	for name, text := range map[string]string{
		"snapshot.a": "0123456789" + snapshotEnd, "snapshot.B": "01234" + snapshotEnd,
		"snapshot.1": "123", "snapshot.2": "0123456789abcdef", "snapshot.3": "",
		"snapshot.x": "", "snapshot.": "", "snapshot": "", "snapshot.5.tmp": "", "snapshot.6.bz2": "",
		"snapshot.-1": "", "snapshot.ffffffffffffffff": "", "log.1": "", "acceptedEpoch": "",
	} {
		putFile(t, o.FS, filepath.Join(o.SnapDir, name), text)
	}
	list, err := Snapshots(o)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range list {
		state := "ok"
		if s.Invalid != "" {
			state = "invalid"
		}
		got = append(got, filepath.Base(s.Path)+" "+state)
	}
	want := "snapshot.B ok, snapshot.a ok, snapshot.3 invalid, snapshot.2 invalid, snapshot.1 invalid"
	if s := strings.Join(got, ", "); s != want {
		t.Errorf("%s, want %s", s, want)
	}
}

// A failing writer leaves nothing behind, and an older temporary file is in nobody's way.
func TestSnapshotWriterFails(t *testing.T) {
	boom := errors.New("boom")
	for _, c := range forms {
		o := testOptions(t, NewMemFS())
		putFile(t, o.FS, filepath.Join(o.SnapDir, snapshotName{zxid: 7, compression: c}.String()+".tmp"),
			"left over")
		_, _, err := WriteSnapshot(o, 7, c, func(w io.Writer) error {
			if _, err := io.WriteString(w, strings.Repeat("x", 1<<20)); err != nil {
				return err
			}
			return boom
		})
		if names, _ := o.FS.List(o.SnapDir); !errors.Is(err, boom) || len(names) > 0 {
			t.Errorf("%v: %v, left %v", c, err, names)
		}
	}
}
