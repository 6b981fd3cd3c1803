package netloop

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"
)

// An echo answers each frame with the same frame. Its hooks, all optional, run on its loop.
type echo struct {
	loop     *Loop
	max      int
	perTurn  int // frames per Traffic call; 0: all
	onOpen   func(c *Conn)
	onClosed func(c *Conn, err error)
	onWake   func()
	onTick   func(time.Time)
	drained  func(c *Conn)
}

func (e *echo) Open(c *Conn) {
	if e.onOpen != nil {
		e.onOpen(c)
	}
}

func (e *echo) Traffic(c *Conn, in []byte) (used int, again bool) {
	out := c.Buffer()
	defer func() { c.SetBuffer(out) }()
	for frames := 0; ; frames++ {
		frame, n, err := NextFrame(in[used:], e.max)
		if err != nil {
			c.Close()
			return used, false
		}
		if n == 0 {
			return used, false
		}
		if e.perTurn > 0 && frames == e.perTurn || c.OverMark() {
			return used, !c.OverMark()
		}
		out = appendFrame(out, frame)
		used += n
	}
}

func (e *echo) Wake() {
	if e.onWake != nil {
		e.onWake()
	}
}

func (e *echo) Tick(now time.Time) {
	if e.onTick != nil {
		e.onTick(now)
	}
}

func (e *echo) Drained(c *Conn) {
	if e.drained != nil {
		e.drained(c)
	}
}

func (e *echo) Closed(c *Conn, err error) {
	if e.onClosed != nil {
		e.onClosed(c, err)
	}
}

func appendFrame(b, body []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
	return append(b, body...)
}

// startEcho starts a server of echoes on loopback; set, if any, adapts each loop's echo.
func startEcho(t testing.TB, o Options, set func(*echo)) *Server {
	t.Helper()
	o.NewHandler = func(l *Loop) Handler {
		e := &echo{loop: l, max: 1 << 20}
		if set != nil {
			set(e)
		}
		return e
	}
	return start(t, o)
}

// start starts a server on loopback, with two loops unless o says otherwise.
func start(t testing.TB, o Options) *Server {
	t.Helper()
	if o.Addrs == nil {
		o.Addrs = []string{"127.0.0.1:0"}
	}
	if o.Loops == 0 {
		o.Loops = 2
	}
	if o.OnFault == nil {
		o.OnFault = func(err error) { t.Error(err) }
	}
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s) })
	return s
}

func stop(t testing.TB, s *Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func dial(t testing.TB, s *Server) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	return c.(*net.TCPConn)
}

// exchange writes body as a frame and expects it back.
func exchange(t testing.TB, c net.Conn, body []byte) {
	t.Helper()
	frame := appendFrame(nil, body)
	if _, err := c.Write(frame); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(frame))
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, frame) {
		t.Fatalf("echo of %d bytes differs", len(body))
	}
}
