package netloop

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/panjf2000/gnet/v2"
)

// A transport is the wire below one Conn, used on the Conn's loop alone. It is the seam for
// TLS: a transport whose goroutines do the cryptography brings plain bytes by Loop.Execute
// and [Loop.receive], and its end by [Loop.ended]. Plain TCP is gnetTransport.
type transport interface {
	// write takes all of p: the kernel what it can, the transport's own buffer the rest. p is
	// the caller's again afterwards. It may end the connection inside (Loop.ended).
	write(p []byte)
	// unsent counts bytes written that the kernel has not taken.
	unsent() int
	// setReading starts or stops reading; a few bytes may still come after a stop.
	setReading(on bool) error
	// received says that bytes came, whatever setReading was told before.
	received()
	// endOutput tells the peer that no more comes; it is called when unsent is 0.
	endOutput() error
	// undelivered counts what the kernel has taken and the peer's has not confirmed.
	undelivered() int
	// close ends the connection now; Loop.ended has been called when it returns.
	close()
}

// gnetTransport is a TCP connection in gnet's hands.
type gnetTransport struct {
	gc gnet.Conn
	interest
}

func newGnetTransport(gc gnet.Conn, epoll int) *gnetTransport {
	return &gnetTransport{gc: gc, interest: interest{epoll: epoll, fd: gc.Fd(), reading: true}}
}

// write is one write(2) when gnet's buffer is empty, a copy into that buffer otherwise. An
// error is not lost: gnet then closes the connection and calls OnClose from inside Write.
func (t *gnetTransport) write(p []byte) {
	before := t.gc.OutboundBuffered()
	_, _ = t.gc.Write(p)
	if before == 0 && t.gc.OutboundBuffered() > 0 {
		t.interest.gnetArmed()
	}
}

func (t *gnetTransport) unsent() int { return t.gc.OutboundBuffered() }

func (t *gnetTransport) setReading(on bool) error {
	return t.interest.set(on, t.gc.OutboundBuffered() > 0)
}

func (t *gnetTransport) received() { t.interest.gnetArmed() }

func (t *gnetTransport) endOutput() error {
	err := os.NewSyscallError("shutdown", unix.Shutdown(t.gc.Fd(), unix.SHUT_WR))
	if errors.Is(err, unix.ENOTCONN) {
		return nil // the peer is gone; reading will tell
	}
	return err
}

func (t *gnetTransport) undelivered() int {
	n, err := unix.IoctlGetInt(t.gc.Fd(), unix.SIOCOUTQ)
	if err != nil {
		return 0 // then there is nothing to wait for
	}
	return n
}

func (t *gnetTransport) close() {
	// The error speaks of epoll's and close's result for a descriptor that is gone either way.
	_ = t.gc.EventLoop().Close(t.gc)
}

// gnetEvents turns gnet's callbacks into turns of a Loop. The context of a gnet connection is
// the *Conn it carries, or the *Loop whose own bell it is.
type gnetEvents struct {
	gnet.BuiltinEventEngine
}

func (*gnetEvents) OnOpen(gc gnet.Conn) ([]byte, gnet.Action) {
	switch v := gc.Context().(type) {
	case *Conn:
		v.loop.opened(v, newGnetTransport(gc, v.loop.epoll))
	case *Loop:
		v.attach(gc)
	}
	return nil, gnet.None
}

// OnTraffic takes all bytes at once, so gnet's own input buffer stays empty for ever and the
// slice is the loop's read buffer itself, not a copy.
func (*gnetEvents) OnTraffic(gc gnet.Conn) gnet.Action {
	in, err := gc.Next(-1)
	if err != nil {
		panic(err) // all of what there is cannot be more than there is
	}
	switch v := gc.Context().(type) {
	case *Conn:
		v.loop.receive(v, in)
	case *Loop:
		v.run()
	}
	return gnet.None
}

func (*gnetEvents) OnClose(gc gnet.Conn, err error) gnet.Action {
	if c, ok := gc.Context().(*Conn); ok {
		c.loop.ended(c, err)
	}
	return gnet.None
}

// gnetLogger passes gnet's errors to Options.OnFault and drops the rest: its warnings speak
// of events for connections that this package closed a moment before.
type gnetLogger struct {
	onFault func(error)
}

func (gnetLogger) Debugf(string, ...any) {}
func (gnetLogger) Infof(string, ...any)  {}
func (gnetLogger) Warnf(string, ...any)  {}

func (g gnetLogger) Errorf(format string, args ...any) {
	g.onFault(fmt.Errorf("netloop: gnet: "+format, args...))
}

// Fatalf is only called by gnet's own tools; it must not end the process from in here.
func (g gnetLogger) Fatalf(format string, args ...any) { g.Errorf(format, args...) }
