package zab

import (
	"math/rand"
	"slices"
	"testing"

	"github.com/meerkat-zk/meerkat/proto"
)

// An ensemble of one commits what its own log has.
func TestEnsembleOfOne(t *testing.T) {
	l := NewLeader(Majority{1}, 7)
	l.Propose(9)
	if got := l.OnAck(1, 8); got != 8 {
		t.Fatalf("committed %v", got)
	}
	if got := l.OnAck(2, 9); got != 8 {
		t.Fatalf("a stranger's ack committed %v", got)
	}
	if got := l.OnAck(1, 9); got != 9 {
		t.Fatalf("committed %v", got)
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
			if got := l.OnAck(int64(i), acks[i]); got != want || got < last {
				t.Fatalf("seed %d: acks %v commit %v, want %v", seed, acks, got, want)
			}
			last = want
		}
	}
}

func TestBugsPanic(t *testing.T) {
	for name, f := range map[string]func(*Leader){
		"propose behind":     func(l *Leader) { l.Propose(7) },
		"ack the unproposed": func(l *Leader) { l.OnAck(1, 8) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Fatal("no panic")
				}
			}()
			f(NewLeader(Majority{1}, 7))
		})
	}
}
