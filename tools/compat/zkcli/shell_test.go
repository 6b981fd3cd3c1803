package zkcli

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	script   = "/usr/share/zookeeper/bin/zkCli.sh"
	patience = 60 * time.Second // for one command; a JVM on a busy machine is slow
	// marker is a command that only says markerSays, connected or not: the one before is done.
	marker     = "redo 1000000"
	markerSays = "Command index out of range"
)

// A shell is one running zkCli.sh whose commands come one by one.
type shell struct {
	addr   string
	stdin  io.WriteCloser
	lines  chan string // all it prints, closed when it ends
	ended  chan struct{}
	code   int // its exit code; set when ended is closed
	events []string
	heard  []string // all lines, for a message
}

// command is zkCli.sh with quick settings for a JVM that lives briefly.
func command(args ...string) *exec.Cmd {
	c := exec.Command(script, args...)
	c.Env = append(os.Environ(), "JVMFLAGS=-Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1")
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	return c
}

// open starts a shell. Its output and its errors are one stream, in the order of writing.
func open(t *testing.T, addr string, args ...string) *shell {
	t.Helper()
	s := &shell{addr: addr, lines: make(chan string, 1000), ended: make(chan struct{})}
	process := command(args...)
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	process.Stdout, process.Stderr = out, out
	if s.stdin, err = process.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	started := make(chan error)
	go s.own(process, in, out, started)
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The script's JVM is in its process group; both are gone if the shell has ended.
		_ = syscall.Kill(-process.Process.Pid, syscall.SIGKILL)
		for range s.lines {
		}
		<-s.ended
	})
	return s
}

// own starts the process, reads it and waits for it. The death signal is sent when the starting
// thread ends, so the thread is kept.
func (s *shell) own(process *exec.Cmd, in, out *os.File, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(s.ended)
	err := process.Start()
	_ = out.Close() // the process has its own
	started <- err
	if err == nil {
		r := bufio.NewReader(in)
		for {
			line, err := r.ReadString('\n')
			if line != "" {
				s.lines <- strings.TrimSuffix(line, "\n")
			}
			if err != nil {
				break
			}
		}
		var exit *exec.ExitError
		if err := process.Wait(); errors.As(err, &exit) {
			s.code = exit.ExitCode()
		}
	}
	_ = in.Close()
	close(s.lines)
}

// run types a command and returns what it printed, without events.
func (s *shell) run(t *testing.T, line string) string {
	t.Helper()
	// It may have ended; reading tells.
	_, _ = io.WriteString(s.stdin, line+"\n"+marker+"\n")
	var b strings.Builder
	for {
		said, more := s.next(t)
		if !more {
			<-s.ended
			t.Fatalf("the shell ended with %d at %q:\n%s", s.code, line, b.String())
		}
		said, done := strings.CutSuffix(said, markerSays) // some do not end their line
		b.WriteString(said + "\n")
		if done {
			return b.String()
		}
	}
}

// rest reads until the shell ends.
func (s *shell) rest(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for {
		line, more := s.next(t)
		if !more {
			<-s.ended
			return b.String()
		}
		b.WriteString(line + "\n")
	}
}

// await reads until n events have come, and takes them.
func (s *shell) await(t *testing.T, n int) string {
	t.Helper()
	for len(s.events) < n {
		line, more := s.next(t)
		if !more {
			t.Fatal("the shell ended before its events came")
		}
		if line != "" {
			t.Fatalf("the shell said %q while events were awaited", line)
		}
	}
	text := strings.Join(s.events, "")
	s.events = nil
	return text
}

// next is the next line that is no event.
func (s *shell) next(t *testing.T) (string, bool) {
	t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case line, more := <-s.lines:
		s.heard = append(s.heard[max(0, len(s.heard)-30):], line)
		if strings.HasPrefix(line, "WatchedEvent ") {
			s.events = append(s.events, line+"\n")
			return "", true
		}
		if line == "WATCHER::" || strings.HasPrefix(line, "SLF4J: ") {
			return "", true
		}
		return mask(line, s.addr), more
	case <-late.C:
		t.Fatalf("the shell was silent for %s; before:\n%s", patience,
			strings.Join(s.heard, "\n"))
		return "", false
	}
}
