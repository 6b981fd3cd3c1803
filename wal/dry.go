package wal

import (
	"errors"
	"io"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Dry is a file system to rehearse a start on: it shows what files holds, and what would change
// something does nothing. It seems to work where the operating system would permit it to this
// process; a full disk is not foreseen. A directory that is missing seems empty, for a start
// makes it. Locks are not taken.
func Dry(files FS) FS { return dryFS{files} }

type dryFS struct{ FS }

func (d dryFS) Create(name string) (File, error) {
	if _, err := d.Stat(name); err == nil {
		return nil, pathError("create", name, fs.ErrExist)
	}
	return dryFile{}, d.permits(filepath.Dir(name))
}

func (d dryFS) OpenWrite(name string) (File, error) {
	if err := d.permits(name); err != nil {
		return nil, err
	}
	f, err := d.OpenRead(name)
	return dryFile{f}, err
}

func (d dryFS) Rename(from, to string) error {
	return errors.Join(d.permits(filepath.Dir(from)), d.permits(filepath.Dir(to)))
}

func (d dryFS) Remove(name string) error  { return d.permits(filepath.Dir(name)) }
func (d dryFS) MkdirAll(dir string) error { return d.permits(dir) }
func (d dryFS) SyncDir(string) error      { return nil }

func (d dryFS) List(dir string) ([]string, error) {
	names, err := d.FS.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return names, err
}

// Space looks at the directory that is there above one that is missing.
func (d dryFS) Space(name string) (Space, error) {
	for {
		space, err := d.FS.Space(name)
		parent := filepath.Dir(name)
		if !errors.Is(err, fs.ErrNotExist) || parent == name {
			return space, err
		}
		name = parent
	}
}

func (d dryFS) Lock(name string) (io.Closer, error) { return dryFile{}, d.permits(name) }

// permits tells whether a file or directory may be written; one that is missing, whether it may
// be made where it would stand.
func (d dryFS) permits(name string) error {
	for {
		info, err := d.Stat(name)
		parent := filepath.Dir(name)
		switch {
		case errors.Is(err, fs.ErrNotExist) && parent != name:
			name = parent
			continue
		case err != nil:
			return err
		case d.FS != OS:
			return nil
		}
		mode := uint32(unix.W_OK)
		if info.Dir {
			mode |= unix.X_OK
		}
		return pathError("access", name, unix.Faccessat(unix.AT_FDCWD, name, mode, unix.AT_EACCESS))
	}
}

// A dryFile is an open file that keeps nothing of what is written.
type dryFile struct{ was File } // nil: a new one, which is empty

func (f dryFile) ReadAt(p []byte, off int64) (int, error) {
	if f.was == nil {
		return 0, io.EOF
	}
	return f.was.ReadAt(p, off)
}

func (f dryFile) Size() (int64, error) {
	if f.was == nil {
		return 0, nil
	}
	return f.was.Size()
}

func (f dryFile) Close() error {
	if f.was == nil {
		return nil
	}
	return f.was.Close()
}

func (dryFile) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (dryFile) SyncData() error                        { return nil }
func (dryFile) Preallocate(int64) error                { return nil }
func (dryFile) Truncate(int64) error                   { return nil }
