package server

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meerkat-zk/meerkat/wal"
)

// Servers whose disk runs full, gets room, and runs full again, while the power is cut at any
// change of the file system: a server with a full disk starts, serves what all were told, turns
// writes down and takes them again by itself. The crash tests' model knows every answer.
func TestFullDisk(t *testing.T) {
	seed, n := crashSeed(t, t.Name()), crashCount(t, "MEERKAT_FILLS", 6)
	var all fillTally
	for i := range uint64(n) {
		p := newPowerHistory(seed+i, func(m *wal.MemFS) wal.FS { return m })
		p.fills = true
		if err := p.fill(&all); err != nil {
			t.Fatalf("history %d: %v\n%s\nrepeat it with: MEERKAT_CRASH_SEED=%d MEERKAT_FILLS=1 "+
				"go test ./server -run 'TestFullDisk$' -count 10", i, err, p.save(), seed+i)
		}
	}
	t.Logf("%+v", all)
	if all.full == 0 || all.reopened == 0 || all.bornFull == 0 || all.cut == 0 {
		t.Errorf("something did not happen: %+v", all)
	}
}

// A fillTally counts what a test of full disks has seen.
type fillTally struct {
	full     int // servers that turned writes down
	bornFull int // of these, from their start on
	reopened int // took writes again
	cut      int // were cut
}

// fill runs servers with ever new, small room.
func (p *powerHistory) fill(tally *fillTally) error {
	first := true
	for range 8 {
		if !first { // the first one makes the znodes below which all happens
			p.disk.Limit([]int64{-1, 0, int64(p.rng.IntN(100 << 10))}[p.rng.IntN(3)])
		}
		if err := p.fillOnce(tally, first); err != nil {
			return err
		}
		first = false
		p.disk = p.disk.CrashClone(p.rng)
	}
	p.disk.Limit(-1)
	return p.end()
}

func (p *powerHistory) fillOnce(tally *fillTally, first bool) error {
	c, steps := &cut{}, 0
	p.down.Store(false)
	switch {
	case first:
		steps = 3
	case p.rng.IntN(2) == 0:
		p.cutAt(c, 1+p.rng.IntN(300), "")
	}
	s, err := p.start()
	if errors.Is(err, wal.ErrPowerCut) {
		tally.cut++
		return nil
	}
	if err != nil {
		return fmt.Errorf("the server does not start: %w", err)
	}
	room, full := s.disk.Room()
	if !full && !first {
		p.disk.Limit(int64(p.rng.IntN(100 << 10)))
	}
	if full {
		tally.bornFull++
		if room < 2*closesRoomBytes { // clients without a session are sent elsewhere
			p.down.Store(true)
		}
	}
	p.afterwards = func(s *Server, c *cut) error { return p.makeRoom(s, c, tally) }
	err = p.load(s, c, steps)
	if c.op.Kind != "" {
		tally.cut++
	}
	if p.failure != nil && !errors.Is(p.failure, wal.ErrPowerCut) {
		return fmt.Errorf("a full disk ended the server: %w", p.failure)
	}
	return err
}

// makeRoom makes a server that is read-only go on, now and then.
func (p *powerHistory) makeRoom(s *Server, c *cut, tally *fillTally) error {
	if _, full := s.disk.Room(); !full {
		return nil
	}
	tally.full++
	if err := s.monitor.Ready(); !p.down.Load() && (err == nil ||
		!strings.HasPrefix(err.Error(), "read-only: ")) {
		return fmt.Errorf("it is read-only, and ready: %w", err)
	}
	if p.rng.IntN(2) == 0 {
		return nil
	}
	p.disk.Limit(2*reserveBytes + int64(p.rng.IntN(100<<10)))
	for _, full := s.disk.Room(); full; _, full = s.disk.Room() {
		select {
		case <-s.broken:
			return nil
		case <-time.After(time.Millisecond):
			if s.disk.Look() {
				s.log.Append(wal.Item{Reserve: true})
			}
		}
	}
	tally.reopened++
	p.disk.Limit(-1)
	if err := p.reconnect(s); err != nil {
		return err
	}
	return p.runClients(s.Addrs()[0].String(), 4)
}

// reconnect attaches all clients again, each to its session.
func (p *powerHistory) reconnect(s *Server) error {
	for _, c := range p.clients {
		alive, err := c.attach(s.Addrs()[0].String())
		if err == nil && !alive {
			err = fmt.Errorf("session 0x%x is gone", uint64(c.session))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// The same with the real program on a small file system: it is killed while its disk is full, it
// starts there, and it goes on by itself when there is room.
func TestFullTmpfs(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64m"); err != nil {
		if !errors.Is(err, unix.EPERM) {
			t.Fatal(err)
		}
		t.Skipf("only root can mount a small file system (TestFullDisk does without): %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	k := newKillHistory(t, buildMeerkat(t), dir, crashSeed(t, t.Name()))
	k.fills = true
	k.configure(t, "snapCount=100000\npreAllocSize=64\n")
	for range 3 {
		if err := k.fillTmpfs(); err != nil {
			t.Fatalf("%v\nits log:\n%s", err, k.logs.String())
		}
	}
	if err := k.end(); err != nil {
		t.Fatalf("%v\nits log:\n%s", err, k.logs.String())
	}
	t.Logf("%d acknowledged writes", k.writes.Load())
}

// fillTmpfs runs a program until its disk is full, kills it, has it serve from the full disk, and
// take writes again when there is room.
func (k *killHistory) fillTmpfs() error {
	p, addr, err := k.begin()
	if err != nil {
		return err
	}
	defer func() { k.kill(p) }()
	var st unix.Statfs_t
	if err := unix.Statfs(k.dir, &st); err != nil {
		return err
	}
	rest, err := os.Create(filepath.Join(k.dir, "rest"))
	if err != nil {
		return err
	}
	left := int64(k.rng.IntN(300 << 10))
	err = unix.Fallocate(int(rest.Fd()), 0, 0, int64(st.Bavail)*st.Bsize-left)
	if err = errors.Join(err, rest.Close()); err != nil {
		return err
	}
	before := k.writes.Load()
	if err := k.runClients(addr, 0); err != nil {
		return err
	}
	if k.writes.Load() == before || !strings.Contains(k.logs.String(), "read-only: the disk is full") {
		return errors.New("it did not run full")
	}
	if k.rng.IntN(2) == 0 {
		k.kill(p)
		<-p.ended
	} else {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		if err := <-p.ended; err != nil {
			return fmt.Errorf("after SIGTERM on a full disk: %w", err)
		}
	}
	if p, addr, err = k.begin(); err != nil {
		return fmt.Errorf("on a full disk: %w", err)
	}
	if word, err := askWord(addr, "isro"); word != "ro" {
		return fmt.Errorf("isro says %q; %w", word, err)
	}
	if err := os.Remove(rest.Name()); err != nil {
		return err
	}
	for word := "ro"; word == "ro"; <-time.After(10 * time.Millisecond) {
		if word, err = askWord(addr, "isro"); err != nil {
			return err
		}
	}
	if err := k.verify(addr); err != nil {
		return err
	}
	before = k.writes.Load()
	if err := k.runClients(addr, 20); err != nil {
		return err
	}
	if k.writes.Load() == before {
		return errors.New("nothing was written when there was room")
	}
	k.down.Store(true)
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	return <-p.ended
}

// begin starts a program and compares what it serves with what its clients were told.
func (k *killHistory) begin() (*program, string, error) {
	k.logs.reset()
	k.down.Store(false)
	p, err := startProgram(k.binary, k.config, &k.logs)
	if err != nil {
		return nil, "", err
	}
	addr, ok := <-p.ready
	if !ok {
		return nil, "", errors.New("the server does not start")
	}
	return p, addr, k.verify(addr)
}

// askWord asks a server a four-letter word.
func askWord(addr, word string) (string, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(word)); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}
