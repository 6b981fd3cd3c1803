package server

import (
	"bytes"
	"sync"

	"github.com/meerkat-zk/meerkat/proto"
)

// What a request asks of the core.
type requestKind uint8

const (
	reqOp      requestKind = iota // a client's write, or sync
	reqConnect                    // attach a session, or make one
	reqDetach                     // the connection is gone
)

// A request is one thing that a loop wants from the core. Its body aliases a block that the
// loop made for it and its neighbours, and forgets.
type request struct {
	kind    requestKind
	cut     bool // a read of its connection waits before it: it must be in a later batch
	loop    int32
	xid     int32
	op      proto.Op
	timeout int32 // reqConnect: wanted, ms
	conn    *conn
	session int64
	body    []byte
	ids     []proto.ID // immutable: the connection's identities when it was sent
}

// A touch says that a session was heard from at that moment of the loops' clock, in ms.
type touch struct {
	session int64
	heardMs int64
}

// The inbox carries everything to the core. Loops and the log write, a turn of the core takes.
type inbox struct {
	mu       sync.Mutex
	requests []request
	sinceNs  int64 // when the first of them came, on the server's clock
	heavy    bool  // one of them may take long
	log      logState
	touches  []touch
	answered int        // loops that answered the question whom they heard
	durable  proto.Zxid // the log's word
	ticked   bool
	calls    []func(*core) // rare: words that look at sessions, tests

	// signal holds one token while there is something to take. The core's own goroutine receives.
	signal chan struct{}
}

func newInbox() *inbox { return &inbox{signal: make(chan struct{}, 1)} }

// put runs add under the lock and tells the core. add only appends or sets.
func (b *inbox) put(add func(*inbox)) {
	b.mu.Lock()
	add(b)
	b.mu.Unlock()
	b.ring()
}

// What the log had to do when the last turn ended. It chooses who takes the next one, no more.
type logState uint8

const (
	logIdle logState = iota
	logLast          // it has one batch, and nothing waits to be the next
	logBusy
)

// push appends a loop's requests of one turn. It tells whether the core's turn is due and short:
// there is little to do, and the log rests.
func (b *inbox) push(rs []request, nowNs int64) (short bool) {
	heavy := len(rs) > littleRequestsMax
	for i := range min(len(rs), littleRequestsMax) {
		heavy = heavy || rs[i].heavy()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.requests) == 0 {
		b.sinceNs = nowNs
	}
	b.requests = append(b.requests, rs...)
	b.heavy = b.heavy || heavy
	return b.log == logIdle && !b.heavy && len(b.requests) <= littleRequestsMax
}

// logged notes what is durable, and tells the same: the log has nothing else to do.
func (b *inbox) logged(z proto.Zxid) (short bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.durable = max(b.durable, z)
	return b.log == logLast && len(b.requests) == 0
}

// noteLog says what a turn has left to the log.
func (b *inbox) noteLog(s logState) {
	b.mu.Lock()
	b.log = s
	b.mu.Unlock()
}

// heavy tells whether a request may take the core longer than a loop should wait: closing a
// session deletes its ephemerals, and to make a quota counts what is below it.
func (r *request) heavy() bool {
	most := littleBodyBytes
	if r.op == proto.OpMulti {
		most = littleMultiBytes
	}
	return r.op == proto.OpCloseSession || len(r.body) > most ||
		bytes.Contains(r.body, []byte("/zookeeper/quota/"))
}

func (b *inbox) ring() {
	select {
	case b.signal <- struct{}{}:
	default:
	}
}

// inputs is what the core takes from the inbox for one turn.
type inputs struct {
	requests []request
	sinceNs  int64 // when the first of them came, on the server's clock
	touches  []touch
	answered int
	durable  proto.Zxid
	ticked   bool
	calls    []func(*core)
	resting  bool  // the snapshotter is to be left alone
	full     bool  // the log's disk is
	room     int64 // what the log is sure to take then
}

// take moves all that waits into in, whose slices are used again. Unless all is asked for, it
// leaves what is not from clients and the log, and takes nothing when that may be much work.
func (b *inbox) take(in *inputs, all bool) bool {
	clear(in.requests)
	clear(in.calls)
	in.touches, in.calls, in.answered, in.ticked = in.touches[:0], in.calls[:0], 0, false
	b.mu.Lock()
	defer b.mu.Unlock()
	if !all && (b.heavy || len(b.requests) > 2*littleRequestsMax) {
		return false
	}
	in.requests, b.requests, b.heavy = b.requests, in.requests[:0], false
	in.durable, in.sinceNs = b.durable, b.sinceNs
	if all {
		in.touches, b.touches = b.touches, in.touches
		in.calls, b.calls = b.calls, in.calls
		in.answered, b.answered = b.answered, 0
		in.ticked, b.ticked = b.ticked, false
	}
	return true
}
