package zab

import (
	"errors"
	"math/rand"
	"slices"
	"testing"

	"github.com/meerkat-zk/meerkat/proto"
)

// An ensemble of one commits what its own log has.
func TestEnsembleOfOne(t *testing.T) {
	l := NewLeader(Majority{1}, 7)
	l.Propose(9)
	for _, x := range []struct {
		sid          int64
		acked, wants proto.Zxid
	}{{1, 8, 8}, {2, 9, 8}, {1, 9, 9}} { // 2 is a stranger
		if got, err := l.OnAck(x.sid, x.acked); got != x.wants || err != nil {
			t.Fatalf("%+v: committed %v, %v", x, got, err)
		}
	}
}

// The commit point is the median of the acks, counted the dumb way after each random ack.
func TestCommitPointAgainstCount(t *testing.T) {
	for seed := int64(1); seed <= 50; seed++ {
		rng := rand.New(rand.NewSource(seed))
		n := 1 + rng.Intn(7)
		voters, acks := Majority{}, make([]proto.Zxid, n)
		for i := range n {
			voters = append(voters, int64(i))
		}
		l := NewLeader(voters, 0)
		l.Propose(100)
		last := proto.Zxid(0)
		for range 100 {
			i := rng.Intn(n)
			acks[i] = max(acks[i], proto.Zxid(rng.Intn(101)))
			sorted := slices.Clone(acks)
			slices.Sort(sorted)
			want := sorted[(n-1)/2]
			if got, err := l.OnAck(int64(i), acks[i]); got != want || got < last || err != nil {
				t.Fatalf("seed %d: acks %v commit %v, want %v (%v)", seed, acks, got, want, err)
			}
			last = want
		}
	}
}

// To propose what does not follow is a bug of ours.
func TestProposalBehindPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Fatal("no panic")
		}
	}()
	NewLeader(Majority{1}, 7).Propose(7)
}

// An ack of what was not proposed is a peer's fault: it is told, and commits nothing.
func TestAckOfTheUnproposed(t *testing.T) {
	l := NewLeader(Majority{1, 2, 3}, 7)
	l.Propose(9)
	for _, sid := range []int64{1, 2, 3} {
		if got, err := l.OnAck(sid, 10); got != 7 || !errors.Is(err, ErrUnproposed) {
			t.Fatalf("committed %v, error %v", got, err)
		}
	}
}

// A voter that has said nothing counts for nothing, not even for the history before.
func TestSilentVotersDoNotCount(t *testing.T) {
	l := NewLeader(Majority{1, 2, 3}, 7)
	l.Propose(8)
	if got, _ := l.OnAck(1, 8); got != 7 {
		t.Fatalf("one of three committed %v", got)
	}
	if got, _ := l.OnAck(3, 8); got != 8 {
		t.Fatalf("two of three committed %v", got)
	}
}
