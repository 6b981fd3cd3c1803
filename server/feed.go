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
	next    atomic.Pointer[batch] // the loops' way on; written once, by the core
	root    *tree.Root            // the tree after the last entry; nil when nothing changed
	first   proto.Zxid            // the first transaction of this batch; 0 if there is none
	last    proto.Zxid            // the last zxid that is in this batch or before it
	entries []entry
	events  []tree.Event // of all entries, in order; an entry names its range
	number  int64        // counts the core's batches, from 1

	openedNs    int64    // when its first transaction was planned, on the server's clock
	publishedNs int64    // when it was linked
	txns        int      // how many log records
	records     []byte   // the log records; dropped with their last reader
	readers     int      // who still reads records: see window.hold
	expired     []expiry // sessions that ended here and had no connection
	want        uint64   // bit i: loop i has an entry here (loops past 63 are always woken)
	roll        bool     // its records begin a new log file
	restored    bool     // its root is not what came of the batches before: see restore.go
	snapshot    bool     // its root is to be saved once it is durable and committed
}

// What an entry asks of the loop that it names.
type entryKind uint8

const (
	entryNone     entryKind = iota // events only
	entryReply                     // answer a write
	entrySync                      // answer a sync
	entryConnect                   // the session is attached: answer the ConnectRequest
	entryRefuse                    // the session does not exist: say so, then close
	entryDrop                      // close the connection without a word
	entryTurnAway                  // close it without an answer to its ConnectRequest: go elsewhere
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

// A window holds the sealed batches that somebody still needs, oldest first.
//
// Two things happen to a batch, in either order: our log makes it durable, and a quorum commits
// it, whereupon it is published. In an ensemble of one the first is the second. With others a
// quorum may be faster than our own disk, or much slower. So each has a cursor of its own, and a
// batch leaves the window when both have passed it.
//
// Invariant: logged and published are counts of a prefix, between 0 and len(batches). When
// logging is 0, logged is all.
type window struct {
	batches   []*batch
	logged    int // of batches: on our own disk
	published int // of batches: committed, and given to the feed
	logging   int // batches with records that the log has not made durable

	spares [][]byte // record buffers to use again
}

// push takes a batch that was sealed. Its records, if any, are with the log.
func (w *window) push(b *batch) {
	w.batches = append(w.batches, b)
	switch {
	case b.txns > 0:
		w.logging++
		w.hold(b)
	case w.logging == 0: // nothing stands before it that the log has still to pass
		w.logged = len(w.batches)
	}
}

// onLogged moves the log's cursor: all up to z is on our own disk. A batch of notes has nothing
// to be logged and is passed with what stands before it.
func (w *window) onLogged(z proto.Zxid) {
	for ; w.logged < len(w.batches); w.logged++ {
		b := w.batches[w.logged]
		if b.txns == 0 {
			continue
		}
		if b.last > z {
			return
		}
		w.logging--
		w.letGo(b)
	}
}

// onCommitted moves the cursor of publication: a quorum has all up to z. It appends the batches
// that may be published to out.
func (w *window) onCommitted(z proto.Zxid, out []*batch) []*batch {
	for w.published < len(w.batches) && w.batches[w.published].last <= z {
		out = append(out, w.batches[w.published])
		w.published++
	}
	return out
}

// trim drops the batches that both cursors have passed. It appends the roots among them that are
// to be saved to out: a snapshot of what is not committed, or not in our log, could outlive it.
func (w *window) trim(out []*tree.Root) []*tree.Root {
	n := min(w.logged, w.published)
	if n == 0 {
		return out
	}
	for _, b := range w.batches[:n] {
		if b.snapshot {
			out = append(out, b.root)
		}
	}
	rest := copy(w.batches, w.batches[n:])
	clear(w.batches[rest:])
	w.batches = w.batches[:rest]
	w.logged -= n
	w.published -= n
	return out
}

// logBytes is what the log has of records that are not durable yet.
func (w *window) logBytes() (sum int64) {
	for _, b := range w.batches[w.logged:] {
		sum += int64(len(b.records))
	}
	return sum
}

// hold notes one more reader of a batch's records. Their buffer is not written again before
// every reader has let go of it.
func (w *window) hold(b *batch) { b.readers++ }

// letGo notes that a reader of a batch's records is done. The last one's buffer becomes a spare.
func (w *window) letGo(b *batch) {
	switch b.readers--; {
	case b.readers < 0:
		panic("server: the records of a batch were let go of more often than they were held")
	case b.readers > 0:
		return
	}
	if len(w.spares) < spareBuffersMax && cap(b.records) <= 2*batchBytesMax {
		w.spares = append(w.spares, b.records[:0])
	}
	b.records = nil
}

// buffer returns an empty record buffer: a spare one, or one with room for so many bytes.
func (w *window) buffer(bytes int) []byte {
	if n := len(w.spares); n > 0 {
		buf := w.spares[n-1]
		w.spares = w.spares[:n-1]
		return buf
	}
	return make([]byte, 0, min(bytes, batchBytesMax))
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
