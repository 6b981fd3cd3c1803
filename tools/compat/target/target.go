package target

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startTimeout is how long a server may take to answer: a JVM on a busy machine is slow.
const startTimeout = 60 * time.Second

// TickTimeMs is the tickTime of servers started here, unless a line says another one; sessions
// last 2 to 20 of it.
const TickTimeMs = 500

// A Server is one server process with its own directory.
type Server struct {
	// Addr is host:port of the client port. Invariant: Restart keeps it.
	Addr string
	// Dir holds zoo.cfg, the data and what the process printed.
	Dir string

	t              testing.TB
	java           bool
	javaProperties []string // -Dkey=value
	process        *exec.Cmd
	exited         chan struct{} // closed when process has ended
	output         *os.File
	patience       time.Duration // of a start
}

// Java tells whether Start runs a Java ZooKeeper.
func Java() bool { return os.Getenv("TARGET") == "java" }

// Start runs a fresh server until the test ends. The lines are added to its zoo.cfg.
func Start(t testing.TB, lines ...string) *Server {
	t.Helper()
	return StartKind(t, Java(), lines...)
}

// StartKind is Start for tests that run a Java server and a Meerkat side by side.
func StartKind(t testing.TB, java bool, lines ...string) *Server {
	t.Helper()
	s := newServer(t, java)
	var err error
	for range 3 { // another process may take the port between here and there
		if err = s.configure(lines); err != nil {
			break
		}
		if err = s.run(); err == nil {
			return s
		}
	}
	t.Fatalf("start: %v\n%s", err, s.Output())
	return nil
}

// Prepare is StartKind for tests that fill the data directory first: Restart starts the server.
func Prepare(t testing.TB, java bool, lines ...string) *Server {
	t.Helper()
	s := newServer(t, java)
	if err := s.configure(lines); err != nil {
		t.Fatalf("configure: %v", err)
	}
	return s
}

func newServer(t testing.TB, java bool) *Server {
	return &Server{t: t, java: java, Dir: t.TempDir(), patience: startTimeout}
}

// Become makes Restart start the other kind of server, on the same zoo.cfg and data.
func (s *Server) Become(java bool) { s.java = java }

// DataDir is the dataDir of zoo.cfg.
func (s *Server) DataDir() string { return filepath.Join(s.Dir, "data") }

// configure writes zoo.cfg for a port that is free now.
func (s *Server) configure(lines []string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.Addr, s.javaProperties = l.Addr().String(), nil
	if err := l.Close(); err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return err
	}
	cfg := fmt.Sprintf("dataDir=%s\nclientPort=%s\nclientPortAddress=127.0.0.1\n"+
		"4lw.commands.whitelist=*\n", s.DataDir(), port)
	if err := os.MkdirAll(s.DataDir(), 0o755); err != nil {
		return err
	}
	tick, admin := fmt.Sprintf("tickTime=%d\n", TickTimeMs), "admin.enableServer=false\n"
	for _, line := range lines {
		if isProperty(line) {
			s.javaProperties = append(s.javaProperties, "-D"+line)
		}
		if strings.HasPrefix(line, "tickTime=") {
			tick = ""
		}
		if strings.HasPrefix(line, "admin.enableServer=") {
			admin = ""
		}
		cfg += line + "\n"
	}
	cfg += tick + admin
	return os.WriteFile(s.configFile(), []byte(cfg), 0o644)
}

// isProperty tells whether a line is one that Java reads from its command line alone: zoo.cfg
// puts "zookeeper." before every key, and these have none. In Java's zoo.cfg it does no harm.
func isProperty(line string) bool {
	return strings.HasPrefix(line, "znode.container.") || strings.HasPrefix(line, "jute.")
}

func (s *Server) configFile() string { return filepath.Join(s.Dir, "zoo.cfg") }

// run starts the process and waits until it serves.
func (s *Server) run() error {
	command, err := s.command()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(filepath.Join(s.Dir, "output"),
		os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	s.output = out
	s.process = exec.Command(command[0], command[1:]...)
	s.process.Dir, s.process.Stdout, s.process.Stderr = s.Dir, out, out
	// A server must not outlive a test binary that is killed.
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	s.exited = make(chan struct{})
	go s.watch(started)
	if err := <-started; err != nil {
		return err
	}
	s.t.Cleanup(s.Kill)
	return s.await()
}

// watch owns the process: it starts it and tells when it ended. The death signal is sent when
// the starting thread ends, so the thread is kept.
func (s *Server) watch(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	process, exited, output := s.process, s.exited, s.output
	err := process.Start()
	started <- err
	if err == nil {
		_ = process.Wait() // a killed server is no error here
	}
	_ = output.Close()
	close(exited)
}

// await polls until the server says that it serves.
func (s *Server) await() error {
	deadline := time.NewTimer(s.patience)
	defer deadline.Stop()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		if text, err := s.Word("srvr"); err == nil && strings.Contains(text, "Zxid:") {
			return nil
		}
		select {
		case <-s.exited:
			return errors.New("the server ended")
		case <-deadline.C:
			return fmt.Errorf("no answer within %s", s.patience)
		case <-poll.C:
		}
	}
}

// Word sends a four-letter word and returns the answer.
func (s *Server) Word(word string) (string, error) {
	c, err := net.DialTimeout("tcp", s.Addr, time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	if _, err := c.Write([]byte(word)); err != nil {
		return "", err
	}
	var b bytes.Buffer
	_, err = b.ReadFrom(c)
	return b.String(), err
}

// Kill ends the server as a crash does.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

// Stop asks the server to end and waits until it did.
func (s *Server) Stop() { s.end(syscall.SIGTERM) }

// Pause freezes the server until Resume: a long pause of the machine.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig syscall.Signal) {
	if err := s.process.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Errorf("signal %s: %v", sig, err)
	}
}

func (s *Server) end(sig syscall.Signal) {
	s.t.Helper()
	select {
	case <-s.exited:
		return
	default:
	}
	s.signal(sig)
	select {
	case <-s.exited:
	case <-time.After(30 * time.Second):
		s.t.Errorf("the server did not end within 30s of %s", sig)
		s.signal(syscall.SIGKILL)
		<-s.exited
	}
}

// Restart starts the ended server again, on its port and its data.
func (s *Server) Restart() {
	s.t.Helper()
	if err := s.run(); err != nil {
		s.t.Fatalf("restart: %v\n%s", err, s.Output())
	}
}

// TryStart starts a prepared server, with options for Java's command line. It may fail: a server
// that does not answer within the patience has failed.
func (s *Server) TryStart(patience time.Duration, options ...string) error {
	s.javaProperties, s.patience = append(s.javaProperties, options...), patience
	return s.run()
}

// Output is the last of what the server printed, for a message.
func (s *Server) Output() string {
	b, err := os.ReadFile(filepath.Join(s.Dir, "output"))
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4000):])
}

// command is how the chosen server is started.
func (s *Server) command() ([]string, error) {
	return Command(s.java, s.configFile(), s.javaProperties...)
}

// Command starts a server with a configuration file; the properties are for Java's command line.
func Command(java bool, configFile string, properties ...string) ([]string, error) {
	if java {
		return javaCommand(configFile, properties)
	}
	bin, err := binary()
	return []string{bin, "server", configFile}, err
}

// javaHome is where Debian's packages zookeeper and libslf4j-java put their jars.
const javaHome = "/usr/share/java/"

func javaCommand(configFile string, properties []string) ([]string, error) {
	for _, jar := range []string{"zookeeper.jar", "slf4j-simple.jar"} {
		if _, err := os.Stat(javaHome + jar); err != nil {
			return nil, fmt.Errorf("TARGET=java needs Debian's package zookeeper: %w", err)
		}
	}
	command := []string{
		"java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
		// servlet-api, which Debian's jar does not name, is the AdminServer's.
		"-cp", javaHome + "zookeeper.jar:" + javaHome + "slf4j-simple.jar:" +
			javaHome + "servlet-api.jar",
	}
	command = append(command, properties...)
	return append(command, "org.apache.zookeeper.server.quorum.QuorumPeerMain",
		configFile), nil
}

// binary is the Meerkat under test. It reads every record back before it logs it.
var binary = sync.OnceValues(func() (string, error) {
	if bin := os.Getenv("MEERKAT_BIN"); bin != "" {
		return filepath.Abs(bin)
	}
	dir, err := os.MkdirTemp("", "meerkat-compat-")
	if err != nil {
		return "", err
	}
	built = dir
	bin := filepath.Join(dir, "meerkat")
	out, err := exec.Command("go", "build", "-tags", "verify", "-o", bin,
		"github.com/meerkat-zk/meerkat/cmd/meerkat").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return bin, nil
})

// built is the directory that binary made.
var built string

// Main runs a suite's tests and removes what was built for them. Call it from TestMain.
func Main(m *testing.M) int {
	code := m.Run()
	if built != "" {
		_ = os.RemoveAll(built) // in the temporary directory, nothing depends on it
	}
	return code
}
