package server

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/meerkat-zk/meerkat/proto"
)

// What only a process of its own can be put through.

// runProgram starts the real program on a directory, with more keys of zoo.cfg, and returns it
// with its address once it serves.
func runProgram(t *testing.T, binary, dir, keys string, j *journal) (*program, string) {
	t.Helper()
	p, err := startProgram(binary, writeConfig(t, dir, keys), j)
	if err != nil {
		t.Fatal(err)
	}
	addr, ok := <-p.ready
	if !ok {
		t.Fatalf("the server ended (%v):\n%s", <-p.ended, j.text())
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGCONT)
		_ = p.cmd.Process.Kill()
		<-p.ended
	})
	return p, addr
}

func writeConfig(t *testing.T, dir, keys string) string {
	t.Helper()
	config := filepath.Join(t.TempDir(), "zoo.cfg")
	text := "dataDir=" + dir + "\nclientPort=0\nclientPortAddress=127.0.0.1\nmaxClientCnxns=0\n" +
		"admin.enableServer=false\n" + keys
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return config
}

// A server that was stopped for longer than a session timeout takes the silence for its own:
// no session is lost, with a connection or without, however often; after that sessions expire
// as ever.
func TestStoppedServerLosesNoSession(t *testing.T) {
	j := newJournal()
	p, addr := runProgram(t, buildMeerkat(t), t.TempDir(),
		"tickTime=200\nminSessionTimeout=600\nmaxSessionTimeout=20000\n", j)
	const timeout = 600 * time.Millisecond
	open := func(q proto.ConnectRequest) *wire {
		t.Helper()
		w := dialAddr(t, addr)
		w.connect(q)
		if w.session.TimeOut <= 0 {
			t.Fatal("the session is lost")
		}
		return w
	}
	fresh := proto.ConnectRequest{TimeOut: int32(timeout.Milliseconds()), Passwd: make([]byte, 16)}
	again := func(w *wire) proto.ConnectRequest {
		return proto.ConnectRequest{TimeOut: fresh.TimeOut, SessionID: w.session.SessionID,
			Passwd: w.session.Passwd}
	}
	const clients = 20
	all := make([]*wire, clients)
	for i := range all {
		all[i] = open(fresh)
		all[i].must(proto.OpCreate, create(fmt.Sprintf("/e%d", i), "", proto.FlagEphemeral))
	}
	beat := func(d time.Duration) {
		end := time.Now().Add(d)
		for time.Now().Before(end) {
			for _, w := range all {
				w.must(proto.OpExists, get("/", false))
			}
			<-time.After(timeout / 10)
		}
	}
	for range 3 {
		beat(timeout)
		for i, w := range all { // every fourth has no connection meanwhile
			if i%4 == 0 {
				_ = w.conn.Close()
			}
		}
		if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		for i, w := range all { // some go on sending, some wait
			if i%4 == 1 {
				w.sendXid(proto.XidPing, proto.OpPing)
				w.flush()
			}
		}
		<-time.After(timeout * 3 / 2)
		if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		for i, w := range all {
			switch i % 4 {
			case 0:
				all[i] = open(again(w))
			case 1:
				w.expect(proto.XidPing)
			}
			all[i].must(proto.OpExists, get(fmt.Sprintf("/e%d", i), false))
		}
	}
	beat(timeout)
	watcher := open(proto.ConnectRequest{TimeOut: 20000, Passwd: make([]byte, 16)})
	watcher.must(proto.OpExists, get("/e0", true))
	all[0].must(proto.OpExists, get("/", false))
	last := time.Now()
	watcher.recv()
	if took := time.Since(last); took < timeout || took > timeout+400*time.Millisecond+slack() {
		t.Errorf("expired after %v, want about %v", took, timeout)
	}
	if j.has("panic") {
		t.Error(j.text())
	}
}

// A check beside a server that runs says so, also before the first log file; it disturbs nothing.
func TestCheckBesideAServer(t *testing.T) {
	dir, binary := t.TempDir(), buildMeerkat(t)
	p, addr := runProgram(t, binary, dir, "", newJournal())
	says := []string{fmt.Sprintf("is in use by process %d (meerkat)", p.cmd.Process.Pid),
		"checked: a server would start"}
	for i := range 2 { // the second time there is a log file
		out, err := exec.Command(binary, "server", "--check", writeConfig(t, dir, "")).CombinedOutput()
		for _, want := range says {
			if err != nil || !strings.Contains(string(out), want) {
				t.Errorf("%v, want %q:\n%s", err, want, out)
			}
		}
		w := dialAddr(t, addr)
		w.connect(proto.ConnectRequest{TimeOut: 10000, Passwd: make([]byte, 16)})
		w.must(proto.OpCreate, create(fmt.Sprintf("/%d", i), "", 0))
	}
}

// A directory that may not be written ends the program with exit code 3 and a line that names
// it; --check says the same. As root there is no such directory, so the program runs as nobody.
func TestUnwritableDataDirectory(t *testing.T) {
	top, binary := t.TempDir(), buildMeerkat(t)
	letOthersIn(t, top)
	letOthersIn(t, filepath.Dir(binary))
	data := filepath.Join(top, "data")
	kept := filepath.Join(top, "kept") // made, then closed to writes
	for _, dir := range []string{data, filepath.Join(kept, "version-2")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{data, filepath.Join(kept, "version-2"), kept} {
		if err := os.Chmod(dir, 0o555); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(dir, 0o755) })
	}
	for _, dir := range []string{data, kept} {
		config := writeConfig(t, dir, "")
		letOthersIn(t, filepath.Dir(config))
		for _, args := range [][]string{{"server", config}, {"server", "--check", config}} {
			cmd := exec.Command(binary, args...)
			cmd.Dir = "/"
			if os.Geteuid() == 0 {
				cmd.SysProcAttr = &syscall.SysProcAttr{
					Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
			}
			out, err := cmd.CombinedOutput()
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			last := lines[len(lines)-1]
			if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 3 ||
				!strings.Contains(last, dir) || !strings.Contains(last, "permission denied") {
				t.Errorf("%q: %v\n%s", args, err, out)
			}
		}
	}
}

// letOthersIn opens a temporary directory, and those above it, to every user.
func letOthersIn(t *testing.T, dir string) {
	t.Helper()
	for ; strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// A log whose reader is gone takes no server with it.
func TestLogPipeBreaks(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	cmd := exec.Command(buildMeerkat(t), "server", writeConfig(t, t.TempDir(), ""))
	cmd.Stderr = w
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	var addr string
	for lines := bufio.NewScanner(r); addr == "" && lines.Scan(); {
		if m := servingAddr.FindStringSubmatch(lines.Text()); m != nil {
			addr = m[1]
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 { // each leaves a line, or would
		bad := dialAddr(t, addr)
		bad.out = append(bad.out, "GET / HTTP/1.0\r\n\r\n"...)
		bad.flush()
		bad.closed()
	}
	good := dialAddr(t, addr)
	good.connect(proto.ConnectRequest{TimeOut: 10_000, Passwd: make([]byte, 16)})
	good.must(proto.OpCreate, create("/a", "", 0))
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
}
