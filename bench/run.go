package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
)

// ErrFailed is matched by the error of a run in which requests were answered with errors.
var ErrFailed = errors.New("bench: requests failed")

// Run measures as cfg says. The report is there, as far as it got, also when there is an error
// from the measured window on: a violation (ErrViolation), failed requests (ErrFailed), a
// server that died, a cancelled ctx.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.Seed == 0 {
		cfg.Seed = rand.Uint64() | 1
	}
	before := newUsage(cfg.PIDs)
	if err := before.try(); err != nil {
		return nil, err
	}
	say(cfg.Progress, "seed %d", cfg.Seed)
	p := newPopulation(cfg.Znodes, cfg.Size, cfg.Seed)
	r, err := open(ctx, cfg, p)
	if err != nil {
		return nil, err
	}
	defer r.abandon()
	r.rssBefore = before.rss
	if err := r.populate(ctx); err != nil {
		return nil, r.leftBehind(err)
	}
	var report *Report
	if ctx.Err() == nil {
		if report, err = r.measure(ctx); err != nil {
			return report, r.leftBehind(err)
		}
		err = report.failed()
	}
	if !cfg.Keep {
		err = errors.Join(err, r.remove())
	}
	if ctx.Err() != nil {
		err = errors.Join(fmt.Errorf("bench: interrupted: %w", ctx.Err()), err)
	}
	return report, errors.Join(err, r.close())
}

// leftBehind adds to an error that the znodes are still there.
func (r *run) leftBehind(err error) error {
	return fmt.Errorf("%w (the znodes stay below %s)", err, r.p.root)
}

// A run is a population with the connections that work on it.
type run struct {
	cfg     Config
	p       *population
	base    time.Time
	stop    atomic.Bool // no driver asks anything new in a timed load
	conns   []*conn
	drivers []*driver

	rssBefore int64 // bytes of server memory before the first connection; 0: not known

	created *bulk // what populate made; nil if another run did
}

// open dials and deals the connections out over drivers.
func open(ctx context.Context, cfg Config, p *population) (*run, error) {
	n := cfg.Connections
	if cfg.Workload == Fanout {
		n++ // the one that changes what the others watch
	}
	r := &run{cfg: cfg, p: p, base: time.Now()}
	var err error
	if r.conns, err = dialAll(ctx, cfg.Servers, n, cfg.Timeout); err != nil {
		return nil, err
	}
	for i := range cfg.Threads {
		d, err := r.newDriver(i)
		if err != nil {
			r.abandon()
			return nil, err
		}
		r.drivers = append(r.drivers, d)
	}
	for i, c := range r.conns {
		d := r.drivers[i%len(r.drivers)]
		if err := d.adopt(c, cfg.Znodes); err != nil {
			r.abandon()
			return nil, err
		}
	}
	return r, nil
}

// readBytes is the least a driver reads at once; a frame must fit.
const readBytes = 256 << 10

func (r *run) newDriver(i int) (*driver, error) {
	poll, err := newPoller()
	if err != nil {
		return nil, err
	}
	d := &driver{
		base:     r.base,
		stop:     &r.stop,
		poll:     poll,
		in:       make([]byte, readBytes+r.cfg.Size),
		rng:      rng(mix(r.cfg.Seed + uint64(i))),
		inFlight: r.cfg.InFlight,
		verify:   share(r.cfg.Verify),
		silence:  r.cfg.Timeout,
		onWindow: func() {},
		stats:    newStats(),
	}
	return d, nil
}

func (d *driver) adopt(c *conn, znodes int) error {
	c.d, c.slot = d, len(d.conns)
	c.ring = make([]sent, pow2(d.inFlight))
	c.seen = make([]seen, pow2(min(znodes, seenMax)))
	c.lastSent = d.clock()
	d.conns = append(d.conns, c)
	return d.poll.add(c)
}

// each drives a load on every driver and waits for all; the first error stops the others.
func (r *run) each(w window, load func(d *driver) load) error {
	errs := make([]error, len(r.drivers))
	var wg sync.WaitGroup
	for i, d := range r.drivers {
		l := load(d)
		wg.Go(func() {
			if errs[i] = d.drive(l, w); errs[i] != nil {
				r.stop.Store(true)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// populate creates the root and its znodes, as many as it gets to before ctx is done, and has
// every server catch up with them.
func (r *run) populate(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { r.stop.Store(true) })()
	root := proto.CreateRequest{Path: r.p.root, Data: []byte{}, ACL: proto.OpenACL}
	err := r.once(r.conns[:1], proto.OpCreate, root.Fields)
	if err != nil {
		return err
	}
	total := len(r.p.issued)
	defer r.watchProgress(func(_ time.Duration, n, _ int64) string {
		return fmt.Sprintf("created %d of %d znodes", n, total)
	})()
	r.created = r.p.bulk(&r.p.tmpl.multiCreate, proto.OpCreate, uint32(total))
	if err := r.each(window{}, func(*driver) load { return r.created }); err != nil {
		return err
	}
	return r.sync()
}

// sync has every connection's server catch up with what was written through others.
func (r *run) sync() error {
	path := proto.PathOnly{Path: r.p.root}
	return r.once(r.conns, proto.OpSync, path.Fields)
}

// once sends the same request on each of the connections.
func (r *run) once(to []*conn, op proto.Op, body func(*jute.Coder)) error {
	w := jute.Writer(nil)
	if body != nil {
		body(&w)
	}
	return r.each(window{}, func(d *driver) load {
		o := &once{op: op, body: w.Bytes(), left: map[*conn]bool{}}
		for _, c := range to {
			if c.d == d {
				o.left[c] = true
			}
		}
		return o
	})
}

// remove deletes what was created, also by the Create workload.
func (r *run) remove() error {
	r.stop.Store(false)
	made := r.p.made.Load()
	created := uint32(len(r.p.issued))
	if r.created != nil {
		created = min(r.created.taken.Load(), created)
	}
	defer r.watchProgress(func(_ time.Duration, n, _ int64) string {
		return fmt.Sprintf("deleted %d of %d znodes", n, int64(made)+int64(created))
	})()
	if err := r.removeMade(); err != nil {
		return err
	}
	nodes := r.p.bulk(&r.p.tmpl.multiDelete, proto.OpDelete, created)
	if err := r.each(window{}, func(*driver) load { return nodes }); err != nil {
		return err
	}
	root := proto.PathVersion{Path: r.p.root, Version: -1}
	return r.once(r.conns[:1], proto.OpDelete, root.Fields)
}

// removeMade deletes what the Create workload created.
func (r *run) removeMade() error {
	made := r.p.bulk(&r.p.tmpl.multiDeleteMade, proto.OpDelete, r.p.made.Load())
	if err := r.each(window{}, func(*driver) load { return made }); err != nil {
		return err
	}
	r.p.made.Store(0)
	return nil
}

// close ends the sessions and then the sockets.
func (r *run) close() error {
	r.stop.Store(false)
	err := r.once(r.conns, proto.OpCloseSession, nil)
	r.abandon()
	return err
}

// abandon closes sockets without a word; sessions that are still open then expire.
func (r *run) abandon() {
	closeAll(r.conns)
	for _, d := range r.drivers {
		_ = d.poll.close() // it holds no data
	}
	r.conns, r.drivers = nil, nil
}

// measure drives the workload for warm-up and window.
func (r *run) measure(ctx context.Context) (*Report, error) {
	defer context.AfterFunc(ctx, func() { r.stop.Store(true) })()
	usage := newUsage(r.cfg.PIDs)
	r.drivers[0].onWindow = usage.sample
	for _, d := range r.drivers {
		d.count = 0
		if r.cfg.Rate > 0 {
			d.interval = float64(time.Second) / r.cfg.Rate * float64(len(r.drivers))
		}
	}
	r.batchReplies(r.wakeBytes())
	defer r.batchReplies(1)
	started := time.Now()
	open := int64(time.Since(r.base) + r.cfg.Warmup)
	w := window{open: open, close: open + int64(r.cfg.Duration)}
	stop := r.watchProgress(r.sayRate)
	err := r.each(w, r.workload)
	stop()
	for _, d := range r.drivers {
		d.closeWindow()
		d.interval = 0
	}
	return newReport(r, started, usage), errors.Join(err, usage.err)
}

// wakeBytes is how much must have arrived on a connection before its driver is woken: Batch
// replies of mean length, but never more than a full window of the shortest ones.
//
// A server that writes every reply by itself would else wake the driver for each, and get each
// next request by itself. Then most of a small machine's time would go into system calls of the
// generator, and the server would be measured at what it does with unpipelined requests.
func (r *run) wakeBytes() int {
	cfg := &r.cfg
	batch := cfg.batch()
	if batch == 1 {
		return 1
	}
	const header = 4 + replyHeaderBytes
	read, write := header+4+cfg.Size+statBytes, header+statBytes
	switch cfg.Workload {
	case Create:
		return batch * (header + 4 + len(znodePath(r.p.root+madePrefix, 0)))
	case Multi:
		return batch * (header + MultiSets*multiSetBytes + multiHeaderBytes)
	}
	switch cfg.Read {
	case 0:
		return batch * write
	case 1:
		return batch * read
	}
	mean := float64(write) + cfg.Read*float64(read-write)
	return min(int(float64(batch)*mean), cfg.InFlight*min(read, write))
}

// wakeBytesMax is far below the receive buffer of a socket.
const wakeBytesMax = 32 << 10

// batchReplies sets the low-water mark of all sockets. What stays below it, such as short
// error replies, is read by the next tick.
func (r *run) batchReplies(bytes int) {
	for _, c := range r.conns {
		// An optimisation: without it all is the same, only dearer.
		_ = unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT,
			min(bytes, wakeBytesMax))
	}
}

func (r *run) workload(*driver) load {
	switch r.cfg.Workload {
	case Create:
		return &creates{p: r.p}
	case Multi:
		return &multis{p: r.p}
	case Fanout:
		return newFanout(r.p, r.cfg.Connections)
	case Idle:
		return idle{}
	default:
		return &mixed{p: r.p, reads: share(r.cfg.Read)}
	}
}

func (r *run) sayRate(since time.Duration, total, fresh int64) string {
	left := r.cfg.Warmup - since
	if left > 0 {
		return fmt.Sprintf("%10d ops/s, warming up for %.0f s more", fresh, left.Seconds())
	}
	return fmt.Sprintf("%10d ops/s, %d in all", fresh, total)
}

// counted adds up the drivers' progress.
func (r *run) counted() (n int64) {
	for _, d := range r.drivers {
		n += d.progress.Load()
	}
	return n
}

// kindsOf is what the operations of a workload are accounted as, in the order of a report.
func kindsOf(w Workload) []kind {
	switch w {
	case Create:
		return []kind{kindCreate}
	case Multi:
		return []kind{kindMulti}
	case Fanout:
		return []kind{kindFanout}
	case Idle:
		return nil
	default:
		return []kind{kindRead, kindWrite}
	}
}
