package netloop

import (
	"errors"
	"time"
)

// ErrInputFull closes a connection whose bytes nobody takes: see inputExtraBytes.
var ErrInputFull = errors.New("netloop: unread input over the limit")

// ErrTooManyFromIP is OnRefuse's reason for a connection over Options.MaxPerIP.
var ErrTooManyFromIP = errors.New("netloop: too many connections from this address")

// ErrTooMany is OnRefuse's reason for a connection over Options.MaxTotal.
var ErrTooMany = errors.New("netloop: too many connections")

// Every limit of the package, why it is what it is, and what happens there.
const (
	// defaultReadBytes bounds what one turn reads from one connection, so that a flood on one
	// connection delays its neighbours by one buffer only. The rest waits in the kernel.
	defaultReadBytes = 64 << 10

	// readBytesMin is gnet's smallest read buffer (ring.DefaultBufferSize); it rounds up to
	// powers of two, and so do we.
	readBytesMin = 1 << 10

	// defaultFrameBytesMax is jute.maxbuffer's default (0xfffff, BinaryInputArchive).
	defaultFrameBytesMax = 1<<20 - 1

	// defaultOutPauseBytes is the output mark. Over it a connection is neither read nor
	// decoded; it goes on at half of it.
	defaultOutPauseBytes = 1 << 20

	// inputExtraBytes is what a connection that is not being decoded may gather above one
	// frame and one read. gnet re-arms reading when it has drained its output buffer, so a
	// paused connection may take one more read per drain; one that reaches this is closed
	// with ErrInputFull.
	inputExtraBytes = 4 << 20

	// drainEvery is how often a loop looks at connections over their mark. gnet tells nobody
	// that its output buffer is empty. Half a mark per 5 ms is 100 MB/s per connection.
	drainEvery = 5 * time.Millisecond

	// closeStallTicks is how long CloseAfterFlush waits for a peer that takes nothing, in
	// drainEvery; then the connection is closed, and the rest of its output is lost.
	closeStallTicks = int(5 * time.Second / drainEvery)

	// laterPerRun bounds the connections served from the later list before the loop looks at
	// its sockets again. The rest has its turn after that.
	laterPerRun = 64

	// queueKept is the largest Execute queue whose memory is kept for the next one.
	queueKept = 1024

	// enrolmentsInFlight bounds the accepted connections that wait for their loop to take
	// them. At the limit accepting waits, and the kernel's backlog with it.
	enrolmentsInFlight = 256

	// bufferBytes is what a fresh buffer has: enough for the events and replies of most turns.
	// Those that grow are kept for the next turn too, up to bufferKeepBytes each and
	// buffersKeptBytes in all per loop; others go to the garbage collector. A watch that fires
	// for a thousand connections takes a thousand buffers in one turn.
	bufferBytes      = 1 << 10
	bufferKeepBytes  = 64 << 10
	buffersKeptBytes = 2 << 20

	// acceptPauseMin and acceptPauseMax bound the wait after a failed accept, which doubles:
	// out of descriptors (EMFILE) is the usual reason, and it lasts.
	acceptPauseMin = 5 * time.Millisecond
	acceptPauseMax = time.Second
)
