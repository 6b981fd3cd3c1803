package tree

import (
	"encoding/binary"
	"hash/crc32"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/meerkat-zk/meerkat/proto"
)

// A Node is a znode at one moment. Its text, path and then data, stands behind it in the same
// block of memory, which has no pointer for the collector to follow; one of more than
// textBehindMax stands apart, so that a change of the other fields need not copy it.
//
// Invariant: it never changes once it is in the tree; a changed znode is a new Node.
type Node struct {
	_         noCopy // its text would stay behind: see clone
	textBytes uint32
	bits      uint32 // pathBytes | kind | flags, see below
	textCRC   uint32 // of the text, as the digest has it
	version   int32
	cversion  int32 // stored: counts creates only
	aversion  int32
	children  int32
	czxid     proto.Zxid
	mzxid     proto.Zxid
	pzxid     proto.Zxid
	ctime     int64
	mtime     int64
	owner     int64 // stored ephemeralOwner
	acl       int64 // id in the ACL table, openACL for world:anyone ALL
}

const (
	nodeBytes     = int(unsafe.Sizeof(Node{}))
	textBehindMax = 1 << 10
)

// A largeNode is a Node whose text is longer than textBehindMax.
type largeNode struct {
	Node
	text string
}

// noCopy has go vet find copies.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// The bits of a node: the path's length in the low 28, then the flags.
const (
	pathBytesMax = 1<<28 - 1
	kindShift    = 28
	kindBits     = 3 << kindShift
	bitNull      = 1 << 30 // the data is null
	bitNoDigest  = 1 << 31 // the node does not count in the tree digest
)

// Path is the znode's path. It is the node's own memory: keeping it keeps the data too.
func (n *Node) Path() string { return n.text()[:n.bits&pathBytesMax] }

// Data is the znode's data: nil when it is null, which is not the same as empty. Read only.
func (n *Node) Data() []byte {
	data := n.text()[n.bits&pathBytesMax:]
	if len(data) > 0 {
		return unsafe.Slice(unsafe.StringData(data), len(data))
	}
	if n.bits&bitNull != 0 {
		return nil
	}
	return emptyData
}

// text is path and data.
func (n *Node) text() string {
	if n.textBytes-1 < textBehindMax { // 0 wraps
		return unsafe.String((*byte)(unsafe.Add(unsafe.Pointer(n), nodeBytes)), n.textBytes)
	}
	return n.farText()
}

func (n *Node) farText() string {
	if n.textBytes == 0 {
		return ""
	}
	return (*largeNode)(unsafe.Pointer(n)).text
}

// allocate returns a node with room for a text; the text of a large one is still to be set.
func allocate(textBytes int) *Node {
	if textBytes > textBehindMax {
		n := &largeNode{}
		n.textBytes = uint32(textBytes)
		return &n.Node
	}
	block := make([]byte, nodeBytes+textBytes)
	n := (*Node)(unsafe.Pointer(unsafe.SliceData(block)))
	n.textBytes = uint32(textBytes)
	return n
}

// resized returns a copy of a node with room for a text of another length, which is to be set.
func (n *Node) resized(textBytes int) *Node {
	c := allocate(textBytes)
	copy(unsafe.Slice((*byte)(unsafe.Pointer(c)), nodeBytes),
		unsafe.Slice((*byte)(unsafe.Pointer(n)), nodeBytes))
	c.textBytes = uint32(textBytes)
	return c
}

// clone returns a copy to be changed.
func (n *Node) clone() *Node {
	c := n.resized(int(n.textBytes))
	if n.textBytes > textBehindMax {
		(*largeNode)(unsafe.Pointer(c)).text = n.text()
	} else {
		c.fill(n.text(), nil)
	}
	return c
}

// block is the memory of a node whose text stands behind it.
func (n *Node) block() []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(n)), nodeBytes+int(n.textBytes))
}

// units is the size of that in a page.
func (n *Node) units() int { return (nodeBytes + int(n.textBytes) + packUnit - 1) / packUnit }

// fill copies two pieces into the text of a node that has room for them.
func (n *Node) fill(first string, second []byte) {
	size := len(first) + len(second)
	switch {
	case size == 0:
	case size > textBehindMax:
		text := make([]byte, size)
		copy(text[copy(text, first):], second)
		(*largeNode)(unsafe.Pointer(n)).text = unsafe.String(unsafe.SliceData(text), size)
	default:
		text := unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(n), nodeBytes)), size)
		copy(text[copy(text, first):], second)
	}
}

var emptyData = []byte{}

// Stat is the znode's stat as clients are shown it (DataNode.copyStat): cversion counts
// creates and deletes, and only a session counts as an owner.
func (n *Node) Stat() proto.Stat {
	s := proto.Stat{
		Czxid: n.czxid, Mzxid: n.mzxid, Ctime: n.ctime, Mtime: n.mtime,
		Version: n.version, Cversion: n.cversion*2 - n.children, Aversion: n.aversion,
		DataLength: int32(n.dataBytes()), NumChildren: n.children, Pzxid: n.pzxid,
	}
	if n.Kind() == Ephemeral {
		s.EphemeralOwner = n.owner
	}
	return s
}

// Persisted is the znode's stat as it is stored.
func (n *Node) Persisted() proto.StatPersisted {
	return proto.StatPersisted{
		Czxid: n.czxid, Mzxid: n.mzxid, Ctime: n.ctime, Mtime: n.mtime,
		Version: n.version, Cversion: n.cversion, Aversion: n.aversion,
		EphemeralOwner: n.owner, Pzxid: n.pzxid,
	}
}

// Kind says who removes the znode.
func (n *Node) Kind() Kind { return Kind(n.bits & kindBits >> kindShift) }

// TTL is the time to live of a TTL znode, in ms; 0 for other kinds.
func (n *Node) TTL() int64 {
	if n.Kind() != TTL {
		return 0
	}
	return n.owner & ttlMask
}

// Owner is the stored ephemeralOwner, of which Kind tells the meaning.
func (n *Node) Owner() int64 { return n.owner }

// Version counts changes of the data.
func (n *Node) Version() int32 { return n.version }

// StoredCversion counts the children ever created: the next sequence number.
func (n *Node) StoredCversion() int32 { return n.cversion }

// Aversion counts changes of the ACL.
func (n *Node) Aversion() int32 { return n.aversion }

// NumChildren is the number of children.
func (n *Node) NumChildren() int32 { return n.children }

// Czxid is the transaction that created the znode.
func (n *Node) Czxid() proto.Zxid { return n.czxid }

// Mzxid is the transaction that last set the data.
func (n *Node) Mzxid() proto.Zxid { return n.mzxid }

// Pzxid is the transaction that last created or deleted a child.
func (n *Node) Pzxid() proto.Zxid { return n.pzxid }

// Ctime is when the znode was created, in ms since 1970.
func (n *Node) Ctime() int64 { return n.ctime }

// Mtime is when the data was last set, in ms since 1970.
func (n *Node) Mtime() int64 { return n.mtime }

func (n *Node) dataBytes() int { return int(n.textBytes) - int(n.bits&pathBytesMax) }

// newNode returns a node with this path, data and owner, and no other field set. The owner
// must be of a known kind and the path no longer than pathBytesMax.
func (o Options) newNode(path string, data []byte, owner int64) *Node {
	n := allocate(len(path) + len(data))
	n.owner, n.acl = owner, openACL
	n.bits = uint32(o.Kind(owner)) << kindShift
	if o.NoDigest || strings.HasPrefix(path, procPrefix) {
		n.bits |= bitNoDigest
	}
	n.setText(path, data)
	return n
}

// setText gives a node that has room for them a path and data, copying both.
func (n *Node) setText(path string, data []byte) {
	n.bits = n.bits&^(pathBytesMax|bitNull) | uint32(len(path))
	if data == nil {
		n.bits |= bitNull
	}
	n.fill(path, data)
	if n.bits&bitNoDigest != 0 {
		return
	}
	text := n.text()
	if path == "/" {
		text = text[1:] // the root counts as the empty string
	}
	n.textCRC = crc32.ChecksumIEEE(unsafe.Slice(unsafe.StringData(text), len(text)))
}

// withData returns a copy of n with other data.
func (n *Node) withData(data []byte) *Node {
	path := n.Path()
	c := n.resized(len(path) + len(data))
	c.setText(path, data)
	return c
}

// A statBlock is what the digest covers after path and data (DigestCalculator):
//
//	czxid mzxid pzxid ctime mtime  5 longs
//	version cversion aversion      3 ints
//	ephemeralOwner                 long
type statBlock [60]byte

// digest is the CRC-32 of path, data and stored stat. The block is scratch space.
func (n *Node) digest(b *statBlock) uint64 {
	if n.bits&bitNoDigest != 0 {
		return 0
	}
	be := binary.BigEndian
	be.PutUint64(b[0:], uint64(n.czxid))
	be.PutUint64(b[8:], uint64(n.mzxid))
	be.PutUint64(b[16:], uint64(n.pzxid))
	be.PutUint64(b[24:], uint64(n.ctime))
	be.PutUint64(b[32:], uint64(n.mtime))
	be.PutUint32(b[40:], uint32(n.version))
	be.PutUint32(b[44:], uint32(n.cversion))
	be.PutUint32(b[48:], uint32(n.aversion))
	be.PutUint64(b[52:], uint64(n.owner))
	return uint64(crc32.Update(n.textCRC, crc32.IEEETable, b[:]))
}

// reportedBytes is what the znode adds to DataTree.approximateDataSize: its path in UTF-16
// units (a path has no others than single ones) and its data. Java's map holds the root
// twice, as "" and as "/".
func (n *Node) reportedBytes() int64 {
	path := n.Path()
	if path == "/" {
		return int64(1 + 2*n.dataBytes())
	}
	return int64(utf8.RuneCountInString(path) + n.dataBytes())
}
