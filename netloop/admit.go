package netloop

import (
	"net/netip"
	"sync"
)

// An admission counts connections: in all, by address, by loop. It is the one thing that
// acceptors and loops share, touched once when a connection comes and once when it goes.
type admission struct {
	mu      sync.Mutex
	perIP   map[netip.Addr]int
	perLoop []int
	total   int
	next    int // where the search for the emptiest loop begins, so that equals alternate

	perIPMax, totalMax int

	empty   chan struct{} // closed by release when the last one goes after awaitEmpty
	leaving bool
}

func newAdmission(loops, perIPMax, totalMax int) *admission {
	return &admission{
		perIP:    make(map[netip.Addr]int),
		perLoop:  make([]int, loops),
		perIPMax: perIPMax,
		totalMax: totalMax,
		empty:    make(chan struct{}),
	}
}

// take admits a connection from ip and names the loop with the fewest; or says why not.
// Connections count from here on, not from their Open, so a burst spreads evenly.
func (a *admission) take(ip netip.Addr) (loop int, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.totalMax > 0 && a.total >= a.totalMax {
		return 0, ErrTooMany
	}
	if a.perIPMax > 0 && a.perIP[ip] >= a.perIPMax {
		return 0, ErrTooManyFromIP
	}
	loop = a.emptiest()
	a.next = loop + 1
	a.perLoop[loop]++
	a.perIP[ip]++
	a.total++
	return loop, nil
}

func (a *admission) emptiest() int {
	n := len(a.perLoop)
	best := a.next % n
	for i := 1; i < n; i++ {
		if at := (a.next + i) % n; a.perLoop[at] < a.perLoop[best] {
			best = at
		}
	}
	return best
}

// release takes back what take gave.
func (a *admission) release(ip netip.Addr, loop int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.perLoop[loop]--
	a.total--
	if a.perIP[ip]--; a.perIP[ip] == 0 {
		delete(a.perIP, ip)
	}
	if a.leaving && a.total == 0 {
		close(a.empty)
	}
}

// awaitEmpty returns a channel that is closed when no connection is left. It is called once,
// when no new ones come.
func (a *admission) awaitEmpty() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.leaving = true
	if a.total == 0 {
		close(a.empty)
	}
	return a.empty
}

func (a *admission) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.total
}
