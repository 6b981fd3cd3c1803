package quorum

import (
	"encoding/binary"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/meerkat-zk/meerkat/proto"
)

func frame(length int32, body string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(length)), body...)
}

func helloOf(sid int64, addr string) []byte {
	h := proto.Hello{Sid: sid, Addrs: []string{addr}}
	return h.Append(nil)
}

// Whatever arrives at the election port, its connection is closed with a line that says why, and
// two servers that talk meanwhile notice nothing.
func TestBadInput(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	link := helloOf(3, "127.0.0.1:1") // a peer that is allowed, and then speaks nonsense
	tests := map[string]struct {
		bytes string
		says  string
	}{
		"garbage":             {"\xde\xad\xbe\xef" + long, "neither a server id nor a version"},
		"HTTP":                {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "id 5135603447292250196 is not in"},
		"TLS":                 {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", "is not in our configuration"},
		"addresses of -1":     {string(helloHead(3, -1)), "-1 bytes of addresses"},
		"addresses of 2 GB":   {string(helloHead(3, 1<<31-1)) + long, "2147483647 bytes of addresses"},
		"no address":          {string(helloOf(3, "nowhere")), "is not host:port"},
		"our own id":          {string(helloOf(2, "127.0.0.1:1")), "it has our own id 2"},
		"no id":               {string(helloOf(proto.ObserverSid, "127.0.0.1:1")), "no id of its own"},
		"a stranger's old id": {"\x00\x00\x00\x00\x00\x00\x00\x00", "id 0 is not in our configuration"},
		"half a hello":        {string(link[:11]), "unexpected EOF"},
		"message of 2 GB":     {string(link) + string(frame(1<<31-1, long)), "of 2147483647 bytes"},
		"message of -1":       {string(link) + string(frame(-1, "")), "a message of -1 bytes"},
		"message of 0":        {string(link) + string(frame(0, "")), "a message of 0 bytes"},
		"message over 512K":   {string(link) + string(frame(524289, long)), "message of 524289 bytes"},
		"cut message":         {string(link) + string(frame(100, "cut")), "unexpected EOF"},
		"short message":       {string(link) + string(frame(27, long[:27])), "malformed election"},
		"unknown state":       {string(link) + string(frame(44, long[:44])), "malformed election"},
	}
	addrs := addrsFor(t, 3)
	one, two := join(t, 1, addrs), join(t, 2, addrs)
	two.Send(1, vote(1))
	one.hears(2, 1)
	before := localPort(t, two, 1)
	round := int64(1)
	for _, test := range tests {
		r := two.dialRaw()
		r.say([]byte(test.bytes))
		if strings.Contains(test.says, "EOF") {
			r.Close()
		}
		two.logs(test.says)
		r.Close()
		round++
		one.Send(2, vote(round))
		two.hears(1, round)
		two.Send(1, vote(round))
		one.hears(2, round)
	}
	if after := localPort(t, two, 1); after != before {
		t.Errorf("the link of others was at %s, and is at %s", before, after)
	}
	for line := range strings.Lines(two.log.String()) {
		if len(line) > 1000 {
			t.Errorf("a line of %d bytes: %.200s", len(line), line)
		}
	}
}

func helloHead(sid int64, length int32) []byte {
	b := helloOf(sid, "a:1")[:16]
	return binary.BigEndian.AppendUint32(b, uint32(length))
}

// A hello byte by byte is given up when the time for all of it is over.
func TestSlowHello(t *testing.T) {
	addrs := addrsFor(t, 2)
	one := join(t, 1, addrs, func(c *Config) { c.HelloTimeout = 300 * time.Millisecond })
	r := one.dialRaw()
	for _, b := range helloOf(2, "127.0.0.1:1")[:20] {
		r.say([]byte{b})
		<-time.After(30 * time.Millisecond) // slowness is the test
	}
	r.ends()
	one.logs("its hello was not over after 300ms")
}

// Hellos that never end do not add up, and keep nobody out: the oldest goes.
func TestManyHalfHellos(t *testing.T) {
	addrs := addrsFor(t, 2)
	one := join(t, 1, addrs, func(c *Config) { c.HelloTimeout = time.Hour })
	var slow []*raw
	for range greetersMax + 10 {
		r := one.dialRaw()
		r.say([]byte{0xff})
		slow = append(slow, r)
	}
	for _, r := range slow[:10] {
		r.ends()
	}
	one.logs("64 newer ones")
	join(t, 2, addrs).Send(1, vote(1))
	one.hears(2, 1)
}

// A flood of bad connections leaves a bounded log, and no memory behind.
func TestFloodOfGarbage(t *testing.T) {
	one := join(t, 1, addrsFor(t, 2))
	var m runtime.MemStats
	for range 1000 {
		r := one.dialRaw()
		r.say([]byte("\xff\xff garbage"))
		r.ends()
		r.Close()
	}
	if n := len(one.log.String()); n > 500_000 {
		t.Errorf("%d bytes of log", n)
	}
	runtime.GC()
	if runtime.ReadMemStats(&m); m.HeapInuse > 64<<20 {
		t.Errorf("%d bytes of heap", m.HeapInuse)
	}
}

// A peer that does not read holds up nobody, and is given up when its buffers are full.
func TestPeerThatDoesNotRead(t *testing.T) {
	addrs := addrsFor(t, 3)
	one := join(t, 1, addrs, func(c *Config) { c.HelloTimeout = 300 * time.Millisecond })
	two := join(t, 2, addrs)
	one.dialRaw().hello(3, addrs[3][0])
	large := vote(1)
	large.Config = strings.Repeat("c", 500_000)
	stuck := time.After(patience)
	for n := int64(2); !strings.Contains(one.log.String(), "i/o timeout"); n++ {
		select {
		case <-stuck:
			t.Fatalf("it was never given up\n%s", one.log.end())
		default:
		}
		one.Send(3, large)
		one.Send(2, vote(n))
		two.hears(1, n)
	}
}
