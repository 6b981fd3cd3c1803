package wal

import (
	"sync"

	"github.com/meerkat-zk/meerkat/proto"
)

// A Runner is the goroutine around a Log: it takes its whole queue, does one Step, reports.
// It owns the Log from NewRunner on. Any goroutine may append.
type Runner struct {
	log     *Log
	durable func(proto.Zxid)
	failed  func(error)

	mu     sync.Mutex
	ready  sync.Cond // the queue has items, or closed was set
	queue  []Item
	busy   bool // a step is out
	closed bool
	done   chan struct{} // closed by run at its end
	err    error         // of the end; read it after done
}

// NewRunner starts a Runner. Both callbacks come from its goroutine: durable with the last
// durable zxid after each step, failed once, after which nothing is written any more.
func NewRunner(log *Log, durable func(proto.Zxid), failed func(error)) *Runner {
	r := &Runner{log: log, durable: durable, failed: failed, done: make(chan struct{})}
	r.ready.L = &r.mu
	go r.run()
	return r
}

// Append puts an item into the queue. It never blocks.
func (r *Runner) Append(it Item) {
	r.mu.Lock()
	r.queue = append(r.queue, it)
	r.mu.Unlock()
	r.ready.Signal()
}

// Truncate drops everything above z once all that was queued before is done. Until then
// durable may still report zxids above z: who needs to know appends an Item with Done.
func (r *Runner) Truncate(z proto.Zxid) { r.Append(Item{Truncate: true, Last: z}) }

// Idle tells whether there is nothing queued and no step out.
func (r *Runner) Idle() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.queue) == 0 && !r.busy
}

// Close does what is queued, completes the log file and ends the goroutine. Nothing may be
// appended afterwards.
func (r *Runner) Close() error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.ready.Signal()
	<-r.done
	return r.err
}

// next waits for work and takes all of it; spare is the slice that the last call returned.
func (r *Runner) next(spare []Item) []Item {
	clear(spare) // let go of the records
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy = false
	for len(r.queue) == 0 && !r.closed {
		r.ready.Wait()
	}
	items := r.queue
	r.queue, r.busy = spare[:0], len(items) > 0
	return items
}

func (r *Runner) run() {
	defer close(r.done)
	var items []Item
	for {
		if items = r.next(items); len(items) == 0 {
			r.err = r.log.Close()
			return
		}
		if r.log.err != nil {
			continue // failed before: what is still queued is lost, and was never promised
		}
		z, err := r.log.Step(items)
		if err != nil {
			r.failed(err)
			continue
		}
		r.durable(z)
		for i := range items {
			if items[i].Done != nil {
				items[i].Done()
			}
		}
	}
}
