package wal

import (
	"errors"
	"io"
	"io/fs"
	"testing"
)

// On a dry disk everything can be tried, and nothing has happened to the real one.
func TestDry(t *testing.T) {
	files := NewMemFS()
	f, err := files.Create("/old")
	if err == nil {
		_, err = f.WriteAt([]byte("content"), 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	dry := Dry(files)
	old, err := dry.OpenWrite("/old")
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := dry.Create("/new")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []File{old, fresh} {
		_, err := f.WriteAt([]byte("lost"), 0)
		if err := errors.Join(err, f.Preallocate(99), f.Truncate(1), f.SyncData()); err != nil {
			t.Error(err)
		}
	}
	b := make([]byte, 7)
	if _, err := old.ReadAt(b, 0); err != nil || string(b) != "content" {
		t.Errorf("%q, %v", b, err)
	}
	if n, err := fresh.ReadAt(b, 0); n != 0 || err != io.EOF {
		t.Errorf("%d bytes, %v", n, err)
	}
	sizes := [2]int64{}
	for i, f := range []File{old, fresh} {
		if sizes[i], err = f.Size(); err != nil {
			t.Error(err)
		}
	}
	lock, err := dry.Lock("/dir/lock")
	if err := errors.Join(err, lock.Close(), old.Close(), fresh.Close(), dry.MkdirAll("/dir"),
		dry.Rename("/old", "/dir/moved"), dry.Remove("/old"), dry.SyncDir("/dir")); err != nil {
		t.Error(err)
	}
	if names, err := dry.List("/dir"); len(names) > 0 || err != nil {
		t.Errorf("a directory that is missing: %q, %v", names, err)
	}
	if _, err := dry.Create("/old"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a name that is taken: %v", err)
	}
	if names, err := files.List("/"); len(names) != 1 || err != nil || sizes != [2]int64{7, 0} {
		t.Errorf("the disk has %q, %v; sizes %v", names, err, sizes)
	}
}
