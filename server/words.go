package server

import (
	"bytes"
	"encoding/binary"

	"github.com/meerkat-zk/meerkat/server/admin"
)

// Four-letter words: plain text in, plain text out, then the connection is closed
// (FourLetterCommands). They are told from a frame by the first four bytes; what they say is the
// matter of admin.

// wordSet is followed by eight bytes: the trace mask that it sets.
const wordSet = "stmk"

// telnetInterrupt is what a telnet sends for ^C.
const telnetInterrupt = "\xff\xf4\xff\xfd"

// word answers a four-letter word at the start of a connection. used is -1 when there are
// fewer bytes yet than it needs.
func (l *loop) word(c *conn, in []byte) (used int, isWord bool) {
	if len(in) < 4 {
		return -1, false
	}
	name := string(in[:4])
	answer, known := admin.Words[name]
	if !known {
		if name != telnetInterrupt {
			return 0, false
		}
		l.close(c)
		return len(in), true
	}
	m := &l.srv.monitor
	whitelist := *l.srv.whitelist.Load()
	allowed := whitelist[name] || whitelist["*"]
	if name == wordSet && allowed {
		if len(in) < 12 {
			return -1, false
		}
		m.SetTraceMask(int64(binary.BigEndian.Uint64(in[4:])))
	}
	l.srv.clientLog.Word(c.name(), name, allowed)
	l.stats.Received++
	l.stats.BytesIn += 4
	c.stats.received++
	switch {
	case !allowed:
		text := name + " is not executed because it is not in the whitelist.\n"
		c.nc.SetBuffer(append(c.nc.Buffer(), text...))
		l.close(c)
	case !l.serving:
		text := "This ZooKeeper instance is not currently serving requests\n"
		c.nc.SetBuffer(append(c.nc.Buffer(), text...))
		l.close(c)
	default:
		c.state = connWaiting
		c.nc.Pause() // a client that half-closes behind its word is answered all the same
		l.srv.aside.Add(1)
		go func() { // words look at every loop and at files: never on a loop
			defer l.srv.aside.Done()
			var w bytes.Buffer
			answer(&w, m)
			l.execute(func() {
				if c.state == connWaiting {
					l.stats.Sent++
					c.nc.SetBuffer(append(c.nc.Buffer(), w.Bytes()...))
					l.close(c)
				}
			})
		}()
	}
	return len(in), true
}
