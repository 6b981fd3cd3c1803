package netloop

import (
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"
)

// A Handler is what a server does with the connections of one loop. All calls come from the
// loop's goroutine, never two at a time, and never one from inside another: what a Handler
// asks of a Conn (Close, output, Pause) takes effect when its call has returned.
type Handler interface {
	// Open announces a connection.
	Open(c *Conn)
	// Traffic shows all bytes that wait on c, which may be none after again or Resume; they
	// are valid until it returns. It returns how many it used. again asks for another call in
	// a later turn of the loop, after others had theirs, even if no byte comes. Without again,
	// the next call comes with the next bytes, after c.Resume, or after Drained.
	Traffic(c *Conn, in []byte) (used int, again bool)
	// Wake follows Loop.Wake.
	Wake()
	// Tick comes every Options.TickEvery; a loop that is late gets one, not several.
	Tick(now time.Time)
	// Drained says that c, which was over its output mark, has fallen to OutResumeBytes.
	Drained(c *Conn)
	// Closed is the last call for c, exactly one for each Open. err is nil when the peer
	// ended the connection or the Handler asked for the close.
	Closed(c *Conn, err error)
}

// A Loop is one event loop: a goroutine of gnet's, its connections and their Handler.
//
// A turn is one call of the Handler (or a few, for Execute) between enter and leave. leave
// settles every connection the turn touched: one write each, then closes, then pauses.
//
//	gnet: readable ──► receive ─┐
//	gnet: opened, closed ───────┼─► turn: Handler ──► leave: settle touched connections
//	bell or task ──► run ───────┘
type Loop struct {
	// Index is the loop's place in Server.Loops.
	Index int

	server  *Server
	handler Handler
	bounds  bounds
	el      gnet.EventLoop
	epoll   int

	// Owned by the loop's goroutine.
	depth    int     // of enter; above 1 when gnet closes a connection inside a turn
	conns    []*Conn // all open ones; Conn.place is the index
	touched  []*Conn // to be settled by leave
	later    []*Conn // to be served by run, see Conn.due
	draining []*Conn // over their mark, or closing with output left
	buffers  freeList
	timer    *time.Timer // checks draining; armed only while it is not empty
	armed    bool

	wakeup
	bell int // we ring by writing a byte here; the other end is a connection of el

	open atomic.Int64 // len(conns), for others to read
}

// bounds are a loop's limits, from Options.
type bounds struct {
	readBytes     int // per turn and connection
	inputBytes    int // waiting input at which reading stops
	inputBytesMax int // waiting input at which the connection is closed
	outPause      int // 0: no mark
	outResume     int
}

// Connections returns how many connections the loop holds. Any goroutine may call it.
func (l *Loop) Connections() int { return int(l.open.Load()) }

func (l *Loop) enter() { l.depth++ }

// leave ends a turn. Settling may end connections, whose Closed may touch others: they are
// appended and settled in the same pass. Each connection ends once, so the pass ends.
func (l *Loop) leave() {
	if l.depth == 1 && len(l.touched) > 0 {
		for i := 0; i < len(l.touched); i++ {
			l.touched[i].settle()
		}
		clear(l.touched)
		l.touched = l.touched[:0]
	}
	l.depth--
}

// opened is gnet's OnOpen.
func (l *Loop) opened(c *Conn, t transport) {
	c.wire = t
	c.state = connOpen
	c.place = len(l.conns)
	l.conns = append(l.conns, c)
	l.open.Add(1)
	l.enter()
	l.handler.Open(c)
	l.leave()
}

// ended is gnet's OnClose. It comes by itself (peer gone) or from inside a turn, when a write
// failed or settle closed the connection; never while a Handler call is on the stack.
func (l *Loop) ended(c *Conn, err error) {
	if c.state != connOpen {
		return
	}
	l.enter()
	c.given -= uint64(c.wire.unsent()) // what the kernel never took was not sent
	c.state = connEnded
	l.remove(c)
	l.buffers.put(c.out)
	c.out = nil
	c.in.release(&l.buffers)
	l.server.admission.release(c.remote.Addr(), l.Index)
	l.handler.Closed(c, c.reason(err))
	l.leave()
}

func (l *Loop) remove(c *Conn) {
	last := len(l.conns) - 1
	l.conns[c.place] = l.conns[last]
	l.conns[c.place].place = c.place
	l.conns[last] = nil
	l.conns = l.conns[:last]
	l.open.Add(-1)
}

// reason is the err of Closed: the connection's own failure before gnet's, and no error for
// an end in order.
func (c *Conn) reason(err error) error {
	switch {
	case c.failure != nil:
		return c.failure
	case err == nil, errors.Is(err, io.EOF):
		return nil
	}
	return err
}

// closeAll lets every connection write what it has and closes it.
func (l *Loop) closeAll() {
	for _, c := range l.conns {
		c.CloseAfterFlush()
	}
}
