package bench

import (
	"encoding/binary"
	"errors"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
)

// ErrViolation is matched by the error of a run in which a server broke a promise.
var ErrViolation = errors.New("bench: violation")

// Where mzxid stands in a Stat, behind czxid, and the length of a Stat.
const (
	statMzxidAt = 8
	statBytes   = 68
)

// mzxidOf reads the mzxid of an encoded Stat.
func mzxidOf(stat []byte) proto.Zxid {
	return proto.Zxid(binary.BigEndian.Uint64(stat[statMzxidAt:]))
}

// checkRead judges a GetDataResponse: {data buffer, stat}. Every one is checked for mzxid and
// for data that is not what this connection saw under the same mzxid; a sample, byte by byte.
func (p *population) checkRead(c *conn, s *sent, r reply) error {
	node := s.node[0]
	if r.err != proto.OK {
		return p.checkFailed(c, s, r)
	}
	if len(r.body) != 4+p.size+statBytes ||
		int(binary.BigEndian.Uint32(r.body)) != p.size {
		return c.violated("%s has not the %d bytes of data that every write gave it "+
			"(a reply of %d bytes)", p.path(node), p.size, len(r.body))
	}
	data, stat := r.body[4:4+p.size], r.body[4+p.size:]
	seq, _ := valueSeq(data)
	now := seen{node: node, seq: seq, mzxid: mzxidOf(stat)}
	if err := p.checkStat(c, now, r.zxid, false); err != nil {
		return err
	}
	if d := c.d; chance(d.rng.next(), d.verify) {
		d.stats.verified++
		if why := verifyValue(data, p.seed, node, p.issued[node].Load()); why != "" {
			return c.violated("%s at mzxid %v: %s", p.path(node), now.mzxid, why)
		}
	}
	return nil
}

// checkWrite judges a SetDataResponse: {stat}.
func (p *population) checkWrite(c *conn, s *sent, r reply) error {
	if r.err != proto.OK {
		return p.checkFailed(c, s, r)
	}
	if len(r.body) != statBytes {
		return c.violated("a setData reply of %d bytes, not %d", len(r.body), statBytes)
	}
	now := seen{node: s.node[0], seq: s.seq[0], mzxid: mzxidOf(r.body)}
	return p.checkStat(c, now, r.zxid, true)
}

// A part of a multi's answer is {MultiHeader, body}; the header is {type int, done bool, err
// int}. The list ends with MultiEnd.
const (
	multiHeaderBytes = 9
	multiSetBytes    = multiHeaderBytes + statBytes
)

// checkMultiSets judges the answer to a multi of setData.
func (p *population) checkMultiSets(c *conn, s *sent, r reply) error {
	if r.err != proto.OK {
		return p.checkFailed(c, s, r)
	}
	if len(r.body) != MultiSets*multiSetBytes+multiHeaderBytes {
		return c.multiFailed(r)
	}
	for i := range MultiSets {
		part := r.body[i*multiSetBytes:]
		if op := proto.Op(binary.BigEndian.Uint32(part)); op != proto.OpSetData {
			return c.multiFailed(r)
		}
		now := seen{node: s.node[i], seq: s.seq[i], mzxid: mzxidOf(part[multiHeaderBytes:])}
		if err := p.checkStat(c, now, r.zxid, true); err != nil {
			return err
		}
	}
	return nil
}

// multiFailed tells the first error in a multi's answer (the reply header of a failed multi
// has none: FinalRequestProcessor).
func (c *conn) multiFailed(r reply) error {
	in := jute.Reader(r.body)
	for in.More() {
		var h proto.MultiHeader
		var code int32
		if h.Fields(&in); h.Op != proto.OpError || h.Done {
			break
		}
		if in.Int(&code); code != 0 && proto.Code(code) != proto.ErrRuntimeInconsistency {
			return c.violated("a multi failed with %v", proto.Code(code))
		}
	}
	return c.violated("a multi's answer of %d bytes is not what was asked", len(r.body))
}

// checkStat holds what is shown of a znode against what the connection was shown before. A
// write may show an mzxid again, for a multi can set a znode twice.
func (p *population) checkStat(c *conn, now seen, header proto.Zxid, wrote bool) error {
	e := &c.seen[now.node&uint32(len(c.seen)-1)]
	switch {
	case now.mzxid > header:
		return c.violated("%s has mzxid %v, newer than the reply's zxid %v", p.path(now.node),
			now.mzxid, header)
	case e.node != now.node || now.mzxid > e.mzxid || wrote && now.mzxid == e.mzxid:
		*e = now
	case now.mzxid < e.mzxid:
		return c.violated("%s: mzxid stepped back from %v to %v", p.path(now.node), e.mzxid,
			now.mzxid)
	case now.seq != e.seq && p.size >= valueHeadBytes:
		return c.violated("%s at mzxid %v had the data of write %d and now of write %d",
			p.path(now.node), now.mzxid, e.seq, now.seq)
	}
	return nil
}

// checkFailed tells answers that lost znodes would explain from those that are only counted.
func (p *population) checkFailed(c *conn, s *sent, r reply) error {
	if r.err == proto.ErrNoNode || r.err == proto.ErrNodeExists {
		return c.violated("%s of %s answered %v", s.kind, p.path(s.node[0]), r.err)
	}
	return nil
}
