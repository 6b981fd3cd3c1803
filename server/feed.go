package server

import (
	"sync/atomic"

	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/tree"
)

// The feed is the only way from the core to the loops: an append-only linked list of batches.
// The core links a batch once it is committed; each loop walks the list at its own pace with a
// cursor. What no cursor has before it any more is garbage.

// A batch is a run of transactions that became durable together.
//
// Invariant: entries are ordered by zxid; nothing but next changes once it is linked.
type batch struct {
	next     atomic.Pointer[batch] // the loops' way on; written once, by the core
	root     *tree.Root            // the tree after the last entry; nil when nothing changed
	first    proto.Zxid            // the first transaction of this batch; 0 if there is none
	last     proto.Zxid            // the last zxid that is in this batch or before it
	entries  []entry
	events   []tree.Event // of all entries, in order; an entry names its range
	number   int64        // counts the core's batches, from 1
	txns     int          // how many log records
	records  []byte       // the log records; dropped once durable
	expired  []expiry     // sessions that ended here and had no connection
	want     uint64       // bit i: loop i has an entry here (loops past 63 are always woken)
	roll     bool         // its records begin a new log file
	restored bool         // its root is not what came of the batches before: see restore.go
	snapshot bool         // its root is to be saved once it is published
}

// What an entry asks of the loop that it names.
type entryKind uint8

const (
	entryNone    entryKind = iota // events only
	entryReply                    // answer a write
	entrySync                     // answer a sync
	entryConnect                  // the session is attached: answer the ConnectRequest
	entryRefuse                   // the session does not exist: say so, then close
	entryDrop                     // close the connection without a word
)

// An entry is one transaction's effect on clients, or a note that is ordered with them.
type entry struct {
	zxid     proto.Zxid
	conn     *conn      // whose it is; nil for nobody's. Only its loop may look inside.
	node     *tree.Node // the znode as the transaction left it, for its Stat
	more     *more      // what few entries have
	xid      int32
	code     proto.Code
	op       proto.Op
	eventsTo int32 // this entry's events end here; they start where the last one's end
	kind     entryKind
}

// more is what few entries have.
type more struct {
	parts   []part  // of a multi
	path    string  // of a sync: echoed
	session int64   // entryConnect
	timeout int32   // entryConnect: negotiated, ms
	resumed bool    // entryConnect: the session was there before
	expired *expiry // entryDrop: the session expired
}

// A part is the answer to one operation of a multi.
type part struct {
	node *tree.Node
	op   proto.Op
	code proto.Code
}

// A feed is the core's end of the list.
type feed struct {
	tail  *batch
	loops []*loop
}

// publish links b, then wakes the loops that must hear of it: those with an entry, those with
// a watch, and those that fell far behind.
func (f *feed) publish(b *batch) {
	f.tail.next.Store(b)
	f.tail = b
	for i, l := range f.loops {
		l.unread++
		hear := i > 63 || b.want&(1<<i) != 0 || l.watching.Load() > 0 ||
			l.unread >= loopLagBatchesMax
		if hear {
			l.unread = 0
			if !l.awake.Swap(true) {
				l.nl.Wake()
			}
		}
	}
}
