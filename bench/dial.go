package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
)

// dialsAtOnce bounds handshakes under way: creating a session costs the server an fsync, which
// concurrent handshakes share.
const dialsAtOnce = 64

// dialTimeout bounds connecting and the handshake, each.
const dialTimeout = 10 * time.Second

// dialAll opens n sessions, dealt out over the servers in turn. On an error none is left open.
func dialAll(ctx context.Context, servers []string, n int, timeout time.Duration) ([]*conn, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	conns := make([]*conn, n)
	slots := make(chan struct{}, dialsAtOnce)
	var wg sync.WaitGroup
	for i := range conns {
		slots <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			c, err := dial(ctx, servers[i%len(servers)], timeout)
			if err != nil {
				cancel(fmt.Errorf("bench: connection %d of %d: %w", i+1, n, err))
				return
			}
			c.id, conns[i] = i, c
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		closeAll(conns)
		return nil, err
	}
	return conns, nil
}

func closeAll(conns []*conn) {
	for _, c := range conns {
		if c != nil {
			_ = unix.Close(c.fd) // nothing is awaited from it any more
		}
	}
}

// dial connects and opens a session, then takes the socket out of Go's poller.
func dial(ctx context.Context, server string, timeout time.Duration) (*conn, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	nc, err := dialer.DialContext(ctx, "tcp", server)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("%s refuses connections: no server listens there; "+
			"start one with `meerkat server`, or name another with --servers", server)
	}
	if err != nil {
		return nil, fmt.Errorf("%s cannot be reached: %w", server, err)
	}
	defer nc.Close()
	// The handshake ends early when ctx does.
	defer context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })()
	c := &conn{server: server}
	if err := c.handshake(nc, timeout); err != nil {
		return nil, err
	}
	c.fd, err = ownSocket(nc.(*net.TCPConn))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", server, err)
	}
	return c, nil
}

// handshake asks for a new session.
func (c *conn) handshake(nc net.Conn, timeout time.Duration) error {
	_ = nc.SetDeadline(time.Now().Add(dialTimeout)) // fails on a closed socket; so will Write
	w := jute.Writer(nil)
	req := proto.ConnectRequest{TimeOut: int32(timeout.Milliseconds()),
		Passwd: make([]byte, proto.PasswordBytes), HasReadOnly: true}
	w.Embedded(req.Fields)
	if _, err := nc.Write(w.Bytes()); err != nil {
		return fmt.Errorf("%s: handshake: %w", c.server, err)
	}
	var head [4]byte
	if _, err := io.ReadFull(nc, head[:]); err != nil {
		return c.refused(err)
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > connectResponseMax {
		return fmt.Errorf("%s answers the handshake with a frame of %d bytes: "+
			"is this a ZooKeeper client port?", c.server, n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(nc, body); err != nil {
		return c.refused(err)
	}
	var resp proto.ConnectResponse
	r := jute.Reader(body)
	resp.Fields(&r)
	if r.Err() != nil || resp.TimeOut <= 0 || resp.SessionID == 0 {
		return fmt.Errorf("%s gives no session (%d bytes, timeout %d): "+
			"is this a ZooKeeper client port?", c.server, n, resp.TimeOut)
	}
	c.session, c.timeout = resp.SessionID, time.Duration(resp.TimeOut)*time.Millisecond
	return nil
}

// connectResponseMax bounds the answer to a handshake, which has 36 or 37 bytes.
const connectResponseMax = 256

func (c *conn) refused(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("%s closed the connection instead of giving a session: it may not "+
			"serve yet, or its maxClientCnxns is lower than --connections", c.server)
	}
	return fmt.Errorf("%s: handshake: %w", c.server, err)
}

// ownSocket duplicates the descriptor of a connection, for an epoll of our own.
func ownSocket(nc *net.TCPConn) (int, error) {
	raw, err := nc.SyscallConn()
	if err != nil {
		return 0, err
	}
	fd := -1
	var dupErr error
	err = raw.Control(func(old uintptr) {
		fd, dupErr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0)
	})
	if err = errors.Join(err, dupErr); err != nil {
		return 0, fmt.Errorf("duplicating the socket: %w", err)
	}
	return fd, nil // non-blocking still: that belongs to the socket, not to the descriptor
}
