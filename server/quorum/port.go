package quorum

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/server/clientlog"
)

// Config says who an ElectionPort is and whom it knows.
type Config struct {
	Self int64
	// Addrs are our election addresses as others reach them, host:port; a hello names them. More
	// than one only if every server of the ensemble has multiAddress.enabled.
	Addrs  []string
	Listen []string           // where to listen, host:port
	Peers  map[int64][]string // election addresses of the other servers, voters and observers

	ConnectTimeout time.Duration // of one attempt to connect (cnxTimeout)
	HelloTimeout   time.Duration // of a whole hello, and of a write that nobody reads
	KeepAlive      bool          // tcpKeepAlive
	BindRetry      int           // attempts to bind; 0: for ever (electionPortBindRetry)

	Log *clientlog.Log

	// Receive takes a message of a peer, on the goroutine of its link, which reads the next one
	// when it returns.
	Receive func(sid int64, n proto.Notification)
	// Unreachable tells that a peer refused a connection, or ended the one it had. It is called
	// on the port's goroutine, and must not block.
	Unreachable func(sid int64)
}

// An ElectionPort is this server's end of the election's connections (QuorumCnxManager).
//
//  1. accept takes a connection, greet reads its hello (hello.go).
//  2. greeted keeps it if the other id is larger, and else connects back.
//  3. send gives the link the message; without a link, dial makes one, or asks for one.
//  4. adopt starts a link, whose first message is the last one that was sent.
//  5. ended forgets it. A message, or Connect, makes the next.
type ElectionPort struct {
	config    Config
	listeners []net.Listener
	box       *mailbox
	ctx       context.Context // done: the port closes
	stop      context.CancelFunc
	tasks     sync.WaitGroup // all goroutines but run
	stopped   chan struct{}  // closed when run has returned
	greetings greetings

	peers map[int64]*peer // owned by run
}

// A peer is another server as the port's goroutine knows it.
type peer struct {
	addrs   []string // where to connect; of a stranger, what its hello said
	known   bool     // the configuration names it
	link    *link    // nil: none
	last    []byte   // the newest message, sent or not
	dialing bool
	helloAt time.Time // when we asked it to connect
}

// ListenElection binds the election port and starts. It returns when the port is bound, or when
// all attempts have failed, or ctx is done.
func ListenElection(ctx context.Context, c Config) (*ElectionPort, error) {
	p := &ElectionPort{config: c, box: newMailbox(), stopped: make(chan struct{}),
		peers: map[int64]*peer{}}
	for sid, addrs := range c.Peers {
		p.peers[sid] = &peer{addrs: addrs, known: true}
	}
	for _, addr := range c.Listen {
		l, err := p.bind(ctx, addr)
		if err != nil {
			p.closeListeners()
			return nil, err
		}
		p.listeners = append(p.listeners, l)
	}
	p.ctx, p.stop = context.WithCancel(context.Background())
	for _, l := range p.listeners {
		p.tasks.Go(func() { p.accept(l) })
	}
	go p.run()
	return p, nil
}

// bind listens on an address, trying again while another process holds it.
func (p *ElectionPort) bind(ctx context.Context, addr string) (net.Listener, error) {
	listen := net.ListenConfig{KeepAlive: p.keepAlive()}
	for attempt := 1; ; attempt++ {
		l, err := listen.Listen(ctx, "tcp", addr)
		if err == nil || ctx.Err() != nil || !errors.Is(err, syscall.EADDRINUSE) ||
			attempt == p.config.BindRetry {
			if err != nil {
				err = fmt.Errorf("election port, after %d attempts: %w", attempt, err)
			}
			return l, err
		}
		select {
		case <-time.After(bindRetryWait):
		case <-ctx.Done():
		}
	}
}

// keepAlive is the period that net wants: 0 is its default, negative is never.
func (p *ElectionPort) keepAlive() time.Duration {
	if p.config.KeepAlive {
		return 0
	}
	return -1
}

// Addrs are the addresses that the port listens on.
func (p *ElectionPort) Addrs() (addrs []net.Addr) {
	for _, l := range p.listeners {
		addrs = append(addrs, l.Addr())
	}
	return addrs
}

// Send sends a message to a peer, in place of one that is not sent yet.
func (p *ElectionPort) Send(sid int64, n proto.Notification) {
	frame := n.AppendFrame(nil)
	p.box.put(func() { p.send(sid, frame) })
}

// Connect makes a link to a peer that has none.
func (p *ElectionPort) Connect(sid int64) {
	p.box.put(func() {
		if peer := p.peers[sid]; peer != nil {
			p.dial(sid, peer, peer.addrs)
		}
	})
}

// Close ends all connections, and returns when every goroutine has ended.
func (p *ElectionPort) Close() {
	p.stop()
	p.closeListeners()
	<-p.stopped
	p.tasks.Wait()
	p.box.run() // a connection that was made meanwhile is closed where it would have been adopted
}

func (p *ElectionPort) closeListeners() {
	for _, l := range p.listeners {
		_ = l.Close() // nothing is lost: connections are closed one by one
	}
}

// run is the port's goroutine: it owns the peers.
func (p *ElectionPort) run() {
	defer close(p.stopped)
	for p.ctx.Err() == nil {
		select {
		case <-p.box.wake:
			p.box.run()
		case <-p.ctx.Done():
		}
	}
	for _, sid := range slices.Sorted(maps.Keys(p.peers)) {
		if l := p.peers[sid].link; l != nil {
			l.close()
		}
	}
}

func (p *ElectionPort) send(sid int64, frame []byte) {
	peer := p.peers[sid]
	if peer == nil {
		return // a stranger that has gone
	}
	peer.last = frame
	if peer.link != nil {
		peer.link.put(frame)
		return
	}
	p.dial(sid, peer, peer.addrs)
}

// greeted takes an accepted connection whose hello is over.
func (p *ElectionPort) greeted(conn net.Conn, h proto.Hello) {
	peer, err := p.peerOf(h)
	if err != nil || p.ctx.Err() != nil {
		p.refuse(conn, err)
		return
	}
	if h.Sid > p.config.Self {
		p.adopt(h.Sid, peer, conn)
		return
	}
	// It asks us to connect, for we have the larger id. Should we think that there is a link, it
	// does not.
	_ = conn.Close()
	if peer.link != nil {
		p.drop(peer, errReplaced)
	}
	if addrs := reachable(h.Addrs); len(addrs) > 0 {
		p.dial(h.Sid, peer, addrs)
	} else {
		p.dial(h.Sid, peer, peer.addrs)
	}
}

// peerOf finds who says hello, or makes a peer of a stranger.
func (p *ElectionPort) peerOf(h proto.Hello) (*peer, error) {
	addrs := reachable(h.Addrs)
	switch peer := p.peers[h.Sid]; {
	case h.Sid == p.config.Self:
		return nil, fmt.Errorf("it has our own id %d; look at myid of both servers", h.Sid)
	case h.Sid == proto.ObserverSid:
		return nil, errors.New("it has no id of its own: give it a myid")
	case peer != nil:
		return peer, nil
	case len(addrs) == 0: // HTTP and TLS, too, begin like a server before 3.5
		return nil, fmt.Errorf("id %d is not in our configuration, and it does not say where it is; "+
			"if that is no id of yours, what connected is no server", h.Sid)
	case len(p.peers)-len(p.config.Peers) >= strangersMax:
		return nil, fmt.Errorf("id %d is not in our configuration, nor are %d others that are "+
			"connected", h.Sid, strangersMax)
	}
	p.peers[h.Sid] = &peer{addrs: addrs}
	return p.peers[h.Sid], nil
}

var errReplaced = errors.New("another connection has replaced it")

// adopt makes a connection the link of a peer, in place of one that it may have.
func (p *ElectionPort) adopt(sid int64, peer *peer, conn net.Conn) {
	if peer.link != nil {
		p.drop(peer, errReplaced)
	}
	p.config.Log.PeerConnected(sid, conn.RemoteAddr())
	l := newLink(sid, conn)
	peer.link = l
	if peer.last != nil {
		l.put(peer.last)
	}
	p.tasks.Go(func() { p.read(l) })
	p.tasks.Go(func() { p.write(l) })
}

// drop ends a peer's link from our side.
func (p *ElectionPort) drop(peer *peer, why error) {
	p.config.Log.PeerGone(peer.link.sid, why)
	peer.link.close()
	peer.link = nil
}

// ended takes the news that a link's reader or writer has given up. The second of them, and those
// of a link that was replaced, come too late to matter.
func (p *ElectionPort) ended(l *link, why error) {
	peer := p.peers[l.sid]
	if p.ctx.Err() != nil || peer == nil || peer.link != l {
		return
	}
	p.drop(peer, why)
	p.forget(l.sid, peer)
	if isGone(why) && time.Since(peer.helloAt) > crossingTime {
		p.config.Unreachable(l.sid)
	}
}

// forget makes room of a stranger that is neither connected nor being called.
func (p *ElectionPort) forget(sid int64, peer *peer) {
	if !peer.known && peer.link == nil && !peer.dialing {
		delete(p.peers, sid)
	}
}

// isGone tells whether an error says that the other process is not there, as opposed to slow.
func isGone(err error) bool {
	for _, gone := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNREFUSED,
		syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, gone) {
			return true
		}
	}
	return false
}

// refuse closes a connection that is nobody's. Without a reason, the port itself is closing.
func (p *ElectionPort) refuse(conn net.Conn, why error) {
	if why != nil {
		p.config.Log.PeerRefused(conn.RemoteAddr(), why)
	}
	_ = conn.Close() // nothing was promised on it
}
