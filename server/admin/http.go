package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

// Listen serves a handler on an address until Close. TRACE is refused, as it tells what others
// sent along.
func Listen(addr string, h http.Handler, idle time.Duration) (*Server, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	s := &Server{listener: l, ended: make(chan struct{}), http: &http.Server{
		Handler: withoutTrace(h), IdleTimeout: idle,
		ReadHeaderTimeout: headerTimeout, MaxHeaderBytes: headerBytesMax,
	}}
	go func() { // ends with Close
		defer close(s.ended)
		_ = s.http.Serve(l) // it ends by Close alone
	}()
	return s, nil
}

const (
	// A client that sends its request more slowly is turned away, so that it holds nothing.
	headerTimeout = 10 * time.Second
	// All that a command is told stands in its address.
	headerBytesMax = 16 << 10
)

// Addr is where it listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Close ends the listener, and requests that last longer than the context.
func (s *Server) Close(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	<-s.ended
	return err
}

func withoutTrace(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodTrace {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// Commands answers Java's commands below base, and the probes /livez and /readyz.
func Commands(s Source, base string) http.Handler {
	mux := http.NewServeMux()
	base = "/" + strings.Trim(base, "/")
	below := strings.TrimSuffix(base, "/") + "/"
	answer := func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, strings.TrimSuffix(below, "/"))
		name = strings.TrimPrefix(name, "/")
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			w.WriteHeader(http.StatusMethodNotAllowed)
		case name == "":
			links(w, below)
		default:
			runCommand(w, r, s, name)
		}
	}
	mux.HandleFunc(below, answer)
	if base != "/" {
		mux.HandleFunc(base, answer)
	}
	mux.HandleFunc("/livez", probe(s.Live))
	mux.HandleFunc("/readyz", probe(s.Ready))
	return mux
}

// links lists the commands (JettyAdminServer.commandLinks).
func links(w http.ResponseWriter, below string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	for _, c := range commands {
		fmt.Fprintf(w, "<a href=\"%s%s\">%s</a>\n<br/>\n", below, c.names[0], c.names[0])
	}
}

// runCommand answers one command. An unknown one has status 200 too, as Java's.
func runCommand(w http.ResponseWriter, r *http.Request, s Source, name string) {
	var f Fields
	var failed string
	i := slices.IndexFunc(commands, func(c command) bool { return slices.Contains(c.names, name) })
	switch {
	case i < 0:
		failed = "Unknown command: " + name
	case !commands[i].free && !s.Serving():
		failed, name = "This ZooKeeper instance is not currently serving requests",
			commands[i].names[0]
	default:
		name = commands[i].names[0]
		f, failed = commands[i].run(s, r.URL.Query())
	}
	var e any
	if failed != "" {
		e = failed
	}
	text, err := json.MarshalIndent(append(f, Field{"command", name}, Field{"error", e}), "", "  ")
	if err != nil { // no fact is of a kind that JSON lacks
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
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
