package server

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/netloop"
	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/server/auth"
	"github.com/meerkat-zk/meerkat/tree"
)

// The life of a turn on a loop:
//
//  1. Traffic: bytes came. advance walks the feed to its end first (deliver.go), so that what
//     any client was told of is seen by this connection's next read.
//  2. Each frame becomes a pending request: a read at the head is answered at once from the
//     root (read.go), a write goes to the core unless a read before it waits.
//  3. The requests for the core leave in one push; the replies leave in one write.

// A loop owns its connections, their watches, and its place in the feed.
type loop struct {
	srv   *Server
	nl    *netloop.Loop
	index int

	awake    atomic.Bool  // a wake-up is under way; see advance
	watching atomic.Int64 // watches in this loop's table; the core wakes us while it is not 0
	unread   int          // the core's: batches since it last woke us

	cursor  *batch     // the last batch that was delivered
	root    *tree.Root // what reads see
	serving bool       // the first root has come

	conns   map[*conn]struct{}
	watches watches
	writes  int     // pending writes and syncs of all its connections
	reads   int     // pending requests of other kinds
	ready   []*conn // got a reply in this walk: what waited behind it may go on
	stalled []*conn // over an in-flight mark
	jobs    []*job  // setWatches that are being worked through
	paths   int     // of setWatches that may be looked at before work runs again
	touches []*conn // heard from since the last report
	targets []*conn // scratch of one event
	ahead   ahead   // znodes that the next reads ask for
	mark    uint64  // names the event that is being delivered

	out   []request // for the core, of this turn
	block []byte    // bodies of requests; what is written there never changes
	nowNs int64     // clock of this turn
	armed bool      // a watch was set in this turn: walk once more
	stats loopStats

	turning bool // Invariant: false outside of turn
}

func newLoop(s *Server, nl *netloop.Loop) *loop {
	l := &loop{srv: s, nl: nl, index: nl.Index, conns: map[*conn]struct{}{},
		cursor: s.feedStart}
	l.watches.lists = map[watchKey]*watchList{}
	l.paths = watchSliceMax
	return l
}

// Open implements netloop.Handler.
func (l *loop) Open(nc *netloop.Conn) {
	l.turn(func() {
		now := l.nowNs / 1e6
		c := &conn{nc: nc, loop: l, remote: nc.RemoteAddr(), openedMs: now, heardMs: now,
			sentMarkMs: now}
		c.ids, c.stats = l.srv.remoteIDs(nc), newConnStats()
		nc.Data = c
		l.conns[c] = struct{}{}
		l.srv.live.Add(1)
		l.srv.clientLog.Opened(c.name())
	})
}

// Closed implements netloop.Handler.
func (l *loop) Closed(nc *netloop.Conn, err error) {
	c := nc.Data.(*conn)
	was := c.state
	c.state = connClosed // before the turn, which would deliver to it
	l.turn(func() {
		if was == connLive {
			l.send(request{kind: reqDetach, conn: c, session: c.session})
		}
		l.srv.clientLog.Ended(c.name(), was == connClosing, err)
		if was == connClosing {
			l.stats.Closing.Add(l.nowNs - c.heldNs)
		}
		l.forget(c)
	})
}

// forget drops what a connection had here.
func (l *loop) forget(c *conn) {
	l.srv.inFlight.Add(-int64(c.pending.len()))
	for i := range c.pending.len() {
		switch c.pending.at(i).kind {
		case pendingSent, pendingHeld:
			l.writes--
		default:
			l.reads--
		}
	}
	c.pending = queue{}
	c.deferred = nil
	l.watches.dropAll(c)
	l.watching.Store(int64(l.watches.entries))
	delete(l.conns, c)
	l.srv.live.Add(-1)
	l.stats.Dropped++
}

// turn runs do on the loop. All work of a loop is done in turns. Before do the clock is read and
// the feed is walked to its end; after it, what do wants of the core is sent.
func (l *loop) turn(do func()) {
	if l.turning {
		panic("server: a turn within a turn")
	}
	l.turning = true
	l.nowNs = time.Since(l.srv.started).Nanoseconds()
	l.advance()
	do()
	l.finish()
	l.turning = false
}

// finish ends a turn. If the turn set a watch, the feed is walked once more: the core may have
// published a batch before it saw this loop's count of watches, and did not wake the loop for it.
// The count is therefore stored first.
func (l *loop) finish() {
	if l.armed {
		l.armed = false
		l.watching.Store(int64(l.watches.entries))
		l.advance()
	}
	if len(l.stalled) > 0 {
		l.unstall() // what was answered in this turn may have made room
	}
	l.flush()
	if l.ahead.root != nil {
		l.ahead = ahead{} // it keeps a root
	}
	l.stats.endTurn(l)
}

// execute has the loop take a turn with do. Any goroutine may call it.
func (l *loop) execute(do func()) { l.nl.Execute(func() { l.turn(do) }) }

// Traffic implements netloop.Handler.
func (l *loop) Traffic(nc *netloop.Conn, in []byte) (used int, again bool) {
	l.turn(func() { used, again = l.take(nc.Data.(*conn), in) })
	return used, again
}

// take handles a connection's input as far as it may be decoded now. again asks for another turn:
// there is more input than one turn should handle.
func (l *loop) take(c *conn, in []byte) (used int, again bool) {
	l.hear(c)
	for n := 0; used < len(in) && l.decodes(c); n++ {
		if n == turnRequestsMax {
			return used, true
		}
		if n%tree.GetManyMax == 0 {
			l.lookAhead(c, in[used:])
		}
		if c.state == connNew {
			if m, word := l.word(c, in[used:]); word {
				used += m
				continue
			} else if m < 0 {
				break // fewer than four bytes
			}
		}
		frame, size, err := netloop.NextFrame(in[used:], l.srv.cfg.JuteMaxBuffer)
		if err != nil {
			if c.state == connLive && in[used] < 0x80 { // a length, and no negative one
				l.stats.TooLarge++
			}
			l.refuse(c, fmt.Errorf("%w: %s", err, guessSpeaker(c.state, in[used:])))
			return len(in), false
		}
		if size == 0 {
			break
		}
		used += size
		l.frame(c, frame)
	}
	if c.state == connClosing || c.state == connClosed {
		return len(in), false
	}
	return used, false
}

// guessSpeaker says who most likely sent the four bytes that stand where a length should.
func guessSpeaker(state connState, in []byte) string {
	word := string(in[:4])
	isWord := strings.Trim(word, "abcdefghijklmnopqrstuvwxyz") == ""
	switch {
	case state == connLive && in[0] < 0x80:
		return "a request is larger than jute.maxbuffer"
	case state == connLive:
		return "the client is broken"
	case word == "GET " || word == "POST" || word == "HEAD" || word == "PUT ":
		return "HTTP, which is answered on admin.serverPort and metricsProvider.httpPort"
	case word[:2] == "\x16\x03":
		return "TLS, which this port does not speak"
	case isWord:
		return "there is no four-letter word " + word
	}
	return "no client of ZooKeeper's"
}

// decodes tells whether more of a connection's input may be looked at now.
func (l *loop) decodes(c *conn) bool {
	if c.state != connNew && c.state != connLive {
		return false
	}
	if c.stalled || c.nc.OverMark() {
		return false // netloop shows the rest again once the output has drained
	}
	over := c.pending.len() >= inFlightMax || c.pending.bytes >= inFlightBytesMax ||
		c.pending.len() > 0 && l.srv.inFlight.Load() >= l.srv.outstandingMax
	if over {
		c.stalled, c.heldNs = true, l.nowNs
		l.stats.Holds++
		l.stalled = append(l.stalled, c)
		c.nc.Pause()
	}
	return !over
}

// unstall lets connections go on that have come down to half of their mark.
func (l *loop) unstall() {
	keep := l.stalled[:0]
	global := l.srv.inFlight.Load() < l.srv.outstandingMax
	for _, c := range l.stalled {
		low := c.pending.len() == 0 || global && c.pending.len() <= inFlightMax/2 &&
			c.pending.bytes <= inFlightBytesMax/2
		switch {
		case c.state == connClosed || c.state == connClosing:
			c.stalled = false
		case low:
			c.stalled = false
			l.stats.Held.Add(l.nowNs - c.heldNs)
			c.nc.Resume()
		default:
			keep = append(keep, c)
		}
	}
	clear(l.stalled[len(keep):])
	l.stalled = keep
}

// frame handles one frame of a connection.
func (l *loop) frame(c *conn, frame []byte) {
	l.stats.Received++
	l.stats.BytesIn += int64(4 + len(frame))
	c.stats.received++
	if c.state == connNew {
		l.connect(c, frame)
		return
	}
	var h proto.RequestHeader
	r := jute.ReaderMax(frame, l.srv.cfg.JuteMaxBuffer)
	h.Fields(&r)
	if r.Err() != nil {
		l.refuse(c, r.Err())
		return
	}
	body := frame[r.Offset():]
	if h.Op == proto.OpAuth {
		l.authenticate(c, h.Xid, body)
		return
	}
	if l.srv.authSchemes != nil && h.Op != proto.OpSASL &&
		!auth.HasScheme(c.ids, l.srv.authSchemes) {
		b, at := beginReply(c.nc.Buffer(), h.Xid, 0, proto.ErrSessionClosedNeedsSASL)
		l.reply(c, b, at)
		l.srv.refused(c, "it authenticated with none of %q (enforce.auth.schemes)",
			l.srv.authSchemes)
		l.close(c)
		return
	}
	l.accept(c, h, body)
}

// accept gives a request its place: answered at once, sent to the core, or kept waiting.
func (l *loop) accept(c *conn, h proto.RequestHeader, body []byte) {
	if route(h.Op) == routeRead {
		if c.pending.len() > 0 {
			l.wait(c, pendingRead, h, body)
			return
		}
		l.answer(c, h.Xid, h.Op, body)
		return
	}
	if c.pending.barriers > 0 || !c.mayGoAhead(c.pending.reads) {
		l.wait(c, pendingHeld, h, body)
		return
	}
	l.srv.inFlight.Add(1)
	l.writes++
	cut := c.pending.readBehind()
	c.pending.push(pending{kind: pendingSent, xid: h.Xid, op: h.Op, sinceNs: l.nowNs})
	l.send(request{kind: reqOp, xid: h.Xid, op: h.Op, conn: c, session: c.session,
		body: body, ids: c.ids, cut: cut})
}

// wait keeps a request that may not be answered or sent yet; its body outlives the turn.
func (l *loop) wait(c *conn, kind pendingKind, h proto.RequestHeader, body []byte) {
	l.srv.inFlight.Add(1)
	if kind == pendingHeld {
		l.writes++
	} else {
		l.reads++
	}
	c.pending.push(pending{kind: kind, xid: h.Xid, op: h.Op, ids: c.ids,
		body: append([]byte(nil), body...), sinceNs: l.nowNs})
}

// send adds a request for the core. The body is copied into the loop's block, because the frame's
// bytes are gone after the turn. When a block is full, the loop begins another; the old one lives
// as long as the requests in it.
func (l *loop) send(r request) {
	if !l.turning {
		panic("server: a request outside of a turn: nobody would hand it to the core")
	}
	r.loop = int32(l.index)
	if cap(l.block)-len(l.block) < len(r.body) {
		l.block = make([]byte, 0, max(len(r.body), blockBytes))
	}
	at := len(l.block)
	l.block = append(l.block, r.body...)
	r.body = l.block[at:len(l.block):len(l.block)]
	l.out = append(l.out, r)
}

// flush hands the turn's requests to the core.
func (l *loop) flush() {
	if len(l.out) == 0 {
		return
	}
	l.srv.lend(l.srv.inbox.push(l.out, l.nowNs))
	clear(l.out)
	l.out = l.out[:0]
}

// drain goes on with a connection after the oldest request was answered. Reads are answered from
// the root of that answer's batch until a write is the oldest; held writes go to the core.
func (l *loop) drain(c *conn) {
	for n := 0; c.pending.len() > 0 && c.state == connLive; n++ {
		if n%tree.GetManyMax == 0 {
			l.lookAheadPending(c)
		}
		if c.pending.sent == 0 && c.nc.OverMark() {
			return // Drained goes on. Reads before a sent write cannot wait: it may be answered next.
		}
		p := c.pending.first()
		switch p.kind {
		case pendingRead:
			if !l.answer(c, p.xid, p.op, p.body) {
				return
			}
			if c.state != connLive {
				return
			}
			l.pop(c)
			continue
		case pendingHeld:
			l.release(c)
		}
		return
	}
}

// release sends the held writes at the head of a connection's queue, up to the next barrier.
func (l *loop) release(c *conn) {
	cut, reads := false, 0
	for i := range c.pending.len() {
		p := c.pending.at(i)
		if p.kind != pendingHeld {
			if reads++; p.isBarrier() || !c.mayGoAhead(reads) {
				return
			}
			cut = true
			continue
		}
		l.send(request{kind: reqOp, xid: p.xid, op: p.op, conn: c, session: c.session,
			body: p.body, ids: p.ids, cut: cut})
		c.pending.send(i)
		cut = false
	}
}

// pop ends the request at the head.
func (l *loop) pop(c *conn) {
	if c.pending.first().kind == pendingSent {
		l.writes--
	} else {
		l.reads--
	}
	c.pending.pop()
	l.srv.inFlight.Add(-1)
}

// connect handles the first frame (ZooKeeperServer.processConnectRequest).
func (l *loop) connect(c *conn, frame []byte) {
	var q proto.ConnectRequest
	r := jute.ReaderMax(frame, l.srv.cfg.JuteMaxBuffer)
	q.Fields(&r)
	if r.Err() != nil {
		l.refuse(c, r.Err())
		return
	}
	if !l.serving {
		l.stats.NotServing++
		l.close(c)
		return
	}
	l.stats.Connects++
	if q.SessionID != 0 {
		l.stats.Resumes++
	}
	if q.LastZxidSeen > l.root.Zxid() {
		l.srv.refused(c, "it has seen zxid %v, we are at %v: it must try another server",
			q.LastZxidSeen, l.root.Zxid())
		l.close(c)
		return
	}
	c.state, c.legacy, c.session = connWaiting, !q.HasReadOnly, q.SessionID
	c.nc.Pause()
	l.send(request{kind: reqConnect, conn: c, session: q.SessionID, timeout: q.TimeOut,
		body: q.Passwd})
}

// authenticate adds identities to a connection; it is answered at once, with zxid 0.
func (l *loop) authenticate(c *conn, xid int32, body []byte) {
	var q proto.AuthPacket
	r := jute.ReaderMax(body, l.srv.cfg.JuteMaxBuffer)
	if q.Fields(&r); r.Err() != nil {
		l.refuse(c, fmt.Errorf("an auth packet: %w", r.Err()))
		return
	}
	ids, code := l.srv.providers.Authenticate(q.Scheme, q.Auth, c.nc.RemoteAddr().Addr())
	if code == proto.OK {
		ids = auth.Join(c.ids, ids)
		if len(ids) <= identitiesMax && auth.TextBytes(ids) <= identityBytesMax {
			c.ids = ids
		} else {
			code = proto.ErrAuthFailed
		}
	}
	if q.Scheme == auth.SchemeEnsemble {
		l.stats.ensemble(code, len(q.Auth) > 0 && len(l.srv.cfg.EnsembleAuthNames) > 0)
	}
	if code == proto.ErrBadArguments { // no reply, so that the client tries its next server
		l.srv.refused(c, "it looks for another ensemble, %.100q", q.Auth)
		l.close(c)
		return
	}
	b, at := beginReply(c.nc.Buffer(), xid, 0, code)
	l.reply(c, b, at)
	if code != proto.OK {
		l.stats.AuthFailed++
		l.srv.refused(c, "authentication with scheme %.100q failed", q.Scheme)
		l.close(c)
	}
}

// beginReply appends a frame with a reply header to b; at is where the frame begins.
func beginReply(b []byte, xid int32, zxid proto.Zxid, code proto.Code) ([]byte, int) {
	at := len(b)
	b = binary.BigEndian.AppendUint32(b, 16)
	b = binary.BigEndian.AppendUint32(b, uint32(xid))
	b = binary.BigEndian.AppendUint64(b, uint64(zxid))
	return binary.BigEndian.AppendUint32(b, uint32(code)), at
}

// reply ends the frame that begins at at, and gives the buffer back to the connection.
func (l *loop) reply(c *conn, b []byte, at int) {
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	c.nc.SetBuffer(b)
	c.replyBytes = max(len(b)-at, c.replyBytes-c.replyBytes/64)
	c.stats.sent++
	l.stats.reply(len(b)-at-4, l.nowNs)
}

// hear notes that a session's client is alive.
func (l *loop) hear(c *conn) {
	c.heardMs = l.nowNs / 1e6
	if !c.touched && c.state == connLive {
		c.touched = true
		l.touches = append(l.touches, c)
	}
}

// report gives the core the sessions that were heard since the last report.
func (l *loop) report(answer bool) {
	if len(l.touches) == 0 && !answer {
		return
	}
	l.srv.inbox.put(func(b *inbox) {
		for _, c := range l.touches {
			b.touches = append(b.touches, touch{c.session, c.heardMs})
		}
		if answer {
			b.answered++
		}
	})
	for _, c := range l.touches {
		c.touched = false
	}
	clear(l.touches)
	l.touches = l.touches[:0]
}

// close ends a connection after what was gathered for it has left.
func (l *loop) close(c *conn) {
	if c.state == connClosing || c.state == connClosed {
		return
	}
	if c.state == connLive {
		l.send(request{kind: reqDetach, conn: c, session: c.session})
	}
	c.state, c.heldNs = connClosing, l.nowNs
	c.nc.CloseAfterFlush()
}

// abort ends a connection at once, and says why. Output that the kernel has not taken is lost.
func (l *loop) abort(c *conn, format string, args ...any) {
	l.srv.refused(c, format, args...)
	l.send(request{kind: reqDetach, conn: c, session: c.session})
	c.state, c.heldNs = connClosing, l.nowNs
	c.nc.Close()
}

// refuse ends a connection that sent what it must not, and says why.
func (l *loop) refuse(c *conn, err error) {
	l.srv.refused(c, "%v", err)
	l.close(c)
}
