package server

import (
	"errors"
	"fmt"
	"math/rand"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/wal"
)

func TestCreateAndRead(t *testing.T) {
	s := startServer(t, nil)
	w := connectTo(t, s)
	w.must(proto.OpCreate, create("/a", "hello", 0))
	d := dataOf(t, w.must(proto.OpGetData, get("/a", false)))
	if string(d.Data) != "hello" || d.Stat.Version != 0 || d.Stat.DataLength != 5 {
		t.Fatalf("%+v", d)
	}
	if p := w.call(proto.OpGetData, get("/b", false)); p.Err != proto.ErrNoNode {
		t.Fatalf("%+v", p)
	}
}

// A burst of set, get, set reads the first value, whatever else goes on; so does a read behind
// a sync.
func TestReadBetweenPipelinedWrites(t *testing.T) {
	s := startServer(t, nil)
	const clients, rounds = 8, 200
	sideBySide(t, s, clients, func(_ int, path string, w *wire) {
		for round := range rounds {
			one, two := fmt.Sprintf("1-%d", round), fmt.Sprintf("2-%d", round)
			w.send(proto.OpSetData, setData(path, one, -1))
			if round%2 == 1 {
				w.send(proto.OpSync, only(path))
			}
			w.send(proto.OpGetData, get(path, false))
			w.send(proto.OpSetData, setData(path, two, -1))
			w.flush()
			w.recv()
			if round%2 == 1 {
				w.recv()
			}
			if got := string(dataOf(t, w.recv()).Data); got != one {
				t.Errorf("round %d read %q, want %q", round, got, one)
			}
			w.recv()
		}
	})
}

// What one client was told is done, every client of the server sees, whatever its loop.
func TestAcknowledgedWriteIsSeenByAll(t *testing.T) {
	s := startServer(t, nil)
	const readers = 8
	writer := connectTo(t, s)
	writer.must(proto.OpCreate, create("/x", "", 0))
	others := make([]*wire, readers)
	for i := range others {
		others[i] = connectTo(t, s)
	}
	for round := range 300 {
		want := fmt.Sprint(round)
		writer.must(proto.OpSetData, setData("/x", want, -1))
		for i, o := range others {
			if got := string(dataOf(t, o.must(proto.OpGetData, get("/x", false))).Data); got != want {
				t.Fatalf("round %d: reader %d saw %q", round, i, got)
			}
		}
	}
}

// Header zxids of one connection never decrease, and the events of a zxid stand before its
// reply, over many loops with random traffic and watches.
func TestZxidsAndEventsKeepOrder(t *testing.T) {
	seed := rand.Int63()
	t.Logf("seed %d", seed)
	s := startServer(t, nil)
	setup := connectTo(t, s)
	for i := range 10 {
		setup.must(proto.OpCreate, create(fmt.Sprintf("/k%d", i), "", 0))
	}
	var wg sync.WaitGroup
	for i := range 8 {
		w := connectTo(t, s)
		wg.Add(1)
		go func() {
			defer wg.Done()
			randomTraffic(t, w, rand.New(rand.NewSource(seed+int64(i))))
		}()
	}
	wg.Wait()
}

// randomTraffic sends bursts of reads with watches and writes, and checks each reply.
func randomTraffic(t *testing.T, w *wire, rng *rand.Rand) {
	last := proto.Zxid(0)
	for range 200 {
		type sent struct {
			xid  int32
			op   proto.Op
			path string
		}
		var burst []sent
		for range 1 + rng.Intn(8) {
			path := fmt.Sprintf("/k%d", rng.Intn(10))
			q := sent{op: proto.OpGetData, path: path}
			if rng.Intn(2) == 0 {
				q.op = proto.OpSetData
				q.xid = w.send(q.op, setData(path, "v", -1))
			} else {
				q.xid = w.send(q.op, get(path, true))
			}
			burst = append(burst, q)
		}
		w.flush()
		seen := map[string]proto.Zxid{} // path → mzxid that a read with a watch has shown
		for len(burst) > 0 {
			p := w.recv()
			if p.Zxid < last {
				t.Errorf("zxid %v after %v", p.Zxid, last)
				return
			}
			last = p.Zxid
			if p.Xid == proto.XidEvent {
				e := eventOf(t, p)
				if at, ok := seen[e.Path]; ok && p.Zxid <= at {
					t.Errorf("event %v of %s was shown already by a read (%v)", p.Zxid, e.Path, at)
				}
				delete(seen, e.Path)
				continue
			}
			q := burst[0]
			burst = burst[1:]
			if p.Xid != q.xid || p.Err != proto.OK {
				t.Errorf("reply %+v to %+v", p.ReplyHeader, q)
				return
			}
			if q.op == proto.OpGetData {
				m := dataOf(t, p).Stat.Mzxid
				if at, ok := seen[q.path]; ok && m > at {
					t.Errorf("a read shows %v of %s before its event", m, q.path)
				}
				seen[q.path] = m
			} else if _, watched := seen[q.path]; watched {
				t.Errorf("the reply of zxid %v on %s came before its event", p.Zxid, q.path)
			}
		}
	}
}

// Bursts that alternate writes and reads, deep enough to exceed every limit on writes that are
// sent ahead: each read sees the write before it and not the one behind it, also behind a read
// that goes aside, and while other connections do the same.
func TestDeepAlternation(t *testing.T) {
	s := startServer(t, nil)
	setup := connectTo(t, s)
	setup.must(proto.OpCreate, create("/wide", "", 0))
	for i := range readInlineMax + 10 {
		setup.send(proto.OpCreate, create(fmt.Sprintf("/wide/%d", i), "", 0))
	}
	setup.flush()
	for range readInlineMax + 10 {
		setup.recv()
	}
	const clients, rounds, depth = 6, 12, 200
	seed := rand.Int63()
	t.Logf("seed %d", seed)
	sideBySide(t, s, clients, func(i int, path string, w *wire) {
		rng := rand.New(rand.NewSource(seed + int64(i)))
		for range rounds {
			alternate(t, w, path, rng, depth)
		}
	})
}

// sideBySide runs clients at once, each with a connection and a znode of its own.
func sideBySide(t *testing.T, s *Server, clients int, run func(i int, path string, w *wire)) {
	t.Helper()
	setup := connectTo(t, s)
	var wg sync.WaitGroup
	for i := range clients {
		path := fmt.Sprintf("/n%d", i)
		setup.must(proto.OpCreate, create(path, "", 0))
		w := connectTo(t, s)
		wg.Go(func() { run(i, path, w) })
	}
	wg.Wait()
}

func alternate(t *testing.T, w *wire, path string, rng *rand.Rand, depth int) {
	var want []string // per request: what a getData must show, "" for any other
	value := string(dataOf(t, w.must(proto.OpGetData, get(path, false))).Data)
	for n := range depth {
		switch rng.Intn(12) {
		case 0:
			w.send(proto.OpGetChildren, get("/wide", false))
			want = append(want, "")
		case 1:
			w.send(proto.OpSync, only(path))
			want = append(want, "")
		case 2, 3, 4, 5:
			value = fmt.Sprint(n)
			w.send(proto.OpSetData, setData(path, value, -1))
			want = append(want, "")
		default:
			w.send(proto.OpGetData, get(path, false))
			want = append(want, value+"!")
		}
	}
	w.flush()
	last := proto.Zxid(0)
	for i, v := range want {
		p := w.recv()
		if p.Err != proto.OK || p.Zxid < last {
			t.Errorf("answer %d: %v zxid %v after %v", i, p.Err, p.Zxid, last)
			return
		}
		last = p.Zxid
		if v == "" {
			continue
		}
		if got := string(dataOf(t, p).Data); got+"!" != v {
			t.Errorf("answer %d: read %q, want %q", i, got, v)
			return
		}
	}
}

// Clients that are there before the server is: the first of their requests may come while the
// start is not over.
func TestClientsAtTheStart(t *testing.T) {
	for range 20 {
		free, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := free.Addr()
		if err := free.Close(); err != nil {
			t.Fatal(err)
		}
		stop := make(chan struct{}) // closed when the clients may go
		var clients sync.WaitGroup
		for range 8 {
			clients.Go(func() { knock(addr.String(), stop) })
		}
		s, err := Start(testOptions(t, func(o *Options) {
			o.FS, o.Config.ClientPort = wal.NewMemFS(), portOf(addr)
		}))
		if err == nil {
			connectTo(t, s).must(proto.OpCreate, create("/a", "", 0))
			err = s.Stop()
		}
		close(stop)
		clients.Wait()
		if err != nil && !errors.Is(err, ErrListen) { // the port may have gone to another program
			t.Fatal(err)
		}
	}
}

// knock asks for a session again and again.
func knock(addr string, stop <-chan struct{}) {
	w := &wire{}
	q := proto.ConnectRequest{TimeOut: 10_000, SessionID: 12345, HasReadOnly: true,
		Passwd: make([]byte, proto.PasswordBytes)}
	w.frame(q.Fields)
	for {
		select {
		case <-stop:
			return
		default:
		}
		c, err := net.Dial("tcp", addr)
		if err != nil {
			continue
		}
		_, _ = c.Write(w.out)
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		_, _ = c.Read(make([]byte, 1)) // an answer or an end, both are fine
		_ = c.Close()
	}
}

// In a large tree the reads of a burst are looked up together: each still sees exactly the
// writes before it, absent znodes too.
func TestBurstsInLargeTree(t *testing.T) {
	const znodes = 60_000
	dir := bulkDir(t, znodes, func(i int) string { return fmt.Sprintf("/n%06d", i) })
	s := startServer(t, func(o *Options) { o.Config.DataDir, o.Config.DataLogDir = dir, dir })
	w := connectTo(t, s)
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewSource(seed))
	data := map[string]string{} // of znodes that were touched; "" is absent
	for range 150 {
		var expect []func(p reply)
		writes := rng.Intn(3) // in a burst of 24: none, few, many
		for range 24 {
			path := fmt.Sprintf("/n%06d", (rng.Intn(40)*7919+rng.Intn(2)*znodes)%(znodes+20_000))
			was, touched := data[path]
			if n := 0; !touched {
				if _, err := fmt.Sscanf(path, "/n%d", &n); err == nil && n < znodes {
					was = "some data"
				}
			}
			if rng.Intn(4) < writes {
				value := fmt.Sprint(rng.Int63())
				switch {
				case was == "":
					w.send(proto.OpCreate, create(path, value, 0))
				case rng.Intn(3) == 0:
					w.send(proto.OpDelete, del(path, -1))
					value = ""
				default:
					w.send(proto.OpSetData, setData(path, value, -1))
				}
				data[path] = value
				expect = append(expect, func(p reply) {
					if p.Err != proto.OK {
						t.Fatalf("a write of %s: %v", path, p.Err)
					}
				})
				continue
			}
			w.send(proto.OpGetData, get(path, false))
			expect = append(expect, func(p reply) {
				if was == "" {
					if p.Err != proto.ErrNoNode {
						t.Fatalf("%s is there: %v", path, p.Err)
					}
				} else if got := string(dataOf(t, p).Data); got != was {
					t.Fatalf("%s has %q, want %q", path, got, was)
				}
			})
		}
		w.flush()
		for _, check := range expect {
			check(w.recv())
		}
	}
}
