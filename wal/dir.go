package wal

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// versionDir holds the files of version 2 of the formats (FileTxnSnapLog).
const versionDir = "version-2"

// lockName is the file in the data directory that a running server holds locked. Java knows
// nothing of it.
const lockName = "meerkat.lock"

// javaPidName is where zkServer.sh notes the process of a Java server.
const javaPidName = "zookeeper_server.pid"

// PrepareDirs returns the directories that Options need, <dataLogDir>/version-2 and
// <dataDir>/version-2, and creates them if autocreate is set. An empty dataLogDir means
// dataDir. Directories that hold each other's files are refused: most likely dataDir and
// dataLogDir were changed or swapped, and a server would start without its data.
func PrepareDirs(fs FS, dataDir, dataLogDir string, autocreate bool) (
	logDir, snapDir string, err error) {
	if dataLogDir == "" {
		dataLogDir = dataDir
	}
	snapDir = filepath.Join(dataDir, versionDir)
	logDir = filepath.Join(dataLogDir, versionDir)
	for _, dir := range []string{logDir, snapDir} {
		if err := prepareDir(fs, dir, autocreate); err != nil {
			return "", "", err
		}
	}
	if logDir == snapDir {
		return logDir, snapDir, nil
	}
	if err := refuseFiles(fs, logDir, "snapshot.", "log"); err != nil {
		return "", "", err
	}
	return logDir, snapDir, refuseFiles(fs, snapDir, "log.", "snapshot")
}

func prepareDir(files FS, dir string, autocreate bool) error {
	info, err := files.Stat(dir)
	switch {
	case err == nil && !info.Dir:
		return fmt.Errorf("wal: %s is not a directory", dir)
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("wal: data directory: %w", err)
	case !autocreate:
		return fmt.Errorf("wal: directory %s is missing and may not be created "+
			"(datadir.autocreate is false): create it", dir)
	}
	return makeDirs(files, dir)
}

// makeDirs creates a directory and makes it durable with all parents that it had to create.
func makeDirs(files FS, dir string) error {
	var sync []string
	for d := dir; ; d = filepath.Dir(d) {
		_, err := files.Stat(d)
		if err == nil || filepath.Dir(d) == d {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("wal: data directory: %w", err)
		}
		sync = append(sync, filepath.Dir(d))
	}
	if err := files.MkdirAll(dir); err != nil {
		return fmt.Errorf("wal: create data directory: %w", err)
	}
	for _, d := range sync {
		if err := files.SyncDir(d); err != nil {
			return fmt.Errorf("wal: create data directory: %w", err)
		}
	}
	return nil
}

func refuseFiles(fs FS, dir, prefix, kind string) error {
	names, err := fs.List(dir)
	if err != nil {
		return fmt.Errorf("wal: data directory: %w", err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, prefix) {
			return fmt.Errorf("wal: the %s directory %s holds %s: are dataDir and dataLogDir "+
				"set as they were? if so, move the file into the other directory", kind, dir, name)
		}
	}
	return nil
}

// LockDir takes the lock of a data directory, so that a second server cannot write there.
func LockDir(fs FS, dataDir string) (io.Closer, error) {
	lock, err := fs.Lock(filepath.Join(dataDir, lockName))
	var locked *LockedError
	if errors.As(err, &locked) {
		return nil, fmt.Errorf("wal: data directory %s is in use by another server: %w: "+
			"stop it, or give this one another dataDir", dataDir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("wal: lock data directory: %w", err)
	}
	return lock, nil
}

// CheckOthers looks for a Java server on the directories, which takes no lock: a process that has
// a log file open for writing, or that zkServer.sh started on the data directory. What belongs to
// other users cannot be seen, unless we are root.
func CheckOthers(dataDir, logDir string) error {
	own := strconv.Itoa(os.Getpid())
	if b, err := os.ReadFile(filepath.Join(dataDir, javaPidName)); err == nil {
		pid := strings.TrimSpace(string(b))
		cmd, _ := os.ReadFile(filepath.Join("/proc", pid, "cmdline")) // none: it has ended
		if pid != own && strings.Contains(string(cmd), "zookeeper") {
			return &othersError{logDir, pid, filepath.Join(dataDir, javaPidName) +
				" names it (if this is a copy, remove that file)"}
		}
	}
	return findWriter(logDir, "log.")
}

// CheckRunning looks for any server on the directories, ours as well, and takes no lock. It is for
// who will not write there.
func CheckRunning(dataDir, logDir string) error {
	if err := CheckOthers(dataDir, logDir); err != nil {
		return err
	}
	return findWriter(dataDir, lockName)
}

// findWriter looks for another process that has a file open for writing whose name begins so.
func findWriter(dir, prefix string) error {
	real, err := filepath.EvalSymlinks(dir)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		return fmt.Errorf("wal: data directory: %w", err)
	}
	own := strconv.Itoa(os.Getpid())
	prefix = filepath.Join(real, prefix)
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is well formed
	for _, link := range links {
		file, err := os.Readlink(link)
		if err != nil || !strings.HasPrefix(file, prefix) {
			continue
		}
		process := filepath.Dir(filepath.Dir(link))
		if pid := filepath.Base(process); pid != own && opensForWriting(process, filepath.Base(link)) {
			return &othersError{dir, pid, "it has " + file + " open"}
		}
	}
	return nil
}

// opensForWriting looks at a descriptor's flags (proc(5), fdinfo).
func opensForWriting(process, fd string) bool {
	b, _ := os.ReadFile(filepath.Join(process, "fdinfo", fd))
	for line := range strings.Lines(string(b)) {
		if octal, ok := strings.CutPrefix(line, "flags:"); ok {
			flags, err := strconv.ParseInt(strings.TrimSpace(octal), 8, 64)
			return err == nil && flags&unix.O_ACCMODE != unix.O_RDONLY
		}
	}
	return false
}

// An othersError says who uses a directory without a lock, and how that is known.
type othersError struct{ dir, pid, why string }

func (e *othersError) Error() string {
	name, _ := os.ReadFile(filepath.Join("/proc", e.pid, "comm"))
	return fmt.Sprintf("wal: %s is in use by process %s (%s): %s; stop it first", e.dir, e.pid,
		strings.TrimSpace(string(name)), e.why)
}

// DirSize sums up the files of a directory, as the words dirs and conf show it.
func DirSize(files FS, dir string) (int64, error) {
	names, err := files.List(dir)
	if err != nil {
		return 0, fmt.Errorf("wal: size of %s: %w", dir, err)
	}
	var sum int64
	for _, name := range names {
		info, err := files.Stat(filepath.Join(dir, name))
		switch {
		case errors.Is(err, fs.ErrNotExist): // removed since it was listed
		case err != nil:
			return 0, fmt.Errorf("wal: size of %s: %w", dir, err)
		case !info.Dir:
			sum += info.Size
		}
	}
	return sum, nil
}

// Snapshots without the logs behind them are an old state, which looks as whole as a new one. A
// dataLogDir that was forgotten in a new zoo.cfg, a volume that was not mounted, a copy of one
// directory of two: each would silently take back what was acknowledged. So the two directories
// know each other by an id that is in both, which moves and copies with them:
//
//	<dataDir>/version-2/meerkat.logdir    the id, and where the logs were at the last start
//	<dataLogDir>/version-2/meerkat.logs   the id
//
// Directories that no Meerkat has served have neither. Java passes over both files.
const (
	pairMemory = "meerkat.logdir"
	pairMark   = "meerkat.logs"
)

// Pair refuses snapshots whose logs are elsewhere, and makes the directories of others know each
// other. Where there is no snapshot nothing can be lost, and where the disk is full no file is
// written.
func Pair(o Options) error {
	id, logDir, err := readPair(&o)
	if err != nil {
		return err
	}
	mark, err := readLine(o.fs(), filepath.Join(o.LogDir, pairMark))
	if err != nil {
		return err
	}
	if id != "" && id != mark {
		snapshots, err := Snapshots(o)
		if err != nil {
			return err
		}
		if len(snapshots) > 0 {
			return &PairError{Snapshots: o.SnapDir, Logs: o.LogDir, Last: logDir,
				Memory: filepath.Join(o.SnapDir, pairMemory), Others: mark != ""}
		}
		id = ""
	}
	at, err := filepath.Abs(o.LogDir)
	if err != nil || id != "" && logDir == at {
		return err
	}
	if err := o.writePair(mark, at); err != nil && !isFull(err) {
		return fmt.Errorf("wal: note where the logs are: %w", err)
	}
	return nil
}

// writePair makes both files, the logs' first: snapshots that know of none are refused.
func (o *Options) writePair(mark, at string) error {
	if mark == "" {
		id := make([]byte, 8)
		_, _ = rand.Read(id) // it never fails
		mark = hex.EncodeToString(id)
		if err := replaceText(o.fs(), filepath.Join(o.LogDir, pairMark), mark+"\n"); err != nil {
			return err
		}
	}
	return replaceText(o.fs(), filepath.Join(o.SnapDir, pairMemory), mark+" "+at+"\n")
}

// readPair reads what the snapshots know of their logs; "" if nothing.
func readPair(o *Options) (id, logDir string, err error) {
	line, err := readLine(o.fs(), filepath.Join(o.SnapDir, pairMemory))
	id, logDir, _ = strings.Cut(line, " ")
	return id, logDir, err
}

// readLine reads a file of one line; one that is missing is empty.
func readLine(files FS, path string) (string, error) {
	f, err := files.OpenRead(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("wal: where the logs are: %w", err)
	}
	defer f.Close() // nothing was written
	const pathBytesMax = 4096
	text, err := io.ReadAll(io.NewSectionReader(f, 0, pathBytesMax+100))
	if err != nil {
		return "", fmt.Errorf("wal: where the logs are: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return line, nil
}

// A PairError says that the logs behind the snapshots are not where they are looked for.
type PairError struct {
	Snapshots, Logs string // the directories
	Last            string // where the logs were
	Memory          string // the file that knows
	Others          bool   // Logs belongs to other snapshots
}

func (e *PairError) Error() string {
	found := "holds none of them (is dataLogDir set as it was, and its volume mounted?)"
	if e.Others {
		found = "belongs to the snapshots of another server"
	}
	return fmt.Sprintf("wal: the logs behind the snapshots in %s were in %s, and %s %s: a start "+
		"without them would take back what was written since the newest snapshot; set dataLogDir=%s, or "+
		"move the log files with %s; to start without them all the same: rm %s", e.Snapshots, e.Last,
		e.Logs, found, filepath.Dir(e.Last), pairMark, e.Memory)
}

// HasLogs tells whether there is any log file.
func HasLogs(o Options) (bool, error) {
	files, err := logFiles(&o)
	return len(files) > 0, err
}
