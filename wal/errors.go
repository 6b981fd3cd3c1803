package wal

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrCorrupt matches every error about bytes on disk that no cut-off write explains.
var ErrCorrupt = errors.New("wal: corrupt file")

// A CorruptError says which bytes are bad and what an operator can do.
type CorruptError struct {
	File   string
	Offset int64
	Reason string
	Advice string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("wal: %s is corrupt at offset %d: %s; %s", e.File, e.Offset, e.Reason, e.Advice)
}

// Is makes errors.Is(err, ErrCorrupt) hold.
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

func corruptLog(file string, offset int64, reason string) error {
	return &CorruptError{File: file, Offset: offset, Reason: reason, Advice: fmt.Sprintf(
		"nothing was changed: restore the file from a copy; or, giving up every transaction from "+
			"here on, run: truncate -s %d %s, and move later log files away",
		offset, file)}
}

func corruptHeader(files FS, file string) error {
	if reason := notA(files, file, kindOfHead(fileMagic)); reason != "" {
		return &CorruptError{File: file, Reason: reason, Advice: "nothing was changed: if the log " +
			"file of this name is lost, restore it from a copy; if there never was one, move this away"}
	}
	return &CorruptError{File: file, Reason: "there is no header of a log file", Advice: fmt.Sprintf(
		"nothing was changed: if the rest of the file is well, put its first %d bytes back, which are "+
			"the same in all log files; else restore it from a copy", fileHeaderBytes)}
}

func corruptSnapshot(file string, offset int64, reason string) error {
	return &CorruptError{File: file, Offset: offset, Reason: reason,
		Advice: "move the file away: an older snapshot and the log are used instead"}
}

// A deniedError is a refusal of the operating system, with its reason.
type deniedError struct {
	err    error
	reason string
}

func (e *deniedError) Error() string { return e.err.Error() + ": " + e.reason }
func (e *deniedError) Unwrap() error { return e.err }

// explainDenied adds to a "permission denied" who may use the file, who we are, and what helps.
// The reason may be a directory above it.
func explainDenied(path string, writing bool, err error) error {
	if !errors.Is(err, unix.EACCES) {
		return err
	}
	path, abs := filepath.Abs(path)
	if abs != nil {
		return err
	}
	want := uint32(unix.R_OK)
	if writing {
		want |= unix.W_OK
	}
	for at := 1; at < len(path); at++ {
		if path[at] == '/' && !permits(path[:at], unix.X_OK) {
			return &deniedError{err, ownership(path[:at], "x")}
		}
	}
	switch _, missing := os.Lstat(path); {
	case missing != nil:
		path = filepath.Dir(path) // where it was to be made
		return &deniedError{err, ownership(path, "wx")}
	case permits(path, want):
		return &deniedError{err, "its owner and mode permit it; look for a security module " +
			"(SELinux, AppArmor) or a mount option"}
	case writing:
		return &deniedError{err, ownership(path, "rw")}
	}
	return &deniedError{err, ownership(path, "r")}
}

func permits(path string, mode uint32) bool {
	return unix.Faccessat(unix.AT_FDCWD, path, mode, unix.AT_EACCESS) == nil
}

// ownership tells whose a file or directory is, and what gives it to us.
func ownership(path, mode string) string {
	info, err := os.Stat(path)
	if err != nil {
		return err.Error()
	}
	owner, we := info.Sys().(*syscall.Stat_t).Uid, uint32(os.Geteuid())
	name, _, _ := strings.Cut(userName(we), " ")
	advice := fmt.Sprintf("chown %s %s", name, path)
	if owner == we {
		advice = fmt.Sprintf("chmod u+%s %s", mode, path)
	}
	return fmt.Sprintf("%s belongs to %s and has mode %04o, this process runs as %s: run %s", path,
		userName(owner), info.Mode().Perm(), userName(we), advice)
}

func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username + " (uid " + id + ")"
	}
	return id // it has no name here
}
