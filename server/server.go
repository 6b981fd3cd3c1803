package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meerkat-zk/meerkat/netloop"
	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/server/auth"
	"github.com/meerkat-zk/meerkat/server/clientlog"
	"github.com/meerkat-zk/meerkat/server/metrics"
	"github.com/meerkat-zk/meerkat/server/room"
	"github.com/meerkat-zk/meerkat/server/zoocfg"
	"github.com/meerkat-zk/meerkat/tree"
	"github.com/meerkat-zk/meerkat/wal"
	"github.com/meerkat-zk/meerkat/zab"
)

// standaloneID is the server id of a server in no ensemble (ZooKeeperServer.getServerId).
const standaloneID = 1

// Build says which build this is, as the words and the log show it.
type Build struct {
	Version string // 3.9.5-<commit>: the ZooKeeper whose behaviour this is, then ours
	Date    string // YYYY-MM-DD HH:MM UTC
}

// String is the line that tells an operator which build this is.
func (b Build) String() string {
	return fmt.Sprintf("Meerkat %s, built on %s", b.Version, b.Date)
}

// Options are what a server is started with.
type Options struct {
	Config *zoocfg.Config
	Build  Build
	Logger *slog.Logger
	FS     wal.FS // nil: the operating system's
	Loops  int    // 0: one per core

	ConfigText string // what Config was read from, for operators who ask
}

// A Server is one running server.
type Server struct {
	cfg         *zoocfg.Config
	build       Build
	logger      *slog.Logger
	files       wal.Options
	compression wal.Compression
	whitelist   atomic.Pointer[map[string]bool] // words that are answered; never changed in place
	providers   *auth.Providers
	authSchemes []string // a client must have an id of one of them; nil: none is asked for
	started     time.Time
	lock        io.Closer

	net       *netloop.Server
	loops     []*loop
	feedStart *batch // where every loop's cursor begins; nil once they have it
	feed      feed
	inbox     *inbox
	log       *wal.Runner
	snapshots snapshotter
	disk      *room.Watch
	disks     wal.FS         // what files.FS stands on
	lack      [2]atomic.Bool // by wal.Lack: what it does not have
	monitor   monitor

	coreMu    sync.Mutex // guards what follows, and the end of the feed, for a turn
	core      *core
	inputs    inputs    // of the turn
	tally     coreStats // what the core's turns count
	between   func()    // done by run after this turn; nil mostly
	coreEnded bool      // no turns any more

	restored proto.Zxid // the last restore that a start found; loops know later ones
	initial  string     // Options.ConfigText

	outstandingMax int64
	live           atomic.Int64 // client connections
	inFlight       atomic.Int64 // requests decoded and not answered, of all loops
	rejected       atomic.Int64 // connections turned away by a limit

	clientLog *clientlog.Log // lines that clients can cause

	coreStop, coreDone chan struct{}  // closed by Stop; by the core's goroutine
	stopping, stopped  chan struct{}  // closed when Stop begins; when it has ended
	slowSlots          chan struct{}  // room for slowReadsMax: a slow read puts, and takes
	stopOnce           sync.Once      // guards the closing of stopping
	aside              sync.WaitGroup // slow reads, words, the ticker, the snapshotter
	failOnce           sync.Once
	failed             chan error    // room for one: what ended the server
	broken             chan struct{} // closed with it: nothing more becomes durable
}

// What a Start can fail for, besides the data directory. Test with errors.Is.
var (
	ErrConfig = errors.New("the configuration cannot be served")
	ErrListen = errors.New("a port cannot be opened")
)

// A configError is an ErrConfig that begins with its place in the file.
type configError struct{ error }

func (*configError) Is(target error) bool { return target == ErrConfig }
func (e *configError) Unwrap() error      { return e.error }

// Start brings a server up: it takes the data directory, recovers, and listens. When it
// returns without an error, clients are served.
func Start(o Options) (*Server, error) {
	s := &Server{
		cfg: o.Config, build: o.Build, logger: o.Logger, started: time.Now(),
		initial: o.ConfigText,
		inbox:   newInbox(), outstandingMax: int64(o.Config.GlobalOutstandingLimit),
		coreStop: make(chan struct{}), coreDone: make(chan struct{}),
		stopping: make(chan struct{}), stopped: make(chan struct{}), failed: make(chan error, 1),
		broken: make(chan struct{}),
	}
	if o.Loops == 0 {
		o.Loops = runtime.GOMAXPROCS(0)
	}
	s.slowSlots = make(chan struct{}, slowReadsMax(o.Loops))
	if err := s.configure(o); err != nil {
		return nil, err
	}
	if err := s.sayUnserved(); err != nil {
		return nil, err
	}
	if err := s.checkPort(); err != nil {
		return nil, err
	}
	if err := s.openFiles(); err != nil {
		return nil, err
	}
	if err := s.claimFiles(); err != nil {
		return nil, err
	}
	s.monitor.srv = s
	s.monitor.trace.Store(defaultTraceMask)
	err := s.monitor.listenHTTP()
	if err == nil {
		err = s.serve(o)
	}
	if err != nil {
		return nil, errors.Join(err, s.monitor.closeHTTP(context.Background()), s.lock.Close())
	}
	s.monitor.servesMs.Store(s.clockMs())
	s.monitor.phase.Store(phaseServing)
	return s, nil
}

// configure turns the configuration into what the parts need.
func (s *Server) configure(o Options) (err error) {
	c := o.Config
	s.clientLog = clientlog.New(o.Logger, s.clock)
	s.files = wal.Options{
		FS: o.FS, PreallocBytes: c.PreAllocBytes, LogSizeLimit: c.TxnLogSizeLimitBytes,
		NoSync: !c.ForceSync, SlowSync: c.FsyncWarning, Now: time.Now,
		Synced: func(took time.Duration) {
			s.monitor.rare.note(func(n *metrics.Rare) { n.Fsync.Add(took.Nanoseconds()) })
		},
		OnSlowSync: func(took time.Duration, file string) {
			s.monitor.rare.note(func(n *metrics.Rare) { n.SlowSyncs++ })
			s.clientLog.SlowSync(took, file)
		},
		Repaired: func(r wal.Repair) { s.logger.Warn("log repaired", s.repairOf(r)...) },
	}
	s.disks = o.FS
	if s.disks == nil {
		s.disks = wal.OS
	}
	s.files.FS = wal.Lenient(s.disks, s.lacks)
	s.compression = wal.CompressionDefault
	if c.HasSnapshotCompression {
		if s.compression, err = wal.ParseCompression(c.SnapshotCompression); err != nil {
			return &configError{c.Errorf("snapshot.compression.method", "%v", err)}
		}
	}
	s.SetWords(c.FourLetterWords)
	s.authSchemes = c.AuthSchemes()
	s.providers, err = auth.New(auth.Config{
		DigestEnabled: c.DigestAuth, DigestAlg: c.DigestAlg, SuperDigest: c.SuperDigest,
		EnsembleNames: c.EnsembleAuthNames,
		Ensemble:      c.HasAuthProvider("EnsembleAuthenticationProvider"),
		SASL:          c.HasAuthProvider("SASLAuthenticationProvider"),
	})
	if err != nil {
		return &configError{c.Errorf("DigestAuthenticationProvider.digestAlg", "%v", err)}
	}
	for _, scheme := range s.authSchemes {
		if !s.providers.Knows(scheme) {
			return &configError{c.Errorf("enforce.auth.schemes", "there is no provider of the scheme %q "+
				"here", scheme)}
		}
	}
	return nil
}

// sayUnserved warns of what the configuration asks for and this release does not do. What
// clients would miss at once is an error.
func (s *Server) sayUnserved() error {
	warnings, err := s.cfg.Served()
	for _, w := range warnings {
		s.logger.Warn(w.String())
	}
	if err != nil {
		return &configError{err}
	}
	return nil
}

// SetWords replaces the four-letter words that are answered ("*": all). Any goroutine may call it.
func (s *Server) SetWords(names []string) {
	allowed := map[string]bool{}
	for _, name := range names {
		allowed[name] = true
	}
	s.whitelist.Store(&allowed)
}

// checkPort finds out whether the client port can be had, before any file is touched: the other
// server there may be the one that has the files.
func (s *Server) checkPort() error {
	addr, _ := s.cfg.ClientAddr() // sayUnserved has seen it
	l, err := net.Listen("tcp", addr)
	if err == nil {
		err = l.Close()
	}
	if err != nil {
		return fmt.Errorf("%w: clientPort: %w", ErrListen, err)
	}
	return nil
}

// openFiles makes and locks the directories.
func (s *Server) openFiles() (err error) {
	c := s.cfg
	s.files.LogDir, s.files.SnapDir, err = wal.PrepareDirs(s.files.FS, c.DataDir, c.DataLogDir,
		c.DataDirAutocreate)
	if err != nil {
		return err
	}
	s.openDisk()
	s.lock, err = wal.LockDir(s.files.FS, c.DataDir)
	return err
}

// claimFiles refuses directories that another server uses, or that do not belong together.
func (s *Server) claimFiles() (err error) {
	if s.disks == wal.OS {
		err = wal.CheckOthers(s.cfg.DataDir, s.files.LogDir)
	}
	if err == nil {
		err = wal.Pair(s.files)
	}
	if err != nil {
		return errors.Join(err, s.lock.Close())
	}
	return nil
}

// lacks tells of what a file system does not have, once.
func (s *Server) lacks(what wal.Lack, err error) {
	s.lack[what].Store(true)
	switch what {
	case wal.LackLocks:
		s.logger.Warn("the file system has no locks: see that no other server uses the directory",
			"err", err)
	case wal.LackDirSync:
		s.logger.Error("the file system cannot fsync a directory: a power cut may take away new files, "+
			"and acknowledged writes with them", "err", err)
	}
}

// openDisk begins to watch the room on disk.
func (s *Server) openDisk() {
	s.files.ReserveBytes = reserveBytes
	if space, err := s.files.FS.Space(s.files.LogDir); err == nil {
		s.files.ReserveBytes = min(reserveBytes, space.Total/reserveShareMax)
	}
	s.disk = room.New(room.Options{
		Logger: s.logger, Data: s.files.SnapDir, Log: s.files.LogDir, Reserve: s.files.ReserveBytes,
		Space: func(dir string) (total, free int64, err error) {
			space, err := s.files.FS.Space(dir)
			return space.Total, space.Free, err
		},
		Reopen: func() {
			s.inbox.put(func(b *inbox) { b.calls = append(b.calls, s.closeDeadOwners) })
		},
	})
	s.files.OnRoom = s.disk.SetRoom
}

// serve recovers and starts every goroutine.
func (s *Server) serve(o Options) error {
	r, err := s.recover(wal.Replay)
	if err != nil {
		return err
	}
	if err := s.settleRestores(r.snapshot); err != nil {
		return err
	}
	if s.cfg.Ensemble() {
		s.setConfig(r.head)
	}
	r.head.SetTolerant(false) // from here on transactions are planned against this head
	s.core = s.newCore(r)
	root := r.head.Freeze()
	// A fuzzy snapshot is replaced at once, as Java does at every start: whoever opens these files
	// next need not understand it as we did.
	needed := r.snapshot < 0 || r.head.Fuzzy()
	if needed || r.replayed > s.cfg.SnapCount/2 || r.bytes > replayBytesMax {
		if _, err := s.save(root, s.cfg.SaveLastProcessedZxid); err != nil && needed {
			return err
		} else if err != nil {
			s.monitor.rare.note(func(n *metrics.Rare) { n.SnapErrors++ })
			s.logger.Error("a snapshot could not be written; the next start will be as slow",
				"zxid", root.Zxid(), "err", err)
		}
	}
	log, err := wal.OpenLog(s.files, r.head.Zxid())
	if err != nil {
		return err
	}
	s.log = wal.NewRunner(log, func(z proto.Zxid) {
		s.lend(s.inbox.logged(z))
	}, s.fatal)
	if err := s.listen(o); err != nil {
		return errors.Join(err, s.log.Close())
	}
	s.core.loops = len(s.loops)
	s.feed = feed{tail: s.feedStart, loops: s.loops}
	s.feedStart = nil // who held it would hold every batch there will ever be
	s.snapshots.srv = s
	s.snapshots.start()
	s.aside.Add(2)
	go s.tick()
	go s.watchDisk()
	// Serving starts as a whole: one batch with a root and no entries.
	// Under the lock, for a loop that sees it may take the next turn at once.
	s.coreMu.Lock()
	s.feed.publish(&batch{root: root, last: root.Zxid(), want: ^uint64(0)})
	s.coreMu.Unlock()
	go s.run()
	s.inbox.put(func(b *inbox) { b.calls = append(b.calls, s.closeDeadOwners) })
	return nil
}

// setConfig shows clients the members, as each member of an ensemble does when it starts.
func (s *Server) setConfig(h *tree.Head) {
	q := &s.cfg.Quorum
	h.SetConfig([]byte(q.Membership()), proto.Zxid(q.Version), time.Now().UnixMilli())
}

// id is what marks this server's sessions.
func (s *Server) id() int64 {
	if s.cfg.Ensemble() {
		return s.cfg.Quorum.MyID
	}
	return standaloneID
}

func (s *Server) newCore(r recovered) *core {
	c, id := s.cfg, s.id()
	zxid := r.head.Zxid()
	k := &core{
		settings: settings{
			serverID: id, tickMs: c.TickTime.Milliseconds(),
			minTimeoutMs: int32(c.MinSessionTimeout.Milliseconds()),
			maxTimeoutMs: int32(c.MaxSessionTimeout.Milliseconds()),
			enforceQuota: c.EnforceQuota, skipACL: c.SkipACL, extendedTypes: c.ExtendedTypes,
			digest: c.DigestEnabled, closeSessionPaths: c.CloseSessionTxn,
			reconfigEnabled: c.Quorum.Reconfig,
			fieldBytesMax:   c.JuteMaxBuffer + c.JuteMaxBufferExtra,
			reapIntervalMs:  c.ContainerCheckInterval.Milliseconds(),
			reapPerMinute:   int64(c.ContainerMaxPerMinute),
			reapNeverUsedMs: c.ContainerMaxNeverUsed.Milliseconds(),
			providers:       s.providers, softQuota: s.clientLog.SoftQuota,
		},
		digests: r.digests, stats: &s.tally.Core,
		head: r.head, leader: zab.NewLeader(zab.Majority{id}, zxid), open: &batch{number: 1},
		spread: newSpread(time.Now().UnixNano(), c.SnapCount, c.SnapSizeLimitBytes),
	}
	// The wall clock, so that ids of an earlier boot do not come again.
	k.sessions = newSessions(k.tickMs, proto.FirstSessionID(id, time.Now().UnixMilli()))
	r.head.Sessions(func(id int64, timeoutMs int32) bool {
		k.sessions.add(id, timeoutMs, time.Since(s.started).Milliseconds())
		return true
	})
	return k
}

// listen opens the client ports; each loop gets its handler before its first connection.
func (s *Server) listen(o Options) (err error) {
	addr, _ := s.cfg.ClientAddr() // checkPort has seen it
	s.feedStart = &batch{}
	var mu sync.Mutex
	s.net, err = netloop.Start(netloop.Options{
		Addrs: []string{addr}, Loops: o.Loops, Backlog: max(s.cfg.ClientPortListenBacklog, 0),
		KeepAlive:     keepAlive(s.cfg.ClientTCPKeepAlive),
		OnFault:       s.clientLog.NetworkFault,
		FrameBytesMax: s.cfg.JuteMaxBuffer, OutPauseBytes: outputMax,
		OutResumeBytes: outputMax / 2, MaxPerIP: s.cfg.MaxClientCnxns, MaxTotal: s.cfg.MaxCnxns,
		TickEvery: time.Duration(tickEveryMs(s.core.tickMs)) * time.Millisecond,
		NewHandler: func(nl *netloop.Loop) netloop.Handler {
			l := newLoop(s, nl)
			l.watches.restored = s.restored
			mu.Lock() // netloop may ask from several goroutines
			s.loops = append(s.loops, l)
			mu.Unlock()
			return l
		},
		OnRefuse: func(addr netip.AddrPort, why error) {
			s.rejected.Add(1)
			s.clientLog.Refused(addr, why)
		},
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrListen, err)
	}
	return nil
}

// Addrs are the addresses that clients connect to.
func (s *Server) Addrs() []net.Addr { return s.net.Addrs() }

// Failed yields what ended the server when it could not go on: a failed write or fsync. What
// was acknowledged is on disk. Its connections stay open, unanswered, until Stop.
func (s *Server) Failed() <-chan error { return s.failed }

// fatal reports an error after which no write may be acknowledged any more.
func (s *Server) fatal(err error) {
	s.failOnce.Do(func() {
		s.logger.Error("the server cannot go on; every acknowledged write is on disk", "err", err)
		s.failed <- err
		close(s.broken)
	})
}

// Stop ends the server: no new connections, what was accepted is written and answered, then
// connections, log and lock are closed.
func (s *Server) Stop() error {
	var err error
	s.stopOnce.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
		defer cancel()
		close(s.stopping)
		s.monitor.phase.Store(phaseStopping)
		s.net.CloseListeners()
		s.drainCore(ctx)
		err = s.net.Stop(ctx)
		close(s.coreStop)
		<-s.coreDone
		s.snapshots.stop()
		s.aside.Wait()
		s.clientLog.Flush()
		err = errors.Join(err, s.monitor.closeHTTP(ctx), s.log.Close(), s.lock.Close())
		close(s.stopped)
	})
	<-s.stopped
	return err
}

// drainCore waits until nothing is in flight, or the log has failed, or time is up.
func (s *Server) drainCore(ctx context.Context) {
	for {
		idle := make(chan bool, 1) // the core sends once
		s.inbox.put(func(b *inbox) {
			b.calls = append(b.calls, func(c *core) {
				idle <- len(c.window.batches) == 0 && len(c.open.entries) == 0
			})
		})
		select {
		case done := <-idle:
			if done {
				return
			}
		case <-ctx.Done():
			return
		case <-s.broken:
			return
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return
		}
	}
}

// refused says why a connection is being closed on a client's account.
func (s *Server) refused(c *conn, format string, args ...any) {
	s.clientLog.Closed(c.name(), format, args...)
}

// sayExpired logs the end of a silent session whose connection had so many watches.
func (s *Server) sayExpired(x *expiry, watches int) {
	ms := func(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
	s.clientLog.SessionExpired(clientlog.Expiry{Session: x.session, Client: x.client,
		Timeout: ms(int64(x.timeoutMs)), LastHeard: ms(x.silentMs), Ephemerals: x.ephemerals,
		Watches: watches})
}

// allows checks a permission against an ACL.
func (s *Server) allows(acl []proto.ACL, perm int32, ids []proto.ID) bool {
	return s.cfg.SkipACL || auth.Allows(acl, perm, ids)
}

// remoteIDs are the identities that every connection has: its address.
func (s *Server) remoteIDs(nc *netloop.Conn) []proto.ID {
	return []proto.ID{auth.RemoteID(nc.RemoteAddr().Addr())}
}

// keepAlive is the idle time after which the system probes a silent client; 0: never.
func keepAlive(on bool) time.Duration {
	if on {
		return time.Minute
	}
	return 0
}
