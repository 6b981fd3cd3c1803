package wal

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/meerkat-zk/meerkat/proto"
)

// TruncateLog drops every transaction above z, in an order that a power cut may interrupt:
//
//  1. snapshot files above z are removed: none may outlive the log it was made from;
//  2. log files that start above z are removed, newest first, each synced, so that what is
//     left is always a history without a hole;
//  3. the newest file left is cut behind the last record that is not above z, and synced.
//
// It refuses, and changes nothing, when that would leave no snapshot although there are some:
// the log below the oldest one may have been purged. Its caller must own the log. Java does
// steps 2 and 3, without a sync (FileTxnLog.truncate).
func TruncateLog(o Options, z proto.Zxid) error {
	if err := refuseBelowSnapshots(&o, z); err != nil {
		return err
	}
	if err := removeSnapshotsAbove(&o, z); err != nil {
		return fmt.Errorf("wal: truncate to %v: remove snapshots: %w", z, err)
	}
	files, err := logFiles(&o)
	if err != nil {
		return err
	}
	for len(files) > 0 {
		newest := files[len(files)-1]
		cut, err := cutFile(&o, newest, z)
		if errors.Is(err, ErrCorrupt) {
			return err
		}
		if err != nil {
			return fmt.Errorf("wal: truncate to %v: %w", z, err)
		}
		if cut {
			return nil
		}
		files = files[:len(files)-1]
	}
	return nil
}

var errAbove = errors.New("a record above the cut")

// cutFile cuts the newest file; it removes the file and returns false if nothing stays.
func cutFile(o *Options, f logFile, z proto.Zxid) (bool, error) {
	if f.zxid > z {
		return false, removeSynced(o.fs(), f.path)
	}
	r := newLogReader(o)
	defer r.close()
	if err := r.open(f.path); err != nil {
		return false, err
	}
	end := fileHeaderBytes
	s, err := r.scan(func(zxid proto.Zxid, txn []byte) error {
		if zxid > z {
			return errAbove
		}
		end += int64(recordFrameBytes + len(txn))
		return nil
	})
	if err != nil && err != errAbove {
		return false, err
	}
	if err == nil { // all records stay: whatever follows them must be padding
		t, err := r.judge(s.end)
		if err != nil {
			return false, err
		}
		if t.kind != tailClean {
			return false, corruptLog(f.path, s.end, t.reason)
		}
	}
	if end == fileHeaderBytes {
		return false, removeSynced(o.fs(), f.path)
	}
	return true, truncateFile(o.fs(), f.path, end)
}

func refuseBelowSnapshots(o *Options, z proto.Zxid) error {
	snapshots, err := Snapshots(*o)
	if err != nil {
		return err
	}
	oldest := ""
	for _, s := range snapshots {
		if s.Invalid != "" {
			continue
		}
		if s.Zxid <= z {
			return nil
		}
		oldest = s.Path
	}
	if oldest == "" {
		return nil
	}
	return fmt.Errorf("wal: cannot truncate to zxid %v: all snapshots, from %s on, are newer; "+
		"move this server's version-2 directories away and let it sync afresh", z, oldest)
}

// removeSnapshotsAbove removes all snapshot files above z, whatever their form, finished or
// not: a Java server takes a left-over temporary file for a snapshot.
func removeSnapshotsAbove(o *Options, z proto.Zxid) error {
	names, err := o.fs().List(o.SnapDir)
	if err != nil {
		return err
	}
	removed := false
	for _, name := range names {
		if n, ok := parseSnapshotName(name); ok && n.zxid > z {
			if err := o.fs().Remove(filepath.Join(o.SnapDir, name)); err != nil {
				return err
			}
			removed = true
		}
	}
	if !removed {
		return nil
	}
	return o.fs().SyncDir(o.SnapDir)
}
