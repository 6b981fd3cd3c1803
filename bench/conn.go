package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meerkat-zk/meerkat/proto"
)

// A kind is what a request is accounted as.
type kind uint8

const (
	kindRead kind = iota
	kindWrite
	kindCreate
	kindMulti
	kindFanout // from a change to the last of its watchers
	kinds
	kindOther = kinds // not accounted: set-up, pings, closing
)

var kindNames = [kinds]string{"read", "write", "create", "multi", "fanout"}

// A sent is a request that waits for its reply.
type sent struct {
	at   int64 // when it was sent, or was meant to be: ns on the driver's clock
	xid  int32
	kind kind
	node [MultiSets]uint32 // znodes it is about, as many as its kind has
	seq  [MultiSets]uint32 // and their writes
}

// A seen is the newest state of a znode that a connection was shown.
type seen struct {
	node  uint32
	seq   uint32
	mzxid proto.Zxid // 0: nothing yet
}

// seenMax bounds the znodes whose state a connection remembers; others share a slot, and the
// last one has it.
const seenMax = 4096

// A reply is a decoded header and what follows it.
type reply struct {
	zxid proto.Zxid
	err  proto.Code
	body []byte
}

// A conn is one session on one socket. Its driver alone touches it.
type conn struct {
	d       *driver
	id      int // among all connections of the run
	slot    int // in d.conns
	server  string
	fd      int
	session int64
	timeout time.Duration // of the session, as the server granted it

	xid   int32  // of the newest request
	ring  []sent // requests without a reply, oldest at head; the length is a power of two
	head  int
	n     int
	seen  []seen // by node modulo the length, a power of two
	zxid  proto.Zxid
	carry []byte // the start of a frame whose rest was not read yet

	out      []byte // encoded and not yet taken by the socket
	outAt    int    // the part of out that was taken
	frameAt  int    // where the frame being encoded starts
	blocked  bool   // the socket was full: epoll tells when it is not
	lastSent int64  // ns
	pings    int    // without a reply

	armed   bool // Fanout: holds a watch
	told    bool // Fanout: its event has arrived
	leaving bool // closeSession was sent
	gone    bool // and the server closed the socket
}

// pow2 is the least power of two that is at least n.
func pow2(n int) int {
	p := 1
	for p < n {
		p *= 2
	}
	return p
}

// open starts a request; what is appended to c.out until shut is its body.
func (c *conn) open(k kind, op proto.Op) *sent {
	if c.xid++; c.xid == math.MaxInt32 {
		c.xid = 1
	}
	s := &c.ring[(c.head+c.n)&(len(c.ring)-1)]
	c.n++
	c.d.awaited++
	s.at, s.xid, s.kind = c.d.at, c.xid, k
	c.header(c.xid, op)
	return s
}

// header starts a frame: its length, patched by shut, and the RequestHeader.
func (c *conn) header(xid int32, op proto.Op) {
	c.frameAt = len(c.out)
	c.out = append(c.out, 0, 0, 0, 0)
	c.out = binary.BigEndian.AppendUint32(c.out, uint32(xid))
	c.out = binary.BigEndian.AppendUint32(c.out, uint32(op))
}

func (c *conn) shut() {
	binary.BigEndian.PutUint32(c.out[c.frameAt:], uint32(len(c.out)-c.frameAt-4))
}

// request appends a request whose whole body is the template's record.
func (c *conn) request(k kind, op proto.Op, t *template, node uint32) (s *sent, data []byte) {
	s = c.open(k, op)
	s.node[0] = node
	c.out, data = t.append(c.out, node)
	c.shut()
	return s, data
}

// ping keeps the session alive; its reply comes in order but is nobody's.
func (c *conn) ping() {
	c.header(proto.XidPing, proto.OpPing)
	c.shut()
	c.pings++
}

// flush writes what is encoded. What the socket does not take stays until epoll says so.
func (c *conn) flush() error {
	if c.blocked || len(c.out) == 0 {
		return nil
	}
	for c.outAt < len(c.out) {
		n, err := unix.Write(c.fd, c.out[c.outAt:])
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			c.blocked = true
			return c.d.poll.watch(c, true)
		case err != nil:
			return c.broken(err)
		default:
			c.outAt += n
		}
	}
	c.out, c.outAt = c.out[:0], 0
	c.lastSent = c.d.now
	return nil
}

// writable goes on with a flush that the socket interrupted.
func (c *conn) writable() error {
	if !c.blocked {
		return nil
	}
	c.blocked = false
	if err := c.d.poll.watch(c, false); err != nil {
		return err
	}
	return c.flush()
}

// receive reads what has arrived and judges every whole frame in it.
func (c *conn) receive() error {
	in := c.d.in
	have := copy(in, c.carry)
	n, err := unix.Read(c.fd, in[have:])
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return nil
	case err == nil && n == 0 && c.leaving && c.n == 0:
		c.gone = true
		return c.d.poll.forget(c)
	case err == nil && n == 0:
		return c.broken(io.EOF)
	case err != nil:
		return c.broken(err)
	}
	c.d.arrived()
	rest, err := c.frames(in[:have+n])
	if err != nil {
		return err
	}
	c.carry = append(c.carry[:0], rest...)
	return nil
}

// frames judges the whole frames in data and returns what is behind them.
func (c *conn) frames(data []byte) ([]byte, error) {
	for len(data) >= 4 {
		n := int(int32(binary.BigEndian.Uint32(data)))
		if n < replyHeaderBytes || n+4 > len(c.d.in) {
			return nil, c.violated("a frame of %d bytes came; replies have %d to %d", n,
				replyHeaderBytes, len(c.d.in)-4)
		}
		if len(data) < 4+n {
			break
		}
		if err := c.frame(data[4 : 4+n]); err != nil {
			return nil, err
		}
		data = data[4+n:]
	}
	return data, nil
}

// A reply starts with its header (ReplyHeader):
//
//	0  xid   int
//	4  zxid  long
//	12 err   int
const replyHeaderBytes = 16

// frame finds out what a frame answers and lets the load judge it.
func (c *conn) frame(f []byte) error {
	xid := int32(binary.BigEndian.Uint32(f))
	r := reply{
		zxid: proto.Zxid(binary.BigEndian.Uint64(f[4:])),
		err:  proto.Code(binary.BigEndian.Uint32(f[12:])),
		body: f[replyHeaderBytes:],
	}
	switch {
	case xid == proto.XidEvent:
		return c.d.load.event(c, r)
	case xid == proto.XidPing && c.pings > 0:
		c.pings--
		return nil
	case c.n == 0:
		return c.violated("a reply to xid %d came, but nothing was asked", xid)
	}
	s := &c.ring[c.head]
	if xid != s.xid {
		return c.violated("a reply to xid %d came where xid %d (%s) was next", xid, s.xid,
			s.kind)
	}
	if r.zxid < c.zxid {
		return c.violated("the header zxid stepped back from %v to %v at xid %d", c.zxid,
			r.zxid, xid)
	}
	c.zxid = r.zxid
	c.head = (c.head + 1) & (len(c.ring) - 1)
	c.n--
	c.d.awaited--
	if r.err != proto.OK {
		c.d.failed(r.err)
	} else {
		c.d.answered(s)
	}
	return c.d.load.answer(c, s, r)
}

func (k kind) String() string {
	if k < kinds {
		return kindNames[k]
	}
	return "set-up"
}

// broken words the end of a connection.
func (c *conn) broken(err error) error {
	if errors.Is(err, io.EOF) {
		err = errors.New("closed by the server")
	}
	return fmt.Errorf("bench: connection %d to %s, %d requests unanswered: %w; "+
		"is the server still running?", c.id, c.server, c.n, err)
}

// violated words a broken promise of the server.
func (c *conn) violated(format string, args ...any) error {
	return fmt.Errorf("%w: connection %d to %s: %s", ErrViolation, c.id, c.server,
		fmt.Sprintf(format, args...))
}
