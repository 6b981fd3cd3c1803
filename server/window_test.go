package server

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/tree"
	"github.com/meerkat-zk/meerkat/zab"
)

// newTrio is a stage whose core leads an ensemble of three, as server 1, with one client. Its log
// and its peers answer when the test says so.
func newTrio(t *testing.T, change func(*Options)) (g *stage, client int64, conn *conn) {
	g = newStage(t, change)
	client, conn = g.attach(4000)
	g.c.leader = zab.NewLeader(zab.Majority{1, 2, 3}, g.c.head.Zxid())
	g.entry = nil
	return g, client, conn
}

// accept gives the core n writes in one turn, and says what else it hears in it.
func (g *stage) accept(client int64, conn *conn, n int, in inputs) {
	for range n {
		g.names++
		w := jute.Writer(nil)
		create(fmt.Sprintf("/n%d", g.names), "", 0)(&w)
		in.requests = append(in.requests, request{kind: reqOp, op: proto.OpCreate, session: client,
			conn: conn, body: w.Bytes(), xid: int32(g.names)})
	}
	g.c.turn(&in, g.now)
	g.collect()
}

// acked tells the core that the voters 2 and 3 have all up to z.
func (g *stage) acked(z proto.Zxid) {
	g.c.out.reset()
	for _, sid := range []int64{2, 3} {
		committed, err := g.c.leader.OnAck(sid, z)
		if err != nil {
			g.t.Fatal(err)
		}
		g.c.onCommitted(committed)
	}
	g.collect()
}

// A quorum of others may be faster than our own disk. What it commits is published at once; that
// our log has it too is still noticed, or the core would believe the log busy for ever.
func TestOthersCommitBeforeOurOwnDisk(t *testing.T) {
	g, client, conn := newTrio(t, nil)
	g.accept(client, conn, 3, inputs{})
	first := g.c.leader.Proposed()
	if len(g.c.out.appends) != 1 || g.c.logState() != logLast {
		t.Fatalf("%d appends, the log is %v", len(g.c.out.appends), g.c.logState())
	}
	g.acked(first)
	if len(g.entry) != 3 {
		t.Fatalf("a quorum has it, and %d of 3 entries are published", len(g.entry))
	}
	if g.c.logState() == logIdle {
		t.Fatal("our own log has not answered yet")
	}
	g.accept(client, conn, 2, inputs{}) // waits for the log
	if len(g.c.out.appends) != 0 {
		t.Fatal("a second batch was sealed while the log had the first")
	}
	g.accept(client, conn, 0, inputs{durable: first})
	if len(g.c.out.appends) != 1 {
		t.Fatal("the log has answered, and what waited is not sealed")
	}
	g.accept(client, conn, 0, inputs{durable: g.c.leader.Proposed()})
	if g.c.logState() != logIdle || len(g.entry) != 3 {
		t.Fatalf("the log is %v; %d entries published on our word alone", g.c.logState(), len(g.entry)-3)
	}
	g.acked(g.c.leader.Proposed())
	if len(g.entry) != 5 || len(g.c.window.batches) != 0 {
		t.Fatalf("%d entries published, %d batches left", len(g.entry), len(g.c.window.batches))
	}
}

// A snapshot is of what is committed and on our own disk, whichever comes last.
func TestSnapshotWaitsForLogAndQuorum(t *testing.T) {
	for _, othersFirst := range []bool{true, false} {
		g, client, conn := newTrio(t, func(o *Options) { o.Config.SnapCount = 2 })
		g.accept(client, conn, 5, inputs{})
		z := g.c.leader.Proposed()
		own := func() { g.accept(client, conn, 0, inputs{durable: z}) }
		others := func() { g.acked(z) }
		steps := []func(){own, others}
		if othersFirst {
			steps = []func(){others, own}
		}
		steps[0]()
		if len(g.saved) != 0 {
			t.Fatalf("others first %v: a root was offered after one of two", othersFirst)
		}
		steps[1]()
		if len(g.saved) != 1 || g.saved[0].Zxid() != z {
			t.Fatalf("others first %v: roots offered %v, want one of %v", othersFirst, g.saved, z)
		}
	}
}

// A batch's bytes are not written over while somebody still reads them.
func TestRecordsStayForTheirReaders(t *testing.T) {
	g, client, conn := newTrio(t, nil)
	g.accept(client, conn, 1, inputs{})
	b := g.c.window.batches[0]
	g.c.window.hold(b) // as the cursor of a learner does
	records, want := b.records, slices.Clone(b.records)
	z := g.c.leader.Proposed()
	g.accept(client, conn, 0, inputs{durable: z})
	g.acked(z)
	for range 2 * spareBuffersMax {
		g.accept(client, conn, 2, inputs{durable: g.c.leader.Proposed()})
	}
	if !slices.Equal(records, want) {
		t.Fatal("the records of a batch changed under their reader")
	}
	g.c.window.letGo(b)
	if b.records != nil {
		t.Fatal("the last reader is gone, and the records are kept")
	}
	defer func() {
		if recover() == nil {
			t.Fatal("one reader let go twice, and nobody noticed")
		}
	}()
	g.c.window.letGo(b)
}

// The window against a plain list, in random order of everything that happens to batches.
func TestWindowAgainstList(t *testing.T) {
	for seed := int64(1); seed <= 200; seed++ {
		rng := rand.New(rand.NewSource(seed))
		var w window
		var all []*batch // the oracle: every batch ever
		var published []*batch
		var saved []*tree.Root
		logged, committed, last := proto.Zxid(0), proto.Zxid(0), proto.Zxid(0)
		for range 200 {
			switch rng.Intn(4) {
			case 0, 1:
				b := &batch{number: int64(len(all)), txns: rng.Intn(3), snapshot: rng.Intn(5) == 0}
				last += proto.Zxid(b.txns)
				if b.last = last; b.txns > 0 {
					b.root, b.records = new(tree.Root), w.buffer(8)
				} else {
					b.snapshot = false
				}
				w.push(b)
				all = append(all, b)
			case 2:
				logged += proto.Zxid(rng.Int63n(int64(last-logged) + 1))
				w.onLogged(logged)
			case 3:
				committed += proto.Zxid(rng.Int63n(int64(last-committed) + 1))
			}
			published = w.onCommitted(committed, published)
			saved = w.trim(saved)

			wantPublished, wantSaved, wantLogging, wantLeft := 0, 0, 0, 0
			for _, b := range all {
				onDisk, inQuorum := b.txns == 0 || b.last <= logged, b.last <= committed
				if inQuorum {
					wantPublished++
				}
				if !onDisk {
					wantLogging++
				}
				if b.last > min(logged, committed) {
					wantLeft++
				} else if b.snapshot {
					wantSaved++
				}
			}
			if len(published) != wantPublished || len(saved) != wantSaved ||
				w.logging != wantLogging {
				t.Fatalf("seed %d: published %d (want %d), saved %d (%d), with the log %d (%d)", seed,
					len(published), wantPublished, len(saved), wantSaved, w.logging, wantLogging)
			}
			if n := len(w.batches); n != wantLeft {
				t.Fatalf("seed %d: %d batches left, want %d", seed, n, wantLeft)
			}
		}
		for i, b := range published {
			if b != all[i] {
				t.Fatalf("seed %d: batch %d is published out of order", seed, i)
			}
		}
	}
}
