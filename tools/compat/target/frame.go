package target

import (
	be "encoding/binary"
	"io"
	"net"
	"time"
)

// ReadFrame reads the payload of the next frame of a connection, through r. An error means that
// the server closed, or was silent for longer than patience.
func ReadFrame(c net.Conn, r io.Reader, patience time.Duration) ([]byte, error) {
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	payload := make([]byte, be.BigEndian.Uint32(head[:]))
	_, err := io.ReadFull(r, payload)
	return payload, err
}
