package server

import (
	"math/bits"
	"sync"
	"time"

	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/server/metrics"
	"github.com/meerkat-zk/meerkat/tree"
	"github.com/meerkat-zk/meerkat/wal"
)

// Counters. Each goroutine has its own, plain ones; whoever wants to see them has their owner copy
// them (counts, below), so that counting costs no lock, no atomic and no allocation. What there is
// to count, and what it is called, stands in server/metrics.

// connStats is what a connection counts for the words cons and stat.
type connStats struct {
	received, sent int64
	answers        int64 // since these counters began; 0: the rest means nothing
	lastCxid       int64 // -1: none; pings and the like have none
	lastOp         proto.Op
	lastZxid       proto.Zxid
	lastNs         int64 // when the last answer was given, on the server's clock
	latency        struct{ last, min, max, sum int64 }
}

func newConnStats() connStats { return connStats{lastCxid: -1, lastZxid: -1} }

// answer counts an answer (ServerCnxn.updateStatsForResponse).
func (s *connStats) answer(now, ns int64, xid int32, op proto.Op, zxid proto.Zxid) {
	t := &s.latency
	if s.answers++; s.answers == 1 {
		t.min, t.max = ns, ns
	}
	t.last, t.min, t.max, t.sum = ns, min(t.min, ns), max(t.max, ns), t.sum+ns
	if xid >= 0 {
		s.lastCxid = int64(xid)
	}
	s.lastOp, s.lastZxid, s.lastNs = op, zxid, now
}

// loopStats are a loop's counters.
type loopStats struct {
	metrics.Loop
	base *metrics.Loop // as they were when srst reset them; nil: never

	// Reads that were answered within this turn, by slot. They have the latency of the turn: one
	// look at the clock for all of them.
	reads [metrics.Slots]int64
	slots uint64 // bit i: reads[i] is not 0

	waited  int64 // reads of earlier turns that were answered in this one
	written int64 // writes that were answered in this turn
}

// answer counts a request that was answered within its turn.
func (s *loopStats) answer(op proto.Op) {
	slot := metrics.Slot(op)
	s.reads[slot]++
	s.slots |= 1 << slot
}

// endTurn gives the reads of a turn their latency, and all that it answered their share of it.
func (s *loopStats) endTurn(l *loop) {
	reads := s.waited
	if s.slots == 0 && reads+s.written == 0 {
		return
	}
	ns := l.srv.clock().Nanoseconds() - l.nowNs
	for m := s.slots; m != 0; m &= m - 1 {
		slot := bits.TrailingZeros64(m)
		s.Latency[slot].AddN(ns, s.reads[slot])
		reads += s.reads[slot]
		s.reads[slot] = 0
	}
	share := ns / (reads + s.written)
	s.Answered.Add(reads + s.written)
	if reads > 0 {
		s.Reads.Add(reads)
		s.ReadShare.AddN(share, reads)
	}
	if s.written > 0 {
		s.Writes.Add(s.written)
		s.WriteShare.AddN(share, s.written)
		s.WriteFor.Add(ns)
	}
	s.slots, s.waited, s.written = 0, 0, 0
}

// reply counts a frame that was given to a connection, without its length.
func (s *loopStats) reply(bytes int, nowNs int64) {
	s.Sent++
	s.BytesOut += int64(bytes)
	s.Replies.Add(int64(bytes), nowNs)
}

// fire counts watchers that an event told (WatchManager.triggerWatch, per loop).
func (s *loopStats) fire(typ int32, watchers int) {
	switch typ {
	case proto.EventNodeCreated:
		s.Fired[metrics.FiredCreated].Add(int64(watchers))
	case proto.EventNodeDeleted:
		s.Fired[metrics.FiredDeleted].Add(int64(watchers))
	case proto.EventNodeDataChanged:
		s.Fired[metrics.FiredChanged].Add(int64(watchers))
	case proto.EventNodeChildrenChanged:
		s.Fired[metrics.FiredChildren].Add(int64(watchers))
	}
}

// ensemble counts an auth packet of the scheme ensemble (EnsembleAuthenticationProvider).
func (s *loopStats) ensemble(code proto.Code, named bool) {
	switch {
	case code == proto.ErrBadArguments:
		s.EnsembleFailed++
	case code == proto.OK && named:
		s.EnsembleOK++
	case code == proto.OK:
		s.EnsembleSkipped++
	}
}

// batch counts a batch that answers writes of this loop.
func (l *loop) countBatch(b *batch, writes int64) {
	s := &l.stats
	s.Replied.Add(writes)
	s.SentOut.Add(int64(l.writes) + writes)
	s.ReadsWait.Add(int64(l.reads))
	s.Committed.AddN(l.nowNs-b.publishedNs, writes)
	s.Propagated.AddN(l.nowNs-b.openedNs, writes)
}

// answered counts the answer to a request: the one at the head of the connection's queue, or
// one that came in this turn.
func (l *loop) answered(c *conn, xid int32, op proto.Op, zxid proto.Zxid) {
	ns := int64(0)
	if c.pending.len() > 0 {
		p := c.pending.first()
		ns = l.nowNs - p.sinceNs
		l.stats.Latency[metrics.Slot(op)].Add(ns)
		if p.kind == pendingSent {
			l.stats.written++
		} else {
			l.stats.waited++
			l.stats.ReadWait.Add(ns)
		}
	} else {
		l.stats.answer(op)
	}
	c.stats.answer(l.nowNs, ns, xid, op, zxid)
}

// coreStats are what turns of the core count: the core itself, and whoever performs its outputs.
type coreStats struct {
	metrics.Core
	handed []handover    // batches that the log has, oldest first
	inLog  int           // transactions in them
	base   *metrics.Core // as loopStats.base
}

// A handover is a batch on its way.
type handover struct {
	last     proto.Zxid
	txns     int
	openedNs int64 // its first transaction was planned
	handedNs int64 // it went to the log
}

// turn counts a turn of the core: n requests, of which the oldest came at sinceNs, and so many
// sessions that were closed.
func (t *coreStats) turn(in *inputs, closes int64, beganNs, endedNs int64) {
	if n := int64(len(in.requests)); n > 0 {
		t.Requests += n
		t.Taken.Add(n)
		t.WaitNs.AddN(beganNs-in.sinceNs, n)
		t.PlanNs.AddN((endedNs-beganNs)/n, n)
	}
	if closes > 0 {
		t.CloseNs.AddN(endedNs-beganNs, closes)
	}
}

// hand notes a batch that goes to the log.
func (t *coreStats) hand(h handover, nowNs int64) {
	t.InLog.Add(int64(t.inLog))
	t.OpenNs.Add(nowNs - h.openedNs)
	t.Proposed += int64(h.txns)
	t.inLog += h.txns
	h.handedNs = nowNs
	t.handed = append(t.handed, h)
}

// publish counts a batch that came back.
func (t *coreStats) publish(b *batch, nowNs int64) {
	if b.txns == 0 {
		return
	}
	t.Txns += int64(b.txns)
	t.Batches.Add(int64(b.txns))
	n := 0
	for n < len(t.handed) && t.handed[n].last <= b.last {
		t.LogNs.Add(nowNs - t.handed[n].handedNs)
		t.WholeNs.Add(nowNs - t.handed[n].openedNs)
		t.inLog -= t.handed[n].txns
		n++
	}
	t.handed = append(t.handed[:0], t.handed[n:]...)
}

// rareStats count what happens a few times per second at most, on any goroutine.
type rareStats struct {
	mu         sync.Mutex // guards all; held for an addition or a copy
	now, base  metrics.Rare
	lastSnap   proto.Zxid
	lastSnapAt time.Time // zero: there is no snapshot
}

// note adds something under the lock.
func (r *rareStats) note(add func(*metrics.Rare)) {
	r.mu.Lock()
	add(&r.now)
	r.mu.Unlock()
}

// snapshot notes the newest snapshot.
func (r *rareStats) snapshot(z proto.Zxid, at time.Time) {
	r.mu.Lock()
	r.lastSnap, r.lastSnapAt = z, at
	r.mu.Unlock()
}

// show is a copy: of all that was counted, or of what was counted since the last reset.
func (r *rareStats) show(always bool) metrics.Rare {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.now
	if !always {
		n.Since(&r.base)
	}
	return n
}

func (r *rareStats) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.base = r.now
	r.now.Forget()
}

// counts adds up what loops and core counted since the last reset, or always.
func (m *monitor) counts(always bool) *metrics.Counts {
	n := &metrics.Counts{Mode: m.Mode(), Rare: m.rare.show(always)}
	_ = fromLoops(m, func(l *loop) *metrics.Loop {
		c := l.stats.Clone()
		if l.stats.base != nil && !always {
			c.Since(l.stats.base)
		}
		return c
	}, n.Loop.Merge)
	_, _ = fromCore(m, func(*core) error {
		t := &m.srv.tally
		c := t.Clone()
		if t.base != nil && !always {
			c.Since(t.base)
		}
		n.Core = *c
		return nil
	})
	return n
}

// ResetStats sets the counters back (ServerStats.reset), save those that Prometheus sees.
func (m *monitor) ResetStats() {
	_ = fromLoops(m, func(l *loop) error {
		l.stats.base = l.stats.Clone()
		l.stats.Forget()
		return nil
	}, func(error) {})
	_, _ = fromCore(m, func(*core) error {
		t := &m.srv.tally
		t.base = t.Clone()
		t.Forget()
		return nil
	})
	m.rare.reset()
	m.rejectedBase.Store(m.srv.rejected.Load())
}

// rejected counts connections that a limit turned away, since the last reset or always.
func (m *monitor) rejected(always bool) int64 {
	n := m.srv.rejected.Load()
	if !always {
		n -= m.rejectedBase.Load()
	}
	return n
}

// Metrics implements admin.Source.
func (m *monitor) Metrics(always bool) []metrics.Metric {
	uptime := time.Since(m.srv.started).Milliseconds()
	if !m.Serving() {
		return []metrics.Metric{{Name: "uptime", Help: "ms since the start", Value: float64(uptime)}}
	}
	n, root := m.counts(always), m.root()
	open, files := openFiles()
	n.Now = metrics.Now{UptimeMs: uptime, LeadingMs: uptime - m.servesMs.Load(), Voters: 1,
		Znodes: int64(root.NodeCount()), Ephemerals: int64(root.EphemeralCount()),
		Sessions: int64(root.SessionCount()), DataBytes: root.DataSize(), Watches: m.watchCount(),
		Connections: m.srv.live.Load(), Outstanding: m.srv.inFlight.Load(),
		Rejected: m.rejected(always), OpenFiles: int64(open), MaxFiles: int64(files),
		ReadOnly: m.ReadOnly(), NoLocks: m.srv.lack[wal.LackLocks].Load(),
		NoDirSync: m.srv.lack[wal.LackDirSync].Load(), Quotas: quotas(root)}
	rooms := []*metrics.Room{&n.Now.LogDir, &n.Now.DataDir}
	for i, d := range m.srv.disk.Dirs() {
		*rooms[i] = metrics.Room{Free: d.Free, Total: d.Total}
	}
	select {
	case <-m.srv.broken:
		n.Now.Broken = true
	default:
	}
	return metrics.List(n)
}

// watchCount is how many watches there are, of all tables.
func (m *monitor) watchCount() (n int64) {
	_ = fromLoops(m, func(l *loop) int { return l.watches.entries }, func(k int) { n += int64(k) })
	return n
}

// quotas are the limits, hard ones where there are any, and the usage of all quotas by namespace
// (QuotaMetricsUtils).
func quotas(root *tree.Root) map[string]*metrics.Quota {
	limit := func(hard, soft int64) int64 {
		if hard > -1 {
			return hard
		}
		return soft
	}
	all := map[string]*metrics.Quota{}
	root.Quotas(func(q tree.Quota) bool {
		name := tree.Namespace(q.Path)
		t := all[name]
		if t == nil {
			t = &metrics.Quota{}
			all[name] = t
		}
		t.CountMax += limit(q.HardCount, q.Count)
		t.BytesMax += limit(q.HardBytes, q.Bytes)
		t.Count += q.UsedCount
		t.Bytes += q.UsedBytes
		return true
	})
	return all
}
