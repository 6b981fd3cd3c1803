package server

import (
	"net/netip"
	"slices"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
)

// Sessions are created and closed by transactions, so the root has them all. What no
// transaction makes stands here: which connection owns a session, and when it ends.

// A session is the core's side of a client's session.
type session struct {
	id        int64
	timeoutMs int32
	heardMs   int64          // when it was last heard from; when it became known, if never
	client    netip.AddrPort // of the last connection; not valid: none since the start
	conn      *conn          // the owner: requests of others are dropped; nil while detached
	bucket    int64          // the tick in which it ends unless it is heard from
	closing   bool           // its closeSession is planned
	entered   int64          // the number of the batch that has its last entry
	deferred  bool           // in this round a request of it was put off, and so are those behind it
}

// sessions keeps them by id and by tick-sized buckets (ExpiryQueue).
type sessions struct {
	tickMs  int64
	nextID  int64
	byID    map[int64]*session
	buckets map[int64]map[int64]*session // bucket → id → session

	// A server that was stopped (SIGSTOP, a long pause of the machine) must not take its own
	// silence for its clients': time that was lost moves all deadlines.
	lostMs       int64 // in all
	lostBeforeMs int64 // before the last loss
	lossAtMs     int64 // clock when the last loss began
	lastTickMs   int64 // clock of the last tick; 0 before the first
	expireUpTo   int64 // bucket that waits for the loops' answers; 0: none
	asked        int   // answers that are still out
}

func newSessions(tickMs, nextID int64) sessions {
	return sessions{tickMs: tickMs, nextID: nextID, byID: map[int64]*session{},
		buckets: map[int64]map[int64]*session{}}
}

func (t *sessions) get(id int64) *session { return t.byID[id] }

// effective turns a moment of the clock into session time, which stands still while we do.
func (t *sessions) effective(ms int64) int64 {
	if ms < t.lossAtMs {
		return ms - t.lostBeforeMs
	}
	return ms - t.lostMs
}

// add makes a session known, with its full timeout from now.
func (t *sessions) add(id int64, timeoutMs int32, nowMs int64) *session {
	s := &session{id: id, timeoutMs: timeoutMs, heardMs: nowMs}
	t.byID[id] = s
	t.move(s, t.effective(nowMs))
	return s
}

// touch moves a session's end: it was heard from at heardMs.
func (t *sessions) touch(id, heardMs int64) {
	if s := t.byID[id]; s != nil && !s.closing {
		s.heardMs = max(s.heardMs, heardMs)
		t.move(s, t.effective(heardMs))
	}
}

// move puts a session into the bucket of its deadline, never into an earlier one.
// A session lives between its timeout and its timeout plus a tick. One from a file may have a
// timeout below 0, which counts as 0: an end before the first bucket would never come.
func (t *sessions) move(s *session, heard int64) {
	b := (heard+max(int64(s.timeoutMs), 0))/t.tickMs + 1
	if b <= s.bucket {
		return
	}
	t.unbucket(s)
	s.bucket = b
	set := t.buckets[b]
	if set == nil {
		set = map[int64]*session{}
		t.buckets[b] = set
	}
	set[s.id] = s
}

func (t *sessions) unbucket(s *session) {
	if set := t.buckets[s.bucket]; set != nil {
		delete(set, s.id)
		if len(set) == 0 {
			delete(t.buckets, s.bucket)
		}
	}
}

// remove forgets a session.
func (t *sessions) remove(s *session) {
	t.unbucket(s)
	delete(t.byID, s.id)
}

// detach notes that conn is gone; the session waits for another until its deadline.
func (t *sessions) detach(id int64, conn *conn) {
	if s := t.byID[id]; s != nil && s.conn == conn {
		s.conn = nil
	}
}

// tick notes the time; a tick that is late by more than half of one was our fault, and moves
// the deadlines. It returns by how much.
func (t *sessions) tick(nowMs, everyMs int64) (lost int64) {
	if late := nowMs - t.lastTickMs - everyMs; t.lastTickMs != 0 && late > t.tickMs/2 {
		t.lostBeforeMs, t.lossAtMs = t.lostMs, t.lastTickMs+everyMs
		t.lostMs += late
		lost = late
	}
	t.lastTickMs = nowMs
	return lost
}

// due is the newest bucket whose time has passed, 0 if no session is in one.
func (t *sessions) due(nowMs int64) int64 {
	newest, passed := int64(0), t.effective(nowMs)/t.tickMs
	for b := range t.buckets {
		if b <= passed {
			newest = max(newest, b)
		}
	}
	return newest
}

// expired lists the sessions of all buckets up to b, by id.
func (t *sessions) expired(b int64) []*session {
	var out []*session
	for at, set := range t.buckets {
		if at <= b {
			for _, s := range set {
				out = append(out, s)
			}
		}
	}
	slices.SortFunc(out, func(x, y *session) int {
		if x.id < y.id {
			return -1
		}
		return 1
	})
	return out
}

// onConnect attaches a session to the connection that asked, or makes a new one
// (ZooKeeperServer.processConnectRequest). The answer is an entry like any other.
func (c *core) onConnect(r *request) {
	if r.session == 0 {
		c.createSession(r)
		return
	}
	s := c.sessions.get(r.session)
	if s != nil && s.conn != nil && s.conn != r.conn {
		// Before the password is looked at, as in Java.
		c.note(entry{kind: entryDrop, conn: s.conn})
		s.conn = nil
	}
	want := proto.SessionPassword(r.session)
	if s == nil || s.closing || !slices.Equal(r.body, want[:]) {
		c.note(entry{kind: entryRefuse, conn: r.conn})
		return
	}
	s.timeoutMs = c.negotiate(r.timeout)
	c.attach(s, r)
	c.note(entry{kind: entryConnect, conn: r.conn,
		more: &more{session: s.id, timeout: s.timeoutMs, resumed: true}})
}

func (c *core) attach(s *session, r *request) {
	s.conn, s.client = r.conn, r.conn.remote
	c.sessions.touch(s.id, c.now.monoMs)
}

// negotiate clamps a wanted timeout.
func (c *core) negotiate(wantMs int32) int32 {
	return min(max(wantMs, c.minTimeoutMs), c.maxTimeoutMs)
}

// createSession makes a session by a transaction of its own (SessionTrackerImpl).
func (c *core) createSession(r *request) {
	if c.full && !c.hasRoom(closesRoomBytes) {
		c.stats.NoRoom++
		c.note(entry{kind: entryTurnAway, conn: r.conn})
		return
	}
	for c.sessions.nextID == 0 || c.sessions.get(c.sessions.nextID) != nil {
		c.sessions.nextID++
	}
	id := c.sessions.nextID
	c.sessions.nextID++
	timeout := c.negotiate(r.timeout)

	create := request{op: proto.OpCreateSession, session: id}
	c.begin(&create)
	c.txn.Body.TimeOut = timeout
	if _, err := c.head.ApplyPart(&c.txn.Header, proto.OpCreateSession, &c.txn.Body,
		&c.open.events); err != nil {
		panic(err)
	}
	s := c.sessions.add(id, timeout, c.now.monoMs)
	s.conn, s.client = r.conn, r.conn.remote
	e := entry{kind: entryConnect, conn: r.conn, more: &more{session: id, timeout: timeout}}
	c.commit(&e)
}

// planCloseSession lists the session's ephemerals for its transaction, and lets it go.
func (c *core) planCloseSession(id int64) {
	c.out.closes++
	paths, size := []string{}, 0
	c.head.Ephemerals(id, func(path string) bool {
		c.stats.WriteBytes.Add(path, len(path))
		paths = append(paths, path)
		size += 4 + len(path)
		return true
	})
	if c.closeSessionPaths && size <= min(closeSessionPathBytesMax, c.fieldBytesMax-txnFixedBytes) {
		c.txn.Body.Paths = paths
	}
	if s := c.sessions.get(id); s != nil {
		s.closing = true
		c.sessions.remove(s)
	}
}

// onTick expires sessions and reaps containers, by the clock of this turn.
func (c *core) onTick() {
	if lost := c.sessions.tick(c.now.monoMs, tickEveryMs(c.tickMs)); lost > 0 {
		c.stats.LateNs.Add(lost * nsPerMs)
	}
	c.reap()
	t := &c.sessions
	if t.asked > 0 {
		return // a round is out
	}
	if b := t.due(c.now.monoMs); b != 0 {
		t.expireUpTo, t.asked = b, c.loops
		c.out.ask = true
	}
}

// tickEveryMs is how often the core hears the clock: twice a tick, as leaders ping.
func tickEveryMs(tickMs int64) int64 { return max(tickMs/2, 1) }

// onAnswered counts the loops that told whom they heard. After the last, what is still overdue
// has really been silent.
func (c *core) onAnswered(n int) {
	t := &c.sessions
	if t.asked -= n; t.asked > 0 {
		return
	}
	t.asked = 0
	for _, s := range t.expired(t.expireUpTo) {
		if c.full && !c.hasRoom(c.closeBytes(s.id)) {
			continue // it stays overdue, and lives if it is heard from meanwhile
		}
		c.expire(s)
	}
}

// An expiry is what there is to tell of a session that expired. The loop of its connection tells
// it; if it had none, whoever publishes the batch.
type expiry struct {
	session    int64
	client     netip.AddrPort // of the last connection; not valid: none since the start
	timeoutMs  int32
	silentMs   int64
	ephemerals int
}

// On a full disk sessions go on as long as the room that the log has kept: they are created until
// little is left, and closed until nothing is, so that the locks of clients that died are free. No
// other write is accepted.

// fits tells whether a request is accepted on a full disk.
func (c *core) fits(r *request) bool {
	return r.op == proto.OpCloseSession && c.hasRoom(c.closeBytes(r.session))
}

// hasRoom tells whether the log is sure to take so many bytes behind those that it was given.
func (c *core) hasRoom(bytes int64) bool {
	return c.room-c.window.logBytes()-int64(len(c.open.records)) >= bytes
}

// closeBytes is the most that the log record of a session's end takes.
func (c *core) closeBytes(id int64) int64 {
	size := int64(sessionTxnBytesMax)
	c.head.Ephemerals(id, func(path string) bool {
		size += int64(4 + len(path))
		return size < closeSessionPathBytesMax
	})
	return min(size, sessionTxnBytesMax+closeSessionPathBytesMax)
}

// turnDown answers a write without a transaction, as ZooKeeper's read-only servers do
// (ReadOnlyRequestProcessor). Its client knows that nothing was done.
func (c *core) turnDown(r *request) {
	if r.conn == nil {
		return // the server's own; its occasion comes again
	}
	c.stats.NoRoom++
	c.note(entry{kind: entryReply, conn: r.conn, xid: r.xid, op: r.op, code: proto.ErrNotReadOnly})
}

// expire closes a session on the server's own account, and its connection if it holds one.
func (c *core) expire(s *session) {
	c.stats.Expired++
	r := request{op: proto.OpCloseSession, session: s.id}
	e := entry{kind: entryNone, op: proto.OpCloseSession}
	x := expiry{session: s.id, client: s.client, timeoutMs: s.timeoutMs,
		silentMs: c.now.monoMs - s.heardMs}
	c.head.Ephemerals(s.id, func(string) bool { x.ephemerals++; return true })
	if s.conn != nil {
		e.kind, e.conn, e.more = entryDrop, s.conn, &more{expired: &x}
	} else {
		c.open.expired = append(c.open.expired, x)
	}
	c.begin(&r)
	c.planOne(&r, &e)
	c.commit(&e)
}

// decode reads a request's record; false means that it is malformed.
func decode(body []byte, bytesMax int, fields func(*jute.Coder)) bool {
	r := jute.ReaderMax(body, bytesMax)
	fields(&r)
	return r.Err() == nil
}
