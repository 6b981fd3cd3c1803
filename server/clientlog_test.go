package server

import (
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/meerkat-zk/meerkat/proto"
)

// idOf is a session as log lines name it.
func (w *wire) idOf() string { return fmt.Sprintf("id=0x%x", uint64(w.session.SessionID)) }

// A session that expires leaves a line that names it, its last client, how long it was silent,
// and what went with it: while it has its connection, and when that is gone.
func TestExpiryIsLogged(t *testing.T) {
	s, j := oneLoop(t, quick)
	const timeout = 4 * testTick
	held := attach(t, s, timeout, proto.ConnectResponse{})
	held.must(proto.OpCreate, create("/held", "", proto.FlagEphemeral))
	for _, path := range []string{"/a", "/b", "/c"} {
		held.call(proto.OpExists, get(path, true))
	}
	left := attach(t, s, timeout, proto.ConnectResponse{})
	left.must(proto.OpCreate, create("/left", "", proto.FlagEphemeral))
	left.must(proto.OpCreate, create("/left2", "", proto.FlagEphemeral))
	left.must(proto.OpExists, get("/", true))
	addr := left.addr()
	if err := left.conn.Close(); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ id, client, rest string }{
		{held.idOf(), held.addr(), " ephemerals=1 watches=3"},
		{left.idOf(), addr, " ephemerals=2 watches=0"},
	} {
		line := j.await(t, "session expired", x.id+" ", x.client+" ", " timeout=400ms ",
			x.rest, "level=INFO")
		var silent time.Duration
		if _, text, found := strings.Cut(line, "last_heard="); found {
			silent, _ = time.ParseDuration(strings.Fields(text)[0])
		}
		if silent < timeout || silent > timeout+time.Minute {
			t.Errorf("silent for %v with a timeout of %v: %s", silent, timeout, line)
		}
	}
	held.closed()
}

// A session that nobody came back to after a restart expires, too, and says so.
func TestExpiryAfterRestartIsLogged(t *testing.T) {
	j := newJournal()
	o := testOptions(t, func(o *Options) { quick(o); o.Logger = j.logger() })
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	w := attach(t, s, 4*testTick, proto.ConnectResponse{})
	w.must(proto.OpCreate, create("/e", "", proto.FlagEphemeral))
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if s, err = Start(o); err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	j.await(t, "session expired", w.idOf()+" ", `client="none since the start"`, "ephemerals=1")
}

// At debug a client can be followed from its connection to its end.
func TestClientIsFollowed(t *testing.T) {
	s, j := oneLoop(t, nil)
	w := connectTo(t, s)
	client := w.addr()
	j.await(t, "level=DEBUG", "connection opened", client)
	j.await(t, "level=DEBUG", "session begun", client, w.idOf()+" ", "timeout=10s resumed=false")
	again := attach(t, s, 10*time.Second, w.session)
	j.await(t, "session begun", again.addr(), w.idOf()+" ", "resumed=true")
	j.await(t, "level=INFO", "connection closed", client, "its session moved")
	j.await(t, "level=DEBUG", "connection ended", client, "the server closed it")
	again.call(proto.OpCloseSession)
	j.await(t, "level=DEBUG", "session closed", again.addr(), w.idOf()+" ",
		"its client closed it")

	gone := connectTo(t, s)
	_ = gone.conn.Close()
	j.await(t, "connection ended", gone.addr(), "the client closed it")

	stranger := connectTo(t, s).session
	stranger.Passwd = make([]byte, proto.PasswordBytes)
	thief := dial(t, s)
	thief.connect(proto.ConnectRequest{TimeOut: 1000, SessionID: stranger.SessionID,
		Passwd: stranger.Passwd})
	thief.closed()
	j.await(t, "connection closed", thief.addr(), "no such session, or a wrong password")

	word(t, s, "ruok")
	word(t, s, "wchc")
	j.await(t, "level=DEBUG", "msg=word", "name=ruok allowed=true")
	j.await(t, "level=DEBUG", "msg=word", "name=wchc allowed=false")
}

// Clients that are turned away by the thousand leave some lines and a number.
func TestRefusedConnectionsAreBounded(t *testing.T) {
	s, j := oneLoop(t, func(o *Options) { quick(o); o.Config.MaxClientCnxns = 1 })
	by := connectTo(t, s)
	const connections = 1000
	began := time.Now()
	for range connections {
		c, err := net.Dial("tcp", s.Addrs()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	eventually(t, "all are refused", func() bool { return s.rejected.Load() == connections })
	most := 100 * (int(time.Since(began).Seconds()) + 2)
	j.await(t, "level=WARN", "lines left out", `of="connection refused"`)
	if n := strings.Count(j.text(), `msg="connection refused"`); n == 0 || n > most {
		t.Errorf("%d lines, at most %d are right", n, most)
	}
	by.must(proto.OpExists, get("/", false))
}

// A client cannot make a line long.
func TestLongSchemeIsCut(t *testing.T) {
	s, j := oneLoop(t, func(o *Options) { o.Config.JuteMaxBuffer = 1 << 20 })
	w := connectTo(t, s)
	q := proto.AuthPacket{Scheme: strings.Repeat("\x00", 900_000)}
	w.sendXid(proto.XidAuth, proto.OpAuth, q.Fields)
	w.flush()
	w.closed()
	line := j.await(t, "connection closed", w.addr(), "authentication with scheme")
	if len(line) > 1000 {
		t.Errorf("a line of %d bytes", len(line))
	}
}

// A level that hides them spares the lines of clients, not only their printing.
func TestDebugLinesAreFree(t *testing.T) {
	s := startServer(t, func(o *Options) { o.Logger = slog.New(slog.DiscardHandler) })
	c := &conn{session: 1}
	if n := testing.AllocsPerRun(100, func() { s.clientLog.Opened(c.name()) }); n > 2 {
		t.Errorf("a hidden line takes %v allocations", n)
	}
}
