package netloop

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// descriptors counts the process's open ones.
func descriptors(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// TestTenThousandConnections opens and drops them, a few hundred at a time, half of them with
// a frame under way; afterwards nothing of them is left.
func TestTenThousandConnections(t *testing.T) {
	before := goleak.IgnoreCurrent()
	fds := descriptors(t)
	const rounds, perRound = 20, 500
	var opened, closed atomic.Int64
	all := make(chan struct{})
	handler := &echo{ // shared by the loops: it has no state but these counters
		max:    1000,
		onOpen: func(*Conn) { opened.Add(1) },
		onClosed: func(*Conn, error) {
			if closed.Add(1) == rounds*perRound {
				close(all)
			}
		},
	}
	s, err := Start(Options{
		Addrs: []string{"127.0.0.1:0"}, Loops: 4,
		NewHandler: func(*Loop) Handler { return handler },
	})
	if err != nil {
		t.Fatal(err)
	}
	for range rounds {
		var conns [perRound]net.Conn
		for i := range conns {
			if conns[i], err = net.Dial("tcp", s.Addrs()[0].String()); err != nil {
				t.Fatal(err)
			}
			if i%2 == 0 {
				_, _ = conns[i].Write([]byte("\x00\x00\x00\x09half"))
			}
		}
		for _, c := range conns {
			_ = c.Close()
		}
	}
	<-all
	if n := opened.Load(); n != rounds*perRound {
		t.Errorf("%d opened", n)
	}
	if n := s.Connections(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
	stop(t, s)
	if n := descriptors(t); n > fds {
		t.Errorf("%d descriptors before, %d after", fds, n)
	}
	goleak.VerifyNone(t, append(poolGoroutines(), before)...)
}

// TestSpread expects equal loops to hold equally many, also when many come at once.
func TestSpread(t *testing.T) {
	const loops, perLoop = 8, 16
	var opened sync.WaitGroup
	opened.Add(loops * perLoop)
	s := startEcho(t, Options{Loops: loops}, func(e *echo) {
		e.onOpen = func(c *Conn) {
			if c.Loop() != e.loop {
				t.Error("a connection on a strange loop")
			}
			opened.Done()
		}
	})
	for range loops * perLoop {
		dial(t, s)
	}
	opened.Wait()
	for _, l := range s.Loops() {
		if n := l.Connections(); n != perLoop {
			t.Errorf("loop %d holds %d", l.Index, n)
		}
	}
}

// TestEndsOfAConnection ends connections in every way and looks at Closed's error.
func TestEndsOfAConnection(t *testing.T) {
	type end struct {
		id  uint64
		err error
	}
	ends := make(chan end, 1)
	opened := make(chan *Conn, 1)
	s := startEcho(t, Options{Loops: 1}, func(e *echo) {
		e.onOpen = func(c *Conn) { opened <- c }
		e.onClosed = func(c *Conn, err error) { ends <- end{c.ID(), err} }
	})
	boom := errors.New("boom")
	on := func(f func(*Conn)) func(*net.TCPConn, *Conn) {
		return func(_ *net.TCPConn, c *Conn) { onLoop(c.Loop(), func() { f(c) }) }
	}
	reset := func(p *net.TCPConn, _ *Conn) { _ = p.SetLinger(0); _ = p.Close() }
	for name, tt := range map[string]struct {
		do  func(peer *net.TCPConn, c *Conn)
		err error
	}{
		"peer closes":      {do: func(p *net.TCPConn, _ *Conn) { _ = p.Close() }},
		"peer half-closes": {do: func(p *net.TCPConn, _ *Conn) { _ = p.CloseWrite() }},
		"peer resets":      {do: reset, err: syscall.ECONNRESET},
		"peer resets, paused": {do: func(p *net.TCPConn, c *Conn) {
			on((*Conn).Pause)(p, c)
			reset(p, c)
		}},
		"close":       {do: on((*Conn).Close)},
		"close twice": {do: on(func(c *Conn) { c.Close(); c.CloseAfterFlush() })},
		"flush":       {do: on((*Conn).CloseAfterFlush)},
		"fail":        {do: on(func(c *Conn) { c.fail(boom) }), err: boom},
		"bad frame": {do: func(p *net.TCPConn, _ *Conn) {
			_, _ = p.Write([]byte("\xff\xff\xff\xff"))
		}},
	} {
		peer := dial(t, s)
		c := <-opened
		tt.do(peer, c)
		if e := <-ends; e.id != c.ID() || !errors.Is(e.err, tt.err) {
			t.Errorf("%s: closed %d (want %d), %v", name, e.id, c.ID(), e.err)
		}
		onLoop(c.Loop(), func() { useAfterClosed(t, c) })
	}
	if n := s.Connections(); n != 0 {
		t.Errorf("%d connections left", n)
	}
}

// useAfterClosed calls what a Handler may still call by mistake.
func useAfterClosed(t *testing.T, c *Conn) {
	c.SetBuffer(append(c.Buffer(), "late"...))
	c.Pause()
	c.Resume()
	c.CloseAfterFlush()
	c.Close()
	if c.Unsent() != 0 || c.isTouched || c.isLater {
		t.Error("a closed connection came back")
	}
}

// TestCloseAfterFlush closes behind 8 MiB that the peer reads late: all of it arrives, then
// the end. Input of that time is dropped.
func TestCloseAfterFlush(t *testing.T) {
	ended := make(chan error, 1)
	s := start(t, Options{Loops: 1, NewHandler: func(*Loop) Handler {
		return &traffic{
			echo: echo{onClosed: func(_ *Conn, err error) { ended <- err }},
			f: func(c *Conn, in []byte) (int, bool) {
				c.SetBuffer(append(c.Buffer(), make([]byte, 8<<20)...))
				c.CloseAfterFlush()
				return 0, true
			},
		}
	}})
	c := dial(t, s)
	writeUntilStuck(t, c, make([]byte, 100_000))
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
	n, err := io.CopyN(io.Discard, c, 8<<20)
	if n != 8<<20 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestCloseGivesUp closes behind output that the peer never reads.
func TestCloseGivesUp(t *testing.T) {
	s, _ := startWithOutput(t)
	l := s.Loops()[0]
	onLoop(l, func() {
		c := l.conns[0]
		c.CloseAfterFlush()
		c.stallTicks = closeStallTicks - 1 // it has been waiting for long
		c.stallLeft = c.wire.unsent() + c.wire.undelivered()
	})
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// TestCloseDuringFlush has the peer vanish while output waits, again and again, with writes
// and closes from other connections' turns.
func TestCloseDuringFlush(t *testing.T) {
	rng := rand.New(rand.NewPCG(seedOf(t), 0))
	var open []*Conn // one loop only: its own
	var ends sync.WaitGroup
	s := start(t, Options{Loops: 1, NewHandler: func(*Loop) Handler {
		return &traffic{
			echo: echo{
				onOpen: func(c *Conn) { open = append(open, c) },
				onClosed: func(c *Conn, _ error) {
					for i, o := range open {
						if o == c {
							open = append(open[:i], open[i+1:]...)
						} else {
							o.SetBuffer(append(o.Buffer(), "one is gone"...))
						}
					}
					ends.Done()
				},
			},
			f: func(c *Conn, in []byte) (int, bool) {
				for _, o := range open {
					o.SetBuffer(append(o.Buffer(), make([]byte, 300_000)...))
				}
				if len(in) == 0 { // after again
					return 0, false
				}
				switch in[0] % 4 {
				case 0:
					c.Close()
				case 1:
					c.CloseAfterFlush()
				case 2:
					if len(open) > 0 {
						open[0].Close()
					}
				}
				return len(in), in[0]%2 == 0
			},
		}
	}})
	for range 30 {
		var peers []*net.TCPConn
		for range 8 {
			ends.Add(1)
			peers = append(peers, dial(t, s))
		}
		for _, p := range peers {
			_, _ = p.Write([]byte{byte(rng.IntN(256))})
			if rng.IntN(2) == 0 {
				_, _ = p.Read(make([]byte, 1000))
			}
			if rng.IntN(2) == 0 {
				_ = p.SetLinger(0)
			}
		}
		for _, p := range peers {
			_ = p.Close()
		}
	}
	ends.Wait()
}

// TestStopFlushes stops a server whose connection has output waiting, which the peer reads.
func TestStopFlushes(t *testing.T) {
	s, c := startWithOutput(t)
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(context.Background()) }()
	if n, err := io.Copy(io.Discard, c); n != 8<<20 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	s.Loops()[0].Wake() // does nothing
	s.Loops()[0].Execute(func() { t.Error("ran after Stop") })
}

// TestStopHasEnough stops a server whose peer reads nothing.
func TestStopHasEnough(t *testing.T) {
	s, _ := startWithOutput(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := s.Stop(context.Background()); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func startWithOutput(t *testing.T) (*Server, *net.TCPConn) {
	t.Helper()
	handler := &traffic{f: func(c *Conn, in []byte) (int, bool) {
		c.SetBuffer(append(c.Buffer(), make([]byte, 8<<20)...))
		return len(in), false
	}}
	s, err := Start(Options{
		Addrs: []string{"127.0.0.1:0"}, Loops: 1,
		NewHandler: func(*Loop) Handler { return handler },
	})
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, s)
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	for unsent := 0; unsent == 0; {
		onLoop(s.Loops()[0], func() {
			for _, c := range s.Loops()[0].conns {
				unsent = c.Unsent()
			}
		})
	}
	return s, c
}

// TestCloseListeners keeps connections and takes no new ones.
func TestCloseListeners(t *testing.T) {
	s := startEcho(t, Options{}, nil)
	c := dial(t, s)
	exchange(t, c, []byte("before"))
	s.CloseListeners()
	s.CloseListeners()
	exchange(t, c, []byte("after"))
	if c, err := net.Dial("tcp", s.Addrs()[0].String()); err == nil {
		_ = c.Close()
		t.Error("a new connection was taken")
	}
}

// TestAddresses listens on IPv4, IPv6 and both.
func TestAddresses(t *testing.T) {
	conns := make(chan [2]netip.AddrPort, 1)
	s := startEcho(t, Options{Addrs: []string{"tcp://127.0.0.1:0", "[::1]:0", ":0"}},
		func(e *echo) {
			e.onOpen = func(c *Conn) { conns <- [2]netip.AddrPort{c.RemoteAddr(), c.LocalAddr()} }
		})
	port := func(i int) string { _, p, _ := net.SplitHostPort(s.Addrs()[i].String()); return p }
	for _, tt := range []struct{ to, ip string }{
		{"127.0.0.1:" + port(0), "127.0.0.1"},
		{"[::1]:" + port(1), "::1"},
		{"127.0.0.1:" + port(2), "127.0.0.1"},
		{"[::1]:" + port(2), "::1"},
	} {
		c, err := net.Dial("tcp", tt.to)
		if err != nil {
			t.Fatal(err)
		}
		exchange(t, c, []byte("x"))
		got := <-conns
		ours := [2]string{c.LocalAddr().String(), c.RemoteAddr().String()}
		if got[0].String() != ours[0] || got[1].String() != ours[1] ||
			got[0].Addr() != netip.MustParseAddr(tt.ip) {
			t.Errorf("%s: %v", tt.to, got)
		}
		_ = c.Close()
	}
}

// TestSocketOptions reads them back from the server's end.
func TestSocketOptions(t *testing.T) {
	for _, keepAlive := range []time.Duration{0, 90 * time.Second} {
		opened := make(chan *Conn, 1)
		s := startEcho(t, Options{KeepAlive: keepAlive, Backlog: 7}, func(e *echo) {
			e.onOpen = func(c *Conn) { opened <- c }
		})
		dial(t, s)
		c := <-opened
		onLoop(c.Loop(), func() {
			fd := c.wire.(*gnetTransport).gc.Fd()
			get := func(level, option int) int {
				n, err := unix.GetsockoptInt(fd, level, option)
				if err != nil {
					t.Error(err)
				}
				return n
			}
			if get(unix.IPPROTO_TCP, unix.TCP_NODELAY) != 1 {
				t.Error("TCP_NODELAY is off")
			}
			if on := get(unix.SOL_SOCKET, unix.SO_KEEPALIVE) == 1; on != (keepAlive > 0) {
				t.Errorf("keep-alive %v: on is %v", keepAlive, on)
			}
			if idle := get(unix.IPPROTO_TCP, unix.TCP_KEEPIDLE); keepAlive > 0 && idle != 90 {
				t.Errorf("keep-alive after %d s", idle)
			}
		})
	}
}

// TestStartFails names the address, and leaves nothing behind.
func TestStartFails(t *testing.T) {
	s := startEcho(t, Options{}, nil)
	taken := s.Addrs()[0].String()
	fds := descriptors(t)
	handler := func(*Loop) Handler { return &echo{} }
	for _, tt := range []struct {
		o    Options
		want string
	}{
		{Options{Addrs: []string{"127.0.0.1:0", taken}, NewHandler: handler}, taken},
		{Options{Addrs: []string{"127.0.0.1:x"}, NewHandler: handler}, "127.0.0.1:x"},
		{Options{Addrs: []string{"127.0.0.1:0"}}, "NewHandler"},
	} {
		if _, err := Start(tt.o); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: %v", tt.o.Addrs, err)
		}
	}
	if n := descriptors(t); n > fds {
		t.Errorf("%d descriptors before, %d after", fds, n)
	}
}

// TestLimits refuses over MaxPerIP and MaxTotal, counts, says why, and forgets the dead.
func TestLimits(t *testing.T) {
	for _, tt := range []struct {
		perIP, total int
		why          error
	}{{2, 0, ErrTooManyFromIP}, {0, 2, ErrTooMany}} {
		refused := make(chan error, 1)
		ended := make(chan struct{}, 10)
		s := startEcho(t, Options{MaxPerIP: tt.perIP, MaxTotal: tt.total,
			OnRefuse: func(addr netip.AddrPort, why error) {
				if !addr.Addr().IsLoopback() {
					t.Errorf("refused %v", addr)
				}
				refused <- why
			}}, func(e *echo) { e.onClosed = func(*Conn, error) { ended <- struct{}{} } })
		a, b, c := dial(t, s), dial(t, s), dial(t, s)
		if why := <-refused; why != tt.why || s.Refused() != 1 {
			t.Errorf("%v, %d refused", why, s.Refused())
		}
		if n, err := c.Read(make([]byte, 1)); err == nil {
			t.Errorf("read %d bytes of a refused connection", n)
		}
		exchange(t, a, []byte("a"))
		exchange(t, b, []byte("b"))
		_ = b.Close()
		<-ended
		exchange(t, dial(t, s), []byte("d"))
		stop(t, s)
	}
}

// TestOutOfDescriptors lets accept fail, and then succeed.
func TestOutOfDescriptors(t *testing.T) {
	faults := make(chan error, 1000)
	s := startEcho(t, Options{OnFault: func(err error) { faults <- err }}, nil)
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	full := unix.Rlimit{Cur: 0, Max: old.Max} // what is open stays open
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &full); err != nil {
		t.Fatal(err)
	}
	ap := s.Addrs()[0].(*net.TCPAddr).AddrPort()
	err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().Unmap().As4()})
	fault := <-faults
	if restore := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); restore != nil || err != nil {
		t.Fatal(restore, err)
	}
	if !errors.Is(fault, unix.EMFILE) {
		t.Errorf("fault %v", fault)
	}
	if _, err := unix.Write(fd, appendFrame(nil, []byte("x"))); err != nil {
		t.Fatal(err)
	}
	if n, err := unix.Read(fd, make([]byte, 5)); n != 5 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}
