package quorum

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/server/clientlog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// A heard is a message, or without one the news that a peer is unreachable.
type heard struct {
	sid int64
	n   *proto.Notification
}

// A party is an ElectionPort whose events and log lines a test reads.
type party struct {
	*ElectionPort
	t      testing.TB
	addr   string
	events chan heard
	log    *logText
}

type logText struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// end is the last of the log, for a message.
func (l *logText) end() string {
	text := l.String()
	return text[max(0, len(text)-4000):]
}

// freeAddr is an address that nobody listens on now. Its host is a loopback address of its own,
// or the kernel might take the port for the near end of some connection.
func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 1+rand.IntN(250), rand.IntN(250),
		1+rand.IntN(250)))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// addrsFor are free addresses for servers 1 to n.
func addrsFor(t testing.TB, n int) map[int64][]string {
	addrs := map[int64][]string{}
	for sid := int64(1); sid <= int64(n); sid++ {
		addrs[sid] = []string{freeAddr(t)}
	}
	return addrs
}

// configFor is the Config of one server of an ensemble, which is told to its log.
func configFor(sid int64, addrs map[int64][]string, log io.Writer) Config {
	peers := map[int64][]string{}
	for other, a := range addrs {
		if other != sid {
			peers[other] = a
		}
	}
	start := time.Now()
	logger := slog.New(slog.NewTextHandler(log, nil))
	return Config{Self: sid, Addrs: addrs[sid][:1], Listen: addrs[sid], Peers: peers,
		ConnectTimeout: 5 * time.Second, HelloTimeout: 2 * time.Second, BindRetry: 3,
		Log: clientlog.New(logger, func() time.Duration { return time.Since(start) })}
}

func join(t testing.TB, sid int64, addrs map[int64][]string, change ...func(*Config)) *party {
	t.Helper()
	p := &party{t: t, addr: addrs[sid][0], events: make(chan heard, 1000), log: &logText{}}
	c := configFor(sid, addrs, p.log)
	c.Receive = func(from int64, n proto.Notification) { p.events <- heard{from, &n} }
	c.Unreachable = func(sid int64) { p.events <- heard{sid, nil} }
	for _, f := range change {
		f(&c)
	}
	port, err := ListenElection(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	p.ElectionPort = port
	t.Cleanup(port.Close)
	return p
}

func vote(round int64) proto.Notification { return proto.Notification{Round: round, Version: 2} }

// hears waits until a message of a round has come from a peer.
func (p *party) hears(sid, round int64) {
	p.t.Helper()
	p.awaits(fmt.Sprintf("round %d from %d", round, sid), func(h heard) bool {
		return h.sid == sid && h.n != nil && h.n.Round == round
	})
}

func (p *party) awaits(what string, wanted func(heard) bool) {
	p.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case h := <-p.events:
			if wanted(h) {
				return
			}
		case <-deadline:
			p.t.Fatalf("no %s\n%s", what, p.log.end())
		}
	}
}

// A raw is a connection that a test speaks itself.
type raw struct {
	net.Conn
	t testing.TB
}

func (p *party) dialRaw() *raw {
	p.t.Helper()
	conn, err := net.Dial("tcp", p.addr)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { conn.Close() })
	return &raw{conn, p.t}
}

func (r *raw) say(b []byte) {
	if _, err := r.Write(b); err != nil {
		r.t.Logf("write: %v", err)
	}
}

func (r *raw) hello(sid int64, addr string) {
	h := proto.Hello{Sid: sid, Addrs: []string{addr}}
	r.say(h.Append(nil))
}

// round reads a message, and is its round.
func (r *raw) round() int64 {
	r.t.Helper()
	r.SetReadDeadline(time.Now().Add(patience))
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		r.t.Fatal(err)
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(r, body); err != nil {
		r.t.Fatal(err)
	}
	n, err := proto.ParseNotification(body)
	if err != nil {
		r.t.Fatal(err)
	}
	return n.Round
}

// ends waits until the other side has closed.
func (r *raw) ends() {
	r.t.Helper()
	r.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, r); err != nil && strings.Contains(err.Error(), "timeout") {
		r.t.Fatal("it is not closed")
	}
}

// logs waits until the log has a text.
func (p *party) logs(text string) {
	p.t.Helper()
	poll, deadline := time.NewTicker(time.Millisecond), time.After(patience)
	defer poll.Stop()
	for !strings.Contains(p.log.String(), text) {
		select {
		case <-poll.C:
		case <-deadline:
			p.t.Fatalf("the log does not say %q:\n%s", text, p.log.end())
		}
	}
}

// hold listens at an address and says nothing to anybody.
func hold(t testing.TB, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return l
}
