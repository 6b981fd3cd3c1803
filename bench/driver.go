package bench

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"

	"github.com/meerkat-zk/meerkat/proto"
)

// A load decides what the connections of one driver send, and judges what comes back.
// An error ends the run.
type load interface {
	// next appends one request to c; false when c has nothing to send at this time.
	next(c *conn) bool
	// answer judges the reply to s. s is valid until the next request is opened.
	answer(c *conn, s *sent, r reply) error
	// event judges a notification.
	event(c *conn, r reply) error
}

// A window bounds a timed load, in ns on the run's clock: it is measured from open to close
// and asks nothing new after it. The zero window is for a load that ends by itself.
type window struct{ open, close int64 }

// A driver moves its connections: one goroutine, one epoll.
type driver struct {
	base     time.Time // its clock counts from here, as that of all drivers of a run
	stop     *atomic.Bool
	poll     *poller
	conns    []*conn
	in       []byte // read into; frames are judged in place
	rng      rng
	inFlight int
	verify   uint64        // threshold of chance for reads that are verified
	silence  time.Duration // how long a server may leave a request unanswered

	now      int64 // ns, read when bytes have arrived
	at       int64 // ns, the send time of requests that are opened
	load     load
	issuing  bool
	awaited  int   // replies and events to come
	nextTick int64 // ns

	interval float64 // open loop: ns between two operations; 0 is a closed loop
	due      float64 // open loop: ns, when the next operation is meant to be sent
	turn     int     // open loop: whose turn it is

	window    window
	measuring bool
	opened    int64 // ns, when the window really opened and closed
	closed    int64
	onWindow  func() // called at both

	stats stats
	run   sent  // kind and time of requests just answered, of which there were
	runN  int64 // so many in a row: they go into the histogram together

	count    int64        // operations, or znodes while setting up
	progress atomic.Int64 // the same, stored for whoever prints it
}

// stats are what a driver measured within the window.
type stats struct {
	latency  [kinds]*hdrhistogram.Histogram // ns
	errors   map[proto.Code]int64           // counted outside of the window too
	verified int64
}

// Latencies are kept from 1 ns to latencyMax with three digits.
const latencyMax = int64(5 * time.Minute)

func newStats() stats {
	s := stats{errors: map[proto.Code]int64{}}
	for k := range s.latency {
		s.latency[k] = newLatencies()
	}
	return s
}

func newLatencies() *hdrhistogram.Histogram { return hdrhistogram.New(1, latencyMax, 3) }

// tickEvery is how often a driver looks after what is not moved by replies.
const tickEvery = 100 * time.Millisecond

// pingEvery is the part of a session's timeout after which an idle connection pings.
const pingEvery = 3

func (d *driver) clock() int64 { return int64(time.Since(d.base)) }

// drive runs a load: a timed one until the window closes and all is answered, another one
// until nothing is awaited.
func (d *driver) drive(l load, w window) error {
	d.load, d.window, d.issuing = l, w, true
	d.now = d.clock()
	d.at = d.now
	d.due = float64(d.now)
	d.openWindow()
	if err := d.pumpAll(); err != nil {
		return err
	}
	fan, _ := l.(*fanout)
	if fan != nil {
		defer fan.close()
	}
	for !d.finished() {
		if fan != nil {
			if err := fan.before(d); err != nil {
				return err
			}
		}
		ready, err := d.poll.wait(d.patience())
		if err != nil {
			return err
		}
		if err := d.serve(ready); err != nil {
			return err
		}
		d.settle()
		d.now = d.clock()
		if err := d.pace(); err != nil {
			return err
		}
		if err := d.tick(); err != nil {
			return err
		}
	}
	return nil
}

func (d *driver) finished() bool {
	return d.awaited == 0 && (!d.issuing || d.window.close == 0)
}

// patience is how long to wait for replies: until the next tick or the next paced operation.
func (d *driver) patience() time.Duration {
	if d.interval == 0 || !d.issuing {
		return tickEvery
	}
	wait := time.Duration(d.due) - time.Duration(d.now)
	return min(max(wait, time.Microsecond), tickEvery)
}

func (d *driver) serve(ready []unix.EpollEvent) error {
	for i := range ready {
		c := d.conns[ready[i].Fd]
		if ready[i].Events&unix.EPOLLOUT != 0 {
			if err := c.writable(); err != nil {
				return err
			}
		}
		if ready[i].Events&^unix.EPOLLOUT == 0 {
			continue
		}
		if err := c.receive(); err != nil {
			return err
		}
		if err := d.pump(c); err != nil {
			return err
		}
	}
	return nil
}

// arrived reads the clock for replies that were just read.
func (d *driver) arrived() {
	d.settle()
	d.now = d.clock()
	d.at = d.now
}

// answered accounts an operation that succeeded.
func (d *driver) answered(s *sent) {
	if s.kind >= kinds {
		return
	}
	d.count++
	if !d.measuring {
		return
	}
	if s.at == d.run.at && s.kind == d.run.kind {
		d.runN++
		return
	}
	d.settle()
	d.run.at, d.run.kind, d.runN = s.at, s.kind, 1
}

// failed accounts an operation that was answered with an error.
func (d *driver) failed(code proto.Code) { d.stats.errors[code]++ }

// settle puts the run of equal latencies into its histogram.
func (d *driver) settle() {
	if d.runN > 0 {
		d.record(d.run.kind, d.now-d.run.at, d.runN)
		d.runN = 0
	}
	d.progress.Store(d.count)
}

func (d *driver) record(k kind, ns, n int64) {
	ns = min(max(ns, 1), latencyMax)
	if err := d.stats.latency[k].RecordValues(ns, n); err != nil {
		panic(fmt.Sprintf("bench: %d ns do not fit a histogram up to %d: %v", ns, latencyMax,
			err))
	}
}

// pump fills a connection up to the requests it may have in flight, and writes.
func (d *driver) pump(c *conn) error {
	if d.issuing && d.interval == 0 {
		for c.n < d.inFlight && d.load.next(c) {
		}
	}
	return c.flush()
}

func (d *driver) pumpAll() error {
	for _, c := range d.conns {
		if err := d.pump(c); err != nil {
			return err
		}
	}
	return nil
}

// pace sends what an open loop has due. Their send time is when they were meant to be sent,
// however late that is.
func (d *driver) pace() error {
	if d.interval == 0 || !d.issuing {
		return nil
	}
	for full := 0; d.due <= float64(d.now) && full < len(d.conns); {
		c := d.conns[d.turn%len(d.conns)]
		d.turn++
		if c.n == d.inFlight {
			full++
			continue
		}
		full = 0
		d.at = int64(d.due)
		d.load.next(c)
		d.due += d.interval
	}
	for _, c := range d.conns {
		if err := c.flush(); err != nil {
			return err
		}
	}
	return nil
}

// tick opens and closes the window, and every now and then looks after idle connections and
// silent servers.
func (d *driver) tick() error {
	if d.stop.Load() {
		d.issuing = false
	}
	d.openWindow()
	if d.window.close > 0 && (d.now >= d.window.close || !d.issuing) {
		d.closeWindow()
		d.issuing = false
	}
	if d.now < d.nextTick {
		return nil
	}
	d.nextTick = d.now + int64(tickEvery)
	return d.lookAfter()
}

func (d *driver) openWindow() {
	if d.window.close > 0 && d.opened == 0 && d.now >= d.window.open {
		d.measuring, d.opened = true, d.now
		d.onWindow()
	}
}

func (d *driver) closeWindow() {
	if d.measuring {
		d.measuring, d.closed = false, d.now
		d.onWindow()
	}
}

// lookAfter reads what stayed below the low-water mark of its socket, pings for idle
// connections and gives up on servers that have gone silent.
func (d *driver) lookAfter() error {
	for _, c := range d.conns {
		if c.gone {
			continue
		}
		if err := c.receive(); err != nil {
			return err
		}
		if err := d.pump(c); err != nil {
			return err
		}
		if c.n > 0 && d.now-c.ring[c.head].at > int64(d.silence) {
			return c.broken(fmt.Errorf("no reply for %v", d.silence))
		}
		if d.now-c.lastSent > int64(c.timeout)/pingEvery && c.pings == 0 && !c.leaving {
			c.ping()
			if err := c.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}
