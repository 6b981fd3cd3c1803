package wal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// An FS is the boundary to the disk. Errors about missing and existing files match
// fs.ErrNotExist and fs.ErrExist; a full disk matches ENOSPC or EDQUOT.
type FS interface {
	// Create makes a new file for reading and writing; it fails if the name is taken.
	Create(name string) (File, error)
	// OpenRead opens a file for reading.
	OpenRead(name string) (File, error)
	// OpenWrite opens an existing file for reading and writing.
	OpenWrite(name string) (File, error)
	// Rename gives a file another name, in place of what had it, here or in another directory.
	Rename(from, to string) error
	// Remove removes a file, or a directory that is empty.
	Remove(name string) error
	// List returns the names in a directory, sorted.
	List(dir string) ([]string, error)
	// Stat describes a file or directory.
	Stat(name string) (Info, error)
	// MkdirAll creates a directory with its parents.
	MkdirAll(dir string) error
	// SyncDir makes created, renamed and removed names of a directory durable. Where the file
	// system cannot do that, the error matches errors.ErrUnsupported or EINVAL.
	SyncDir(dir string) error
	// Space tells how much room the file system of a file or directory has.
	Space(name string) (Space, error)
	// Lock takes an exclusive lock on a file, which it creates if need be, until the result is
	// closed or the process ends. A taken lock is a *LockedError; where the file system has no
	// locks, the error matches errors.ErrUnsupported or ENOLCK.
	Lock(name string) (io.Closer, error)
}

// A File is an open file of an FS.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// SyncData makes the content and the size durable (fdatasync).
	SyncData() error
	// Preallocate makes the file at least size bytes long and reserves the space; what is new
	// reads as zeros. A file system that cannot do that says so and changes nothing: the error
	// matches errors.ErrUnsupported or EINVAL.
	Preallocate(size int64) error
	// Truncate sets the size.
	Truncate(size int64) error
	// Size returns the size.
	Size() (int64, error)
}

// Info describes a file.
type Info struct {
	Size    int64
	ModTime time.Time
	Dir     bool
}

// Space is the room on a file system, in bytes, as a user without privileges has it.
type Space struct{ Total, Free int64 }

// A LockedError says that another process holds a lock.
type LockedError struct {
	Name  string
	Owner string // what the owner wrote into the file: its pid; may be empty
}

func (e *LockedError) Error() string {
	owner := "another process"
	if e.Owner != "" {
		owner = "process " + e.Owner
	}
	return fmt.Sprintf("wal: %s is locked by %s", e.Name, owner)
}

// OS is the operating system's file system.
var OS FS = osFS{}

// What is in the files is nobody's but the server's and its group's: data that ACLs guard on the
// wire must not be open to every user of the machine.
const (
	fileMode = 0o640
	dirMode  = 0o750
)

type osFS struct{}

type osFile struct{ *os.File }

func openOS(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag, fileMode)
	if err != nil {
		return nil, explainDenied(name, flag != os.O_RDONLY, err)
	}
	return osFile{f}, nil
}

func (osFS) Create(name string) (File, error) {
	return openOS(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}
func (osFS) OpenRead(name string) (File, error)  { return openOS(name, os.O_RDONLY) }
func (osFS) OpenWrite(name string) (File, error) { return openOS(name, os.O_RDWR) }
func (osFS) Rename(from, to string) error        { return os.Rename(from, to) }
func (osFS) Remove(name string) error            { return os.Remove(name) }
func (osFS) MkdirAll(dir string) error           { return os.MkdirAll(dir, dirMode) }

func (osFS) List(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, explainDenied(dir, false, err)
	}
	names, err := d.Readdirnames(-1)
	sort.Strings(names)
	return names, errors.Join(err, d.Close())
}

func (osFS) Stat(name string) (Info, error) {
	i, err := os.Stat(name)
	if err != nil {
		return Info{}, err
	}
	return Info{Size: i.Size(), ModTime: i.ModTime(), Dir: i.IsDir()}, nil
}

func (osFS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (osFS) Space(name string) (Space, error) {
	var st unix.Statfs_t
	for {
		err := unix.Statfs(name, &st)
		if err == unix.EINTR {
			continue
		}
		return Space{Total: int64(st.Blocks) * st.Bsize, Free: int64(st.Bavail) * st.Bsize},
			pathError("statfs", name, err)
	}
}

func (osFS) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, err
	}
	err = flock(f)
	if errors.Is(err, unix.EWOULDBLOCK) {
		owner, _ := io.ReadAll(io.LimitReader(f, 20)) // only to name the owner
		_ = f.Close()
		return nil, &LockedError{Name: name, Owner: strings.TrimSpace(string(owner))}
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = fmt.Fprintf(f, "%d\n", os.Getpid())
	}
	if err != nil && !isFull(err) { // the lock is held, whether or not it tells by whom
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func flock(f *os.File) error {
	for {
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != unix.EINTR {
			return pathError("flock", f.Name(), err)
		}
	}
}

func (f osFile) SyncData() error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); err != unix.EINTR {
			return pathError("fdatasync", f.Name(), err)
		}
	}
}

func (f osFile) Preallocate(size int64) error {
	for {
		if err := unix.Fallocate(int(f.Fd()), 0, 0, size); err != unix.EINTR {
			return pathError("fallocate", f.Name(), err)
		}
	}
}

func (f osFile) Size() (int64, error) {
	i, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return i.Size(), nil
}

func pathError(op, path string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: op, Path: path, Err: err}
}

// isFull tells whether an error means that the disk has no room.
func isFull(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// isUnsupported tells whether an error means that the file system lacks an operation. Network and
// user-space ones say EINVAL as well.
func isUnsupported(err error) bool {
	return errors.Is(err, errors.ErrUnsupported) || errors.Is(err, unix.EINVAL)
}

// removeSynced removes a file and makes that durable.
func removeSynced(fs FS, path string) error {
	if err := fs.Remove(path); err != nil {
		return err
	}
	return fs.SyncDir(filepath.Dir(path))
}

// A Lack is something that some network and user-space file systems do not have.
type Lack uint8

// What may be missing.
const (
	LackLocks   Lack = iota // nothing keeps a second server out
	LackDirSync             // a file that was created or renamed may lose its name in a power cut
	lacks
)

// Lenient goes on where files lacks something, and tells hear of it the first time, with the error.
// All other errors stay what they are. hear is called on whatever goroutine met it.
func Lenient(files FS, hear func(Lack, error)) FS {
	return &lenientFS{FS: files, hear: hear}
}

type lenientFS struct {
	FS
	hear func(Lack, error)
	told [lacks]sync.Once
}

func (l *lenientFS) without(what Lack, err error) {
	l.told[what].Do(func() { l.hear(what, err) })
}

func (l *lenientFS) SyncDir(dir string) error {
	err := l.FS.SyncDir(dir)
	if isUnsupported(err) {
		l.without(LackDirSync, err)
		return nil
	}
	return err
}

func (l *lenientFS) Lock(name string) (io.Closer, error) {
	lock, err := l.FS.Lock(name)
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, unix.ENOLCK) {
		l.without(LackLocks, err)
		return noLock{}, nil
	}
	return lock, err
}

type noLock struct{}

func (noLock) Close() error { return nil }
