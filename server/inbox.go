package server

import (
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
	cut     bool // a read of its connection waits before it: it belongs into a later batch
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

// The inbox carries everything to the core. Loops and the log write, the core takes all.
type inbox struct {
	mu       sync.Mutex
	requests []request
	touches  []touch
	answered int        // loops that answered the question whom they heard
	durable  proto.Zxid // the log's word
	ticked   bool
	calls    []func(*core) // rare: words that look at sessions, tests

	// signal holds one token while there is something to take. The core alone receives.
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

// push appends a loop's requests of one turn.
func (b *inbox) push(rs []request) {
	b.mu.Lock()
	b.requests = append(b.requests, rs...)
	b.mu.Unlock()
	b.ring()
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
	touches  []touch
	answered int
	durable  proto.Zxid
	ticked   bool
	calls    []func(*core)
	resting  bool // the snapshotter is to be left alone
}

// take moves all that waits into in, whose slices are used again.
func (b *inbox) take(in *inputs) {
	clear(in.requests)
	clear(in.calls)
	b.mu.Lock()
	defer b.mu.Unlock()
	in.requests, b.requests = b.requests, in.requests[:0]
	in.touches, b.touches = b.touches, in.touches[:0]
	in.calls, b.calls = b.calls, in.calls[:0]
	in.answered, b.answered = b.answered, 0
	in.durable = b.durable
	in.ticked, b.ticked = b.ticked, false
}
