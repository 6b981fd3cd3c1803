package wire

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
)

// Frames of two servers are compared as bytes once what no two servers have in common is masked:
// session ids, times, the order of children, and an event's zxid.

// mask makes all frames of an answer to op comparable.
func (s *side) mask(op proto.Op, frames [][]byte, mixed bool) [][]byte {
	masked := make([][]byte, len(frames))
	for i, f := range frames {
		masked[i] = s.maskFrame(op, f)
	}
	if !mixed {
		return masked
	}
	for at := 0; at < len(masked); at++ {
		end := at
		for end < len(masked) && isEvent(masked[end]) {
			end++
		}
		slices.SortFunc(masked[at:end], bytes.Compare)
		at = end
	}
	return masked
}

const replyHeaderBytes = 16

func (s *side) maskFrame(op proto.Op, f []byte) []byte {
	if len(f) < replyHeaderBytes {
		return f
	}
	head, body := bytes.Clone(f[:replyHeaderBytes]), f[replyHeaderBytes:]
	if isEvent(f) {
		copy(head[4:12], "an event") // see whyEventZxid
	} else {
		body = inOrder(op, body)
	}
	return append(head, s.maskBytes(body)...)
}

func isEvent(f []byte) bool {
	if len(f) < replyHeaderBytes || int32(binary.BigEndian.Uint32(f)) != proto.XidEvent {
		return false
	}
	var e proto.WatcherEvent
	in := jute.Reader(f[replyHeaderBytes:])
	e.Fields(&in)
	return in.Err() == nil && !in.More() && e.State == proto.StateSyncConnected
}

// maskBytes replaces session ids and times wherever they stand. Ids go first: a piece of one and
// what stands before it may look like a time.
func (s *side) maskBytes(b []byte) []byte {
	b = bytes.Clone(b)
	for i := 0; i+8 <= len(b); i++ {
		if n, known := s.sessions[[8]byte(b[i:])]; known {
			copy(b[i:], fmt.Sprintf("#%07d", n))
		}
	}
	now := time.Now().UnixMilli() + 1
	for i := 0; i+8 <= len(b); i++ {
		if t := int64(binary.BigEndian.Uint64(b[i:])); t >= s.began && t <= now {
			copy(b[i:], "datetime")
		}
	}
	return b
}

// inOrder sorts what a server gives in any order; a body that is no such thing stays as it is.
func inOrder(op proto.Op, body []byte) []byte {
	var r record
	switch op {
	case proto.OpGetChildren, proto.OpGetEphemerals:
		r = new(names)
	case proto.OpGetChildren2:
		r = new(proto.ChildrenStat)
	case proto.OpGetACL:
		r = new(proto.ACLStat)
	case proto.OpWhoAmI:
		r = new(proto.WhoAmIResponse)
	case proto.OpMultiRead:
		r = new(parts)
	default:
		return body
	}
	in := jute.Reader(body)
	if r.Fields(&in); in.Err() != nil || !bytes.Equal(encode(r), body) {
		return body
	}
	switch r := r.(type) {
	case *names:
		slices.Sort(r.list)
	case *proto.ChildrenStat:
		slices.Sort(r.Children)
	case *proto.ACLStat:
		slices.SortFunc(r.ACL, func(a, b proto.ACL) int {
			return cmp.Or(cmp.Compare(a.Perms, b.Perms), strings.Compare(a.ID.Scheme, b.ID.Scheme),
				strings.Compare(a.ID.ID, b.ID.ID))
		})
	case *proto.WhoAmIResponse:
		slices.SortFunc(r.Infos, func(a, b proto.ClientInfo) int {
			return strings.Compare(a.Scheme+" "+a.User, b.Scheme+" "+b.User)
		})
	case *parts:
		for _, p := range r.list {
			if list, is := p.body.(*names); is {
				slices.Sort(list.list)
			}
		}
	}
	return encode(r)
}
