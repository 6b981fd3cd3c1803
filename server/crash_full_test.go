package server

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/meerkat-zk/meerkat/wal"
)

// A server whose disk runs full ends, and says why. All that it acknowledged is there once
// there is room again, whether or not the power was cut as well.
func TestFullDisk(t *testing.T) {
	seed := crashSeed(t, t.Name())
	for n := range uint64(8) {
		p := newPowerHistory(seed+n, func(m *wal.MemFS) wal.FS { return m })
		if err := p.fill(); err != nil {
			t.Fatalf("history %d: %v\n%s", n, err, p.save())
		}
	}
}

// fill runs servers with ever new, small room, and checks each with no limit afterwards.
func (p *powerHistory) fill() error {
	for range 5 {
		p.down.Store(true) // when there is no room left is not known in advance
		p.disk.Limit(int64(p.rng.IntN(200 << 10)))
		s, err := p.start()
		if err == nil {
			if err := p.load(s, &cut{}, 0); err != nil {
				return err
			}
			err = p.failure
		}
		if !errors.Is(err, unix.ENOSPC) {
			return fmt.Errorf("a full disk ended the server with: %w", err)
		}
		if p.rng.IntN(2) == 0 {
			p.disk = p.disk.CrashClone(p.rng)
		}
		p.disk.Limit(-1)
	}
	return p.end()
}

// The same with the real program on a small file system.
func TestFullTmpfs(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
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
	k.configure(t, "snapCount=100000\npreAllocSize=64\n")
	for _, size := range []string{"2m", "4m"} {
		if err := k.fillTmpfs(); err != nil {
			t.Fatalf("%v\nits log:\n%s", err, k.logs.String())
		}
		if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "size="+size); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.end(); err != nil {
		t.Fatalf("%v\nits log:\n%s", err, k.logs.String())
	}
	if strings.Contains(k.logs.String(), "repaired") {
		t.Errorf("a second repair:\n%s", k.logs.String())
	}
	t.Logf("%d acknowledged writes; the last line on the full disk: %s", k.writes.Load(), k.lastLine)
}

// fillTmpfs checks a program and puts load on it until its disk is full.
func (k *killHistory) fillTmpfs() error {
	k.logs.reset()
	p, err := startProgram(k.binary, k.config, &k.logs)
	if err != nil {
		return err
	}
	defer k.kill(p)
	k.down.Store(true)
	addr, ok := <-p.ready
	if !ok {
		return errors.New("the server does not start")
	}
	if err := k.verify(addr); err != nil {
		return err
	}
	before := k.writes.Load()
	if err := k.runClients(addr, 0); err != nil {
		return err
	}
	var exit *exec.ExitError
	if err := <-p.ended; !errors.As(err, &exit) || exit.ExitCode() != 1 {
		return fmt.Errorf("a full disk ended the program with: %w", err)
	}
	if k.writes.Load() == before {
		return errors.New("nothing was written before the disk was full")
	}
	lines := strings.Split(strings.TrimSpace(k.logs.String()), "\n")
	k.lastLine = lines[len(lines)-1]
	if !strings.Contains(k.lastLine, syscall.ENOSPC.Error()) {
		return fmt.Errorf("the last line does not say that the disk is full: %s", k.lastLine)
	}
	return k.refused()
}

// refused starts a program while there is still no room: it must say so, and spoil nothing.
func (k *killHistory) refused() error {
	rest, err := fillUp(filepath.Join(k.dir, "rest"))
	if err != nil {
		return err
	}
	p, err := startProgram(k.binary, k.config, &k.logs)
	if err != nil {
		return err
	}
	defer k.kill(p)
	if addr, ok := <-p.ready; ok {
		k.down.Store(true)
		err := k.verify(addr)
		if err == nil {
			err = k.runClients(addr, 10)
		}
		if err = ignoreGone(err); err != nil {
			return err
		}
	}
	if err := <-p.ended; err == nil || !strings.Contains(k.logs.String(), syscall.ENOSPC.Error()) {
		return fmt.Errorf("no word that the disk is still full: %w", err)
	}
	return os.Remove(rest)
}

// fillUp makes a file that takes all the room there is.
func fillUp(path string) (string, error) {
	f, err := os.Create(path)
	if err != nil {
		return path, err
	}
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	if errors.Is(err, unix.ENOSPC) {
		err = nil
	}
	return path, errors.Join(err, f.Close())
}
