package ensemble

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/server/clientlog"
	"github.com/meerkat-zk/meerkat/server/quorum"
)

const (
	voters     = 3
	patience   = 90 * time.Second // JVMs start slowly on a busy machine
	tickTimeMs = 500
)

// An ensemble is three servers: Java processes, and one elector of ours.
type ensemble struct {
	t       *testing.T
	members string // the server lines
	ports   map[int64]ports
	dirs    map[int64]string
	ours    *quorum.Elector
	decided chan quorum.Decision
	log     *logText
}

type ports struct{ client, quorum, election string }

type logText struct {
	mu  sync.Mutex
	buf strings.Builder
}

func (l *logText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func newEnsemble(t *testing.T) *ensemble {
	t.Helper()
	if os.Getenv("COMPAT") == "" {
		t.Skip("it needs Java servers: run make compat, or set COMPAT=1")
	}
	e := &ensemble{t: t, ports: map[int64]ports{}, dirs: map[int64]string{},
		decided: make(chan quorum.Decision, 100), log: &logText{}}
	free := freePorts(t, 3*voters)
	for sid := int64(1); sid <= voters; sid++ {
		p := ports{free[0], free[1], free[2]}
		free = free[3:]
		e.ports[sid] = p
		e.members += fmt.Sprintf("server.%d=127.0.0.1:%s:%s:participant\n", sid, p.quorum, p.election)
		e.dirs[sid] = t.TempDir()
	}
	return e
}

// freePorts are ports that nobody listens on now, all held at one time so that they differ.
func freePorts(t *testing.T, n int) (found []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		found = append(found, port)
	}
	return found
}

// java starts a Java server, which ends with the test, or when what it returns is called.
func (e *ensemble) java(sid int64) (kill func()) {
	e.t.Helper()
	dir := e.dirs[sid]
	cfg := fmt.Sprintf("dataDir=%s\nclientPort=%s\nclientPortAddress=127.0.0.1\ntickTime=%d\n"+
		"initLimit=20\nsyncLimit=10\nadmin.enableServer=false\n4lw.commands.whitelist=*\n%s",
		dir, e.ports[sid].client, tickTimeMs, e.members)
	e.write(filepath.Join(dir, "myid"), fmt.Sprint(sid))
	e.write(filepath.Join(dir, "zoo.cfg"), cfg)
	out, err := os.Create(filepath.Join(dir, "output"))
	if err != nil {
		e.t.Fatal(err)
	}
	const home = "/usr/share/java/"
	process := exec.Command("java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=info", "-cp",
		home+"zookeeper.jar:"+home+"slf4j-simple.jar",
		"org.apache.zookeeper.server.quorum.QuorumPeerMain", filepath.Join(dir, "zoo.cfg"))
	process.Stdout, process.Stderr = out, out
	// A server must not outlive a test binary that is killed.
	process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started, ended := make(chan error), make(chan struct{})
	go func() { // owns the process; the death signal is the thread's, so that is kept
		runtime.LockOSThread()
		defer close(ended)
		err := process.Start()
		started <- err
		if err == nil {
			_ = process.Wait() // a killed server is no error here
		}
		_ = out.Close()
	}()
	if err := <-started; err != nil {
		e.t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		_ = process.Process.Kill() // it may have ended by itself
		<-ended
	})
	e.t.Cleanup(kill)
	return kill
}

func (e *ensemble) write(file, text string) {
	e.t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		e.t.Fatal(err)
	}
}

// meerkat starts our election with a history.
func (e *ensemble) meerkat(sid int64, zxid proto.Zxid, epoch int64) {
	e.t.Helper()
	c := quorum.ElectorConfig{Voters: []int64{1, 2, 3}}
	start := time.Now()
	addr := func(sid int64) []string { return []string{"127.0.0.1:" + e.ports[sid].election} }
	c.Port = quorum.Config{Self: sid, Addrs: addr(sid), Listen: addr(sid),
		Peers: map[int64][]string{}, ConnectTimeout: 5 * time.Second,
		HelloTimeout: 10 * tickTimeMs * time.Millisecond, BindRetry: 3,
		Log: clientlog.New(slog.New(slog.NewTextHandler(e.log, nil)),
			func() time.Duration { return time.Since(start) })}
	for other := range e.ports {
		if other != sid {
			c.Port.Peers[other] = addr(other)
		}
	}
	c.Election.Config = e.members + "version=0"
	decided := e.decided
	c.Decided = func(d quorum.Decision) { decided <- d }
	ours, err := quorum.StartElector(context.Background(), c)
	if err != nil {
		e.t.Fatal(err)
	}
	e.ours = ours
	e.t.Cleanup(ours.Close)
	ours.Look(zxid, epoch)
}

// concludes waits for what our election decides.
func (e *ensemble) concludes(state proto.PeerState, leader int64) {
	e.t.Helper()
	select {
	case d := <-e.decided:
		e.t.Logf("we are %v: %v", d.State, d.Vote)
		if d.State != state || d.Vote.Leader != leader {
			e.t.Fatalf("we are %v, led by %d; %s", d.State, d.Vote.Leader, e.all())
		}
	case <-time.After(patience):
		e.t.Fatalf("we have not decided; %s", e.all())
	}
}

// converges waits until our election decides for a leader, and looks again while it has decided
// for another.
func (e *ensemble) converges(state proto.PeerState, leader int64) {
	e.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case d := <-e.decided:
			e.t.Logf("we are %v: %v", d.State, d.Vote)
			if d.State == state && d.Vote.Leader == leader {
				return
			}
			e.ours.Leave()
			e.ours.Look(0, 0)
		case <-deadline:
			e.t.Fatalf("we have not decided for %d; %s", leader, e.all())
		}
	}
}

// became is how a Java server logs what its election made of it.
var became = regexp.MustCompile(`\] INFO .*QuorumPeer - (LOOKING|LEADING|FOLLOWING)\n`)

// says waits until a Java server has said of itself that it is something, in its log: over the
// client port it speaks only when it has a quorum.
func (e *ensemble) says(sid int64, state proto.PeerState) {
	e.t.Helper()
	e.awaits(fmt.Sprintf("server %d to be %v", sid, state), func() bool {
		for _, found := range became.FindAllStringSubmatch(e.output(sid), -1) {
			if strings.EqualFold(found[1], state.String()) {
				return true
			}
		}
		return false
	})
}

// serves waits until a Java server serves in a mode.
func (e *ensemble) serves(sid int64, mode string) {
	e.t.Helper()
	e.awaits(fmt.Sprintf("server %d to serve as %s", sid, mode), func() bool {
		return strings.Contains(e.word(sid, "srvr"), "Mode: "+mode)
	})
}

func (e *ensemble) awaits(what string, true func() bool) {
	e.t.Helper()
	poll, deadline := time.NewTicker(20*time.Millisecond), time.After(patience)
	defer poll.Stop()
	for !true() {
		select {
		case <-poll.C:
		case <-deadline:
			e.t.Fatalf("waited for %s; %s", what, e.all())
		}
	}
}

func (e *ensemble) word(sid int64, word string) string {
	c, err := net.DialTimeout("tcp", "127.0.0.1:"+e.ports[sid].client, time.Second)
	if err != nil {
		return ""
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.Write([]byte(word)); err != nil {
		return ""
	}
	var b strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		b.Write(buf[:n])
		if err != nil {
			return b.String()
		}
	}
}

func (e *ensemble) output(sid int64) string {
	b, err := os.ReadFile(filepath.Join(e.dirs[sid], "output"))
	if err != nil {
		return ""
	}
	return string(b)
}

// all is what everybody has printed, for a message.
func (e *ensemble) all() string {
	text := "ours:\n" + e.log.String()
	for sid := range e.ports {
		if out := e.output(sid); out != "" {
			text += fmt.Sprintf("server %d:\n%s", sid, out[max(0, len(out)-4000):])
		}
	}
	return text
}
