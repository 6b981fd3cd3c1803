package proto

import (
	"bytes"
	"fmt"

	"github.com/meerkat-zk/meerkat/jute"
)

// TxnHeader starts every serialized transaction: 32 bytes.
type TxnHeader struct {
	ClientID int64 // session id, 0 for the server's own
	Cxid     int32 // the client's xid
	Zxid     Zxid
	Time     int64 // ms since 1970, by the leader's clock
	Type     Op
}

// Fields codes TxnHeader.
func (r *TxnHeader) Fields(c *jute.Coder) {
	c.Long(&r.ClientID)
	c.Int(&r.Cxid)
	c.Long((*int64)(&r.Zxid))
	c.Long(&r.Time)
	c.Int((*int32)(&r.Type))
}

// A Body is the record of a transaction: one struct for all types, so that a transaction is
// a value and planning allocates nothing. The type says which fields count:
//
//	create, create2      Path Data ACL Ephemeral ParentCversion
//	createContainer      Path Data ACL ParentCversion
//	createTTL            Path Data ACL ParentCversion TTL
//	delete, deleteContainer  Path
//	setData, reconfig    Path Data Version (the new one)
//	setACL               Path ACL Version (the new one)
//	check                Path Version (the checked one + 1)
//	createSession        TimeOut
//	closeSession         Paths (nil: record and digest are absent, see Txn.Fields)
//	multi                Parts
//	error                Err
type Body struct {
	Path           string
	Data           []byte
	ACL            []ACL
	Ephemeral      bool
	ParentCversion int32
	Version        int32
	TTL            int64 // ms
	TimeOut        int32 // ms
	Err            Code
	Paths          []string
	Parts          []Part
}

// A Part is one transaction of a multi.
type Part struct {
	Type Op
	Body Body
}

// Fields codes the record of a transaction of type op (SerializeUtils.deserializeTxn).
func (b *Body) Fields(c *jute.Coder, op Op) {
	switch op {
	case OpCreate, OpCreate2:
		c.String(&b.Path)
		c.Buffer(&b.Data)
		ACLs(c, &b.ACL)
		c.Bool(&b.Ephemeral)
		if c.Reading() && op == OpCreate && !c.More() {
			b.ParentCversion = -1 // CreateTxnV0, before 3.4
			return
		}
		c.Int(&b.ParentCversion)
	case OpCreateContainer, OpCreateTTL:
		c.String(&b.Path)
		c.Buffer(&b.Data)
		ACLs(c, &b.ACL)
		c.Int(&b.ParentCversion)
		if op == OpCreateTTL {
			c.Long(&b.TTL)
		}
	case OpDelete, OpDeleteContainer:
		c.String(&b.Path)
	case OpSetData, OpReconfig:
		c.String(&b.Path)
		c.Buffer(&b.Data)
		c.Int(&b.Version)
	case OpSetACL:
		c.String(&b.Path)
		ACLs(c, &b.ACL)
		c.Int(&b.Version)
	case OpCheck:
		c.String(&b.Path)
		c.Int(&b.Version)
	case OpCreateSession:
		c.Int(&b.TimeOut)
	case OpCloseSession:
		if c.Reading() && !c.More() || !c.Reading() && b.Paths == nil {
			return
		}
		jute.Strings(c, &b.Paths)
	case OpMulti:
		jute.Vector(c, &b.Parts, 8, func(c *jute.Coder, p *Part) { p.fields(c) })
	case OpError:
		c.Int((*int32)(&b.Err))
	default:
		c.Fail(&UnknownTxnError{Type: op})
	}
}

func (p *Part) fields(c *jute.Coder) {
	c.Int((*int32)(&p.Type))
	c.Embedded(func(c *jute.Coder) { p.Body.Fields(c, p.Type) })
}

// UnknownTxnError says that a transaction has a type that no server writes.
type UnknownTxnError struct{ Type Op }

func (e *UnknownTxnError) Error() string {
	return "proto: unknown transaction type " + e.Type.String()
}

// DigestVersion is the version of tree digest that servers since 3.6 agree on.
const DigestVersion int32 = 2

// A Digest is the tree digest that a transaction promises after it was applied.
type Digest struct {
	Version    int32
	TreeDigest int64 // unsigned in meaning
}

// A Txn is a whole transaction: what a log record and a PROPOSAL carry.
type Txn struct {
	Header    TxnHeader
	Body      Body
	Digest    Digest
	HasDigest bool
}

// Fields codes header, record and the optional digest; bytes after it are ignored.
//
// A closeSession without a record (Paths is nil) is written without a digest. A reader, Java's as
// ours, asks whether anything follows the header, and would take the digest for the record.
func (t *Txn) Fields(c *jute.Coder) {
	t.Header.Fields(c)
	if c.Err() != nil {
		return
	}
	if !c.Reading() {
		t.Body.Fields(c, t.Header.Type)
		if t.HasDigest && !t.hasNoRecord() {
			t.Digest.fields(c)
		}
		return
	}
	if t.Header.Type != OpCloseSession || !isDigestAlone(c.Rest()) {
		t.Body.Fields(c, t.Header.Type)
	}
	if t.HasDigest = c.Err() == nil && len(c.Rest()) >= digestBytes; t.HasDigest {
		t.Digest.fields(c)
	}
}

func (t *Txn) hasNoRecord() bool { return t.Header.Type == OpCloseSession && t.Body.Paths == nil }

func (d *Digest) fields(c *jute.Coder) {
	c.Int(&d.Version)
	c.Long(&d.TreeDigest)
}

const digestBytes = 12

// isDigestAlone tells whether a digest follows the header of a closeSession, and no record: a
// Java server with closeSessionTxn.enabled=false logs that, though no other can load it. Its
// first four bytes are the version, which is 2, and as a record they would count two paths. Two
// paths take at least 16 bytes, unless they are empty, and those would have no digest.
func isDigestAlone(rest []byte) bool {
	const twoEmptyPaths = "\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00"
	return len(rest) == digestBytes && string(rest[:4]) == twoEmptyPaths[:4] &&
		string(rest) != twoEmptyPaths
}

// CheckReadBack tells what a reader would not get back from data, which is t as it was written.
// Java reads a whole transaction as one field, of bytesMax at most.
func (t *Txn) CheckReadBack(data []byte, bytesMax int) error {
	var got Txn
	c := jute.ReaderMax(data, bytesMax)
	got.Fields(&c)
	again := jute.Writer(nil)
	got.Fields(&again)
	switch {
	case len(data) > bytesMax:
		return fmt.Errorf("proto: a transaction of %d bytes, at most %d", len(data), bytesMax)
	case c.Err() != nil:
		return c.Err()
	case got.Header != t.Header, got.HasDigest != (t.HasDigest && !t.hasNoRecord()),
		got.HasDigest && got.Digest != t.Digest, len(got.Body.Paths) != len(t.Body.Paths),
		len(got.Body.Parts) != len(t.Body.Parts), len(c.Rest()) != 0,
		!bytes.Equal(again.Bytes(), data):
		return fmt.Errorf("proto: a %v of zxid %v reads back as another transaction",
			t.Header.Type, t.Header.Zxid)
	}
	return nil
}
