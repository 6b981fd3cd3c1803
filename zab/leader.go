package zab

import (
	"errors"
	"fmt"

	"github.com/meerkat-zk/meerkat/proto"
)

// A Leader follows its proposals until a quorum has each (Zab paper, phase 3: broadcast).
type Leader struct {
	quorum    Quorum
	acked     map[int64]proto.Zxid // per voter: all up to here is on its disk
	proposed  proto.Zxid           // Invariant: committed <= proposed
	committed proto.Zxid           // Invariant: a quorum has acked it
}

// NewLeader starts a leadership whose history up to last is on a quorum already. Who has it is
// not said: a voter counts from its first ack on.
func NewLeader(q Quorum, last proto.Zxid) *Leader {
	l := &Leader{quorum: q, acked: map[int64]proto.Zxid{}, proposed: last, committed: last}
	for _, sid := range q.Voters() {
		l.acked[sid] = 0
	}
	return l
}

// Propose notes that everything up to last, which follows what was proposed before, is on its
// way to all voters.
func (l *Leader) Propose(last proto.Zxid) {
	if last <= l.proposed {
		panic(fmt.Sprintf("zab: proposal %v does not follow %v", last, l.proposed))
	}
	l.proposed = last
}

// ErrUnproposed is an ack of what was not proposed. A peer that sends it is dropped.
var ErrUnproposed = errors.New("zab: an ack of what was not proposed")

// OnAck takes sid's word that everything up to z is durable there, and returns what is
// committed now. A server that is no voter changes nothing. ErrUnproposed leaves all as it was.
func (l *Leader) OnAck(sid int64, z proto.Zxid) (proto.Zxid, error) {
	if z > l.proposed {
		return l.committed, fmt.Errorf("%w: server %d acked %v, only %v is proposed",
			ErrUnproposed, sid, z, l.proposed)
	}
	had, voter := l.acked[sid]
	if !voter || z <= had {
		return l.committed, nil
	}
	l.acked[sid] = z
	// The new commit point is one of the acked zxids: the greatest that a quorum has reached.
	for _, candidate := range l.acked {
		if candidate > l.committed && l.quorum.Contains(func(s int64) bool {
			return l.acked[s] >= candidate
		}) {
			l.committed = candidate
		}
	}
	return l.committed, nil
}

// Forget takes back what sid acknowledged above z: it is about to leave sid's disk. What is
// committed stays so.
func (l *Leader) Forget(sid int64, z proto.Zxid) {
	if had, voter := l.acked[sid]; voter && had > z {
		l.acked[sid] = z
	}
}

// Committed is the last zxid that a quorum has.
func (l *Leader) Committed() proto.Zxid { return l.committed }

// Proposed is the last zxid that was proposed.
func (l *Leader) Proposed() proto.Zxid { return l.proposed }
