package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/server/admin"
	"github.com/meerkat-zk/meerkat/server/metrics"
	"github.com/meerkat-zk/meerkat/server/zoocfg"
	"github.com/meerkat-zk/meerkat/tree"
	"github.com/meerkat-zk/meerkat/wal"
)

// How a server's facts are gathered: each loop and the core copy what they own when they are
// asked, each at a moment of its own. What words and HTTP say of the facts is in server/admin. All
// of it runs beside the loops.

// A monitor tells facts about its server; it implements admin.Source.
type monitor struct {
	srv      *Server
	rare     rareStats
	phase    atomic.Int32 // how far the server is; admin may ask before it serves
	servesMs atomic.Int64 // when it began to serve, on the server's clock
	trace    atomic.Int64 // the trace mask: kept for who sets it, and without effect

	rejectedBase atomic.Int64 // Server.rejected at the last reset

	restoring atomic.Bool // the core is held for a restore
	served    []*admin.Server
}

// Phases of a server.
const (
	phaseLoading int32 = iota
	phaseServing
	phaseStopping
)

// defaultTraceMask is Java's (ZooTrace).
const defaultTraceMask = 306

var errStopping = errors.New("the server is stopping")

// fromLoops has every loop run ask in a turn, all at once, and takes in what they return.
func fromLoops[T any](m *monitor, ask func(*loop) T, take func(T)) error {
	got := make(chan T, len(m.srv.loops)) // each loop sends once
	for _, l := range m.srv.loops {
		l.nl.Execute(func() {
			var x T
			l.turn(func() { x = ask(l) })
			got <- x // the turn is over, and what it did is out
		})
	}
	for range m.srv.loops {
		select {
		case x := <-got:
			take(x)
		case <-m.srv.coreDone: // loops end before the core, and drop what they are asked
			return errStopping
		}
	}
	return nil
}

// fromCore has the core's goroutine run ask.
func fromCore[T any](m *monitor, ask func(*core) T) (T, error) {
	got := make(chan T, 1) // the core sends once
	m.srv.inbox.put(func(b *inbox) {
		b.calls = append(b.calls, func(c *core) { got <- ask(c) })
	})
	select {
	case x := <-got:
		return x, nil
	case <-m.srv.coreDone:
		var none T
		return none, errStopping
	}
}

// root is the newest root that a loop shows.
func (m *monitor) root() *tree.Root {
	var newest *tree.Root
	_ = fromLoops(m, func(l *loop) *tree.Root { return l.root }, func(r *tree.Root) {
		if r != nil && (newest == nil || r.Zxid() > newest.Zxid()) {
			newest = r
		}
	})
	if newest == nil { // they are gone
		return tree.NewHead(tree.Options{}).Freeze()
	}
	return newest
}

// ResetConns sets the counters of all connections back.
func (m *monitor) ResetConns() {
	_ = fromLoops(m, func(l *loop) error {
		for c := range l.conns {
			c.stats = newConnStats()
		}
		return nil
	}, func(error) {})
}

// Serving implements admin.Source.
func (m *monitor) Serving() bool { return m.phase.Load() == phaseServing }

// Live tells whether all goroutines that clients wait for still turn.
func (m *monitor) Live() error {
	select {
	case <-m.srv.broken:
		return errors.New("a write or an fsync of the log failed: nothing more becomes durable")
	default:
	}
	if !m.Serving() {
		return nil // to load takes as long as it takes
	}
	done := make(chan string, 2) // each of the two sends once
	go func() {                  // ends when all loops have answered, or with the server
		_ = fromLoops(m, func(*loop) error { return nil }, func(error) {})
		done <- "core"
	}()
	go func() { // likewise
		_, _ = fromCore(m, func(*core) error { return nil })
		done <- "loop"
	}()
	late := time.NewTimer(probeTimeout)
	defer late.Stop()
	missing := "loops and core"
	for range 2 {
		select {
		case other := <-done:
			missing = other
		case <-late.C:
			if m.restoring.Load() {
				return nil // as long as the disk takes
			}
			return fmt.Errorf("no answer within %v from: %s", probeTimeout, missing)
		}
	}
	return nil
}

// Ready tells whether clients are served now.
func (m *monitor) Ready() error {
	switch m.phase.Load() {
	case phaseLoading:
		return errors.New("the data is being loaded")
	case phaseStopping:
		return errStopping
	}
	if m.restoring.Load() {
		return errors.New("a snapshot is being restored")
	}
	if err := m.Live(); err != nil {
		return err
	}
	if err := m.srv.disk.ReadOnly(); err != nil {
		return err
	}
	waits, err := fromCore(m, func(*core) time.Duration {
		if len(m.srv.tally.handed) == 0 {
			return 0
		}
		return time.Since(m.srv.started) - time.Duration(m.srv.tally.handed[0].handedNs)
	})
	if err != nil {
		return err
	}
	if waits > logStuckAfter {
		return fmt.Errorf("writes wait: the log has not finished a batch for %v",
			waits.Round(time.Second))
	}
	return nil
}

// ReadOnly implements admin.Source.
func (m *monitor) ReadOnly() bool {
	_, full := m.srv.disk.Room()
	return full
}

// Version implements admin.Source.
func (m *monitor) Version() string {
	return fmt.Sprintf("%s, built on %s", m.srv.build.Version, m.srv.build.Date)
}

// Environment implements admin.Source.
func (m *monitor) Environment() []admin.Field { return admin.Environment(m.Version()) }

// Conf implements admin.Source.
func (m *monitor) Conf() admin.Conf {
	s, c := m.srv, m.srv.cfg
	port := 0
	if a := s.net.Addrs(); len(a) > 0 {
		port = portOf(a[0])
	}
	conf := admin.Conf{ClientPort: port, DataDir: s.files.SnapDir, LogDir: s.files.LogDir,
		TickMs: c.TickTime.Milliseconds(), MaxClientCnxns: c.MaxClientCnxns,
		MinTimeoutMs: c.MinSessionTimeout.Milliseconds(),
		MaxTimeoutMs: c.MaxSessionTimeout.Milliseconds(), Backlog: c.ClientPortListenBacklog,
		Initial: s.initial}
	if self := c.Quorum.Self(); self != nil && c.Ensemble() {
		at := self.Addrs[0]
		conf.ServerID = self.ID
		conf.Quorum = &admin.Quorum{InitLimit: c.Quorum.InitLimit, SyncLimit: c.Quorum.SyncLimit,
			ElectionAlg: fastElection, ElectionPort: at.ElectionPort, QuorumPort: at.QuorumPort,
			Membership: c.Quorum.Membership()}
	}
	return conf
}

// fastElection is the one electionAlg that ZooKeeper still has.
const fastElection = 3

// Mode implements admin.Source: the only voter of an ensemble leads it.
func (m *monitor) Mode() string {
	if m.srv.cfg.Ensemble() {
		return "leader"
	}
	return "standalone"
}

// PeerState implements admin.Source (QuorumPeer.getDetailedPeerState).
func (m *monitor) PeerState() string {
	if m.srv.cfg.Ensemble() {
		return "leading - broadcast"
	}
	return ""
}

// Conns implements admin.Source: all connections, by address.
func (m *monitor) Conns() []admin.Conn {
	var all []admin.Conn
	started := m.srv.started.UnixMilli()
	_ = fromLoops(m, func(l *loop) []admin.Conn {
		out := make([]admin.Conn, 0, len(l.conns))
		for c := range l.conns {
			out = append(out, connFacts(c, started))
		}
		return out
	}, func(some []admin.Conn) { all = append(all, some...) })
	slices.SortFunc(all, func(x, y admin.Conn) int { return strings.Compare(x.Remote, y.Remote) })
	return all
}

func connFacts(c *conn, startedMs int64) admin.Conn {
	t := &c.stats
	f := admin.Conn{Remote: c.nc.RemoteAddr().String(), Queued: c.pending.len(),
		Received: t.received, Sent: t.sent, LastOp: "NA", EstablishedMs: startedMs + c.openedMs,
		LastCxid: t.lastCxid, LastZxid: t.lastZxid, DeadlineMs: c.openedMs}
	if !c.nc.Paused() {
		f.Interest = 1
	}
	if c.nc.Unsent() > 0 {
		f.Interest |= 4
	}
	if c.state == connLive || c.state == connClosing {
		f.Session, f.TimeoutMs = c.session, c.timeoutMs
		f.DeadlineMs = c.heardMs + int64(c.timeoutMs)
	} else {
		f.DeadlineMs += c.loop.srv.cfg.SessionlessTimeout.Milliseconds()
	}
	tick := c.loop.srv.cfg.TickTime.Milliseconds()
	f.DeadlineMs = (f.DeadlineMs/tick + 1) * tick
	f.Deadline = c.loop.srv.started.Add(time.Duration(f.DeadlineMs) * time.Millisecond)
	if t.answers > 0 {
		f.LastOp, f.LastResponseMs = shortOp(t.lastOp), t.lastNs/1e6
		f.LastLatencyMs, f.MinLatencyMs = t.latency.last/1e6, t.latency.min/1e6
		f.AvgLatencyMs, f.MaxLatencyMs = t.latency.sum/t.answers/1e6, t.latency.max/1e6
	}
	return f
}

// shortOps are the names of operations in cons (FinalRequestProcessor).
var shortOps = map[proto.Op]string{
	proto.OpPing: "PING", proto.OpCreateSession: "SESS", proto.OpMulti: "MULT",
	proto.OpMultiRead: "MLTR", proto.OpCreate: "CREA", proto.OpCreate2: "CREA",
	proto.OpCreateTTL: "CREA", proto.OpCreateContainer: "CREA", proto.OpDelete: "DELE",
	proto.OpDeleteContainer: "DELE", proto.OpSetData: "SETD", proto.OpReconfig: "RECO",
	proto.OpSetACL: "SETA", proto.OpCloseSession: "CLOS", proto.OpSync: "SYNC",
	proto.OpCheck: "CHEC", proto.OpExists: "EXIS", proto.OpGetData: "GETD",
	proto.OpSetWatches: "SETW", proto.OpSetWatches2: "STW2", proto.OpAddWatch: "ADDW",
	proto.OpGetACL: "GETA", proto.OpGetChildren: "GETC", proto.OpGetChildren2: "GETC",
	proto.OpGetAllChildrenNumber: "GETACN", proto.OpCheckWatches: "CHKW",
	proto.OpRemoveWatches: "REMW", proto.OpWhoAmI: "HOMI", proto.OpGetEphemerals: "GETE",
}

func shortOp(op proto.Op) string {
	if s, known := shortOps[op]; known {
		return s
	}
	return "NA"
}

// Sessions implements admin.Source.
func (m *monitor) Sessions() []admin.Deadline {
	byTick, _ := fromCore(m, func(c *core) map[int64][]int64 {
		out := map[int64][]int64{}
		for b, set := range c.sessions.buckets {
			out[b*c.sessions.tickMs+c.sessions.lostMs] = slices.Sorted(maps.Keys(set))
		}
		return out
	})
	var all []admin.Deadline
	for _, at := range slices.Sorted(maps.Keys(byTick)) {
		all = append(all, m.deadline(at, byTick[at]))
	}
	return all
}

func (m *monitor) deadline(atMs int64, sessions []int64) admin.Deadline {
	return admin.Deadline{AtMs: atMs, Sessions: sessions,
		At: m.srv.started.Add(time.Duration(atMs) * time.Millisecond)}
}

// Ephemerals implements admin.Source.
func (m *monitor) Ephemerals() []admin.Owned {
	var all []admin.Owned
	root := m.root()
	root.EphemeralOwners(func(session int64) bool {
		o := admin.Owned{Session: session}
		root.Ephemerals(session, func(path string) bool {
			o.Paths = append(o.Paths, path)
			return true
		})
		all = append(all, o)
		return true
	})
	return all
}

// Watches implements admin.Source. Only data watches are shown (DataTree.dumpWatches).
func (m *monitor) Watches() []admin.Watched {
	var all []admin.Watched
	for _, l := range m.srv.loops {
		some := make(chan []admin.Watched, 1) // the loop sends once
		l.execute(func() {
			watchesOf(l, slices.Collect(maps.Keys(l.conns)), nil, some)
		})
		select {
		case out := <-some:
			all = append(all, out...)
		case <-m.srv.coreDone:
			return nil
		}
	}
	for _, w := range all {
		slices.Sort(w.Paths)
	}
	slices.SortFunc(all, func(x, y admin.Watched) int {
		if uint64(x.Session) < uint64(y.Session) {
			return -1
		}
		return 1
	})
	return all
}

// watchesOf copies the watches of some connections of a loop, so many per turn; at the end it
// sends them. Connections that closed meanwhile have none any more.
func watchesOf(l *loop, conns []*conn, out []admin.Watched, done chan<- []admin.Watched) {
	for copied := 0; len(conns) > 0 && copied < copiedWatchesMax; conns = conns[1:] {
		c := conns[0]
		w := admin.Watched{Session: c.session}
		for k := range c.watches {
			if k.table == dataTable {
				w.Paths = append(w.Paths, k.path)
			}
		}
		copied += len(c.watches) + 1
		if len(w.Paths) > 0 {
			out = append(out, w)
		}
	}
	if len(conns) == 0 {
		done <- out
		return
	}
	l.execute(func() { watchesOf(l, conns, out, done) })
}

// Digests implements admin.Source.
func (m *monitor) Digests() (all []admin.Digest) {
	kept, _ := fromCore(m, func(c *core) []tree.ZxidDigest { return c.digests.All() })
	for _, d := range kept {
		all = append(all, admin.Digest{Zxid: d.Zxid, Digest: d.Digest, Version: proto.DigestVersion})
	}
	return all
}

// Dirs implements admin.Source.
func (m *monitor) Dirs() (data, log int64) {
	return dirSize(m.srv.files.SnapDir), dirSize(m.srv.files.LogDir)
}

// LastSnapshot implements admin.Source.
func (m *monitor) LastSnapshot() (proto.Zxid, time.Time) {
	m.rare.mu.Lock()
	defer m.rare.mu.Unlock()
	if m.rare.lastSnapAt.IsZero() {
		return -1, m.rare.lastSnapAt
	}
	return m.rare.lastSnap, m.rare.lastSnapAt
}

// TraceMask implements admin.Source.
func (m *monitor) TraceMask() int64 { return m.trace.Load() }

// SetTraceMask implements admin.Source.
func (m *monitor) SetTraceMask(mask int64) { m.trace.Store(mask) }

// Stats implements admin.Source.
func (m *monitor) Stats() admin.Stats {
	n, root := m.counts(false), m.root()
	all := n.Latency()
	t := admin.Stats{Received: n.Loop.Received, Sent: n.Loop.Sent,
		Outstanding: m.srv.inFlight.Load(), Connections: m.srv.live.Load(),
		MinMs: all.Hist.Min() / nsPerMs, MaxMs: metrics.Up(all.Hist.Max(), nsPerMs),
		AvgMs: metrics.Decimal(all.Average()), SlowSyncs: n.Rare.SlowSyncs, Zxid: root.Zxid(),
		UptimeMs: time.Since(m.srv.started).Milliseconds(), AuthFailed: n.Loop.AuthFailed,
		Nodes: root.NodeCount()}
	t.DataBytes, t.LogBytes = m.Dirs()
	t.LastSize, t.MinSize, t.MaxSize = n.Loop.Replies.Shown()
	return t
}

const nsPerMs = 1e6

// Guard implements admin.Source.
func (m *monitor) Guard() admin.Guard {
	c := m.srv.cfg
	return admin.Guard{Snapshot: c.Admin.Snapshot, Restore: c.Admin.Restore,
		Interval: c.Admin.RateLimit, Forwarded: c.IPUseXForwardedFor}
}

// Identify implements admin.Source.
func (m *monitor) Identify(scheme string, data []byte, from netip.Addr) []proto.ID {
	ids, code := m.srv.providers.Authenticate(scheme, data, from)
	if code != proto.OK {
		return nil
	}
	return ids
}

// MayAll implements admin.Source.
func (m *monitor) MayAll(ids []proto.ID) bool {
	root := m.root()
	acl := root.ACL(root.Get("/"))
	for _, perm := range []int32{proto.PermRead, proto.PermWrite, proto.PermCreate,
		proto.PermDelete, proto.PermAdmin} {
		if !m.srv.allows(acl, perm, ids) {
			return false
		}
	}
	return true
}

// Limited implements admin.Source.
func (m *monitor) Limited(restore bool) {
	m.rare.note(func(n *metrics.Rare) {
		if restore {
			n.RestoreLimited++
		} else {
			n.SnapLimited++
		}
	})
}

// Snapshot implements admin.Source. The file is one of the snapshots as any other, but for the
// section that names its zxid: where the stream ends up, there may be no file name.
func (m *monitor) Snapshot(stream bool) (taken admin.Snapshot, err error) {
	s := m.srv
	failed := s.snapshots.do(func() {
		root := m.root()
		saved, failed := s.save(root, true)
		if err = failed; err != nil {
			return
		}
		taken = admin.Snapshot{Zxid: root.Zxid(), Bytes: saved.bytes}
		if stream { // from the file, so that a slow reader holds no root
			f := wal.SnapshotFile{Path: saved.path, Zxid: taken.Zxid, Compression: s.compression}
			taken.Bytes = saved.plain
			taken.Stream, err = f.Open(s.files.FS)
		}
	})
	if err = errors.Join(failed, err); err != nil {
		m.rare.note(func(n *metrics.Rare) { n.SnapErrors++ })
		s.clientLog.SnapshotFailed(err)
	}
	return taken, err
}

// Shed implements admin.Source.
func (m *monitor) Shed(percent int) (closed int) {
	_ = fromLoops(m, func(l *loop) (n int) {
		for c := range l.conns {
			if c.state < connClosing && rand.IntN(100) < percent {
				l.srv.refused(c, "the command shed_connections was given")
				l.close(c)
				n++
			}
		}
		return n
	}, func(n int) { closed += n })
	return closed
}

// openFiles is how many files the process holds and may hold; 0 when it cannot be known.
func openFiles() (open int, most uint64) {
	var limit syscall.Rlimit
	_ = syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	if fds, err := os.ReadDir("/proc/self/fd"); err == nil {
		open = len(fds)
	}
	return open, limit.Cur
}

func portOf(a net.Addr) int {
	_, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(port) // a listening address has a number
	return n
}

// dirSize is the size of the files in a directory, 0 when it cannot be read.
func dirSize(dir string) int64 {
	n, err := wal.DirSize(wal.OS, dir)
	if err != nil {
		return 0
	}
	return n
}

// A port is an address to listen on, with the key of its number.
type port struct{ key, addr string }

// An httpPort is one for operators.
type httpPort struct {
	port
	handler func(m *monitor) http.Handler
}

// httpPorts are those that the configuration asks for.
func httpPorts(c *zoocfg.Config) (all []httpPort) {
	add := func(key, host string, number int, h func(*monitor) http.Handler) {
		addr := net.JoinHostPort(host, strconv.Itoa(number))
		all = append(all, httpPort{port{key, addr}, h})
	}
	if c.Admin.Enable {
		add("admin.serverPort", c.Admin.Address, c.Admin.Port, func(m *monitor) http.Handler {
			return admin.Commands(m, c.Admin.CommandURL)
		})
	}
	if strings.HasSuffix(c.MetricsProviderClassName, "PrometheusMetricsProvider") {
		add("metricsProvider.httpPort", c.Metrics.Host, c.Metrics.Port,
			func(m *monitor) http.Handler { return admin.Prometheus(m, c.Metrics.Process) })
	}
	return all
}

// listenHTTP opens the ports for operators.
func (m *monitor) listenHTTP() error {
	s := m.srv
	faults := s.clientLog.HTTPFaults()
	for _, p := range httpPorts(s.cfg) {
		server, err := admin.Listen(p.addr, p.handler(m), s.cfg.Admin.IdleTimeout, faults)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrListen, p.key, err)
		}
		m.served = append(m.served, server)
		s.logger.Info("http is served", "for", p.key, "addr", server.Addr())
	}
	return nil
}

// closeHTTP closes them again.
func (m *monitor) closeHTTP(ctx context.Context) (err error) {
	for _, s := range m.served {
		err = errors.Join(err, s.Close(ctx))
	}
	return err
}
