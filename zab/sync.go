package zab

import (
	"slices"
	"sort"

	"github.com/meerkat-zk/meerkat/proto"
)

// How a learner gets what it lacks (LearnerHandler.syncFollower). Java walks its lists of
// transactions; here the decision is a function of zxids alone, and whoever sends looks the
// transactions up.

// A Span is a run of transactions of one epoch, without a gap.
type Span struct{ First, Last proto.Zxid }

// A History is what a leader can send.
//
// Invariant: spans are in order and do not overlap.
type History struct {
	Last   proto.Zxid // committed; epoch<<32 if the epoch has no transaction yet
	Window []Span     // in memory
	// Disk is what the log files hold that begin at or before what the learner has, up to the
	// window or into it. nil: there are none, or they are too many (snapshotSizeFactor).
	Disk []Span
	// Ours is set for a learner that is a Meerkat: it need not drop what is proposed and not
	// committed yet, for it reads in DIFF where that begins.
	Ours bool
	// Snap asks for a snapshot in any case (forceSnapshotSync).
	Snap bool
}

// A Plan says how a learner is synchronised.
type Plan struct {
	Type     proto.PacketType // DIFF, TRUNC or SNAP
	Zxid     proto.Zxid       // of that packet; of DIFF and SNAP: what is committed
	After    proto.Zxid       // what is above it follows, as PROPOSALs
	FromDisk bool             // some of that is behind the window
}

// Drops tells whether a learner that has p drops some of it.
func (x Plan) Drops() bool { return x.Type != proto.PacketDiff }

// DecideSync tells how a learner whose last zxid is p gets what it lacks.
//
// The cases of Java, in its order: nothing lacks; p is above all; p is in the window; p is in the
// log files; a snapshot. A p with counter 0 stands for the end of what was before its epoch.
// Above all means above what is committed for a Java learner, which takes all of its own log for
// that, and above what is proposed for one of ours.
func DecideSync(p proto.Zxid, h History) Plan {
	snap := Plan{Type: proto.PacketSnap, Zxid: h.Last, After: h.Last}
	committed, end := h.committed()
	if h.Ours {
		committed = end
	}
	switch {
	case h.Snap || p < 0:
		return snap
	case p == h.Last && p >= end:
		return Plan{Type: proto.PacketDiff, Zxid: p, After: p}
	case p > committed && p.Counter() != 0:
		return Plan{Type: proto.PacketTrunc, Zxid: committed, After: committed}
	}
	if len(h.Window) > 0 && p >= h.Window[0].First {
		return walk(p, h.Window, snap, false)
	}
	if len(h.Disk) == 0 || h.Disk[0].First > p || !meets(h.Disk, h.Window) {
		return snap
	}
	return walk(p, h.Disk, snap, true)
}

// committed is the newest transaction in memory that is committed, and end the newest of all. When
// none is in memory both are what was processed.
func (h *History) committed() (committed, end proto.Zxid) {
	committed, end = h.Last, h.Last
	for _, s := range h.Window {
		if s.First <= h.Last {
			committed = min(s.Last, h.Last)
		}
		end = s.Last
	}
	return committed, end
}

// meets tells whether nothing is missing between the log files and the window.
func meets(disk, window []Span) bool {
	if len(window) == 0 {
		return true
	}
	end, next := disk[len(disk)-1].Last, window[0].First
	return end >= next || follows(end, next)
}

// follows tells whether next may come right after z: the next of its epoch, or the first of a
// later one. A leader whose first transaction is missing cannot be told from one that had none.
func follows(z, next proto.Zxid) bool {
	return next == z+1 && next.Epoch() == z.Epoch() ||
		next.Epoch() > z.Epoch() && next.Counter() == 1
}

// walk looks for p in spans.
func walk(p proto.Zxid, spans []Span, snap Plan, disk bool) Plan {
	diff := Plan{Type: proto.PacketDiff, Zxid: snap.Zxid, After: p, FromDisk: disk}
	i := sort.Search(len(spans), func(i int) bool { return spans[i].Last >= p })
	switch {
	case p.Counter() == 0, i < len(spans) && spans[i].First <= p:
		return diff
	case i > 0 && i < len(spans) && spans[i].First.Epoch() == p.Epoch():
		// A gap inside an epoch: p is of a transaction that nobody else has.
		before := spans[i-1].Last
		return Plan{Type: proto.PacketTrunc, Zxid: before, After: before, FromDisk: disk}
	}
	return snap // of another epoch's leader, who may have proposed more of what we do not know
}

// Spans joins zxids, which ascend, into runs.
func Spans(zxids []proto.Zxid) []Span {
	var out []Span
	for _, z := range zxids {
		if n := len(out); n > 0 && out[n-1].Last+1 == z && z.Epoch() == out[n-1].Last.Epoch() {
			out[n-1].Last = z
			continue
		}
		out = append(out, Span{z, z})
	}
	return slices.Clip(out)
}
