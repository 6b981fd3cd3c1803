package server

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand"
	"strings"
	"testing"
	"time"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
)

// What a client may not send ends its own connection, with the reason in the log, and nothing
// else: a bystander on the same loop is served all the while.

// frameOf is a frame of these bytes.
func frameOf(body string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(body)))) + body
}

func TestBadBytesCloseOneConnection(t *testing.T) {
	s, j := oneLoop(t, nil)
	by := newBystander(t, s)
	seed := rand.Int63()
	t.Logf("seed %d", seed)
	noise := make([]byte, 4096)
	rand.New(rand.NewSource(seed)).Read(noise)
	noise[0] |= 0x80 // a length that cannot be
	cases := []struct {
		name, bytes, why string
		live             bool // sent after a session was set up
	}{
		{"negative length", "\x80\x00\x00\x00", "bad frame length: -2147483648", false},
		{"length -1", "\xff\xff\xff\xff", "bad frame length: -1", false},
		{"2 GB", "\x7f\xff\xff\xff", "bad frame length: 2147483647", false},
		{"one over the limit", "\x00\x10\x00\x00", "bad frame length: 1048576 (limit 1048575)", false},
		{"HTTP", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP, which is answered on", false},
		{"unknown word", "quit", "there is no four-letter word quit", false},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TLS, which this port", false},
		{"noise", string(noise), "bad frame length", false},
		{"empty first frame", frameOf(""), "jute", false},
		{"short first frame", frameOf("hello"), "jute", false},
		{"password of 2 GB", frameOf(strings.Repeat("\x00", 24) + "\x7f\xff\xff\xff"), "jute", false},
		{"negative length, live", "\x80\x00\x00\x00", "bad frame length: -2147483648", true},
		{"2 GB, live", "\x7f\xff\xff\xff", "a request is larger than jute.maxbuffer", true},
		{"one over the limit, live", "\x00\x10\x00\x00", "bad frame length: 1048576", true},
		{"a word, live", "ruok", "bad frame length", true},
		{"empty frame, live", frameOf(""), "jute", true},
		{"half a header, live", frameOf("\x00\x00\x00\x01\x00"), "jute", true},
		{"good, then bad", frameOf("\x00\x00\x00\x01\x00\x00\x00\x0b") + "\xff\xff\xff\xfe",
			"bad frame length: -2", true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := dial(t, s)
			if c.live {
				w = connectTo(t, s)
			}
			w.t = t
			w.out = append(w.out, c.bytes...)
			w.flush()
			w.closed()
			j.await(t, w.addr(), "connection closed", c.why)
		})
	}
	by.well(50 * time.Millisecond)
}

// A frame that never gets its end changes nothing; before a session it costs the connection
// after nio.sessionlessCnxnTimeout, after it the client's silence counts as any other.
func TestTornFrame(t *testing.T) {
	s, j := oneLoop(t, func(o *Options) {
		o.Config.TickTime = 50 * time.Millisecond
		o.Config.SessionlessTimeout = 200 * time.Millisecond
	})
	by := newBystander(t, s)
	q := proto.ConnectRequest{TimeOut: 4000, Passwd: make([]byte, 16)}
	whole := dial(t, s)
	whole.frame(q.Fields)
	for _, cut := range []int{0, 1, 3, 4, 20, len(whole.out) - 1} {
		w := dial(t, s)
		w.out = append(w.out, whole.out[:cut]...)
		w.flush()
		w.closed()
		j.await(t, w.addr(), "no ConnectRequest within 200ms")
	}
	w := connectTo(t, s)
	w.send(proto.OpCreate, create("/torn", "x", 0))
	w.out = w.out[:len(w.out)-1]
	w.flush()
	if err := w.conn.Close(); err != nil {
		t.Fatal(err)
	}
	c := connectTo(t, s)
	if p := c.call(proto.OpExists, get("/torn", false)); p.Err != proto.ErrNoNode {
		t.Errorf("half a create: %v", p.Err)
	}
	by.well(50 * time.Millisecond)
}

// An operation that does not exist, or is not a client's to send, is answered with -6 and
// zxid -1 after all that came before it; then the connection is closed.
func TestUnknownOp(t *testing.T) {
	s, j := oneLoop(t, nil)
	by := newBystander(t, s)
	for _, op := range []proto.Op{proto.OpNotification, proto.OpError, proto.OpCreateSession,
		proto.OpDeleteContainer, proto.OpCheck, 10, 23, 99, 108, -12, 1 << 30, -1 << 31} {
		w := connectTo(t, s)
		first := w.send(proto.OpSetData, setData("/none", "", -1))
		bad := w.raw(op, []byte("\x00\x00\x00\x02/a"))
		w.send(proto.OpCreate, create("/after", "", 0))
		w.flush()
		if p := w.expect(first); p.Err != proto.ErrNoNode {
			t.Errorf("before %d: %v", op, p.Err)
		}
		if p := w.expect(bad); p.Err != proto.ErrUnimplemented || p.Zxid != -1 || len(p.body) != 0 {
			t.Errorf("op %d: %+v", op, p)
		}
		w.closed()
		j.await(t, w.addr(), "unknown operation")
	}
	w := connectTo(t, s)
	if p := w.call(proto.OpExists, get("/after", false)); p.Err != proto.ErrNoNode {
		t.Errorf("what stood behind an unknown operation was done: %v", p.Err)
	}
	by.well(50 * time.Millisecond)
}

// A record that is cut off anywhere is answered with -5, and the connection goes on. A count
// of 2^31-1 elements is no reason to make room for them.
func TestTruncatedRecords(t *testing.T) {
	s, _ := oneLoop(t, nil)
	by := newBystander(t, s)
	w := connectTo(t, s)
	acl := proto.SetACLRequest{Path: "/x", ACL: proto.OpenACL, Version: -1}
	watches := noWatches(0)
	watches.Data, watches.Two = []string{"/x"}, true
	typ := proto.PathType{Path: "/x", Type: proto.WatcherAny}
	records := []struct {
		op     proto.Op
		fields func(*jute.Coder)
	}{
		{proto.OpCreate, create("/x", "data", 0)}, {proto.OpCreate2, create("/x", "data", 0)},
		{proto.OpCreateContainer, create("/x", "data", 4)}, {proto.OpDelete, del("/x", -1)},
		{proto.OpSetData, setData("/x", "data", -1)}, {proto.OpSetACL, acl.Fields},
		{proto.OpExists, get("/x", true)}, {proto.OpGetData, get("/x", true)},
		{proto.OpGetChildren, get("/x", true)}, {proto.OpGetChildren2, get("/x", true)},
		{proto.OpGetACL, only("/x")}, {proto.OpSync, only("/x")},
		{proto.OpGetAllChildrenNumber, only("/x")}, {proto.OpGetEphemerals, only("/x")},
		{proto.OpAddWatch, typ.Fields}, {proto.OpCheckWatches, typ.Fields},
		{proto.OpRemoveWatches, typ.Fields}, {proto.OpSetWatches2, watches.Fields},
		{proto.OpMulti, multiOf(subOp{proto.OpDelete, del("/x", -1)})},
	}
	for _, r := range records {
		c := jute.Writer(nil)
		r.fields(&c)
		whole := c.Bytes()
		for cut := range len(whole) {
			xid := w.raw(r.op, whole[:cut])
			w.flush()
			if p := w.expect(xid); p.Err != proto.ErrMarshalling || len(p.body) != 0 {
				t.Errorf("%v cut to %d of %d bytes: %v", r.op, cut, len(whole), p.Err)
			}
		}
	}
	huge := "\x7f\xff\xff\xff"
	for _, r := range []struct {
		op   proto.Op
		body string
	}{
		{proto.OpCreate, "\x00\x00\x00\x02/x\x00\x00\x00\x00" + huge},
		{proto.OpSetACL, "\x00\x00\x00\x02/x" + huge},
		{proto.OpSetWatches, strings.Repeat("\x00", 8) + huge},
		{proto.OpCreate, huge}, {proto.OpGetData, huge}, {proto.OpGetData, "\x80\x00\x00\x00"},
	} {
		xid := w.raw(r.op, []byte(r.body))
		w.flush()
		if p := w.expect(xid); p.Err != proto.ErrMarshalling {
			t.Errorf("%v with a count of 2^31-1: %v", r.op, p.Err)
		}
	}
	if p := w.call(proto.OpExists, get("/x", false)); p.Err != proto.ErrNoNode {
		t.Errorf("a record that was cut off did something: %v", p.Err)
	}
	by.well(50 * time.Millisecond)
}

type subOp struct {
	op     proto.Op
	fields func(*jute.Coder)
}

// multiOf is the body of a multi (MultiOperationRecord).
func multiOf(parts ...subOp) func(*jute.Coder) {
	return func(c *jute.Coder) {
		for _, p := range parts {
			h := proto.MultiHeader{Op: p.op, Err: -1}
			h.Fields(c)
			p.fields(c)
		}
		end := proto.MultiEnd
		end.Fields(c)
	}
}

// Paths that no znode may have. The order of checks is PrepRequestProcessor's: a parent that
// is not there comes before the rules of PathUtils.
func TestBadPaths(t *testing.T) {
	s, _ := oneLoop(t, nil)
	by := newBystander(t, s)
	w := connectTo(t, s)
	w.must(proto.OpCreate, create("/a", "", 0))
	const bad, none = proto.ErrBadArguments, proto.ErrNoNode
	cases := []struct {
		path                        string
		create, sequential, del, is proto.Code
	}{
		{"", bad, bad, bad, proto.OK}, // reads take it for "/"
		{"a", bad, bad, bad, none},
		{"a/b", none, none, none, none},
		{"/", proto.ErrNodeExists, proto.OK, bad, proto.OK},
		{"/a/", bad, proto.OK, none, none},
		{"//", bad, bad, none, none},
		{"//a", bad, bad, none, none},
		{"/a//b", none, none, none, none},
		{"/.", bad, proto.OK, none, none}, // a dot with a number behind it is a name
		{"/..", bad, proto.OK, none, none},
		{"/a/..", bad, proto.OK, none, none},
		{"/a/../b", none, none, none, none},
		{"/a/./b", none, none, none, none},
		{"/x\x00y", bad, bad, bad, bad},
		{"/\x00", bad, bad, bad, bad},
		{"/\x1f", bad, bad, none, none},
		{"/\x7f", bad, bad, none, none},
		{"/\u0085", bad, bad, none, none},
		{"/\xed\xa0\x80", bad, bad, none, none}, // a surrogate
		{"/\xed\xa0\xbd\xed\xb8\x80", bad, bad, none, none},
		{"/\U0001F600", bad, bad, none, none}, // two surrogates to Java
		{"/\uE000", bad, bad, none, none},
		{"/\uFFF0", bad, bad, none, none},
		{"/\xff", bad, bad, none, none},
		{"/\xc3", bad, bad, none, none},
	}
	acl := proto.SetACLRequest{ACL: proto.OpenACL, Version: -1}
	for _, c := range cases {
		check := func(what string, want proto.Code, op proto.Op, fields func(*jute.Coder)) {
			t.Helper()
			if got := w.call(op, fields); got.Err != want {
				t.Errorf("%s of %q: %v, want %v", what, c.path, got.Err, want)
			}
		}
		check("create", c.create, proto.OpCreate, create(c.path, "", 0))
		check("create2", c.create, proto.OpCreate2, create(c.path, "", 0))
		check("sequential create", c.sequential, proto.OpCreate, create(c.path, "", 2))
		check("delete", c.del, proto.OpDelete, del(c.path, -1))
		check("exists", c.is, proto.OpExists, get(c.path, false))
		reads := none
		if c.is == proto.OK {
			reads = proto.OK
		}
		check("getData", reads, proto.OpGetData, get(c.path, false))
		check("getChildren", reads, proto.OpGetChildren, get(c.path, false))
		check("getACL", reads, proto.OpGetACL, only(c.path))
		check("getAllChildrenNumber", reads, proto.OpGetAllChildrenNumber, only(c.path))
		if c.path == "/" {
			continue
		}
		check("setData", setCode(c.path), proto.OpSetData, setData(c.path, "", -1))
		acl.Path = c.path
		check("setACL", setCode(c.path), proto.OpSetACL, acl.Fields)
	}
	by.well(50 * time.Millisecond)
}

// setCode is what setData and setACL answer for a path without a znode: they check the path
// first.
func setCode(path string) proto.Code {
	if proto.ValidPath(path) {
		return proto.ErrNoNode
	}
	return proto.ErrBadArguments
}

// Data is bounded by the frame: the largest frame is served, one byte more ends the
// connection, and so does 1 MiB + 1 of data.
func TestLargestData(t *testing.T) {
	s, j := oneLoop(t, nil)
	by := newBystander(t, s)
	w := connectTo(t, s)
	limit := s.cfg.JuteMaxBuffer
	w.send(proto.OpCreate, create("/big", "", 0))
	rest := limit - (len(w.out) - 4)
	w.out, w.xid = w.out[:0], 0
	data := strings.Repeat("x", rest)
	w.must(proto.OpCreate, create("/big", data, 0))
	if d := dataOf(t, w.must(proto.OpGetData, get("/big", false))); string(d.Data) != data {
		t.Errorf("read %d bytes, wrote %d", len(d.Data), len(data))
	}
	for _, size := range []int{rest + 1, 1<<20 + 1} {
		w := connectTo(t, s)
		w.send(proto.OpCreate, create("/bigger", strings.Repeat("x", size), 0))
		_, _ = w.conn.Write(w.out) // the server may close before all is written
		w.closed()
		j.await(t, w.addr(), "bad frame length")
	}
	if p := w.call(proto.OpExists, get("/bigger", false)); p.Err != proto.ErrNoNode {
		t.Errorf("too large a create: %v", p.Err)
	}
	by.well(50 * time.Millisecond)
}

// A multi of 10,000 parts of which one fails does nothing at all, says which part it was, and
// takes one zxid; without that part all is done.
func TestLargeMultiWithOneFailure(t *testing.T) {
	s, _ := oneLoop(t, nil)
	by := newBystander(t, s)
	w := connectTo(t, s)
	w.must(proto.OpCreate, create("/m", "", 0))
	const parts, bad = 10000, 7777
	build := func(fail bool) []subOp {
		ops := make([]subOp, parts)
		for i := range ops {
			ops[i] = subOp{proto.OpCreate, create(fmt.Sprintf("/m/%d", i), "", 0)}
		}
		if fail {
			ops[bad] = subOp{proto.OpDelete, del("/nothing", -1)}
		}
		return ops
	}
	before := stateOf(s, "/m")
	p := w.must(proto.OpMulti, multiOf(build(true)...))
	r := jute.Reader(p.body)
	for i := range parts {
		var h proto.MultiHeader
		var code int32
		h.Fields(&r)
		r.Int(&code)
		want := proto.OK
		switch {
		case i == bad:
			want = proto.ErrNoNode
		case i > bad:
			want = proto.ErrRuntimeInconsistency
		}
		if r.Err() != nil || h.Op != proto.OpError || h.Err != want || code != int32(want) {
			t.Fatalf("part %d: %+v, %d, %v; want %v", i, h, code, r.Err(), want)
		}
	}
	if after := stateOf(s, "/m"); after != before {
		t.Errorf("a failed multi changed the tree: %s, was %s", after, before)
	}
	w.must(proto.OpMulti, multiOf(build(false)...))
	var c proto.ChildrenStat
	r = jute.Reader(w.must(proto.OpGetChildren2, get("/m", false)).body)
	c.Fields(&r)
	if len(c.Children) != parts || c.Stat.Cversion != parts {
		t.Errorf("%d children, cversion %d", len(c.Children), c.Stat.Cversion)
	}
	by.well(100 * time.Millisecond)
}

// stateOf asks the core what its head says of a path, and how much there is beside it.
func stateOf(s *Server, path string) string {
	answer := make(chan string, 1) // the core sends once
	s.inbox.put(func(b *inbox) {
		b.calls = append(b.calls, func(c *core) {
			answer <- fmt.Sprintf("%+v of %d znodes, %d ephemerals", c.head.Get(path).Stat(),
				c.head.NodeCount(), c.head.EphemeralCount())
		})
	})
	return <-answer
}

// A wrong password is answered with a session that is none, then the connection is closed;
// the rightful connection was closed before, as Java does, and the session waits for its owner.
func TestWrongSessionPassword(t *testing.T) {
	s, j := oneLoop(t, nil)
	by := newBystander(t, s)
	owner := connectTo(t, s)
	owner.must(proto.OpCreate, create("/mine", "", proto.FlagEphemeral))
	id, right := owner.session.SessionID, owner.session.Passwd
	for _, passwd := range [][]byte{nil, {}, make([]byte, 16), right[:15],
		append([]byte{right[0] ^ 1}, right[1:]...), append(right[:16:16], 0)} {
		w := dial(t, s)
		w.connect(proto.ConnectRequest{TimeOut: 8000, SessionID: id, Passwd: passwd, HasReadOnly: true})
		if got := w.session; got.TimeOut != 0 || got.SessionID != 0 ||
			string(got.Passwd) != strings.Repeat("\x00", 16) {
			t.Errorf("password %x: %+v", passwd, got)
		}
		w.closed()
		j.await(t, w.addr(), "a wrong password")
	}
	owner.closed()
	again := dial(t, s)
	again.connect(proto.ConnectRequest{TimeOut: 8000, SessionID: id, Passwd: right})
	if again.session.SessionID != id || again.session.TimeOut != 8000 {
		t.Fatalf("the owner cannot come back: %+v", again.session)
	}
	again.must(proto.OpExists, get("/mine", false))
	stranger := dial(t, s)
	stranger.connect(proto.ConnectRequest{TimeOut: 8000, SessionID: id ^ 0x7f0000, Passwd: right})
	if stranger.session.SessionID != 0 {
		t.Errorf("an unknown session was attached: %+v", stranger.session)
	}
	stranger.closed()
	by.well(50 * time.Millisecond)
}

// A client that has seen a later zxid than this server knows must try another server.
func TestClientFromTheFuture(t *testing.T) {
	s, j := oneLoop(t, nil)
	by := newBystander(t, s)
	w := dial(t, s)
	q := proto.ConnectRequest{LastZxidSeen: 1 << 40, TimeOut: 8000, Passwd: make([]byte, 16)}
	w.frame(q.Fields)
	w.flush()
	if b, err := w.read(); err != io.EOF {
		t.Errorf("answered with %x, %v", b, err)
	}
	j.await(t, w.addr(), "it must try another server")
	by.well(50 * time.Millisecond)
}

// Authentication that fails is answered with -115, then the connection is closed; a digest
// that is another's opens nothing.
func TestWrongDigest(t *testing.T) {
	s, j := oneLoop(t, nil)
	by := newBystander(t, s)
	owner := connectTo(t, s)
	if p := owner.auth("digest", "ann:right"); p.Err != proto.OK || p.Zxid != 0 {
		t.Fatalf("auth: %+v", p)
	}
	q := proto.CreateRequest{Path: "/ann", Data: []byte("secret"),
		ACL: []proto.ACL{{Perms: proto.PermAll, ID: proto.ID{Scheme: "auth"}}}}
	owner.must(proto.OpCreate, q.Fields)
	thief := connectTo(t, s)
	thief.auth("digest", "ann:wrong")
	for _, r := range []struct {
		op     proto.Op
		fields func(*jute.Coder)
	}{
		{proto.OpGetData, get("/ann", true)}, {proto.OpExists, get("/ann", true)},
		{proto.OpSetData, setData("/ann", "x", -1)}, {proto.OpCreate, create("/ann/x", "", 0)},
		{proto.OpGetChildren, get("/ann", true)}, {proto.OpGetACL, only("/ann")},
	} {
		if p := thief.call(r.op, r.fields); p.Err != proto.ErrNoAuth {
			t.Errorf("%v: %v", r.op, p.Err)
		}
	}
	for _, c := range [][2]string{{"nobody", "x"}, {"", ""}, {"sasl", "x"}, {"world", "anyone"},
		{"super", ""}, {"auth", ""}} {
		w := connectTo(t, s)
		if p := w.auth(c[0], c[1]); p.Err != proto.ErrAuthFailed || p.Xid != proto.XidAuth {
			t.Errorf("scheme %q: %+v", c[0], p.ReplyHeader)
		}
		w.closed()
		j.await(t, w.addr(), "authentication with scheme")
	}
	by.well(50 * time.Millisecond)
}

// A client that looks for another ensemble is closed without a reply, so that it tries its next
// server (EnsembleAuthenticationProvider).
func TestWrongEnsemble(t *testing.T) {
	s, j := oneLoop(t, func(o *Options) {
		o.Config.AuthProviders = map[string]string{
			"1": "org.apache.zookeeper.server.auth.EnsembleAuthenticationProvider"}
		o.Config.EnsembleAuthNames = []string{"ours", "theirs"}
	})
	by := newBystander(t, s)
	w := connectTo(t, s)
	if p := w.auth("ensemble", "ours"); p.Err != proto.OK {
		t.Errorf("our name: %v", p.Err)
	}
	w.must(proto.OpExists, get("/", false))
	w = connectTo(t, s)
	q := proto.AuthPacket{Scheme: "ensemble", Auth: []byte("another")}
	w.sendXid(proto.XidAuth, proto.OpAuth, q.Fields)
	w.flush()
	if b, err := w.read(); err != io.EOF {
		t.Errorf("answered with %x, %v", b, err)
	}
	j.await(t, w.addr(), "another ensemble")
	by.well(50 * time.Millisecond)
}

// auth sends an auth packet and returns its reply.
func (w *wire) auth(scheme, data string) reply {
	w.t.Helper()
	q := proto.AuthPacket{Scheme: scheme, Auth: []byte(data)}
	w.sendXid(proto.XidAuth, proto.OpAuth, q.Fields)
	w.flush()
	return w.expect(proto.XidAuth)
}
