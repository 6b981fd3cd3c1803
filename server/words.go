package server

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/meerkat-zk/meerkat/server/admin"
)

// Four-letter words: plain text in, plain text out, then the connection is closed
// (FourLetterCommands). They are told from a frame by the first four bytes.

// words are those that are known, and who answers. A word that is not whitelisted is known all
// the same.
var words = map[string]func(m *monitor, w *bytes.Buffer){
	"conf": wordConf,
	"cons": wordCons,
	"crst": func(m *monitor, w *bytes.Buffer) {
		m.ResetConns()
		w.WriteString("Connection stats reset.\n")
	},
	"dirs": wordDirs,
	"dump": wordDump,
	"envi": wordEnvi,
	"gtmk": func(m *monitor, w *bytes.Buffer) { fmt.Fprint(w, m.TraceMask()) },
	"hash": wordHash,
	"isro": func(m *monitor, w *bytes.Buffer) {
		if m.ReadOnly() {
			w.WriteString("ro")
		} else {
			w.WriteString("rw")
		}
	},
	"mntr": wordMntr,
	"ruok": func(_ *monitor, w *bytes.Buffer) { w.WriteString("imok") },
	"srst": func(m *monitor, w *bytes.Buffer) {
		m.ResetStats()
		w.WriteString("Server stats reset.\n")
	},
	"srvr":  wordSrvr,
	"stat":  wordStat,
	wordSet: func(m *monitor, w *bytes.Buffer) { fmt.Fprint(w, m.TraceMask()) },
	"wchc":  wordWchc,
	"wchp":  wordWchp,
	"wchs":  wordWchs,
}

// wordSet is followed by eight bytes: the trace mask that it sets.
const wordSet = "stmk"

// telnetInterrupt is what a telnet sends for ^C.
const telnetInterrupt = "\xff\xf4\xff\xfd"

// word answers a four-letter word at the start of a connection. used is -1 when there are
// fewer bytes yet than it needs.
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
	m := &l.srv.monitor
	whitelist := *l.srv.whitelist.Load()
	allowed := whitelist[name] || whitelist["*"]
	if name == wordSet && allowed {
		if len(in) < 12 {
			return -1, false
		}
		m.SetTraceMask(int64(binary.BigEndian.Uint64(in[4:])))
	}
	l.srv.clientLog.Word(c.name(), name, allowed)
	l.stats.Received++
	l.stats.BytesIn += 4
	c.stats.received++
	switch {
	case !allowed:
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
		l.srv.aside.Add(1)
		go func() { // words look at every loop and at files: never on a loop
			defer l.srv.aside.Done()
			var w bytes.Buffer
			answer(m, &w)
			l.execute(func() {
				if c.state == connWaiting {
					l.stats.Sent++
					c.nc.SetBuffer(append(c.nc.Buffer(), w.Bytes()...))
					l.close(c)
				}
			})
		}()
	}
	return len(in), true
}

func wordSrvr(m *monitor, w *bytes.Buffer) {
	fmt.Fprintf(w, "Zookeeper version: %s\n", m.Version())
	serverLines(m, w)
}

func wordStat(m *monitor, w *bytes.Buffer) {
	fmt.Fprintf(w, "Zookeeper version: %s\nClients:\n", m.Version())
	for _, c := range m.Conns() {
		connLine(w, &c)
		w.WriteString(")\n")
	}
	w.WriteByte('\n')
	serverLines(m, w)
}

// serverLines are the lines that srvr and stat share (ServerStats.toString).
func serverLines(m *monitor, w *bytes.Buffer) {
	t := m.Stats()
	fmt.Fprintf(w, "Latency min/avg/max: %d/%v/%d\n", t.MinMs, t.AvgMs, t.MaxMs)
	fmt.Fprintf(w, "Received: %d\nSent: %d\n", t.Received, t.Sent)
	fmt.Fprintf(w, "Connections: %d\nOutstanding: %d\n", t.Connections, t.Outstanding)
	fmt.Fprintf(w, "Zxid: 0x%x\nMode: %s\nNode count: %d\n", int64(t.Zxid), m.Mode(), t.Nodes)
}

// connLine is the part of a connection's line that cons and stat share
// (ServerCnxn.dumpConnectionInfo).
func connLine(w *bytes.Buffer, c *admin.Conn) {
	fmt.Fprintf(w, " /%s[%x](queued=%d,recved=%d,sent=%d", c.Remote, c.Interest, c.Queued,
		c.Received, c.Sent)
}

func wordCons(m *monitor, w *bytes.Buffer) {
	for _, c := range m.Conns() {
		connLine(w, &c)
		if c.Session != 0 {
			fmt.Fprintf(w, ",sid=0x%x,lop=%s,est=%d,to=%d", uint64(c.Session), c.LastOp,
				c.EstablishedMs, c.TimeoutMs)
			if c.LastCxid >= 0 {
				fmt.Fprintf(w, ",lcxid=0x%x", c.LastCxid)
			}
			fmt.Fprintf(w, ",lzxid=0x%x,lresp=%d,llat=%d,minlat=%d,avglat=%d,maxlat=%d",
				uint64(c.LastZxid), c.LastResponseMs, c.LastLatencyMs, c.MinLatencyMs,
				c.AvgLatencyMs, c.MaxLatencyMs)
		}
		w.WriteString(")\n")
	}
	w.WriteByte('\n')
}

// wordMntr shows each metric on a line of its own. Every name is of word characters and every
// value but version and states a number, as parsers want.
func wordMntr(m *monitor, w *bytes.Buffer) {
	for _, f := range admin.Monitor(m) {
		fmt.Fprintf(w, "zk_%s\t%v\n", f.Name, f.Value)
	}
}

func wordConf(m *monitor, w *bytes.Buffer) {
	c := m.Conf()
	data, log := m.Dirs()
	fmt.Fprintf(w, "clientPort=%d\nsecureClientPort=-1\ndataDir=%s\ndataDirSize=%d\n"+
		"dataLogDir=%s\ndataLogSize=%d\ntickTime=%d\nmaxClientCnxns=%d\n"+
		"minSessionTimeout=%d\nmaxSessionTimeout=%d\nclientPortListenBacklog=%d\nserverId=%d\n",
		c.ClientPort, c.DataDir, data, c.LogDir, log, c.TickMs, c.MaxClientCnxns,
		c.MinTimeoutMs, c.MaxTimeoutMs, c.Backlog, c.ServerID)
	if q := c.Quorum; q != nil {
		fmt.Fprintf(w, "initLimit=%d\nsyncLimit=%d\nelectionAlg=%d\nelectionPort=%d\n"+
			"quorumPort=%d\npeerType=%d\nmembership: \n%s", q.InitLimit, q.SyncLimit,
			q.ElectionAlg, q.ElectionPort, q.QuorumPort, q.PeerType, q.Membership)
	}
}

func wordEnvi(m *monitor, w *bytes.Buffer) {
	w.WriteString("Environment:\n")
	for _, f := range m.Environment() {
		fmt.Fprintf(w, "%s=%v\n", f.Name, f.Value)
	}
}

func wordDirs(m *monitor, w *bytes.Buffer) {
	data, log := m.Dirs()
	fmt.Fprintf(w, "datadir_size: %d\nlogdir_size: %d\n", data, log)
}

// javaDate is how Java writes a Date.
const javaDate = "Mon Jan 02 15:04:05 MST 2006"

// wordDump shows sessions and connections by the time at which they end unless they are heard
// from (ExpiryQueue.dump), and who owns which ephemerals.
func wordDump(m *monitor, w *bytes.Buffer) {
	total, lines := 0, bytes.Buffer{}
	sessions := m.Sessions()
	for _, d := range sessions {
		fmt.Fprintf(&lines, "%d expire at %s:\n", len(d.Sessions), d.At.Format(javaDate))
		for _, id := range d.Sessions {
			fmt.Fprintf(&lines, "\t0x%x\n", uint64(id))
		}
		total += len(d.Sessions)
	}
	fmt.Fprintf(w, "SessionTracker dump:\nSession Sets (%d)/(%d):\n%s", len(sessions), total,
		lines.Bytes())
	owners := m.Ephemerals()
	fmt.Fprintf(w, "ephemeral nodes dump:\nSessions with Ephemerals (%d):\n", len(owners))
	for _, o := range owners {
		fmt.Fprintf(w, "0x%x:\n", uint64(o.Session))
		for _, path := range o.Paths {
			fmt.Fprintf(w, "\t%s\n", path)
		}
	}
	dumpConns(m, w)
}

func dumpConns(m *monitor, w *bytes.Buffer) {
	conns := m.Conns()
	tick := m.srv.core.tickMs
	byTick := map[int64][]admin.Conn{}
	for _, c := range conns {
		at := (c.DeadlineMs/tick + 1) * tick
		byTick[at] = append(byTick[at], c)
	}
	fmt.Fprintf(w, "Connections dump:\nConnections Sets (%d)/(%d):\n", len(byTick), len(conns))
	for _, at := range slices.Sorted(maps.Keys(byTick)) {
		fmt.Fprintf(w, "%d expire at %s:\n", len(byTick[at]),
			m.deadline(at, nil).At.Format(javaDate))
		for _, c := range byTick[at] {
			fmt.Fprintf(w, "\tip: /%s sessionId: 0x%x\n", c.Remote, uint64(c.Session))
		}
	}
}

// wordHash shows the digests of the past; zxids in hex, digests in decimal.
func wordHash(m *monitor, w *bytes.Buffer) {
	for _, d := range m.Digests() {
		fmt.Fprintf(w, "%x: %d\n", uint64(d.Zxid), d.Digest)
	}
}

// wordWchs counts data watches, as Java does.
func wordWchs(m *monitor, w *bytes.Buffer) {
	watches, total := m.Watches(), 0
	for _, x := range watches {
		total += len(x.Paths)
	}
	fmt.Fprintf(w, "%d connections watching %d paths\nTotal watches:%d\n", len(watches),
		len(admin.ByPath(watches)), total)
}

func wordWchc(m *monitor, w *bytes.Buffer) {
	for _, x := range m.Watches() {
		fmt.Fprintf(w, "0x%x\n", uint64(x.Session))
		for _, path := range x.Paths {
			fmt.Fprintf(w, "\t%s\n", path)
		}
	}
	w.WriteByte('\n')
}

func wordWchp(m *monitor, w *bytes.Buffer) {
	for _, x := range admin.ByPath(m.Watches()) {
		fmt.Fprintf(w, "%s\n", x.Path)
		for _, id := range x.Sessions {
			fmt.Fprintf(w, "\t0x%x\n", uint64(id))
		}
	}
	w.WriteByte('\n')
}
