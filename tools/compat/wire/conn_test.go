package wire

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/tools/compat/target"
)

// answerTimeout is how long a server may take to answer; it ends a test, it decides nothing.
const answerTimeout = 20 * time.Second

// A conn is one client connection of a play.
type conn struct {
	play   *play
	name   string
	c      net.Conn
	r      *bufio.Reader
	xid    int32 // of the last ordinary request
	passwd []byte
	id     int64
}

// A sent request waits for its answer.
type sent struct {
	verb string
	xid  int32
	op   op
	args *args
}

// frame prepends the length.
func frame(payload []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(payload))), payload...)
}

func encode(records ...record) []byte {
	w := jute.Writer(nil)
	for _, r := range records {
		r.Fields(&w)
	}
	return w.Bytes()
}

// read returns the next payload; an error means that the server closed.
func (c *conn) read() ([]byte, error) {
	return target.ReadFrame(c.c, c.r, answerTimeout)
}

// connect opens a connection and prints what the server makes of its session.
func (p *play) connect(name string, a *args) error {
	request, err := p.connectRequest(a) // may name the connection that this one replaces
	if err != nil {
		return err
	}
	socket, err := net.Dial("tcp", p.server.Addr)
	if err != nil {
		return err
	}
	p.t.Cleanup(func() { _ = socket.Close() }) // may be closed already
	c := &conn{play: p, name: name, c: socket, r: bufio.NewReader(socket)}
	p.conns[name] = c
	early, err := split(a.values["early"])
	if err != nil {
		return err
	}
	behind, waiting, err := c.requests(early)
	if err != nil {
		return err
	}
	if _, err := socket.Write(append(frame(encode(request)), behind...)); err != nil {
		return err
	}
	payload, err := c.read()
	if err != nil {
		return c.printClosed(err)
	}
	c.printConnected(payload)
	return c.await(waiting)
}

// printConnected prints the answer to a ConnectRequest.
func (c *conn) printConnected(payload []byte) {
	p := c.play
	var r proto.ConnectResponse
	in := jute.Reader(payload)
	r.Fields(&in)
	if in.Err() != nil || !bytes.Equal(encode(&r), payload) {
		p.printf("%s connected raw=%x", c.name, payload)
		return
	}
	if _, known := p.names[r.SessionID]; !known && r.SessionID != 0 {
		p.names[r.SessionID] = c.name
	}
	c.id, c.passwd = r.SessionID, r.Passwd
	p.printf("%s connected version=%d timeout=%d session=%s passwd=%s%s", c.name,
		r.ProtocolVersion, r.TimeOut, p.session(r.SessionID), passwordName(&r),
		showReadOnly(&r))
}

func showReadOnly(r *proto.ConnectResponse) string {
	if !r.HasReadOnly {
		return ""
	}
	return fmt.Sprintf(" readonly=%t", r.ReadOnly)
}

// passwordName says whether the password is the one that every server computes.
func passwordName(r *proto.ConnectResponse) string {
	want := proto.SessionPassword(r.SessionID)
	switch {
	case bytes.Equal(r.Passwd, want[:]):
		return "good"
	case bytes.Equal(r.Passwd, make([]byte, proto.PasswordBytes)):
		return "zero"
	default:
		return hex.EncodeToString(r.Passwd)
	}
}

func (p *play) connectRequest(a *args) (*proto.ConnectRequest, error) {
	r := &proto.ConnectRequest{
		TimeOut:      int32(a.number("timeout", 10000)),
		LastZxidSeen: proto.Zxid(a.number("zxid", 0)),
		Passwd:       make([]byte, proto.PasswordBytes),
		HasReadOnly:  !a.has("legacy"), ReadOnly: a.has("readonly"),
	}
	r.ProtocolVersion = int32(a.number("version", 0))
	if other := p.conns[a.values["session"]]; other != nil {
		r.SessionID, r.Passwd = other.id, other.passwd
	} else if a.has("session") {
		r.SessionID = a.number("session", 0)
	}
	switch from := a.values["passwd"]; from {
	case "":
	case "zero":
		r.Passwd = make([]byte, proto.PasswordBytes)
	case "short":
		r.Passwd = r.Passwd[:4]
	case "null":
		r.Passwd = nil
	default:
		other := p.conns[from]
		if other == nil {
			return nil, fmt.Errorf("no password of %s", from)
		}
		r.Passwd = other.passwd
	}
	return r, a.err
}

func (c *conn) writeHex(text string) error {
	b, err := hex.DecodeString(text)
	if err != nil {
		return err
	}
	_, err = c.c.Write(b)
	return err
}

// burst writes the requests, parted by ";", at once and prints all frames until the last of
// their answers.
func (c *conn) burst(words []string) error {
	out, waiting, err := c.requests(words)
	if err != nil {
		return err
	}
	if _, err := c.c.Write(out); err != nil {
		return err
	}
	return c.await(waiting)
}

// requests builds the frames of requests that are parted by ";". A multi takes all the words.
func (c *conn) requests(words []string) (out []byte, waiting []sent, err error) {
	for len(words) > 0 {
		end := slices.Index(words, ";")
		if end < 0 || words[0] == "multi" || words[0] == "multiRead" {
			end = len(words)
		}
		payload, s, err := c.request(words[:end])
		if err != nil {
			return nil, nil, err
		}
		out, waiting = append(out, frame(payload)...), append(waiting, s)
		words = words[min(end+1, len(words)):]
	}
	return out, waiting, nil
}

// await prints frames until all requests are answered.
func (c *conn) await(waiting []sent) error {
	for len(waiting) > 0 {
		payload, err := c.read()
		if err != nil {
			return c.printClosed(err)
		}
		if c.print(payload, waiting[0]) {
			waiting = waiting[1:]
		}
	}
	return nil
}

// request builds a payload of a verb and its arguments.
func (c *conn) request(words []string) ([]byte, sent, error) {
	verb := words[0]
	o, known := ops[verb]
	if !known {
		return nil, sent{}, fmt.Errorf("no verb %q", verb)
	}
	a, err := parseArgs(words[1:])
	if err != nil {
		return nil, sent{}, err
	}
	if o.xid == 0 {
		c.xid++
		o.xid = c.xid
	}
	code := o.code
	if code == 0 {
		code = proto.Op(a.number("op", 0))
	}
	h := proto.RequestHeader{Xid: int32(a.number("xid", int64(o.xid))), Op: code}
	var body record
	if o.request == nil {
		body, a, err = multiOf(words[1:])
	} else {
		body = o.request(a)
	}
	if err == nil {
		err = a.err
	}
	if err != nil {
		return nil, sent{}, err
	}
	payload := encode(&h, body)
	payload = payload[:len(payload)-int(a.number("cut", 0))]
	pad, err := hex.DecodeString(a.values["pad"])
	want := h.Xid
	if code == proto.OpPing {
		want = proto.XidPing // whatever the request had
	}
	return append(payload, pad...), sent{verb, want, o, a}, err
}

// multiOf reads the parts of a multi; xid, cut and pad stand before the first of them.
func multiOf(words []string) (record, *args, error) {
	r := new(parts)
	outer := &args{values: make(map[string]string)}
	for len(words) > 0 {
		end := slices.Index(words, ";")
		if end < 0 {
			end = len(words)
		}
		own := slices.IndexFunc(words[:end], func(w string) bool { _, is := ops[w]; return is })
		if own < 0 {
			return nil, nil, fmt.Errorf("a part is an op: %v", words[:end])
		}
		before, err := parseArgs(words[:own])
		if err != nil {
			return nil, nil, err
		}
		for k, v := range before.values {
			outer.values[k] = v
		}
		o := ops[words[own]]
		a, err := parseArgs(words[own+1 : end])
		if err != nil {
			return nil, nil, err
		}
		code := proto.Op(a.number("op", int64(o.code)))
		r.list = append(r.list, part{
			header: proto.MultiHeader{Op: code, Err: -1},
			body:   o.request(a),
		})
		if a.err != nil {
			return nil, nil, a.err
		}
		words = words[min(end+1, len(words)):]
	}
	r.list = append(r.list, part{header: proto.MultiEnd})
	return r, outer, nil
}

// events prints n frames that nobody asked for.
func (c *conn) events(n int) error {
	for range n {
		payload, err := c.read()
		if err != nil {
			return c.printClosed(err)
		}
		c.print(payload, sent{})
	}
	return nil
}

// printUntilClosed prints what comes until the server closes.
func (c *conn) printUntilClosed() {
	for {
		payload, err := c.read()
		if err != nil {
			_ = c.printClosed(err) // a timeout prints as one
			return
		}
		c.print(payload, sent{})
	}
}

func (c *conn) printClosed(err error) error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		c.play.printf("%s no answer", c.name)
		return nil
	}
	c.play.printf("%s closed", c.name)
	return nil
}
