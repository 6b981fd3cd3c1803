package bench

import (
	"testing"

	"github.com/meerkat-zk/meerkat/proto"
)

// A pipe is a connection without a socket: a test takes its requests and hands it replies.
type pipe struct {
	c     *conn
	p     *population
	reply []byte // to one read of znode 0
}

func newPipe(reads float64) *pipe {
	p := newPopulation(1, 100, 1)
	d := &driver{in: make([]byte, readBytes), inFlight: 16, stats: newStats(), measuring: true,
		verify: share(0.01), load: &mixed{p: p, reads: share(reads)}}
	c := &conn{d: d, fd: -1, ring: make([]sent, 16), seen: make([]seen, 1)}
	data := proto.DataStat{Data: make([]byte, 100), Stat: proto.Stat{Mzxid: 1}}
	fillValue(data.Data, p.seed, 0, 0)
	h := proto.ReplyHeader{Zxid: 1}
	return &pipe{c: c, p: p, reply: encode(h.Fields, data.Fields)}
}

// turn answers what is in flight and fills it up again: all that a wake-up does, apart from
// system calls.
func (p *pipe) turn(replies []byte) error {
	c := p.c
	replies = replies[:0]
	for i := range c.n {
		s := &c.ring[(c.head+i)&(len(c.ring)-1)]
		at := len(replies)
		replies = append(replies, p.reply...)
		for b := range 4 { // xid
			replies[at+4+b] = byte(s.xid >> (24 - 8*b))
		}
	}
	c.d.now += 1000
	c.d.at = c.d.now
	if _, err := c.frames(replies); err != nil {
		return err
	}
	c.d.settle()
	c.out = c.out[:0]
	for c.n < c.d.inFlight && c.d.load.next(c) {
	}
	return nil
}

// In steady state the generator allocates nothing.
func TestNoAllocation(t *testing.T) {
	p, replies := newPipe(1), make([]byte, 0, readBytes)
	var err error
	allocs := testing.AllocsPerRun(1000, func() {
		if e := p.turn(replies); e != nil {
			err = e
		}
	})
	if err != nil || allocs > 0 {
		t.Errorf("%v allocations for 16 reads, %v", allocs, err)
	}
	if p.c.d.stats.verified == 0 {
		t.Error("no read was verified")
	}
}

// BenchmarkRead is what a read costs the generator, apart from system calls.
func BenchmarkRead(b *testing.B) {
	p, replies := newPipe(1), make([]byte, 0, readBytes)
	b.ReportAllocs()
	for n := 0; n < b.N; n += 16 {
		if err := p.turn(replies); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWrite is what making a setData with a new value costs.
func BenchmarkWrite(b *testing.B) {
	p := newPipe(0)
	c := p.c
	b.ReportAllocs()
	for b.Loop() {
		p.p.write(c, 0)
		c.n, c.out = 0, c.out[:0]
	}
}

// Frames may be cut anywhere: what is behind the last whole one is handed back.
func TestCutFrames(t *testing.T) {
	p := newPipe(1)
	if err := p.turn(nil); err != nil {
		t.Fatal(err)
	}
	whole := append([]byte(nil), p.reply...)
	copy(whole[4:], []byte{0, 0, 0, 1}) // xid
	for cut := range whole {
		rest, err := p.c.frames(whole[:cut])
		if err != nil || len(rest) != cut {
			t.Fatalf("cut at %d: %d bytes are left, %v", cut, len(rest), err)
		}
	}
	rest, err := p.c.frames(append(whole, 0, 0))
	if err != nil || len(rest) != 2 || p.c.n != 15 {
		t.Fatalf("%d bytes are left and %d requests, %v", len(rest), p.c.n, err)
	}
}
