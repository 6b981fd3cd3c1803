package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/meerkat-zk/meerkat/proto"
)

const (
	// stepBytesMax bounds what is written between two syncs. Recovery counts on it: what stands
	// further from the end of the log was synced. A larger transaction is a step of its own.
	stepBytesMax = 4 << 20

	// padMarginBytes is how near to its end a file may be filled before it grows
	// (FilePadding.calculateFileSizeWithPadding).
	padMarginBytes = 4096

	// zeroAheadBytes of zeros are written ahead of the records into reserved space. A sync of
	// bytes that replace written ones need not commit the file system's journal, one of bytes
	// in reserved space must, whenever they reach a new block of 4 KiB. On ext4 that takes the
	// median sync of 15 KB from 180 to 130 µs; single records, 24 to a block, gain next to
	// nothing. Larger chunks make the sync that carries one slower. Writes above zeroAheadMax
	// gain nothing, for the zeros would cost as much as the journal.
	zeroAheadBytes = 256 << 10
	zeroAheadMax   = zeroAheadBytes / 4
	blockBytes     = 4096
)

var zeros [zeroAheadBytes]byte

// newLogName is a log file that has no header yet.
const newLogName = "new-log"

// A Log is the end of the transaction log: the newest file, open for appending. It is owned by
// one goroutine, usually a Runner's. After an error it stays failed.
type Log struct {
	o Options

	f      File   // nil: the next append creates a file
	path   string // of f
	pos    int64  // where the next record goes
	size   int64  // of the file, with its padding
	zeroed int64  // up to here the padding was written, not only reserved
	padOff bool   // the disk was too full to reserve space for this file
	roll   bool   // the next append above last starts a new file
	full   bool   // the reserve was given up (reserve.go)
	sure   int64  // up to here the file is sure to take records while full

	unsynced int64      // bytes written since the last sync
	last     proto.Zxid // written
	durable  proto.Zxid // synced
	err      error      // the first failure
}

// An Item is one thing for the log to do.
type Item struct {
	First, Last proto.Zxid // of Records
	Records     []byte     // whole records; must not change until they are durable; may be empty

	Roll     bool // start a new file with the next record
	Truncate bool // drop everything above Last instead of appending
	Restart  bool // complete the file; what is appended next follows Last, which no record has
	Reserve  bool // make the reserve again that a full disk has cost

	// Done is called by a Runner when the item is durable, after durable(zxid).
	Done func()
}

// OpenLog makes the log ready to append behind last, the newest zxid of the whole state. If the
// newest file ends with it, that file goes on; else the next append creates log.<zxid>. Replay
// must have succeeded before.
func OpenLog(o Options, last proto.Zxid) (*Log, error) {
	l, err := openLog(o, last)
	if err != nil || o.ReserveBytes <= 0 {
		return l, err
	}
	if err = l.makeReserve(); isFull(err) {
		l.full, err = true, l.claim()
	}
	if err != nil && l.f != nil {
		_ = l.f.Close() // nothing was written
	}
	l.reportRoom()
	return l, err
}

func openLog(o Options, last proto.Zxid) (*Log, error) {
	l := &Log{o: o, last: last, durable: last}
	files, err := logFiles(&l.o)
	if err != nil || len(files) == 0 {
		return l, err
	}
	newest := files[len(files)-1]
	r := newLogReader(&o)
	defer r.close()
	if err := r.open(newest.path); err != nil {
		return nil, err
	}
	s, err := r.scan(nil)
	if err != nil {
		return nil, err
	}
	t, err := r.judge(s.end)
	switch {
	case err != nil:
		return nil, err
	case t.kind != tailClean || s.records == 0:
		return nil, fmt.Errorf("wal: %s needs a Replay before it is opened", newest.path)
	case s.last > last:
		return nil, fmt.Errorf("wal: %s holds zxid %v, beyond the last one, %v: truncate it first",
			newest.path, s.last, last)
	case s.last < last:
		return l, nil
	}
	return l, l.resume(newest.path, s.end)
}

func (l *Log) resume(path string, end int64) error {
	f, err := l.o.fs().OpenWrite(path)
	if err != nil {
		return fmt.Errorf("wal: open log: %w", err)
	}
	size, err := f.Size()
	if err != nil {
		_ = f.Close() // the size is what failed
		return fmt.Errorf("wal: size of log: %w", err)
	}
	l.f, l.path, l.pos, l.size, l.zeroed, l.padOff = f, path, end, size, end, false
	return nil
}

// Step does all items in order and syncs once at the end (in between too, if they sum up to
// more than stepBytesMax). It returns the last zxid that is durable. After an error nothing
// more is written and every later Step returns the same error.
func (l *Log) Step(items []Item) (durable proto.Zxid, err error) {
	if l.err == nil {
		l.err = l.step(items)
	}
	return l.durable, l.err
}

// Last returns the last zxid that was written or that the log was opened behind.
func (l *Log) Last() proto.Zxid { return l.last }

func (l *Log) step(items []Item) error {
	for i := range items {
		if err := l.take(&items[i]); err != nil {
			return err
		}
	}
	if err := l.sync(); err != nil {
		return err
	}
	if l.full {
		l.reportRoom()
	}
	return nil
}

func (l *Log) take(it *Item) error {
	if it.Truncate {
		return l.TruncateTo(it.Last)
	}
	if it.Restart {
		if it.Last <= l.last {
			panic(fmt.Sprintf("wal: restart at %v, behind %v", it.Last, l.last))
		}
		err := l.finish()
		l.last = it.Last
		return err
	}
	if it.Reserve {
		if err := l.refill(); err != nil {
			return err
		}
	}
	l.roll = l.roll || it.Roll
	if len(it.Records) == 0 {
		return nil
	}
	if first := TxnZxid(it.Records[recordHeadBytes:]); first != it.First || it.Last < it.First {
		panic(fmt.Sprintf("wal: records from %v given as %v..%v", first, it.First, it.Last))
	}
	if proto.Verify {
		mustReadBack(it)
	}
	// A zxid that is logged again (Java leaders repeat some) must not name a second file.
	if l.rollDue() && it.First > l.last {
		if err := l.finish(); err != nil {
			return err
		}
	}
	if l.f == nil {
		if err := l.create(it.First); err != nil {
			return err
		}
	}
	if err := l.append(it.Records); err != nil {
		return err
	}
	l.last = it.Last
	return nil
}

func (l *Log) rollDue() bool {
	return l.f != nil && !l.full && (l.roll || l.o.LogSizeLimit > 0 && l.pos > l.o.LogSizeLimit)
}

// append writes records, with a sync whenever stepBytesMax were written.
func (l *Log) append(records []byte) error {
	for len(records) > 0 {
		room := stepBytesMax - l.unsynced
		head, rest := cutRecords(records, int(room))
		if len(head) == 0 && l.unsynced == 0 {
			n := recordLen(records) // larger than any step: alone
			head, rest = records[:n], records[n:]
		}
		if err := l.write(head); err != nil {
			return err
		}
		if records = rest; len(rest) > 0 {
			if err := l.sync(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *Log) write(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	// Counted before, for a write that fails may have written a part.
	l.unsynced += int64(len(b))
	err := l.put(b)
	if isFull(err) {
		if err = l.giveUp(err); err == nil {
			err = l.put(b)
		}
	}
	if err != nil {
		return err
	}
	l.pos += int64(len(b))
	l.size = max(l.size, l.pos)
	return nil
}

// put writes b behind the records. When it fails the file may hold any part of b there, and the
// next put of the same b makes it whole.
func (l *Log) put(b []byte) error {
	if err := l.pad(l.pos + int64(len(b))); err != nil {
		return err
	}
	if _, err := l.f.WriteAt(b, l.pos); err != nil {
		return fmt.Errorf("wal: append: %w", err)
	}
	return nil
}

// pad makes the file grow before data up to end fills it, and keeps zeros written ahead.
func (l *Log) pad(end int64) error {
	if l.o.PreallocBytes <= 0 || l.padOff {
		return nil
	}
	if size := paddedSize(end, l.size, l.o.PreallocBytes); size != l.size {
		err := l.f.Preallocate(size)
		if isUnsupported(err) { // a size that stays is as good for most syncs
			err = l.f.Truncate(size)
		}
		if isFull(err) {
			// The records may still fit. What was reserved in part is given back.
			l.padOff = true
			l.size, l.zeroed = l.pos, l.pos
			err = l.f.Truncate(l.pos)
		} else {
			l.size = size
		}
		if err != nil {
			return fmt.Errorf("wal: preallocate: %w", err)
		}
	}
	if end <= l.zeroed || l.padOff || end-l.pos > zeroAheadMax {
		return nil
	}
	from := (end + blockBytes - 1) / blockBytes * blockBytes // the kernel fills the last block
	n := min(l.size-from, zeroAheadBytes)
	if n <= 0 {
		return nil
	}
	_, err := l.f.WriteAt(zeros[:n], from)
	if isFull(err) { // its space was not really reserved; the records may still fit
		l.padOff = true
		return nil
	}
	if err != nil {
		return fmt.Errorf("wal: write ahead: %w", err)
	}
	l.zeroed = from + n
	return nil
}

// paddedSize is the size that a file needs before data reaches end.
func paddedSize(end, size, prealloc int64) int64 {
	if end+padMarginBytes < size {
		return size
	}
	grow := (end + padMarginBytes - size) / prealloc
	return size + (grow+1)*prealloc
}

// sync makes all that was written durable.
func (l *Log) sync() error {
	if l.unsynced > 0 && !l.o.NoSync {
		return l.syncFile()
	}
	l.unsynced = 0
	l.durable = l.last
	return nil
}

func (l *Log) syncFile() error {
	if err := l.timedSync(); err != nil {
		return fmt.Errorf("wal: sync: %w", err)
	}
	l.unsynced = 0
	l.durable = l.last
	return nil
}

func (l *Log) timedSync() error {
	if l.o.Now == nil {
		return l.f.SyncData()
	}
	start := l.o.Now()
	err := l.f.SyncData()
	took := l.o.Now().Sub(start)
	if l.o.Synced != nil {
		l.o.Synced(took)
	}
	if l.o.OnSlowSync != nil && l.o.SlowSync > 0 && took > l.o.SlowSync {
		l.o.OnSlowSync(took, l.path)
	}
	return err
}

// create starts the file log.<z>. It counts once its header and its name are synced, before
// any record does. It gets its name when it has its header: Java refuses to start on a log file
// without one (FileTxnLog.FileTxnIterator), and a process can be killed at any place.
func (l *Log) create(z proto.Zxid) error {
	files := l.o.fs()
	path, temp := filepath.Join(l.o.LogDir, logName(z)), filepath.Join(l.o.LogDir, newLogName)
	if _, err := files.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("wal: create log: %s is there already (%v)", path, err)
	}
	err := l.begin(path, temp)
	if isFull(err) {
		if err = l.giveUp(err); err == nil {
			err = l.begin(path, temp)
		}
	}
	if err != nil {
		return err
	}
	if err := l.f.SyncData(); err != nil {
		return fmt.Errorf("wal: sync new log: %w", err)
	}
	err = files.Rename(temp, path)
	if isFull(err) {
		if err = l.giveUp(err); err == nil {
			err = files.Rename(temp, path)
		}
	}
	if err != nil {
		return fmt.Errorf("wal: name new log: %w", err)
	}
	if err := files.SyncDir(l.o.LogDir); err != nil {
		return fmt.Errorf("wal: sync log directory: %w", err)
	}
	return nil
}

// begin opens a new file under a temporary name, with its header. When it fails no file is open,
// and it can be done again.
func (l *Log) begin(path, temp string) error {
	files := l.o.fs()
	f, err := files.Create(temp)
	if errors.Is(err, fs.ErrExist) { // left by one that was killed, or by a full disk
		if err = files.Remove(temp); err == nil {
			f, err = files.Create(temp)
		}
	}
	if err != nil {
		return fmt.Errorf("wal: create log: %w", err)
	}
	l.f, l.path = f, path
	l.pos, l.size, l.zeroed, l.sure = fileHeaderBytes, fileHeaderBytes, fileHeaderBytes, 0
	l.padOff, l.roll = false, false
	if _, err = f.WriteAt([]byte(fileHeader), 0); err != nil {
		err = fmt.Errorf("wal: write log header: %w", err)
	} else if err = l.pad(l.pos); err == nil && l.full {
		err = l.claim()
	}
	if err != nil {
		_ = f.Close() // nobody has seen it
		l.f = nil
	}
	return err
}

// finish completes the open file: its padding is cut off, it is synced, even with NoSync (a
// torn file with a successor could not be told from a damaged one), and closed.
func (l *Log) finish() error {
	if l.f == nil {
		return nil
	}
	if l.size > l.pos {
		if err := l.f.Truncate(l.pos); err != nil {
			return fmt.Errorf("wal: cut padding: %w", err)
		}
	}
	return l.closeFile()
}

func (l *Log) closeFile() error {
	if err := l.syncFile(); err != nil {
		return err
	}
	err := l.f.Close()
	l.f, l.roll = nil, false
	if err != nil {
		return fmt.Errorf("wal: close log: %w", err)
	}
	return nil
}

// TruncateTo drops everything above z, as TruncateLog does, and goes on behind z.
func (l *Log) TruncateTo(z proto.Zxid) error {
	if err := l.finish(); err != nil {
		return err
	}
	if err := TruncateLog(l.o, z); err != nil {
		return err
	}
	again, err := OpenLog(l.o, min(z, l.last))
	if err != nil {
		return err
	}
	*l = *again
	return nil
}

// Close completes the open file; on a full disk it leaves the room that the next start needs. The
// Log must not be used afterwards.
func (l *Log) Close() error {
	if l.err != nil {
		if l.f != nil {
			_ = l.f.Close() // the failure was reported
		}
		return l.err
	}
	if l.full && l.f != nil {
		l.err = l.closeFile()
	} else {
		l.err = l.finish()
	}
	return l.err
}
