package server

import (
	"encoding/binary"
	"errors"
	"runtime"
	"strings"
	"unsafe"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/netloop"
	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/server/auth"
	"github.com/meerkat-zk/meerkat/server/metrics"
	"github.com/meerkat-zk/meerkat/tree"
)

// The life of a read. The loop has caught up with the feed, so its root is as new as anything
// that any client was told. The answer is encoded from the root straight into the connection's
// output (FinalRequestProcessor): no lock, no other thread. A read that would take long runs aside,
// with the root of its moment (slow, below).

// Where a request goes.
type routing uint8

const (
	routeRead routing = iota // answered by the loop (pings and refusals too)
	routeCore                // planned, or ordered, by the core
)

func route(op proto.Op) routing {
	switch op {
	case proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer, proto.OpCreateTTL,
		proto.OpDelete, proto.OpSetData, proto.OpSetACL, proto.OpMulti, proto.OpReconfig,
		proto.OpSync, proto.OpCloseSession:
		return routeCore
	}
	return routeRead
}

// answer answers the oldest request of a connection from the loop's root. False means that the
// answer comes later: the read runs aside, or is a large setWatches.
func (l *loop) answer(c *conn, xid int32, op proto.Op, body []byte) bool {
	switch op {
	case proto.OpPing:
		b, at := beginReply(c.nc.Buffer(), proto.XidPing, l.root.Zxid(), proto.OK)
		l.reply(c, b, at)
		l.answered(c, xid, op, l.root.Zxid())
		return true
	case proto.OpSetWatches, proto.OpSetWatches2:
		return l.setWatches(c, xid, op, body)
	case proto.OpSASL:
		l.sasl(c, xid, body)
		return true
	}
	b, at := beginReply(c.nc.Buffer(), xid, l.root.Zxid(), proto.OK)
	rd := reader{srv: l.srv, root: l.root, ids: c.ids, session: c.session, loop: l, conn: c,
		bytes: &l.stats.ReadBytes}
	b, code := rd.read(b, op, body)
	if code == errSlow {
		l.slow(c, xid, op, body, rd.counted)
		return false
	}
	if code != proto.OK {
		b, _ = beginReply(b[:at], xid, l.root.Zxid(), code)
		if code == errUnknownOp {
			b, _ = beginReply(b[:at], xid, -1, proto.ErrUnimplemented)
		}
	}
	l.reply(c, b, at)
	l.answered(c, xid, op, l.root.Zxid())
	if code == errUnknownOp {
		l.srv.refused(c, "unknown operation %v", op)
		l.close(c)
	}
	return true
}

// sasl answers the first token of a negotiation. There is no SASL here: the answer is a null token
// and no error, with zxid 0 as the answers to auth (ZooKeeperServer.processSasl).
func (l *loop) sasl(c *conn, xid int32, body []byte) {
	var q, none proto.Token
	if !decode(body, l.srv.cfg.JuteMaxBuffer, q.Fields) || q.Token == nil {
		l.refuse(c, errors.New("a sasl request without a token"))
		return
	}
	b, at := beginReply(c.nc.Buffer(), xid, 0, proto.OK)
	w := jute.Writer(b)
	none.Fields(&w)
	l.reply(c, w.Bytes(), at)
	l.answered(c, xid, proto.OpSASL, l.root.Zxid())
}

// Codes that are never on the wire.
const (
	// A request that no client may send: the answer is -6 with zxid -1, then the connection is
	// closed.
	errUnknownOp proto.Code = 1
	// A read that visits too many znodes for the loop: it goes aside. It has set its watch.
	errSlow proto.Code = 2
)

// A reader answers one read from one root. Loop and conn are nil in a slow read, which sets no
// watch itself.
type reader struct {
	srv     *Server
	root    *tree.Root
	ids     []proto.ID
	session int64
	loop    *loop
	conn    *conn
	bytes   *metrics.Namespaces // counts what is read
	counted int                 // parts of a multiRead that are counted
}

// read appends the record that answers op, after a reply header that the caller wrote.
func (rd *reader) read(b []byte, op proto.Op, body []byte) ([]byte, proto.Code) {
	switch op {
	case proto.OpExists, proto.OpGetData, proto.OpGetChildren, proto.OpGetChildren2:
		return rd.readNode(b, op, body)
	case proto.OpGetACL:
		return rd.getACL(b, body)
	case proto.OpGetAllChildrenNumber:
		return rd.getAllChildrenNumber(b, body)
	case proto.OpGetEphemerals:
		return rd.getEphemerals(b, body)
	case proto.OpMultiRead:
		return rd.multiRead(b, body)
	case proto.OpWhoAmI:
		w := jute.Writer(b)
		q := proto.WhoAmIResponse{Infos: rd.srv.providers.WhoAmI(rd.ids)}
		q.Fields(&w)
		return w.Bytes(), proto.OK
	case proto.OpAddWatch:
		return rd.addWatch(b, body)
	case proto.OpCheckWatches, proto.OpRemoveWatches:
		return b, rd.selectWatches(op, body)
	}
	return b, errUnknownOp
}

// readNode answers the four reads of one znode.
func (rd *reader) readNode(b []byte, op proto.Op, body []byte) ([]byte, proto.Code) {
	var q proto.PathWatch
	r := jute.ReaderMax(body, rd.srv.cfg.JuteMaxBuffer)
	q.Fields(&r)
	if r.Err() != nil || q.Path == jute.Null {
		return b, proto.ErrMarshalling
	}
	n := rd.get(q.Path)
	if op == proto.OpExists {
		if strings.IndexByte(q.Path, 0) >= 0 {
			return b, proto.ErrBadArguments
		}
		if n != nil && !rd.allows(n, proto.PermRead) {
			return b, proto.ErrNoAuth
		}
		if q.Watch { // an absent znode is watched too
			rd.watch(q.Path, dataTable, watchStandard)
		}
	}
	if n == nil {
		return b, proto.ErrNoNode
	}
	if op != proto.OpExists && !rd.allows(n, proto.PermRead) {
		return b, proto.ErrNoAuth
	}
	w, size := jute.Writer(b), 0
	switch op {
	case proto.OpGetData:
		if q.Watch {
			rd.watch(q.Path, dataTable, watchStandard)
		}
		data := n.Data()
		size = len(data)
		w.Buffer(&data)
	case proto.OpGetChildren, proto.OpGetChildren2:
		if q.Watch {
			rd.watch(q.Path, childTable, watchStandard)
		}
		if rd.tooLong(int(n.NumChildren())) {
			return b, errSlow
		}
		size = rd.children(&w, n)
	}
	rd.bytes.Add(q.Path, len(q.Path)+size+proto.StatBytes)
	if op != proto.OpGetChildren {
		st := n.Stat()
		st.Fields(&w)
	}
	return w.Bytes(), proto.OK
}

// get returns the znode at a path, which may have been looked up ahead.
func (rd *reader) get(path string) *tree.Node {
	if rd.loop != nil && rd.loop.ahead.count > 0 {
		if n := rd.loop.ahead.take(rd.root, path); n != nil {
			return n
		}
	}
	return rd.root.Get(path)
}

// Ahead are the znodes that the next reads of a connection ask for, in the order of the reads. In a
// large tree it is faster to look them up together (tree.GetMany).
type ahead struct {
	root  *tree.View
	nodes [tree.GetManyMax]*tree.Node
	paths [tree.GetManyMax]string // alias the requests
	count int
	next  int
}

// take returns the next znode, if it is the one at path in root.
func (a *ahead) take(root *tree.Root, path string) *tree.Node {
	n := a.nodes[a.next]
	if a.next++; a.next == a.count {
		a.count = 0
	}
	if n == nil || a.root != &root.View || n.Path() != path {
		return nil
	}
	return n
}

// add enters the path of a request about one znode; false for what is no such request, or when
// no more fit.
func (a *ahead) add(op proto.Op, body []byte) bool {
	switch op {
	case proto.OpGetData, proto.OpExists, proto.OpGetChildren, proto.OpGetChildren2,
		proto.OpSetData, proto.OpDelete:
		if len(body) < 4 {
			return false
		}
		path := body[4:]
		if n := binary.BigEndian.Uint32(body); uint64(n) <= uint64(len(path)) {
			a.paths[a.count] = unsafe.String(unsafe.SliceData(path), n)
			a.count++
			return a.count < len(a.paths)
		}
	}
	return false
}

// look looks up what was added.
func (a *ahead) look(root *tree.View) {
	a.root, a.next = root, 0
	root.GetMany(a.paths[:a.count], a.nodes[:])
}

// lookAhead is for the reads that a connection's input begins with.
func (l *loop) lookAhead(c *conn, in []byte) {
	if c.state != connLive || c.pending.len() > 0 || !l.root.IsLarge() {
		return
	}
	for l.ahead.count = 0; ; {
		frame, size, err := netloop.NextFrame(in, l.srv.cfg.JuteMaxBuffer)
		if err != nil || len(frame) < 8 {
			break
		}
		// A read behind a write has to wait, and is looked up after that.
		op := proto.Op(binary.BigEndian.Uint32(frame[4:]))
		if route(op) != routeRead || !l.ahead.add(op, frame[8:]) {
			break
		}
		in = in[size:]
	}
	l.ahead.look(&l.root.View)
}

// lookAheadPending is for the reads at the head of a connection's queue.
func (l *loop) lookAheadPending(c *conn) {
	if c.pending.first().kind != pendingRead || !l.root.IsLarge() {
		return
	}
	l.ahead.count = 0
	for i := range c.pending.len() {
		p := c.pending.at(i)
		if p.kind != pendingRead || !l.ahead.add(p.op, p.body) {
			break
		}
	}
	l.ahead.look(&l.root.View)
}

// tooLong tells whether a read that visits this many znodes must leave the loop.
func (rd *reader) tooLong(znodes int) bool { return rd.loop != nil && znodes > readInlineMax }

// children appends the vector of a znode's child names, and returns how long they are together.
func (rd *reader) children(w *jute.Coder, n *tree.Node) (bytes int) {
	count := n.NumChildren()
	w.Int(&count)
	b, before := w.Bytes(), w.Len()+4*int(count)
	rd.root.Children(n.Path(), func(name string, _ *tree.Node) bool {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(name))), name...)
		if count--; count%slowYieldEvery == 0 && rd.loop == nil {
			runtime.Gosched()
		}
		return true
	})
	*w = jute.Writer(b)
	return len(b) - before
}

func (rd *reader) allows(n *tree.Node, perm int32) bool {
	return rd.srv.allows(rd.root.ACL(n), perm, rd.ids)
}

// path decodes a request that is only a path. It does not use decode, because what decode fills is
// allocated on the heap.
func (rd *reader) path(body []byte) (path string, ok bool) {
	var q proto.PathOnly
	r := jute.ReaderMax(body, rd.srv.cfg.JuteMaxBuffer)
	q.Fields(&r)
	return q.Path, r.Err() == nil
}

// absent is the answer to a request for a znode that is not there; a null path names none.
func absent(path string) proto.Code {
	if path == jute.Null {
		return proto.ErrMarshalling
	}
	return proto.ErrNoNode
}

// getACL needs READ or ADMIN; without ADMIN the hashes of digest entries are hidden.
func (rd *reader) getACL(b []byte, body []byte) ([]byte, proto.Code) {
	path, ok := rd.path(body)
	if !ok {
		return b, proto.ErrMarshalling
	}
	n := rd.root.Get(path)
	if n == nil {
		return b, absent(path)
	}
	admin := rd.allows(n, proto.PermAdmin)
	if !admin && !rd.allows(n, proto.PermRead) {
		return b, proto.ErrNoAuth
	}
	acl := rd.root.ACL(n)
	if acl == nil {
		acl = proto.OpenACL
	}
	if !admin {
		acl = auth.Mask(acl)
	}
	w := jute.Writer(b) // ACLStat, without the detour over the heap that a vector takes
	count, st := int32(len(acl)), n.Stat()
	w.Int(&count)
	for i := range acl {
		acl[i].Fields(&w)
	}
	st.Fields(&w)
	return w.Bytes(), proto.OK
}

func (rd *reader) getAllChildrenNumber(b []byte, body []byte) ([]byte, proto.Code) {
	path, ok := rd.path(body)
	if !ok {
		return b, proto.ErrMarshalling
	}
	n := rd.root.Get(path)
	if n == nil {
		return b, absent(path)
	}
	if !rd.allows(n, proto.PermRead) {
		return b, proto.ErrNoAuth
	}
	if n.NumChildren() > 0 && rd.tooLong(rd.root.NodeCount()) {
		return b, errSlow
	}
	w := jute.Writer(b)
	count := int32(rd.root.CountDescendants(path))
	w.Int(&count)
	return w.Bytes(), proto.OK
}

// getEphemerals lists the session's own ephemerals under a plain string prefix; null, blank and
// the root are under all.
func (rd *reader) getEphemerals(b []byte, body []byte) ([]byte, proto.Code) {
	prefix, ok := rd.path(body)
	if !ok {
		return b, proto.ErrMarshalling
	}
	bare := strings.TrimFunc(prefix, func(r rune) bool { return r <= ' ' }) // String.trim
	all := prefix == jute.Null || bare == "" || bare == "/"
	paths, seen := []string{}, 0
	rd.root.Ephemerals(rd.session, func(path string) bool {
		if all || strings.HasPrefix(path, prefix) {
			paths = append(paths, path)
		}
		seen++
		return !rd.tooLong(seen)
	})
	if rd.tooLong(seen) {
		return b, errSlow
	}
	w := jute.Writer(b)
	jute.Strings(&w, &paths)
	return w.Bytes(), proto.OK
}

// multiRead answers a list of reads; each succeeds or fails by itself.
func (rd *reader) multiRead(b []byte, body []byte) ([]byte, proto.Code) {
	r := jute.ReaderMax(body, rd.srv.cfg.JuteMaxBuffer)
	w := jute.Writer(b)
	for visited := 1; ; visited++ {
		var h proto.MultiHeader
		var q proto.PathWatch
		h.Fields(&r)
		if r.Err() == nil && h.Done {
			break
		}
		q.Fields(&r)
		if r.Err() != nil || q.Path == jute.Null ||
			h.Op != proto.OpGetData && h.Op != proto.OpGetChildren {
			return b, proto.ErrMarshalling
		}
		n, code := rd.root.Get(q.Path), proto.OK
		switch {
		case n == nil:
			code = proto.ErrNoNode
		case !rd.allows(n, proto.PermRead):
			code = proto.ErrNoAuth
		case h.Op == proto.OpGetChildren:
			visited += int(n.NumChildren())
		}
		if rd.tooLong(visited) || rd.loop != nil && w.Len()-len(b) > replyInlineMax {
			return b, errSlow
		}
		if w.Len()-len(b) > replyBytesMax {
			return b, proto.ErrMarshalling
		}
		if code != proto.OK {
			h = proto.MultiHeader{Op: proto.OpError, Err: code}
			h.Fields(&w)
			w.Int((*int32)(&code))
			continue
		}
		h = proto.MultiHeader{Op: h.Op}
		h.Fields(&w)
		if h.Op == proto.OpGetChildren {
			rd.countPart(q.Path, rd.children(&w, n))
			continue
		}
		rd.countPart(q.Path, len(n.Data()))
		d := proto.DataStat{Data: n.Data(), Stat: n.Stat()}
		d.Fields(&w)
	}
	end := proto.MultiEnd
	end.Fields(&w)
	return w.Bytes(), proto.OK
}

// countPart counts a part of a multiRead, unless the loop did before the multiRead went aside.
func (rd *reader) countPart(path string, size int) {
	switch {
	case rd.loop != nil:
		rd.counted++
	case rd.counted > 0:
		rd.counted--
		return
	}
	rd.bytes.Add(path, len(path)+size+proto.StatBytes)
}

// watch registers a watch for the connection that reads.
func (rd *reader) watch(path string, table watchTable, mode watchMode) {
	if rd.loop == nil {
		return // the loop did it before the read went aside
	}
	rd.loop.addWatch(rd.conn, path, table, mode)
}

// addWatch registers a watch in the loop's table.
func (l *loop) addWatch(c *conn, path string, table watchTable, mode watchMode) {
	if l.watches.add(c, watchKey{watchedPath(path), table}, mode) {
		l.armed = true
	}
}

// watchedPath is the path under which a watch stands: the empty one is the root's to a watch too.
func watchedPath(path string) string {
	if path == "" {
		return "/"
	}
	return path
}

// addWatch sets a persistent watch; the znode need not exist. Stricter than Java: a null path,
// on which nothing ever happens, is refused in both modes.
func (rd *reader) addWatch(b []byte, body []byte) ([]byte, proto.Code) {
	var q proto.PathType
	if !decode(body, rd.srv.cfg.JuteMaxBuffer, q.Fields) || q.Path == jute.Null {
		return b, proto.ErrMarshalling
	}
	switch q.Type {
	case proto.AddWatchPersistent:
		rd.watch(q.Path, dataTable, watchPersistent)
		rd.watch(q.Path, childTable, watchPersistent)
	case proto.AddWatchPersistentRecursive:
		rd.watch(q.Path, dataTable, watchRecursive)
	default:
		return b, proto.ErrMarshalling
	}
	w := jute.Writer(b)
	code := int32(proto.OK)
	w.Int(&code) // ErrorResponse
	return w.Bytes(), proto.OK
}

// selectWatches looks for a connection's watches of a kind on a path, and takes them away if
// it was removeWatches.
func (rd *reader) selectWatches(op proto.Op, body []byte) proto.Code {
	var q proto.PathType
	if !decode(body, rd.srv.cfg.JuteMaxBuffer, q.Fields) {
		return proto.ErrMarshalling
	}
	selected := modesOf(q.Type)
	if selected == nil || q.Path == jute.Null && op == proto.OpCheckWatches {
		return proto.ErrMarshalling
	}
	found := false
	for _, s := range selected {
		k := watchKey{watchedPath(q.Path), s.table}
		if op == proto.OpRemoveWatches {
			found = rd.loop.watches.drop(rd.conn, k, s.mode) || found
		} else {
			found = found || rd.conn.watches[k]&s.mode != 0
		}
	}
	if !found {
		return proto.ErrNoWatcher
	}
	return proto.OK
}

// A read over many znodes would keep its loop from its other connections. It runs aside, on a
// goroutine of its own with the pinned root, and its reply comes back through the loop's
// queue. Its connection's later requests wait, and so do its events.

// slow starts a read aside, from the root of this moment; the loop has counted this many of its
// parts. If the read asks for a watch, the loop has set it already. Events of later changes are
// delivered after the reply.
func (l *loop) slow(c *conn, xid int32, op proto.Op, body []byte, counted int) {
	if c.pending.len() == 0 { // it came in this turn, and is not kept yet
		l.wait(c, pendingSlow, proto.RequestHeader{Xid: xid, Op: op}, body)
	}
	c.pending.become(pendingSlow)
	body = c.pending.first().body
	rd := reader{srv: l.srv, root: l.root, ids: c.ids, session: c.session,
		bytes: &metrics.Namespaces{}, counted: counted}
	l.srv.aside.Add(1)
	go func() { // owns nothing but the pinned root; ends with its read
		defer l.srv.aside.Done()
		l.srv.slowSlots <- struct{}{}
		defer func() { <-l.srv.slowSlots }()
		b, at := beginReply(nil, xid, rd.root.Zxid(), proto.OK)
		b, code := rd.read(b, op, body)
		if code != proto.OK {
			b, _ = beginReply(b[:at], xid, rd.root.Zxid(), code)
		}
		frameLength(b, at)
		l.execute(func() {
			l.stats.ReadBytes.Merge(rd.bytes)
			l.slowDone(c, b)
		})
	}()
}

// slowDone sends a slow read's reply, then the events that waited for it, and goes on.
func (l *loop) slowDone(c *conn, frame []byte) {
	if c.state != connLive {
		return
	}
	l.stats.reply(len(frame)-4, l.nowNs)
	p := c.pending.first()
	l.answered(c, p.xid, p.op, proto.Zxid(binary.BigEndian.Uint64(frame[8:])))
	if b := c.nc.Buffer(); len(b) > 0 {
		frame = append(b, frame...)
	} // else the frame, which may be large, becomes the buffer as it is
	c.nc.SetBuffer(append(frame, c.deferred...))
	c.deferred = nil
	c.stats.sent++
	l.pop(c)
	l.drain(c)
}

// frameLength writes the length of the frame that begins at at.
func frameLength(b []byte, at int) { binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4)) }
