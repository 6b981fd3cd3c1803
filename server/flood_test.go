package server

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
)

// Clients that ask for too much, too fast. Each is served or stopped within the limits of
// limits.go; a bystander on the same loop is served all the while.

// heapMB is what lives on the heap now, in MiB.
func heapMB() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / (1 << 20)
}

// A heapWatch keeps the most that the heap held, dead or alive, sampled all the time.
type heapWatch struct {
	stop, done chan struct{}
	most       uint64
}

func watchHeap() *heapWatch {
	h := &heapWatch{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(h.done)
		beat := time.NewTicker(20 * time.Millisecond)
		defer beat.Stop()
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			h.most = max(h.most, m.HeapInuse)
			select {
			case <-h.stop:
				return
			case <-beat.C:
			}
		}
	}()
	return h
}

// endMB ends the watch, and returns the most that it saw, in MiB.
func (h *heapWatch) endMB() float64 {
	close(h.stop)
	<-h.done
	return float64(h.most) / (1 << 20)
}

// A client that sends a million writes and a million reads and does not wait for answers gets
// all of them, in order and right, and the server does not gather them in memory.
func TestMillionsWithoutWaiting(t *testing.T) {
	s, _ := oneLoop(t, nil)
	by := newBystander(t, s)
	w := connectTo(t, s)
	w.must(proto.OpCreate, create("/x", "", 0))
	requests := scaled(60_000, 2_000_000)
	seed := rand.Int63()
	before := heapMB()
	heap := watchHeap()
	sent := make(chan error, 1) // the sender says once how it ended
	go func() { sent <- sendRuns(w.conn, rand.New(rand.NewSource(seed)), requests) }()

	began := time.Now()
	version, zxid := int32(0), proto.Zxid(0)
	rng := rand.New(rand.NewSource(seed))
	xid := int32(0)
	for run := 0; int(xid) < requests; run++ {
		for range runLength(rng, requests-int(xid)) {
			xid++
			p := w.recv()
			if p.Xid != xid || p.Err != proto.OK || p.Zxid < zxid {
				t.Fatalf("reply %+v, want xid %d and at least %v", p.ReplyHeader, xid, zxid)
			}
			zxid = p.Zxid
			if run%2 == 0 {
				version++
				continue
			}
			if d := dataOf(t, p); d.Stat.Version != version ||
				version > 0 && !strings.HasPrefix(string(d.Data), fmt.Sprintf("%d ", version)) {
				t.Fatalf("read %q, version %d, want %d", d.Data, d.Stat.Version, version)
			}
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	rise := heap.endMB() - before
	t.Logf("seed %d: %d requests, %d of them writes, in %v (%.0f/s); the heap rose by %.1f MiB",
		seed, requests, version, took, float64(requests)/took.Seconds(), rise)
	if rise > 64 {
		t.Errorf("the heap rose by %.1f MiB", rise)
	}
	by.well(50 * time.Millisecond)
}

// runLength is how many requests of one kind come in a row; sender and reader roll the same.
func runLength(rng *rand.Rand, left int) int { return min(1+rng.Intn(2000), left) }

// sendRuns writes runs of setData and runs of getData in turn.
func sendRuns(c net.Conn, rng *rand.Rand, requests int) error {
	w := &wire{conn: c}
	version := 0
	for run := 0; int(w.xid) < requests; run++ {
		for range runLength(rng, requests-int(w.xid)) {
			if run%2 == 0 {
				version++
				w.send(proto.OpSetData, setData("/x", fmt.Sprintf("%d %0100d", version, 0), -1))
			} else {
				w.send(proto.OpGetData, get("/x", false))
			}
			if len(w.out) < 1<<16 {
				continue
			}
			if _, err := c.Write(w.out); err != nil {
				return err
			}
			w.out = w.out[:0]
		}
	}
	_, err := c.Write(w.out)
	return err
}

// A client that never reads fills its kernel's buffers, then ours up to the mark, and is no
// longer decoded; after its session timeout without progress it is closed.
func TestClientThatNeverReads(t *testing.T) {
	s, j := oneLoop(t, quick)
	by := newBystander(t, s)
	setup := attach(t, s, 90*testTick, proto.ConnectResponse{})
	setup.must(proto.OpCreate, create("/big", strings.Repeat("x", 500_000), 0))
	deaf := make([]*wire, 8)
	before := heapMB()
	heap := watchHeap()
	var wg sync.WaitGroup
	began := time.Now()
	for i := range deaf {
		w := attach(t, s, 5*testTick, proto.ConnectResponse{})
		deaf[i] = w
		wg.Add(1)
		go func() { // writes until the server has closed the connection
			defer wg.Done()
			for n := 0; ; n++ {
				w.send(proto.OpGetData, get("/big", false))
				if i%2 == 0 {
					w.send(proto.OpSetData, setData("/small", strings.Repeat("y", 1000), -1))
				}
				if _, err := w.conn.Write(w.out); err != nil {
					return
				}
				w.out = w.out[:0]
			}
		}()
	}
	for _, w := range deaf {
		// Both clocks run: its output stands still, and what it sends is not decoded.
		if line := j.await(t, w.addr(), "connection closed"); !strings.Contains(line,
			"it has not read a reply for") && !strings.Contains(line, "its session expired") {
			t.Error(line)
		}
	}
	t.Logf("closed after %v, session timeout %v", time.Since(began), 5*testTick)
	wg.Wait()
	rise := heap.endMB() - before
	t.Logf("%d deaf clients: the heap rose by %.1f MiB", len(deaf), rise)
	if rise > 64 {
		t.Errorf("the heap rose by %.1f MiB", rise)
	}
	by.well(50 * time.Millisecond)
}

// A client that watches everything and never reads is closed when it is too far behind, long
// before its session timeout; its session lives, and another connection may take it.
func TestWatcherThatNeverReads(t *testing.T) {
	s, j := oneLoop(t, quick)
	by := newBystander(t, s)
	w := attach(t, s, 100*testTick, proto.ConnectResponse{})
	all := proto.PathType{Path: "/", Type: proto.AddWatchPersistentRecursive}
	w.must(proto.OpAddWatch, all.Fields)
	writer := attach(t, s, 90*testTick, proto.ConnectResponse{})
	path := "/" + strings.Repeat("n", 1000)
	writer.must(proto.OpCreate, create(path, "", 0))
	before := heapMB()
	heap := watchHeap()
	for writes := 0; !j.has(w.addr(), "watch events"); writes += 500 {
		for range 500 {
			writer.send(proto.OpSetData, setData(path, "", -1))
		}
		writer.flush()
		for range 500 {
			writer.recv()
		}
		if writes > 2_000_000 {
			t.Fatal("the deaf watcher is still there")
		}
	}
	rise := heap.endMB() - before
	t.Logf("the heap rose by %.1f MiB", rise)
	if rise > 64 {
		t.Error("too much")
	}
	attach(t, s, 100*testTick, w.session)
	by.well(50 * time.Millisecond)
}

// 100,000 paths of setWatches2 in frames of 128 KiB, as a Java client sends them after a
// reconnect, at a million znodes: another client's reads stay fast.
func TestHugeSetWatches(t *testing.T) {
	znodes, paths := scaled(50_000, 1_000_000), scaled(20_000, 100_000)
	name := func(i int) string {
		if i < znodes/1000 {
			return fmt.Sprintf("/app-%04d", i)
		}
		i -= znodes / 1000
		return fmt.Sprintf("/app-%04d/some-service-instance-%07d", i%(znodes/1000), i)
	}
	dir := bulkDir(t, znodes, name)
	open := neighbours(t, dir)
	alone(t, open)
	w, by := open(), standBy(t, open())
	rng := rand.New(rand.NewSource(1))
	frames, gone := 0, 0
	q := noWatches(1 << 40)
	send := func() {
		q.Two = true
		w.sendXid(proto.XidSetWatches, proto.OpSetWatches2, q.Fields)
		q = noWatches(1 << 40)
		frames++
	}
	size := 0
	for i := range paths {
		path := name(rng.Intn(znodes))
		switch i % 5 {
		case 0:
			q.Data = append(q.Data, path)
		case 1:
			q.Exist = append(q.Exist, path+"x")
		case 2:
			q.Child = append(q.Child, path)
		case 3:
			q.Persistent = append(q.Persistent, path)
		case 4:
			q.Data = append(q.Data, path+"gone")
			gone++
		}
		if size += 4 + len(path); size > 128<<10 {
			send()
			size = 0
		}
	}
	send()
	began := time.Now()
	w.flush()
	events := 0
	for done := 0; done < frames; {
		p := w.recv()
		switch p.Xid {
		case proto.XidEvent:
			events++
			if e := eventOf(t, p); p.Zxid != -1 || e.Type != proto.EventNodeDeleted {
				t.Fatalf("%+v %+v", p.ReplyHeader, e)
			}
		case proto.XidSetWatches:
			done++
		default:
			t.Fatalf("%+v", p)
		}
	}
	t.Logf("%d paths in %d frames at %d znodes took %v", paths, frames, znodes, time.Since(began))
	if events != gone {
		t.Errorf("%d events for znodes that are gone, want %d", events, gone)
	}
	by.well(5 * time.Millisecond)
}

// Many small setWatches in one burst are no way around the limit of work per turn.
func TestManySmallSetWatches(t *testing.T) {
	open := neighbours(t, t.TempDir())
	w, by := open(), standBy(t, open())
	frames := scaled(100, 400)
	for f := range frames {
		q := noWatches(1 << 40)
		for i := range 999 {
			q.Exist = append(q.Exist, fmt.Sprintf("/%d-%d", f, i))
		}
		w.sendXid(proto.XidSetWatches, proto.OpSetWatches, q.Fields)
	}
	began := time.Now()
	sent := make(chan struct{}) // closed when all is written
	go func() {
		defer close(sent)
		w.flush()
	}()
	for range frames {
		w.expect(proto.XidSetWatches)
	}
	<-sent
	t.Logf("%d setWatches of 999 paths took %v", frames, time.Since(began))
	by.well(5 * time.Millisecond)
}

// getChildren of a million names, by several clients again and again, while others read.
func TestGetChildrenOfAMillion(t *testing.T) {
	znodes := scaled(50_000, 1_000_000)
	dir := bulkDir(t, znodes+1, func(i int) string {
		if i == 0 {
			return "/flat"
		}
		return fmt.Sprintf("/flat/name-%07d", i)
	})
	open := neighbours(t, dir)
	alone(t, open)
	by := standBy(t, open())
	began := time.Now()
	const clients, rounds = 3, 3
	var wg sync.WaitGroup
	for i := range clients {
		w := open()
		wg.Add(1)
		go func() {
			defer wg.Done()
			for round := range rounds {
				// A later request of the same connection waits for its place.
				list := w.send(proto.OpGetChildren2, get("/flat", true))
				child := fmt.Sprintf("/flat/new-%d-%d", i, round)
				made := w.send(proto.OpCreate, create(child, "", proto.FlagEphemeral))
				w.flush()
				p := w.expect(list)
				r := jute.Reader(p.body)
				n := int32(0)
				if r.Int(&n); p.Err != proto.OK || int(n) < znodes || int(n) > znodes+clients*rounds {
					t.Errorf("%v: %d names, want %d or a few more", p.Err, n, znodes)
				}
				if at := len(p.body) - 68; bytes.Contains(p.body[:at], []byte(child[6:])) {
					t.Errorf("the list shows %s, which was created after it", child)
				}
				if p := w.expect(made); p.Err != proto.OK {
					t.Errorf("create: %v", p.Err)
				}
			}
		}()
	}
	wg.Wait()
	t.Logf("%d times %d names took %v", clients*rounds, znodes, time.Since(began))
	by.well(20 * time.Millisecond)
}

// Closing a session with 100,000 ephemerals, explicitly: its watchers hear of each before the
// reply, and nobody waits for it.
func TestCloseSessionWithManyEphemerals(t *testing.T) {
	nodes := scaled(20_000, 100_000)
	s, _ := oneLoop(t, inMemory)
	owner, watcher := connectTo(t, s), connectTo(t, s)
	owner.must(proto.OpCreate, create("/e", "", 0))
	const burst = 500
	for i := 0; i < nodes; i += burst {
		for n := i; n < i+burst; n++ {
			owner.send(proto.OpCreate, create(fmt.Sprintf("/e/%06d", n), "", proto.FlagEphemeral))
		}
		owner.flush()
		for range burst {
			if p := owner.recv(); p.Err != proto.OK {
				t.Fatal(p.Err)
			}
		}
	}
	all := proto.PathType{Path: "/e", Type: proto.AddWatchPersistentRecursive}
	watcher.must(proto.OpAddWatch, all.Fields)
	by := newBystander(t, s)
	began := time.Now()
	bye := owner.send(proto.OpCloseSession)
	owner.flush()
	var zxid proto.Zxid
	for i := range nodes {
		p := watcher.recv()
		e := eventOf(t, p)
		if want := fmt.Sprintf("/e/%06d", i); e.Path != want || e.Type != proto.EventNodeDeleted ||
			i > 0 && p.Zxid != zxid {
			t.Fatalf("event %d: %v %+v", i, p.Zxid, e)
		}
		zxid = p.Zxid
	}
	if p := owner.expect(bye); p.Err != proto.OK || p.Zxid != zxid {
		t.Errorf("%+v", p)
	}
	owner.closed()
	t.Logf("closing a session with %d ephemerals took %v", nodes, time.Since(began))
	p := watcher.must(proto.OpGetAllChildrenNumber, only("/e"))
	if left := binary.BigEndian.Uint32(p.body); left != 0 {
		t.Errorf("%d are left", left)
	}
	by.well(50 * time.Millisecond)
}

// Reads behind a slow read are answered as soon as it is, however many there are.
func TestReadsBehindASlowRead(t *testing.T) {
	const children, reads = 5000, 5000
	dir := bulkDir(t, children+1, func(i int) string {
		if i == 0 {
			return "/flat"
		}
		return fmt.Sprintf("/flat/%d", i)
	})
	s, _ := oneLoop(t, func(o *Options) {
		o.Config.DataDir, o.Config.DataLogDir = dir, dir
		o.Config.TickTime = time.Hour // nothing may wait for a tick
	})
	w := connectTo(t, s)
	first := w.send(proto.OpGetChildren, get("/flat", false))
	for range reads {
		w.send(proto.OpGetData, get("/flat/1", false))
	}
	w.flush()
	for i := range int32(reads + 1) {
		if p := w.expect(first + i); p.Err != proto.OK {
			t.Fatal(p.Err)
		}
	}
}

// 10,000 connections that come and go, with a session and without, some of them with a reset,
// leave nothing behind.
func TestConnectionsThatComeAndGo(t *testing.T) {
	s, _ := oneLoop(t, func(o *Options) {
		quick(o)
		inMemory(o)
	})
	by := newBystander(t, s)
	connections, atOnce := scaled(2000, 10_000), scaled(500, 4000)
	before := heapMB()
	seed := rand.Int63()
	rng := rand.New(rand.NewSource(seed))
	for done := 0; done < connections; done += atOnce {
		var open []*wire
		for range atOnce {
			c, err := net.Dial("tcp", s.Addrs()[0].String())
			if err != nil {
				t.Fatal(err)
			}
			w := &wire{t: t, conn: c}
			open = append(open, w)
			if rng.Intn(3) > 0 {
				w.session.TimeOut = 1 // it asked for one
				q := proto.ConnectRequest{TimeOut: 300, Passwd: make([]byte, 16)}
				w.frame(q.Fields)
				if rng.Intn(2) == 0 { // a request on its heels, perhaps torn
					w.send(proto.OpExists, get("/", true))
					w.out = w.out[:len(w.out)-rng.Intn(8)]
				}
				w.flush()
			}
		}
		for _, w := range open {
			if rng.Intn(2) == 0 {
				_ = w.conn.(*net.TCPConn).SetLinger(0)
			} else if w.session.TimeOut > 0 {
				_ = w.conn.SetReadDeadline(time.Now().Add(time.Second))
				_, _ = io.ReadFull(w.conn, make([]byte, 4)) // an answer, or none: both are fine
			}
			if err := w.conn.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	w := connectTo(t, s)
	sessions := make(chan int, 1) // the core sends once per question
	eventually(t, "connections, sessions and requests are gone", func() bool {
		w.must(proto.OpExists, get("/", false))
		s.inbox.put(func(b *inbox) {
			b.calls = append(b.calls, func(c *core) { sessions <- len(c.sessions.byID) })
		})
		left := <-sessions
		return left == 2 && s.live.Load() == 2 && s.inFlight.Load() == 0
	})
	t.Logf("seed %d: %d connections, %d at once; the heap rose by %.1f MiB", seed, connections,
		atOnce, heapMB()-before)
	by.well(50 * time.Millisecond)
}

// A small multiRead that asks for gigabytes is refused, aside from the loop; what fits is
// answered, and neighbours are served all the while.
func TestMultiReadOfLargeZnodes(t *testing.T) {
	s, _ := oneLoop(t, quick)
	by := newBystander(t, s)
	w := attach(t, s, 90*testTick, proto.ConnectResponse{})
	w.must(proto.OpCreate, create("/large", strings.Repeat("x", 1_000_000), 0))
	reads := func(n int) func(*jute.Coder) {
		parts := make([]step, n)
		for i := range parts {
			parts[i] = step{proto.OpGetData, get("/large", false)}
		}
		return multi(parts...)
	}
	heap := watchHeap()
	if p := w.call(proto.OpMultiRead, reads(20_000)); p.Err != proto.ErrMarshalling {
		t.Errorf("20 GB were answered with %v", p.Err)
	}
	if p := w.must(proto.OpMultiRead, reads(20)); len(p.body) < 20_000_000 {
		t.Errorf("20 MB were answered with %d bytes", len(p.body))
	}
	t.Logf("the heap's greatest size: %.0f MiB", heap.endMB())
	by.well(50 * time.Millisecond)
}
