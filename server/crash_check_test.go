package server

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
)

// verify connects all clients to a server that was started again and compares what it holds
// with what they were told. It returns errGone when that server goes down as well; the next
// one is then held to the same promises.
func (h *crashHistory) verify(addr string) error {
	alive := make([]bool, len(h.clients))
	for i, c := range h.clients {
		var err error
		if alive[i], err = c.rejoin(addr); err != nil {
			return err
		}
	}
	if !h.hasLayout {
		if slices.Contains(alive, false) {
			return errors.New("a session that was acknowledged is gone")
		}
		return h.layout()
	}
	if err := h.verifyHot(); err != nil {
		return err
	}
	siblings, err := h.readSiblings()
	if err != nil {
		return err
	}
	for i, c := range h.clients {
		got, err := c.readTree()
		if err != nil {
			return err
		}
		maps.Copy(got, siblings[i])
		if err := c.judge(got, alive[i]); err != nil {
			return err
		}
	}
	return nil
}

// rejoin attaches the client's session, or a new one if it is gone. Which it may be is for
// judge to say; that it stays closed once that was acknowledged is said here.
func (c *crashClient) rejoin(addr string) (alive bool, err error) {
	if c.closed != 0 {
		pw := proto.SessionPassword(c.closed)
		a, err := c.handshake(addr, proto.ConnectRequest{TimeOut: 600000, SessionID: c.closed,
			Passwd: pw[:], LastZxidSeen: proto.Zxid(c.h.seenZxid.Load())})
		if err == nil && a.SessionID != 0 {
			err = fmt.Errorf("session 0x%x was closed and is back", uint64(c.closed))
		}
		if err != nil {
			return false, err
		}
	}
	session, passwd := c.session, c.passwd
	alive, err = c.attach(addr)
	if err == nil && !alive {
		c.session = 0
		_, err = c.attach(addr)
	}
	c.fresh, c.freshPasswd = c.session, c.passwd
	if session != 0 { // judge needs to know whose ephemerals there may be
		c.session, c.passwd = session, passwd
	}
	return alive, err
}

// layout makes the znodes below which everything happens.
func (h *crashHistory) layout() error {
	c := h.clients[0]
	paths := []string{crashSeq, crashHot}
	for _, c := range h.clients {
		paths = append(paths, c.root, c.root+"/n", c.root+"/q")
	}
	for _, path := range paths {
		p, err := c.ask(proto.OpCreate, create(path, "", 0))
		if err != nil {
			return err
		}
		if p.Err != proto.OK && p.Err != proto.ErrNodeExists {
			return fmt.Errorf("create %s: %v", path, p.Err)
		}
	}
	for _, c := range h.clients {
		got, err := c.readTree()
		if err != nil {
			return err
		}
		c.refresh(got)
	}
	h.hasLayout = true
	return nil
}

// ask sends one request and waits for its answer.
func (c *crashClient) ask(op proto.Op, fields ...func(*jute.Coder)) (reply, error) {
	xid := c.w.send(op, fields...)
	if err := c.flush(); err != nil {
		return reply{}, err
	}
	p, err := c.read()
	if err == nil && p.Xid != xid {
		err = fmt.Errorf("answer to %d, want %d", p.Xid, xid)
	}
	return p, err
}

// verifyHot checks the znode that all clients set.
func (h *crashHistory) verifyHot() error {
	c := h.clients[0]
	floor := proto.Zxid(h.seenZxid.Load())
	d, err := c.data(crashHot)
	if err != nil {
		return err
	}
	if c.last < floor {
		return fmt.Errorf("the server is at zxid %v, a client was shown %v", c.last, floor)
	}
	if d.Stat.Mzxid < h.hotZxid || d.Stat.Version < h.hotNumber {
		return fmt.Errorf("%s is of %v, version %d, but %v, version %d, was acknowledged", crashHot,
			d.Stat.Mzxid, d.Stat.Version, h.hotZxid, h.hotNumber)
	}
	return h.claimData(d, true)
}

// claimData checks that a znode's data is the one that its zxid and version were given to.
func (h *crashHistory) claimData(d proto.DataStat, version bool) error {
	client, num, ok := parseCrashTag(string(d.Data))
	if !ok {
		return nil
	}
	tag := crashTag(client, num)
	err := h.claim(fmt.Sprint("zxid ", d.Stat.Mzxid), tag)
	if err == nil && version {
		err = h.claim(fmt.Sprint("version ", d.Stat.Version), tag)
	}
	return errors.Join(err, h.show(string(d.Data)))
}

func (c *crashClient) data(path string) (d proto.DataStat, err error) {
	p, err := c.ask(proto.OpGetData, get(path, false))
	if err != nil {
		return d, err
	}
	r := jute.Reader(p.body)
	if d.Fields(&r); p.Err != proto.OK || r.Err() != nil {
		return d, fmt.Errorf("read %s: %v; %v", path, p.Err, r.Err())
	}
	return d, nil
}

func (c *crashClient) children(path string) (s proto.ChildrenStat, err error) {
	p, err := c.ask(proto.OpGetChildren2, get(path, false))
	if err != nil {
		return s, err
	}
	r := jute.Reader(p.body)
	if s.Fields(&r); p.Err != proto.OK || r.Err() != nil {
		return s, fmt.Errorf("children of %s: %v; %v", path, p.Err, r.Err())
	}
	sort.Strings(s.Children)
	return s, nil
}

// readSiblings reads what each client has in /seq.
func (h *crashHistory) readSiblings() ([]crashTree, error) {
	trees := make([]crashTree, len(h.clients))
	for i := range trees {
		trees[i] = crashTree{}
	}
	s, err := h.clients[0].children(crashSeq)
	if err != nil {
		return nil, err
	}
	for _, name := range s.Children {
		var client, num int
		path := crashSeq + "/" + name
		_, err := fmt.Sscanf(name, "c%d-%d-", &client, &num)
		if err != nil || client >= len(trees) {
			return nil, fmt.Errorf("%s: nobody made it", path)
		}
		if err := h.claim("sequence number "+name[len(name)-10:], crashKey(path)); err != nil {
			return nil, err
		}
		c := h.clients[client]
		if known, ok := c.names[crashKey(path)]; ok && known != path {
			return nil, fmt.Errorf("%s was acknowledged as %s", path, known)
		}
		c.names[crashKey(path)] = path
		n, err := h.clients[0].node(path)
		if err != nil {
			return nil, err
		}
		trees[client][crashKey(path)] = n
	}
	return trees, nil
}

// readTree reads all that is below the client's root.
func (c *crashClient) readTree() (crashTree, error) {
	t := crashTree{}
	for queue := []string{c.root}; len(queue) > 0; queue = queue[1:] {
		n, err := c.node(queue[0])
		if err != nil {
			return nil, err
		}
		t[queue[0]] = n
		if n.children == 0 {
			continue
		}
		s, err := c.children(queue[0])
		if err != nil {
			return nil, err
		}
		for _, name := range s.Children {
			queue = append(queue, queue[0]+"/"+name)
		}
	}
	return t, nil
}

// node reads one znode.
func (c *crashClient) node(path string) (n crashNode, err error) {
	d, err := c.data(path)
	if err != nil {
		return n, err
	}
	p, err := c.ask(proto.OpGetACL, only(path))
	if err != nil {
		return n, err
	}
	var a proto.ACLStat
	r := jute.Reader(p.body)
	if a.Fields(&r); p.Err != proto.OK || r.Err() != nil || len(a.ACL) != 1 {
		return n, fmt.Errorf("ACL of %s: %v %v; %v", path, a, p.Err, r.Err())
	}
	st := d.Stat
	return crashNode{data: string(d.Data), perms: a.ACL[0].Perms, version: st.Version,
		aversion: st.Aversion, creates: (st.Cversion + st.NumChildren) / 2,
		children: st.NumChildren, owner: st.EphemeralOwner, czxid: st.Czxid, mzxid: st.Mzxid,
		pzxid: st.Pzxid}, c.h.claimData(d, false)
}

// judge decides whether what the server holds is what the client was told plus a prefix of
// what it was not. If so, that is the client's new base.
func (c *crashClient) judge(got crashTree, alive bool) error {
	shown, want := int(c.shown.Load()), maps.Clone(c.base)
	least := 0 // of the pending requests, how many somebody was shown
	for least < len(c.pending) && c.pending[least].num < shown {
		least++
	}
	var why strings.Builder
	closed := false
	for k := 0; ; k++ {
		diff := c.differs(want, got, closed == alive)
		if k >= least && (diff == "" || !alive && c.closedAlone(want, got, c.pending[k:])) {
			c.settle(got)
			return nil
		}
		fmt.Fprintf(&why, "\n  with %d of %d: %s", k, len(c.pending), diff)
		if k == len(c.pending) {
			return fmt.Errorf("client %d was told of all before %v and shown %s; the server holds "+
				"neither that nor more, whatever of its %d other requests counts:%s", c.id, c.told,
				crashTag(c.id, shown-1), len(c.pending), why.String())
		}
		want.apply(&c.pending[k], c.session, 0)
		closed = closed || c.pending[k].op == proto.OpCloseSession
	}
}

// differs says how what the server holds differs from what is wanted.
func (c *crashClient) differs(want, got crashTree, wrongEnd bool) string {
	diff := want.differs(got, c.told)
	if wrongEnd {
		diff = fmt.Sprintf("session 0x%x is alive on the server, or it is not, against that; %s",
			uint64(c.session), diff)
	}
	return diff
}

// closedAlone tells whether the server holds what is wanted but for the session's end, the last of
// the requests that are left. A server whose disk is full turns down those before it, and the
// connection broke before it said so.
func (c *crashClient) closedAlone(want, got crashTree, left []crashOp) bool {
	if !c.h.fills || len(left) == 0 || left[len(left)-1].op != proto.OpCloseSession {
		return false
	}
	want = maps.Clone(want)
	want.apply(&left[len(left)-1], c.session, 0)
	return want.differs(got, c.told) == ""
}

// settle takes over what the server holds.
func (c *crashClient) settle(got crashTree) {
	if c.fresh != c.session {
		c.closed, c.session, c.passwd = c.session, c.fresh, c.freshPasswd
	}
	c.refresh(got)
}
