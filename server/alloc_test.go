package server

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
)

// A read allocates nothing per request: from the bytes in the socket to the bytes of its reply,
// on a loop with many znodes and watches. What a turn or a burst costs once may be there.

// readOps are the reads that this is promised for; each names the i-th znode.
var readOps = []struct {
	name   string
	op     proto.Op
	fields func(i int) func(*jute.Coder)
}{
	{"getData", proto.OpGetData, func(i int) func(*jute.Coder) { return get(benchPath(i), false) }},
	{"exists", proto.OpExists, func(i int) func(*jute.Coder) { return get(benchPath(i), false) }},
	{"exists, absent", proto.OpExists, func(int) func(*jute.Coder) {
		return get("/none/here", false)
	}},
	{"getData, watched", proto.OpGetData, func(i int) func(*jute.Coder) {
		return get(benchPath(i), true)
	}},
	{"getChildren", proto.OpGetChildren, func(i int) func(*jute.Coder) {
		return get(parentOf(benchPath(i)), false)
	}},
	{"getChildren2", proto.OpGetChildren2, func(i int) func(*jute.Coder) {
		return get(benchPath(i), false)
	}},
	{"getACL", proto.OpGetACL, func(i int) func(*jute.Coder) { return only(benchPath(i)) }},
	{"ping", proto.OpPing, func(int) func(*jute.Coder) { return func(*jute.Coder) {} }},
}

const benchFanout = 20

// benchPath is the i-th znode of two levels, benchFanout below each of the first.
func benchPath(i int) string {
	return fmt.Sprintf("/parent-%06d/child-%02d", i/benchFanout, i%benchFanout)
}

// readBench is a connection to a server with many znodes, half of them watched by it.
type readBench struct {
	w      *wire
	znodes int
}

func newReadBench(t testing.TB, parents int) *readBench {
	t.Helper()
	b := &readBench{znodes: parents * benchFanout}
	dir := bulkDir(t, parents*(benchFanout+1), func(i int) string {
		p, c := i/(benchFanout+1), i%(benchFanout+1)
		if c == 0 {
			return parentOf(benchPath(p * benchFanout))
		}
		return benchPath(p*benchFanout + c - 1)
	})
	s, _ := oneLoop(t, func(o *Options) { o.Config.DataDir, o.Config.DataLogDir = dir, dir })
	b.w = connectTo(t, s)
	for i := 0; i < b.znodes; {
		q := noWatches(1 << 40)
		for ; len(q.Data) < 10_000 && i < b.znodes; i += 2 {
			q.Data = append(q.Data, benchPath(i))
		}
		b.w.sendXid(proto.XidSetWatches, proto.OpSetWatches, q.Fields)
		b.w.flush()
		b.w.expect(proto.XidSetWatches)
	}
	return b
}

// A burst is requests that are sent again and again, and the room for their replies.
type burst struct {
	requests, replies []byte
}

// prepare builds a burst of n reads spread over all znodes, and learns how long the replies are.
func (b *readBench) prepare(op proto.Op, n int, fields func(i int) func(*jute.Coder)) burst {
	for i := range n {
		// Even numbers: those that are watched, so that a read with a watch changes nothing.
		at := (i * 7919 * 2) % b.znodes
		b.w.send(op, fields(at))
	}
	x := burst{requests: append([]byte(nil), b.w.out...)}
	b.w.flush()
	size := 0
	for range n {
		body, err := b.w.read()
		if err != nil {
			b.w.t.Fatal(err)
		}
		size += 4 + len(body)
	}
	x.replies = make([]byte, size)
	return x
}

// run sends the burst and takes its replies; it allocates nothing.
func (b *readBench) run(x burst) {
	if _, err := b.w.conn.Write(x.requests); err != nil {
		b.w.t.Fatal(err)
	}
	if _, err := io.ReadFull(b.w.r, x.replies); err != nil {
		b.w.t.Fatal(err)
	}
}

func TestReadsAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	b := newReadBench(t, scaled(1000, 50_000))
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	const requests, turns = 200, 200
	for _, r := range readOps {
		x := b.prepare(r.op, requests, r.fields)
		for range 10 {
			b.run(x)
		}
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range turns {
			b.run(x)
		}
		runtime.ReadMemStats(&after)
		allocs := float64(after.Mallocs - before.Mallocs)
		t.Logf("%-16s %.4f allocations per request, %.1f bytes", r.name, allocs/(requests*turns),
			float64(after.TotalAlloc-before.TotalAlloc)/(requests*turns))
		if allocs > requests*turns/50 {
			t.Errorf("%s: %.2f allocations per request", r.name, allocs/(requests*turns))
		}
	}
}

// BenchmarkReadTurn measures pipelined reads through the sockets, one op per request.
// MEERKAT_FULL=1 gives the loop a million znodes and half a million watches.
func BenchmarkReadTurn(b *testing.B) {
	rb := newReadBench(b, scaled(1000, 50_000))
	for _, r := range readOps {
		b.Run(r.name, func(b *testing.B) {
			const requests = 128
			rb.w.t = b
			x := rb.prepare(r.op, requests, r.fields)
			rb.run(x)
			b.ReportAllocs()
			b.SetBytes(int64(len(x.replies) / requests))
			b.ResetTimer()
			for n := 0; n < b.N; n += requests {
				rb.run(x)
			}
		})
	}
}

// BenchmarkWriteTurn measures writes through the sockets, the log without its fsync: one op per
// request, in bursts and one at a time.
func BenchmarkWriteTurn(b *testing.B) {
	s, _ := oneLoop(b, func(o *Options) { o.Config.ForceSync = false })
	rb := &readBench{w: connectTo(b, s), znodes: 20}
	rb.w.must(proto.OpCreate, create("/w", "", 0))
	for i := range rb.znodes {
		rb.w.must(proto.OpCreate, create(fmt.Sprintf("/w/%02d", i), "", 0))
	}
	for _, requests := range []int{1, 128} {
		b.Run(fmt.Sprint("burst-", requests), func(b *testing.B) {
			rb.w.t = b
			x := rb.prepare(proto.OpSetData, requests, func(i int) func(*jute.Coder) {
				return setData(fmt.Sprintf("/w/%02d", i), "some data", -1)
			})
			rb.run(x)
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += requests {
				rb.run(x)
			}
		})
	}
}
