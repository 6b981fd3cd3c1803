package netloop

import (
	"bytes"
	"io"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// onLoop runs f on the loop and waits for it.
func onLoop(l *Loop, f func()) {
	done := make(chan struct{})
	l.Execute(func() { f(); close(done) })
	<-done
}

// writeUntilStuck writes p again and again until the peer has taken nothing for a while, and
// returns how much it took.
func writeUntilStuck(t *testing.T, c *net.TCPConn, p []byte) (sent int) {
	t.Helper()
	for {
		_ = c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		n, err := c.Write(p)
		sent += n
		if os.IsTimeout(err) {
			return sent
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func heapBytes() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestPeerThatNeverReads floods an echo and reads nothing: what the server holds stays
// bounded, and every byte comes when the peer reads at last.
func TestPeerThatNeverReads(t *testing.T) {
	opened := make(chan *Conn, 1)
	s := startEcho(t, Options{}, func(e *echo) { e.onOpen = func(c *Conn) { opened <- c } })
	c := dial(t, s)
	conn := <-opened
	frame := appendFrame(nil, bytes.Repeat([]byte("0123456789"), 1000))
	before := heapBytes()
	sent := writeUntilStuck(t, c, frame)
	if grown := int64(heapBytes()) - int64(before); grown > 8<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
	onLoop(conn.Loop(), func() {
		unsent, waits := conn.Unsent(), conn.in.len()
		if unsent < defaultOutPauseBytes/2 || unsent > 2*defaultOutPauseBytes || !conn.OverMark() {
			t.Errorf("unsent %d, over the mark: %v", unsent, conn.OverMark())
		}
		if waits > conn.loop.bounds.inputBytes+defaultReadBytes {
			t.Errorf("%d bytes wait", waits)
		}
		t.Logf("took %d, unsent %d, waiting %d, sent %d", sent, unsent, waits, conn.SentBytes())
	})
	whole := sent / len(frame) * len(frame)
	got := make([]byte, len(frame))
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
	for read := 0; read < whole; read += len(frame) {
		if _, err := io.ReadFull(c, got); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, frame) {
			t.Fatalf("frame at %d differs", read)
		}
	}
}

// A pauser is an echo that pauses a connection in Open.
type pauser struct {
	echo
	opened chan *Conn
	calls  atomic.Int64
}

func (p *pauser) Open(c *Conn) {
	c.Pause()
	p.opened <- c
}

func (p *pauser) Traffic(c *Conn, in []byte) (int, bool) {
	p.calls.Add(1)
	return p.echo.Traffic(c, in)
}

// TestPause floods a connection that is paused from the start: nothing is shown, almost
// nothing is read. Resume brings all.
func TestPause(t *testing.T) {
	p := &pauser{echo: echo{max: 1 << 20}, opened: make(chan *Conn, 1)}
	s := start(t, Options{Loops: 1, NewHandler: func(*Loop) Handler { return p }})
	c := dial(t, s)
	conn := <-p.opened
	frame := appendFrame(nil, make([]byte, 1000))
	sent := writeUntilStuck(t, c, frame)
	onLoop(conn.Loop(), func() {
		waits := conn.in.len()
		if waits > defaultReadBytes || p.calls.Load() > 0 || !conn.Paused() {
			t.Errorf("paused: %d bytes wait, %d calls", waits, p.calls.Load())
		}
		conn.Resume()
	})
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.CopyN(io.Discard, c, int64(sent/len(frame)*len(frame))); err != nil {
		t.Fatal(err)
	}
}

// TestPausedWhileWriting makes gnet re-arm reading behind a pause, by output that it has to
// buffer and drain, many times over; input must stay bounded by a read per drain, and the
// connection must still drain.
func TestPausedWhileWriting(t *testing.T) {
	p := &pauser{echo: echo{max: 1 << 20}, opened: make(chan *Conn, 1)}
	s := start(t, Options{
		Loops: 1, OutPauseBytes: -1, NewHandler: func(*Loop) Handler { return p },
	})
	c := dial(t, s)
	conn := <-p.opened
	sent := writeUntilStuck(t, c, appendFrame(nil, make([]byte, 1000)))
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	const rounds, chunk = 5, 8 << 20
	for range rounds {
		onLoop(conn.Loop(), func() {
			conn.SetBuffer(append(conn.Buffer(), make([]byte, chunk)...))
		})
		if _, err := io.CopyN(io.Discard, c, chunk); err != nil {
			t.Fatal(err)
		}
	}
	onLoop(conn.Loop(), func() {
		if waits := conn.in.len(); waits > rounds*defaultReadBytes || p.calls.Load() > 0 {
			t.Errorf("%d of %d bytes wait, %d calls", waits, sent, p.calls.Load())
		}
		if conn.Unsent() != 0 || conn.SentBytes() != rounds*chunk {
			t.Errorf("unsent %d, sent %d", conn.Unsent(), conn.SentBytes())
		}
		conn.Resume()
	})
	if _, err := io.CopyN(io.Discard, c, int64(sent/1004*1004)); err != nil {
		t.Fatal(err)
	}
}

// TestResumeShowsWhatWaits pauses with bytes unused and resumes: no new byte comes, Traffic
// does.
func TestResumeShowsWhatWaits(t *testing.T) {
	shown := make(chan int)
	keep := true
	var conn *Conn
	s := start(t, Options{Loops: 1, NewHandler: func(*Loop) Handler {
		return &traffic{f: func(c *Conn, in []byte) (int, bool) {
			conn = c
			if keep {
				c.Pause()
				shown <- len(in)
				return 2, false
			}
			shown <- len(in)
			return len(in), false
		}}
	}})
	c := dial(t, s)
	if _, err := c.Write([]byte("12345")); err != nil {
		t.Fatal(err)
	}
	if n := <-shown; n != 5 {
		t.Fatalf("shown %d", n)
	}
	onLoop(s.Loops()[0], func() { keep = false; conn.Resume() })
	if n := <-shown; n != 3 {
		t.Errorf("shown %d after Resume", n)
	}
}

// traffic is an echo with a Traffic of the test's own.
type traffic struct {
	echo
	f func(c *Conn, in []byte) (int, bool)
}

func (h *traffic) Traffic(c *Conn, in []byte) (int, bool) { return h.f(c, in) }

// TestDrained goes over a small mark both ways: with a peer that reads, the write of the turn
// takes everything, and with one that does not, the timer finds out.
func TestDrained(t *testing.T) {
	drained := make(chan int)
	var conn *Conn
	s := start(t, Options{Loops: 1, OutPauseBytes: 1000, NewHandler: func(*Loop) Handler {
		return &traffic{
			echo: echo{drained: func(c *Conn) { drained <- c.Unsent() }},
			f: func(c *Conn, in []byte) (int, bool) {
				conn = c
				c.SetBuffer(append(c.Buffer(), make([]byte, int(in[0])<<20|1000)...))
				if !c.OverMark() {
					panic("not over the mark")
				}
				return 1, false
			},
		}
	}})
	c := dial(t, s)
	for _, mib := range []byte{0, 16} {
		if _, err := c.Write([]byte{mib}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, c, int64(mib)<<20|1000); err != nil {
			t.Fatal(err)
		}
		if n := <-drained; n > 500 {
			t.Errorf("%d MiB: drained at %d", mib, n)
		}
	}
	onLoop(s.Loops()[0], func() {
		if conn.OverMark() || conn.hold != 0 || len(conn.loop.draining) != 0 || conn.loop.armed {
			t.Errorf("hold %d, %d draining", conn.hold, len(conn.loop.draining))
		}
	})
}

// TestInputOverLimit has a handler that uses nothing: reading stops at a frame and a read.
func TestInputOverLimit(t *testing.T) {
	opened := make(chan *Conn, 1)
	s := start(t, Options{Loops: 1, FrameBytesMax: 100_000, NewHandler: func(*Loop) Handler {
		return &traffic{
			echo: echo{onOpen: func(c *Conn) { opened <- c }},
			f:    func(*Conn, []byte) (int, bool) { return 0, false },
		}
	}})
	c := dial(t, s)
	writeUntilStuck(t, c, make([]byte, 100_000))
	conn := <-opened
	onLoop(conn.Loop(), func() {
		n, b := conn.in.len(), conn.loop.bounds
		if n < b.inputBytes || n > b.inputBytes+b.readBytes {
			t.Errorf("%d bytes wait, bound %d", n, b.inputBytes)
		}
	})
}

// TestInputFull lets bytes come to a paused connection without end.
func TestInputFull(t *testing.T) {
	ended := make(chan error, 1)
	p := &pauser{opened: make(chan *Conn, 1)}
	p.onClosed = func(_ *Conn, err error) { ended <- err }
	s := start(t, Options{Loops: 1, NewHandler: func(*Loop) Handler { return p }})
	dial(t, s)
	c := <-p.opened
	onLoop(c.Loop(), func() {
		for c.state == connOpen {
			if c.in.len() > c.loop.bounds.inputBytesMax {
				t.Errorf("%d bytes wait", c.in.len())
				return
			}
			in := make([]byte, 1<<20)
			c.loop.depth-- // as if each came by itself
			c.loop.receive(c, in)
			c.loop.depth++
		}
	})
	if err := <-ended; err != ErrInputFull {
		t.Error(err)
	}
}

// TestSteadyStateAllocatesNothing counts the allocations of the whole process from frames in
// to replies out, with a client that makes none.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	s := startEcho(t, Options{Loops: 1}, nil)
	raw, err := dial(t, s).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	frames := bytes.Repeat(appendFrame(nil, make([]byte, 100)), 16)
	in := make([]byte, len(frames))
	got := 0
	write := func(fd uintptr) bool { _, err = unix.Write(int(fd), frames); return true }
	read := func(fd uintptr) bool {
		n, readErr := unix.Read(int(fd), in[got:])
		if readErr == unix.EAGAIN {
			return false
		}
		got, err = got+n, readErr
		return got == len(in) || err != nil
	}
	allocs := testing.AllocsPerRun(2000, func() {
		got = 0
		if raw.Write(write) != nil || raw.Read(read) != nil || err != nil {
			t.Fatal(err)
		}
	})
	if allocs > 0 {
		t.Errorf("%v allocations for 16 frames", allocs)
	}
}

// TestIdleHoldsNoBuffer looks at a connection between two exchanges.
func TestIdleHoldsNoBuffer(t *testing.T) {
	opened := make(chan *Conn, 1)
	s := startEcho(t, Options{Loops: 1}, func(e *echo) { e.onOpen = func(c *Conn) { opened <- c } })
	c := dial(t, s)
	exchange(t, c, make([]byte, 200_000))
	conn := <-opened
	onLoop(conn.Loop(), func() {
		if conn.out != nil || conn.in.buf != nil {
			t.Error("an idle connection holds a buffer")
		}
		for _, b := range conn.loop.buffers.free {
			if cap(b) > bufferKeepBytes {
				t.Errorf("a buffer of %d bytes was kept", cap(b))
			}
		}
	})
}
