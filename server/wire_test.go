package server

import (
	"bufio"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/server/zoocfg"
	"github.com/meerkat-zk/meerkat/wal"
)

// startServer runs a server on a free port until the test ends. change may alter its options.
func startServer(t testing.TB, change func(*Options)) *Server {
	t.Helper()
	s, err := Start(testOptions(t, change))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return s
}

func testOptions(t testing.TB, change func(*Options)) Options {
	t.Helper()
	cfg := zoocfg.Default()
	cfg.ClientPort, cfg.MaxClientCnxns = 0, 0
	cfg.DataDir = t.TempDir()
	cfg.DataLogDir = cfg.DataDir
	o := Options{Config: cfg, Logger: slog.New(slog.DiscardHandler), Loops: 4,
		Build: Build{Version: "3.9.5-test", Date: "2026-01-01 00:00 UTC"}, FS: wal.OS}
	if change != nil {
		change(&o)
	}
	return o
}

// A wire is a client connection that a test scripts frame by frame.
type wire struct {
	t       testing.TB
	conn    net.Conn
	r       *bufio.Reader
	out     []byte
	xid     int32
	session proto.ConnectResponse
}

// A reply is one frame from the server. A watch event has xid proto.XidEvent.
type reply struct {
	proto.ReplyHeader
	body []byte
}

func dial(t testing.TB, s *Server) *wire {
	t.Helper()
	c, err := net.Dial("tcp", s.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &wire{t: t, conn: c, r: bufio.NewReaderSize(c, 1<<16)}
}

// connectTo opens a connection with a session of its own.
func connectTo(t testing.TB, s *Server) *wire {
	t.Helper()
	w := dial(t, s)
	w.connect(proto.ConnectRequest{TimeOut: 10000, Passwd: make([]byte, 16), HasReadOnly: true})
	if w.session.TimeOut <= 0 {
		t.Fatal("no session")
	}
	return w
}

// connect sends a ConnectRequest and waits for the answer.
func (w *wire) connect(q proto.ConnectRequest) {
	w.t.Helper()
	w.frame(q.Fields)
	w.flush()
	body, err := w.read()
	if err != nil {
		w.t.Fatalf("connect: %v", err)
	}
	r := jute.Reader(body)
	w.session = proto.ConnectResponse{}
	w.session.Fields(&r)
	if r.Err() != nil {
		w.t.Fatal(r.Err())
	}
}

// frame gathers one frame.
func (w *wire) frame(fields ...func(*jute.Coder)) {
	at := len(w.out)
	c := jute.Writer(append(w.out, 0, 0, 0, 0))
	for _, f := range fields {
		f(&c)
	}
	w.out = c.Bytes()
	binary.BigEndian.PutUint32(w.out[at:], uint32(len(w.out)-at-4))
}

// send gathers a request and returns its xid.
func (w *wire) send(op proto.Op, fields ...func(*jute.Coder)) int32 {
	w.xid++
	return w.sendXid(w.xid, op, fields...)
}

func (w *wire) sendXid(xid int32, op proto.Op, fields ...func(*jute.Coder)) int32 {
	h := proto.RequestHeader{Xid: xid, Op: op}
	w.frame(append([]func(*jute.Coder){h.Fields}, fields...)...)
	return xid
}

func (w *wire) flush() {
	w.t.Helper()
	if _, err := w.conn.Write(w.out); err != nil {
		w.t.Fatal(err)
	}
	w.out = w.out[:0]
}

// read returns the next frame's bytes, or why there is none. It never waits for ever.
func (w *wire) read() ([]byte, error) {
	_ = w.conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	var n [4]byte
	if _, err := io.ReadFull(w.r, n[:]); err != nil {
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(n[:]))
	_, err := io.ReadFull(w.r, body)
	return body, err
}

// recv returns the next reply or event.
func (w *wire) recv() reply {
	w.t.Helper()
	body, err := w.read()
	if err != nil {
		w.t.Fatalf("recv: %v", err)
	}
	return parseReply(w.t, body)
}

func parseReply(t testing.TB, body []byte) reply {
	t.Helper()
	var p reply
	r := jute.Reader(body)
	p.Fields(&r)
	if r.Err() != nil {
		t.Fatalf("reply %x: %v", body, r.Err())
	}
	p.body = r.Rest()
	return p
}

// call sends one request and returns its reply, passing over events.
func (w *wire) call(op proto.Op, fields ...func(*jute.Coder)) reply {
	w.t.Helper()
	xid := w.send(op, fields...)
	w.flush()
	for {
		p := w.recv()
		if p.Xid == proto.XidEvent {
			continue
		}
		if p.Xid != xid {
			w.t.Fatalf("reply to %d, want %d", p.Xid, xid)
		}
		return p
	}
}

// must is call for a request that has to succeed.
func (w *wire) must(op proto.Op, fields ...func(*jute.Coder)) reply {
	w.t.Helper()
	p := w.call(op, fields...)
	if p.Err != proto.OK {
		w.t.Fatalf("%v: %v", op, p.Err)
	}
	return p
}

// closed waits until the server has closed the connection.
func (w *wire) closed() {
	w.t.Helper()
	for {
		if _, err := w.read(); err != nil {
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				w.t.Fatal("the server did not close the connection")
			}
			return
		}
	}
}

func create(path, data string, flags int32) func(*jute.Coder) {
	q := proto.CreateRequest{Path: path, Data: []byte(data), ACL: proto.OpenACL, Flags: flags}
	return q.Fields
}

func setData(path, data string, version int32) func(*jute.Coder) {
	q := proto.SetDataRequest{Path: path, Data: []byte(data), Version: version}
	return q.Fields
}

func del(path string, version int32) func(*jute.Coder) {
	q := proto.PathVersion{Path: path, Version: version}
	return q.Fields
}

func get(path string, watch bool) func(*jute.Coder) {
	q := proto.PathWatch{Path: path, Watch: watch}
	return q.Fields
}

func only(path string) func(*jute.Coder) {
	q := proto.PathOnly{Path: path}
	return q.Fields
}

// noWatches is a setWatches without paths; of lists that are null there would be no answer but an
// error.
func noWatches(seen proto.Zxid) proto.SetWatches {
	no := []string{}
	return proto.SetWatches{RelativeZxid: seen, Data: no, Exist: no, Child: no, Persistent: no,
		PersistentRecursive: no}
}

func dataOf(t testing.TB, p reply) proto.DataStat {
	t.Helper()
	var d proto.DataStat
	r := jute.Reader(p.body)
	d.Fields(&r)
	if p.Err != proto.OK || r.Err() != nil {
		t.Fatalf("getData: %v %v", p.Err, r.Err())
	}
	return d
}

func eventOf(t testing.TB, p reply) proto.WatcherEvent {
	t.Helper()
	var e proto.WatcherEvent
	r := jute.Reader(p.body)
	e.Fields(&r)
	if p.Xid != proto.XidEvent || r.Err() != nil {
		t.Fatalf("not an event: %+v %v", p, r.Err())
	}
	return e
}

// word sends a four-letter word and returns the text.
func word(t testing.TB, s *Server, name string) string {
	t.Helper()
	w := dial(t, s)
	w.out = append(w.out, name...)
	w.flush()
	var b strings.Builder
	if _, err := io.Copy(&b, w.r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
