package server

import (
	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/server/auth"
	"github.com/meerkat-zk/meerkat/server/metrics"
	"github.com/meerkat-zk/meerkat/tree"
	"github.com/meerkat-zk/meerkat/wal"
	"github.com/meerkat-zk/meerkat/zab"
)

// The life of a write in the core:
//
//  1. turn takes all requests that wait; each is planned against the head (plan.go), applied
//     to it, and encoded once, into the open batch.
//  2. When the log is idle, or the batch is full, the head is frozen into the batch's root and
//     the batch's records go to the log: seal.
//  3. The log says Durable; zab says what is committed by that; committed batches are
//     published in order: to the feed, where the loops answer.
//
// A batch stays open while an fsync is out, so batches grow with the load and nothing waits
// for a timer.

// A clock is the time of one turn, read by the shell.
type clock struct {
	wallMs int64 // since 1970: goes into transactions
	monoNs int64 // never steps back: stages of a write
	monoMs int64 // the same: deadlines
}

// Settings are what the core must know of the configuration.
type settings struct {
	serverID          int64
	loops             int
	tickMs            int64
	minTimeoutMs      int32
	maxTimeoutMs      int32
	enforceQuota      bool
	skipACL           bool
	extendedTypes     bool
	digest            bool
	closeSessionPaths bool
	reconfigEnabled   bool
	fieldBytesMax     int
	reapIntervalMs    int64
	reapPerMinute     int64
	reapNeverUsedMs   int64
	providers         *auth.Providers
	softQuota         func(path string) // tells of a soft quota that is exceeded
}

// The core owns the head tree, the sessions' owners and deadlines, and the batches in flight.
// Only who has its turn touches it (shell.go); turn reads no clock and starts no goroutine.
type core struct {
	settings
	now    clock
	head   *tree.Head
	leader *zab.Leader

	open   *batch // what the next seal hands over; Invariant: newer than all of the window
	window window

	resting  bool // no snapshot now: see snapshotter.resting
	full     bool // the log's disk is: only what fits into room is accepted
	room     int64
	sessions sessions
	reaper   reaper
	spread   spread // when to snapshot
	digests  tree.DigestLog
	stats    *metrics.Core // what monitors are told

	// Scratch of one request, so that planning allocates nothing.
	txn     proto.Txn
	coder   jute.Coder
	ahead   ahead
	later   []request // put off to the next round
	putOff  []request // the round's own
	scratch operation
	// By how many bytes this transaction may still outgrow its request: entries "auth" become
	// identities, sequential names get their number.
	growthRoom int
	ops        []operation

	out outputs
}

// outputs is what a turn wants done; the shell does it in this order.
type outputs struct {
	appends []wal.Item
	handed  []handover // of appends
	closes  int64      // sessions that were closed
	publish []*batch
	save    []*tree.Root // to be written as snapshots: committed and on our own disk
	ask     bool         // ask every loop for whom it heard
}

// reset empties the outputs, and lets go of what they held.
func (o *outputs) reset() {
	clear(o.appends)
	clear(o.publish)
	clear(o.save)
	o.appends, o.publish, o.save, o.ask = o.appends[:0], o.publish[:0], o.save[:0], false
	o.handed, o.closes = o.handed[:0], 0
}

// turn takes in what happened, in a fixed order, and leaves in c.out what is to be done.
func (c *core) turn(in *inputs, now clock) {
	c.now, c.resting, c.full, c.room = now, in.resting, in.full, in.room
	c.out.reset()
	c.onDurable(in.durable)
	for _, t := range in.touches {
		c.sessions.touch(t.session, t.heardMs)
	}
	c.rounds(in.requests)
	if in.answered > 0 {
		c.onAnswered(in.answered)
	}
	if in.ticked {
		c.onTick()
	}
	for _, f := range in.calls {
		f(c)
	}
	if c.window.logging == 0 {
		c.seal()
	}
}

// rounds handles a turn's requests. A read between two writes of one connection is answered
// from a root between them, and a batch has its root at its end: so a request that is marked cut
// is put off, with all of its session behind it, if the open batch has its session's last entry.
// After the pass the batch is sealed and the next round takes what was put off. All rounds of a
// turn share an fsync; all connections' writes up to their first waiting read share a root.
func (c *core) rounds(requests []request) {
	pass, idle := requests, c.window.logging == 0
	for {
		c.later = c.later[:0]
		for i := range pass {
			if i%tree.GetManyMax == 0 && c.head.IsLarge() {
				c.lookAhead(pass[i:])
			}
			c.onRequest(&pass[i])
		}
		if len(c.later) == 0 {
			break
		}
		c.seal()
		c.putOff = append(c.putOff[:0], c.later...)
		pass = c.putOff
		for i := range pass {
			if s := c.sessions.get(pass[i].session); s != nil {
				s.deferred = false
			}
		}
	}
	if idle { // the log takes the last round with the others
		c.seal()
	}
}

// lookAhead brings the znodes that the next requests change into the core's cache.
func (c *core) lookAhead(requests []request) {
	for i := range requests {
		if r := &requests[i]; r.kind == reqOp && !c.ahead.add(r.op, r.body) {
			break
		}
	}
	c.ahead.look(&c.head.View)
	c.ahead = ahead{}
}

// onDurable counts our own log as a voter and publishes what is committed by it. A quorum of
// others may have committed the same before: to the window that makes no difference.
func (c *core) onDurable(z proto.Zxid) {
	c.window.onLogged(z)
	committed, err := c.leader.OnAck(c.serverID, z)
	if err != nil {
		panic(err) // our own log cannot hold what was not proposed
	}
	c.onCommitted(committed)
}

// onCommitted publishes what is committed, and lets go of what nobody needs any more.
func (c *core) onCommitted(z proto.Zxid) {
	c.out.publish = c.window.onCommitted(z, c.out.publish)
	c.out.save = c.window.trim(c.out.save)
}

// seal ends the open batch: its root is frozen and its records go to the log. A batch of notes
// alone needs no log; it is published as soon as all before it are.
func (c *core) seal() {
	b := c.open
	if len(b.entries) == 0 {
		return
	}
	roll := false
	b.last = c.head.Zxid()
	if b.txns > 0 {
		b.root = c.head.Freeze()
		c.out.handed = append(c.out.handed, handover{
			last: b.last, txns: b.txns, openedNs: b.openedNs,
		})
		c.out.appends = append(c.out.appends, wal.Item{
			First: b.first, Last: b.last, Records: b.records, Roll: b.roll,
		})
		c.leader.Propose(b.last)
		if c.spread.due() && !c.resting { // the next batch begins a new file, so that old ones can go
			c.spread.reset()
			b.snapshot, roll = true, true
		}
	}
	c.window.push(b)
	c.open = c.newBatch(b)
	c.open.roll = roll
	if b.txns == 0 {
		c.onCommitted(c.leader.Committed())
	}
}

// logState is what the log has to do.
func (c *core) logState() logState {
	switch {
	case c.window.logging == 0:
		return logIdle
	case c.window.logging == 1 && len(c.open.entries) == 0:
		return logLast
	}
	return logBusy
}

// newBatch makes the next open batch, with room for as much as the last one held.
func (c *core) newBatch(last *batch) *batch {
	b := &batch{number: last.number + 1}
	if n := len(last.entries); n > 0 {
		b.entries = make([]entry, 0, min(n+n/4+4, batchTxnsMax))
		b.records = c.window.buffer(len(last.records) + len(last.records)/4 + 256)
		b.events = make([]tree.Event, 0, min(len(last.events)+len(last.events)/4, 2*batchTxnsMax))
	}
	return b
}

// onRequest handles one request; a request of a connection that lost its session is dropped.
func (c *core) onRequest(r *request) {
	s := c.sessions.get(r.session)
	if s != nil && s.deferred {
		c.later = append(c.later, *r)
		return
	}
	switch r.kind {
	case reqConnect:
		c.onConnect(r)
		return
	case reqDetach:
		c.sessions.detach(r.session, r.conn)
		return
	}
	if s == nil || s.conn != r.conn {
		c.stats.Stale++
		return // a stranger: the note that closes it is on its way
	}
	if r.cut && s.entered == c.open.number {
		s.deferred = true
		c.later = append(c.later, *r)
		return
	}
	s.entered = c.open.number
	if r.op == proto.OpSync {
		c.sync(r)
		return
	}
	c.write(r)
}

// write plans and applies one operation, and logs its transaction: the operation's own, or an
// error transaction, which takes a zxid too (PrepRequestProcessor.pRequest).
func (c *core) write(r *request) {
	if c.full && !c.fits(r) {
		c.turnDown(r)
		return
	}
	e := entry{kind: entryReply, conn: r.conn, xid: r.xid, op: r.op}
	if r.conn == nil {
		e.kind = entryNone
	}
	c.begin(r)
	if r.op == proto.OpMulti {
		c.planMulti(r, &e)
	} else {
		c.planOne(r, &e)
	}
	c.commit(&e)
}

// begin starts a transaction: the next zxid, by the clock of this turn.
func (c *core) begin(r *request) {
	c.growthRoom = min(aclGrowthMax, c.fieldBytesMax-txnFixedBytes-len(r.body))
	c.txn = proto.Txn{Header: proto.TxnHeader{
		ClientID: r.session, Cxid: r.xid, Zxid: c.head.Zxid() + 1, Time: c.now.wallMs, Type: r.op,
	}}
}

// planOne plans a single operation and applies it to the head.
func (c *core) planOne(r *request, e *entry) {
	e.code = c.plan(r.op, r)
	if e.code == proto.OK {
		node, err := c.head.ApplyPart(&c.txn.Header, c.txn.Header.Type, &c.txn.Body, &c.open.events)
		if err != nil {
			panic(err) // planned against this very head
		}
		e.node = node
		c.wrote(c.txn.Header.Type, &c.txn.Body)
		return
	}
	c.txn.Header.Type = proto.OpError
	c.txn.Body = proto.Body{Err: e.code}
}

// wrote counts what a transaction, or a part of one, brought (DataTree.updateWriteStat).
func (c *core) wrote(typ proto.Op, b *proto.Body) {
	switch typ {
	case proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer, proto.OpCreateTTL,
		proto.OpSetData, proto.OpDelete, proto.OpDeleteContainer:
		c.stats.WriteBytes.Add(b.Path, len(b.Path)+len(b.Data))
	}
}

// commit gives the transaction its place: processed zxid, digest, log record, entry.
func (c *core) commit(e *entry) {
	c.head.Advance(c.txn.Header.Zxid)
	if c.digest && c.txn.Header.Type != proto.OpError {
		c.txn.HasDigest = true
		c.txn.Digest = proto.Digest{Version: proto.DigestVersion, TreeDigest: c.head.Digest()}
	}
	c.digests.Add(c.txn.Header.Zxid, c.head)
	b := c.open
	buf, mark := wal.BeginRecord(b.records)
	c.coder = jute.Writer(buf)
	c.txn.Fields(&c.coder)
	b.records = wal.EndRecord(c.coder.Bytes(), mark)
	if proto.Verify {
		c.readBack(b.records[mark:])
	}
	if b.txns++; b.txns == 1 {
		b.first, b.openedNs = c.txn.Header.Zxid, c.now.monoNs
	}
	c.spread.count(len(b.records) - mark)
	c.stats.Proposal.Add(int64(len(b.records)-mark), c.now.monoNs)

	e.zxid = c.txn.Header.Zxid
	c.enter(e)
	if b.txns >= batchTxnsMax || len(b.records) >= batchBytesMax {
		c.seal()
	}
}

// readBack reads a record as a start would.
func (c *core) readBack(record []byte) {
	wal.Records(record, func(txn []byte) bool {
		if err := c.txn.CheckReadBack(txn, c.fieldBytesMax); err != nil {
			panic(err) // acknowledged, it could not be loaded again
		}
		return true
	})
}

// enter adds an entry to the open batch; its events are those since the entry before it.
func (c *core) enter(e *entry) {
	b := c.open
	e.eventsTo = int32(len(b.events))
	if e.conn != nil {
		b.want |= 1 << min(e.conn.loop.index, 63)
	}
	b.entries = append(b.entries, *e)
}

// note adds an entry that no transaction makes, ordered after all that were accepted before.
func (c *core) note(e entry) {
	e.zxid = c.head.Zxid()
	c.enter(&e)
}

// sync answers after everything that was accepted before it (rule 15 of ARCHITECTURE.md). In
// an ensemble of one our own log is the quorum, so nobody else need be asked.
func (c *core) sync(r *request) {
	var q proto.PathOnly
	e := entry{kind: entrySync, conn: r.conn, xid: r.xid, op: r.op}
	if !decode(r.body, c.fieldBytesMax, q.Fields) {
		e.code = proto.ErrMarshalling
	}
	e.more = &more{path: q.Path}
	c.note(e)
}
