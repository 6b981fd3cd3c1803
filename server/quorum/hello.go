package quorum

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/meerkat-zk/meerkat/proto"
)

// accept is the goroutine of a listener, which it owns.
func (p *ElectionPort) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if p.ctx.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			return
		}
		if err != nil {
			p.config.Log.NetworkFault(fmt.Errorf("election port: %w", err))
			select {
			case <-time.After(acceptRetryWait):
			case <-p.ctx.Done():
			}
			continue
		}
		if oldest := p.greetings.add(conn); oldest != nil {
			p.refuse(oldest, fmt.Errorf("it has not said who it is, and neither have %d newer ones",
				greetersMax))
		}
		p.tasks.Go(func() { p.greet(conn) })
	}
}

// greetings are the connections whose hello is not over, oldest first. Acceptors and greeters
// share them.
type greetings struct {
	mu   sync.Mutex
	open []net.Conn
}

// add takes a connection in, and returns the one that has to go for it, if any.
func (g *greetings) add(conn net.Conn) (oldest net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.open) == greetersMax {
		oldest, g.open = g.open[0], g.open[1:]
	}
	g.open = append(g.open, conn)
	return oldest
}

// remove takes a connection out, and tells whether it was still there.
func (g *greetings) remove(conn net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.open, conn)
	if i >= 0 {
		g.open = slices.Delete(g.open, i, i+1)
	}
	return i >= 0
}

// greet is a greeter: it owns the connection until its hello is over. The time for that is one
// for all of it, so that byte by byte gets nobody further.
func (p *ElectionPort) greet(conn net.Conn) {
	h, err := p.readHello(conn)
	if !p.greetings.remove(conn) {
		return // it was the oldest, and is refused already
	}
	if err != nil {
		if p.ctx.Err() != nil {
			err = nil
		}
		p.refuse(conn, err)
		return
	}
	p.box.put(func() { p.greeted(conn, h) })
}

func (p *ElectionPort) readHello(conn net.Conn) (proto.Hello, error) {
	defer context.AfterFunc(p.ctx, func() { _ = conn.Close() })()
	conn.SetReadDeadline(time.Now().Add(p.config.HelloTimeout))
	buf := make([]byte, 0, proto.HelloBytesMax)
	for {
		size, err := proto.HelloBytes(buf)
		if err != nil {
			return proto.Hello{}, fmt.Errorf("%w; its first bytes are %.32q", err, buf)
		}
		if size == len(buf) {
			conn.SetReadDeadline(time.Time{})
			return proto.ParseHello(buf)
		}
		n, err := io.ReadFull(conn, buf[len(buf):size])
		if buf = buf[:len(buf)+n]; err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				err = fmt.Errorf("its hello was not over after %v", p.config.HelloTimeout)
			}
			return proto.Hello{}, fmt.Errorf("%w; it sent %d bytes, %.32q", err, n, buf)
		}
	}
}

// reachable are the addresses of a hello that lead anywhere: a server that listens on all its
// addresses may name the wildcard.
func reachable(addrs []string) (found []string) {
	for _, addr := range addrs {
		host, _, err := net.SplitHostPort(addr)
		if ip, isIP := netip.ParseAddr(host); err == nil && (isIP != nil || !ip.IsUnspecified()) {
			found = append(found, addr)
		}
	}
	return found
}

// dial connects to a peer, unless there is a link or somebody does it already.
func (p *ElectionPort) dial(sid int64, peer *peer, addrs []string) {
	if peer.link != nil || peer.dialing || len(addrs) == 0 || p.ctx.Err() != nil {
		return
	}
	peer.dialing = true
	p.tasks.Go(func() {
		conn, err := p.call(addrs)
		p.box.put(func() { p.dialed(sid, conn, err) })
	})
}

// dialed takes the outcome of a dial: a connection on which we have said hello, or an error.
func (p *ElectionPort) dialed(sid int64, conn net.Conn, err error) {
	peer := p.peers[sid]
	peer.dialing = false
	switch {
	case p.ctx.Err() != nil:
		if conn != nil {
			_ = conn.Close()
		}
		return
	case err != nil:
		p.config.Log.PeerNotReached(sid, err)
		if isGone(err) {
			p.config.Unreachable(sid)
		}
	case sid > p.config.Self: // it connects to us now; what we have to say waits for that
		peer.helloAt = time.Now()
		_ = conn.Close()
	default:
		p.adopt(sid, peer, conn)
	}
	p.forget(sid, peer)
}

// call is a dialler: it connects to one of the addresses, trying all of them side by side, and
// says hello in one write. Names are looked up each time, for a server may have moved.
func (p *ElectionPort) call(addrs []string) (net.Conn, error) {
	conn, err := p.connect(addrs)
	if err != nil {
		return nil, err
	}
	h := proto.Hello{Sid: p.config.Self, Addrs: p.config.Addrs}
	conn.SetWriteDeadline(time.Now().Add(p.config.HelloTimeout))
	if _, err := conn.Write(h.Append(nil)); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("hello: %w", err)
	}
	return conn, nil
}

// connect returns the first connection that comes about. All must have failed for an error, and
// that nobody is there is said only if every address says so.
func (p *ElectionPort) connect(addrs []string) (net.Conn, error) {
	type outcome struct {
		conn net.Conn
		err  error
	}
	ctx, cancel := context.WithTimeout(p.ctx, p.config.ConnectTimeout)
	defer cancel()
	outcomes := make(chan outcome, len(addrs))
	for _, addr := range addrs {
		p.tasks.Go(func() {
			d := net.Dialer{KeepAlive: p.keepAlive()}
			conn, err := d.DialContext(ctx, "tcp", addr)
			outcomes <- outcome{conn, err}
		})
	}
	var won net.Conn
	var failed error
	for range addrs {
		o := <-outcomes
		switch {
		case o.err == nil && won == nil:
			won = o.conn
			cancel()
		case o.err == nil:
			_ = o.conn.Close()
		case failed == nil || isGone(failed):
			failed = o.err
		}
	}
	if won != nil {
		return won, nil
	}
	return nil, failed
}
