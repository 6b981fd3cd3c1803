package server

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/meerkat-zk/meerkat/tree"
	"github.com/meerkat-zk/meerkat/wal"
)

// Four-letter words: plain text in, plain text out, then the connection is closed
// (FourLetterCommands). They are told from a frame by the first four bytes.

// words are those that are known, and who answers. A word that is not whitelisted is known all
// the same.
var words = map[string]func(s *Server, w *bytes.Buffer, root *tree.Root){
	"ruok": func(_ *Server, w *bytes.Buffer, _ *tree.Root) { w.WriteString("imok") },
	"srvr": wordSrvr,
	"stat": wordStat,
	"mntr": wordMntr,
	"isro": func(_ *Server, w *bytes.Buffer, _ *tree.Root) { w.WriteString("rw") },
	"conf": wordConf,
	"envi": wordEnvi,
	"wchs": wordWchs,
	"dirs": wordDirs,
	"cons": nil, "crst": nil, "dump": nil, "gtmk": nil, "stmk": nil, "srst": nil,
	"wchc": nil, "wchp": nil, "hash": nil,
}

// telnetInterrupt is what a telnet sends for ^C.
const telnetInterrupt = "\xff\xf4\xff\xfd"

// word answers a four-letter word at the start of a connection. used is -1 when there are
// fewer than four bytes yet.
func (l *loop) word(c *conn, in []byte) (used int, isWord bool) {
	if len(in) < 4 {
		return -1, false
	}
	name := string(in[:4])
	answer, known := words[name]
	if !known {
		if name != telnetInterrupt {
			return 0, false
		}
		l.close(c)
		return len(in), true
	}
	l.stats.received++
	switch {
	case !(l.srv.whitelist[name] || l.srv.whitelist["*"]) || answer == nil:
		text := name + " is not executed because it is not in the whitelist.\n"
		c.nc.SetBuffer(append(c.nc.Buffer(), text...))
		l.close(c)
	case !l.serving:
		text := "This ZooKeeper instance is not currently serving requests\n"
		c.nc.SetBuffer(append(c.nc.Buffer(), text...))
		l.close(c)
	default:
		c.state = connWaiting
		c.nc.Pause() // a client that half-closes behind its word is answered all the same
		root := l.root
		l.srv.aside.Add(1)
		go func() { // words look at every loop and at files: never on a loop
			defer l.srv.aside.Done()
			var w bytes.Buffer
			answer(l.srv, &w, root)
			l.nl.Execute(func() {
				if c.state == connWaiting {
					c.nc.SetBuffer(append(c.nc.Buffer(), w.Bytes()...))
					l.close(c)
				}
			})
		}()
	}
	return len(in), true
}

func (s *Server) versionLine() string {
	return fmt.Sprintf("%s, built on %s", s.build.Version, s.build.Date)
}

func wordSrvr(s *Server, w *bytes.Buffer, root *tree.Root) {
	fmt.Fprintf(w, "Zookeeper version: %s\n", s.versionLine())
	serverLines(s, w, root)
}

func wordStat(s *Server, w *bytes.Buffer, root *tree.Root) {
	fmt.Fprintf(w, "Zookeeper version: %s\nClients:\n", s.versionLine())
	for _, line := range s.eachConn(func(c *conn) string {
		return fmt.Sprintf(" /%s[%d](queued=%d,recved=%d,sent=%d)\n", c.nc.RemoteAddr(), 1,
			c.pending.len(), c.stats.received, c.stats.sent)
	}) {
		w.WriteString(line)
	}
	w.WriteByte('\n')
	serverLines(s, w, root)
}

// serverLines are the lines that srvr and stat share (ServerStats.toString).
func serverLines(s *Server, w *bytes.Buffer, root *tree.Root) {
	least, mean, most := s.latencies()
	fmt.Fprintf(w, "Latency min/avg/max: %d/%.4f/%d\n", least, mean, most)
	fmt.Fprintf(w, "Received: %d\nSent: %d\n", s.total(statReceived), s.total(statSent))
	fmt.Fprintf(w, "Connections: %d\nOutstanding: %d\n", s.live.Load(), s.inFlight.Load())
	fmt.Fprintf(w, "Zxid: 0x%x\nMode: standalone\nNode count: %d\n",
		int64(root.Zxid()), root.NodeCount())
}

// eachConn asks every loop for a line about each of its connections.
func (s *Server) eachConn(line func(*conn) string) []string {
	var all []string
	for _, l := range s.loops {
		got := make(chan []string, 1) // the loop sends once; we receive once
		l.nl.Execute(func() {
			var lines []string
			for c := range l.conns {
				lines = append(lines, line(c))
			}
			got <- lines
		})
		select {
		case lines := <-got:
			all = append(all, lines...)
		case <-s.stopped:
			return all
		}
	}
	slices.Sort(all)
	return all
}

func wordMntr(s *Server, w *bytes.Buffer, root *tree.Root) {
	least, mean, most := s.latencies()
	var limit syscall.Rlimit
	_ = syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) // 0 is shown when it cannot be read
	open := 0
	if fds, err := os.ReadDir("/proc/self/fd"); err == nil {
		open = len(fds)
	}
	lines := []struct {
		name  string
		value any
	}{
		{"version", s.versionLine()},
		{"server_state", "standalone"},
		{"ephemerals_count", root.EphemeralCount()},
		{"min_latency", least},
		{"avg_latency", fmt.Sprintf("%.4f", mean)},
		{"max_latency", most},
		{"num_alive_connections", s.live.Load()},
		{"outstanding_requests", s.inFlight.Load()},
		{"znode_count", root.NodeCount()},
		{"watch_count", s.total(statWatches)},
		{"approximate_data_size", root.DataSize()},
		{"global_sessions", root.SessionCount()},
		{"packets_received", s.total(statReceived)},
		{"packets_sent", s.total(statSent)},
		{"open_file_descriptor_count", open},
		{"max_file_descriptor_count", limit.Cur},
		{"uptime", time.Since(s.started).Milliseconds()},
		{"connection_rejected", s.rejected.Load()},
	}
	for _, x := range lines {
		fmt.Fprintf(w, "zk_%s\t%v\n", x.name, x.value)
	}
}

func wordConf(s *Server, w *bytes.Buffer, _ *tree.Root) {
	port := 0
	if a := s.net.Addrs(); len(a) > 0 {
		port = portOf(a[0])
	}
	fmt.Fprintf(w, "clientPort=%d\nsecureClientPort=-1\ndataDir=%s\ndataDirSize=%d\n"+
		"dataLogDir=%s\ndataLogSize=%d\ntickTime=%d\nmaxClientCnxns=%d\n"+
		"minSessionTimeout=%d\nmaxSessionTimeout=%d\nclientPortListenBacklog=%d\nserverId=0\n",
		port, s.files.SnapDir, dirSize(s.files.SnapDir), s.files.LogDir, dirSize(s.files.LogDir),
		s.cfg.TickTime.Milliseconds(), s.cfg.MaxClientCnxns,
		s.cfg.MinSessionTimeout.Milliseconds(), s.cfg.MaxSessionTimeout.Milliseconds(),
		s.cfg.ClientPortListenBacklog)
}

func wordEnvi(s *Server, w *bytes.Buffer, _ *tree.Root) {
	host, _ := os.Hostname() // an unknown name is shown as an empty one
	dir, _ := os.Getwd()     // likewise
	fmt.Fprintf(w, "Environment:\nzookeeper.version=%s\nhost.name=%s\nos.name=%s\n"+
		"os.arch=%s\nuser.dir=%s\ngo.version=%s\n", s.versionLine(), host,
		strings.ToUpper(runtime.GOOS[:1])+runtime.GOOS[1:], runtime.GOARCH, dir, runtime.Version())
}

// wordWchs counts data watches, as Java does; a path that is watched on several loops counts on
// each.
func wordWchs(s *Server, w *bytes.Buffer, _ *tree.Root) {
	fmt.Fprintf(w, "%d connections watching %d paths\nTotal watches:%d\n",
		s.total(statWatchers), s.total(statDataPaths), s.total(statDataWatches))
}

func wordDirs(s *Server, w *bytes.Buffer, _ *tree.Root) {
	fmt.Fprintf(w, "datadir_size: %d\nlogdir_size: %d\n",
		dirSize(s.files.SnapDir), dirSize(s.files.LogDir))
}

func portOf(a net.Addr) int {
	_, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(port) // a listening address has a number
	return n
}

// dirSize is the size of the files in a directory, 0 when it cannot be read.
func dirSize(dir string) int64 {
	n, err := wal.DirSize(wal.OS, dir)
	if err != nil {
		return 0
	}
	return n
}
