package bench

import (
	"encoding/binary"
	"fmt"
)

// A value says of itself which znode and which write it belongs to. What follows its head is
// random but a function of the run's seed and the head, so that it does not compress, differs
// in every write, and is verified to the last byte by making it again.
//
//	0  node  4 bytes, the number of the znode
//	4  seq   4 bytes, counts the writes to this znode, 0 is its creation
//	8  fill  SplitMix64 from mix(seed ^ node<<32|seq), big endian, the last word cut short
//
// A value that is too short for the head is all fill of seq 0, the same in every write.
const valueHeadBytes = 8

// fillValue writes the value of a znode's write into dst.
func fillValue(dst []byte, seed uint64, node, seq uint32) {
	if len(dst) >= valueHeadBytes {
		binary.BigEndian.PutUint32(dst, node)
		binary.BigEndian.PutUint32(dst[4:], seq)
		dst = dst[valueHeadBytes:]
	} else {
		seq = 0
	}
	r := fillOf(seed, node, seq)
	for len(dst) >= 8 {
		binary.BigEndian.PutUint64(dst, r.next())
		dst = dst[8:]
	}
	if len(dst) > 0 {
		var last [8]byte
		binary.BigEndian.PutUint64(last[:], r.next())
		copy(dst, last[:])
	}
}

func fillOf(seed uint64, node, seq uint32) rng {
	return rng(mix(seed ^ (uint64(node)<<32 | uint64(seq))))
}

// valueSeq is the write that a value claims to come from; false when it is too short to say.
func valueSeq(data []byte) (uint32, bool) {
	if len(data) < valueHeadBytes {
		return 0, false
	}
	return binary.BigEndian.Uint32(data[4:]), true
}

// verifyValue says why data is not what some write up to issued put into the znode; "" if it is.
func verifyValue(data []byte, seed uint64, node, issued uint32) string {
	var seq uint32
	if len(data) >= valueHeadBytes {
		if n := binary.BigEndian.Uint32(data); n != node {
			return fmt.Sprintf("its data says it is of znode %d", n)
		}
		if seq, _ = valueSeq(data); seq > issued {
			return fmt.Sprintf("its data is of write %d, but only %d were sent", seq, issued)
		}
		data = data[valueHeadBytes:]
	}
	r := fillOf(seed, node, seq)
	for at := 0; at < len(data); at += 8 {
		var word [8]byte
		binary.BigEndian.PutUint64(word[:], r.next())
		if rest := data[at:]; len(rest) >= 8 {
			if binary.BigEndian.Uint64(rest) == binary.BigEndian.Uint64(word[:]) {
				continue
			}
		} else if string(rest) == string(word[:len(rest)]) {
			continue
		}
		return fmt.Sprintf("its data differs from write %d within bytes %d to %d of the fill",
			seq, at, min(at+8, len(data))-1)
	}
	return ""
}
