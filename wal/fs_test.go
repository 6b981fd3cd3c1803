package wal

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Both file systems behave alike in what the package relies on.
func TestFileSystems(t *testing.T) {
	for name, files := range map[string]FS{"os": OS, "mem": NewMemFS()} {
		t.Run(name, func(t *testing.T) { testFS(t, files, filepath.Join(t.TempDir(), "a/b")) })
	}
}

func testFS(t *testing.T, files FS, dir string) {
	check := func(err error, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Fatalf("got %v, want %v", err, want)
		}
	}
	x, y := filepath.Join(dir, "x"), filepath.Join(dir, "y")
	_, err := files.List(dir)
	check(err, fs.ErrNotExist)
	check(files.MkdirAll(dir), nil)
	check(files.MkdirAll(dir), nil)
	_, err = files.OpenRead(x)
	check(err, fs.ErrNotExist)
	_, err = files.OpenWrite(x)
	check(err, fs.ErrNotExist)
	check(files.Remove(x), fs.ErrNotExist)
	check(files.Rename(x, y), fs.ErrNotExist)

	f, err := files.Create(x)
	check(err, nil)
	_, err = files.Create(x)
	check(err, fs.ErrExist)
	_, err = f.WriteAt([]byte("hello"), 3)
	check(err, nil)
	check(f.Preallocate(100), nil)
	check(f.Preallocate(50), nil)
	check(f.SyncData(), nil)
	if size, err := f.Size(); size != 100 || err != nil {
		t.Fatal(size, err)
	}
	check(f.Truncate(6), nil)
	check(f.Truncate(8), nil)
	check(f.Close(), nil)
	if got := content(t, files, x); got != "\x00\x00\x00hel\x00\x00" {
		t.Fatalf("%q", got)
	}
	check(files.Rename(x, y), nil)
	check(files.SyncDir(dir), nil)
	info, err := files.Stat(y)
	check(err, nil)
	if info.Size != 8 || info.Dir || info.ModTime.IsZero() {
		t.Fatalf("%+v", info)
	}
	if info, err := files.Stat(dir); err != nil || !info.Dir {
		t.Fatal(info, err)
	}
	putFile(t, files, x, "")
	if names, err := files.List(dir); err != nil || strings.Join(names, " ") != "x y" {
		t.Fatal(names, err)
	}
	check(files.Remove(y), nil)
	testLock(t, files, dir)
}

func testLock(t *testing.T, files FS, dir string) {
	lock, err := LockDir(files, dir)
	if err != nil {
		t.Fatal(err)
	}
	var locked *LockedError
	_, err = LockDir(files, dir)
	if !errors.As(err, &locked) || !strings.Contains(err.Error(), dir) {
		t.Fatal(err)
	}
	t.Log(err)
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if lock, err = LockDir(files, dir); err != nil {
		t.Fatal(err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
}

// What was synced survives every crash; what was not, only some.
func TestCrashCloneKeepsWhatWasSynced(t *testing.T) {
	m := NewMemFS()
	dir := "/d"
	sync := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	sync(m.MkdirAll(dir))
	sync(m.SyncDir("/"))
	f, _ := m.Create("/d/kept")
	_, _ = f.WriteAt([]byte("synced"), 0)
	sync(f.SyncData())
	sync(m.SyncDir(dir))
	_, _ = f.WriteAt([]byte("x"), 600) // another sector
	g, _ := m.Create("/d/new")
	sync(g.SyncData())
	sync(m.Rename("/d/new", "/d/renamed"))
	seen := map[string]bool{}
	for seed := range uint64(200) {
		c := m.CrashClone(rand.New(rand.NewPCG(seed, 1)))
		names, err := c.List(dir)
		sync(err)
		b := content(t, c, "/d/kept")
		if !strings.HasPrefix(b, "synced") {
			t.Fatalf("seed %d: %q", seed, b)
		}
		if len(b) > 600 && b[600] == 'x' {
			seen["write"] = true
		} else {
			seen["lost write"] = true
		}
		seen[strings.Join(names, " ")] = true
	}
	want := []string{"write", "lost write", "kept", "kept new", "kept renamed"}
	for _, w := range want {
		if !seen[w] {
			t.Errorf("never seen: %s", w)
		}
	}
	if len(seen) != len(want) {
		t.Errorf("seen: %v", seen)
	}
}

func TestPrepareDirs(t *testing.T) {
	root := t.TempDir()
	data, logs := filepath.Join(root, "data"), filepath.Join(root, "logs")
	if _, _, err := PrepareDirs(OS, data, logs, false); err == nil ||
		!strings.Contains(err.Error(), "autocreate") {
		t.Fatal(err)
	}
	logDir, snapDir, err := PrepareDirs(OS, data, logs, true)
	if err != nil || logDir != logs+"/version-2" || snapDir != data+"/version-2" {
		t.Fatal(logDir, snapDir, err)
	}
	putFile(t, OS, filepath.Join(snapDir, "snapshot.0"), "12345")
	putFile(t, OS, filepath.Join(logDir, "log.1"), "123")
	if logDir, snapDir, err := PrepareDirs(OS, data, logs, false); err != nil {
		t.Fatal(logDir, snapDir, err)
	}
	if size, err := DirSize(OS, snapDir); size != 5 || err != nil {
		t.Fatal(size, err)
	}
	if _, _, err := PrepareDirs(OS, logs, data, true); err == nil ||
		!strings.Contains(err.Error(), "snapshot.0") {
		t.Fatal(err) // swapped
	}
	if _, _, err := PrepareDirs(OS, data, "", true); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := PrepareDirs(OS, file, "", true); err == nil {
		t.Fatal("a file was taken for a directory")
	}
}

func TestEpochFiles(t *testing.T) {
	m := NewMemFS()
	o := testOptions(t, m)
	if _, err := ReadEpoch(m, o.SnapDir, CurrentEpoch); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, epoch := range []int64{0, 7, 4294967295} {
		if err := WriteEpoch(m, o.SnapDir, CurrentEpoch, epoch); err != nil {
			t.Fatal(err)
		}
		c := m.CrashClone(rand.New(rand.NewPCG(1, 1)))
		if got, err := ReadEpoch(c, o.SnapDir, CurrentEpoch); got != epoch || err != nil {
			t.Fatal(got, err)
		}
	}
	for _, bad := range []string{"", "x", "-1", "1 2"} {
		_ = m.Remove(filepath.Join(o.SnapDir, AcceptedEpoch))
		putFile(t, m, filepath.Join(o.SnapDir, AcceptedEpoch), bad)
		if _, err := ReadEpoch(m, o.SnapDir, AcceptedEpoch); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// What a file system lacks is told once and done without. All other errors are errors: one of a
// disk, a lock that another holds, a file that cannot be synced.
func TestLenient(t *testing.T) {
	codes := map[Lack][]unix.Errno{
		LackDirSync: {unix.EINVAL, unix.EOPNOTSUPP, unix.ENOSYS},
		LackLocks:   {unix.ENOLCK, unix.EOPNOTSUPP, unix.ENOSYS},
	}
	kinds := map[Lack]string{LackDirSync: "syncdir", LackLocks: "lock"}
	for lack, kind := range kinds {
		for _, code := range append(codes[lack], unix.EIO, unix.ENOSPC, unix.EINTR) {
			m, told := NewMemFS(), []Lack(nil)
			m.Inject(func(op Op) error {
				if op.Kind == kind {
					return code
				}
				return nil
			})
			files := Lenient(m, func(what Lack, err error) {
				if !errors.Is(err, code) {
					t.Errorf("%v: told of %v", code, err)
				}
				told = append(told, what)
			})
			for range 3 {
				err := files.SyncDir("/")
				if lack == LackLocks {
					_, err = LockDir(files, "/")
				}
				lacks := slices.Contains(codes[lack], code)
				if lacks && err != nil || !lacks && !errors.Is(err, code) {
					t.Errorf("%s with %v: %v", kind, code, err)
				}
				if lacks != slices.Equal(told, []Lack{lack}) {
					t.Errorf("%s with %v: told of %v", kind, code, told)
				}
			}
		}
	}
	m := NewMemFS()
	files := Lenient(m, func(what Lack, err error) { t.Error(what, err) })
	if _, err := LockDir(files, "/"); err != nil {
		t.Fatal(err)
	}
	var locked *LockedError
	if _, err := LockDir(files, "/"); !errors.As(err, &locked) {
		t.Errorf("a lock that is held: %v", err)
	}
}
