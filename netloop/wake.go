package netloop

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/panjf2000/gnet/v2"
)

// How others reach a loop.
//
// gnet runs a task given to EventLoop.Execute soon, but not always in order, and it runs
// tasks until there are none before it looks at a socket: a task that causes the next one
// starves every connection. So gnet's task carries nothing and means only "run", work lies in
// the loop's own flags and queue, and a loop that has to come back rings its own bell: one
// byte over a socket pair whose other end is one more connection of the loop. That is an
// event like any other, and the sockets that are ready have their turn first.
//
// There is at most one ticket for a run: a gnet task or a byte in the bell. State says so:
//
//	idle ──signal: a gnet task──► signaled ──run begins──► running ──run ends──► idle
//	                                 ▲                        │
//	                                 └── signal: no syscall ──┤
//	                                 └── run ends: the bell ◄─┘
//
// Why no wake-up is lost: a caller first leaves its work (a flag, an entry), then swaps the
// state to signaled. If it found idle it buys a ticket. If it found signaled, a run has yet to
// begin, and it will see the work. If it found running, the run's last step, CAS from running
// to idle, fails, and the loop buys the ticket.
type wakeup struct {
	state atomic.Int32

	// Each flag is set before signal and taken (swapped to false) by run before it acts.
	woken  atomic.Bool
	ticked atomic.Bool
	timed  atomic.Bool

	mu     sync.Mutex // guards queue and closed, for an append, a swap, or buying a ticket
	queue  []func()
	closed bool // set before gnet's engine stops

	spare []func() // the loop's; swapped with queue
}

const (
	idle int32 = iota
	signaled
	running
)

// Wake makes the Handler's Wake run at least once after this call, on the loop's goroutine.
// Any goroutine may call it. Calls before the Handler's turn are one; only the first of them,
// and only when the loop rests, costs a system call. After Stop it does nothing.
func (l *Loop) Wake() {
	l.woken.Store(true)
	l.signal()
}

// Execute runs f on the loop's goroutine, as a turn. Any goroutine may call it; the calls of
// one goroutine run in their order. A loop that has ended drops f.
func (l *Loop) Execute(f func()) {
	l.mu.Lock()
	l.queue = append(l.queue, f)
	l.mu.Unlock()
	l.signal()
}

// signal makes sure that a run begins after this call. Any goroutine may call it.
func (l *Loop) signal() {
	if l.wakeup.state.Swap(signaled) == idle {
		l.buyTicket()
	}
}

// buyTicket gives gnet a task. It must not do so once the engine stops: gnet writes to its
// eventfd without knowing whether it has closed it, and another file may have that number.
func (l *Loop) buyTicket() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	if err := l.el.Execute(context.Background(), (*runTask)(l)); err != nil {
		panic(err) // the engine runs
	}
}

// sellNoMore ends buyTicket. The loop itself may go on for a while.
func (l *Loop) sellNoMore() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
}

// comeBack is signal for the loop's own goroutine: fair to the sockets.
func (l *Loop) comeBack() {
	if l.wakeup.state.Swap(signaled) == idle {
		l.ring()
	}
}

// ring writes the bell's byte. There is never a second one, so the pair cannot be full.
func (l *Loop) ring() {
	for {
		_, err := unix.Write(l.bell, bellByte[:])
		if err == unix.EINTR {
			continue
		}
		if err != nil && err != unix.EPIPE { // EPIPE: the loop is ending
			panic(err)
		}
		return
	}
}

var bellByte [1]byte

// runTask is a Loop as gnet's Runnable, without an allocation.
type runTask Loop

// Run implements gnet.Runnable.
func (t *runTask) Run(context.Context) error {
	(*Loop)(t).run()
	return nil
}

var _ gnet.Runnable = (*runTask)(nil)

// run uses up a ticket: it does what was left for the loop, each as a turn.
func (l *Loop) run() {
	l.wakeup.state.Store(running)
	l.runQueue()
	if l.ticked.Swap(false) {
		l.enter()
		l.handler.Tick(time.Now())
		l.leave()
	}
	if l.woken.Swap(false) {
		l.enter()
		l.handler.Wake()
		l.leave()
	}
	if l.timed.Swap(false) {
		l.checkDraining()
	}
	l.runLater()
	if !l.wakeup.state.CompareAndSwap(running, idle) {
		l.ring()
	}
}

func (l *Loop) runQueue() {
	l.mu.Lock()
	l.queue, l.spare = l.spare[:0], l.queue
	l.mu.Unlock()
	if len(l.spare) == 0 {
		return
	}
	l.enter()
	for i, f := range l.spare {
		f()
		l.spare[i] = nil
	}
	l.leave()
	if cap(l.spare) > queueKept {
		l.spare = nil
	}
}

// runLater serves the connections that asked for a later turn, at most laterPerRun of them;
// those that ask again while it runs go behind the others.
func (l *Loop) runLater() {
	n := min(len(l.later), laterPerRun)
	if n == 0 {
		return
	}
	for i := range n {
		l.later[i].turn()
	}
	rest := copy(l.later, l.later[n:])
	clear(l.later[rest:])
	if l.later = l.later[:rest]; rest > 0 {
		l.comeBack()
	}
}
