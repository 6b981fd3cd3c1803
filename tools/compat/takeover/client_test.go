package takeover

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/tools/compat/target"
)

// replyTimeout ends a test whose server hangs; it decides nothing.
const replyTimeout = 30 * time.Second

// superSecret authenticates as super; superLine is its line in zoo.cfg.
const (
	superSecret = "super:admin"
	superLine   = "DigestAuthenticationProvider.superDigest=super:xQJmxLMiHGwaqBvst5y6rkB6HQs="
)

type record interface{ Fields(*jute.Coder) }

// A client is a session on one connection: it sends without waiting.
type client struct {
	id        int64
	passwd    []byte
	timeoutMs int32

	c   net.Conn
	r   *bufio.Reader
	out []byte
	xid int32
	in  int // requests without a reply
}

var errSessionGone = errors.New("the session is gone")

// connect opens a connection for the client's session, a new one if it has none.
func (c *client) connect(addr string) error {
	socket, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	c.c, c.r = socket, bufio.NewReaderSize(socket, 64<<10)
	c.out, c.xid, c.in = nil, 0, 0
	if c.passwd == nil {
		c.passwd = make([]byte, proto.PasswordBytes)
	}
	request := proto.ConnectRequest{TimeOut: c.timeoutMs, SessionID: c.id, Passwd: c.passwd,
		HasReadOnly: true}
	c.append(&request)
	if err := c.flush(); err != nil {
		return errors.Join(err, socket.Close())
	}
	payload, err := c.frame()
	if err != nil {
		return errors.Join(err, socket.Close())
	}
	var response proto.ConnectResponse
	in := jute.Reader(payload)
	response.Fields(&in)
	if response.TimeOut == 0 || c.id != 0 && response.SessionID != c.id {
		return errors.Join(errSessionGone, socket.Close())
	}
	c.id, c.timeoutMs = response.SessionID, response.TimeOut
	c.passwd = append([]byte(nil), response.Passwd...)
	c.append(&proto.RequestHeader{Xid: -4, Op: proto.OpAuth},
		&proto.AuthPacket{Scheme: "digest", Auth: []byte(superSecret)})
	if err := c.flush(); err != nil {
		return err
	}
	_, err = c.frame()
	return err
}

func (c *client) append(records ...record) {
	at := len(c.out)
	w := jute.Writer(append(c.out, 0, 0, 0, 0))
	for _, r := range records {
		r.Fields(&w)
	}
	c.out = w.Bytes()
	binary.BigEndian.PutUint32(c.out[at:], uint32(len(c.out)-at-4))
}

// send puts a request into the next flush.
func (c *client) send(op proto.Op, body ...record) {
	c.xid++
	c.in++
	c.append(append([]record{&proto.RequestHeader{Xid: c.xid, Op: op}}, body...)...)
}

func (c *client) flush() error {
	_, err := c.c.Write(c.out)
	c.out = c.out[:0]
	return err
}

func (c *client) frame() ([]byte, error) {
	return target.ReadFrame(c.c, c.r, replyTimeout)
}

// reply reads the next reply.
func (c *client) reply() (h proto.ReplyHeader, body jute.Coder, err error) {
	payload, err := c.frame()
	if err != nil {
		return h, body, err
	}
	c.in--
	body = jute.Reader(payload)
	h.Fields(&body)
	if want := c.xid - int32(c.in); h.Xid != want {
		return h, body, fmt.Errorf("a reply to %d, not %d", h.Xid, want)
	}
	return h, body, body.Err()
}

// call sends one request and waits for its reply; an error code is an error.
func (c *client) call(op proto.Op, body ...record) (jute.Coder, error) {
	c.send(op, body...)
	if err := c.flush(); err != nil {
		return jute.Coder{}, err
	}
	h, reply, err := c.reply()
	if err == nil && h.Err != proto.OK {
		err = fmt.Errorf("%v: %v", op, h.Err)
	}
	return reply, err
}

func (c *client) hangUp() {
	if c.c != nil {
		_ = c.c.Close() // it may be closed already
	}
}
