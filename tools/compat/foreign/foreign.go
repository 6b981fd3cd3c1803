package foreign

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/meerkat-zk/meerkat/tools/compat/target"
)

// patience is how long one test may take.
const patience = 2 * time.Minute

// Run runs a test program against the server.
func Run(t *testing.T, server *target.Server, command ...string) {
	t.Helper()
	p := start(t, server, append(command, server.Addr))
	for {
		line, more := p.next()
		if !more {
			t.Fatalf("the program ended early\n%s", p.said())
		}
		if name, begins := strings.CutPrefix(line, "begin "); begins {
			t.Run(name, p.test)
			if p.over {
				t.Fatalf("the program did not get over %s", name)
			}
		} else if line == "end" {
			return
		} else {
			p.keep(line)
		}
	}
}

// A program is one run of a test program.
type program struct {
	server *target.Server
	lines  chan string // its standard output, closed with it
	stdin  io.WriteCloser
	over   bool // it ended, or was given up

	mu     sync.Mutex
	stderr bytes.Buffer // and lines of stdout that say nothing to us
}

func start(t *testing.T, server *target.Server, command []string) *program {
	t.Helper()
	p := &program{server: server, lines: make(chan string, 100)}
	process := exec.Command(command[0], command[1:]...)
	process.Dir = server.Dir
	process.Stderr = writer(p.keepBytes)
	process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdin, err := process.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdin = stdin
	started, ended := make(chan error), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // the death signal is sent when the starting thread ends
		defer runtime.UnlockOSThread()
		err := process.Start()
		started <- err
		if err != nil {
			return
		}
		for in := bufio.NewScanner(stdout); in.Scan(); {
			p.lines <- in.Text()
		}
		close(p.lines)
		_ = process.Wait() // the lines have told how it went
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = process.Process.Kill() // it has ended when all went well
		for range p.lines {
		}
		<-ended
	})
	return p
}

// test reads one test's lines.
func (p *program) test(t *testing.T) {
	for {
		line, more := p.next()
		if !more {
			t.Fatalf("no end of the test\n%s", p.said())
		}
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "pass":
			return
		case "fail":
			t.Fatalf("%s\n%s", rest, p.said())
		case "server":
			p.act(t, rest)
		default:
			p.keep(line)
		}
	}
}

// act does to the server what the program asks for.
func (p *program) act(t *testing.T, action string) {
	t.Helper()
	switch action {
	case "stop":
		p.server.Stop()
	case "kill":
		p.server.Kill()
	case "start":
		p.server.Restart()
	case "pause":
		p.server.Pause()
	case "resume":
		p.server.Resume()
	default:
		t.Fatalf("the program asks for %q", action)
	}
	if _, err := io.WriteString(p.stdin, "done\n"); err != nil {
		t.Errorf("answer: %v", err)
	}
}

// next is the next line of the program, unless it has ended or was silent for too long.
func (p *program) next() (string, bool) {
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case line, more := <-p.lines:
		p.over = p.over || !more
		return line, more
	case <-late.C:
		p.over = true
		return "", false
	}
}

func (p *program) keep(line string) { p.keepBytes([]byte(line + "\n")) }

func (p *program) keepBytes(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stderr.Write(b)
}

// said is the last of what the program said besides, for a message.
func (p *program) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.stderr.Bytes()
	return string(b[max(0, len(b)-4000):]) + "server:\n" + p.server.Output()
}

type writer func([]byte)

func (w writer) Write(b []byte) (int, error) {
	w(b)
	return len(b), nil
}

// Build runs a compiler.
func Build(command ...string) error {
	out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, out)
	}
	return nil
}

// Wanted skips the test unless COMPAT is set, as tools/compat/run.sh does: it installs what
// the foreign clients need.
func Wanted(t *testing.T) {
	t.Helper()
	if os.Getenv("COMPAT") == "" {
		t.Skip("for make compat: it needs Debian's packages of a foreign client")
	}
}
