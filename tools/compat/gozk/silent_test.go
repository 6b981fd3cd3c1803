package gozk

import (
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
)

// A silentClient speaks when told to and never pings: a process that was frozen.
type silentClient struct {
	t    *testing.T
	conn net.Conn
}

func (s *silentClient) open(t *testing.T, addr string, timeout time.Duration) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // the server may have closed it
	s.t, s.conn = t, conn
	r := proto.ConnectRequest{TimeOut: int32(timeout / time.Millisecond),
		Passwd: make([]byte, proto.PasswordBytes)}
	w := jute.Writer(nil)
	r.Fields(&w)
	s.exchange(w.Bytes())
}

func (s *silentClient) create(path string) {
	s.t.Helper()
	h := proto.RequestHeader{Xid: 1, Op: proto.OpCreate}
	r := proto.CreateRequest{Path: path, ACL: proto.OpenACL, Flags: proto.FlagEphemeral}
	w := jute.Writer(nil)
	h.Fields(&w)
	r.Fields(&w)
	reply := jute.Reader(s.exchange(w.Bytes()))
	var rh proto.ReplyHeader
	if rh.Fields(&reply); reply.Err() != nil || rh.Err != proto.OK {
		s.t.Fatalf("create %s: %+v %v", path, rh, reply.Err())
	}
}

// exchange sends one payload and returns the next.
func (s *silentClient) exchange(payload []byte) []byte {
	s.t.Helper()
	frame := append(binary.BigEndian.AppendUint32(nil, uint32(len(payload))), payload...)
	if _, err := s.conn.Write(frame); err != nil {
		s.t.Fatal(err)
	}
	var head [4]byte
	if _, err := io.ReadFull(s.conn, head[:]); err != nil {
		s.t.Fatal(err)
	}
	reply := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(s.conn, reply); err != nil {
		s.t.Fatal(err)
	}
	return reply
}
