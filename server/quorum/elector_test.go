package quorum

import (
	"context"
	"testing"
	"time"

	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/zab"
)

// A council is servers with electors over real sockets.
type council struct {
	t        *testing.T
	addrs    map[int64][]string
	voters   []int64
	electors map[int64]*Elector
	decided  map[int64]chan zab.Decision
	logs     map[int64]*logText
}

func newCouncil(t *testing.T, servers, voters int) *council {
	c := &council{t: t, addrs: addrsFor(t, servers), electors: map[int64]*Elector{},
		decided: map[int64]chan zab.Decision{}, logs: map[int64]*logText{}}
	for sid := int64(1); sid <= int64(voters); sid++ {
		c.voters = append(c.voters, sid)
	}
	return c
}

func (c *council) start(sid int64, zxid proto.Zxid) {
	c.t.Helper()
	c.listen(sid)
	c.electors[sid].Look(zxid, 0)
}

// listen starts a server that does not look yet.
func (c *council) listen(sid int64) {
	c.t.Helper()
	decided, log := make(chan zab.Decision, 100), &logText{}
	config := ElectorConfig{Port: configFor(sid, c.addrs, log), Voters: c.voters,
		Decided: func(d zab.Decision) { decided <- d }}
	config.Election.Config = "server.1=a\nversion=0"
	e, err := StartElector(context.Background(), config)
	if err != nil {
		c.t.Fatal(err)
	}
	c.electors[sid], c.decided[sid], c.logs[sid] = e, decided, log
	c.t.Cleanup(func() { c.stop(sid) })
}

func (c *council) stop(sid int64) {
	if e := c.electors[sid]; e != nil {
		e.Close()
		delete(c.electors, sid)
	}
}

// agrees waits for a server's decision.
func (c *council) agrees(sid int64, state proto.PeerState, leader int64) {
	c.t.Helper()
	select {
	case d := <-c.decided[sid]:
		if d.State != state || d.Vote.Leader != leader {
			c.t.Fatalf("%d is %v, led by %d", sid, d.State, d.Vote.Leader)
		}
	case <-time.After(patience):
		c.t.Fatalf("%d has not decided\n%s", sid, c.logs[sid].end())
	}
}

// Over real sockets: all start together, the leader dies, the others elect another one, the old
// one comes back and joins, an observer learns of it.
func TestElectionsOverSockets(t *testing.T) {
	c := newCouncil(t, 4, 3)
	for sid := int64(1); sid <= 3; sid++ {
		c.listen(sid) // all of them, or the third is not waited for
	}
	for sid := int64(1); sid <= 3; sid++ {
		c.electors[sid].Look(5, 0)
	}
	c.agrees(1, proto.Following, 3)
	c.agrees(2, proto.Following, 3)
	c.agrees(3, proto.Leading, 3)
	for _, e := range c.electors {
		e.Settled(1)
	}

	c.stop(3)
	began := time.Now()
	for sid := int64(1); sid <= 2; sid++ {
		c.electors[sid].Leave()
		c.electors[sid].Look(6, 1)
	}
	c.agrees(1, proto.Following, 2)
	c.agrees(2, proto.Leading, 2)
	t.Logf("the two that were left agreed in %v", time.Since(began))
	for _, e := range c.electors {
		e.Settled(2)
	}

	c.start(3, 5)
	c.agrees(3, proto.Following, 2)
	c.start(4, 0)
	c.agrees(4, proto.Observing, 2)
}

// When the connection of the one that is not there is refused, nobody waits 200 ms for it.
func TestNobodyWaitsForTheDead(t *testing.T) {
	if testing.Short() {
		t.Skip("it measures")
	}
	fastest := time.Hour
	for range 5 {
		c := newCouncil(t, 3, 3)
		began := time.Now()
		c.start(1, 0)
		c.start(2, 0)
		c.agrees(1, proto.Following, 2)
		c.agrees(2, proto.Leading, 2)
		fastest = min(fastest, time.Since(began))
		c.stop(1)
		c.stop(2)
	}
	t.Logf("the fastest of five took %v", fastest)
	if fastest >= 200*time.Millisecond {
		t.Errorf("the fastest of five took %v", fastest)
	}
}

// One that listens and says nothing may know better: it is waited for.
func TestSilentThirdIsWaitedFor(t *testing.T) {
	c := newCouncil(t, 3, 3)
	silent := hold(t, c.addrs[3][0])
	defer silent.Close()
	began := time.Now()
	c.start(1, 0)
	c.start(2, 0)
	c.agrees(1, proto.Following, 2)
	c.agrees(2, proto.Leading, 2)
	if took := time.Since(began); took < 200*time.Millisecond {
		t.Errorf("decided after %v, and the third might have known better", took)
	}
}

// A peer that never stops talking is heard at the pace of the election, and waits in its own
// buffers for it.
func TestFloodOfMessages(t *testing.T) {
	c := newCouncil(t, 3, 3)
	c.start(1, 5)
	p := &party{t: t, addr: c.addrs[1][0]}
	r := p.dialRaw()
	r.hello(3, c.addrs[3][0])
	for round := range int64(50_000) {
		n := vote(round)
		n.Leader, n.Config = 3, "server.1=a\nversion=0"
		r.say(n.AppendFrame(nil))
		box := c.electors[1].box
		box.mu.Lock()
		waiting := len(box.items)
		box.mu.Unlock()
		if waiting > 10 {
			t.Fatalf("%d messages wait", waiting)
		}
	}
	n := vote(1 << 40) // the last is heard like the first: a better vote of a later round
	n.Leader, n.Zxid = 3, 9
	r.say(n.AppendFrame(nil))
	for r.round() != 1<<40 {
	}
}
