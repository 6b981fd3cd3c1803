package server

import (
	"fmt"
	"math/rand"
	"testing"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
)

// The same requests give the same answers, byte for byte, whether one loop serves or eight,
// and whether they come one by one or in bursts. Only times differ, and they are masked.
func TestSameAnswersForAnyNumberOfLoops(t *testing.T) {
	seed := rand.Int63()
	t.Logf("seed %d", seed)
	want := transcript(t, seed, 1, 1)
	for _, loops := range []int{1, 8} {
		for _, burst := range []int{1, 20} {
			got := transcript(t, seed, loops, burst)
			for i := range want {
				if got[i] != want[i] {
					t.Fatalf("%d loops, bursts of %d, answer %d:\n%s\nwant\n%s",
						loops, burst, i, got[i], want[i])
				}
			}
		}
	}
}

// transcript plays a random list of requests on three sessions in turns, and returns the
// answers. A burst is of one session.
func transcript(t *testing.T, seed int64, loops, burst int) []string {
	s := startServer(t, func(o *Options) { o.Loops = loops })
	clients := []*wire{connectTo(t, s), connectTo(t, s), connectTo(t, s)}
	rng := rand.New(rand.NewSource(seed))
	var out []string
	for range 60 {
		w := clients[rng.Intn(len(clients))]
		for sent := 0; sent < 20; sent += burst {
			ops := make([]proto.Op, burst)
			for i := range ops {
				ops[i] = randomRequest(w, rng)
			}
			w.flush()
			for _, op := range ops {
				p := w.recv()
				out = append(out, fmt.Sprintf("%v zxid %v %v %s", op, p.Zxid, p.Err, masked(t, op, p)))
			}
		}
	}
	return out
}

func randomRequest(w *wire, rng *rand.Rand) proto.Op {
	path := fmt.Sprintf("/%c", 'a'+rng.Intn(4))
	if rng.Intn(2) == 0 {
		path += fmt.Sprintf("/%c", 'a'+rng.Intn(4))
	}
	value := fmt.Sprint(rng.Intn(1000))
	version := int32(rng.Intn(4) - 1)
	switch op := []proto.Op{proto.OpCreate, proto.OpCreate2, proto.OpDelete, proto.OpSetData,
		proto.OpGetData, proto.OpGetChildren2, proto.OpMulti, proto.OpSync, proto.OpExists,
		proto.OpPing}[rng.Intn(10)]; op {
	case proto.OpCreate, proto.OpCreate2:
		w.send(op, create(path, value, int32(rng.Intn(2)*2)))
		return op
	case proto.OpDelete:
		w.send(op, del(path, version))
		return op
	case proto.OpSetData:
		w.send(op, setData(path, value, version))
		return op
	case proto.OpMulti:
		w.send(op, multi(step{proto.OpSetData, setData(path, value, -1)},
			step{proto.OpCreate, create(path+"/m", value, 2)}))
		return op
	case proto.OpSync:
		w.send(op, only(path))
		return op
	case proto.OpPing:
		w.send(op)
		return op
	default:
		w.send(op, get(path, false))
		return op
	}
}

// masked shows a reply's body without what a clock put there.
func masked(t *testing.T, op proto.Op, p reply) string {
	if p.Err != proto.OK {
		return ""
	}
	var show any
	r := jute.Reader(p.body)
	switch op {
	case proto.OpCreate2:
		v := proto.PathStat{}
		v.Fields(&r)
		v.Stat.Ctime, v.Stat.Mtime, show = 0, 0, &v
	case proto.OpGetData:
		v := proto.DataStat{}
		v.Fields(&r)
		v.Stat.Ctime, v.Stat.Mtime, show = 0, 0, &v
	case proto.OpGetChildren2:
		v := proto.ChildrenStat{}
		v.Fields(&r)
		v.Stat.Ctime, v.Stat.Mtime, show = 0, 0, &v
	case proto.OpSetData, proto.OpExists:
		v := proto.Stat{}
		v.Fields(&r)
		v.Ctime, v.Mtime, show = 0, 0, &v
	case proto.OpMulti:
		return fmt.Sprintf("%d bytes", len(p.body))
	default:
		return fmt.Sprintf("%x", p.body)
	}
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	return fmt.Sprintf("%+v", show)
}
