package netloop

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestWakeIsNeverLost has many goroutines leave work and wake loops; at the end no work is
// left anywhere, although no wake comes any more. Traffic goes on at the same time, so that
// runs come by gnet's tasks and by the bell.
func TestWakeIsNeverLost(t *testing.T) {
	seed := seedOf(t)
	const loops, wakers, wakes = 4, 8, 5000
	var left, done [loops]atomic.Int64
	all := make(chan struct{}, loops)
	s := startEcho(t, Options{Loops: loops}, func(e *echo) {
		e.perTurn = 1
		e.onWake = func() {
			i := e.loop.Index
			if done[i].Add(left[i].Swap(0)) == wakers*wakes {
				all <- struct{}{}
			}
		}
	})
	var group sync.WaitGroup
	for w := range wakers {
		rng := rand.New(rand.NewPCG(seed, uint64(w)))
		group.Go(func() {
			for range wakes {
				for i, l := range s.Loops() {
					left[i].Add(1)
					l.Wake()
				}
				for range rng.IntN(4) {
					runtime.Gosched()
				}
			}
		})
	}
	stopEcho := make(chan struct{})
	conns := dial(t, s)
	var echoing sync.WaitGroup
	echoing.Go(func() {
		for {
			select {
			case <-stopEcho:
				return
			default:
				exchange(t, conns, make([]byte, 10))
			}
		}
	})
	group.Wait()
	for range loops {
		select {
		case <-all:
		case <-time.After(20 * time.Second):
			t.Fatal("a wake was lost")
		}
	}
	close(stopEcho)
	echoing.Wait()
}

// TestExecuteIsFIFO floods loops with more functions than gnet's first queue takes.
func TestExecuteIsFIFO(t *testing.T) {
	const callers, calls = 8, 10_000
	s := startEcho(t, Options{}, nil)
	for _, l := range s.Loops() {
		next := make([]int, callers)
		var group sync.WaitGroup
		for who := range callers {
			group.Go(func() {
				for n := range calls {
					l.Execute(func() {
						if next[who] != n {
							t.Errorf("caller %d: call %d ran at %d", who, n, next[who])
						}
						next[who]++
					})
				}
			})
		}
		group.Wait()
		onLoop(l, func() {
			for who, n := range next {
				if n != calls {
					t.Errorf("caller %d: %d calls ran", who, n)
				}
			}
		})
	}
}

// TestExecuteFromWithin has a loop keep itself busy; its sockets are served all the same.
func TestExecuteFromWithin(t *testing.T) {
	s := startEcho(t, Options{Loops: 1}, func(e *echo) {
		e.onWake = func() { e.loop.Wake() }
	})
	l := s.Loops()[0]
	over := false
	var again func()
	again = func() {
		if !over {
			l.Execute(again)
		}
	}
	l.Wake()
	l.Execute(again)
	c := dial(t, s)
	for range 100 {
		exchange(t, c, []byte("x"))
	}
	onLoop(l, func() { over = true })
}

// TestWakeDuringStop wakes loops while their server stops, and after.
func TestWakeDuringStop(t *testing.T) {
	for range 5 {
		s := startEcho(t, Options{TickEvery: time.Millisecond}, nil)
		var group sync.WaitGroup
		over := make(chan struct{})
		for _, l := range s.Loops() {
			group.Go(func() {
				for {
					select {
					case <-over:
						return
					default:
						l.Wake()
						l.Execute(func() {})
					}
				}
			})
		}
		exchange(t, dial(t, s), []byte("x"))
		stop(t, s)
		close(over)
		group.Wait()
	}
}

// TestWakeAndExecuteInNewHandler uses a loop before the server has started.
func TestWakeAndExecuteInNewHandler(t *testing.T) {
	woken, executed := make(chan struct{}, 2), make(chan struct{}, 2)
	startEcho(t, Options{}, func(e *echo) {
		e.onWake = func() { woken <- struct{}{} }
	})
	s := start(t, Options{NewHandler: func(l *Loop) Handler {
		l.Wake()
		l.Execute(func() { executed <- struct{}{} })
		return &echo{onWake: func() { woken <- struct{}{} }}
	}})
	for range s.Loops() {
		<-woken
		<-executed
	}
}

// TestTick expects ticks on every loop, on the loop: they touch what Execute touches.
func TestTick(t *testing.T) {
	ticks := make(chan *Loop)
	var counts [2]int
	s := startEcho(t, Options{TickEvery: time.Millisecond}, func(e *echo) {
		e.onTick = func(now time.Time) {
			if time.Since(now) > time.Minute {
				t.Errorf("tick at %v", now)
			}
			if counts[e.loop.Index]++; counts[e.loop.Index] <= 3 {
				ticks <- e.loop
			}
		}
	})
	for range 3 * len(s.Loops()) {
		<-ticks
	}
	for _, l := range s.Loops() {
		onLoop(l, func() {
			if counts[l.Index] < 3 {
				t.Errorf("loop %d: %d ticks", l.Index, counts[l.Index])
			}
		})
	}
}
