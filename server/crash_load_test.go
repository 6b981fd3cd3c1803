package server

import (
	"fmt"
	"strings"

	"github.com/meerkat-zk/meerkat/proto"
)

// pick invents a client's next request, from what the model says will be there.
func (c *crashClient) pick() crashOp {
	o := crashOp{num: int(c.next.Load()), op: proto.OpSetData, path: c.root + "/n", version: -1}
	o.data = c.randomData(o.num)
	switch n := c.rng.IntN(100); {
	case n < 25:
		if c.rng.IntN(3) == 0 {
			o.version = c.ahead[o.path].version
		}
	case n < 55:
		if c.pickPart(&o); o.op == proto.OpCheck { // only a multi may hold one
			o.op = proto.OpSetData
		}
	case n < 63:
		o.op, o.path, o.flags = proto.OpCreate, c.root+"/q/s-", proto.FlagPersistentSequential
		if old := c.below(c.root + "/q/"); len(old) >= 6 {
			o.op, o.path = proto.OpDelete, old[c.rng.IntN(len(old))]
		}
	case n < 71:
		c.pickSibling(&o)
	case n < 77:
		o.path = crashHot
	case n < 80:
		o.op, o.path = proto.OpSetACL, c.leaf()
		o.perms = proto.PermAll &^ (proto.PermDelete * c.rng.Int32N(2))
	case n < 88:
		o.op = proto.OpMulti
		for range 2 + c.rng.IntN(3) {
			part := crashOp{num: o.num, data: o.data, version: -1}
			c.pickPart(&part)
			o.parts = append(o.parts, part)
		}
	case n < 92:
		o.op, o.watch = proto.OpGetData, c.rng.IntN(2) == 0
	case n < 96:
		o.op, o.path = proto.OpGetData, fmt.Sprintf("/c%d/n", c.rng.IntN(len(c.h.clients)))
	case n < 98:
		o.op, o.path, o.watch = proto.OpGetData, crashHot, true
	case n < 99:
		o.op = proto.OpSync
	default:
		o.op = proto.OpCloseSession
	}
	return o
}

// pickPart makes a request that a multi may hold too. Many of them fail.
func (c *crashClient) pickPart(o *crashOp) {
	o.path = c.leaf()
	switch c.rng.IntN(8) {
	case 0, 1:
		o.op = proto.OpCreate
	case 2:
		o.op, o.flags = proto.OpCreate2, proto.FlagEphemeral
	case 3, 4:
		o.op = proto.OpDelete
	case 5:
		o.op, o.version = proto.OpCheck, c.ahead[o.path].version-c.rng.Int32N(2)
	default:
		o.op = proto.OpSetData
	}
	if o.op == proto.OpDelete && c.rng.IntN(3) == 0 {
		o.version = c.rng.Int32N(3)
	}
}

// leaf is one of the few znodes that come and go.
func (c *crashClient) leaf() string { return fmt.Sprintf("%s/k%d", c.root, c.rng.IntN(6)) }

// pickSibling creates a sequential znode among those of all clients, or deletes one.
func (c *crashClient) pickSibling(o *crashOp) {
	o.op, o.path = proto.OpCreate2, fmt.Sprintf("%s/c%d-%d-", crashSeq, c.id, o.num)
	o.flags = proto.FlagPersistentSequential
	if c.rng.IntN(2) == 0 {
		o.flags = proto.FlagEphemeralSequential
	}
	if old := c.below(crashSeq + "/"); len(old) >= 4 {
		if path := c.names[old[c.rng.IntN(len(old))]]; path != "" {
			o.op, o.path = proto.OpDelete, path
		}
	}
}

// below lists the znodes that will be there.
func (c *crashClient) below(prefix string) (list []string) {
	for _, path := range c.ahead.paths() {
		if strings.HasPrefix(path, prefix) {
			list = append(list, path)
		}
	}
	return list
}

// randomData is marked with its request. Some of it holds whole sectors of zeros, as what a
// power cut leaves does.
func (c *crashClient) randomData(num int) string {
	n := c.rng.IntN(200)
	switch c.rng.IntN(40) {
	case 0:
		n = c.rng.IntN(20000)
	case 1, 2, 3:
		n = c.rng.IntN(3000)
	}
	b := make([]byte, n)
	switch c.rng.IntN(4) {
	case 0: // zeros
	case 1:
		for i := range b {
			b[i] = 'B' // the end mark of a log record
		}
	default:
		for i := range b {
			b[i] = byte(c.rng.Uint32())
		}
	}
	return crashTag(c.id, num) + " " + string(b)
}
