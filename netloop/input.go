package netloop

import "fmt"

// The life of input bytes:
//
//  1. receive: gnet has read up to ReadBytesPerTurn into the loop's buffer. When nothing waits,
//     the Handler sees that very buffer; no copy is made.
//  2. show: what the Handler did not use is copied to the connection's own buffer, and new
//     bytes go behind it until it is used up.
//  3. deliver: a later turn shows what waits, for again and Resume and after Drained.

// receive takes bytes from the wire, in a turn of their own.
func (l *Loop) receive(c *Conn, in []byte) {
	if c.state != connOpen {
		return
	}
	l.enter()
	c.wire.received()
	switch {
	case c.closing != closingNot:
		c.touch() // drop them, and stop reading again
	case c.mayShow() && c.in.len() == 0 && c.due&dueTraffic == 0:
		used, again := c.show(in)
		if c.closing == closingNot {
			c.in.add(in[used:], &l.buffers)
		}
		c.shown(again)
	default:
		c.in.add(in, &l.buffers)
		if c.mayShow() && c.due&dueTraffic == 0 {
			c.deliver()
		} else {
			c.holdFull()
			c.touch()
		}
	}
	l.leave()
}

// mayShow reports whether the Handler may see input now.
func (c *Conn) mayShow() bool { return c.hold&^holdInput == 0 }

// deliver shows the Handler what waits.
func (c *Conn) deliver() {
	if !c.mayShow() {
		return
	}
	used, again := c.show(c.in.bytes())
	c.in.use(used, &c.loop.buffers)
	c.shown(again)
}

func (c *Conn) show(in []byte) (used int, again bool) {
	used, again = c.loop.handler.Traffic(c, in)
	if used < 0 || used > len(in) {
		panic(fmt.Sprintf("netloop: Traffic used %d of %d bytes", used, len(in)))
	}
	return used, again
}

// shown follows Traffic: it arranges the next call and whether to read on.
func (c *Conn) shown(again bool) {
	if c.closing != closingNot {
		c.in.release(&c.loop.buffers)
		return
	}
	if again {
		c.serveLater(dueTraffic)
	}
	c.holdFull()
}

// holdFull stops reading while enough input waits: bytes for a turn when a turn is coming, a
// frame and a read's worth otherwise. Input far above that has no use but to fill memory.
func (c *Conn) holdFull() {
	waits, b := c.in.len(), &c.loop.bounds
	if waits > b.inputBytesMax {
		c.fail(ErrInputFull)
		return
	}
	full := waits >= b.inputBytes || c.due&dueTraffic != 0 && waits >= b.readBytes
	if full == (c.hold&holdInput != 0) {
		return
	}
	c.hold ^= holdInput
	c.touch()
}
