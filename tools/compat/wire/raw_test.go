package wire

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/meerkat-zk/meerkat/proto"
)

var (
	rawSeed  = flag.Uint64("raw.seed", 0, "the seed of TestRaw; 0 for another one each time")
	rawTail  = flag.Int("raw.tail", 15, "how many of the last requests a failure of TestRaw shows")
	rawCount = flag.Int("raw.requests", 0,
		"how many requests TestRaw sends to each server; 0 for MEERKAT_RAW, or 20000")
)

// TestRaw sends the same bytes to a Java server and to a Meerkat, one request at a time, and
// compares all that comes back. Then both are killed, and what they kept is compared.
func TestRaw(t *testing.T) {
	if os.Getenv("TARGET") != "both" {
		t.Skip("TARGET=both compares two live servers")
	}
	seed := *rawSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { playRaw(t, seed, rawRequests(t)) })
}

func playRaw(t *testing.T, seed uint64, count int) {
	t.Logf("TARGET=both go test ./tools/compat/wire -run TestRaw -raw.seed=%d -raw.requests=%d",
		seed, count)
	d := newDuel(t)
	for _, g := range gaps {
		if g.example != nil {
			d.play(g.example())
		}
	}
	g := newProber(seed)
	for range count {
		d.play(g.next())
	}
	for _, g := range gaps {
		t.Logf("%6d times: %s", g.used.Load(), g.what)
		if g.example != nil && g.used.Load() == 0 {
			t.Errorf("both servers do the same by now: %s", g.what)
		}
	}
	d.checkCoverage()
	d.compareKept()
}

// checkCoverage fails when a request that clients send had no good answer, or no bad one: then
// the probes are not what they should be.
func (d *duel) checkCoverage() {
	for _, op := range slices.Sorted(maps.Keys(d.answers)) {
		d.t.Logf("%v: %v", op, d.answers[op])
		good, all := d.answers[op][proto.OK], 0
		for _, n := range d.answers[op] {
			all += n
		}
		never := op == proto.OpReconfig || all == d.answers[op][proto.ErrUnimplemented]
		if all > 100 && (good == 0) != never {
			d.t.Errorf("%v was answered well %d times of %d", op, good, all)
		}
	}
}

// rawRequests is how many requests are asked for.
func rawRequests(t *testing.T) int {
	text, has := os.LookupEnv("MEERKAT_RAW")
	if *rawCount > 0 || !has {
		return cmp.Or(*rawCount, 20_000)
	}
	count, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("MEERKAT_RAW: %v", err)
	}
	return count
}

// A duel is a Java server and a Meerkat that get the same bytes.
type duel struct {
	t             *testing.T
	java, meerkat *side
	history       []string
	answers       map[proto.Op]map[proto.Code]int // Meerkat's, for checkCoverage
}

func newDuel(t *testing.T) *duel {
	d := &duel{t: t, answers: map[proto.Op]map[proto.Code]int{}}
	d.java, d.meerkat = newSide(t, true), newSide(t, false, "snapCount=3000")
	for slot := range slots {
		d.attach(slot)
	}
	return d
}

// both runs the same step at both servers at once.
func (d *duel) both(step func(*side) error) {
	d.t.Helper()
	var failed [2]error
	var group sync.WaitGroup
	for i, s := range []*side{d.java, d.meerkat} {
		group.Go(func() { failed[i] = step(s) })
	}
	group.Wait()
	if failed[0] != nil || failed[1] != nil {
		d.fail("Java: %v\nMeerkat: %v\n%s", failed[0], failed[1], d.java.server.Output())
	}
}

// attach opens a slot's connections. A session that one server knows the other knows too.
func (d *duel) attach(slot int) {
	d.t.Helper()
	for again := true; again; {
		had := d.java.links[slot] != nil
		var mu sync.Mutex
		resumed := map[*side]bool{}
		d.both(func(s *side) error {
			ok, err := s.attach(slot)
			mu.Lock()
			defer mu.Unlock()
			resumed[s] = ok
			return err
		})
		if resumed[d.java] != resumed[d.meerkat] {
			d.fail("the session is kept: Java %t, Meerkat %t", resumed[d.java], resumed[d.meerkat])
		}
		again = had && !resumed[d.java]
	}
}

// play sends a probe and compares the answers.
func (d *duel) play(p *probe) {
	d.t.Helper()
	d.history = append(d.history, fmt.Sprintf("%d xid=%d %v %x", p.slot, p.xid, p.op, p.payload()))
	x := &exchange{probe: p}
	d.both(func(s *side) error {
		a := s.links[p.slot].ask(p.op, p.payload())
		a.frames = s.mask(p.op, a.frames, s.links[p.slot].mixed || p.op == proto.OpCloseSession)
		s.links[p.slot].mixed = false
		if s == d.java {
			x.java = a
		} else {
			x.meerkat = a
		}
		if a.silent {
			return errors.New("no answer")
		}
		return nil
	})
	same := x.java.closed == x.meerkat.closed && x.java.zxid == x.meerkat.zxid &&
		equalFrames(x.java.frames, x.meerkat.frames)
	if !same && allowed(x) == nil {
		d.fail("Java\n%s\nMeerkat\n%s", x.java.show(), x.meerkat.show())
	}
	d.count(p.op, x.meerkat.frames)
	if p.op == proto.OpCloseSession {
		for slot := range slots {
			d.java.links[slot].mixed, d.meerkat.links[slot].mixed = true, true
		}
	}
	if x.java.closed || x.meerkat.closed {
		d.attach(p.slot)
	}
	if !same {
		d.settle(p.slot)
	}
}

// count notes the code of a reply; of a multi, that of its first part.
func (d *duel) count(op proto.Op, frames [][]byte) {
	if len(frames) == 0 || len(frames[len(frames)-1]) < replyHeaderBytes {
		return
	}
	last := frames[len(frames)-1]
	if isEvent(last) {
		return // the connection was closed without a reply
	}
	code := proto.Code(binary.BigEndian.Uint32(last[12:]))
	if body := last[replyHeaderBytes:]; op == proto.OpMulti && len(body) >= 9 && code == proto.OK {
		if part := proto.Op(binary.BigEndian.Uint32(body)); part == proto.OpError && body[4] == 0 {
			code = proto.Code(binary.BigEndian.Uint32(body[5:]))
		}
	}
	if d.answers[op] == nil {
		d.answers[op] = map[proto.Code]int{}
	}
	d.answers[op][code]++
}

// settle brings both servers to the same zxid: after some gaps one of them has used up more.
func (d *duel) settle(slot int) {
	d.t.Helper()
	at := func(s *side) proto.Zxid { return s.links[slot].spend().zxid }
	java, meerkat := at(d.java), at(d.meerkat)
	for range 10 {
		switch {
		case java == meerkat:
			return
		case java < meerkat:
			java = at(d.java)
		default:
			meerkat = at(d.meerkat)
		}
	}
	d.fail("the zxids do not meet: Java %v, Meerkat %v", java, meerkat)
}

func equalFrames(a, b [][]byte) bool {
	for i := range a {
		if i >= len(b) || !bytes.Equal(a[i], b[i]) {
			return false
		}
	}
	return len(a) == len(b)
}

func (a *answer) show() string {
	var b strings.Builder
	for _, f := range a.frames {
		fmt.Fprintf(&b, "  %s %q\n", hex.EncodeToString(f), f)
	}
	fmt.Fprintf(&b, "  closed=%t zxid=%v", a.closed, a.zxid)
	return b.String()
}

// fail ends the test with the last requests.
func (d *duel) fail(format string, args ...any) {
	d.t.Helper()
	last := d.history[max(0, len(d.history)-*rawTail):]
	d.t.Fatalf("after %d requests: %s\nthe last ones:\n%s", len(d.history),
		fmt.Sprintf(format, args...), strings.Join(last, "\n"))
}
