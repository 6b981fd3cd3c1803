package server

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/server/metrics"
	"github.com/meerkat-zk/meerkat/tree"
	"github.com/meerkat-zk/meerkat/wal"
)

// Booting: the newest snapshot that is whole, then the log behind it, make the head. Nothing is
// published before all of it stands (FileTxnSnapLog.restore).

// recovered is what the disk held.
type recovered struct {
	head        *tree.Head
	digests     tree.DigestLog
	replayed    int        // log records
	mismatches  int        // of those, how many promised another digest than the tree's
	bytes       int64      // of all of them
	recordBytes int        // of the largest
	snapshot    proto.Zxid // the snapshot that was read; -1 if there was none
}

// recover reads the data directory, its log by wal.Replay or another of its kind.
func (s *Server) recover(readLog func(wal.Options, proto.Zxid, func(proto.Zxid, []byte) error) (
	proto.Zxid, error)) (recovered, error) {
	booted := time.Now()
	r, err := s.loadSnapshot()
	if err != nil {
		return r, err
	}
	if err := s.sayNoLog(r.snapshot); err != nil {
		return r, err
	}
	from := r.head.Zxid()
	began := time.Now()
	_, err = readLog(s.files, from, func(z proto.Zxid, record []byte) error {
		if r.snapshot < 0 && !s.cfg.SnapshotTrustEmpty {
			return fmt.Errorf("there is a log (%v) in %s but no snapshot in %s: if the snapshot was "+
				"lost, restore it; if there never was one, set snapshot.trust.empty=true for one start",
				z, s.files.LogDir, s.files.SnapDir)
		}
		switch last := r.head.Zxid(); {
		case z <= last:
			s.logger.Warn("a log record that repeats a zxid is passed over", "zxid", z)
			return nil
		case z != last+1 && (z.Epoch() == last.Epoch() || z.Counter() != 1):
			return fmt.Errorf("the log in %s goes on with %v after %v: transactions are missing; "+
				"restore the log files or the snapshot that hold them", s.files.LogDir, z, last)
		}
		r.replayed++
		r.bytes += int64(len(record))
		r.recordBytes = max(r.recordBytes, len(record))
		return s.replay(&r, z, record)
	})
	if err == nil {
		err = errors.Join(checkZxid(r.head), s.checkTTL(r.head))
	}
	if err != nil {
		return r, err
	}
	s.monitor.rare.note(func(n *metrics.Rare) {
		n.Load.Add(time.Since(booted).Nanoseconds())
		n.LoadSnap.Add(began.Sub(booted).Nanoseconds())
		n.Replay.Add(time.Since(began).Nanoseconds())
		n.Replayed.Add(int64(r.replayed))
		n.Mismatches += int64(r.mismatches)
	})
	snapshot := "none"
	if r.snapshot >= 0 {
		snapshot = r.snapshot.String()
	}
	s.logger.Info("data loaded", "snapshot", snapshot, "log_records", r.replayed,
		"zxid", r.head.Zxid(), "znodes", r.head.NodeCount(), "digest_mismatches", r.mismatches,
		"took", time.Since(booted))
	return r, nil
}

// sayNoLog warns of a snapshot without any log file. Behind a restore there is none until the first
// write.
func (s *Server) sayNoLog(snapshot proto.Zxid) error {
	if snapshot <= 0 {
		return nil
	}
	has, err := wal.HasLogs(s.files)
	if err != nil || has {
		return err
	}
	restores, err := wal.Restores(s.files)
	if err == nil && !slices.Contains(restores, snapshot) {
		s.logger.Warn("there is a snapshot and no log behind it: what was written since is missing",
			"snapshot", snapshot, "dir", s.files.LogDir)
	}
	return err
}

// Check tells what a Start would fail for, as far as can be known while no port is opened and no
// file is changed, and logs what it would warn of. It reads all data. That a server runs on the
// directory is a warning: its configuration is checked before it is stopped.
func Check(o Options) error {
	s := &Server{cfg: o.Config, logger: o.Logger}
	if err := s.configure(o); err != nil {
		return err
	}
	return errors.Join(s.sayUnserved(), s.checkAddrs(), s.checkFiles())
}

// checkAddrs looks for addresses that cannot be, and for ports that are wanted twice.
func (s *Server) checkAddrs() error {
	var ports []port
	if addr, ok := s.cfg.ClientAddr(); ok {
		ports = append(ports, port{"clientPort", addr})
	}
	for _, h := range httpPorts(s.cfg) {
		ports = append(ports, h.port)
	}
	resolved := make([]*net.TCPAddr, len(ports))
	for i, p := range ports {
		at, err := net.ResolveTCPAddr("tcp", p.addr)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrListen, p.key, err)
		}
		for k, other := range resolved[:i] {
			all := at.IP == nil || other.IP == nil || at.IP.IsUnspecified() || other.IP.IsUnspecified()
			if at.Port != 0 && at.Port == other.Port && (all || at.IP.Equal(other.IP)) {
				return fmt.Errorf("%w: %s and %s are both %d", ErrListen, ports[k].key, p.key, at.Port)
			}
		}
		resolved[i] = at
	}
	return nil
}

// checkFiles does what a start does with its files, on a disk that nothing changes.
func (s *Server) checkFiles() error {
	readLog := wal.Replay
	s.files.FS = wal.Dry(s.disks)
	if err := s.openFiles(); err != nil {
		return err
	}
	if err := wal.Pair(s.files); err != nil {
		return err
	}
	s.sayRoom()
	for _, dir := range []string{s.files.LogDir, s.files.SnapDir} {
		f, err := s.files.FS.Create(filepath.Join(dir, "new"))
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			return fmt.Errorf("server: data directory: %w", err)
		}
	}
	if s.disks == wal.OS {
		err := wal.CheckRunning(s.cfg.DataDir, s.files.LogDir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.logger.Warn("a server runs on the data; its log is read as far as it is whole",
				"err", err)
			readLog = wal.Read
		}
	}
	s.files.Repaired = func(r wal.Repair) {
		s.logger.Warn("the log will be repaired", s.repairOf(r)...)
	}
	r, err := s.recover(readLog)
	if err == nil {
		err = s.warnOfWayBack(r)
	}
	return err
}

// What a Java server with its defaults reads and writes.
const (
	// A field or a record may have jute.maxbuffer and as much again (BinaryInputArchive).
	javaBufferBytes = 0xfffff

	// It writes a snapshot by a recursion, whose stack ends between 2,000 and 3,000 names on a
	// machine of 64 bits (DataTree.serializeNode). Half of that is let pass.
	javaDepth = 1000
)

// warnOfWayBack tells what of the data a Java server could not take over.
func (s *Server) warnOfWayBack(r recovered) error {
	x := r.head.Extent()
	if r.recordBytes > x.FieldBytes {
		x.FieldBytes, x.Largest = r.recordBytes, "a log record"
	}
	if needs := (x.FieldBytes + 1) / 2; needs > javaBufferBytes {
		s.logger.Warn("a Java server needs a larger jute.maxbuffer on its command line to open the data",
			"jute.maxbuffer", needs, "bytes", x.FieldBytes, "of", x.Largest)
	}
	if x.Depth > javaDepth {
		s.logger.Warn("a Java server may need a larger stack (-Xss) to open a tree as deep as this",
			"depth", x.Depth, "path_bytes", len(x.Deepest))
	}
	files, err := wal.Snapshots(s.files)
	for _, f := range files {
		if f.Compression == wal.Zstd {
			s.logger.Warn("a Java server cannot read a snapshot in the form zstd", "file", f.Path)
			break // the newest is enough
		}
	}
	return err
}

// sayRoom tells how much room there is, and whether a server would start read-only.
func (s *Server) sayRoom() {
	for _, d := range s.disk.Dirs() {
		if d.Err != nil {
			s.logger.Warn("the room on disk is not known", "key", d.Key, "dir", d.Path, "err", d.Err)
			continue
		}
		s.logger.Info("room on disk", "key", d.Key, "dir", d.Path, "free_bytes", d.Free,
			"of_bytes", d.Total)
	}
	missing := wal.ReserveMissing(s.files)
	if d := s.disk.Dirs()[0]; d.Err == nil && d.Free < missing {
		s.logger.Warn("a server would start read-only: there is no room for the log's reserve",
			"dir", d.Path, "free_bytes", d.Free, "needed_bytes", missing)
	}
}

// repairOf tells what becomes of a log file, and no more than is known: bytes that look like the
// rest of a write that did not finish were never acknowledged, unless forceSync is off; what a
// file without a record once held, nobody can tell.
func (s *Server) repairOf(r wal.Repair) []any {
	what := "the torn end, as a write leaves it that did not finish, is cut off"
	switch {
	case r.RemovedOf > r.After+1 && r.RemovedOf.Epoch() == r.After.Epoch():
		what = "a file without a record is removed; by its name there were transactions before it " +
			"that are in no file; whether they were acknowledged cannot be known"
	case r.RemovedOf != 0:
		what = "a file without a record is removed; whether it ever held one cannot be known"
	case r.Kept:
		what = "a bad end is passed over, for the next file goes on where its whole records end"
	case s.files.NoSync:
		what = "the torn end is cut off; with forceSync=no it may have held acknowledged writes"
	}
	return []any{"file", r.File, "offset", r.Offset, "dropped_bytes", r.Dropped,
		"last_zxid", r.After, "what", what, "reason", r.Reason}
}

// checkZxid refuses a state whose zxid no server can have counted to.
func checkZxid(h *tree.Head) error {
	if h.Zxid() <= tree.ZxidMax {
		return nil
	}
	return fmt.Errorf("the last zxid is %v, and no server has counted beyond %v: the name of a "+
		"snapshot or log file is wrong; move that file away, or restore the right one", h.Zxid(),
		tree.ZxidMax)
}

// checkTTL refuses TTL znodes when extendedTypesEnabled is off: they look like ephemerals of
// sessions that are gone, and would be removed. Java removes them; but there the setting is a
// system property, which is easily left behind when zoo.cfg alone comes here.
func (s *Server) checkTTL(h *tree.Head) (err error) {
	if s.cfg.ExtendedTypes {
		return nil
	}
	h.EphemeralOwners(func(owner int64) bool {
		if (tree.Options{ExtendedTypes: true}).Kind(owner) != tree.TTL {
			return true
		}
		h.Ephemerals(owner, func(path string) bool {
			err = fmt.Errorf("%s is a znode with a TTL, but extendedTypesEnabled is not true: it "+
				"would be removed; set extendedTypesEnabled=true, which Java was given as "+
				"-Dzookeeper.extendedTypesEnabled=true", path)
			return false
		})
		return false
	})
	return err
}

// replay applies one log record. Until the tree is known to be whole, what a fuzzy snapshot of
// Java already holds is forgiven, as Java forgives it. The first digest that fits ends that, but
// no digest of a transaction before the last that the snapshot can hold, which it names itself:
// what is below /zookeeper counts in no digest. To one that names none all is forgiven.
//
// A digest that is off after that is said, not refused: Java's own can be off (it predicts a
// create by its flag and applies it by its op code), and the record's checksum was right.
func (s *Server) replay(into *recovered, z proto.Zxid, record []byte) error {
	h := into.head
	var t proto.Txn
	r := jute.ReaderMax(record, len(record))
	t.Fields(&r)
	if r.Err() != nil {
		return fmt.Errorf("the transaction %v cannot be read: %w", z, r.Err())
	}
	var events []tree.Event
	if err := h.Apply(&t, &events); err != nil {
		return fmt.Errorf("the transaction %v does not apply: %w", z, err)
	}
	if !h.Tolerant() { // in the part that a fuzzy snapshot may hold, no digest is right
		into.digests.Add(z, h)
	}
	if !t.HasDigest || t.Digest.Version != proto.DigestVersion || !s.cfg.DigestEnabled {
		return nil
	}
	fits := t.Digest.TreeDigest == h.Digest()
	switch {
	case fits && h.Tolerant():
		until, _, named := h.LoadedDigest() // the first snapshot of all names none
		h.SetTolerant(z <= until || !named && into.snapshot != 0)
	case !fits && !h.Tolerant():
		if into.mismatches++; into.mismatches == 1 {
			s.logger.Error("the tree's digest is not the one that the log promises; this is the first",
				"zxid", z, "tree", fmt.Sprintf("%x", uint64(h.Digest())),
				"log", fmt.Sprintf("%x", uint64(t.Digest.TreeDigest)))
		}
	}
	return nil
}

// loadSnapshot reads the newest snapshot that is whole; damaged ones are said and passed over.
func (s *Server) loadSnapshot() (recovered, error) {
	o := s.treeOptions()
	o.StringBytesMax = math.MaxInt32 // jute.maxbuffer may have been larger when this was written
	files, err := wal.Snapshots(s.files)
	if err != nil {
		return recovered{}, err
	}
	var first error
	blank := 0
	for _, f := range files {
		if f.Denied != nil { // it may be whole, and an older one is not the same
			return recovered{}, f.Denied
		}
		if f.Blank {
			blank++
		}
		h, err := s.readSnapshot(f, o)
		if err == nil {
			s.monitor.rare.snapshot(h.Zxid(), f.ModTime)
			s.disk.NoteSnapshot(f.Size)
			return recovered{head: h, snapshot: h.Zxid()}, nil
		}
		s.logger.Warn("snapshot passed over", "file", f.Path, "err", err)
		if first == nil {
			first = fmt.Errorf("%s: %w", f.Path, err)
		}
	}
	switch {
	case first == nil:
	case blank < len(files):
		return recovered{}, fmt.Errorf("no snapshot in %s is whole: restore one from a backup; "+
			"the newest: %w", s.files.SnapDir, first)
	case !s.cfg.SnapshotTrustEmpty:
		return recovered{}, fmt.Errorf("all snapshots in %s are empty: restore one from a backup; or, "+
			"if the log in %s goes back to the first transaction, set snapshot.trust.empty=true for "+
			"one start; the newest: %w", s.files.SnapDir, s.files.LogDir, first)
	default:
		s.logger.Warn("all snapshots are empty and passed over; the log alone is read",
			"snapshots", blank, "dir", s.files.SnapDir)
	}
	return recovered{head: tree.NewHead(o), snapshot: -1}, nil
}

func (s *Server) readSnapshot(f wal.SnapshotFile, o tree.Options) (*tree.Head, error) {
	if f.Invalid != "" {
		return nil, errors.New(f.Invalid)
	}
	r, err := f.Open(s.files.FS)
	if err != nil {
		return nil, err
	}
	h, err := tree.ReadSnapshot(r, f.Zxid, o)
	return h, errors.Join(err, r.Close())
}

func (s *Server) treeOptions() tree.Options {
	return tree.Options{ExtendedTypes: s.cfg.ExtendedTypes, NoDigest: !s.cfg.DigestEnabled,
		Emulate353TTL:  s.cfg.Emulate353TTLNodes,
		StringBytesMax: s.cfg.JuteMaxBuffer + s.cfg.JuteMaxBufferExtra}
}

// closeDeadOwners closes sessions that own ephemerals and that no log and no snapshot knows,
// as a fuzzy snapshot can leave them. It does so by ordinary transactions, the first of this
// boot (ZooKeeperServer.loadData).
func (s *Server) closeDeadOwners(c *core) {
	if c.full {
		return // when there is room
	}
	var dead []int64
	c.head.DeadOwners(func(session int64) bool {
		dead = append(dead, session)
		return true
	})
	for _, id := range dead {
		s.logger.Warn("the ephemerals of an unknown session are removed",
			"session", fmt.Sprintf("0x%x", uint64(id)))
		c.write(&request{op: proto.OpCloseSession, session: id})
	}
}

// A snapshotter saves roots, at most one at a time.
type snapshotter struct {
	srv   *Server
	roots chan *tree.Root // room for one: the core offers, run takes, stop closes
	asked chan func()     // operators ask, run takes

	// floor is the zxid of the last restore: older roots are of a state that is gone. What was
	// before it is to be set aside before anything is purged. Both are run's, and boot's before it.
	floor, unsettled proto.Zxid

	// nextMs is the time before which no other snapshot begins, on the server's clock; written
	// by run, read by the core's goroutine. A stale value only moves a snapshot by a batch.
	nextMs atomic.Int64

	purged time.Time // the last purge; run's, and boot's before it
}

// restShare is how long the snapshotter rests after a snapshot, in times of what that took.
// Without it a server that writes 100,000 znodes per second and has half a million would do
// nothing but snapshots: a third of its CPU, measured. A restart replays at most as much more.
const restShare = 9

// resting tells whether no snapshot may begin now.
func (p *snapshotter) resting(nowMs int64) bool { return nowMs < p.nextMs.Load() }

func (p *snapshotter) start() {
	p.roots, p.asked = make(chan *tree.Root, 1), make(chan func())
	p.srv.aside.Add(1)
	go p.run()
}

// stop lets a snapshot that is being written finish. The core has ended before.
func (p *snapshotter) stop() { close(p.roots) }

// offer asks for a root to be saved; it is passed over while another one waits.
func (p *snapshotter) offer(r *tree.Root) {
	select {
	case p.roots <- r:
	default:
	}
}

// run is the snapshotter's goroutine. It ends when roots is closed, by stop.
func (p *snapshotter) run() {
	defer p.srv.aside.Done()
	for {
		select {
		case r, open := <-p.roots:
			if !open {
				return
			}
			if r.Zxid() >= p.floor {
				p.save(r)
			}
		case work := <-p.asked:
			work()
		}
	}
}

// do has the snapshotter's goroutine do some work, before or after a snapshot. What it has begun
// is finished even when the server stops meanwhile.
func (p *snapshotter) do(work func()) error {
	done := make(chan struct{}) // closed when the work is done
	select {
	case p.asked <- func() { defer close(done); work() }:
		<-done
		return nil
	case <-p.srv.stopping:
		return errStopping
	}
}

func (p *snapshotter) save(r *tree.Root) {
	began := p.srv.clockMs()
	p.nextMs.Store(math.MaxInt64)
	err := p.srv.disk.FitsSnapshot()
	if err == nil {
		_, err = p.srv.save(r, p.srv.cfg.SaveLastProcessedZxid)
	}
	ended := p.srv.clockMs()
	p.nextMs.Store(ended + restShare*(ended-began))
	if err != nil {
		p.srv.monitor.rare.note(func(n *metrics.Rare) { n.SnapErrors++ })
		// Nothing is lost: the log has it all, and the next snapshot tries again.
		p.srv.logger.Error("a snapshot could not be written; logs pile up until one is",
			"zxid", r.Zxid(), "err", err)
	}
}

// A savedSnapshot is a snapshot file as it was written.
type savedSnapshot struct {
	path         string
	bytes, plain int64 // of the file; before it was compressed
}

// save writes a snapshot of a root, then removes the files that it makes needless.
func (s *Server) save(r *tree.Root, lastZxid bool) (savedSnapshot, error) {
	saved, err := s.writeSnapshot(r, lastZxid)
	if err == nil {
		s.purge(r.Zxid())
	}
	return saved, err
}

func (s *Server) writeSnapshot(r *tree.Root, lastZxid bool) (saved savedSnapshot, err error) {
	began := time.Now()
	o := tree.SnapshotOptions{Digest: s.cfg.DigestEnabled, LastZxid: lastZxid,
		Pace: func(bytes int) { saved.plain += int64(bytes) }}
	saved.path, saved.bytes, err = wal.WriteSnapshot(s.files, r.Zxid(), s.compression,
		func(w io.Writer) error { return r.WriteSnapshot(w, o) })
	if err != nil {
		return saved, err
	}
	s.monitor.rare.note(func(n *metrics.Rare) { n.Snapshot.Add(time.Since(began).Nanoseconds()) })
	s.monitor.rare.snapshot(r.Zxid(), time.Now())
	s.disk.NoteSnapshot(saved.bytes)
	s.logger.Info("snapshot written", "file", saved.path, "bytes", saved.bytes,
		"took", time.Since(began))
	return saved, nil
}

// purge removes the files that snapshots have made needless, at most once per interval. A
// failure costs disk space and nothing else.
func (s *Server) purge(saved proto.Zxid) {
	p := &s.snapshots
	if p.unsettled != 0 && !s.setAside(p.unsettled) {
		return
	}
	if s.cfg.PurgeInterval == 0 || !p.purged.IsZero() && time.Since(p.purged) < s.cfg.PurgeInterval {
		return
	}
	p.purged = time.Now()
	removed, err := wal.Purge(s.files, s.cfg.SnapRetainCount, saved)
	if len(removed) > 0 {
		s.logger.Info("old files removed", "files", len(removed))
	}
	if err != nil {
		s.logger.Error("old files could not be removed; they pile up", "err", err)
	}
}
