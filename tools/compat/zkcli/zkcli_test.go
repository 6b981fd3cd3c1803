package zkcli

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/meerkat-zk/meerkat/tools/compat/foreign"
	"github.com/meerkat-zk/meerkat/tools/compat/target"
)

func TestMain(m *testing.M) { os.Exit(target.Main(m)) }

func TestShell(t *testing.T) {
	foreign.Wanted(t)
	files, err := filepath.Glob(filepath.Join("testdata", "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			p := &play{t: t, script: filepath.Base(file), shells: map[string]*shell{}}
			datadriven.RunTest(t, file, func(t *testing.T, d *datadriven.TestData) string {
				t.Helper()
				return likeJava(p.script, p.step(t, d))
			})
			for name, s := range p.shells {
				if len(s.events) > 0 {
					t.Errorf("nobody expected these events of %s: %q", name, s.events)
				}
			}
		})
	}
	if !target.Java() && !t.Failed() && flag.Lookup("test.run").Value.String() == "" {
		for _, d := range differences {
			if !d.used {
				t.Errorf("no script shows this difference any more: %s", d.why)
			}
		}
	}
}

// A play is one file at work.
type play struct {
	t      *testing.T // the file's, which lasts longer than a step's
	script string
	server *target.Server
	shells map[string]*shell
}

func (p *play) step(t *testing.T, d *datadriven.TestData) string {
	if p.server == nil {
		var lines []string
		if d.Cmd == "server" {
			lines = strings.Split(strings.TrimSpace(d.Input), "\n")
		}
		p.server = target.Start(p.t, lines...)
	}
	switch d.Cmd {
	case "server":
		return ""
	case "stop":
		p.server.Stop()
		return ""
	case "start":
		p.server.Restart()
		return ""
	case "open":
		p.open(d.CmdArgs[0].Key, strings.Fields(p.fill(d.Input)))
		return ""
	case "stdin":
		return p.stdin(t, d.Input)
	case "oneshot":
		return p.oneshots(t, d.Input)
	default:
		return p.typed(t, d)
	}
}

// fill puts the server's address into a command.
func (p *play) fill(text string) string { return strings.ReplaceAll(text, "ADDR", p.server.Addr) }

func (p *play) open(name string, args []string) *shell {
	if len(args) == 0 || args[0] != "-server" {
		args = append([]string{"-server", p.server.Addr}, args...)
	}
	s := open(p.t, p.server.Addr, args...)
	// Wait for the session: the first command must find it, and its zxid is its place.
	for len(s.events) == 0 {
		if line, more := s.next(p.t); !more {
			p.t.Fatalf("the shell %s ended early: %s", name, line)
		}
	}
	s.events = nil
	s.run(p.t, "")
	p.shells[name] = s
	return s
}

// typed runs commands in a shell that stays.
func (p *play) typed(t *testing.T, d *datadriven.TestData) string {
	s := p.shells[d.Cmd]
	if s == nil {
		s = p.open(d.Cmd, nil)
	}
	var b strings.Builder
	for line := range strings.SplitSeq(d.Input, "\n") {
		fmt.Fprintf(&b, "> %s\n%s", line, sortIdentities(squeeze(s.run(t, p.fill(line)))))
	}
	if d.HasArg("events") {
		var n int
		d.ScanArgs(t, "events", &n)
		b.WriteString(s.await(t, n))
	}
	return b.String()
}

// stdin runs commands in a shell that reads them from a file, so to speak.
func (p *play) stdin(t *testing.T, input string) string {
	s := open(p.t, p.server.Addr, "-server", p.server.Addr, "-waitforconnection")
	// It has ended before if a command ended it; then the exit code tells.
	_, _ = s.stdin.Write([]byte(p.fill(input) + "\n"))
	_ = s.stdin.Close()
	return squeeze(s.rest(t)) + "exit " + strconv.Itoa(s.code) + "\n"
}

// oneshots runs shells that do one command each.
func (p *play) oneshots(t *testing.T, input string) string {
	var b strings.Builder
	for line := range strings.SplitSeq(input, "\n") {
		args := strings.Fields(p.fill(line))
		if args[0] != "-server" {
			args = append([]string{"-server", p.server.Addr}, args...)
		}
		s := open(p.t, p.server.Addr, args...)
		said := squeeze(s.rest(t))
		fmt.Fprintf(&b, "> %s\n%sexit %d\n", line, said, s.code)
	}
	return b.String()
}

// squeeze drops the empty lines: events are printed between them.
func squeeze(text string) string {
	var b strings.Builder
	for line := range strings.SplitSeq(text, "\n") {
		if line != "" {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}
