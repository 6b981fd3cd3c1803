package server

import (
	"encoding/binary"

	"github.com/meerkat-zk/meerkat/proto"
)

// A read over many znodes would keep its loop from its other connections. It runs aside, on a
// goroutine of its own with the pinned root, and its reply comes back through the loop's
// queue. Its connection's later requests wait, and so do its events.

// slow starts a read aside. If it asks for a watch, that is set already: its root is pinned
// now, and what changes after it is delivered after the reply.
func (l *loop) slow(c *conn, xid int32, op proto.Op, body []byte) {
	if c.pending.len() == 0 { // it came in this turn, and is not kept yet
		l.wait(c, pendingSlow, proto.RequestHeader{Xid: xid, Op: op}, body)
	}
	c.pending.first().kind = pendingSlow
	body = c.pending.first().body
	rd := reader{srv: l.srv, root: l.root, ids: c.ids, session: c.session}
	l.srv.aside.Add(1)
	go func() { // owns nothing but the pinned root; ends with its read
		defer l.srv.aside.Done()
		b, at := beginReply(nil, xid, rd.root.Zxid(), proto.OK)
		b, code := rd.read(b, op, body)
		if code != proto.OK {
			b, _ = beginReply(b[:at], xid, rd.root.Zxid(), code)
		}
		frameLength(b, at)
		l.nl.Execute(func() { l.slowDone(c, b) })
	}()
}

// slowDone sends a slow read's reply, then the events that waited for it, and goes on.
func (l *loop) slowDone(c *conn, frame []byte) {
	if c.state != connLive {
		return
	}
	l.begin()
	c.nc.SetBuffer(append(append(c.nc.Buffer(), frame...), c.deferred...))
	c.deferred = nil
	c.stats.sent++
	l.stats.sent++
	l.pop(c)
	l.drain(c)
	l.end()
}

// frameLength writes the length of the frame that begins at at.
func frameLength(b []byte, at int) { binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4)) }
