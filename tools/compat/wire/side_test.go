package wire

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/tools/compat/target"
)

// Sessions of a raw comparison outlive it, so that none expires at one server first.
const rawTimeoutMs = 300_000

// rawLines are added to both servers' zoo.cfg. Nothing is reaped meanwhile.
var rawLines = []string{"extendedTypesEnabled=true", "tickTime=2000", "maxSessionTimeout=600000",
	"znode.container.checkIntervalMs=600000",
	"DigestAuthenticationProvider.superDigest=super:xQJmxLMiHGwaqBvst5y6rkB6HQs="}

// A side is one of the two servers that are compared, with its connections.
type side struct {
	t        *testing.T
	server   *target.Server
	links    [slots]*link
	sessions map[[8]byte]int // in the order in which they were made
	began    int64           // ms since 1970: times from here on are masked
}

func newSide(t *testing.T, java bool, lines ...string) *side {
	return &side{t: t, sessions: map[[8]byte]int{}, began: time.Now().UnixMilli() - 1,
		server: target.StartKind(t, java, append(lines, rawLines...)...)}
}

// A link is a connection with a session.
type link struct {
	c      net.Conn
	r      *bufio.Reader
	id     int64
	passwd []byte
	marks  int32
	mixed  bool // what comes next may have events in any order: a session has ended
}

// An answer is all that a server sent for a probe, with the events before it.
type answer struct {
	frames [][]byte
	closed bool
	silent bool       // not even what was asked behind the probe was answered
	zxid   proto.Zxid // of the server, afterwards
}

// attach opens a connection for a slot, on its session if it still has one, and tells whether
// that session was there.
func (s *side) attach(slot int) (resumed bool, err error) {
	old := s.links[slot]
	if old != nil {
		_ = old.c.Close() // the server did, most of the time
		if k, err := s.dial(old.id, old.passwd); err != nil || k != nil {
			s.links[slot] = k
			return k != nil, errors.Join(err, s.becomeSuper(slot))
		}
	}
	k, err := s.dial(0, make([]byte, proto.PasswordBytes))
	if err == nil && k == nil {
		err = errors.New("no session")
	}
	if err != nil {
		return false, err
	}
	s.links[slot] = k
	var id [8]byte
	binary.BigEndian.PutUint64(id[:], uint64(k.id))
	s.sessions[id] = len(s.sessions)
	return false, s.becomeSuper(slot)
}

// dial opens a connection; it is nil when the session is gone.
func (s *side) dial(id int64, passwd []byte) (*link, error) {
	c, err := net.Dial("tcp", s.server.Addr)
	if err != nil {
		return nil, err
	}
	s.t.Cleanup(func() { _ = c.Close() })
	k := &link{c: c, r: bufio.NewReader(c)}
	request := proto.ConnectRequest{TimeOut: rawTimeoutMs, SessionID: id, Passwd: passwd,
		HasReadOnly: true}
	if _, err := c.Write(frame(encode(&request))); err != nil {
		return nil, err
	}
	payload, err := target.ReadFrame(c, k.r, answerTimeout)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	var response proto.ConnectResponse
	in := jute.Reader(payload)
	response.Fields(&in)
	if in.Err() != nil || response.TimeOut == 0 {
		return nil, in.Err()
	}
	k.id, k.passwd = response.SessionID, bytes.Clone(response.Passwd)
	return k, nil
}

func (s *side) becomeSuper(slot int) error {
	if slot != slotSuper || s.links[slot] == nil {
		return nil
	}
	k := s.links[slot]
	h := proto.RequestHeader{Xid: proto.XidAuth, Op: proto.OpAuth}
	auth := proto.AuthPacket{Scheme: "digest", Auth: []byte("super:admin")}
	if _, err := k.c.Write(frame(encode(&h, &auth))); err != nil {
		return err
	}
	_, err := target.ReadFrame(k.c, k.r, answerTimeout)
	return err
}

// markerPath has no znode. A question for it behind each probe tells that all of the probe's
// answer has come, be there one or not.
const markerPath = "/no-such-znode"

// ask sends a payload and reads until the question behind it is answered, or the server closes.
func (k *link) ask(op proto.Op, payload []byte) answer {
	k.marks++
	h := proto.RequestHeader{Xid: 1<<30 + k.marks, Op: proto.OpExists}
	behind := encode(&h, &proto.PathWatch{Path: markerPath})
	var a answer
	if _, err := k.c.Write(append(frame(payload), frame(behind)...)); err != nil {
		a.closed = true
		return a
	}
	for ended := false; ; {
		payload, err := target.ReadFrame(k.c, k.r, answerTimeout)
		if err != nil {
			var timeout net.Error
			a.silent = errors.As(err, &timeout) && timeout.Timeout()
			a.closed = !a.silent
			return a
		}
		var reply proto.ReplyHeader
		in := jute.Reader(payload)
		reply.Fields(&in)
		if in.Err() == nil && reply.Xid == h.Xid && (ended || reply.Err == proto.ErrNoNode) {
			if ended { // Java may read on before it closes
				continue
			}
			a.zxid = reply.Zxid
			return a
		}
		a.frames = append(a.frames, payload)
		ended = ended || isLast(op, &reply) && !isEvent(payload)
	}
}

// isLast tells whether a server closes the connection behind a reply.
func isLast(op proto.Op, reply *proto.ReplyHeader) bool {
	switch reply.Err {
	case proto.OK:
		return op == proto.OpCloseSession
	case proto.ErrUnimplemented:
		return reply.Zxid == -1
	case proto.ErrAuthFailed:
		return op == proto.OpAuth
	}
	return false
}

// spend has the server use up a zxid: a delete of nothing is an error that takes one.
func (k *link) spend() answer {
	h := proto.RequestHeader{Xid: 1 << 29, Op: proto.OpDelete}
	return k.ask(h.Op, encode(&h, &proto.PathVersion{Path: markerPath, Version: -1}))
}
