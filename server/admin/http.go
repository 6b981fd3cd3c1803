package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A Server answers HTTP on one port.
type Server struct {
	http     *http.Server
	listener net.Listener
	ended    chan struct{} // closed when the serving goroutine has ended
}

// Listen serves a handler on an address until Close; faults hears of what goes wrong meanwhile.
func Listen(addr string, h http.Handler, idle time.Duration, faults *log.Logger) (
	*Server, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	s := &Server{listener: l, ended: make(chan struct{}), http: &http.Server{
		Handler: methods(h), IdleTimeout: idle, ErrorLog: faults,
		ReadHeaderTimeout: requestTimeout, ReadTimeout: requestTimeout, MaxHeaderBytes: headerBytesMax,
	}}
	go func() { // ends with Close
		defer close(s.ended)
		_ = s.http.Serve(l) // it ends by Close alone
	}()
	return s, nil
}

const (
	// A client that sends its request more slowly is turned away, so that it holds nothing. The
	// body of a restore has its own patience.
	requestTimeout = 10 * time.Second
	// All that a command is told stands in its address.
	headerBytesMax = 16 << 10
)

// Addr is where it listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Close ends the listener, and requests that last longer than the context.
func (s *Server) Close(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil { // some request lasts longer: it is cut off
		err = s.http.Close()
	}
	<-s.ended
	return err
}

// A desk answers commands for one server.
type desk struct {
	source              Source
	below               string // the path above the commands, with a slash at its end
	snapshots, restores limiter
}

// Commands answers Java's commands below base, and the probes /livez and /readyz.
func Commands(s Source, base string) http.Handler {
	base = "/" + strings.Trim(base, "/")
	d := &desk{source: s, below: strings.TrimSuffix(base, "/") + "/"}
	t := &routes{rest: func(path string) http.Handler {
		if name, ok := strings.CutPrefix(path, d.below); ok {
			return d.answer(name)
		}
		return nil
	}}
	if base != "/" { // there it is the list of commands itself
		t.add(base, "Java's commands", d.answer(""))
	}
	t.add("/livez", "whether the process should go on", probe(s.Live))
	t.add("/readyz", "whether clients should come", probe(s.Ready))
	return t
}

// answer answers the command of that name; "" lists all.
func (d *desk) answer(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { d.command(w, r, name) }
}

func (d *desk) command(w http.ResponseWriter, r *http.Request, name string) {
	if name == "" {
		links(w, d.below)
		return
	}
	a := d.run(w, r, name)
	if a.name == "" {
		a.name = name
	}
	a.write(w)
}

// links lists the commands (JettyAdminServer.commandLinks).
func links(w http.ResponseWriter, below string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	for _, c := range commands {
		fmt.Fprintf(w, "<a href=\"%s%s\">%s</a>\n<br/>\n", below, c.names[0], c.names[0])
	}
}

// run does what a command asks (Commands.runCommand). An unknown one has status 200 too, as
// Java's, which also answers by the name that it was given until the command itself answers.
func (d *desk) run(w http.ResponseWriter, r *http.Request, name string) answer {
	i := slices.IndexFunc(commands, func(c command) bool { return slices.Contains(c.names, name) })
	if i < 0 {
		return answer{failed: "Unknown command: " + name}
	}
	c := &commands[i]
	if !c.free && !d.source.Serving() {
		return answer{failed: "This ZooKeeper instance is not currently serving requests"}
	}
	if c.guarded != nil {
		if denied := d.deny(r); denied.status != 0 {
			return denied
		}
	}
	// Java runs into a null pointer here, and answers with 500 and a page of HTML.
	allow := []string{http.MethodGet, http.MethodHead}
	switch {
	case c.post:
		allow = []string{http.MethodPost}
	case c.guarded != nil: // all the work, and nothing to show for it
		allow = allow[:1]
	}
	if !slices.Contains(allow, r.Method) {
		w.Header().Set("Allow", strings.Join(allow, ", "))
		return answer{status: http.StatusMethodNotAllowed,
			failed: "the command is asked for with " + allow[0]}
	}
	var a answer
	if c.guarded != nil {
		a = c.guarded(&operator{desk: d, w: w, r: r})
	} else {
		a.fields, a.failed = c.run(d.source, r.URL.Query())
	}
	a.name = c.names[0]
	return a
}

// An answer is what a command has to say.
type answer struct {
	status int    // 0: 200
	name   string // of the command
	fields Fields
	failed string // "" for null
	sent   bool   // the answer is out already
}

// write sends the answer as JSON.
func (a *answer) write(w http.ResponseWriter) {
	if a.sent {
		return
	}
	var e any
	if a.failed != "" {
		e = a.failed
	}
	text, err := json.MarshalIndent(append(a.fields, Field{"command", a.name}, Field{"error", e}),
		"", "  ")
	if err != nil { // no fact is of a kind that JSON lacks
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	if a.status != 0 {
		w.WriteHeader(a.status)
	}
	_, _ = w.Write(text) // a client that left needs no answer
}

// probe answers 200 and "ok", or 503 and why not.
func probe(why func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if err := why(); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintln(w, err)
			return
		}
		fmt.Fprintln(w, "ok")
	}
}
