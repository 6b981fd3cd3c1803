package realcfg

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/meerkat-zk/meerkat/tools/compat/target"
)

// An outcome is what became of a server that was started from a file.
type outcome struct {
	Refused bool
	Said    string   // why it refused
	Mode    string   // of srvr; "none": nobody says
	Listens []string // addresses as the file has them
}

// String is what NAME.java holds.
func (o outcome) String() string {
	if o.Refused {
		return "refused\n" + o.Said + "\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "mode %s\n", o.Mode)
	for _, a := range o.Listens {
		fmt.Fprintf(&b, "listens %s\n", a)
	}
	return b.String()
}

// short is an outcome without reasons, for comparisons.
func (o outcome) short() string {
	if o.Refused {
		return "refused"
	}
	return strings.TrimSpace(strings.ReplaceAll(o.String(), "\n", " "))
}

// parseOutcome reads what String wrote.
func parseOutcome(text string) (o outcome) {
	for line := range strings.Lines(text) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case o.Refused:
			o.Said += line
		case word == "refused":
			o.Refused = true
		case word == "mode":
			o.Mode = rest
		case word == "listens":
			o.Listens = append(o.Listens, rest)
		}
	}
	o.Said = strings.TrimSpace(o.Said)
	return o
}

// How long a server is watched.
const (
	poll      = 50 * time.Millisecond
	settled   = 2500 * time.Millisecond // it listens as it did this long ago
	deafUntil = 8 * time.Second         // a server that listens nowhere by then will not
	hopeless  = 30 * time.Second
	patience  = time.Minute
)

// A run is one server from one file.
type run struct {
	*layout
	process *exec.Cmd
	exited  chan struct{} // closed when process has ended
	output  string        // what it prints into
}

// try starts a server and watches it until it has ended or has settled to what is wanted; "" is
// anything. Another program may take one of its ports first; then there are others.
func try(name, dir string, java bool, want string) (o outcome, err error) {
	for attempt := range 3 {
		o, err = tryOnce(name, filepath.Join(dir, strconv.Itoa(attempt)), java, want)
		if !strings.Contains(o.Said, "already in use") {
			break
		}
	}
	return o, err
}

func tryOnce(name, dir string, java bool, want string) (outcome, error) {
	l, err := layOut(name, dir)
	if err != nil {
		return outcome{}, err
	}
	// Java's HTTP server is on by default, and Meerkat's is not.
	command, err := target.Command(java, l.config(), "-Dzookeeper.admin.enableServer=false")
	if err != nil {
		return outcome{}, err
	}
	r := &run{layout: l, exited: make(chan struct{}), output: filepath.Join(dir, "output")}
	out, err := os.Create(r.output)
	if err != nil {
		return outcome{}, err
	}
	defer out.Close()
	r.process = exec.Command(command[0], command[1:]...)
	r.process.Dir, r.process.Stdout, r.process.Stderr = dir, out, out
	// A server must not outlive a test binary that is killed.
	r.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := r.start(); err != nil {
		return outcome{}, err
	}
	o, err := r.watch(want)
	_ = r.process.Process.Kill() // it may have ended
	<-r.exited
	return o, err
}

// start starts the process. The death signal is sent when the starting thread ends, so the
// thread is kept until the process has ended.
func (r *run) start() error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := r.process.Start()
		started <- err
		if err == nil {
			_ = r.process.Wait() // a killed server is no error here
			close(r.exited)
		}
	}()
	return <-started
}

// watch waits until the server has ended, or says its mode, or has not changed for a while. On a
// busy machine that can be too early, so it goes on until that is what is wanted, or hope is over.
func (r *run) watch(want string) (outcome, error) {
	began := time.Now()
	var last []netip.AddrPort
	changed := began
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for time.Since(began) < patience {
		select {
		case <-r.exited:
			return r.refusal()
		case <-tick.C:
		}
		now, err := listening(r.process.Process.Pid)
		if err != nil {
			continue // it is ending
		}
		if !slices.Equal(now, last) {
			last, changed = now, time.Now()
			continue
		}
		o := r.looks(now)
		still := time.Since(changed) > settled && len(now) > 0 || time.Since(began) > deafUntil
		over := want == "" || o.short() == want || time.Since(began) > hopeless
		if over && (o.Mode != "none" || still) {
			return o, nil
		}
	}
	return outcome{}, fmt.Errorf("it did not settle within %s", patience)
}

// looks is what the server looks like while it listens on these.
func (r *run) looks(open []netip.AddrPort) outcome {
	o := outcome{Mode: r.mode(open)}
	for _, a := range open {
		o.Listens = append(o.Listens, r.asInFile(a))
	}
	slices.Sort(o.Listens)
	return o
}

var modeLine = regexp.MustCompile(`(?m)^Mode: (\w+)$`)

// mode asks the client ports that are open.
func (r *run) mode(open []netip.AddrPort) string {
	for _, a := range open {
		if !slices.Contains(r.clients(), int(a.Port())) {
			continue
		}
		said := ask(a)
		if m := modeLine.FindStringSubmatch(said); m != nil {
			return m[1]
		}
		if strings.Contains(said, "not in the whitelist") {
			return "hidden"
		}
	}
	return "none"
}

// ask sends srvr to an address.
func ask(a netip.AddrPort) string {
	host := a.Addr().String()
	if a.Addr().IsUnspecified() {
		host = "127.0.0.1"
	}
	c, err := net.DialTimeout("tcp", net.JoinHostPort(host, fmt.Sprint(a.Port())), time.Second)
	if err != nil {
		return ""
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return ""
	}
	if _, err := c.Write([]byte("srvr")); err != nil {
		return ""
	}
	said, _ := io.ReadAll(c) // what came before an error is enough
	return string(said)
}

// exception is a line of a Java stack that has a reason.
var exception = regexp.MustCompile(`(?m)^(?:Caused by: |.*? in thread "main" )?` +
	`[\w.$]*(?:Exception|Error): (.*)$`)

// refusal is the last reason that a Java server gave, or all that Meerkat said at its end.
func (r *run) refusal() (outcome, error) {
	text, err := os.ReadFile(r.output)
	if err != nil {
		return outcome{}, err
	}
	said := r.plain(string(text))
	if all := exception.FindAllStringSubmatch(said, -1); all != nil {
		said = all[len(all)-1][1]
	} else if i := strings.LastIndex(said, "\nmeerkat: "); i >= 0 {
		said = said[i+1:]
	}
	return outcome{Refused: true, Said: strings.TrimSpace(said)}, nil
}
