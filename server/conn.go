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
	replyBytes int    // of its largest reply of late: what the answer to a waiting read may take
	heldNs     int64  // since when it is stalled or closing
	deferred   []byte // events that wait behind a slow read's reply
	eventBytes int    // of events, given since its output was last under outputMax

	watches   map[watchKey]watchMode // nil while it has none
	eventMark uint64                 // the last event that was meant for it
	stats     connStats

	sentMark   uint64 // bytes the client had taken at sentMarkMs: a stuck reader takes no more
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

// isBarrier tells whether later writes must wait until the request is answered.
//
// Most reads are no barrier. A write that is sent ahead of one carries a mark (request.cut), which
// puts it into a later batch than the write before the read. The read is answered from the root
// between the two batches.
//
// A read that may turn out to be slow is a barrier. It is answered late, and so are the reads
// behind it: they would see a write that was sent ahead of them. A held write is a barrier, too,
// because writes keep their order.
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

// mayGoAhead tells whether a write may be sent while this many reads wait before it.
func (c *conn) mayGoAhead(reads int) bool {
	return reads <= aheadReadsMax && reads*c.replyBytes <= outputMax
}

// A queue has the pending requests of one connection, oldest first, and counts them. Nothing but
// push, send, become and pop changes it.
//
// Invariant: each count is what a walk over the queue would find (queue_test.go).
// Invariant: behind a barrier nothing is sent.
type queue struct {
	items []pending // its array is used again
	head  int

	sent     int // requests that the core has
	barriers int // what no write may overtake: reads that may be slow, held writes
	reads    int // the others: reads that writes were or may be sent ahead of
	bytes    int // of their bodies

	// Places count the connection's requests from 1; 0 is none.
	popped   int // how many have left the queue
	lastSent int // the newest request that the core has, or had
	lastRead int // the newest of reads
}

func (q *queue) len() int { return len(q.items) - q.head }

// first is the oldest request. Only the queue may change it.
func (q *queue) first() *pending { return &q.items[q.head] }

// at is the i-th request, from 0. Only the queue may change it.
func (q *queue) at(i int) *pending { return &q.items[q.head+i] }

// readBehind tells whether a read waits behind the newest request that the core has.
func (q *queue) readBehind() bool { return q.lastRead > max(q.lastSent, q.popped) }

// push adds a request.
func (q *queue) push(p pending) {
	if p.kind == pendingSent && q.barriers > 0 {
		panic("server: a request was sent ahead of a barrier")
	}
	q.items = append(q.items, p)
	q.note(&p, q.popped+q.len())
}

// send notes that the core got a held request.
func (q *queue) send(i int) {
	p := q.at(i)
	if p.kind != pendingHeld {
		panic("server: a request was sent that was not held")
	}
	q.count(p, -1)
	p.kind, p.body, p.ids = pendingSent, nil, nil
	q.note(p, q.popped+i+1)
}

// become notes that the oldest request, a read, is being worked on.
func (q *queue) become(kind pendingKind) {
	p := q.first()
	q.count(p, -1)
	p.kind = kind
	if place := q.popped + 1; q.lastRead == place {
		q.lastRead = 0
	}
	q.note(p, q.popped+1)
}

// note counts a request at its place.
func (q *queue) note(p *pending, place int) {
	switch q.count(p, 1); {
	case p.kind == pendingSent:
		q.lastSent = place
	case !p.isBarrier():
		q.lastRead = place
	}
}

// count adds a request to the counts, or takes it off (-1).
func (q *queue) count(p *pending, by int) {
	q.bytes += by * len(p.body)
	switch {
	case p.kind == pendingSent:
		q.sent += by
	case p.isBarrier():
		q.barriers += by
	default:
		q.reads += by
	}
}

// pop takes the oldest request out.
func (q *queue) pop() {
	q.count(q.first(), -1)
	q.popped++
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
