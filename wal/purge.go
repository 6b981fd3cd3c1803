package wal

import (
	"fmt"
	"path/filepath"

	"github.com/meerkat-zk/meerkat/proto"
)

// RetainMin is the least number of snapshots that Purge keeps (PurgeTxnLog).
const RetainMin = 3

// Purge removes what the newest retain valid snapshots do not need, and returns what it
// removed. It keeps:
//
//   - those snapshots, and every newer file;
//   - the log files that hold transactions above the oldest of them: all whose name is above
//     it, and the newest one whose name is not, for its later records may be;
//   - the log files that hold transactions from keepLogsFrom on, by the same rule: the lowest
//     cursor of a learner. Pass math.MaxInt64 when there is none.
//
// Temporary snapshot files go when a finished snapshot is as new: nobody writes them any more.
// With fewer than retain valid snapshots nothing else is removed. Snapshots go first, then
// logs, oldest first, so that an interruption leaves no snapshot that lost its log while a
// newer file could still be mistaken for its continuation.
func Purge(o Options, retain int, keepLogsFrom proto.Zxid) (removed []string, err error) {
	retain = max(retain, RetainMin)
	snapshots, err := Snapshots(o)
	if err != nil {
		return nil, err
	}
	var valid []SnapshotFile
	for _, s := range snapshots {
		if s.Invalid == "" {
			valid = append(valid, s)
		}
	}
	if len(valid) == 0 {
		return nil, nil
	}
	floor := proto.Zxid(0) // too few snapshots: all of them stay
	if len(valid) >= retain {
		floor = valid[retain-1].Zxid
	}
	p := purge{o: &o}
	if err := p.snapshots(floor, valid[0].Zxid); err != nil {
		return p.removed, err
	}
	return p.removed, p.logs(min(floor, keepLogsFrom))
}

type purge struct {
	o       *Options
	removed []string
}

func (p *purge) snapshots(floor, newest proto.Zxid) error {
	names, err := p.o.fs().List(p.o.SnapDir)
	if err != nil {
		return fmt.Errorf("wal: purge: %w", err)
	}
	before := len(p.removed)
	for _, name := range names {
		n, ok := parseSnapshotName(name)
		if !ok {
			continue
		}
		if n.temporary && n.zxid <= newest || !n.temporary && n.zxid < floor {
			if err := p.remove(filepath.Join(p.o.SnapDir, name)); err != nil {
				return err
			}
		}
	}
	return p.sync(p.o.SnapDir, before)
}

func (p *purge) logs(floor proto.Zxid) error {
	files, err := logFiles(p.o)
	if err != nil {
		return fmt.Errorf("wal: purge: %w", err)
	}
	before := len(p.removed)
	for _, f := range files[:len(files)-len(logsFrom(files, floor))] {
		if err := p.remove(f.path); err != nil {
			return err
		}
	}
	return p.sync(p.o.LogDir, before)
}

func (p *purge) remove(path string) error {
	if err := p.o.fs().Remove(path); err != nil {
		return fmt.Errorf("wal: purge: %w", err)
	}
	p.removed = append(p.removed, path)
	return nil
}

// sync makes removals durable, if there were any since before.
func (p *purge) sync(dir string, before int) error {
	if len(p.removed) == before {
		return nil
	}
	if err := p.o.fs().SyncDir(dir); err != nil {
		return fmt.Errorf("wal: purge: %w", err)
	}
	return nil
}
