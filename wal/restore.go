package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/meerkat-zk/meerkat/proto"
)

// A restore puts a snapshot in the place of the whole state. Its zxid z is above every zxid on
// disk, so that one rename decides, and nothing that lies there can replay on top of it:
//
//  1. PrepareRestore makes a folder, before-restore-<z>, beside each version-2.
//  2. WriteSnapshot writes snapshot.<z>. Its commit point is the restore's: a start finds the old
//     state before it and the new one after it.
//  3. The log goes on in a new file behind z (Item.Restart).
//  4. SetAside moves the old snapshots and logs into the folder, which is laid out as a data
//     directory: a server with dataDir=before-restore-<z>, and dataLogDir likewise where that is
//     apart, has the old state.
//
// A crash between 2 and 4 leaves old files among the new ones. They mean nothing any more, but
// purging would remove them in time: the next start finds the folder and does step 4 again
// (Restores). A crash before 2 leaves an empty folder, which the next start removes.

// restorePrefix is how the folders for old files begin.
const restorePrefix = "before-restore-"

func restoreDir(dir string, z proto.Zxid) string {
	return filepath.Join(filepath.Dir(dir), restorePrefix+strconv.FormatInt(int64(z), 16))
}

// RestoreDir is the folder of a restore beside the snapshots.
func RestoreDir(o Options, z proto.Zxid) string { return restoreDir(o.SnapDir, z) }

// versionDirs are the directories of snapshots and logs, which may be one.
func (o *Options) versionDirs() []string {
	if o.LogDir == o.SnapDir {
		return []string{o.SnapDir}
	}
	return []string{o.SnapDir, o.LogDir}
}

// PrepareRestore makes the folders for the old files of a restore, durably.
func PrepareRestore(o Options, z proto.Zxid) error {
	for _, dir := range o.versionDirs() {
		if err := makeDirs(o.fs(), filepath.Join(restoreDir(dir, z), versionDir)); err != nil {
			return fmt.Errorf("wal: prepare a restore: %w", err)
		}
	}
	return nil
}

// AbandonRestore removes the folders of a restore that did not come to be; one that holds
// something stays.
func AbandonRestore(o Options, z proto.Zxid) error {
	for _, dir := range o.versionDirs() {
		top := restoreDir(dir, z)
		for _, d := range []string{filepath.Join(top, versionDir), top} {
			names, err := o.fs().List(d)
			if err == nil && len(names) == 0 {
				err = o.fs().Remove(d)
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("wal: abandon a restore: %w", err)
			}
		}
	}
	return nil
}

// Restores lists the zxids of all restores that have a folder beside the snapshots.
func Restores(o Options) ([]proto.Zxid, error) {
	names, err := o.fs().List(filepath.Dir(o.SnapDir))
	if err != nil {
		return nil, fmt.Errorf("wal: list restores: %w", err)
	}
	var all []proto.Zxid
	for _, name := range names {
		if hex, ok := strings.CutPrefix(name, restorePrefix); ok {
			if z, ok := parseHexZxid(hex); ok {
				all = append(all, z)
			}
		}
	}
	return all, nil
}

// SetAside moves what the snapshot of zxid z does not need into the folder of its restore, and
// returns how many files it moved: snapshots below z, and log files without a record above it.
// So it is right even where z was no restore's: who calls it has read a snapshot not below z.
// A log that is being written may go on, behind z.
func SetAside(o Options, z proto.Zxid) (moved int, err error) {
	old, err := below(&o, z)
	if err != nil || len(old) == 0 {
		return 0, err
	}
	if err := PrepareRestore(o, z); err != nil { // an operator may have removed it
		return 0, err
	}
	for _, path := range old {
		to := filepath.Join(restoreDir(filepath.Dir(path), z), versionDir, filepath.Base(path))
		if err := o.fs().Rename(path, to); err != nil {
			return moved, fmt.Errorf("wal: set aside: %w", err)
		}
		moved++
	}
	for _, dir := range o.versionDirs() {
		for _, d := range []string{filepath.Join(restoreDir(dir, z), versionDir), dir} {
			if err := o.fs().SyncDir(d); err != nil {
				return moved, fmt.Errorf("wal: set aside: %w", err)
			}
		}
	}
	return moved, nil
}

// below lists the files that only the state below z needs.
func below(o *Options, z proto.Zxid) (paths []string, err error) {
	names, err := o.fs().List(o.SnapDir)
	if err != nil {
		return nil, fmt.Errorf("wal: set aside: %w", err)
	}
	for _, name := range names {
		if n, ok := parseSnapshotName(name); ok && n.zxid < z {
			paths = append(paths, filepath.Join(o.SnapDir, name))
		}
	}
	files, err := logFiles(o)
	if err != nil {
		return nil, err
	}
	needed := logsFrom(files, z)
	for _, f := range files[:len(files)-len(needed)] {
		paths = append(paths, f.path)
	}
	if len(needed) == 0 || needed[0].zxid > z {
		return paths, nil
	}
	// The newest file that begins below z: its records decide.
	r := newLogReader(o)
	defer r.close()
	if err := r.open(needed[0].path); err != nil {
		return nil, err
	}
	s, err := r.scan(nil)
	if err != nil {
		return nil, err
	}
	if s.last <= z {
		paths = append(paths, needed[0].path)
	}
	return paths, nil
}
