package server

import (
	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
)

// planMulti plans and applies the parts of a multi one after the other, so that each sees what
// the earlier ones did. At the first that fails the head is put back as it was, and the
// transaction says so: it takes its zxid all the same (PrepRequestProcessor, multi).
func (c *core) planMulti(r *request, e *entry) {
	events := len(c.open.events)
	e.code = proto.ErrMarshalling
	if ops, ok := c.decodeMulti(r.body); ok {
		c.head.Begin()
		e.code = c.planParts(ops, r, e)
		if e.code == proto.OK {
			c.head.Commit()
			for i := range c.txn.Body.Parts {
				p := &c.txn.Body.Parts[i]
				c.wrote(p.Type, &p.Body)
			}
			return
		}
		c.head.Rollback()
		clear(c.open.events[events:])
		c.open.events = c.open.events[:events]
	}
	if e.code != proto.ErrMarshalling { // each part has its own answer
		e.code = proto.OK
		return
	}
	e.more = nil
	c.txn.Header.Type = proto.OpError
	c.txn.Body = proto.Body{Err: e.code}
}

// planParts fills in the transaction and the answers of a multi, and returns the code of the
// part that failed.
func (c *core) planParts(ops []operation, r *request, e *entry) (failed proto.Code) {
	parts := make([]proto.Part, len(ops))
	answers := make([]part, len(ops))
	e.more = &more{parts: answers}
	c.txn.Body = proto.Body{Parts: parts}
	for i := range ops {
		if failed != proto.OK {
			parts[i] = errorPart(proto.ErrRuntimeInconsistency)
			answers[i].code = proto.ErrRuntimeInconsistency
			continue
		}
		answers[i].op = ops[i].op
		if failed = c.planPart(&ops[i], r, &parts[i]); failed != proto.OK {
			parts[i] = errorPart(failed)
			answers[i].code = failed
			continue
		}
		node, err := c.head.ApplyPart(&c.txn.Header, parts[i].Type, &parts[i].Body, &c.open.events)
		if err != nil {
			panic(err) // planned against this very head
		}
		answers[i].node = node
	}
	if failed != proto.OK {
		for i := range answers {
			answers[i].op, answers[i].node = proto.OpError, nil
		}
	}
	return failed
}

// planPart plans one part. ErrMarshalling means that the whole multi gets no other answer: where
// Java runs into an exception, it forgets the parts.
func (c *core) planPart(o *operation, r *request, p *proto.Part) (code proto.Code) {
	if o.op != proto.OpCreateTTL && o.wantsTTL() {
		return proto.ErrMarshalling // the record has no TTL
	}
	p.Type, code = c.planOperation(o, r, &p.Body)
	if p.Type == proto.OpCreate2 {
		// 3.8 stops applying a multi at a part of this type, without a word (DataTree.processTxn);
		// it writes create, whose record is the same.
		p.Type = proto.OpCreate
	}
	return code
}

func errorPart(code proto.Code) proto.Part {
	return proto.Part{Type: proto.OpError, Body: proto.Body{Err: code}}
}

// decodeMulti reads the parts of a multi into scratch: {header, record}…, end header
// (MultiOperationRecord). False when that is not what the body holds, when a part is none that a
// multi may have, or has a null path. What a part must not ask for is found when it is planned.
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
		if !o.read(h.Op, r) || o.Path == jute.Null {
			return nil, false
		}
		o.effective()
	}
}

// effective turns a create part into the operation that its header type and its flag mean
// together (Op.Create.fromRecord). A flag that is none leaves it a create.
func (o *operation) effective() {
	switch o.op {
	case proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer:
		if o.Flags == proto.FlagContainer {
			o.op = proto.OpCreateContainer
		}
	case proto.OpCreateTTL:
		if o.wantsTTL() {
			return
		}
		if o.op, o.TTL = proto.OpCreate, -1; o.Flags == proto.FlagContainer {
			o.op = proto.OpCreateContainer
		}
	}
}
