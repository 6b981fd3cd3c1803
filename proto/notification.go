package proto

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/meerkat-zk/meerkat/jute"
)

// A PeerState is what a server of an ensemble is doing (QuorumPeer.ServerState).
type PeerState int32

// The states, by their numbers on the wire.
const (
	Looking PeerState = iota
	Following
	Leading
	Observing
)

var peerStateNames = [...]string{"looking", "following", "leading", "observing"}

func (s PeerState) String() string {
	if s >= 0 && int(s) < len(peerStateNames) {
		return peerStateNames[s]
	}
	return fmt.Sprintf("state(%d)", int32(s))
}

// Limits of a notification (QuorumCnxManager, FastLeaderElection).
const (
	NotificationBytesMax = 512 << 10 // a longer message ends the connection
	notificationBytes34  = 28        // before 3.4: neither epoch nor version
	notificationBytes    = 40        // 3.4: with an epoch, the last four bytes mean nothing
	notificationVersion  = 2         // ours, and Java's since 3.5
)

// ErrNotification is wrapped by what ParseNotification refuses.
var ErrNotification = errors.New("proto: malformed election notification")

// A Notification tells what a server votes for while it looks for a leader, or whom it follows
// (FastLeaderElection.Notification).
//
//	state int · leader long · zxid long · round long   28 bytes, all there was before 3.4
//	· epoch long · version int                         40 bytes
//	· config length int · config                       since 3.5, with version 2
type Notification struct {
	State   PeerState
	Leader  int64 // the server that is voted for, or that leads
	Zxid    Zxid  // of the vote
	Round   int64 // logical clock of the election (electionEpoch)
	Epoch   int64 // of the vote (peerEpoch)
	Version int32 // of the message; 0 from servers before 3.4.6
	Config  string
}

// AppendFrame appends the notification with its length before it, as it goes to a peer.
func (n *Notification) AppendFrame(buf []byte) []byte {
	w := jute.Writer(buf)
	length := int32(notificationBytes + 4 + len(n.Config))
	w.Int(&length)
	n.fixed(&w)
	w.Long(&n.Epoch)
	version := int32(notificationVersion)
	w.Int(&version)
	w.String(&n.Config)
	return w.Bytes()
}

func (n *Notification) fixed(c *jute.Coder) {
	c.Int((*int32)(&n.State))
	c.Long(&n.Leader)
	c.Long((*int64)(&n.Zxid))
	c.Long(&n.Round)
}

// ParseNotification reads a message without its length. What follows a whole notification is
// ignored, as in Java. The configuration aliases data.
func ParseNotification(data []byte) (Notification, error) {
	var n Notification
	if len(data) > NotificationBytesMax {
		return n, fmt.Errorf("%w: %d bytes", ErrNotification, len(data))
	}
	c := jute.Reader(data)
	n.fixed(&c)
	n.Epoch = n.Zxid.Epoch()
	if len(data) != notificationBytes34 {
		c.Long(&n.Epoch)
		c.Int(&n.Version)
	}
	if len(data) == notificationBytes {
		n.Version = 0
	}
	if n.Version >= notificationVersion {
		c.String(&n.Config)
	}
	switch {
	case c.Err() != nil:
		return Notification{}, fmt.Errorf("%w of %d bytes: %w", ErrNotification, len(data), c.Err())
	case n.State < Looking || n.State > Observing:
		return Notification{}, fmt.Errorf("%w: %v", ErrNotification, n.State)
	}
	return n, nil
}

// ConfigVersion is the version that the text of a configuration names in its last line, and
// false if it names none (QuorumVerifier.toString).
func ConfigVersion(text string) (int64, bool) {
	line := text[strings.LastIndexByte(text, '\n')+1:]
	hex, found := strings.CutPrefix(line, "version=")
	if !found {
		return 0, false
	}
	version, err := strconv.ParseInt(hex, 16, 64)
	return version, err == nil
}

// SameConfig tells whether two texts of a configuration say the same. Java orders the lines by a
// hash map.
func SameConfig(a, b string) bool {
	if a == b {
		return true
	}
	as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
	slices.Sort(as)
	slices.Sort(bs)
	return slices.Equal(as, bs)
}

// Limits and marks of a hello (QuorumCnxManager).
const (
	HelloBytesMax = helloHeadBytes + helloTextMax

	helloHeadBytes = 20   // version, sid, length
	helloTextMax   = 2048 // of the addresses
	helloV1        = -65536
	helloV2        = -65535

	// ObserverSid is sent in place of an id by old observers that have none.
	ObserverSid int64 = 1<<63 - 1
)

// ErrHello is wrapped by what HelloBytes and ParseHello refuse.
var ErrHello = errors.New("proto: malformed election hello")

// A Hello is how a server that connects to an election port says who it is
// (QuorumCnxManager.InitialMessage).
//
//	version long · sid long · length int · addresses   since 3.5; -65536 is V1, -65535 is V2
//	sid long                                           before: it is not negative
type Hello struct {
	Sid int64
	// Addrs are the sender's own election addresses as host:port, the host of an IPv6 address
	// in brackets. V1 has one, the form before 3.5 none.
	Addrs []string
}

// Append appends the hello: V1 with one address, which every Java server takes, else V2. Write
// it at once, for Java reads the addresses with a single read.
func (h *Hello) Append(buf []byte) []byte {
	w := jute.Writer(buf)
	version := int64(helloV1)
	if len(h.Addrs) > 1 {
		version = helloV2
	}
	w.Long(&version)
	w.Long(&h.Sid)
	addrs := strings.Join(h.Addrs, "|")
	w.String(&addrs)
	return w.Bytes()
}

// HelloBytes is how many bytes the hello that begins with b has, as far as b tells: when that is
// len(b), b is whole. It refuses as soon as it can.
func HelloBytes(b []byte) (int, error) {
	c := jute.Reader(b)
	var version, sid int64
	var length int32
	if c.Long(&version); len(b) < 8 || version >= 0 {
		return 8, nil
	}
	if version != helloV1 && version != helloV2 {
		return 0, fmt.Errorf("%w: neither a server id nor a version we know: %#x", ErrHello,
			uint64(version))
	}
	if len(b) < helloHeadBytes {
		return helloHeadBytes, nil
	}
	c.Long(&sid)
	c.Int(&length)
	if length <= 0 || length > helloTextMax {
		return 0, fmt.Errorf("%w of server %d: %d bytes of addresses, 1 to %d are allowed", ErrHello,
			sid, length, helloTextMax)
	}
	return helloHeadBytes + int(length), nil
}

// ParseHello reads a whole hello.
func ParseHello(b []byte) (Hello, error) {
	size, err := HelloBytes(b)
	if err != nil {
		return Hello{}, err
	}
	if size != len(b) {
		return Hello{}, fmt.Errorf("%w: %d of %d bytes", ErrHello, len(b), size)
	}
	var h Hello
	c := jute.Reader(b)
	c.Long(&h.Sid)
	if h.Sid >= 0 {
		return h, nil
	}
	var text string
	c.Long(&h.Sid)
	c.String(&text)
	h.Addrs = strings.Split(strings.Clone(text), "|")
	for _, addr := range h.Addrs {
		if !isHostPort(addr) {
			return Hello{}, fmt.Errorf("%w of server %d: address %.100q is not host:port", ErrHello,
				h.Sid, addr)
		}
	}
	return h, nil
}

// isHostPort tells whether addr is host:port or [host]:port. A host with a colon of its own
// needs the brackets.
func isHostPort(addr string) bool {
	colon := strings.LastIndexByte(addr, ':')
	if colon < 0 {
		return false
	}
	host, port := addr[:colon], addr[colon+1:]
	if inner, found := strings.CutPrefix(host, "["); found {
		if host, found = strings.CutSuffix(inner, "]"); !found {
			return false
		}
	} else if strings.Contains(host, ":") {
		return false
	}
	_, err := strconv.ParseUint(port, 10, 16)
	return err == nil && host != "" && !strings.ContainsAny(host, "[]")
}
