package server

import (
	"github.com/meerkat-zk/meerkat/netloop"
	"github.com/meerkat-zk/meerkat/proto"
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

	pending  queue
	held     int    // of those, requests that the core has not got
	bytes    int    // of held bodies
	deferred []byte // events that wait behind a slow read's reply

	eventBytes int // of events, given since its output was last under outputMax

	watches   map[watchKey]watchMode // nil while it has none
	eventMark uint64                 // the last event that was meant for it
	stats     connStats

	sentMark   uint64 // progress of the output, for the stuck reader
	sentMarkMs int64
}

// What a pending request waits for.
type pendingKind uint8

const (
	pendingSent pendingKind = iota // the core has it: an entry will answer
	pendingHeld                    // a write or sync that waits for reads before it
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
