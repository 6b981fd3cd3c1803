package server

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meerkat-zk/meerkat/server/zoocfg"
	"github.com/meerkat-zk/meerkat/wal"
)

// TestPowerCut runs whole servers on a file system that loses what was not synced. At a random
// change of the file system the power is cut: that change and all later ones fail, so nothing
// that a server says from then on may be a promise of its own. What the disk may hold after the
// cut is given to the next server, and all promises of all servers before are checked there.
func TestPowerCut(t *testing.T) {
	cuts, seed := crashCount(t, "MEERKAT_CUTS", 40), crashSeed(t, "TestPowerCut")
	began := time.Now()
	tally := newCutTally(cuts)
	var all sync.WaitGroup
	var writes atomic.Int64
	for worker := range 4 {
		all.Add(1)
		go func() {
			defer all.Done()
			for n := uint64(worker); tally.wants() && !t.Failed(); n += 4 {
				p := newPowerHistory(seed+n, func(m *wal.MemFS) wal.FS { return m })
				if err := p.run(tally); err != nil {
					t.Errorf("history %d after %d cuts: %v\n%s\nrepeat it with: MEERKAT_CRASH_SEED=%d "+
						"MEERKAT_CUTS=%d go test ./server -run 'TestPowerCut$' -count 10", n, p.cuts, err,
						p.save(), seed+n, 50)
				}
				writes.Add(p.writes.Load())
			}
		}()
	}
	all.Wait()
	t.Logf("%d power cuts, %d acknowledged writes, %v\n%s", tally.done, writes.Load(),
		time.Since(began).Round(time.Millisecond), tally)
}

// TestPowerCutFindsMissingFsync shows that the test above would fail without the syncs.
func TestPowerCutFindsMissingFsync(t *testing.T) {
	for name, lies := range map[string]func(*wal.MemFS) wal.FS{
		"fdatasync of the log":   func(m *wal.MemFS) wal.FS { return noLogSync{m} },
		"fsync of the directory": func(m *wal.MemFS) wal.FS { return noDirSync{m} },
	} {
		t.Run(name, func(t *testing.T) {
			seed, tally := crashSeed(t, t.Name()), newCutTally(400)
			for n := uint64(0); tally.wants(); n++ {
				if err := newPowerHistory(seed+n, lies).run(tally); err != nil {
					t.Logf("found after %d cuts: %v", tally.done, err)
					return
				}
			}
			t.Fatalf("without it, %d power cuts went by unnoticed", tally.done)
		})
	}
}

// A noLogSync forgets to sync log files.
type noLogSync struct{ *wal.MemFS }

type unsynced struct{ wal.File }

func (unsynced) SyncData() error { return nil }

func (n noLogSync) Create(name string) (wal.File, error) {
	return forgetful(name)(n.MemFS.Create(name))
}

func (n noLogSync) OpenWrite(name string) (wal.File, error) {
	return forgetful(name)(n.MemFS.OpenWrite(name))
}

func forgetful(name string) func(wal.File, error) (wal.File, error) {
	return func(f wal.File, err error) (wal.File, error) {
		base := filepath.Base(name)
		if err != nil || !strings.HasPrefix(base, "log.") && base != "new-log" {
			return f, err
		}
		return unsynced{f}, nil
	}
}

// A noDirSync forgets to sync directories.
type noDirSync struct{ *wal.MemFS }

func (noDirSync) SyncDir(string) error { return nil }

// A powerHistory is one data directory on its way through several power cuts.
type powerHistory struct {
	*crashHistory
	rng  *rand.Rand
	disk *wal.MemFS
	wrap func(*wal.MemFS) wal.FS
	cfg  *zoocfg.Config
	logs crashLog
	cuts int

	failure error // what ended the last server; set when load has returned

	afterwards func(*Server, *cut) error // what load does behind its clients; nil: nothing
}

func newPowerHistory(seed uint64, wrap func(*wal.MemFS) wal.FS) *powerHistory {
	rng := rand.New(rand.NewPCG(seed, 0xC07))
	cfg := zoocfg.Default()
	cfg.ClientPort, cfg.MaxClientCnxns, cfg.MaxSessionTimeout = 0, 0, time.Hour
	cfg.DataDir, cfg.DataLogDir = "/data", "/data"
	if rng.IntN(2) == 0 {
		cfg.DataLogDir = "/datalog"
	}
	cfg.SnapCount = 2 + rng.IntN(60)
	cfg.PreAllocBytes = []int64{0, 4 << 10, 16 << 10, 300 << 10}[rng.IntN(4)]
	cfg.TxnLogSizeLimitBytes = []int64{0, 0, 8 << 10}[rng.IntN(3)]
	cfg.HasSnapshotCompression = true
	cfg.SnapshotCompression = []string{"", "gz", "snappy", "zstd"}[rng.IntN(4)]
	return &powerHistory{crashHistory: newCrashHistory(3, seed), rng: rng, disk: wal.NewMemFS(),
		wrap: wrap, cfg: cfg}
}

// run lives through several servers on one disk.
func (p *powerHistory) run(tally *cutTally) error {
	for range 8 + p.rng.IntN(8) {
		if !tally.wants() {
			break
		}
		if err := p.life(tally); err != nil {
			return err
		}
	}
	return p.end()
}

// life starts a server, checks it, and puts load on it until the power is cut.
func (p *powerHistory) life(tally *cutTally) error {
	cut, steps := p.arm(), 0
	if p.rng.IntN(6) == 0 { // this one is to be cut, if it lives so long, while it stops
		steps = 1 + p.rng.IntN(8)
	}
	p.down.Store(false)
	s, err := p.start()
	if err != nil {
		if !errors.Is(err, wal.ErrPowerCut) {
			return fmt.Errorf("the server does not start after the cut: %w", err)
		}
		cut.booting = true
	} else if err := p.load(s, cut, steps); err != nil {
		return err
	}
	tally.add(cut)
	p.cuts++
	p.disk = p.disk.CrashClone(p.rng)
	return nil
}

// load checks a server, then lets the clients run until the cut, or for some steps. A server
// that failed is stopped, as its main function would; what its clients are told until then
// counts. One that is alive when the clients are gone is stopped too: after a cut that only a
// snapshot noticed, a server that has lost what it promised turns them away and goes on.
func (p *powerHistory) load(s *Server, c *cut, steps int) error {
	addr, giveUp, stopped := s.Addrs()[0].String(), make(chan struct{}), make(chan struct{})
	p.failure = nil
	go func() {
		defer close(stopped)
		select {
		case p.failure = <-s.Failed():
		case <-giveUp:
			select {
			case p.failure = <-s.Failed():
			default: // nobody writes any more: it would live for ever
			}
		}
		p.down.Store(true)
		_ = s.Stop() // after a cut it says so
	}()
	err := p.verify(addr)
	c.checking = err == errGone
	if err == nil {
		err = p.runClients(addr, steps)
	}
	if err == nil && p.afterwards != nil {
		err = p.afterwards(s, c)
	}
	err = ignoreGone(err)
	if !p.down.Load() {
		c.stopping = true
		p.cutAt(c, 1+p.rng.IntN(4), "")
	}
	close(giveUp)
	<-stopped
	for _, c := range p.clients {
		c.hangUp()
	}
	return err
}

// runClients puts load on a server from all clients.
func (h *crashHistory) runClients(addr string, steps int) error {
	errs := make(chan error, len(h.clients))
	for _, c := range h.clients {
		go func() { errs <- c.run(addr, steps) }()
	}
	var all []error
	for range h.clients {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}

// end checks the last server, stops it in order, and finds all in place without any repair.
func (p *powerHistory) end() error {
	p.disk.Inject(nil)
	p.down.Store(false)
	for round := range 2 {
		p.logs.reset()
		s, err := p.start()
		if err != nil {
			return fmt.Errorf("the server does not start after the cut: %w", err)
		}
		if round == 1 && strings.Contains(p.logs.String(), "repaired") {
			err = errors.New("the log of a server that was stopped had to be repaired")
		}
		if err == nil {
			err = p.verify(s.Addrs()[0].String())
		}
		if err == nil {
			err = p.runClients(s.Addrs()[0].String(), 3)
		}
		if err := errors.Join(err, s.Stop()); err != nil {
			return err
		}
		p.disk = p.disk.CrashClone(p.rng)
	}
	return nil
}

func (p *powerHistory) start() (*Server, error) {
	return Start(Options{Config: p.cfg, Logger: slog.New(slog.NewTextHandler(&p.logs, nil)),
		FS: p.wrap(p.disk), Loops: 2})
}

// A cut is where the power goes.
type cut struct {
	op                          wal.Op // that was prevented; its Kind is "" before
	booting, checking, stopping bool   // the server had not started, was not checked yet, ended
}

// arm chooses the change at which the power is cut: the n-th, or the next one of a rare kind.
func (p *powerHistory) arm() *cut {
	c := &cut{}
	switch p.rng.IntN(8) {
	case 0, 1: // while it boots, or soon after
		p.cutAt(c, 1+p.rng.IntN(20), "")
	case 2, 3:
		kinds := []string{"create", "rename", "remove", "syncdir", "truncate", "preallocate"}
		p.cutAt(c, 1+p.rng.IntN(150), kinds[p.rng.IntN(len(kinds))])
	default:
		p.cutAt(c, 1+p.rng.IntN(150), "")
	}
	return c
}

// cutAt makes the n-th change from now on fail, or the next one after it that is of a kind,
// and all that follow.
func (p *powerHistory) cutAt(c *cut, n int, kind string) {
	first := p.disk.Ops()
	p.disk.Inject(func(op wal.Op) error {
		at := op.N - first
		if c.op.Kind == "" && (at >= n+150 || at >= n && (kind == "" || op.Kind == kind)) {
			p.down.Store(true)
			c.op = op
		}
		if c.op.Kind == "" {
			return nil
		}
		return fmt.Errorf("%w at %s %s", wal.ErrPowerCut, op.Kind, op.Name)
	})
}

// save writes the disk's files and the servers' log where a person can look at them.
func (p *powerHistory) save() string {
	dir, err := os.MkdirTemp("", "meerkat-powercut-")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "server.log"), []byte(p.logs.String()), 0o644)
	}
	for _, from := range []string{"/data/version-2", "/datalog/version-2"} {
		names, _ := p.disk.List(from) // a missing directory has no files
		for _, name := range names {
			err = errors.Join(err, copyOut(p.disk, from+"/"+name, filepath.Join(dir, name)))
		}
	}
	return fmt.Sprintf("files and logs are in %s (%v)", dir, err)
}

func copyOut(from wal.FS, name, to string) error {
	f, err := from.OpenRead(name)
	if err != nil {
		return err
	}
	size, err := f.Size()
	if err != nil {
		return err
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); n < len(b) {
		return err
	}
	return os.WriteFile(to, b, 0o644)
}
