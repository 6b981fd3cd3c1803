package bench

import (
	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
)

// A fanout changes one znode that all connections but the first watch, in rounds:
//
//  1. every watcher reads the znode and leaves a watch;
//  2. when all have, the first connection changes the znode;
//  3. the round ends with the last event, its time counts from the change. Back to 1.
type fanout struct {
	p        *population
	watchers int
	phase    phase
	left     int        // replies (arming) or events (changing) until the phase ends
	since    int64      // ns, when the change was sent
	changed  proto.Zxid // by the newest change that was answered
}

type phase uint8

const (
	arming phase = iota
	armed
	changing
)

// fanoutNode is the znode that is watched.
const fanoutNode = 0

func newFanout(p *population, watchers int) *fanout {
	return &fanout{p: p, watchers: watchers, left: watchers}
}

func (f *fanout) next(c *conn) bool {
	if c.id == 0 {
		if f.phase != armed {
			return false
		}
		f.phase, f.left, f.since = changing, f.watchers, c.d.clock()
		c.d.awaited += f.watchers
		c.d.at = f.since
		f.p.write(c, fanoutNode)
		return true
	}
	if f.phase != arming || c.armed {
		return false
	}
	c.armed = true
	c.request(kindOther, proto.OpGetData, &f.p.tmpl.getWatch, fanoutNode)
	return true
}

func (f *fanout) answer(c *conn, s *sent, r reply) error {
	if c.id == 0 {
		if r.err == proto.OK {
			f.changed = r.zxid
		}
		return f.p.checkWrite(c, s, r)
	}
	if err := f.p.checkRead(c, s, r); err != nil {
		return err
	}
	if mzxid := mzxidOf(r.body[4+f.p.size:]); mzxid < f.changed {
		return c.violated("after its event %s is shown with mzxid %v; the change was %v",
			f.p.path(fanoutNode), mzxid, f.changed)
	}
	if f.left--; f.left > 0 {
		return nil
	}
	f.phase = armed
	return c.d.pump(c.d.conns[0])
}

func (f *fanout) event(c *conn, r reply) error {
	var e proto.WatcherEvent
	in := jute.Reader(r.body)
	e.Fields(&in)
	switch {
	case in.Err() != nil:
		return c.violated("an event that does not decode: %v", in.Err())
	case e.Type != proto.EventNodeDataChanged || e.Path != f.p.path(fanoutNode):
		return c.violated("an event of type %d of %q came; data of %s changed", e.Type, e.Path,
			f.p.path(fanoutNode))
	case !c.armed || f.phase != changing:
		return c.violated("an event came, but its watch was not set or has fired")
	}
	c.armed = false
	c.d.awaited--
	if f.left--; f.left > 0 {
		return nil
	}
	if c.d.measuring {
		c.d.record(kindFanout, c.d.now-f.since, 1)
	}
	f.phase, f.left = arming, f.watchers
	return c.d.pumpAll()
}

// overdue gives up on an event that never comes.
func (f *fanout) overdue(d *driver) error {
	if f.phase == changing && d.now-f.since > int64(d.silence) {
		return d.conns[0].violated("%d of %d watchers were not told of a change within %v",
			f.left, f.watchers, d.silence)
	}
	return nil
}
