package quorum

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/meerkat-zk/meerkat/proto"
)

// A link is a connection to a peer whose hello is over.
type link struct {
	sid  int64
	conn net.Conn
	out  chan []byte   // holds the one message that waits; the port writes, the writer reads
	done chan struct{} // closed by close
}

func newLink(sid int64, conn net.Conn) *link {
	return &link{sid, conn, make(chan []byte, 1), make(chan struct{})}
}

// put makes a message the one that waits. Only the port's goroutine puts, so behind the take
// there is room.
func (l *link) put(frame []byte) {
	select {
	case <-l.out:
	default:
	}
	l.out <- frame
}

// close ends reader and writer. Only the port's goroutine calls it, once.
func (l *link) close() {
	close(l.done)
	_ = l.conn.Close() // what was on its way is said again on the next link
}

// write is the writer's goroutine.
func (p *ElectionPort) write(l *link) {
	for {
		select {
		case frame := <-l.out:
			l.conn.SetWriteDeadline(time.Now().Add(p.config.HelloTimeout))
			if _, err := l.conn.Write(frame); err != nil {
				p.box.put(func() { p.ended(l, fmt.Errorf("write: %w", err)) })
				return
			}
		case <-l.done:
			return
		}
	}
}

// read is the reader's goroutine.
func (p *ElectionPort) read(l *link) {
	r := messages{in: bufio.NewReader(l.conn)}
	for {
		n, err := r.next()
		switch {
		case err != nil:
			p.box.put(func() { p.ended(l, err) })
			return
		case r.bad != nil:
			p.config.Log.PeerMessageIgnored(l.sid, r.bad)
		default:
			p.config.Receive(l.sid, n)
		}
	}
}

// messages reads what a peer sends.
type messages struct {
	in     *bufio.Reader
	body   bytes.Buffer
	config string // of the message before: it rarely changes
	bad    error  // why the message that was read means nothing
}

// next returns the next message. Memory grows with the bytes that came, whatever length they
// announce.
func (m *messages) next() (proto.Notification, error) {
	var head [4]byte
	if _, err := io.ReadFull(m.in, head[:]); err != nil {
		return proto.Notification{}, err
	}
	length := int64(int32(binary.BigEndian.Uint32(head[:])))
	if length <= 0 || length > proto.NotificationBytesMax {
		return proto.Notification{}, fmt.Errorf("a message of %d bytes; 1 to %d are allowed",
			length, proto.NotificationBytesMax)
	}
	m.body.Reset()
	if _, err := io.CopyN(&m.body, m.in, length); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return proto.Notification{}, err
	}
	var n proto.Notification
	n, m.bad = proto.ParseNotification(m.body.Bytes())
	if n.Config != m.config {
		m.config = strings.Clone(n.Config)
	}
	n.Config = m.config
	return n, nil
}
