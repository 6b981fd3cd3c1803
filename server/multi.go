package server

import (
	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
)

// planMulti plans and applies the parts of a multi one after the other, so that each sees what
// the earlier ones did. At the first that fails the head is put back as it was, and the
// transaction says so: it takes its zxid all the same (PrepRequestProcessor, multi).
func (c *core) planMulti(r *request, e *entry) {
	ops, ok := c.decodeMulti(r.body)
	if !ok {
		e.code = proto.ErrMarshalling
		c.txn.Header.Type = proto.OpError
		c.txn.Body = proto.Body{Err: e.code}
		return
	}
	events := len(c.open.events)
	parts := make([]proto.Part, len(ops))
	answers := make([]part, len(ops))
	e.more = &more{parts: answers}
	failed := proto.OK
	c.head.Begin()
	for i := range ops {
		answers[i].op = ops[i].op
		if failed != proto.OK {
			parts[i] = errorPart(proto.ErrRuntimeInconsistency)
			answers[i].code = proto.ErrRuntimeInconsistency
			continue
		}
		p := &parts[i]
		p.Type, failed = c.planOperation(&ops[i], r, &p.Body)
		if failed != proto.OK {
			*p = errorPart(failed)
			answers[i].code = failed
			continue
		}
		if p.Type == proto.OpCreate2 {
			// 3.8 stops applying a multi at a part of this type, without a word (DataTree.processTxn);
			// it writes create, whose record is the same.
			p.Type = proto.OpCreate
		}
		node, err := c.head.ApplyPart(&c.txn.Header, p.Type, &p.Body, &c.open.events)
		if err != nil {
			panic(err) // planned against this very head
		}
		answers[i].node = node
	}
	c.txn.Body = proto.Body{Parts: parts}
	if failed == proto.OK {
		c.head.Commit()
		return
	}
	c.head.Rollback()
	clear(c.open.events[events:])
	c.open.events = c.open.events[:events]
	for i := range answers {
		answers[i].op, answers[i].node = proto.OpError, nil
	}
}

func errorPart(code proto.Code) proto.Part {
	return proto.Part{Type: proto.OpError, Body: proto.Body{Err: code}}
}

// decodeMulti reads the parts of a multi into scratch: {header, record}…, end header
// (MultiOperationRecord). A part that is no write, or whose flag no part may have, makes the
// whole request malformed.
func (c *core) decodeMulti(body []byte) ([]operation, bool) {
	clear(c.ops)
	c.ops = c.ops[:0]
	c.coder = jute.ReaderMax(body, c.fieldBytesMax)
	r := &c.coder
	for {
		var h proto.MultiHeader
		h.Fields(r)
		if r.Err() != nil {
			return nil, false
		}
		if h.Done {
			return c.ops, true
		}
		c.ops = append(c.ops, operation{})
		o := &c.ops[len(c.ops)-1]
		switch h.Op {
		case proto.OpSetACL, proto.OpDeleteContainer:
			return nil, false
		}
		if !o.read(h.Op, r) || !o.effective() {
			return nil, false
		}
	}
}

// effective turns a create part into the operation that its header type and its flag mean
// together (Op.Create.fromRecord); false where no client may send that pair.
func (o *operation) effective() bool {
	switch o.op {
	case proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer:
		switch {
		case o.ACL == nil, o.Flags < 0, o.Flags > proto.FlagContainer:
			return false
		case o.Flags == proto.FlagContainer:
			o.op = proto.OpCreateContainer
		}
	case proto.OpCreateTTL:
		switch {
		case o.ACL == nil, o.Flags < 0, o.Flags > proto.FlagPersistentSequentialTTL:
			return false
		case o.Flags == proto.FlagContainer:
			o.op, o.TTL = proto.OpCreateContainer, -1
		case o.Flags < proto.FlagContainer:
			o.op, o.TTL = proto.OpCreate, -1
		}
	}
	return true
}
