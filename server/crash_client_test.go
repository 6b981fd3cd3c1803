package server

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
)

// A crashHistory is what the clients of one data directory were told, over all its crashes.
type crashHistory struct {
	clients   []*crashClient
	down      atomic.Bool // the server was or is about to be stopped: connections may break
	seenZxid  atomic.Int64
	writes    atomic.Int64 // acknowledged
	fills     bool         // its disk runs full: writes may be turned down
	hasLayout bool         // the clients' znodes were made, and that was acknowledged

	mu        sync.Mutex
	meaning   map[string]string // a zxid, sequence number or version → the request that got it
	hotZxid   proto.Zxid        // of the last acknowledged write of /hot
	hotNumber int32             // its version
}

func newCrashHistory(clients int, seed uint64) *crashHistory {
	h := &crashHistory{meaning: map[string]string{}}
	for i := range clients {
		h.clients = append(h.clients, &crashClient{
			h: h, id: i, root: fmt.Sprintf("/c%d", i), base: crashTree{}, ahead: crashTree{},
			names: map[string]string{}, rng: rand.New(rand.NewPCG(seed, uint64(i))),
		})
	}
	return h
}

// claim notes what got a number that must not be given twice.
func (h *crashHistory) claim(number, tag string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if was, ok := h.meaning[number]; ok && was != tag {
		return fmt.Errorf("%s was given twice: to %s, then to %s", number, was, tag)
	}
	h.meaning[number] = tag
	return nil
}

// see notes a zxid that a client was shown: no server may be behind it from now on.
func (h *crashHistory) see(z proto.Zxid) { raise(&h.seenZxid, int64(z)) }

func raise(v *atomic.Int64, to int64) {
	for was := v.Load(); was < to && !v.CompareAndSwap(was, to); was = v.Load() {
	}
}

// show notes that data was shown to somebody: the write that made it must not be lost, nor any
// that its client sent before.
func (h *crashHistory) show(data string) error {
	client, num, ok := parseCrashTag(data)
	if !ok {
		return nil
	}
	if client >= len(h.clients) || int64(num) >= h.clients[client].next.Load() {
		return fmt.Errorf("data of %s, which nobody sent: %.40q", crashTag(client, num), data)
	}
	raise(&h.clients[client].shown, int64(num)+1)
	return nil
}

// A crashClient is one client over all crashes. It runs on one goroutine at a time.
type crashClient struct {
	h    *crashHistory
	id   int
	root string
	rng  *rand.Rand

	session int64 // 0: none
	passwd  []byte
	closed  int64 // a session whose end is certain

	// The session of the connection, set by rejoin: another one if session has ended.
	fresh       int64
	freshPasswd []byte

	base    crashTree         // as the server said
	ahead   crashTree         // with all requests that are out
	pending []crashOp         // which these are, oldest first
	names   map[string]string // key in /seq → path
	told    proto.Zxid        // of the last answer to a write

	next  atomic.Int64 // the next request's number
	shown atomic.Int64 // requests below it were shown to others

	w       *wire
	last    proto.Zxid // shown on this connection
	refused bool       // the server is read-only
}

// errGone says that the connection broke. That is right only if the server went down.
var errGone = errors.New("the connection is gone")

func (c *crashClient) gone(err error) error {
	if !c.h.down.Load() {
		return fmt.Errorf("client %d lost its connection to a server that runs: %w", c.id, err)
	}
	return errGone
}

// attach connects with the client's session, or for a new one. It tells whether the session
// that the client had is still there.
func (c *crashClient) attach(addr string) (alive bool, err error) {
	q := proto.ConnectRequest{TimeOut: 600000, SessionID: c.session, Passwd: c.passwd,
		LastZxidSeen: proto.Zxid(c.h.seenZxid.Load())}
	if c.session == 0 {
		q.Passwd = make([]byte, proto.PasswordBytes)
	}
	a, err := c.handshake(addr, q)
	if err != nil {
		return false, err
	}
	if c.session == 0 {
		c.session, c.passwd = a.SessionID, a.Passwd
		return true, nil
	}
	return a.SessionID == c.session && a.TimeOut > 0, nil
}

func (c *crashClient) handshake(addr string, q proto.ConnectRequest) (
	a proto.ConnectResponse, err error) {
	c.hangUp()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return a, c.gone(err)
	}
	c.w, c.last = &wire{conn: conn, r: bufio.NewReaderSize(conn, 1<<14)}, 0
	c.w.frame(q.Fields)
	if err := c.flush(); err != nil {
		return a, err
	}
	body, err := c.w.read()
	if err != nil {
		return a, c.gone(fmt.Errorf("it was shown zxid %v, and a server behind that turns it away: %w",
			q.LastZxidSeen, err))
	}
	r := jute.Reader(body)
	a.Fields(&r)
	return a, r.Err()
}

func (c *crashClient) hangUp() {
	if c.w != nil {
		_ = c.w.conn.Close()
		c.w = nil
	}
}

func (c *crashClient) flush() error {
	_, err := c.w.conn.Write(c.w.out)
	c.w.out = c.w.out[:0]
	if err != nil {
		return c.gone(err)
	}
	return nil
}

// read returns the next answer, passing over events.
func (c *crashClient) read() (p reply, err error) {
	for {
		body, err := c.w.read()
		if err != nil {
			return p, c.gone(err)
		}
		p = reply{}
		r := jute.Reader(body)
		p.Fields(&r)
		if p.body = r.Rest(); r.Err() != nil {
			return p, r.Err()
		}
		if p.Zxid < c.last {
			return p, fmt.Errorf("client %d was shown zxid %v after %v", c.id, p.Zxid, c.last)
		}
		c.last = p.Zxid
		c.h.see(p.Zxid)
		if p.Xid != proto.XidEvent {
			return p, nil
		}
	}
}

// run sends random requests, several at a time, until the server goes down or turns writes away;
// steps bounds them, 0 means no bound. An error is a broken promise.
func (c *crashClient) run(addr string, steps int) error {
	defer c.hangUp()
	c.refused = false
	for n := 0; !c.refused && (steps == 0 || n < steps); n++ {
		closing := false
		for range 1 + c.rng.IntN(6) {
			if closing = c.send(c.pick()); closing {
				break
			}
		}
		err := c.flush()
		for keep := c.rng.IntN(24); err == nil && (len(c.pending) > keep || closing); {
			if closing && len(c.pending) == 0 {
				_, err = c.attach(addr)
				break
			}
			err = c.receive()
		}
		if err != nil {
			return ignoreGone(err)
		}
	}
	for len(c.pending) > 0 {
		if err := c.receive(); err != nil {
			return ignoreGone(err)
		}
	}
	return nil
}

func ignoreGone(err error) error {
	if err == errGone {
		return nil
	}
	return err
}

// send gathers a request and lets the model run ahead. It tells whether it was the last one.
func (c *crashClient) send(o crashOp) bool {
	o.want = c.ahead.apply(&o, c.session, 0)
	o.xid = c.w.send(o.op, o.fields()...)
	c.next.Store(int64(o.num) + 1)
	c.pending = append(c.pending, o)
	return o.op == proto.OpCloseSession
}

// fields are the records of a request.
func (o *crashOp) fields() []func(*jute.Coder) {
	acl := []proto.ACL{{Perms: o.perms, ID: proto.OpenACL[0].ID}}
	switch o.op {
	case proto.OpCreate, proto.OpCreate2:
		return []func(*jute.Coder){create(o.path, o.data, o.flags)}
	case proto.OpSetData:
		return []func(*jute.Coder){setData(o.path, o.data, o.version)}
	case proto.OpDelete, proto.OpCheck:
		return []func(*jute.Coder){del(o.path, o.version)}
	case proto.OpSetACL:
		q := proto.SetACLRequest{Path: o.path, ACL: acl, Version: -1}
		return []func(*jute.Coder){q.Fields}
	case proto.OpGetData:
		return []func(*jute.Coder){get(o.path, o.watch)}
	case proto.OpSync:
		return []func(*jute.Coder){only(o.path)}
	case proto.OpMulti:
		var all []func(*jute.Coder)
		for i := range o.parts {
			h := proto.MultiHeader{Op: o.parts[i].op, Err: -1}
			all = append(append(all, h.Fields), o.parts[i].fields()...)
		}
		end := proto.MultiEnd
		return append(all, end.Fields)
	}
	return nil
}

// receive takes one answer and compares it with the model's.
func (c *crashClient) receive() error {
	p, err := c.read()
	if err != nil {
		return err
	}
	o := c.pending[0]
	if p.Xid != o.xid {
		return fmt.Errorf("client %d: answer to %d, want %d", c.id, p.Xid, o.xid)
	}
	tag := crashTag(c.id, o.num)
	if p.Err == proto.ErrNotReadOnly && c.h.fills {
		return c.notDone(p)
	}
	if p.Err != o.want.code {
		return fmt.Errorf("%s %v %s: answer %v, want %v", tag, o.op, o.path, p.Err, o.want.code)
	}
	c.pending = slices.Delete(c.pending, 0, 1)
	if o.op == proto.OpGetData {
		return c.readData(&o, p)
	}
	if o.op == proto.OpSync {
		return nil
	}
	c.h.writes.Add(1)
	c.told = p.Zxid
	if err := c.h.claim(fmt.Sprint("zxid ", p.Zxid), tag); err != nil {
		return err
	}
	if err := c.accept(&o, p); err != nil {
		return fmt.Errorf("%s %v %s: %w", tag, o.op, o.path, err)
	}
	return nil
}

// notDone takes the answer of a server whose disk is full: the request left no trace, and those
// behind it find what was before.
func (c *crashClient) notDone(p reply) error {
	o := c.pending[0]
	if o.op == proto.OpGetData || o.op == proto.OpSync || len(p.body) > 0 {
		return fmt.Errorf("%s %v %s: %v, %d bytes", crashTag(c.id, o.num), o.op, o.path, p.Err,
			len(p.body))
	}
	c.refused = true
	c.pending = slices.Delete(c.pending, 0, 1)
	c.ahead = maps.Clone(c.base)
	for i := range c.pending {
		c.pending[i].want = c.ahead.apply(&c.pending[i], c.session, 0)
	}
	return nil
}

// accept applies an acknowledged write to the base.
func (c *crashClient) accept(o *crashOp, p reply) error {
	got := c.base.apply(o, c.session, p.Zxid)
	if fmt.Sprint(got) != fmt.Sprint(o.want) {
		return fmt.Errorf("the model says %v, then %v", o.want, got)
	}
	r := jute.Reader(p.body)
	switch {
	case o.op == proto.OpCloseSession:
		c.closed, c.session = c.session, 0
	case o.op == proto.OpMulti:
		return c.acceptMulti(o, &r)
	case p.Err != proto.OK:
		return nil
	case o.path == crashHot:
		return c.acceptHot(o, p, &r)
	default:
		return c.acceptResult(o, o.want, &r)
	}
	return r.Err()
}

// acceptResult reads the result of a write that succeeded.
func (c *crashClient) acceptResult(o *crashOp, want crashAnswer, r *jute.Coder) error {
	var q proto.PathStat
	switch o.op {
	case proto.OpSetData, proto.OpSetACL:
		q.Stat.Fields(r)
	case proto.OpCreate2:
		q.Fields(r)
	case proto.OpCreate:
		path := proto.PathOnly{}
		path.Fields(r)
		q.Path = path.Path
	}
	if r.Err() != nil || crashKey(q.Path) != want.path {
		return fmt.Errorf("created %q, want %q; %v", q.Path, want.path, r.Err())
	}
	if strings.HasPrefix(q.Path, crashSeq) {
		c.names[want.path] = q.Path
		return c.h.claim("sequence number "+q.Path[len(q.Path)-10:], want.path)
	}
	return nil
}

func (c *crashClient) acceptMulti(o *crashOp, r *jute.Coder) error {
	failed := o.want.failed()
	for i := range o.parts {
		var h proto.MultiHeader
		h.Fields(r)
		code, want := int32(0), o.want.parts[i]
		if h.Op == proto.OpError {
			r.Int(&code)
		}
		if r.Err() != nil || (h.Op == proto.OpError) != failed || proto.Code(code) != want.code {
			return fmt.Errorf("part %d: %+v %v, want %v; %v", i, h, code, want, r.Err())
		}
		if !failed {
			if err := c.acceptResult(&o.parts[i], want, r); err != nil {
				return err
			}
		}
	}
	return r.Err()
}

// acceptHot notes an acknowledged write of the znode that all clients set.
func (c *crashClient) acceptHot(o *crashOp, p reply, r *jute.Coder) error {
	var st proto.Stat
	st.Fields(r)
	if r.Err() != nil || st.Mzxid != p.Zxid {
		return fmt.Errorf("mzxid %v, want %v; %v", st.Mzxid, p.Zxid, r.Err())
	}
	h := c.h
	h.mu.Lock()
	if p.Zxid > h.hotZxid {
		h.hotZxid, h.hotNumber = p.Zxid, st.Version
	}
	h.mu.Unlock()
	return h.claim(fmt.Sprint("version ", st.Version), crashTag(c.id, o.num))
}

// readData takes the answer to a read. What others wrote is shown, so it must stay.
func (c *crashClient) readData(o *crashOp, p reply) error {
	var d proto.DataStat
	r := jute.Reader(p.body)
	d.Fields(&r)
	if r.Err() != nil {
		return r.Err()
	}
	// All requests before the read are answered, and none behind it is in what it shows.
	if n, ok := c.base[o.path]; ok && (n.data != string(d.Data) || n.mzxid != d.Stat.Mzxid) {
		return fmt.Errorf("client %d reads %.20q of %v in %s, want %.20q of %v", c.id, d.Data,
			d.Stat.Mzxid, o.path, n.data, n.mzxid)
	}
	return c.h.show(string(d.Data))
}

// refresh makes what a server holds the new base, after it was judged.
func (c *crashClient) refresh(got crashTree) {
	c.base, c.ahead, c.pending = got, maps.Clone(got), nil
}
