package server

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/server/admin"
)

// allWords serves every word.
func allWords(o *Options) { o.Config.FourLetterWords = []string{"*"} }

// watchedServer is a server whose two clients own ephemerals and watch: a has two of one and a
// watch on /a, b has an ephemeral, watches on /a, /absent and on children of /a.
func watchedServer(t *testing.T) (s *Server, a, b *wire) {
	t.Helper()
	s = startServer(t, allWords)
	a, b = connectTo(t, s), connectTo(t, s)
	a.must(proto.OpCreate, create("/a", "x", 0))
	a.must(proto.OpCreate, create("/a/e1", "", proto.FlagEphemeral))
	a.must(proto.OpCreate, create("/a/e2", "", proto.FlagEphemeral))
	b.must(proto.OpCreate, create("/e3", "", proto.FlagEphemeral))
	a.must(proto.OpGetData, get("/a", true))
	b.must(proto.OpGetData, get("/a", true))
	b.call(proto.OpExists, get("/absent", true))
	b.must(proto.OpGetChildren, get("/a", true))
	return s, a, b
}

// likeLines fails unless each line of a text is like the pattern at its place.
func likeLines(t *testing.T, text string, patterns ...string) {
	t.Helper()
	lines := strings.Split(text, "\n")
	if len(lines) != len(patterns) {
		t.Fatalf("%d lines, want %d:\n%s", len(lines), len(patterns), text)
	}
	for i, p := range patterns {
		if !regexp.MustCompile("^" + p + "$").MatchString(lines[i]) {
			t.Errorf("line %d is\n%q, want\n%q", i, lines[i], p)
		}
	}
}

// The lines of ServerCnxn.dumpConnectionInfo, before and after crst.
func TestWordCons(t *testing.T) {
	s, a, b := watchedServer(t)
	line := func(w *wire, recved int, lop, cxid string) string {
		return fmt.Sprintf(` /%s\[1\]\(queued=0,recved=%d,sent=%d,sid=0x%x,lop=%s,est=\d{13},`+
			`to=10000%s,lzxid=0x\w+,lresp=\d+,llat=\d+,minlat=\d+,avglat=\d+,maxlat=\d+\)`,
			w.conn.LocalAddr(), recved, recved, uint64(w.session.SessionID), lop, cxid)
	}
	own := ` /127\.0\.0\.1:\d+\[0\]\(queued=0,recved=1,sent=0\)`
	lines := func(text string) string { // by length: the word's own connection comes last
		x := strings.Split(strings.TrimSuffix(text, "\n\n"), "\n")
		out := map[string]string{}
		for _, l := range x {
			switch {
			case strings.Contains(l, fmt.Sprintf("sid=0x%x,", uint64(a.session.SessionID))):
				out["a"] = l
			case strings.Contains(l, fmt.Sprintf("sid=0x%x,", uint64(b.session.SessionID))):
				out["b"] = l
			default:
				out["own"] = l
			}
		}
		return out["a"] + "\n" + out["b"] + "\n" + out["own"]
	}
	likeLines(t, lines(word(t, s, "cons")), line(a, 5, "GETD", ",lcxid=0x4"),
		line(b, 5, "GETC", ",lcxid=0x4"), own)
	if got := word(t, s, "crst"); got != "Connection stats reset.\n" {
		t.Errorf("crst says %q", got)
	}
	a.sendXid(proto.XidPing, proto.OpPing)
	a.flush()
	a.expect(proto.XidPing)
	likeLines(t, lines(word(t, s, "cons")), line(a, 1, "PING", ""), line(b, 0, "NA", ""), own)
}

// The sections of DumpCommand: sessions and connections by time, ephemerals by owner.
func TestWordDump(t *testing.T) {
	s, a, b := watchedServer(t)
	const date = `[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d [A-Z]+ \d{4}:`
	text := word(t, s, "dump")
	for _, want := range []string{
		`SessionTracker dump:\nSession Sets \([12]\)/\(2\):\n[12] expire at ` + date + `\n\t0x`,
		`ephemeral nodes dump:\nSessions with Ephemerals \(2\):\n`,
		fmt.Sprintf(`0x%x:\n\t/a/e1\n\t/a/e2\n`, uint64(a.session.SessionID)),
		fmt.Sprintf(`0x%x:\n\t/e3\n`, uint64(b.session.SessionID)),
		`Connections dump:\nConnections Sets \(\d\)/\(3\):\n`,
		fmt.Sprintf(`\tip: /%s sessionId: 0x%x\n`, a.conn.LocalAddr(),
			uint64(a.session.SessionID)),
		`\tip: /127\.0\.0\.1:\d+ sessionId: 0x0\n`,
	} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("nothing is like %q in\n%s", want, text)
		}
	}
}

// wchs, wchc and wchp show data watches by session and by path.
func TestWordWatches(t *testing.T) {
	s, a, b := watchedServer(t)
	idA, idB := uint64(a.session.SessionID), uint64(b.session.SessionID)
	for name, want := range map[string]string{
		"wchs": "2 connections watching 2 paths\nTotal watches:3\n",
		"wchc": fmt.Sprintf("0x%x\n\t/a\n0x%x\n\t/a\n\t/absent\n\n", idA, idB),
		"wchp": fmt.Sprintf("/a\n\t0x%x\n\t0x%x\n/absent\n\t0x%x\n\n", idA, idB, idB),
	} {
		if got := word(t, s, name); got != want {
			t.Errorf("%s says %q, want %q", name, got, want)
		}
	}
}

// A loop with more watches than it copies in a turn tells of all of them.
func TestWordWatchesInSlices(t *testing.T) {
	s, _ := oneLoop(t, allWords)
	const each = copiedWatchesMax/2 + 1
	for range 3 {
		w := connectTo(t, s)
		q := noWatches(w.must(proto.OpExists, get("/", false)).Zxid)
		for i := range each {
			q.Exist = append(q.Exist, "/w"+strconv.Itoa(i))
		}
		w.must(proto.OpSetWatches, q.Fields)
	}
	want := fmt.Sprintf("3 connections watching %d paths\nTotal watches:%d\n", each, 3*each)
	if got := word(t, s, "wchs"); got != want {
		t.Errorf("wchs says %q, want %q", got, want)
	}
}

// The mask may come apart from its word, in pieces.
func TestWordTraceMask(t *testing.T) {
	s := startServer(t, allWords)
	if got := word(t, s, "gtmk"); got != "306" {
		t.Errorf("gtmk says %q", got)
	}
	w := dial(t, s)
	for _, piece := range []string{"st", "mk\x00\x00\x00", "\x00\x00\x00\x01\x02"} {
		w.out = append(w.out, piece...)
		w.flush()
	}
	b := make([]byte, 8)
	n, _ := w.r.Read(b)
	if got := string(b[:n]) + " " + word(t, s, "gtmk"); got != "258 258" {
		t.Errorf("stmk and gtmk say %q", got)
	}
}

// hash shows the digest after every 128th transaction, before and after a restart.
func TestWordHash(t *testing.T) {
	o := testOptions(t, allWords)
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	w := connectTo(t, s)
	w.must(proto.OpCreate, create("/h", "", 0))
	want := ""
	for i := range 300 {
		p := w.must(proto.OpSetData, setData("/h", strconv.Itoa(i), -1))
		if p.Zxid%128 != 0 {
			continue
		}
		d, err := fromCore(&s.monitor, func(c *core) int64 { return c.head.Digest() })
		if err != nil {
			t.Fatal(err)
		}
		want += fmt.Sprintf("%x: %d\n", int64(p.Zxid), d)
	}
	if got := word(t, s, "hash"); got != want || strings.Count(got, "\n") != 2 {
		t.Errorf("hash says %q, want %q", got, want)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	again := startServer(t, func(p *Options) { p.Config = o.Config })
	if got := word(t, again, "hash"); got != want {
		t.Errorf("after a restart hash says %q, want %q", got, want)
	}
}

// A word that the whitelist lacks is refused by name; srvr never is.
func TestWordsByDefault(t *testing.T) {
	s := startServer(t, nil)
	for _, name := range []string{"cons", "crst", "dump", "gtmk", "stmk", "srst", "wchc", "wchp",
		"hash"} {
		want := name + " is not executed because it is not in the whitelist.\n"
		if got := word(t, s, name); got != want {
			t.Errorf("%s says %q", name, got)
		}
	}
	if got := word(t, s, "srvr"); !strings.HasPrefix(got, "Zookeeper version: 3.9.5-test") {
		t.Errorf("srvr says %q", got)
	}
}

// Words that are under way when the server stops end with it.
func TestWordsAtStop(t *testing.T) {
	s, err := Start(testOptions(t, allWords))
	if err != nil {
		t.Fatal(err)
	}
	var asking sync.WaitGroup
	for range 20 {
		w := dial(t, s)
		asking.Go(func() {
			for _, name := range []string{"mntr", "wchs", "dump", "stat"} {
				_, _ = w.conn.Write([]byte(name)) // the server may be gone
			}
		})
	}
	asking.Wait()
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if got := s.monitor.root().Zxid(); got != 0 {
		t.Errorf("a server that is gone has a root at %v", got)
	}
	if n := s.monitor.counts(false); n.Loop.Received != 0 {
		t.Error("a server that is gone counts")
	}
}

// What telnet sends for ^C closes the connection without an answer.
func TestWordTelnet(t *testing.T) {
	s := startServer(t, nil)
	if got := word(t, s, telnetInterrupt); got != "" {
		t.Errorf("it says %q", got)
	}
}

var _ admin.Source = (*monitor)(nil)
