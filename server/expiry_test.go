package server

import (
	"fmt"
	"math/rand"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
)

const testTick = 100 * time.Millisecond

// quick are short session timeouts: a tick of 100 ms, timeouts from 300 ms on.
func quick(o *Options) {
	o.Config.TickTime = testTick
	o.Config.MinSessionTimeout = 3 * testTick
	o.Config.MaxSessionTimeout = 100 * testTick
}

// attach opens a connection with a session of this timeout; 0 as the id makes a new one.
func attach(t testing.TB, s *Server, timeout time.Duration, of proto.ConnectResponse) *wire {
	t.Helper()
	w := dial(t, s)
	passwd := of.Passwd
	if passwd == nil {
		passwd = make([]byte, proto.PasswordBytes)
	}
	w.connect(proto.ConnectRequest{TimeOut: int32(timeout.Milliseconds()), SessionID: of.SessionID,
		Passwd: passwd, HasReadOnly: true})
	if w.session.TimeOut <= 0 {
		t.Fatal("no session")
	}
	return w
}

// A silent session ends between its timeout and two ticks later, its ephemerals with it; who
// watches hears of each in the order of paths, all with one zxid, and its connection is closed.
func TestSilentSessionExpires(t *testing.T) {
	s, _ := oneLoop(t, quick)
	by := newBystander(t, s)
	watcher := attach(t, s, 50*testTick, proto.ConnectResponse{})
	watcher.must(proto.OpCreate, create("/d", "", 0))
	const timeout, nodes = 4 * testTick, 20
	silent := attach(t, s, timeout, proto.ConnectResponse{})
	for i := range nodes {
		path := fmt.Sprintf("/d/%02d", i)
		watcher.call(proto.OpExists, get(path, true))
		silent.must(proto.OpCreate, create(path, "", proto.FlagEphemeral))
		if e := eventOf(t, watcher.recv()); e.Type != proto.EventNodeCreated || e.Path != path {
			t.Fatalf("%+v", e)
		}
		watcher.must(proto.OpGetData, get(path, true))
	}
	watcher.must(proto.OpGetChildren, get("/d", true))
	last := time.Now()
	silent.must(proto.OpExists, get("/d", false))
	var zxid proto.Zxid
	for i := 0; i <= nodes; i++ {
		p := watcher.recv()
		e := eventOf(t, p)
		if i == 0 {
			zxid = p.Zxid
		}
		// The first deletion is the one that the parent's child watch hears of.
		want := proto.WatcherEvent{Type: proto.EventNodeDeleted, State: proto.StateSyncConnected}
		switch {
		case i == 0:
			want.Path = "/d/00"
		case i == 1:
			want.Path, want.Type = "/d", proto.EventNodeChildrenChanged
		default:
			want.Path = fmt.Sprintf("/d/%02d", i-1)
		}
		if e != want || p.Zxid != zxid {
			t.Errorf("event %d: %+v with %v, want %+v with %v", i, e, p.Zxid, want, zxid)
		}
	}
	took := time.Since(last)
	if took < timeout || took > timeout+2*testTick+slack() {
		t.Errorf("expired after %v, want %v to %v", took, timeout, timeout+2*testTick)
	}
	t.Logf("a session of %v expired after %v", timeout, took)
	silent.closed()
	if p := watcher.call(proto.OpExists, get("/d/00", false)); p.Err != proto.ErrNoNode {
		t.Errorf("an ephemeral is still there: %v", p.Err)
	}
	gone := dial(t, s)
	gone.connect(proto.ConnectRequest{TimeOut: 1000, SessionID: silent.session.SessionID,
		Passwd: silent.session.Passwd})
	if gone.session.SessionID != 0 || gone.session.TimeOut != 0 {
		t.Errorf("an expired session was attached: %+v", gone.session)
	}
	gone.closed()
	by.well(50 * time.Millisecond)
}

// slack is what a busy machine may add to a time that is measured.
func slack() time.Duration {
	if raceEnabled {
		return 2 * time.Second
	}
	return 500 * time.Millisecond
}

// A session that pings lives on, and so does one that sends anything else.
func TestSessionThatIsHeardLives(t *testing.T) {
	s := startServer(t, quick)
	const timeout = 4 * testTick
	pings := attach(t, s, timeout, proto.ConnectResponse{})
	reads := attach(t, s, timeout, proto.ConnectResponse{})
	writes := attach(t, s, timeout, proto.ConnectResponse{})
	writes.must(proto.OpCreate, create("/w", "", proto.FlagEphemeral))
	beat := time.NewTicker(timeout / 4)
	defer beat.Stop()
	for range 24 { // six timeouts
		<-beat.C
		pings.sendXid(proto.XidPing, proto.OpPing)
		pings.flush()
		if p := pings.recv(); p.Xid != proto.XidPing || p.Err != proto.OK {
			t.Fatalf("ping: %+v", p)
		}
		reads.must(proto.OpExists, get("/", false))
		writes.must(proto.OpSetData, setData("/w", "", -1))
	}
}

// A session without a connection lives until its timeout is over, not longer.
func TestSessionOutlivesItsConnection(t *testing.T) {
	s := startServer(t, quick)
	watcher := attach(t, s, 50*testTick, proto.ConnectResponse{})
	const timeout = 8 * testTick
	w := attach(t, s, timeout, proto.ConnectResponse{})
	w.must(proto.OpCreate, create("/e", "", proto.FlagEphemeral))
	for range 4 {
		if err := w.conn.Close(); err != nil {
			t.Fatal(err)
		}
		<-time.After(timeout / 2)
		w = attach(t, s, timeout, w.session)
	}
	last := time.Now()
	watcher.must(proto.OpExists, get("/e", true))
	if err := w.conn.Close(); err != nil {
		t.Fatal(err)
	}
	if e := eventOf(t, watcher.recv()); e.Type != proto.EventNodeDeleted {
		t.Fatalf("%+v", e)
	}
	if took := time.Since(last); took < timeout || took > timeout+2*testTick+slack() {
		t.Errorf("expired after %v, want %v to %v", took, timeout, timeout+2*testTick)
	}
}

// closeSession removes the ephemerals, tells the watchers before it answers, then closes.
func TestCloseSession(t *testing.T) {
	s := startServer(t, quick)
	w := attach(t, s, 50*testTick, proto.ConnectResponse{})
	w.must(proto.OpCreate, create("/e", "", proto.FlagEphemeral))
	w.must(proto.OpGetData, get("/e", true))
	bye := w.send(proto.OpCloseSession)
	w.send(proto.OpCreate, create("/late", "", 0))
	w.flush()
	p := w.recv()
	if e := eventOf(t, p); e.Type != proto.EventNodeDeleted || e.Path != "/e" {
		t.Errorf("%+v", e)
	}
	if q := w.recv(); q.Xid != bye || q.Err != proto.OK || q.Zxid != p.Zxid || len(q.body) != 0 {
		t.Errorf("%+v, the event had %v", q, p.Zxid)
	}
	w.closed()
	other := attach(t, s, 50*testTick, proto.ConnectResponse{})
	for _, path := range []string{"/e", "/late"} {
		if p := other.call(proto.OpExists, get(path, false)); p.Err != proto.ErrNoNode {
			t.Errorf("%s: %v", path, p.Err)
		}
	}
}

// A session that attaches again, on whatever loop, keeps its ephemerals; the old connection is
// closed, and no write that came over it lands after the new one was answered.
func TestOldConnectionNeverWritesAfterReattach(t *testing.T) {
	seed := rand.Int63()
	t.Logf("seed %d", seed)
	s := startServer(t, func(o *Options) {
		quick(o)
		inMemory(o)
		o.Loops = 8
	})
	rounds, clients := scaled(25, 1000), scaled(4, 8)
	var wg sync.WaitGroup
	for i := range clients {
		wg.Add(1)
		go func() {
			defer wg.Done()
			moveAbout(t, s, rand.New(rand.NewSource(seed+int64(i))), fmt.Sprintf("/m%d", i), rounds)
		}()
	}
	wg.Wait()
	setup := connectTo(t, s)
	for i := range clients {
		setup.must(proto.OpExists, get(fmt.Sprintf("/m%d", i), false)) // still there: ephemeral
	}
}

// moveAbout moves one session from connection to connection while the one before still writes.
func moveAbout(t *testing.T, s *Server, rng *rand.Rand, path string, rounds int) {
	w := attach(t, s, 90*testTick, proto.ConnectResponse{})
	session := w.session
	w.must(proto.OpCreate, create(path, "", proto.FlagEphemeral))
	for round := range rounds {
		old := w
		stop, done := make(chan struct{}), make(chan struct{})
		go func() { // writes until the server closes the connection
			defer close(done)
			for n := 0; ; n++ {
				old.send(proto.OpSetData, setData(path, fmt.Sprintf("%d old", round), -1))
				if n%4 == 0 {
					old.send(proto.OpGetData, get(path, false))
				}
				if _, err := old.conn.Write(old.out); err != nil {
					return
				}
				old.out = old.out[:0]
				select {
				case <-stop:
					return
				default:
				}
			}
		}()
		go drainConn(old.conn)
		for range rng.Intn(2000) {
			_ = rng.Int() // a moment of random length
		}
		w = attach(t, s, 90*testTick, session)
		// Answered: from here on the version moves by our own writes alone.
		d := dataOf(t, w.must(proto.OpGetData, get(path, false)))
		version := d.Stat.Version
		for i := range 4 {
			w.send(proto.OpSetData, setData(path, "new", version+int32(i)))
			w.send(proto.OpGetData, get(path, false))
		}
		w.flush()
		for i := range 4 {
			if p := w.recv(); p.Err != proto.OK {
				t.Errorf("%s: a write of the old connection landed after the move: %v", path, p.Err)
				return
			}
			d := dataOf(t, w.recv())
			if string(d.Data) != "new" || d.Stat.Version != version+int32(i)+1 {
				t.Errorf("%s: read %q, version %d, want %d", path, d.Data, d.Stat.Version, version+int32(i)+1)
				return
			}
		}
		close(stop)
		<-done
		if d.Stat.EphemeralOwner != session.SessionID {
			t.Errorf("%s: owner %x", path, d.Stat.EphemeralOwner)
			return
		}
	}
}

// drainConn reads a connection until it ends, so that its writer is never held up.
func drainConn(c net.Conn) {
	b := make([]byte, 1<<16)
	for {
		if _, err := c.Read(b); err != nil {
			return
		}
	}
}

// Each connection that attaches to a session closes the one before, in whatever order they
// come; in the end one of them is live.
func TestReattachFromManyAtOnce(t *testing.T) {
	s := startServer(t, func(o *Options) {
		quick(o)
		o.Loops = 8
	})
	first := attach(t, s, 50*testTick, proto.ConnectResponse{})
	first.must(proto.OpCreate, create("/e", "", proto.FlagEphemeral))
	const many = 32
	all := make([]*wire, many)
	for i := range all {
		w := dial(t, s)
		w.frame((&proto.ConnectRequest{TimeOut: 5000, SessionID: first.session.SessionID,
			Passwd: first.session.Passwd, HasReadOnly: true}).Fields)
		all[i] = w
	}
	var wg sync.WaitGroup
	for _, w := range all {
		wg.Add(1)
		go func() {
			defer wg.Done()
			w.flush()
		}()
	}
	wg.Wait()
	first.closed()
	var attached []*wire
	for _, w := range all { // an answer, or the end: then the core has seen every one of them
		body, err := w.read()
		if err != nil {
			continue // dropped before its answer left
		}
		var q proto.ConnectResponse
		r := jute.Reader(body)
		if q.Fields(&r); q.SessionID != first.session.SessionID {
			t.Errorf("refused: %+v", q)
		}
		attached = append(attached, w)
	}
	live := 0
	for _, w := range attached { // only the owner's write counts, whenever the others learn of it
		xid := w.send(proto.OpSetData, setData("/e", "owner", -1))
		if _, err := w.conn.Write(w.out); err != nil {
			continue
		}
		body, err := w.read()
		if err != nil {
			continue
		}
		if p := parseReply(t, body); p.Xid != xid || p.Err != proto.OK {
			t.Errorf("%+v", p)
		}
		live++
	}
	if live != 1 {
		t.Errorf("%d of %d connections are live", live, many)
	}
}
