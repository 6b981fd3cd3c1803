package proto

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/meerkat-zk/meerkat/jute"
)

// The block that is written is what the fields say that read it, one by one.
func TestStatBlock(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	long := func() int64 { return int64(rng.Uint64()) }
	word := func() int32 { return int32(rng.Uint32()) }
	for range 1000 {
		want := Stat{Zxid(long()), Zxid(long()), long(), long(), word(), word(), word(), long(),
			word(), word(), Zxid(long())}
		w := jute.Writer([]byte("before"))
		want.Fields(&w)
		if w.Len() != len("before")+StatBytes {
			t.Fatalf("%d bytes", w.Len())
		}
		r := jute.Reader(w.Bytes()[len("before"):])
		var got Stat
		got.Fields(&r)
		if r.Err() != nil || got != want {
			t.Fatalf("%+v became %+v, %v", want, got, r.Err())
		}
	}
}

func BenchmarkStat(b *testing.B) {
	s, buf := Stat{Czxid: 5, Mzxid: 6, Ctime: 7}, make([]byte, 0, 1<<10)
	b.ReportAllocs()
	for b.Loop() {
		w := jute.Writer(buf)
		s.Fields(&w)
		if w.Len() != StatBytes {
			b.Fatal(w.Len())
		}
	}
}
