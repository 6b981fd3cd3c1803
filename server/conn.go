package server

import (
	"net/netip"

	"github.com/meerkat-zk/meerkat/netloop"
	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/server/clientlog"
)

// How far a connection is.
type connState uint8

const (
	connNew     connState = iota // nothing but words or a ConnectRequest may come
	connWaiting                  // the ConnectRequest is with the core; nothing is decoded
	connLive                     // it has a session
	connClosing                  // its last bytes are on their way; nothing is decoded
	connClosed
)

// A conn is one client connection. Only its loop touches it; to the core it is a name.
type conn struct {
	nc        *netloop.Conn
	loop      *loop
	remote    netip.AddrPort // never changes; the core reads it too
	state     connState
	legacy    bool // the ConnectRequest had no readOnly byte: nor has the answer
	touched   bool // the core is to hear of it at the next tick
	ready     bool // it stands in loop.ready
	stalled   bool // it stands in loop.stalled: over a mark, not decoded
	session   int64
	timeoutMs int32
	ids       []proto.ID // never changed in place: requests share it
	openedMs  int64
	heardMs   int64

	pending    queue
	barriers   int    // of those, what no write may overtake: reads that may be slow, held writes
	sent       int    // of those, what the core has
	reads      int    // of those, reads that writes were or may be sent ahead of
	replyBytes int    // of its larger replies of late: what a waiting read may come to
	behind     bool   // a read waits behind the last request that the core got
	bytes      int    // of waiting bodies
	deferred   []byte // events that wait behind a slow read's reply

	eventBytes int // of events, given since its output was last under outputMax

	watches   map[watchKey]watchMode // nil while it has none
	eventMark uint64                 // the last event that was meant for it
	stats     connStats

	sentMark   uint64 // progress of the output, for the stuck reader
	sentMarkMs int64
}

// name is how log lines call the connection.
func (c *conn) name() clientlog.Client {
	return clientlog.Client{Addr: c.remote, Session: c.session}
}

// What a pending request waits for.
type pendingKind uint8

const (
	pendingSent pendingKind = iota // the core has it: an entry will answer
	pendingHeld                    // a write or sync behind a barrier: the core has not got it
	pendingRead                    // answered by this loop when it comes to the head
	pendingSlow                    // a slow read is being worked on aside
	pendingJob                     // a setWatches is being worked through
)

// A pending request is one that was decoded and not answered. Replies go out in this order.
type pending struct {
	kind    pendingKind
	xid     int32
	op      proto.Op
	ids     []proto.ID
	body    []byte // a copy; nil once sent
	sinceNs int64
}

// isBarrier tells whether no write may be sent ahead of the request: reads that may turn out to
// be slow, for those behind them are answered from a later root than their place says; and what
// waits for such a read itself. Ahead of other reads a write may go: it is in a later batch than
// the write before them, and they are answered between the two.
func (p *pending) isBarrier() bool {
	switch p.kind {
	case pendingSent:
		return false
	case pendingRead:
		switch p.op {
		case proto.OpGetData, proto.OpExists, proto.OpGetACL, proto.OpPing, proto.OpWhoAmI:
			return false
		}
	}
	return true
}

// mayGoAhead tells whether a write may be sent ahead of so many waiting reads.
func (c *conn) mayGoAhead(reads int) bool {
	return reads <= aheadReadsMax && reads*c.replyBytes <= outputMax
}

// A queue is a FIFO of pending requests that reuses its array.
type queue struct {
	items []pending
	head  int
}

func (q *queue) len() int          { return len(q.items) - q.head }
func (q *queue) first() *pending   { return &q.items[q.head] }
func (q *queue) at(i int) *pending { return &q.items[q.head+i] }
func (q *queue) push(p pending)    { q.items = append(q.items, p) }
func (q *queue) pop() {
	q.items[q.head] = pending{}
	if q.head++; q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
		if cap(q.items) > queueKeepMax {
			q.items = nil
		}
		return
	}
	if q.head >= 64 && q.head*2 >= len(q.items) {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
}
