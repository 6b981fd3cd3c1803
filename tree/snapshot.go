package tree

import (
	"errors"
	"hash"
	"hash/adler32"
	"io"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
)

// ErrSnapshot is what bad snapshots match with errors.Is.
var ErrSnapshot = errors.New("tree: bad snapshot")

// A snapshot file (FileSnap, DataTree.serialize). A seal's checksum is Adler-32 of all bytes
// before it, earlier seals included.
//
//	header    magic int "ZKSN", version int 2, dbid long -1
//	sessions  count int, then {id long, timeout int}
//	ACLs      count int, then {id long, vector<ACL>}
//	znodes    {path ustring, data buffer, acl long, StatPersisted}, the root's path is ""
//	end       ustring "/"
//	seal      checksum long, ustring "/"
//	digest    zxid long, version int, digest long; seal                           (since 3.6)
//	zxid      last processed zxid long; seal                                      (since 3.9)
const (
	snapshotMagic   int32 = 0x5a4b534e
	snapshotVersion int32 = 2
	snapshotDBID    int64 = -1

	snapshotEnd = "/"
)

// A zxidDigest is the tree digest after a transaction (DataTree.ZxidDigest).
type zxidDigest struct {
	zxid   proto.Zxid
	digest proto.Digest
}

func (d *zxidDigest) fields(c *jute.Coder) {
	c.Long((*int64)(&d.zxid))
	c.Int(&d.digest.Version)
	c.Long(&d.digest.TreeDigest)
}

// SnapshotOptions choose the sections of a snapshot.
type SnapshotOptions struct {
	Digest   bool // the tree digest: digest.enabled
	LastZxid bool // the processed zxid, which 3.9 writes; 3.8 stops reading before it
	// Pace, when set, is called after each piece was written, with its length.
	Pace func(bytes int)
}

// WriteSnapshot writes the tree as an uncompressed snapshot file.
func (r *Root) WriteSnapshot(w io.Writer, o SnapshotOptions) error {
	s := snapshotWriter{w: w, sum: adler32.New(), pace: o.Pace}
	magic, version, dbid := snapshotMagic, snapshotVersion, snapshotDBID
	s.code(func(c *jute.Coder) {
		c.Int(&magic)
		c.Int(&version)
		c.Long(&dbid)
	})
	s.tree(&r.View)
	s.seal()
	if o.Digest {
		d := zxidDigest{r.zxid, proto.Digest{Version: proto.DigestVersion}}
		if r.zxid > 0 { // Java has none before the first transaction
			d.digest.TreeDigest = r.Digest()
		}
		s.code(d.fields)
		s.seal()
	}
	if o.LastZxid {
		zxid := r.zxid
		s.code(func(c *jute.Coder) { c.Long((*int64)(&zxid)) })
		s.seal()
	}
	s.flush()
	return s.err
}

// WriteStream writes the tree as a SNAP packet carries it, without header and seals
// (ZKDatabase.serializeSnapshot). The signature that ends a SNAP is the caller's.
func (r *Root) WriteStream(w io.Writer, pace func(bytes int)) error {
	s := snapshotWriter{w: w, sum: adler32.New(), pace: pace}
	s.tree(&r.View)
	s.flush()
	return s.err
}

// pieceBytes is how much a snapshotWriter gathers before it writes.
const pieceBytes = 64 << 10

// A snapshotWriter gathers bytes, sums and writes them. Its first error sticks.
type snapshotWriter struct {
	w    io.Writer
	sum  hash.Hash32
	pace func(bytes int)
	buf  []byte
	err  error
}

// code appends what fields writes.
func (s *snapshotWriter) code(fields func(*jute.Coder)) {
	c := jute.Writer(s.buf)
	fields(&c)
	s.buf = c.Bytes()
	if len(s.buf) >= pieceBytes {
		s.flush()
	}
}

func (s *snapshotWriter) flush() {
	if s.err == nil && len(s.buf) > 0 {
		s.sum.Write(s.buf) // never fails
		_, s.err = s.w.Write(s.buf)
		if s.pace != nil && s.err == nil {
			s.pace(len(s.buf))
		}
	}
	s.buf = s.buf[:0]
}

// seal appends the checksum of everything so far.
func (s *snapshotWriter) seal() {
	s.flush()
	sum, end := int64(s.sum.Sum32()), snapshotEnd
	s.code(func(c *jute.Coder) {
		c.Long(&sum)
		c.String(&end)
	})
}

// tree appends sessions, ACLs and znodes.
func (s *snapshotWriter) tree(v *View) {
	s.count(v.SessionCount())
	v.Sessions(func(id int64, timeoutMs int32) bool {
		s.code(func(c *jute.Coder) {
			c.Long(&id)
			c.Int(&timeoutMs)
		})
		return s.err == nil
	})
	s.count(v.ACLCount())
	v.acls.live.Scan(func(e aclEntry) bool {
		s.code(func(c *jute.Coder) {
			c.Long(&e.id)
			proto.ACLs(c, &e.list)
		})
		return s.err == nil
	})
	v.walk(v.Get("/"), func(n *Node) bool {
		s.node(n)
		return s.err == nil
	})
	end := snapshotEnd
	s.code(func(c *jute.Coder) { c.String(&end) })
}

func (s *snapshotWriter) count(n int) {
	count := int32(n)
	s.code(func(c *jute.Coder) { c.Int(&count) })
}

func (s *snapshotWriter) node(n *Node) {
	path, data, acl, stat := n.Path(), n.Data(), n.acl, n.Persisted()
	if path == "/" {
		path = ""
	}
	c := jute.Writer(s.buf)
	c.String(&path)
	c.Buffer(&data)
	c.Long(&acl)
	stat.Fields(&c)
	if s.buf = c.Bytes(); len(s.buf) >= pieceBytes {
		s.flush()
	}
}
