package bench

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
)

// A fake is a small in-memory server with real sockets. It keeps its promises unless a test
// gives it a way to break them.
type fake struct {
	addr      string
	timeoutMs int32 // granted to every session

	// mangle may replace an answer before it is sent, by any number of frames; also events
	// (op OpNotification) go through it. It is called under mu.
	mangle func(c *fakeConn, op proto.Op, answer []byte) [][]byte
	// read may give data and Stat of a znode to answer a read from, instead of the present.
	read func(c *fakeConn, path string, now proto.DataStat) proto.DataStat
	// fail is the code to answer an op with, instead of doing it.
	fail func(c *fakeConn, op proto.Op) proto.Code
	// hangUp closes the connection instead of answering.
	hangUp func(c *fakeConn, op proto.Op) bool

	mu       sync.Mutex
	zxid     proto.Zxid
	nodes    map[string]proto.DataStat
	watches  map[string][]*fakeConn
	open     map[*fakeConn]bool
	ops      map[proto.Op]int
	sessions int
}

type fakeConn struct {
	nc   net.Conn
	n    int // requests so far
	last [][]byte
}

// startFake serves until the test ends.
func startFake(t testing.TB) *fake {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{addr: l.Addr().String(), timeoutMs: 30_000, nodes: map[string]proto.DataStat{},
		watches: map[string][]*fakeConn{}, open: map[*fakeConn]bool{}, ops: map[proto.Op]int{}}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			c := &fakeConn{nc: nc}
			f.mu.Lock()
			f.open[c] = true
			f.mu.Unlock()
			wg.Go(func() { f.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		f.mu.Lock()
		for c := range f.open {
			c.nc.Close()
		}
		f.mu.Unlock()
		wg.Wait()
	})
	return f
}

// errSrvr says that a connection asks for the word srvr; fakeVersion is in the answer.
var errSrvr = errors.New("srvr")

const fakeVersion = "fake, built on 1970-01-01 00:00 UTC"

// errHangUp ends a connection on purpose.
var errHangUp = errors.New("hang up")

func (f *fake) serve(c *fakeConn) {
	defer func() {
		f.mu.Lock()
		delete(f.open, c)
		f.mu.Unlock()
		c.nc.Close()
	}()
	if err := f.handshake(c); err != nil {
		if errors.Is(err, errSrvr) {
			io.WriteString(c.nc, "Zookeeper version: "+fakeVersion+"\nMode: standalone\n")
		}
		return
	}
	for {
		frame, err := readFrame(c.nc)
		if err != nil {
			return
		}
		if err := f.handle(c, frame); err != nil {
			return
		}
	}
}

func readFrame(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	if string(head[:]) == "srvr" {
		return nil, errSrvr
	}
	frame := make([]byte, binary.BigEndian.Uint32(head[:]))
	_, err := io.ReadFull(r, frame)
	return frame, err
}

func encode(fields ...func(*jute.Coder)) []byte {
	w := jute.Writer(nil)
	w.Embedded(func(c *jute.Coder) {
		for _, f := range fields {
			f(c)
		}
	})
	return w.Bytes()
}

func (f *fake) handshake(c *fakeConn) error {
	frame, err := readFrame(c.nc)
	if err != nil {
		return err
	}
	var req proto.ConnectRequest
	r := jute.Reader(frame)
	req.Fields(&r)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hangUp != nil && f.hangUp(c, proto.OpCreateSession) {
		return errHangUp
	}
	f.sessions++
	f.zxid++
	resp := proto.ConnectResponse{TimeOut: f.timeoutMs, SessionID: int64(f.sessions),
		Passwd: make([]byte, proto.PasswordBytes), HasReadOnly: req.HasReadOnly}
	_, err = c.nc.Write(encode(resp.Fields))
	return err
}

// handle does one request and writes its answer, in order, under the lock.
func (f *fake) handle(c *fakeConn, frame []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var h proto.RequestHeader
	in := jute.Reader(frame)
	h.Fields(&in)
	c.n++
	f.ops[h.Op]++
	if f.hangUp != nil && f.hangUp(c, h.Op) {
		return errHangUp
	}
	code, body := proto.OK, func(*jute.Coder) {}
	if f.fail != nil {
		code = f.fail(c, h.Op)
	}
	if code == proto.OK {
		code, body = f.do(c, h.Op, &in)
	}
	if code != proto.OK {
		body = func(*jute.Coder) {}
	}
	reply := proto.ReplyHeader{Xid: h.Xid, Zxid: f.zxid, Err: code}
	if err := f.send(c, h.Op, encode(reply.Fields, body)); err != nil {
		return err
	}
	if h.Op == proto.OpCloseSession {
		return errHangUp
	}
	return nil
}

func (f *fake) send(c *fakeConn, op proto.Op, answer []byte) error {
	answers := [][]byte{answer}
	if f.mangle != nil {
		answers = f.mangle(c, op, answer)
	}
	for _, a := range answers {
		if _, err := c.nc.Write(a); err != nil {
			return err
		}
	}
	return nil
}

func (f *fake) do(c *fakeConn, op proto.Op, in *jute.Coder) (proto.Code, func(*jute.Coder)) {
	switch op {
	case proto.OpGetData:
		var r proto.PathWatch
		r.Fields(in)
		n, ok := f.nodes[r.Path]
		if !ok {
			return proto.ErrNoNode, nil
		}
		if r.Watch {
			f.watches[r.Path] = append(f.watches[r.Path], c)
		}
		if f.read != nil {
			n = f.read(c, r.Path, n)
		}
		return proto.OK, n.Fields
	case proto.OpMulti:
		return f.multi(in)
	case proto.OpCreate, proto.OpSetData, proto.OpDelete:
		f.zxid++
		return f.write(op, in)
	case proto.OpSync:
		var r proto.PathOnly
		r.Fields(in)
		return proto.OK, r.Fields
	case proto.OpPing, proto.OpCloseSession:
		return proto.OK, func(*jute.Coder) {}
	}
	return proto.ErrUnimplemented, nil
}

// write does a create, setData or delete at the present zxid.
func (f *fake) write(op proto.Op, in *jute.Coder) (proto.Code, func(*jute.Coder)) {
	switch op {
	case proto.OpCreate:
		var r proto.CreateRequest
		r.Fields(in)
		parent := r.Path[:strings.LastIndexByte(r.Path, '/')]
		if _, ok := f.nodes[parent]; !ok && parent != "" {
			return proto.ErrNoNode, nil
		}
		if _, ok := f.nodes[r.Path]; ok {
			return proto.ErrNodeExists, nil
		}
		f.nodes[r.Path] = proto.DataStat{Data: slices.Clone(r.Data),
			Stat: proto.Stat{Czxid: f.zxid, Mzxid: f.zxid}}
		path := proto.PathOnly{Path: r.Path}
		return proto.OK, path.Fields
	case proto.OpSetData:
		var r proto.SetDataRequest
		r.Fields(in)
		n, ok := f.nodes[r.Path]
		if !ok {
			return proto.ErrNoNode, nil
		}
		n.Data, n.Stat.Mzxid = slices.Clone(r.Data), f.zxid
		n.Stat.Version++
		f.nodes[r.Path] = n
		f.fire(proto.EventNodeDataChanged, r.Path)
		return proto.OK, n.Stat.Fields
	default:
		var r proto.PathVersion
		r.Fields(in)
		if _, ok := f.nodes[r.Path]; !ok {
			return proto.ErrNoNode, nil
		}
		delete(f.nodes, r.Path)
		f.fire(proto.EventNodeDeleted, r.Path)
		return proto.OK, func(*jute.Coder) {}
	}
}

func (f *fake) fire(event int32, path string) {
	for _, c := range f.watches[path] {
		h := proto.ReplyHeader{Xid: proto.XidEvent, Zxid: -1}
		e := proto.WatcherEvent{Type: event, State: proto.StateSyncConnected, Path: path}
		_ = f.send(c, proto.OpNotification, encode(h.Fields, e.Fields)) // it may have gone
	}
	delete(f.watches, path)
}

func (f *fake) multi(in *jute.Coder) (proto.Code, func(*jute.Coder)) {
	f.zxid++
	var parts []func(*jute.Coder)
	for {
		var h proto.MultiHeader
		if h.Fields(in); h.Done || in.Err() != nil {
			break
		}
		code, body := f.write(h.Op, in)
		if code != proto.OK {
			return code, nil
		}
		ok := proto.MultiHeader{Op: h.Op}
		parts = append(parts, ok.Fields, body)
	}
	end := proto.MultiEnd
	parts = append(parts, end.Fields)
	return proto.OK, func(c *jute.Coder) {
		for _, p := range parts {
			p(c)
		}
	}
}

// left is what there is apart from nothing: paths and connections.
func (f *fake) left() (paths []string, conns int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for path := range f.nodes {
		paths = append(paths, path)
	}
	return paths, len(f.open)
}

// counted is how often an op was asked for, and how many sessions were opened.
func (f *fake) counted(op proto.Op) (n, sessions int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ops[op], f.sessions
}
