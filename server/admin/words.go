package admin

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
)

// Words are the four-letter words, each with what answers it from a Source that serves
// (FourLetterCommands). A word that is not whitelisted is known all the same.
var Words = map[string]func(w *bytes.Buffer, s Source){
	"conf": wordConf,
	"cons": wordCons,
	"crst": func(w *bytes.Buffer, s Source) {
		s.ResetConns()
		w.WriteString("Connection stats reset.\n")
	},
	"dirs": wordDirs,
	"dump": wordDump,
	"envi": wordEnvi,
	"gtmk": func(w *bytes.Buffer, s Source) { fmt.Fprint(w, s.TraceMask()) },
	"hash": wordHash,
	"isro": func(w *bytes.Buffer, s Source) {
		if s.ReadOnly() {
			w.WriteString("ro")
		} else {
			w.WriteString("rw")
		}
	},
	"mntr": wordMntr,
	"ruok": func(w *bytes.Buffer, _ Source) { w.WriteString("imok") },
	"srst": func(w *bytes.Buffer, s Source) {
		s.ResetStats()
		w.WriteString("Server stats reset.\n")
	},
	"srvr": wordSrvr,
	"stat": wordStat,
	"stmk": func(w *bytes.Buffer, s Source) { fmt.Fprint(w, s.TraceMask()) },
	"wchc": wordWchc,
	"wchp": wordWchp,
	"wchs": wordWchs,
}

func wordSrvr(w *bytes.Buffer, s Source) {
	fmt.Fprintf(w, "Zookeeper version: %s\n", s.Version())
	serverLines(w, s)
}

func wordStat(w *bytes.Buffer, s Source) {
	fmt.Fprintf(w, "Zookeeper version: %s\nClients:\n", s.Version())
	for _, c := range s.Conns() {
		connLine(w, &c)
		w.WriteString(")\n")
	}
	w.WriteByte('\n')
	serverLines(w, s)
}

// serverLines are the lines that srvr and stat share (ServerStats.toString).
func serverLines(w *bytes.Buffer, s Source) {
	t := s.Stats()
	fmt.Fprintf(w, "Latency min/avg/max: %d/%v/%d\n", t.MinMs, t.AvgMs, t.MaxMs)
	fmt.Fprintf(w, "Received: %d\nSent: %d\n", t.Received, t.Sent)
	fmt.Fprintf(w, "Connections: %d\nOutstanding: %d\n", t.Connections, t.Outstanding)
	fmt.Fprintf(w, "Zxid: 0x%x\nMode: %s\nNode count: %d\n", int64(t.Zxid), s.Mode(), t.Nodes)
}

// connLine is the part of a connection's line that cons and stat share
// (ServerCnxn.dumpConnectionInfo).
func connLine(w *bytes.Buffer, c *Conn) {
	fmt.Fprintf(w, " /%s[%x](queued=%d,recved=%d,sent=%d", c.Remote, c.Interest, c.Queued,
		c.Received, c.Sent)
}

func wordCons(w *bytes.Buffer, s Source) {
	for _, c := range s.Conns() {
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
func wordMntr(w *bytes.Buffer, s Source) {
	for _, f := range Monitor(s) {
		fmt.Fprintf(w, "zk_%s\t%v\n", f.Name, f.Value)
	}
}

func wordConf(w *bytes.Buffer, s Source) {
	c := s.Conf()
	data, log := s.Dirs()
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

func wordEnvi(w *bytes.Buffer, s Source) {
	w.WriteString("Environment:\n")
	for _, f := range s.Environment() {
		fmt.Fprintf(w, "%s=%v\n", f.Name, f.Value)
	}
}

func wordDirs(w *bytes.Buffer, s Source) {
	data, log := s.Dirs()
	fmt.Fprintf(w, "datadir_size: %d\nlogdir_size: %d\n", data, log)
}

// javaDate is how Java writes a Date.
const javaDate = "Mon Jan 02 15:04:05 MST 2006"

// wordDump shows sessions and connections by the time at which they end unless they are heard
// from (ExpiryQueue.dump), and who owns which ephemerals.
func wordDump(w *bytes.Buffer, s Source) {
	total, lines := 0, bytes.Buffer{}
	sessions := s.Sessions()
	for _, d := range sessions {
		fmt.Fprintf(&lines, "%d expire at %s:\n", len(d.Sessions), d.At.Format(javaDate))
		for _, id := range d.Sessions {
			fmt.Fprintf(&lines, "\t0x%x\n", uint64(id))
		}
		total += len(d.Sessions)
	}
	fmt.Fprintf(w, "SessionTracker dump:\nSession Sets (%d)/(%d):\n%s", len(sessions), total,
		lines.Bytes())
	owners := s.Ephemerals()
	fmt.Fprintf(w, "ephemeral nodes dump:\nSessions with Ephemerals (%d):\n", len(owners))
	for _, o := range owners {
		fmt.Fprintf(w, "0x%x:\n", uint64(o.Session))
		for _, path := range o.Paths {
			fmt.Fprintf(w, "\t%s\n", path)
		}
	}
	dumpConns(w, s)
}

func dumpConns(w *bytes.Buffer, s Source) {
	conns := s.Conns()
	byTime := map[int64][]Conn{}
	for _, c := range conns {
		byTime[c.DeadlineMs] = append(byTime[c.DeadlineMs], c)
	}
	fmt.Fprintf(w, "Connections dump:\nConnections Sets (%d)/(%d):\n", len(byTime), len(conns))
	for _, at := range slices.Sorted(maps.Keys(byTime)) {
		all := byTime[at]
		fmt.Fprintf(w, "%d expire at %s:\n", len(all), all[0].Deadline.Format(javaDate))
		for _, c := range all {
			fmt.Fprintf(w, "\tip: /%s sessionId: 0x%x\n", c.Remote, uint64(c.Session))
		}
	}
}

// wordHash shows the digests of the past; zxids in hex, digests in decimal.
func wordHash(w *bytes.Buffer, s Source) {
	for _, d := range s.Digests() {
		fmt.Fprintf(w, "%x: %d\n", uint64(d.Zxid), d.Digest)
	}
}

// wordWchs counts data watches, as Java does.
func wordWchs(w *bytes.Buffer, s Source) {
	watches, total := s.Watches(), 0
	for _, x := range watches {
		total += len(x.Paths)
	}
	fmt.Fprintf(w, "%d connections watching %d paths\nTotal watches:%d\n", len(watches),
		len(ByPath(watches)), total)
}

func wordWchc(w *bytes.Buffer, s Source) {
	for _, x := range s.Watches() {
		fmt.Fprintf(w, "0x%x\n", uint64(x.Session))
		for _, path := range x.Paths {
			fmt.Fprintf(w, "\t%s\n", path)
		}
	}
	w.WriteByte('\n')
}

func wordWchp(w *bytes.Buffer, s Source) {
	for _, x := range ByPath(s.Watches()) {
		fmt.Fprintf(w, "%s\n", x.Path)
		for _, id := range x.Sessions {
			fmt.Fprintf(w, "\t0x%x\n", uint64(id))
		}
	}
	w.WriteByte('\n')
}
