package netloop

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrFrameLength says that a frame's length is negative or above the limit.
var ErrFrameLength = errors.New("netloop: bad frame length")

// frameHeaderBytes is the size of a frame's length prefix.
const frameHeaderBytes = 4

// NextFrame cuts the first frame off in. The bytes of a frame:
//
//	0        4                4+length
//	+--------+----------------+
//	| length |      body      |   length: int32, big endian, of the body alone
//	+--------+----------------+
//
// It returns the body, which aliases in, and the n bytes that body and length take together.
// An incomplete frame gives a nil frame and n = 0; an empty one a frame that is not nil and
// n = 4. A length that is negative or above bytesMax gives ErrFrameLength as soon as the
// length is there, and names it (as NIOServerCnxn.readLength does: "Len error").
func NextFrame(in []byte, bytesMax int) (frame []byte, n int, err error) {
	if len(in) < frameHeaderBytes {
		return nil, 0, nil
	}
	length := int(int32(binary.BigEndian.Uint32(in)))
	if length < 0 || length > bytesMax {
		return nil, 0, frameLengthError(length, bytesMax)
	}
	n = frameHeaderBytes + length
	if len(in) < n {
		return nil, 0, nil
	}
	return in[frameHeaderBytes:n:n], n, nil
}

// frameLengthError is apart so that NextFrame stays small and allocates nothing.
func frameLengthError(length, bytesMax int) error {
	return fmt.Errorf("%w: %d (limit %d)", ErrFrameLength, length, bytesMax)
}
