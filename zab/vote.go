package zab

import (
	"fmt"
	"math"

	"github.com/meerkat-zk/meerkat/proto"
)

// UnknownZxid is the zxid of a voter whose history is gone: others do not count its vote, and it
// does not count theirs, until it was given a history again.
const UnknownZxid proto.Zxid = -1

// nobody is voted for by who may not lead. Every candidate beats it at equal history.
const nobody = math.MinInt64

// A Vote names a leader and the history that speaks for it (FastLeaderElection, Vote).
type Vote struct {
	Leader int64
	Zxid   proto.Zxid // the last that it has logged
	Epoch  int64      // its currentEpoch; once settled, the epoch that the leader began
	Round  int64      // logical clock of the election
}

func (v Vote) String() string {
	leader := fmt.Sprint(v.Leader)
	if v.Leader == nobody {
		leader = "nobody"
	}
	zxid := v.Zxid.String()
	switch v.Zxid {
	case UnknownZxid:
		zxid = "unknown"
	case observerZxid:
		return fmt.Sprintf("%s round=%d", leader, v.Round)
	}
	return fmt.Sprintf("%s epoch=%d zxid=%s round=%d", leader, v.Epoch, zxid, v.Round)
}

// observerZxid is the history of a server that does not vote: all others are longer.
const observerZxid proto.Zxid = math.MinInt64

// beats is the total order of candidates: the later epoch, then the longer history, then the
// larger id.
func (v Vote) beats(o Vote) bool {
	switch {
	case v.Epoch != o.Epoch:
		return v.Epoch > o.Epoch
	case v.Zxid != o.Zxid:
		return v.Zxid > o.Zxid
	}
	return v.Leader > o.Leader
}

// A ballot is the last vote that was heard of a server.
type ballot struct {
	vote    Vote
	state   proto.PeerState
	version int32 // of the message
}

// supports tells whether the ballot counts for what a settled server says, in the round that
// both are of. A server that still looks must say the very same; of two that are settled one may
// have renewed its epoch already, and the round and the leader are enough.
func (b ballot) supports(o ballot) bool {
	if b.state == proto.Looking {
		return b.vote == o.vote
	}
	return b.vote.Leader == o.vote.Leader
}

// settledWith tells whether two settled servers are of one leadership, whatever the rounds in
// which they came to it: leader and epoch are the same. Servers before 3.4.6 do not renew the
// epoch of their vote, so with one of those the leader must do.
func (b ballot) settledWith(o ballot) bool {
	if (b.version > 0) != (o.version > 0) {
		return b.vote.Leader == o.vote.Leader
	}
	return b.vote.Leader == o.vote.Leader && b.vote.Epoch == o.vote.Epoch
}

func ballotOf(n proto.Notification) ballot {
	return ballot{Vote{n.Leader, n.Zxid, n.Epoch, n.Round}, n.State, n.Version}
}
