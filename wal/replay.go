package wal

import (
	"errors"
	"fmt"

	"github.com/meerkat-zk/meerkat/proto"
)

// Replay visits the records above from, oldest first, and returns the zxid of the last one,
// or from if there is none. It reads the newest file whose name is not above from+1, and all
// later ones. A txn is valid during its visit only. An error of visit ends the replay and is
// returned as it is.
//
// Replay is for the start, before OpenLog, when nobody writes: it repairs. In this order:
//
//  1. newest files without a single record, left by a crash between creating a file and its
//     first record, are set aside;
//  2. records are visited, and what stands behind the last one of each file is judged (tail.go);
//  3. what is corrupt ends the replay with a CorruptError, and nothing was changed;
//  4. the torn tail of the last file is cut off, the files of step 1 are removed, all synced.
//
// A file that is not the last may have a torn tail too: a Java server that was killed leaves it
// and starts another file. It is passed over when the next file shows that its records never
// counted. A hole between two files is no error here, for a learner that was sent a snapshot
// leaves one: the caller, who knows the snapshot, sees all zxids.
func Replay(o Options, from proto.Zxid, visit func(zxid proto.Zxid, txn []byte) error) (
	last proto.Zxid, err error) {
	p := replay{o: &o, from: from, last: from, visit: visit, judged: true,
		r: newLogReader(&o)}
	defer p.r.close()
	if err := p.run(); err != nil {
		return p.last, err
	}
	return p.last, p.repair()
}

// Read is Replay while a Log may be writing: it changes nothing, and ends without an error at
// the first record of the newest file that is not whole yet.
func Read(o Options, from proto.Zxid, visit func(zxid proto.Zxid, txn []byte) error) (
	last proto.Zxid, err error) {
	p := replay{o: &o, from: from, last: from, visit: visit, r: newLogReader(&o)}
	defer p.r.close()
	return p.last, p.run()
}

type replay struct {
	o      *Options
	from   proto.Zxid
	last   proto.Zxid
	visit  func(proto.Zxid, []byte) error
	judged bool // the end of the newest file is judged as well
	r      logReader

	empty []emptyFile // newest files without a record, newest first
	torn  *Repair     // the end of the last file with records
}

type emptyFile struct {
	logFile
	tail tail
}

func (p *replay) run() error {
	files, err := logFiles(p.o)
	if err != nil {
		return err
	}
	if p.judged {
		if files, err = p.setAsideEmpty(files); err != nil {
			return err
		}
	}
	files = logsFrom(files, p.from+1)
	var tails tailCheck
	for i, f := range files {
		if err := p.file(f, i == len(files)-1, &tails); err != nil {
			return err
		}
	}
	return nil
}

// setAsideEmpty takes the newest files without a record off the list.
func (p *replay) setAsideEmpty(files []logFile) ([]logFile, error) {
	for len(files) > 0 {
		f := files[len(files)-1]
		s, err := p.firstRecord(f)
		if err != nil || s.records > 0 {
			return files, err
		}
		t, err := p.r.judge(s.end)
		if err != nil {
			return nil, err
		}
		// Of a header that is not there, nothing but zeros or too short a file can be right.
		if s.end == 0 && t.kind != tailClean && !p.headerCut() {
			return nil, corruptHeader(p.o.fs(), f.path)
		}
		if s.end > 0 && t.kind == tailCorrupt {
			return nil, corruptLog(f.path, s.end, t.reason)
		}
		p.empty = append(p.empty, emptyFile{f, t})
		files = files[:len(files)-1]
	}
	return files, nil
}

// headerCut tells whether the open file is a prefix of a header.
func (p *replay) headerCut() bool {
	if p.r.size >= fileHeaderBytes {
		return false
	}
	b, err := p.r.bytes(0, int(p.r.size))
	return err == nil && string(b) == fileHeader[:p.r.size]
}

var errFirst = errors.New("the first record is enough")

func (p *replay) firstRecord(f logFile) (span, error) {
	if err := p.r.open(f.path); err != nil {
		return span{}, err
	}
	s, err := p.r.scan(func(proto.Zxid, []byte) error { return errFirst })
	if err == errFirst {
		err = nil
	}
	return s, err
}

// A tailCheck is the verdict on the end of a file that waits for the next file.
type tailCheck struct {
	pending bool
	tail    tail
	repair  Repair
}

// file visits one file, judges what stands behind its last record, and completes the verdict
// on the file before it.
func (p *replay) file(f logFile, newest bool, tails *tailCheck) error {
	if err := p.r.open(f.path); err != nil {
		return err
	}
	before := tails
	settled := false
	s, err := p.r.scan(func(z proto.Zxid, txn []byte) error {
		if !settled {
			settled = true
			if err := p.supersede(before, z); err != nil {
				return err
			}
		}
		if z <= p.from {
			return nil
		}
		p.last = z
		return p.visit(z, txn)
	})
	if err != nil || newest && !p.judged {
		return err
	}
	if s.end == 0 {
		return corruptHeader(p.o.fs(), f.path)
	}
	t, err := p.r.judge(s.end)
	if err != nil || t.kind == tailClean {
		return err
	}
	r := Repair{File: f.path, Offset: s.end, Dropped: t.bytes, Reason: t.reason, After: s.last}
	if !newest {
		if s.records == 0 {
			r.After = f.zxid - 1
		}
		*tails = tailCheck{pending: true, tail: t, repair: r}
		return nil
	}
	if t.kind == tailCorrupt {
		return corruptLog(f.path, s.end, t.reason)
	}
	p.torn = &r
	return nil
}

// supersede settles the verdict on the bad end of a file whose successor starts at next. Had
// its records counted, the successor would start above them. So within an epoch a successor
// that goes on without a hole proves that they did not; a new epoch proves nothing, and leaves
// it to what the bytes look like.
func (p *replay) supersede(c *tailCheck, next proto.Zxid) error {
	if !c.pending {
		return nil
	}
	after := c.repair.After
	goesOn := next <= after+1
	if next.Epoch() > after.Epoch() {
		goesOn = c.tail.kind == tailTorn
	}
	if !goesOn {
		return corruptLog(c.repair.File, c.repair.Offset, fmt.Sprintf(
			"%s, and the next file starts at zxid %v, not behind %v", c.tail.reason, next, after))
	}
	c.pending = false
	c.repair.Kept = true
	if p.judged {
		p.o.repaired(c.repair)
	}
	return nil
}

// repair is step 4 of Replay.
func (p *replay) repair() error {
	fs := p.o.fs()
	for _, f := range p.empty {
		if err := removeSynced(fs, f.path); err != nil {
			return fmt.Errorf("wal: remove log file without a record: %w", err)
		}
		p.o.repaired(Repair{File: f.path, Dropped: f.tail.bytes,
			Reason: "the file held no whole record and was removed", After: p.last, RemovedOf: f.zxid})
	}
	if p.torn == nil {
		return nil
	}
	if err := truncateFile(fs, p.torn.File, p.torn.Offset); err != nil {
		return fmt.Errorf("wal: cut torn tail: %w", err)
	}
	p.o.repaired(*p.torn)
	return nil
}

// truncateFile cuts a file and syncs it.
func truncateFile(fs FS, path string, size int64) error {
	f, err := fs.OpenWrite(path)
	if err != nil {
		return err
	}
	err = f.Truncate(size)
	if err == nil {
		err = f.SyncData()
	}
	return errors.Join(err, f.Close())
}
