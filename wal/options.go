package wal

import (
	"time"

	"github.com/meerkat-zk/meerkat/proto"
)

// PreallocBytesDefault is ZooKeeper's preAllocSize.
const PreallocBytesDefault = 64 << 20

// Options say where the files are and how they are written.
type Options struct {
	FS      FS     // nil: the operating system's
	LogDir  string // <dataLogDir>/version-2, see PrepareDirs
	SnapDir string // <dataDir>/version-2

	// PreallocBytes is how much a log file grows at a time; 0 or less: as it is written.
	PreallocBytes int64
	// LogSizeLimit starts a new log file once the current one is larger; 0 or less: never.
	LogSizeLimit int64
	// ReserveBytes is how much room is held for what was accepted when the disk runs full; 0 or
	// less: none, and a full disk fails the log (reserve.go).
	ReserveBytes int64
	// OnRoom hears, from OpenLog and then from the log's goroutine, how many bytes the log is sure
	// to take: Unlimited while the disk is not full.
	OnRoom func(bytes int64)
	// NoSync is forceSync=no: records count as durable when they were written.
	NoSync bool

	// Now times syncs when set; the package reads no clock of its own.
	Now func() time.Time
	// Synced hears how long each sync of a log file took. Needs Now.
	Synced func(took time.Duration)
	// SlowSync makes OnSlowSync hear of syncs that took longer. Needs Now.
	SlowSync   time.Duration
	OnSlowSync func(took time.Duration, file string)

	// Repaired hears what Replay cut off, and what it passed over, and why.
	Repaired func(Repair)
}

// A Repair tells of bytes at the end of a log file that were never acknowledged.
type Repair struct {
	File    string
	Offset  int64 // the end of the last whole record
	Dropped int64 // bytes behind it that were not zero padding
	Reason  string
	After   proto.Zxid // the last whole record before Offset, 0 if the file has none
	Kept    bool       // the file was left as it is: a later file supersedes its tail

	// RemovedOf is the transaction that the file was made for, if it held no record and was
	// removed. After is then the newest of the other files: when it is not the one before, others
	// are missing, which a log that is synced before it rolls cannot explain; Java's is not.
	RemovedOf proto.Zxid
}

func (o *Options) fs() FS {
	if o.FS == nil {
		return OS
	}
	return o.FS
}

func (o *Options) repaired(r Repair) {
	if o.Repaired != nil {
		o.Repaired(r)
	}
}
