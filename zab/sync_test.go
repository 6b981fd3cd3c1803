package zab

import (
	"math/rand"
	"testing"

	"github.com/meerkat-zk/meerkat/proto"
)

func z(epoch int64, counter uint32) proto.Zxid { return proto.MakeZxid(epoch, counter) }

// Each row of the decision as Java takes it (LearnerHandler.syncFollower).
func TestDecideSync(t *testing.T) {
	window := []Span{{z(4, 3), z(4, 9)}, {z(6, 1), z(6, 5)}}
	disk := []Span{{z(3, 1), z(3, 7)}, {z(4, 1), z(4, 4)}}
	full := History{Last: z(6, 5), Window: window, Disk: disk}
	noDisk := History{Last: z(6, 5), Window: window}
	fresh := History{Last: z(7, 0), Window: window, Disk: disk}
	pending := History{Last: z(6, 3), Window: window, Disk: disk}
	ours := History{Last: z(6, 3), Window: window, Disk: disk, Ours: true}
	forced := History{Last: z(6, 5), Window: window, Snap: true}
	gap := History{Last: z(6, 5), Window: window, Disk: []Span{{z(3, 1), z(4, 1)}}}
	const diff, trunc, snap = proto.PacketDiff, proto.PacketTrunc, proto.PacketSnap
	for _, x := range []struct {
		name string
		p    proto.Zxid
		h    History
		want Plan
	}{
		{"forced", z(6, 5), forced, Plan{snap, z(6, 5), z(6, 5), false}},
		{"an empty disk", -1, full, Plan{snap, z(6, 5), z(6, 5), false}},
		{"nothing lacks", z(6, 5), full, Plan{diff, z(6, 5), z(6, 5), false}},
		{"nothing lacks in a new epoch", z(7, 0), fresh, Plan{diff, z(7, 0), z(7, 0), false}},
		{"the history of a new epoch", z(6, 5), fresh, Plan{diff, z(7, 0), z(6, 5), false}},
		{"above all", z(6, 8), full, Plan{trunc, z(6, 5), z(6, 5), false}},
		{"above all, of a later epoch", z(9, 2), full, Plan{trunc, z(6, 5), z(6, 5), false}},
		{"the beginning of a later epoch", z(9, 0), full, Plan{diff, z(6, 5), z(9, 0), false}},
		{"in the window", z(4, 5), full, Plan{diff, z(6, 5), z(4, 5), false}},
		{"the beginning of an epoch", z(6, 0), full, Plan{diff, z(6, 5), z(6, 0), false}},
		{"a tail of an epoch that others ended", z(4, 12), full, Plan{snap, z(6, 5), z(6, 5), false}},
		{"an epoch that nobody else knows", z(5, 2), full, Plan{snap, z(6, 5), z(6, 5), false}},
		{"on disk", z(3, 4), full, Plan{diff, z(6, 5), z(3, 4), true}},
		{"where disk and window overlap", z(4, 2), full, Plan{diff, z(6, 5), z(4, 2), true}},
		{"behind the window, no disk", z(3, 4), noDisk, Plan{snap, z(6, 5), z(6, 5), false}},
		{"behind the disk", z(2, 4), full, Plan{snap, z(6, 5), z(6, 5), false}},
		{"a new server", 0, full, Plan{snap, z(6, 5), z(6, 5), false}},
		{"a gap between disk and window", z(3, 4), gap, Plan{snap, z(6, 5), z(6, 5), false}},
		{"proposed, Java's", z(6, 4), pending, Plan{trunc, z(6, 3), z(6, 3), false}},
		{"proposed, ours", z(6, 4), ours, Plan{diff, z(6, 3), z(6, 4), false}},
		{"above what is proposed, ours", z(6, 6), ours, Plan{trunc, z(6, 5), z(6, 5), false}},
	} {
		if got := DecideSync(x.p, x.h); got != x.want {
			t.Errorf("%s: %+v, want %+v", x.name, got, x.want)
		}
	}
}

// javaWalk is queueCommittedProposals over a plain list: the oracle. It tells the packet, its
// zxid, and the first transaction that is sent (0: none).
func javaWalk(p, most proto.Zxid, list []proto.Zxid) (Plan, proto.Zxid) {
	isNewEpoch, previous, plan := p.Counter() == 0, proto.Zxid(-1), Plan{}
	for _, x := range list {
		switch {
		case x < p:
			previous = x
			continue
		case plan.Type != 0:
			return plan, x
		case x == p:
			plan = Plan{Type: proto.PacketDiff, Zxid: most}
			continue
		case isNewEpoch:
			return Plan{Type: proto.PacketDiff, Zxid: most}, x
		case previous < 0 || x.Epoch() != p.Epoch():
			return Plan{Type: proto.PacketSnap}, 0
		}
		return Plan{Type: proto.PacketTrunc, Zxid: previous}, x
	}
	if plan.Type == 0 && isNewEpoch {
		plan = Plan{Type: proto.PacketDiff, Zxid: most}
	}
	return plan, 0
}

// The decision over spans against Java's walk over a list, for random histories.
func TestDecideSyncAgainstWalk(t *testing.T) {
	kinds := map[proto.PacketType]int{}
	for seed := int64(1); seed <= 3000; seed++ {
		rng := rand.New(rand.NewSource(seed))
		var list []proto.Zxid
		for epoch := int64(1); epoch <= 5; epoch++ {
			counter := uint32(1)
			for range rng.Intn(6) {
				if rng.Intn(8) == 0 {
					counter++ // a gap, which only damage can make
				}
				list = append(list, z(epoch, counter))
				counter++
			}
		}
		if len(list) == 0 {
			continue
		}
		most := list[len(list)-1]
		p := z(1+rng.Int63n(5), uint32(rng.Intn(8)))
		if p < list[0] || p > most && p.Counter() != 0 || p == most {
			continue // other rows of the table
		}
		want, first := javaWalk(p, most, list)
		got := DecideSync(p, History{Last: most, Window: Spans(list)})
		gotFirst := proto.Zxid(0)
		for _, x := range list {
			if gotFirst == 0 && x > got.After {
				gotFirst = x
			}
		}
		same := got.Type == want.Type && (got.Type == proto.PacketSnap ||
			got.Zxid == want.Zxid && gotFirst == first)
		if !same {
			t.Fatalf("seed %d: p=%v list=%v: %+v from %v, Java %+v from %v", seed, p, list, got, gotFirst,
				want, first)
		}
		kinds[got.Type]++
	}
	for _, k := range []proto.PacketType{proto.PacketDiff, proto.PacketTrunc, proto.PacketSnap} {
		if kinds[k] == 0 {
			t.Errorf("no history led to %v", k)
		}
	}
}
