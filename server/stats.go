package server

import (
	"maps"
	"math/bits"
	"slices"
	"sync"
	"time"

	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/server/admin"
	"github.com/meerkat-zk/meerkat/server/metrics"
	"github.com/meerkat-zk/meerkat/tree"
)

// Counters. Each goroutine has its own, plain ones; who wants to see them has their owner copy
// them (monitor.go), so that counting costs no lock, no atomic and no allocation.

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

// Slots of operations in counters. A slot below 32 is the operation's code; the others follow.
const (
	slotCount   = 48
	slotSession = 40 // createSession, closeSession
	slotOther   = slotCount - 1
)

// slotOf is an operation's place in counters.latency.
func slotOf(op proto.Op) int {
	switch {
	case op >= 0 && op < 32:
		return int(op)
	case op >= proto.OpAuth && op < proto.OpAuth+8:
		return 32 + int(op-proto.OpAuth)
	case op == proto.OpCreateSession || op == proto.OpCloseSession:
		return slotSession + int(proto.OpCreateSession-op)
	}
	return slotOther
}

// Places in counters.fired.
const (
	firedCreated = iota
	firedDeleted
	firedChanged
	firedChildren
	firedCount
)

// counters are what one loop counts.
type counters struct {
	received, sent       int64 // packets
	bytesIn              int64 // of frames, with their lengths
	bytesOut, watchBytes int64 // of all frames, and of events among them
	connects, resumes    int64 // ConnectRequests, and those for a session that exists
	sessions             int64 // connections that got their session
	dropped              int64 // connections that ended
	sessionless          int64 // of those, for want of a ConnectRequest
	authFailed           int64

	sizes   struct{ last, min, max int64 } // of replies; Invariant: 0 while there is none
	lastNs  int64                          // when the last of them was given
	latency [slotCount]metrics.Histogram   // from request to answer, in ns
	replied metrics.Histogram              // of writes: from publication to answer, in ns
	fired   [firedCount]metrics.Histogram  // watchers that an event told, when it told any
}

// merge adds what another loop counted.
func (n *counters) merge(o *counters) { n.combine(o, 1, (*metrics.Histogram).Merge) }

// since takes away what an older copy had counted.
func (n *counters) since(o *counters) { n.combine(o, -1, (*metrics.Histogram).Since) }

func (n *counters) combine(o *counters, sign int64, hist func(_, _ *metrics.Histogram)) {
	of := func(c *counters) []*int64 {
		return []*int64{&c.received, &c.sent, &c.bytesIn, &c.bytesOut, &c.watchBytes, &c.connects,
			&c.resumes, &c.sessions, &c.dropped, &c.sessionless, &c.authFailed}
	}
	for i, mine := range of(n) {
		*mine += sign * *of(o)[i]
	}
	for i := range n.latency {
		hist(&n.latency[i], &o.latency[i])
	}
	for i := range n.fired {
		hist(&n.fired[i], &o.fired[i])
	}
	hist(&n.replied, &o.replied)
	if sign < 0 || o.sizes.max == 0 {
		return
	}
	if n.sizes.max == 0 {
		n.sizes, n.lastNs = o.sizes, o.lastNs
		return
	}
	if o.lastNs > n.lastNs {
		n.sizes.last, n.lastNs = o.sizes.last, o.lastNs
	}
	n.sizes.min, n.sizes.max = min(n.sizes.min, o.sizes.min), max(n.sizes.max, o.sizes.max)
}

// forget begins extremes anew.
func (n *counters) forget() {
	for i := range n.latency {
		n.latency[i].Forget()
	}
	for i := range n.fired {
		n.fired[i].Forget()
	}
	n.replied.Forget()
	n.sizes = struct{ last, min, max int64 }{}
}

// loopStats are a loop's counters.
type loopStats struct {
	counters
	base *counters // as they were when srst reset them; nil: never

	// Reads that were answered within this turn, by slot. They have the latency of the turn: one
	// look at the clock for all of them.
	reads [slotCount]int64
	slots uint64 // bit i: reads[i] is not 0
}

// answer counts a request that was answered within its turn.
func (s *loopStats) answer(op proto.Op) {
	slot := slotOf(op)
	s.reads[slot]++
	s.slots |= 1 << slot
}

// endTurn gives the reads of a turn their latency.
func (s *loopStats) endTurn(l *loop) {
	if s.slots == 0 {
		return
	}
	ns := time.Since(l.srv.started).Nanoseconds() - l.nowNs
	for m := s.slots; m != 0; m &= m - 1 {
		slot := bits.TrailingZeros64(m)
		s.latency[slot].AddN(ns, s.reads[slot])
		s.reads[slot] = 0
	}
	s.slots = 0
}

// reply counts a frame that was given to a connection, without its length.
func (s *loopStats) reply(bytes int, nowNs int64) {
	size, t := int64(bytes), &s.sizes
	s.sent++
	s.bytesOut += size
	if t.max == 0 {
		t.min = size
	}
	t.last, t.min, t.max, s.lastNs = size, min(t.min, size), max(t.max, size), nowNs
}

// fire counts watchers that an event told (WatchManager.triggerWatch, per loop).
func (s *loopStats) fire(typ int32, watchers int) {
	switch typ {
	case proto.EventNodeCreated:
		s.fired[firedCreated].Add(int64(watchers))
	case proto.EventNodeDeleted:
		s.fired[firedDeleted].Add(int64(watchers))
	case proto.EventNodeDataChanged:
		s.fired[firedChanged].Add(int64(watchers))
	case proto.EventNodeChildrenChanged:
		s.fired[firedChildren].Add(int64(watchers))
	}
}

// answered counts the answer to a request: the one at the head of the connection's queue, or
// one that came in this turn.
func (l *loop) answered(c *conn, xid int32, op proto.Op, zxid proto.Zxid) {
	ns := int64(0)
	if c.pending.len() > 0 {
		ns = l.nowNs - c.pending.first().sinceNs
		l.stats.latency[slotOf(op)].Add(ns)
	} else {
		l.stats.answer(op)
	}
	c.stats.answer(l.nowNs, ns, xid, op, zxid)
}

// coreStats are what the core's goroutine counts.
type coreStats struct {
	requests  int64             // that the core got
	txns      int64             // that were published
	batches   metrics.Histogram // transactions per batch
	logNs     metrics.Histogram // from a batch's way to the log until it is published
	waitNs    metrics.Histogram // of a turn's oldest request, until the turn
	queueNs   metrics.Histogram // of a batch at the log, until its fsync began
	planNs    metrics.Histogram // a request's share of its turn
	taken     metrics.Histogram // requests per turn
	waiting   metrics.Histogram // batches that the log has when one more comes
	exceeded  map[string]int64  // writes beyond a hard quota, by the first part of the path
	expired   int64             // sessions
	refused   int64             // requests that found the disk full
	handed    []handover        // batches that the log has, oldest first
	base      *coreStats        // as loopStats.base
	published int64             // when the log last answered, in ns on the server's clock
}

// A handover is a batch that went to the log.
type handover struct {
	last proto.Zxid
	ns   int64
}

// hand notes a batch that goes to the log.
func (t *coreStats) hand(last proto.Zxid, ns int64) {
	t.waiting.Add(int64(len(t.handed)))
	t.handed = append(t.handed, handover{last, ns})
}

// turn counts a turn of the core: n requests, of which the oldest came at sinceNs.
func (t *coreStats) turn(n int, sinceNs, beganNs, endedNs int64) {
	if n == 0 {
		return
	}
	t.requests += int64(n)
	t.taken.Add(int64(n))
	t.waitNs.AddN(max(beganNs-sinceNs, 0), int64(n))
	t.planNs.AddN((endedNs-beganNs)/int64(n), int64(n))
}

// publish counts a batch that came back. The last fsync took flushNs.
func (t *coreStats) publish(b *batch, ns, flushNs int64) {
	if b.txns == 0 {
		return
	}
	t.txns += int64(b.txns)
	t.batches.Add(int64(b.txns))
	n := 0
	for n < len(t.handed) && t.handed[n].last <= b.last {
		took := ns - t.handed[n].ns
		t.logNs.Add(took)
		t.queueNs.Add(max(took-flushNs, 0))
		n++
	}
	t.handed = append(t.handed[:0], t.handed[n:]...)
	t.published = ns
}

func (t *coreStats) hists() []*metrics.Histogram {
	return []*metrics.Histogram{&t.batches, &t.logNs, &t.waitNs, &t.queueNs, &t.planNs, &t.taken,
		&t.waiting}
}

func (t *coreStats) since(o *coreStats) {
	t.requests -= o.requests
	t.txns -= o.txns
	t.expired -= o.expired
	t.refused -= o.refused
	mine, older := t.hists(), o.hists()
	for i := range mine {
		mine[i].Since(older[i])
	}
}

// A digestLog keeps the tree's digest after every digestEvery-th transaction, the newest
// digestsMax of them (DataTree.logZxidDigest).
type digestLog struct{ list []admin.Digest }

const (
	digestEvery = 128
	digestsMax  = 1024
)

func (d *digestLog) add(z proto.Zxid, h *tree.Head) {
	if z%digestEvery != 0 || h.Options().NoDigest {
		return
	}
	if len(d.list) == digestsMax {
		d.list = append(d.list[:0], d.list[1:]...)
	}
	d.list = append(d.list, admin.Digest{Zxid: z, Digest: h.Digest(),
		Version: proto.DigestVersion})
}

// rareStats count what happens a few times per second at most, on any goroutine.
type rareStats struct {
	mu sync.Mutex // guards all; held for an addition or a copy
	rareCounts
	base rareCounts
}

type rareCounts struct {
	fsync, snapshot       metrics.Histogram // ns
	load, readSnap        metrics.Histogram // ns: of the boot, and of its snapshot
	replay                metrics.Histogram // ns: of its log
	replayed              metrics.Histogram // records
	restore               metrics.Histogram // ns
	slowSyncs, snapErrors int64
	mismatches            int64 // log records that promised another digest than the tree's
	restoreErrors         int64
	snapLimited           int64 // asked for too soon
	restoreLimited        int64
	lastSnap              proto.Zxid
	lastSnapAt            time.Time
}

// note adds something under the lock.
func (r *rareStats) note(add func(*rareCounts)) {
	r.mu.Lock()
	add(&r.rareCounts)
	r.mu.Unlock()
}

func (r *rareCounts) hists() []*metrics.Histogram {
	return []*metrics.Histogram{&r.fsync, &r.snapshot, &r.load, &r.readSnap, &r.replay, &r.replayed,
		&r.restore}
}

func (r *rareCounts) counts() []*int64 {
	return []*int64{&r.slowSyncs, &r.snapErrors, &r.restoreErrors, &r.snapLimited,
		&r.restoreLimited}
}

// show is a copy: of all that was counted, or of what was counted since the last reset.
func (r *rareStats) show(always bool) rareCounts {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.rareCounts
	if !always {
		for i, h := range n.hists() {
			h.Since(r.base.hists()[i])
		}
		for i, c := range n.counts() {
			*c -= *r.base.counts()[i]
		}
	}
	return n
}

func (r *rareStats) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.base = r.rareCounts
	for _, h := range r.hists() {
		h.Forget()
	}
}

// Metrics implements admin.Source: what has a meaning on a server of its own, under the names of
// Java's ServerMetrics. Gauges come first, then counters, then summaries, as mntr has them.
func (m *monitor) Metrics(always bool) []metrics.Metric {
	out := metricList{}
	if !m.Serving() {
		out.gauge("uptime", time.Since(m.srv.started).Milliseconds())
		return out
	}
	n, root, rare := m.census(always), m.root(), m.rare.show(always)
	m.gauges(&out, n, root)
	out.counters(n, &rare)
	out.counter("connection_rejected", m.srv.rejected.Load())
	select {
	case <-m.srv.broken:
		out.counter("unrecoverable_error_count", 1)
	default:
		out.counter("unrecoverable_error_count", 0)
	}
	out.summaries(n, &rare)
	out = metrics.Complete(metrics.Microseconds(out))
	out.quotas(root)
	out.exceeded(n.core.exceeded)
	return out
}

// gauges are what is the case now.
func (m *monitor) gauges(out *metricList, n *census, root *tree.Root) {
	all := metrics.Metric{Hist: &metrics.Histogram{}, Unit: nsPerMs}
	for i := range n.latency {
		all.Hist.Merge(&n.latency[i])
	}
	last, least, most := int64(-1), int64(-1), int64(-1)
	if n.sizes.max > 0 {
		last, least, most = n.sizes.last, n.sizes.min, n.sizes.max
	}
	open, files := openFiles()
	for _, x := range []struct {
		name  string
		value int64
	}{
		{"ephemerals_count", int64(root.EphemeralCount())},
		{"num_alive_connections", m.srv.live.Load()},
		{"outstanding_requests", m.srv.inFlight.Load()},
		{"znode_count", int64(root.NodeCount())},
		{"watch_count", int64(n.watches)},
		{"global_sessions", int64(root.SessionCount())},
		{"local_sessions", 0},
		{"approximate_data_size", root.DataSize()},
		{"packets_received", n.received},
		{"packets_sent", n.sent},
		{"min_latency", all.Hist.Min() / nsPerMs},
		{"max_latency", metrics.Up(all.Hist.Max(), nsPerMs)},
		{"last_client_response_size", last},
		{"min_client_response_size", least},
		{"max_client_response_size", most},
		{"auth_failed_count", n.authFailed},
		{"non_mtls_remote_conn_count", 0},
		{"non_mtls_local_conn_count", 0},
		{"outstanding_tls_handshake", 0},
		{"open_file_descriptor_count", int64(open)},
		{"max_file_descriptor_count", int64(files)},
		{"uptime", time.Since(m.srv.started).Milliseconds()},
	} {
		out.gauge(x.name, x.value)
	}
	readOnly := int64(0)
	if m.ReadOnly() {
		readOnly = 1
	}
	out.gauge("disk_read_only", readOnly)
	for i, name := range []string{"disk_lacks_locks", "disk_lacks_dir_fsync"} {
		lacks := int64(0)
		if m.srv.lack[i].Load() {
			lacks = 1
		}
		out.gauge(name, lacks)
	}
	for i, d := range m.srv.disk.Dirs() {
		name := []string{"log_dir_", "data_dir_"}[i]
		out.gauge(name+"free_bytes", d.Free)
		out.gauge(name+"total_bytes", d.Total)
	}
	*out = append(*out,
		metrics.Metric{Name: "avg_latency", Value: all.Average(), Real: true},
		metrics.Metric{Name: "connection_drop_probability", Real: true})
}

const nsPerMs = 1e6

// A metricList is made in the order in which it is shown.
type metricList []metrics.Metric

func (l *metricList) gauge(name string, v int64) {
	*l = append(*l, metrics.Metric{Name: name, Value: float64(v)})
}

func (l *metricList) counter(name string, v int64) {
	*l = append(*l, metrics.Metric{Name: name, Kind: metrics.Counter, Value: float64(v)})
}

func (l *metricList) summary(name string, kind metrics.Kind, unit int64, h *metrics.Histogram) {
	*l = append(*l, metrics.Metric{Name: name, Kind: kind, Unit: unit, Hist: h})
}

func (l *metricList) counters(n *census, rare *rareCounts) {
	for _, x := range []struct {
		name  string
		value int64
	}{
		{"bytes_received_count", n.bytesIn},
		{"response_bytes", n.bytesOut - n.watchBytes},
		{"watch_bytes", n.watchBytes},
		{"connection_request_count", n.connects},
		{"connection_revalidate_count", n.resumes},
		{"connection_drop_count", n.dropped},
		{"sessionless_connections_expired", n.sessionless},
		{"stale_sessions_expired", n.core.expired},
		{"disk_read_only_refused_count", n.core.refused},
		{"prep_processor_request_queued", n.core.requests},
		{"sync_processor_request_queued", n.core.txns},
		{"snapshot_error_count", rare.snapErrors},
		{"snapshot_rate_limited_count", rare.snapLimited},
		{"restore_error_count", rare.restoreErrors},
		{"restore_rate_limited_count", rare.restoreLimited},
		{"fsync_threshold_exceed_count", rare.slowSyncs},
		{"digest_mismatches_count", rare.mismatches},
	} {
		l.counter(x.name, x.value)
	}
	total := n.sessions
	for _, x := range opNames {
		sum := int64(0)
		for _, op := range x.ops {
			sum += n.latency[slotOf(op)].Count
		}
		total += sum
		if x.name == "create_session" {
			sum = n.sessions
		}
		l.counter("op_count_"+x.name, sum)
	}
	l.counter("op_count_total", total)
}

// opNames are the operations that are counted apart, as Java 3.10 names them.
var opNames = []struct {
	name string
	ops  []proto.Op
}{
	{"add_watch", []proto.Op{proto.OpAddWatch}},
	{"check_watches", []proto.Op{proto.OpCheckWatches}},
	{"close_session", []proto.Op{proto.OpCloseSession}},
	{"create", []proto.Op{proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer,
		proto.OpCreateTTL}},
	{"create_session", nil},
	{"delete", []proto.Op{proto.OpDelete}},
	{"exists", []proto.Op{proto.OpExists}},
	{"get_acl", []proto.Op{proto.OpGetACL}},
	{"get_all_children_number", []proto.Op{proto.OpGetAllChildrenNumber}},
	{"get_children", []proto.Op{proto.OpGetChildren, proto.OpGetChildren2}},
	{"get_data", []proto.Op{proto.OpGetData}},
	{"get_ephemerals", []proto.Op{proto.OpGetEphemerals}},
	{"multi", []proto.Op{proto.OpMulti}},
	{"multi_read", []proto.Op{proto.OpMultiRead}},
	{"ping", []proto.Op{proto.OpPing}},
	{"reconfig", []proto.Op{proto.OpReconfig}},
	{"remove_watches", []proto.Op{proto.OpRemoveWatches}},
	{"set_acl", []proto.Op{proto.OpSetACL}},
	{"set_data", []proto.Op{proto.OpSetData}},
	{"set_watches", []proto.Op{proto.OpSetWatches, proto.OpSetWatches2}},
	{"sync", []proto.Op{proto.OpSync}},
	{"who_am_i", []proto.Op{proto.OpWhoAmI}},
}

func (l *metricList) summaries(n *census, rare *rareCounts) {
	reads, updates := &metrics.Histogram{}, &metrics.Histogram{}
	for slot := range n.latency {
		into := reads
		if isUpdate(slot) {
			into = updates
		}
		into.Merge(&n.latency[slot])
	}
	l.summary("readlatency", metrics.Advanced, nsPerMs, reads)
	l.summary("updatelatency", metrics.Advanced, nsPerMs, updates)
	l.summary("sync_processor_queue_and_flush_time_ms", metrics.Advanced, nsPerMs, &n.core.logNs)
	l.summary("sync_processor_batch_size", metrics.Basic, 1, &n.core.batches)
	l.summary("sync_processor_queue_size", metrics.Basic, 1, &n.core.waiting)
	l.summary("sync_processor_queue_time_ms", metrics.Advanced, nsPerMs, &n.core.queueNs)
	l.summary("prep_processor_queue_size", metrics.Basic, 1, &n.core.taken)
	l.summary("prep_processor_queue_time_ms", metrics.Advanced, nsPerMs, &n.core.waitNs)
	l.summary("prep_process_time", metrics.Basic, nsPerMs, &n.core.planNs)
	l.summary("close_session_prep_time", metrics.Advanced, nsPerMs,
		&n.latency[slotOf(proto.OpCloseSession)])
	l.summary("write_final_proc_time_ms", metrics.Advanced, nsPerMs, &n.replied)
	l.summary("fsynctime", metrics.Basic, nsPerMs, &rare.fsync)
	l.summary("snapshottime", metrics.Basic, nsPerMs, &rare.snapshot)
	l.summary("restore_time", metrics.Basic, nsPerMs, &rare.restore)
	l.summary("dbinittime", metrics.Basic, nsPerMs, &rare.load)
	l.summary("startup_snap_load_time", metrics.Basic, nsPerMs, &rare.readSnap)
	l.summary("startup_txns_load_time", metrics.Basic, nsPerMs, &rare.replay)
	l.summary("startup_txns_loaded", metrics.Basic, 1, &rare.replayed)
	l.summary("node_created_watch_count", metrics.Basic, 1, &n.fired[firedCreated])
	l.summary("node_deleted_watch_count", metrics.Basic, 1, &n.fired[firedDeleted])
	l.summary("node_changed_watch_count", metrics.Basic, 1, &n.fired[firedChanged])
	l.summary("node_children_watch_count", metrics.Basic, 1, &n.fired[firedChildren])
}

// isUpdate tells whether the operations of a slot make a transaction.
func isUpdate(slot int) bool {
	if slot >= slotSession && slot < slotOther {
		return true
	}
	op := proto.Op(slot)
	return slot < 32 && op != proto.OpSync && route(op) == routeCore
}

// exceeded counts the writes that a hard quota refused (QuotaMetricsUtils).
func (l *metricList) exceeded(by map[string]int64) {
	for _, name := range slices.Sorted(maps.Keys(by)) {
		*l = append(*l, metrics.Metric{Name: "quota_exceeded_error_per_namespace", Key: name,
			Kind: metrics.Counter, Value: float64(by[name])})
	}
}

// quotas are gauges per first part of a path: limits, hard ones where there are any, and usage
// of all quotas below it (QuotaMetricsUtils).
func (l *metricList) quotas(root *tree.Root) {
	type sums struct{ countMax, bytesMax, count, bytes int64 }
	limit := func(hard, soft int64) int64 {
		if hard > -1 {
			return hard
		}
		return soft
	}
	all := map[string]*sums{}
	root.Quotas(func(q tree.Quota) bool {
		name := tree.Namespace(q.Path)
		t := all[name]
		if t == nil {
			t = &sums{}
			all[name] = t
		}
		t.countMax += limit(q.HardCount, q.Count)
		t.bytesMax += limit(q.HardBytes, q.Bytes)
		t.count += q.UsedCount
		t.bytes += q.UsedBytes
		return true
	})
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t := all[name]
		for _, x := range []metrics.Metric{
			{Name: "quota_count_limit_per_namespace", Value: float64(t.countMax)},
			{Name: "quota_bytes_limit_per_namespace", Value: float64(t.bytesMax)},
			{Name: "quota_count_usage_per_namespace", Value: float64(t.count)},
			{Name: "quota_bytes_usage_per_namespace", Value: float64(t.bytes)},
		} {
			x.Key = name
			*l = append(*l, x)
		}
	}
}
