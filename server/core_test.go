package server

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/server/auth"
	"github.com/meerkat-zk/meerkat/server/clientlog"
	"github.com/meerkat-zk/meerkat/tree"
)

// A stage drives a core by hand: no goroutine, no clock, no disk. Its log is durable when the
// test says so.
type stage struct {
	t     *testing.T
	c     *core
	now   clock
	loop  *loop
	entry []entry // published, in order
	saved []*tree.Root
	names int // znodes that accept made
}

// collect keeps what a turn published and offered for snapshots.
func (g *stage) collect() {
	for _, b := range g.c.out.publish {
		g.entry = append(g.entry, b.entries...)
	}
	g.saved = append(g.saved, g.c.out.save...)
}

func newStage(t *testing.T, change func(*Options)) *stage {
	t.Helper()
	o := testOptions(t, change)
	s := &Server{cfg: o.Config, started: time.Now(), clientLog: clientlog.New(o.Logger, nil)}
	var err error
	if s.providers, err = auth.New(auth.Config{DigestEnabled: true}); err != nil {
		t.Fatal(err)
	}
	g := &stage{t: t, loop: &loop{}, now: clock{wallMs: 1_000_000, monoMs: 1000}}
	g.c = s.newCore(recovered{head: tree.NewHead(tree.Options{ExtendedTypes: o.Config.ExtendedTypes})})
	g.c.loops = 1
	g.c.sessions.nextID = 0x100
	return g
}

// turn gives the core inputs and makes all that it logs durable at once.
func (g *stage) turn(in inputs) {
	for {
		in.durable = max(in.durable, g.c.leader.Committed())
		g.c.turn(&in, g.now)
		g.collect()
		if g.c.out.ask { // the loop has heard nobody
			in = inputs{answered: 1}
			continue
		}
		if len(g.c.window.batches) == 0 {
			return
		}
		in = inputs{durable: g.c.leader.Proposed()}
	}
}

// tick moves the clock and tells the core.
func (g *stage) tick(ms int64, in inputs) {
	g.now.monoMs += ms
	g.now.wallMs += ms
	in.ticked = true
	g.turn(in)
}

func (g *stage) attach(timeoutMs int32) (int64, *conn) {
	g.t.Helper()
	conn := &conn{loop: g.loop}
	g.turn(inputs{requests: []request{{kind: reqConnect, conn: conn, timeout: timeoutMs}}})
	e := g.entry[len(g.entry)-1]
	if e.kind != entryConnect || e.conn != conn {
		g.t.Fatalf("%+v", e)
	}
	return e.more.session, conn
}

// do runs one write and returns its entry.
func (g *stage) do(session int64, conn *conn, op proto.Op, fields func(*jute.Coder)) entry {
	g.t.Helper()
	w := jute.Writer(nil)
	fields(&w)
	before := len(g.entry)
	g.turn(inputs{requests: []request{{kind: reqOp, op: op, session: session, conn: conn,
		body: w.Bytes(), xid: 1}}})
	if len(g.entry) == before {
		g.t.Fatalf("%v was dropped", op)
	}
	return g.entry[len(g.entry)-1]
}

// A session ends between its timeout and a tick after it, unless it is heard from.
func TestSessionExpiresInItsBucket(t *testing.T) {
	g := newStage(t, nil) // tick 2000 ms
	id, _ := g.attach(4000)
	quiet, _ := g.attach(4000)
	for ms := int64(0); ms < 20000; ms += 1000 {
		heard := inputs{touches: []touch{{id, g.now.monoMs}}}
		g.tick(1000, heard)
		_, there := g.c.head.Session(quiet)
		if silent := ms + 1000; silent < 4000 && !there || silent > 7000 && there {
			t.Fatalf("after %d ms of silence: known %v", silent, there)
		}
	}
	if _, ok := g.c.head.Session(id); !ok {
		t.Fatal("a session that was heard from expired")
	}
}

// Sessions whose timeout is not above 0, as a file or a restore may bring them, end with the next
// tick, unless their client comes back. Java's ExpiryQueue does so at 0; what is due before its
// first moment it never looks at, and such a session stays for ever.
func TestLoadedSessionWithoutTimeoutExpires(t *testing.T) {
	for _, restored := range []bool{false, true} {
		g := newStage(t, nil) // tick 2000 ms
		h := tree.NewHead(tree.Options{})
		const back = 0x77
		timeouts := map[int64]int32{1: 0, 2: -1, 3: -5000, 4: math.MinInt32, back: -5000}
		for _, id := range slices.Sorted(maps.Keys(timeouts)) {
			x := proto.Txn{Header: proto.TxnHeader{ClientID: id, Zxid: h.Zxid() + 1,
				Type: proto.OpCreateSession}, Body: proto.Body{TimeOut: timeouts[id]}}
			if err := h.Apply(&x, new([]tree.Event)); err != nil {
				t.Fatal(err)
			}
		}
		if restored {
			g.c.startOver(h, g.now.monoMs)
		} else {
			s := &Server{cfg: testOptions(t, nil).Config, started: time.Now()}
			c := s.newCore(recovered{head: h})
			c.loops, g.c = 1, c
			g.now.monoMs = 0
		}
		password := proto.SessionPassword(back)
		g.turn(inputs{requests: []request{{kind: reqConnect, conn: &conn{loop: g.loop},
			session: back, timeout: 8000, body: password[:]}}})
		for range 4 {
			g.tick(1000, inputs{})
		}
		for id := range timeouts {
			if _, there := g.c.head.Session(id); there != (id == back) {
				t.Errorf("restored %v: of %d ms, known %v", restored, timeouts[id], there)
			}
		}
	}
}

// A touch that a loop had not reported yet saves its session.
func TestExpiryAsksTheLoops(t *testing.T) {
	g := newStage(t, nil)
	id, _ := g.attach(4000)
	for range 4 {
		g.tick(1000, inputs{})
	}
	g.now.monoMs += 1000
	in := inputs{ticked: true}
	g.c.turn(&in, g.now)
	if !g.c.out.ask {
		t.Fatal("nobody was asked")
	}
	g.turn(inputs{answered: 1, touches: []touch{{id, g.now.monoMs - 100}}})
	if _, ok := g.c.head.Session(id); !ok {
		t.Fatal("expired although a loop had heard it")
	}
}

// A server that slept does not blame its clients: one and a half timeouts of silence of its
// own take no session away, and the touch before the sleep counts as it did.
func TestOwnSilenceMovesDeadlines(t *testing.T) {
	g := newStage(t, nil)
	id, _ := g.attach(4000)
	for range 3 {
		g.tick(1000, inputs{touches: []touch{{id, g.now.monoMs}}})
	}
	before := g.now.monoMs
	g.tick(6000, inputs{touches: []touch{{id, before}}})
	for range 3 {
		g.tick(1000, inputs{})
		if _, ok := g.c.head.Session(id); !ok {
			t.Fatal("expired for the server's own silence")
		}
	}
	for range 5 {
		g.tick(1000, inputs{})
	}
	if _, ok := g.c.head.Session(id); ok {
		t.Fatal("never expired")
	}
}

// The requests of a connection that lost its session are dropped, even those that were on
// their way before.
func TestStrangersRequestsAreDropped(t *testing.T) {
	g := newStage(t, nil)
	id, old := g.attach(4000)
	fresh := &conn{loop: g.loop}
	p := proto.SessionPassword(id)
	w := jute.Writer(nil)
	create("/late", "", 0)(&w)
	g.turn(inputs{requests: []request{
		{kind: reqConnect, conn: fresh, session: id, body: p[:], timeout: 4000},
		{kind: reqOp, op: proto.OpCreate, session: id, conn: old, body: w.Bytes()},
	}})
	if g.c.head.Get("/late") != nil {
		t.Fatal("an old connection's write landed after the session had moved")
	}
	kinds := []entryKind{}
	for _, e := range g.entry {
		kinds = append(kinds, e.kind)
	}
	if want := []entryKind{entryConnect, entryDrop, entryConnect}; !slices.Equal(kinds, want) {
		t.Fatalf("entries %v, want %v", kinds, want)
	}
	if e := g.do(id, fresh, proto.OpCreate, create("/mine", "", 0)); e.code != proto.OK {
		t.Fatalf("%+v", e)
	}
}

// As in Java, a wrong password cuts the rightful owner's connection, and gets nothing.
func TestWrongPassword(t *testing.T) {
	g := newStage(t, nil)
	id, _ := g.attach(4000)
	g.turn(inputs{requests: []request{{kind: reqConnect, conn: &conn{loop: g.loop}, session: id,
		body: make([]byte, 16), timeout: 4000}}})
	if n := len(g.entry); g.entry[n-2].kind != entryDrop || g.entry[n-1].kind != entryRefuse {
		t.Fatalf("%+v", g.entry[n-2:])
	}
}

// Containers go once their last child has, TTL znodes once they are old, and no sooner.
func TestReaper(t *testing.T) {
	g := newStage(t, func(o *Options) {
		o.Config.ExtendedTypes = true
		o.Config.ContainerCheckInterval = 10 * time.Second
		o.Config.ContainerMaxNeverUsed = 100 * time.Second
	})
	id, conn := g.attach(40000)
	ttl := proto.CreateTTLRequest{CreateRequest: proto.CreateRequest{Path: "/ttl",
		ACL: proto.OpenACL, Flags: proto.FlagPersistentTTL}, TTL: 30000}
	for _, x := range []struct {
		op     proto.Op
		fields func(*jute.Coder)
	}{
		{proto.OpCreateContainer, create("/used", "", proto.FlagContainer)},
		{proto.OpCreateContainer, create("/unused", "", proto.FlagContainer)},
		{proto.OpCreateTTL, ttl.Fields},
		{proto.OpCreate, create("/used/child", "", 0)},
	} {
		if e := g.do(id, conn, x.op, x.fields); e.code != proto.OK {
			t.Fatalf("%+v", e)
		}
	}
	there := func() string {
		var names []string
		for _, p := range []string{"/used", "/unused", "/ttl"} {
			if g.c.head.Get(p) != nil {
				names = append(names, p)
			}
		}
		return strings.Join(names, " ")
	}
	steps := map[int]string{5: "/used /unused /ttl", 20: "/unused /ttl", 50: "/unused", 130: ""}
	for s := 1; s <= 130; s++ {
		if s == 10 {
			g.do(id, conn, proto.OpDelete, del("/used/child", -1))
		}
		g.tick(1000, inputs{touches: []touch{{id, g.now.monoMs}}})
		if want, ok := steps[s]; ok && there() != want {
			t.Fatalf("after %d s: %q, want %q", s, there(), want)
		}
	}
}

// A multi that fails leaves the head as it was, digest included, and takes a zxid; the first
// failing part is named, earlier ones are 0, later ones -2.
func TestFailedMulti(t *testing.T) {
	g := newStage(t, nil)
	id, conn := g.attach(4000)
	g.do(id, conn, proto.OpCreate, create("/a", "x", 0))
	zxid, digest := g.c.head.Zxid(), g.c.head.Digest()
	e := g.do(id, conn, proto.OpMulti, multi(
		step{proto.OpCreate, create("/b", "", 0)},
		step{proto.OpSetData, setData("/a", "y", 7)},
		step{proto.OpDelete, del("/a", -1)},
	))
	var codes []proto.Code
	for _, p := range e.more.parts {
		codes = append(codes, p.code)
	}
	want := []proto.Code{proto.OK, proto.ErrBadVersion, proto.ErrRuntimeInconsistency}
	if e.code != proto.OK || !slices.Equal(codes, want) {
		t.Fatalf("%v %v", e.code, codes)
	}
	if g.c.head.Zxid() != zxid+1 || g.c.head.Digest() != digest || g.c.head.Get("/b") != nil {
		t.Fatalf("zxid %v digest %x", g.c.head.Zxid(), g.c.head.Digest())
	}
}

// The log has create2 in a multi as create, which all versions can read; its answer is create2.
func TestCreate2InMultiIsLoggedAsCreate(t *testing.T) {
	g := newStage(t, nil)
	id, conn := g.attach(4000)
	e := g.do(id, conn, proto.OpMulti, multi(step{proto.OpCreate2, create("/a", "x", 0)}))
	logged := g.c.txn.Body.Parts[0].Type
	if answer := e.more.parts[0].op; logged != proto.OpCreate || answer != proto.OpCreate2 {
		t.Fatalf("logged %v, answered %v", logged, answer)
	}
}

type step struct {
	op     proto.Op
	fields func(*jute.Coder)
}

func multi(steps ...step) func(*jute.Coder) {
	return func(c *jute.Coder) {
		for _, s := range steps {
			h := proto.MultiHeader{Op: s.op, Err: -1}
			h.Fields(c)
			s.fields(c)
		}
		end := proto.MultiEnd
		end.Fields(c)
	}
}

func TestSequenceNames(t *testing.T) {
	for n, want := range map[int32]string{0: "/s-0000000000", 42: "/s-0000000042",
		1<<31 - 1: "/s-2147483647", -5: "/s--000000005"} {
		if got := appendSequence("/s-", n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

// A batch is cut at its limit, and every batch is published in the order of its zxids.
func TestBatchesAreBounded(t *testing.T) {
	g := newStage(t, nil)
	id, conn := g.attach(4000)
	var in inputs
	for i := range 2*batchTxnsMax + 10 {
		w := jute.Writer(nil)
		create(fmt.Sprintf("/n%d", i), "", 0)(&w)
		in.requests = append(in.requests, request{kind: reqOp, op: proto.OpCreate, session: id,
			conn: conn, body: w.Bytes()})
	}
	g.c.turn(&in, g.now)
	if n := len(g.c.out.appends); n != 3 {
		t.Fatalf("%d appends, want 2 full batches and the rest, for one fsync", n)
	}
	last := proto.Zxid(0)
	g.turn(inputs{durable: g.c.leader.Proposed()})
	for _, e := range g.entry {
		if e.zxid < last {
			t.Fatalf("%v after %v", e.zxid, last)
		}
		last = e.zxid
	}
	if want := 2*batchTxnsMax + 11; len(g.entry) != want {
		t.Fatalf("%d entries, want %d", len(g.entry), want)
	}
}

// A write that a read stands before is in a later batch than its connection's write before that
// read; other connections' writes share the first batch; nothing of a session overtakes.
func TestRounds(t *testing.T) {
	g := newStage(t, nil)
	a, connA := g.attach(4000)
	b, connB := g.attach(4000)
	connB.session = 1 // names it in what the test prints
	write := func(id int64, conn *conn, xid int32, cut bool) request {
		w := jute.Writer(nil)
		create(fmt.Sprintf("/%d-%d", id, xid), "", 0)(&w)
		return request{kind: reqOp, op: proto.OpCreate, session: id, conn: conn, xid: xid,
			body: w.Bytes(), cut: cut}
	}
	in := inputs{requests: []request{
		write(a, connA, 1, false), write(a, connA, 2, true), write(a, connA, 3, false),
		write(a, connA, 4, true), write(b, connB, 1, true), write(b, connB, 2, true),
		{kind: reqDetach, session: b, conn: connB},
	}}
	g.c.turn(&in, g.now)
	var got []string
	for _, batch := range g.c.window.batches {
		line := ""
		for _, e := range batch.entries {
			line += fmt.Sprintf("%c%d ", 'a'+byte(e.conn.session), e.xid)
		}
		got = append(got, line)
	}
	if want := []string{"a1 b1 ", "a2 a3 b2 ", "a4 "}; !slices.Equal(got, want) {
		t.Fatalf("batches %q, want %q", got, want)
	}
	for _, batch := range g.c.window.batches {
		if batch.root == nil {
			t.Error("a round has no root")
		}
	}
	if s := g.c.sessions.get(b); s.conn != nil {
		t.Error("the detach was lost")
	}
}
