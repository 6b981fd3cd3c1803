package server

import (
	"time"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/netloop"
	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/tree"
)

// Wake implements netloop.Handler: the core linked a batch that this loop must deliver. The flag is
// lowered before the feed is walked. A batch that is linked after the walk finds the flag down, and
// wakes the loop again.
func (l *loop) Wake() {
	l.awake.Store(false)
	l.turn(l.work)
}

// Drained implements netloop.Handler.
func (l *loop) Drained(nc *netloop.Conn) {
	l.turn(func() { l.drain(nc.Data.(*conn)) })
}

// advance walks the feed to its end. For each batch: its entries in order of zxid, each with
// its events before its reply; then the batch's root; then what waited behind the replies.
func (l *loop) advance() {
	for b := l.cursor.next.Load(); b != nil; b = l.cursor.next.Load() {
		l.deliver(b)
		l.cursor = b
	}
	if len(l.stalled) > 0 {
		l.unstall()
	}
}

func (l *loop) deliver(b *batch) {
	from, replies := int32(0), int64(0)
	for i := range b.entries {
		e := &b.entries[i]
		if from < e.eventsTo {
			if l.watches.entries > 0 {
				for j := from; j < e.eventsTo; j++ {
					l.fire(e.zxid, &b.events[j])
				}
			}
			from = e.eventsTo
		}
		if e.conn != nil && e.conn.loop == l {
			l.settle(e)
			if e.kind == entryReply || e.kind == entrySync {
				replies++
			}
		}
	}
	if replies > 0 {
		l.countBatch(b, replies)
	}
	if b.root != nil {
		l.root = b.root
	}
	if b.restored {
		l.startOver()
	}
	l.serving = true
	if len(l.ready) > 0 {
		l.goOn()
	}
}

// goOn answers what waited behind the writes of a batch.
func (l *loop) goOn() {
	drained := int64(0)
	for i := 0; i < len(l.ready); i++ { // drain adds nobody: only answerEntry does
		c := l.ready[i]
		c.ready = false
		waiting := c.pending.len()
		l.drain(c)
		l.stats.Behind.Add(int64(waiting))
		l.stats.Freed.Add(int64(waiting - c.pending.len()))
		if c.pending.len() == 0 {
			drained++
		}
	}
	l.stats.Queues.Add(int64(len(l.ready)))
	l.stats.Drained.Add(drained)
	clear(l.ready)
	l.ready = l.ready[:0]
}

// settle does what an entry asks of a connection of this loop.
func (l *loop) settle(e *entry) {
	c := e.conn
	switch {
	case e.kind == entryConnect || e.kind == entryRefuse:
		l.connected(c, e)
		return
	case e.kind == entryTurnAway && c.state == connWaiting:
		l.srv.refused(c, "the disk is full: no session can be made")
		l.close(c)
		return
	}
	if c.state != connLive {
		if e.kind == entryReply || e.kind == entrySync {
			l.stats.StaleReplies++
		}
		return
	}
	switch e.kind {
	case entryDrop:
		why := "its session moved to another connection"
		if e.more != nil {
			why = "its session expired"
			l.srv.sayExpired(e.more.expired, len(c.watches))
		}
		l.srv.refused(c, "%s", why)
		l.close(c)
	case entryReply, entrySync:
		l.answerEntry(c, e)
	}
}

// answerEntry writes the reply to the request at the head of the connection's queue.
func (l *loop) answerEntry(c *conn, e *entry) {
	p := c.pending.first()
	if p.kind != pendingSent || p.xid != e.xid {
		panic("server: an entry answers another request than the oldest")
	}
	b, at := beginReply(c.nc.Buffer(), e.xid, e.zxid, e.code)
	if e.code == proto.OK {
		if e.kind == entrySync {
			w := jute.Writer(b)
			path := proto.PathOnly{Path: e.more.path}
			path.Fields(&w)
			b = w.Bytes()
		} else {
			b = appendResult(b, e.op, e.node)
			if e.op == proto.OpMulti {
				b = appendMulti(b, e.more.parts)
			}
		}
	}
	l.reply(c, b, at)
	l.answered(c, e.xid, e.op, e.zxid)
	l.pop(c)
	if e.op == proto.OpCloseSession {
		l.srv.clientLog.SessionClosed(c.name())
		l.close(c)
		return
	}
	if c.pending.len() > 0 && !c.ready {
		c.ready = true
		l.ready = append(l.ready, c)
	}
}

// appendResult appends the record that answers a write.
func appendResult(b []byte, op proto.Op, n *tree.Node) []byte {
	w := jute.Writer(b)
	switch op {
	case proto.OpCreate:
		r := proto.PathOnly{Path: n.Path()}
		r.Fields(&w)
	case proto.OpCreate2, proto.OpCreateContainer, proto.OpCreateTTL:
		r := proto.PathStat{Path: n.Path(), Stat: n.Stat()}
		r.Fields(&w)
	case proto.OpSetData, proto.OpSetACL:
		st := n.Stat()
		st.Fields(&w)
	}
	return w.Bytes()
}

// appendMulti appends the answer to a multi: per part a header and its result (MultiResponse).
func appendMulti(b []byte, parts []part) []byte {
	w := jute.Writer(b)
	for i := range parts {
		p := &parts[i]
		h := proto.MultiHeader{Op: p.op, Err: p.code}
		switch p.op {
		case proto.OpCreateContainer, proto.OpCreateTTL:
			h.Op = proto.OpCreate2
		}
		h.Fields(&w)
		if p.op == proto.OpError {
			code := int32(p.code)
			w.Int(&code)
			continue
		}
		w = jute.Writer(appendResult(w.Bytes(), p.op, p.node))
	}
	end := proto.MultiEnd
	end.Fields(&w)
	return w.Bytes()
}

// connected answers a ConnectRequest.
func (l *loop) connected(c *conn, e *entry) {
	if c.state != connWaiting {
		if e.kind == entryConnect { // it left while it waited
			l.send(request{kind: reqDetach, conn: c, session: e.more.session})
		}
		return
	}
	q := proto.ConnectResponse{HasReadOnly: !c.legacy, Passwd: make([]byte, proto.PasswordBytes)}
	if e.kind == entryConnect {
		p := proto.SessionPassword(e.more.session)
		copy(q.Passwd, p[:])
		q.TimeOut, q.SessionID = e.more.timeout, e.more.session
	}
	b := c.nc.Buffer()
	at := len(b)
	w := jute.Writer(append(b, 0, 0, 0, 0))
	q.Fields(&w)
	l.reply(c, w.Bytes(), at)
	if e.kind == entryRefuse {
		l.srv.refused(c, "no such session, or a wrong password")
		l.close(c)
		return
	}
	c.state, c.session, c.timeoutMs = connLive, e.more.session, e.more.timeout
	c.stats.answer(l.nowNs, 0, 0, proto.OpCreateSession, e.zxid)
	l.stats.Sessions++
	l.srv.clientLog.SessionBegun(c.name(), time.Duration(c.timeoutMs)*time.Millisecond,
		e.more.resumed)
	l.hear(c)
	c.nc.Resume()
}

// fire delivers one change of the tree to this loop's watchers: those in the data table first, then
// those in the child table (DataTree.createNode, deleteNode, setData).
func (l *loop) fire(zxid proto.Zxid, ev *tree.Event) {
	l.mark++
	l.targets = l.watches.collect(l.targets[:0], watchKey{ev.Path, dataTable}, l.mark)
	if ev.Type == proto.EventNodeDeleted {
		// Child watchers of the znode are told of its end too, unless they have just been told.
		l.targets = l.watches.collect(l.targets, watchKey{ev.Path, childTable}, l.mark)
	}
	l.notify(zxid, ev.Type, ev.Path, ev.ACL)
	if ev.Type != proto.EventNodeDataChanged && ev.Path != "/" {
		l.mark++
		parent := parentOf(ev.Path)
		l.targets = l.watches.collect(l.targets[:0], watchKey{parent, childTable}, l.mark)
		l.notify(zxid, proto.EventNodeChildrenChanged, parent, ev.ParentACL)
	}
	clear(l.targets)
	l.watching.Store(int64(l.watches.entries))
}

// notify writes an event to those of l.targets that may read the znode, as its ACL stood.
func (l *loop) notify(zxid proto.Zxid, typ int32, path string, acl []proto.ACL) {
	if n := len(l.targets); n > 0 {
		l.stats.fire(typ, n)
	}
	for _, c := range l.targets {
		if c.state == connLive && l.srv.allows(acl, proto.PermRead, c.ids) {
			l.event(c, zxid, typ, path)
		}
	}
}

// event writes one notification. Behind a slow read it waits for the read's reply, so that
// the zxids that a client is shown never step back.
func (l *loop) event(c *conn, zxid proto.Zxid, typ int32, path string) {
	slow := c.pending.len() > 0 && c.pending.first().kind == pendingSlow
	b := c.deferred
	if !slow {
		b = c.nc.Buffer()
	}
	b, at := appendEvent(b, zxid, typ, path)
	l.stats.WatchBytes += int64(len(b) - at - 4)
	if slow {
		frameLength(b, at)
		c.deferred = b
	} else {
		l.reply(c, b, at)
	}
	if c.nc.Unsent() < outputMax {
		c.eventBytes = len(c.deferred)
	}
	if c.eventBytes += len(b) - at; c.eventBytes > eventBytesMax {
		l.abort(c, "it is behind with more than %d bytes of watch events", eventBytesMax)
	}
}

// appendEvent appends a notification; at is where its frame begins.
func appendEvent(b []byte, zxid proto.Zxid, typ int32, path string) ([]byte, int) {
	b, at := beginReply(b, proto.XidEvent, zxid, proto.OK)
	w := jute.Writer(b)
	q := proto.WatcherEvent{Type: typ, State: proto.StateSyncConnected, Path: path}
	q.Fields(&w)
	return w.Bytes(), at
}

// Tick implements netloop.Handler.
func (l *loop) Tick(time.Time) {
	l.turn(func() {
		l.report(false)
		l.sweep()
		l.work()
	})
}

// sweep closes connections that sent no ConnectRequest in time. It also closes those whose client
// has taken no byte of its output for a whole session timeout.
func (l *loop) sweep() {
	now := l.nowNs / 1e6
	for c := range l.conns {
		if c.state == connNew && now-c.openedMs > l.srv.cfg.SessionlessTimeout.Milliseconds() {
			l.stats.Sessionless++
			l.srv.refused(c, "no ConnectRequest within %v", l.srv.cfg.SessionlessTimeout)
			l.close(c)
			continue
		}
		if sent := c.nc.SentBytes(); c.nc.Unsent() == 0 || sent != c.sentMark {
			c.sentMark, c.sentMarkMs = sent, now
		} else if c.state == connLive && now-c.sentMarkMs > int64(c.timeoutMs) {
			l.abort(c, "it has not read a reply for %d ms, its session timeout", c.timeoutMs)
		}
	}
}
