package quorum

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/meerkat-zk/meerkat/proto"
)

// Whoever speaks first, the connection that remains was opened by the larger id, and carries
// messages both ways.
func TestLargerKeepsTheConnection(t *testing.T) {
	for _, first := range []int64{1, 2} {
		addrs := addrsFor(t, 2)
		p := map[int64]*party{1: join(t, 1, addrs), 2: join(t, 2, addrs)}
		other := 3 - first
		p[first].Send(other, vote(1))
		p[other].hears(first, 1)
		p[other].Send(first, vote(2))
		p[first].hears(other, 2)
		p[first].Send(other, vote(3))
		p[other].hears(first, 3)

		// The smaller one's port took the connection, the larger one's did not.
		p[1].logs("election peer connected")
		if local := localPort(t, p[2], 1); local == port(p[2].addr) {
			t.Errorf("%d first: the link is at the larger one's port", first)
		}
		p[1].Close()
		p[2].Close()
	}
}

func port(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}

// localPort is our end of the link to a peer.
func localPort(t *testing.T, p *party, sid int64) string {
	t.Helper()
	found := make(chan string, 1)
	p.box.put(func() {
		if l := p.peers[sid].link; l != nil {
			found <- port(l.conn.LocalAddr().String())
			return
		}
		found <- "no link"
	})
	return <-found
}

// A server that comes back is told the last thing again, whichever side connects.
func TestLastMessageAgain(t *testing.T) {
	for _, back := range []int64{1, 2} {
		addrs := addrsFor(t, 2)
		p := map[int64]*party{1: join(t, 1, addrs), 2: join(t, 2, addrs)}
		stays := 3 - back
		p[stays].Send(back, vote(7))
		p[back].hears(stays, 7)
		p[back].Close()
		p[stays].logs("election peer gone")
		again := join(t, back, addrs)
		again.Send(stays, vote(8))
		p[stays].hears(back, 8)
		again.hears(stays, 7)
	}
}

// A connection that ends soon after our hello was crossed by it; a later end means that the peer
// is gone. Either way that is told when nobody listens there.
func TestUnreachable(t *testing.T) {
	addrs := addrsFor(t, 2)
	gone := func(h heard) bool { return h.sid == 2 && h.n == nil }
	one, two := join(t, 1, addrs), join(t, 2, addrs)
	two.Send(1, vote(1)) // one has said no hello
	one.hears(2, 1)
	two.Close()
	one.awaits("word that the connection ended", gone)
	one.Connect(2)
	one.awaits("word that it was refused", gone)

	again := join(t, 2, addrs)
	again.Send(1, vote(2))
	one.hears(2, 2)
	one.box.put(func() { one.peers[2].helloAt = time.Now() }) // as if it had come too late
	one.Send(2, vote(3))
	again.hears(1, 3)
	again.Close()
	one.logs("why=EOF")
	one.Connect(3) // whom nobody knows: the port has dealt with all that was before
	one.box.put(func() { one.events <- heard{3, nil} })
	if h := <-one.events; h.sid != 3 {
		t.Errorf("the end of a crossed connection was told: %+v", h)
	}
}

// What was said while nobody was there is said when somebody comes: the last of it alone.
func TestOneUnsentMessage(t *testing.T) {
	addrs := addrsFor(t, 2)
	two := join(t, 2, addrs)
	for round := int64(1); round <= 50; round++ {
		two.Send(1, vote(round))
	}
	two.awaits("refusal", func(h heard) bool { return h.sid == 1 && h.n == nil })
	one := join(t, 1, addrs)
	one.Connect(2) // a hello
	h := <-one.events
	if h.sid != 2 || h.n == nil || h.n.Round != 50 {
		t.Errorf("the first that came is %+v", h)
	}
	one.Send(2, vote(51))
	two.hears(1, 51)
	if len(one.events) > 0 {
		t.Errorf("it was told more: %+v", <-one.events)
	}
}

// A newer message takes the place of one that waits.
func TestNewerReplacesOlder(t *testing.T) {
	l := newLink(1, nil)
	l.put([]byte("old"))
	l.put([]byte("new"))
	if got := string(<-l.out); got != "new" || len(l.out) != 0 {
		t.Errorf("%q, and %d more", got, len(l.out))
	}
}

// A second connection of an id takes the place of the first.
func TestSecondConnectionReplacesFirst(t *testing.T) {
	addrs := addrsFor(t, 2)
	one := join(t, 1, addrs)
	one.Send(2, vote(4))
	first := one.dialRaw()
	first.hello(2, addrs[2][0])
	if got := first.round(); got != 4 {
		t.Errorf("round %d", got)
	}
	second := one.dialRaw()
	second.hello(2, addrs[2][0])
	first.ends()
	if got := second.round(); got != 4 {
		t.Errorf("round %d", got)
	}
	n := vote(5)
	second.say(n.AppendFrame(nil))
	one.hears(2, 5)
}

// A smaller server says hello, and is connected to at the address that it names; a wildcard
// there means the one of our configuration.
func TestConnectsBack(t *testing.T) {
	addrs := addrsFor(t, 3)
	three := join(t, 3, addrs)
	for _, name := range []string{"", "0.0.0.0:1", "[::]:1"} {
		at := addrs[1][0]
		if name == "" {
			at = freeAddr(t)
			name = at
		}
		l := hold(t, at)
		three.dialRaw().hello(1, name)
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		back := &raw{conn, t}
		buf := make([]byte, proto.HelloBytesMax)
		size, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		if h, err := proto.ParseHello(buf[:size]); err != nil || h.Sid != 3 {
			t.Errorf("%s: its first read is %x: %v", name, buf[:size], err)
		}
		n := vote(6)
		back.say(n.AppendFrame(nil))
		three.hears(1, 6)
		conn.Close()
	}
}

// An observer that is in nobody's file is heard and answered.
func TestStrangers(t *testing.T) {
	addrs := addrsFor(t, 3)
	two := join(t, 2, map[int64][]string{2: addrs[2]})
	small, large := join(t, 1, addrs), join(t, 3, addrs)
	for _, p := range []*party{small, large} {
		p.Send(2, vote(1))
		two.hears(p.config.Self, 1)
		two.Send(p.config.Self, vote(2))
		p.hears(2, 2)
	}
	for i := range int64(strangersMax + 5) {
		two.dialRaw().hello(100+i, "127.0.0.1:1")
	}
	two.logs("not in our configuration, nor are 64 others")
	two.Send(1, vote(3))
	small.hears(2, 3)
}

// Of several addresses one that answers is enough.
func TestAnyAddressOfAPeer(t *testing.T) {
	addrs := addrsFor(t, 2)
	one := join(t, 1, addrs)
	two := join(t, 2, map[int64][]string{2: addrs[2],
		1: {freeAddr(t), "no-such-host.invalid:1", addrs[1][0]}})
	two.Send(1, vote(1))
	one.hears(2, 1)
}

// The port may be held by the process before us: it is tried again, so often as was asked for.
func TestBindRetry(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addrs := map[int64][]string{1: {l.Addr().String()}}
	c := configFor(1, addrs, &logText{})
	c.BindRetry = 1
	if _, err := ListenElection(context.Background(), c); err == nil ||
		!strings.Contains(err.Error(), "after 1 attempts") ||
		!strings.Contains(err.Error(), addrs[1][0]) {
		t.Errorf("%v", err)
	}
	time.AfterFunc(300*time.Millisecond, func() { l.Close() })
	c.BindRetry = 0
	p, err := ListenElection(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
}

// A wait for a port ends with its context.
func TestBindGivesUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := configFor(1, map[int64][]string{1: {l.Addr().String()}}, &logText{})
	c.BindRetry = 0
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := ListenElection(ctx, c); err == nil {
		t.Error("it listens where another does")
	}
}
