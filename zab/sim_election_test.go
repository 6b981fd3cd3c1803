package zab

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/meerkat-zk/meerkat/proto"
)

// The simulation with real elections: votes are lost, late, and of servers that crashed.

// look starts an election at n, whose disk holds all that it has.
func (s *sim) look(n *simNode) { s.voted(n, n.vote.Look(s.now, last(n.log), n.current)) }

// voted does what an election wants done.
func (s *sim) voted(n *simNode, out ElectionOutput) {
	for _, m := range out.Send {
		i := slices.IndexFunc(s.mail, func(x simMail) bool { return x.from == n.sid && x.to == m.To })
		if i < 0 {
			i = len(s.mail)
			s.mail = append(s.mail, simMail{from: n.sid, to: m.To})
		}
		s.mail[i].queue = append(s.mail[i].queue, m.Notification)
	}
	if out.Decided == nil {
		return
	}
	if n.lead != nil || n.learn != nil {
		s.fail("server %d has a role, and its election decides: %v", n.sid, out.Decided.Vote)
	}
	s.say("server %d is %v, by %v", n.sid, out.Decided.State, out.Decided.Vote)
	s.marks["elected"]++
	if out.Decided.State != proto.Leading {
		n.follows, n.since = out.Decided.Vote.Leader, s.now
		return
	}
	n.lead = NewLeading(n.sid, s.voters, Limits{100, 1000, 500}, s.past(n), 0, s.now)
	s.act(n)
}

func (s *sim) settled(n *simNode, begin proto.Zxid) {
	if n.vote != nil {
		s.voted(n, n.vote.Settled(begin.Epoch()))
	}
}

// reach connects n to the leader that it decided for, once that one leads.
func (s *sim) reach(n *simNode) {
	for _, m := range s.nodes {
		if m.sid == n.follows && m.lead != nil {
			s.connect(n, m)
			return
		}
	}
	if s.now-n.since > 400 {
		s.marks["leader not reached"]++
		s.leave(n)
	}
}

// electionStep is a step of an ensemble that elects for itself.
func (s *sim) electionStep(n *simNode, k int, faults bool) {
	switch {
	case k < 70 && n.active:
		s.propose(n)
	case k < 91:
		s.notify(faults)
	case k < 94:
		s.tick()
	case k < 96 && faults && len(s.links) > 0 && s.rng.Intn(4) == 0:
		s.cut(s.links[s.rng.Intn(len(s.links))])
	case k < 97 && faults && n.up && s.rng.Intn(16) == 0:
		s.crash(n)
	case k >= 97 && !n.up:
		s.begin(n)
	}
}

// begin starts n's process.
func (s *sim) begin(n *simNode) {
	n.up = true
	n.vote = NewElection(ElectionConfig{Self: n.sid, Quorum: s.voters})
	s.look(n)
}

// notify delivers a notification, or loses it with the connection.
func (s *sim) notify(faults bool) {
	var waiting []*simMail
	for i := range s.mail {
		if len(s.mail[i].queue) > 0 {
			waiting = append(waiting, &s.mail[i])
		}
	}
	if len(waiting) == 0 {
		return
	}
	x := waiting[s.rng.Intn(len(waiting))]
	m := x.queue[0]
	x.queue = x.queue[1:]
	for _, n := range s.nodes {
		if n.sid == x.to && n.vote != nil && !(faults && s.rng.Intn(10) == 0) {
			s.voted(n, n.vote.Heard(s.now, x.from, m))
		}
	}
}

// TestSimElecting runs ensembles that elect for themselves: after all faults they must come to an
// end of it.
func TestSimElecting(t *testing.T) {
	marks := map[string]int{}
	for seed := int64(1); seed <= simSeeds(t)/3; seed++ {
		s := newSim(t, seed, "")
		s.real, s.tickMs, s.steps = true, 10, 6000
		for _, n := range s.nodes {
			s.begin(n)
		}
		s.run()
		if s.fault != "" {
			t.Fatalf("seed %d: %s\n%s", seed, s.fault, strings.Join(tail(s.trace, 80), "\n"))
		}
		for k, n := range s.marks {
			marks[k] += n
		}
	}
	t.Logf("reached: %v", marks)
	for _, k := range []string{"elected", "activated", "served", "DIFF", "stepped down",
		"leader not reached"} {
		if marks[k] == 0 {
			t.Errorf("no seed reached %q", k)
		}
	}
}

// simSeeds is how many seeds to run: MEERKAT_SEEDS, or as many as take a second.
func simSeeds(t *testing.T) int64 {
	t.Helper()
	n := int64(600)
	if v := os.Getenv("MEERKAT_SEEDS"); v != "" {
		var err error
		if n, err = strconv.ParseInt(v, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	return n
}
