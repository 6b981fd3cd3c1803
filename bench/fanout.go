package bench

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
)

// A fanout changes one znode that all connections but the first watch, in rounds:
//
//  1. every watcher reads the znode and leaves a watch;
//  2. when all have, the first connection changes the znode; the time runs from here
//  3. until the last watcher's socket has its event;
//  4. all events are read and judged. Back to 1.
//
// On small machines reading a thousand sockets takes as long as writing to them does. So in 3
// the generator only asks which sockets have something, every arrivalEvery, and sleeps.
type fanout struct {
	p        *population
	watchers int
	phase    phase
	left     int        // replies (arming) or events (changing) until the phase ends
	absent   int        // of the events, those that have not arrived
	since    int64      // ns, when the change was sent
	told     int64      // ns, when the last event had arrived
	changed  proto.Zxid // by the newest change that was answered
	arrivals *arrivals
}

// arrivalEvery is how exactly the time of the last arrival is taken.
const arrivalEvery = 100 * time.Microsecond

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
		f.phase, f.left, f.absent, f.since = changing, f.watchers, f.watchers, c.d.clock()
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
	if err := f.arrivals.forget(); err != nil {
		return err
	}
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
	if !c.told { // the driver looked after idle connections in between
		f.absent--
		f.told = c.d.now
	}
	c.armed, c.told = false, false
	c.d.awaited--
	if f.left--; f.left > 0 {
		return nil
	}
	if c.d.measuring {
		c.d.record(kindFanout, f.told-f.since, 1)
	}
	f.phase, f.left = arming, f.watchers
	return c.d.pumpAll()
}

// before comes before the driver waits for replies. It follows a change until all events have
// arrived. No other bytes come to a watcher meanwhile: nothing else was asked, and the round
// before was too short ago for a ping.
func (f *fanout) before(d *driver) (err error) {
	if f.arrivals == nil {
		if f.arrivals, err = newArrivals(d.conns[1:]); err != nil {
			return err
		}
	}
	for f.phase == changing && f.absent > 0 {
		events, err := f.arrivals.next()
		if err != nil {
			return err
		}
		f.told = d.clock()
		for i := range events {
			if c := d.conns[events[i].Fd]; !c.told {
				c.told = true
				f.absent--
			}
		}
		if f.told-f.since > int64(d.silence) {
			return d.conns[0].violated("%d of %d watchers were not told of a change within %v",
				f.absent, f.watchers, d.silence)
		}
		if len(events) == len(f.arrivals.events) {
			continue // there may be more
		}
		pause := unix.NsecToTimespec(int64(arrivalEvery))
		_ = unix.Nanosleep(&pause, nil) // to be interrupted does no harm
	}
	return nil
}

func (f *fanout) close() error {
	if f.arrivals == nil {
		return nil
	}
	return f.arrivals.close()
}
