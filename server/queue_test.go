package server

import (
	"math/rand"
	"slices"
	"testing"
	"time"

	"github.com/meerkat-zk/meerkat/proto"
)

// A plainQueue is the queue without an array that is used again and without counts.
type plainQueue []pending

// counts walks over all requests.
func (m plainQueue) counts() (sent, barriers, reads, bytes int, readBehind bool) {
	for i := range m {
		p := &m[i]
		bytes += len(p.body)
		switch {
		case p.kind == pendingSent:
			sent++
			readBehind = false
		case p.isBarrier():
			barriers++
		default:
			reads++
			readBehind = true
		}
	}
	return sent, barriers, reads, bytes, readBehind
}

// sendable is the oldest held request that no other barrier is ahead of, -1 if there is none.
func (m plainQueue) sendable() int {
	for i := range m {
		switch {
		case m[i].kind == pendingHeld:
			return i
		case m[i].isBarrier():
			return -1
		}
	}
	return -1
}

// Whatever is done with a queue, it holds what the plain one holds, counts what a walk finds, and
// keeps nothing that has left it.
func TestQueueCounts(t *testing.T) {
	seed := time.Now().UnixNano()
	rng := rand.New(rand.NewSource(seed))
	ops := []proto.Op{proto.OpGetData, proto.OpExists, proto.OpPing, proto.OpGetChildren,
		proto.OpMultiRead, proto.OpSetWatches}
	var q queue
	var m plainQueue
	longest, slow, sent := 0, 0, 0
	for n := range 40_000 {
		switch do, growing := rng.Intn(10), n/1000%2 == 0; { // long queues and empty ones in turn
		case do < 1 || growing && do < 5:
			p := pending{xid: int32(n + 1), kind: pendingRead, op: ops[rng.Intn(len(ops))],
				body: make([]byte, rng.Intn(5))}
			if rng.Intn(2) == 0 {
				p.kind, p.op = pendingHeld, proto.OpSetData
				if _, barriers, _, _, _ := m.counts(); barriers == 0 && rng.Intn(4) > 0 {
					p.kind, p.body = pendingSent, nil
				}
			}
			q.push(p)
			m = append(m, p)
		case do < 6:
			if i := m.sendable(); i >= 0 {
				q.send(i)
				m[i].kind, m[i].body = pendingSent, nil
				sent++
			}
		case do < 7:
			if len(m) > 0 && m[0].kind == pendingRead {
				kind := pendingSlow + pendingKind(rng.Intn(2))
				q.become(kind)
				m[0].kind = kind
				slow++
			}
		default:
			if len(m) > 0 {
				q.pop()
				m = append(plainQueue(nil), m[1:]...)
			}
		}
		longest = max(longest, len(m))

		wantSent, wantBarriers, wantReads, wantBytes, wantBehind := m.counts()
		if q.sent != wantSent || q.barriers != wantBarriers || q.reads != wantReads ||
			q.bytes != wantBytes || q.readBehind() != wantBehind || q.len() != len(m) {
			t.Fatalf("seed %d, step %d: sent %d, barriers %d, reads %d, bytes %d, readBehind %v; "+
				"a walk finds %d, %d, %d, %d, %v", seed, n, q.sent, q.barriers, q.reads, q.bytes,
				q.readBehind(), wantSent, wantBarriers, wantReads, wantBytes, wantBehind)
		}
		for i := range m {
			if p := q.at(i); p.xid != m[i].xid || p.kind != m[i].kind {
				t.Fatalf("seed %d, step %d: request %d is %+v, want %+v", seed, n, i, p, m[i])
			}
		}
		unused := slices.Concat(q.items[:q.head], q.items[len(q.items):cap(q.items)])
		for i := range unused {
			if p := &unused[i]; p.xid != 0 || p.body != nil || p.op != 0 {
				t.Fatalf("seed %d, step %d: a request that has left is kept", seed, n)
			}
		}
	}
	if longest < 200 || slow < 500 || sent < 1000 {
		t.Errorf("seed %d: the longest queue had %d, %d became slow, %d were sent late: too few",
			seed, longest, slow, sent)
	}
}

// A request that overtakes a barrier, or is sent twice, is a bug that stops.
func TestQueueRefuses(t *testing.T) {
	panics := func(what string, do func(q *queue)) {
		t.Helper()
		defer func() {
			if recover() == nil {
				t.Errorf("%s: no panic", what)
			}
		}()
		var q queue
		q.push(pending{kind: pendingRead, op: proto.OpGetChildren})
		q.push(pending{kind: pendingHeld, op: proto.OpSetData})
		do(&q)
	}
	panics("sent ahead of a barrier", func(q *queue) { q.push(pending{kind: pendingSent}) })
	panics("a read is sent", func(q *queue) { q.send(0) })
	panics("sent twice", func(q *queue) {
		q.pop()
		q.send(0)
		q.send(0)
	})
}
