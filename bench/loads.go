package bench

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"github.com/meerkat-zk/meerkat/proto"
)

// noEvents is embedded by loads that set no watch. One that a fanout left may still fire.
type noEvents struct{}

func (noEvents) event(c *conn, _ reply) error {
	if !c.armed {
		return c.violated("an event came, but no watch was set")
	}
	c.armed = false
	return nil
}

// mixed reads and writes random znodes.
type mixed struct {
	noEvents
	p     *population
	reads uint64 // threshold of chance
}

func (m *mixed) next(c *conn) bool {
	random := c.d.rng.next()
	node := below(random, len(m.p.issued))
	if chance(random, m.reads) {
		c.request(kindRead, proto.OpGetData, &m.p.tmpl.get, node)
	} else {
		m.p.write(c, node)
	}
	return true
}

// write appends a setData with a value that no write had before.
func (p *population) write(c *conn, node uint32) {
	s, data := c.request(kindWrite, proto.OpSetData, &p.tmpl.set, node)
	s.seq[0] = p.issued[node].Add(1)
	fillValue(data, p.seed, node, s.seq[0])
}

func (m *mixed) answer(c *conn, s *sent, r reply) error {
	if s.kind == kindRead {
		return m.p.checkRead(c, s, r)
	}
	return m.p.checkWrite(c, s, r)
}

// multis sets MultiSets random znodes in one multi.
type multis struct {
	noEvents
	p *population
}

func (m *multis) next(c *conn) bool {
	s := c.open(kindMulti, proto.OpMulti)
	for i := range MultiSets {
		node := below(c.d.rng.next(), len(m.p.issued))
		s.node[i], s.seq[i] = node, m.p.issued[node].Add(1)
		var data []byte
		c.out, data = m.p.tmpl.multiSet.append(c.out, node)
		fillValue(data, m.p.seed, node, s.seq[i])
	}
	c.out = append(c.out, m.p.tmpl.multiEnd...)
	c.shut()
	return true
}

func (m *multis) answer(c *conn, s *sent, r reply) error { return m.p.checkMultiSets(c, s, r) }

// creates creates znodes that do not exist yet.
type creates struct {
	noEvents
	p *population
}

func (m *creates) next(c *conn) bool {
	node := m.p.made.Add(1) - 1
	_, data := c.request(kindCreate, proto.OpCreate, &m.p.tmpl.create, node)
	fillValue(data, m.p.seed, node, 0)
	return true
}

func (m *creates) answer(c *conn, s *sent, r reply) error {
	path := znodePath(m.p.root+madePrefix, s.node[0])
	if r.err != proto.OK {
		return c.violated("create of %s answered %v", path, r.err)
	}
	if len(r.body) != 4+len(path) || string(r.body[4:]) != path {
		return c.violated("create of %s answered %q", path, r.body)
	}
	return nil
}

// idle asks nothing; the driver pings.
type idle struct{ noEvents }

func (idle) next(*conn) bool { return false }

func (idle) answer(c *conn, _ *sent, r reply) error {
	return c.violated("a reply with zxid %v came, but nothing was asked", r.zxid)
}

// A bulk creates or deletes numbered znodes in multis of up to parts each; all drivers take
// their next znodes from the same counter.
type bulk struct {
	noEvents
	part  *template
	op    proto.Op
	end   []byte
	seed  uint64
	total uint32
	parts uint32
	taken *atomic.Uint32 // so many are in a multi that was sent
}

// A multi of a bulk has at most this many bytes and parts: large enough to make a million
// znodes in seconds, small enough to be far below jute.maxbuffer.
const (
	bulkBytes = 64 << 10
	bulkParts = 200
)

func (p *population) bulk(part *template, op proto.Op, total uint32) *bulk {
	parts := min(max(bulkBytes/len(part.bytes), 1), bulkParts)
	return &bulk{part: part, op: op, end: p.tmpl.multiEnd, seed: p.seed, total: total,
		parts: uint32(parts), taken: new(atomic.Uint32)}
}

func (b *bulk) next(c *conn) bool {
	if b.taken.Load() >= b.total {
		return false
	}
	first := b.taken.Add(b.parts) - b.parts
	if first >= b.total {
		return false
	}
	s := c.open(kindOther, proto.OpMulti)
	s.node[0], s.seq[0] = first, min(b.total-first, b.parts)
	for node := first; node < first+s.seq[0]; node++ {
		var data []byte
		c.out, data = b.part.append(c.out, node)
		fillValue(data, b.seed, node, 0)
	}
	c.out = append(c.out, b.end...)
	c.shut()
	return true
}

func (b *bulk) answer(c *conn, s *sent, r reply) error {
	if r.err != proto.OK {
		return fmt.Errorf("bench: %s refused a multi of %d %s: %v", c.server, s.seq[0], b.op,
			r.err)
	}
	if len(r.body) < multiHeaderBytes || proto.Op(binary.BigEndian.Uint32(r.body)) != b.op {
		return c.multiFailed(r)
	}
	c.d.count += int64(s.seq[0])
	return nil
}

// once sends one request on each of some connections and accepts no error.
type once struct {
	noEvents
	op   proto.Op
	body []byte
	left map[*conn]bool
}

func (o *once) next(c *conn) bool {
	if !o.left[c] {
		return false
	}
	delete(o.left, c)
	c.open(kindOther, o.op)
	c.out = append(c.out, o.body...)
	c.shut()
	c.leaving = o.op == proto.OpCloseSession
	return true
}

func (o *once) answer(c *conn, _ *sent, r reply) error {
	if r.err == proto.OK {
		return nil
	}
	return fmt.Errorf("bench: %s answered %s with %v", c.server, o.op, r.err)
}
