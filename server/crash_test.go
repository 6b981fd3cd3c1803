package server

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestKill starts the real program, puts load on it, and kills it with SIGKILL at a random
// moment, again and again on one directory. Each start is checked against what clients were
// told by all servers before.
func TestKill(t *testing.T) {
	kills, seed := crashCount(t, "MEERKAT_KILLS", 3), crashSeed(t, "TestKill")
	began := time.Now()
	k := newKillHistory(t, buildMeerkat(t), t.TempDir(), seed)
	for n := range kills {
		if err := k.life(); err != nil {
			t.Fatalf("server %d of seed %d: %v\n%s\nits log:\n%s\nrepeat it with: MEERKAT_CRASH_SEED=%d "+
				"MEERKAT_KILLS=%d go test ./server -run 'TestKill$' -count 10", n, seed, err, k.save(),
				k.logs.String(), seed, kills)
		}
	}
	if err := k.end(); err != nil {
		t.Fatalf("the last server: %v\n%s\n%s", err, k.save(), k.logs.String())
	}
	t.Logf("%d kills: %d while booting, %d while it was checked, %d while a snapshot was written; "+
		"%d acknowledged writes, %v", kills, k.booting, k.checking, k.snapshots, k.writes.Load(),
		time.Since(began).Round(time.Millisecond))
}

// buildMeerkat builds the program, which reads every record back before it logs it.
func buildMeerkat(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "meerkat")
	build := exec.Command("go", "build", "-tags", "verify", "-o", path, "../cmd/meerkat")
	out, err := build.CombinedOutput()
	if err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return path
}

// A program is a running meerkat server.
type program struct {
	cmd   *exec.Cmd
	ready chan string // its address, once it serves; closed when its log ends
	ended chan error  // room for one: what Wait said
}

var servingAddr = regexp.MustCompile(`msg=serving addr=(\S+)`)

// startProgram starts a server. Its log goes to logs.
func startProgram(binary, config string, logs io.Writer) (*program, error) {
	p := &program{cmd: exec.Command(binary, "server", config), ready: make(chan string, 1),
		ended: make(chan error, 1)}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := p.cmd.StderrPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		return nil, err
	}
	go func() {
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			fmt.Fprintln(logs, lines.Text())
			if m := servingAddr.FindStringSubmatch(lines.Text()); m != nil {
				select {
				case p.ready <- m[1]:
				default: // said once already
				}
			}
		}
		close(p.ready)
		p.ended <- p.cmd.Wait()
	}()
	return p, nil
}

// A killHistory is one data directory and the programs that ran on it.
type killHistory struct {
	*crashHistory
	rng    *rand.Rand
	binary string
	dir    string
	config string
	logs   crashLog // of the last program

	booting, checking, snapshots int // kills by moment
}

func newKillHistory(t *testing.T, binary, dir string, seed uint64) *killHistory {
	k := &killHistory{crashHistory: newCrashHistory(4, seed), binary: binary, dir: dir,
		rng: rand.New(rand.NewPCG(seed, 0x9)), config: filepath.Join(dir, "zoo.cfg")}
	// Small numbers: snapshots, new log files and purges all the time.
	k.configure(t, "snapCount=200\npreAllocSize=256\ntxnLogSizeLimitInKb=512\n")
	return k
}

func (k *killHistory) configure(t *testing.T, keys string) {
	t.Helper()
	text := "dataDir=" + filepath.Join(k.dir, "data") + "\nclientPort=0\n" +
		"clientPortAddress=127.0.0.1\nmaxClientCnxns=0\nmaxSessionTimeout=3600000\n" +
		"autopurge.purgeInterval=1\nadmin.enableServer=false\n" + keys
	if err := os.WriteFile(k.config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// life starts a program, checks it, puts load on it and kills it.
func (k *killHistory) life() error {
	k.logs.reset()
	p, err := startProgram(k.binary, k.config, &k.logs)
	if err != nil {
		return err
	}
	early := k.rng.IntN(8) == 0 // the kill need not wait for anything
	k.down.Store(early)
	timer := time.AfterFunc(time.Minute, func() { k.kill(p) })
	defer func() { timer.Stop(); k.kill(p) }()
	if early {
		timer.Reset(time.Duration(k.rng.IntN(40000)) * time.Microsecond)
	}
	addr, ok := <-p.ready
	if !ok {
		<-p.ended
		k.booting++
		if early {
			return nil
		}
		return errors.New("the server does not start after the kill")
	}
	err = k.verify(addr)
	if err == errGone {
		k.checking++
	} else if err == nil {
		timer.Reset(time.Duration(k.rng.IntN(120000)) * time.Microsecond)
		err = k.runClients(addr, 0)
	}
	if err = ignoreGone(err); err != nil {
		return err
	}
	<-p.ended
	k.countSnapshot()
	return nil
}

func (k *killHistory) kill(p *program) {
	k.down.Store(true)
	_ = p.cmd.Process.Kill() // it may have ended
}

// countSnapshot notes whether the kill left an unfinished snapshot.
func (k *killHistory) countSnapshot() {
	if found, _ := filepath.Glob(filepath.Join(k.dir, "data", "version-2", "*.tmp")); found != nil {
		k.snapshots++
	}
}

// end checks the last server, and that it stops in order on SIGTERM under load; then that
// nothing of what it said is missing and nothing had to be repaired.
func (k *killHistory) end() error {
	for round := range 2 {
		k.logs.reset()
		p, err := startProgram(k.binary, k.config, &k.logs)
		if err != nil {
			return err
		}
		k.down.Store(false)
		defer k.kill(p)
		addr, ok := <-p.ready
		if !ok {
			return errors.New("the server does not start")
		}
		if err := k.verify(addr); err != nil {
			return err
		}
		if round == 1 && strings.Contains(k.logs.String(), "repaired") {
			return errors.New("the log of a server that was stopped had to be repaired")
		}
		time.AfterFunc(20*time.Millisecond, func() {
			k.down.Store(true)
			_ = p.cmd.Process.Signal(syscall.SIGTERM)
		})
		if err := k.runClients(addr, 0); err != nil {
			return err
		}
		if err := <-p.ended; err != nil {
			return fmt.Errorf("after SIGTERM: %w", err)
		}
	}
	return nil
}

// save keeps the directory for a person to look at.
func (k *killHistory) save() string {
	dir, err := os.MkdirTemp("", "meerkat-kill-")
	if err == nil {
		err = os.CopyFS(dir, os.DirFS(k.dir))
	}
	return fmt.Sprintf("the files are in %s (%v)", dir, err)
}
