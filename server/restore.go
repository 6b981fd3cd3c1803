package server

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/server/admin"
	"github.com/meerkat-zk/meerkat/server/metrics"
	"github.com/meerkat-zk/meerkat/tree"
	"github.com/meerkat-zk/meerkat/wal"
	"github.com/meerkat-zk/meerkat/zab"
)

// Restoring puts a snapshot that an operator sends in the place of the whole state
// (ZooKeeperServer.restoreFromSnapshot, which keeps it in memory alone). The steps:
//
//  1. The body is read into a head of its own and checked to its end. Nobody waits for that,
//     and what is wrong with the body ends here.
//  2. The core's goroutine stops taking requests. What it had accepted becomes durable and is
//     answered: that was the old state, and its clients were promised no more.
//  3. The new state gets a zxid above all that was, and becomes a snapshot file. The rename of
//     that file is the commit point: a crash before it finds the old state, a crash after it the
//     new one (wal/restore.go).
//  4. The log goes on in a new file. The core has the new head, its sessions with their full
//     timeouts, and nobody attached.
//  5. The new root is published. Each loop, where it meets it in the feed, closes its clients'
//     connections: they come again, to the new state, with their watches.
//  6. The old files are moved aside, and purging waits for that.
//
// A failure before the commit point leaves everything as it was; one that leaves open whether it
// was passed ends the process, as does one of the log.

// A restoring is what one restore hands from goroutine to goroutine.
type restoring struct {
	head *tree.Head // the operator's goroutine makes it, then it is the core's
	done chan error // room for one: the core says how it went
	root *tree.Root // set before done
}

// Restore implements admin.Source.
func (m *monitor) Restore(body io.Reader) (proto.Zxid, error) {
	s, began := m.srv, time.Now()
	z, err := s.restore(body)
	m.rare.note(func(n *metrics.Rare) {
		if err != nil {
			n.RestoreErrors++
		} else {
			n.Restore.Add(time.Since(began).Nanoseconds())
		}
	})
	if err != nil {
		s.clientLog.RestoreFailed(err)
		return 0, err
	}
	s.logger.Warn("a snapshot was restored; the state before it is in the folder", "zxid", z,
		"folder", wal.RestoreDir(s.files, z), "took", time.Since(began))
	return z, nil
}

func (s *Server) restore(body io.Reader) (z proto.Zxid, err error) {
	h, err := s.readBody(body)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", admin.ErrBody, err)
	}
	if failed := s.snapshots.do(func() { z, err = s.replaceState(h) }); failed != nil {
		return 0, failed
	}
	return z, err
}

// readBody reads a snapshot in any form that snapshot files have.
func (s *Server) readBody(body io.Reader) (*tree.Head, error) {
	in, done, err := wal.Decompress(body)
	if err != nil {
		return nil, err
	}
	defer done()
	h, err := tree.ReadExact(in, s.treeOptions())
	if err != nil {
		return nil, err
	}
	return h, s.checkTTL(h)
}

// replaceState has the core take over a head, on the snapshotter's goroutine: no other snapshot
// is written meanwhile, and nothing is purged.
func (s *Server) replaceState(h *tree.Head) (proto.Zxid, error) {
	r := &restoring{head: h, done: make(chan error, 1)}
	s.inbox.put(func(b *inbox) {
		b.calls = append(b.calls, func(*core) {
			s.between = func() { r.done <- s.takeOver(r) }
		})
	})
	var err error
	select {
	case err = <-r.done:
	case <-s.coreDone:
		select {
		case err = <-r.done: // in its last turn
		default:
			err = errStopping
		}
	}
	if err != nil {
		return 0, err
	}
	z := r.root.Zxid()
	s.snapshots.floor, s.snapshots.unsettled = z, z
	// Whoever is told that it is done finds the new state, and the old connections closed.
	_ = fromLoops(&s.monitor, func(*loop) error { return nil },
		func(error) {})
	s.setAside(z)
	s.inbox.put(func(b *inbox) { b.calls = append(b.calls, s.closeDeadOwners) })
	return z, nil
}

// takeOver is done by the core's goroutine between two turns.
func (s *Server) takeOver(r *restoring) error {
	s.monitor.restoring.Store(true) // it may take longer than probes wait
	defer s.monitor.restoring.Store(false)
	if err := s.settleCore(); err != nil {
		return err
	}
	taken, err := wal.Restores(s.files)
	if err != nil {
		return err
	}
	z := max(r.head.Zxid(), s.core.head.Zxid()+1)
	for slices.Contains(taken, z) { // somebody went back to the state before a restore
		z++
	}
	r.head.Advance(z)
	r.head.SetTolerant(false)
	r.root = r.head.Freeze()
	if err := s.commitRestore(r.root); err != nil {
		return err
	}
	if err := s.awaitLog(wal.Item{Restart: true, Last: z}); err != nil {
		return err
	}
	s.core.startOver(r.head, s.clockMs())
	s.feed.publish(&batch{root: r.root, last: z, want: ^uint64(0), restored: true})
	return nil
}

// settleCore makes all that was accepted durable, and publishes it.
func (s *Server) settleCore() error {
	c := s.core
	step := func(do func()) {
		c.out.reset()
		do()
		s.perform(&c.out, s.clock().Nanoseconds())
	}
	step(c.seal)
	if err := s.awaitLog(wal.Item{}); err != nil {
		return err
	}
	step(func() { c.onDurable(c.head.Zxid()) })
	if len(c.window.batches) > 0 || len(c.open.entries) > 0 {
		panic("server: the log has it all, and batches are in flight")
	}
	return nil
}

var errLogFailed = errors.New("the log failed")

// awaitLog gives the log something to do, and waits until that and all before it is done.
func (s *Server) awaitLog(item wal.Item) error {
	done := make(chan struct{}) // closed when it is
	item.Done = func() { close(done) }
	s.log.Append(item)
	select {
	case <-done:
		return nil
	case <-s.broken:
		return errLogFailed
	}
}

// commitRestore makes a root the state that a start finds.
func (s *Server) commitRestore(root *tree.Root) error {
	z := root.Zxid()
	err := wal.PrepareRestore(s.files, z)
	if err == nil {
		_, err = s.writeSnapshot(root, s.cfg.SaveLastProcessedZxid)
	}
	if err == nil {
		return nil
	}
	// Only a file that has its name could be found by a start.
	files, failed := wal.Snapshots(s.files)
	for _, f := range files {
		if f.Zxid == z {
			failed = fmt.Errorf("%s may or may not be on disk", f.Path)
		}
	}
	if failed != nil {
		err = fmt.Errorf("restore: the disk may hold the old state or the new one: %w: %w", failed, err)
		s.fatal(err)
		return err
	}
	return errors.Join(err, wal.AbandonRestore(s.files, z))
}

// startOver gives the core another head.
func (c *core) startOver(h *tree.Head, nowMs int64) {
	c.head = h
	c.leader = zab.NewLeader(zab.Majority{c.serverID}, h.Zxid())
	c.open = &batch{number: c.open.number + 1}
	c.spread.reset()
	c.digests = tree.DigestLog{}
	c.reaper = reaper{}
	// The clock's losses go on, and so do answers that loops still owe; they expire nobody.
	c.sessions.byID, c.sessions.buckets = map[int64]*session{}, map[int64]map[int64]*session{}
	c.sessions.expireUpTo = 0
	h.Sessions(func(id int64, timeoutMs int32) bool {
		c.sessions.add(id, timeoutMs, nowMs)
		return true
	})
}

// startOver closes the connections of all clients that have seen another state, at its place in
// the feed. Those that wait for their session are asking for one of this state.
func (l *loop) startOver() {
	l.watches.restored = l.root.Zxid()
	for c := range l.conns {
		if c.state == connLive {
			l.srv.refused(c, "a snapshot was restored")
			l.close(c)
		}
	}
}

// setAside moves the files of the state before a restore into its folder.
func (s *Server) setAside(z proto.Zxid) bool {
	n, err := wal.SetAside(s.files, z)
	if err != nil {
		s.logger.Error("files from before a restore could not be moved aside; nothing is purged "+
			"until they are", "folder", wal.RestoreDir(s.files, z), "err", err)
		return false
	}
	if s.snapshots.unsettled == z {
		s.snapshots.unsettled = 0
	}
	if n > 0 {
		s.logger.Info("files from before a restore were moved aside", "files", n,
			"folder", wal.RestoreDir(s.files, z))
	}
	return true
}

// settleRestores finishes what a crash may have left of restores, once the data is loaded from
// the snapshot that the zxid names (-1: from none), and before anything is purged.
func (s *Server) settleRestores(snapshot proto.Zxid) error {
	all, err := wal.Restores(s.files)
	for _, z := range all {
		switch {
		case z > snapshot:
			if err := wal.AbandonRestore(s.files, z); err != nil {
				s.logger.Warn("the folder of a restore that did not come to be is left", "err", err)
			}
		case s.setAside(z):
			s.restored = max(s.restored, z)
		default:
			s.snapshots.unsettled = max(s.snapshots.unsettled, z)
		}
	}
	return err
}
