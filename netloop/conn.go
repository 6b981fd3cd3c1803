package netloop

import "net/netip"

// A Conn is one connection. Its loop's goroutine alone may use it, save for ID, RemoteAddr,
// LocalAddr and Loop. After Closed its methods do nothing.
type Conn struct {
	// Data is the Handler's own.
	Data any

	loop   *Loop
	id     uint64
	remote netip.AddrPort
	local  netip.AddrPort
	wire   transport

	out   []byte // gathered in this turn; from the loop's free list
	in    waiting
	given uint64 // bytes given to wire
	place int    // in loop.conns

	state   connState
	closing closing
	hold    hold
	due     due
	failure error // the reason of our own close, nil for an orderly one

	isTouched  bool // is in loop.touched
	isLater    bool // is in loop.later
	isDraining bool // is in loop.draining

	stallTicks int // drain checks since closing made progress
	stallLeft  int // bytes to go at the last of them
}

type connState uint8

const (
	connComing connState = iota // on its way to its loop
	connOpen                    // between Open and Closed
	connEnded
)

// closing says what settle does after it has written.
type closing uint8

const (
	closingNot closing = iota
	closingFlush
	closingLinger // all is written, and on its way to the peer
	closingNow
)

// hold is the set of reasons for which a connection is not read. Input bytes are shown to the
// Handler while the set is empty or holdInput alone.
type hold uint8

const (
	holdHandler hold = 1 << iota // Pause
	holdOutput                   // over the output mark
	holdInput                    // enough input waits
	holdClosing                  // nothing more will be shown
)

// due is what a connection in loop.later waits for.
type due uint8

const (
	dueTraffic due = 1 << iota
	dueDrained
)

// ID is unique among the connections of a Server.
func (c *Conn) ID() uint64 { return c.id }

// RemoteAddr is the peer's address; an IPv4 address is never in its IPv6 form.
func (c *Conn) RemoteAddr() netip.AddrPort { return c.remote }

// LocalAddr is our end's address, in the same form.
func (c *Conn) LocalAddr() netip.AddrPort { return c.local }

// Loop is the loop that owns the connection for all its life.
func (c *Conn) Loop() *Loop { return c.loop }

// Pause stops Traffic calls and reading. Bytes that are under way still arrive, and wait.
func (c *Conn) Pause() {
	c.hold |= holdHandler
	c.touch()
}

// Resume takes Pause back. If input waits, Traffic is called in a later turn even if nothing
// new arrives; so it is for a connection that was not paused.
func (c *Conn) Resume() {
	if c.state != connOpen {
		return
	}
	c.hold &^= holdHandler
	c.touch()
	c.serveLater(dueTraffic)
}

// Paused reports whether the Handler paused the connection.
func (c *Conn) Paused() bool { return c.hold&holdHandler != 0 }

// Close closes the connection at the end of the turn, after one write of what was gathered:
// what the kernel does not take is dropped. Closed comes before the turn is over.
func (c *Conn) Close() {
	c.closing = closingNow
	c.hold |= holdClosing
	c.touch()
}

// CloseAfterFlush closes the connection when the peer's kernel has all output, or when it
// has taken none for five seconds. Traffic is not called any more; once the output is in our
// kernel, input is read and dropped: when a socket with unread input is closed, the kernel resets
// the connection and drops what it has yet to send.
func (c *Conn) CloseAfterFlush() {
	if c.closing == closingNot {
		c.closing = closingFlush
	}
	c.hold |= holdClosing
	c.touch()
}

// fail closes the connection with a reason of our own.
func (c *Conn) fail(err error) {
	if c.failure == nil {
		c.failure = err
	}
	c.Close()
}

// touch has settle called at the end of the turn.
func (c *Conn) touch() {
	if c.isTouched || c.state != connOpen {
		return
	}
	c.isTouched = true
	c.loop.touched = append(c.loop.touched, c)
}

// serveLater has turn called in a later turn of the loop.
func (c *Conn) serveLater(d due) {
	c.due |= d
	if c.isLater {
		return
	}
	c.isLater = true
	c.loop.later = append(c.loop.later, c)
	c.loop.comeBack()
}

// turn is a connection's turn from loop.later.
func (c *Conn) turn() {
	d := c.due
	c.due, c.isLater = 0, false
	if c.state != connOpen || c.closing != closingNot {
		return
	}
	c.loop.enter()
	if d&dueDrained != 0 {
		c.drained()
	}
	if d&dueTraffic != 0 || c.in.len() > 0 {
		c.deliver()
	}
	c.loop.leave()
}

// settle ends a connection's part of a turn: write, then close or set reading.
func (c *Conn) settle() {
	c.isTouched = false
	if c.state == connOpen {
		c.flush()
	}
	if c.state != connOpen { // the write may have ended it
		return
	}
	if err := c.settleReading(); err != nil {
		c.failure, c.closing = err, closingNow
	}
	if c.closing == closingNow {
		c.wire.close()
	}
}

// settleReading goes a step further in closing, if it can, and sets reading accordingly.
func (c *Conn) settleReading() error {
	switch c.closing {
	case closingNot:
		return c.wire.setReading(c.hold == 0)
	case closingFlush:
		c.watchDraining()
		if c.wire.unsent() > 0 {
			return c.wire.setReading(false)
		}
		c.closing, c.stallTicks = closingLinger, 0
		if err := c.wire.endOutput(); err != nil {
			return err
		}
		if err := c.wire.setReading(true); err != nil {
			return err
		}
		fallthrough
	case closingLinger:
		if c.wire.undelivered() == 0 {
			c.closing = closingNow
		}
	}
	return nil
}
