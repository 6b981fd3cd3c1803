package netloop

import "time"

// The life of output bytes:
//
//  1. The Handler appends to Buffer and gives it back with SetBuffer, as often as it likes.
//  2. flush, at the end of the turn: one write of all of it. gnet keeps what the kernel does
//     not take and writes it when the socket has room.
//  3. If there was more than OutPauseBytes before the write, the connection is over its mark:
//     not read, not decoded, until gnet and kernel have brought it down to OutResumeBytes.
//     Then drained.

// Buffer returns the output gathered in this turn: append to it, and set it with SetBuffer.
// It is the loop's again when the turn ends.
func (c *Conn) Buffer() []byte {
	if c.out == nil {
		c.out = c.loop.buffers.get()
	}
	return c.out
}

// SetBuffer sets the output gathered in this turn, which is written when the turn ends.
func (c *Conn) SetBuffer(b []byte) {
	if c.state != connOpen {
		c.out = nil
		return
	}
	c.out = b
	c.touch()
}

// Unsent counts the bytes gathered or written that the kernel has not taken.
func (c *Conn) Unsent() int {
	if c.state != connOpen {
		return 0
	}
	return len(c.out) + c.wire.unsent()
}

// OverMark reports whether Unsent has reached Options.OutPauseBytes. A Handler that sees it
// stops decoding and returns from Traffic; after Drained, Traffic is called again.
func (c *Conn) OverMark() bool {
	return c.hold&holdOutput != 0 || c.loop.overMark(c.Unsent())
}

func (l *Loop) overMark(unsent int) bool {
	return l.bounds.outPause > 0 && unsent >= l.bounds.outPause
}

// SentBytes counts the bytes that the kernel has taken. If it stands still while Unsent is
// not zero, the peer does not read.
func (c *Conn) SentBytes() uint64 {
	if c.state != connOpen {
		return c.given
	}
	return c.given - uint64(c.wire.unsent())
}

// flush writes what was gathered. The write may end the connection.
func (c *Conn) flush() {
	out := c.out
	c.out = nil
	if len(out) > 0 {
		if c.hold&holdOutput == 0 && c.loop.overMark(len(out)+c.wire.unsent()) {
			c.hold |= holdOutput
		}
		c.given += uint64(len(out))
		c.wire.write(out)
	}
	c.loop.buffers.put(out)
	if c.state == connOpen && c.hold&holdOutput != 0 {
		c.checkMark()
	}
}

// checkMark looks at a connection over its mark: is it under again, or must we look later?
func (c *Conn) checkMark() {
	if c.wire.unsent() <= c.loop.bounds.outResume {
		c.serveLater(dueDrained)
		return
	}
	c.watchDraining()
}

// drained is the turn of a connection that fell to OutResumeBytes.
func (c *Conn) drained() {
	if c.hold&holdOutput == 0 || c.wire.unsent() > c.loop.bounds.outResume {
		return // more was written in between; checkMark goes on watching
	}
	c.hold &^= holdOutput
	c.touch()
	c.loop.handler.Drained(c)
}

// watchDraining has checkDraining look at the connection until it has drained.
func (c *Conn) watchDraining() {
	if c.isDraining {
		return
	}
	c.isDraining = true
	l := c.loop
	l.draining = append(l.draining, c)
	l.armTimer()
}

// armTimer starts the drain timer, whose goroutine only leaves a flag.
func (l *Loop) armTimer() {
	if l.armed {
		return
	}
	l.armed = true
	if l.timer == nil {
		l.timer = time.AfterFunc(drainEvery, func() {
			l.timed.Store(true)
			l.signal()
		})
		return
	}
	l.timer.Reset(drainEvery)
}

// checkDraining is the drain timer's turn.
func (l *Loop) checkDraining() {
	l.armed = false
	l.enter()
	watched := l.draining
	l.draining = watched[:0]
	for _, c := range watched {
		if c.stillDraining() {
			l.draining = append(l.draining, c)
			continue
		}
		c.isDraining = false
	}
	clear(watched[len(l.draining):])
	l.leave()
	if len(l.draining) > 0 {
		l.armTimer()
	}
}

// stillDraining reports whether to go on watching, and acts when there is no need to.
func (c *Conn) stillDraining() bool {
	switch {
	case c.state != connOpen:
		return false
	case c.closing != closingNot:
		return c.stillClosing()
	case c.hold&holdOutput == 0:
		return false
	case c.wire.unsent() <= c.loop.bounds.outResume:
		c.serveLater(dueDrained)
		return false
	}
	return true
}

// stillClosing is called for a connection that closes after its output, and counts checks
// without progress. The next step, if it is time for one, is settle's.
func (c *Conn) stillClosing() bool {
	if left := c.wire.unsent() + c.wire.undelivered(); left != c.stallLeft {
		c.stallLeft, c.stallTicks = left, 0
	}
	if c.stallTicks++; c.stallTicks > closeStallTicks {
		c.Close()
		return false
	}
	c.touch()
	return true
}
