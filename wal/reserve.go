package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
)

// A disk that fills up must not end the server, and what was accepted must still become durable.
// The reserve is a file beside the log that holds room for that:
//
//  1. A write, or the making of a log file, finds no room (ENOSPC, EDQUOT). The reserve is removed,
//     and as much of its room as can be had is reserved for the open log file, before anybody else
//     takes it.
//  2. What failed is done again: the same bytes in the same place. So it does not matter how many
//     of them were written before, and a power cut in between leaves a torn tail like any other.
//  3. OnRoom hears how many bytes the log is sure to take from now on. Whoever appends accepts no
//     more than that. Files are not rolled meanwhile: the end of a file gives its room away.
//  4. An item with Reserve set tries to make the reserve again. Once it stands, all is as before.
//
// A second failure is an error like any other: more was accepted than the reserve held, or the file
// system did not give its room back. A sync that fails is never answered so, whatever its error.

// Unlimited is what OnRoom hears while the disk is not full.
const Unlimited = math.MaxInt64

const (
	// reserveName is the file that holds the room. Java passes over it.
	reserveName = "meerkat.reserve"

	// claimBytesMin is the least that is reserved behind the records of a full log.
	claimBytesMin = 4 << 10
)

// makeReserve makes or completes the reserve. An error that isFull says that there is no room, and
// leaves none.
func (l *Log) makeReserve() error {
	path := filepath.Join(l.o.LogDir, reserveName)
	f, err := l.o.fs().OpenWrite(path)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = l.o.fs().Create(path)
	}
	if err == nil {
		err = fillReserve(f, l.o.ReserveBytes)
		err = errors.Join(err, f.Close())
	}
	if isFull(err) {
		if failed := l.removeReserve(); failed != nil {
			return failed
		}
	}
	if err != nil {
		return fmt.Errorf("wal: make the reserve: %w", err)
	}
	return nil
}

// ReserveMissing is how much room an OpenLog needs for its reserve.
func ReserveMissing(o Options) int64 {
	info, err := o.fs().Stat(filepath.Join(o.LogDir, reserveName))
	if err != nil {
		return o.ReserveBytes
	}
	return max(o.ReserveBytes-info.Size, 0)
}

// fillReserve makes a file hold room for so many bytes. What it holds need not be synced: a power
// cut may empty it, and the next start fills it again.
func fillReserve(f File, bytes int64) error {
	size, err := f.Size()
	if err != nil {
		return err
	}
	return reserveRoom(f, min(size, bytes), bytes)
}

// reserveRoom makes sure that [from, to) can be written. Where the file system cannot reserve room,
// zeros take it.
func reserveRoom(f File, from, to int64) error {
	err := f.Preallocate(to)
	if !isUnsupported(err) {
		return err
	}
	for ; from < to; from += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(to-from, int64(len(zeros)))], from); err != nil {
			return err
		}
	}
	return nil
}

func (l *Log) removeReserve() error {
	err := l.o.fs().Remove(filepath.Join(l.o.LogDir, reserveName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("wal: give up the reserve: %w", err)
	}
	return nil
}

// giveUp answers a full disk. It returns nil when what failed is to be done again, else the cause.
func (l *Log) giveUp(cause error) error {
	if l.full || l.o.ReserveBytes <= 0 {
		return cause
	}
	l.full = true
	err := l.removeReserve()
	if err == nil { // some file systems give room back only when the removal is on disk
		err = l.o.fs().SyncDir(l.o.LogDir)
	}
	if err == nil {
		err = l.claim()
	}
	if err != nil {
		return errors.Join(cause, err)
	}
	return nil
}

// claim reserves room behind the records of the open file, as much as there is, up to what the
// reserve held, and tells of it. Without an open file that waits for the next one.
func (l *Log) claim() error {
	if l.f == nil {
		return nil
	}
	err := l.claimRoom()
	l.reportRoom()
	return err
}

func (l *Log) claimRoom() error {
	l.padOff = true
	for n := l.o.ReserveBytes; n >= claimBytesMin; n /= 2 {
		err := reserveRoom(l.f, l.pos, l.pos+n)
		if err == nil {
			l.sure, l.size = l.pos+n, max(l.size, l.pos+n)
			return nil
		}
		if !isFull(err) {
			return fmt.Errorf("wal: reserve room: %w", err)
		}
		// What was reserved in part is given back.
		if err := l.f.Truncate(l.pos); err != nil {
			return fmt.Errorf("wal: reserve room: %w", err)
		}
		l.size, l.zeroed = l.pos, l.pos
	}
	return nil
}

// refill makes the reserve again and ends what giveUp began, if there is room for it.
func (l *Log) refill() error {
	if !l.full {
		return nil
	}
	err := l.makeReserve()
	if isFull(err) {
		return nil // not yet
	}
	if err != nil {
		return err
	}
	l.full, l.padOff, l.sure = false, false, 0
	l.reportRoom()
	return nil
}

// room is how many bytes the log is sure to take.
func (l *Log) room() int64 {
	switch {
	case !l.full:
		return Unlimited
	case l.f == nil:
		return 0
	}
	return max(l.sure-l.pos, 0)
}

func (l *Log) reportRoom() {
	if l.o.OnRoom != nil {
		l.o.OnRoom(l.room())
	}
}
