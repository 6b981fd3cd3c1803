package tree

import (
	"cmp"
	"fmt"
	"hash"
	"hash/adler32"
	"io"
	"slices"
	"strconv"
	"unsafe"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
)

// ReadSnapshot reads an uncompressed snapshot file to its end. The zxid comes from the file's
// name. The head is tolerant, for a snapshot that Java wrote is fuzzy; DeadOwners names the
// sessions whose ephemerals it should not hold.
//
// Steps: header, sessions, ACLs, znodes as they come; seals; then the index is built from the
// znodes in the order of their keys, parents are found and children counted; quotas.
func ReadSnapshot(r io.Reader, z proto.Zxid, o Options) (*Head, error) {
	s := newSnapshotReader(r, o)
	h := s.file(o)
	s.trailer(h, z)
	if s.err != nil {
		return nil, s.err
	}
	h.zxid = z
	return h, nil
}

// file reads all that every snapshot file has.
func (s *snapshotReader) file(o Options) *Head {
	if magic := s.int(); s.err == nil && magic != snapshotMagic {
		s.fail("magic %#x", uint32(magic))
	}
	s.int()  // version: Java does not look at it
	s.long() // dbid
	h := s.tree(o)
	s.seal()
	return h
}

// LoadedDigest is the tree digest that the snapshot gives for a zxid, at or after its own: the
// tree must have it once that transaction was applied. It is false when the snapshot has none.
func (h *Head) LoadedDigest() (z proto.Zxid, digest int64, ok bool) {
	return h.loaded.zxid, h.loaded.digest.TreeDigest,
		h.loaded.zxid > 0 && h.loaded.digest.Version == proto.DigestVersion
}

// A snapshotReader reads primitives from a stream and sums what it has read. Its first error
// sticks; after it everything reads as zero.
//
// Invariant: memory grows with the bytes that came, not with the lengths they claim.
type snapshotReader struct {
	r              io.Reader
	sum            hash.Hash32
	buf            []byte // what was read ahead: unread is buf[pos:], summed buf[:summed]
	pos, summed    int
	offset         int64 // of buf[0] in the stream
	stringBytesMax int
	text           []byte     // the last string or buffer
	eof            bool       // the stream has no more bytes to read ahead
	last           proto.Zxid // the processed zxid, if there is a section for it
	hasLast        bool
	err            error
}

func newSnapshotReader(r io.Reader, o Options) *snapshotReader {
	s := &snapshotReader{r: r, sum: adler32.New(), buf: make([]byte, 0, pieceBytes),
		stringBytesMax: jute.BytesMax}
	if o.StringBytesMax > 0 {
		s.stringBytesMax = o.StringBytesMax
	}
	return s
}

func (s *snapshotReader) fail(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf("%w: offset %d: %s", ErrSnapshot, s.offset+int64(s.pos),
			fmt.Sprintf(format, args...))
	}
}

// fill makes n bytes available, n at most the size of the buffer.
func (s *snapshotReader) fill(n int) bool {
	if s.err != nil {
		return false
	}
	if len(s.buf)-s.pos >= n {
		return true
	}
	s.addUp()
	s.offset += int64(s.pos)
	s.buf = s.buf[:copy(s.buf, s.buf[s.pos:])]
	s.pos, s.summed = 0, 0
	have := len(s.buf)
	got, err := io.ReadAtLeast(s.r, s.buf[have:cap(s.buf)], n-have)
	s.buf = s.buf[:have+got]
	switch {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		s.eof = true
		s.fail("it ends where %d more bytes are due", n-have-got)
	case err != nil:
		s.err = fmt.Errorf("%w: offset %d: %w", ErrSnapshot, s.offset+int64(len(s.buf)), err)
	}
	return s.err == nil
}

// addUp brings the checksum up to what was read.
func (s *snapshotReader) addUp() {
	s.sum.Write(s.buf[s.summed:s.pos])
	s.summed = s.pos
}

// take returns the next n bytes, which the next call may overwrite.
func (s *snapshotReader) take(n int) []byte {
	if !s.fill(n) {
		return make([]byte, n)
	}
	s.pos += n
	return s.buf[s.pos-n : s.pos]
}

func (s *snapshotReader) int() (v int32) {
	c := jute.Reader(s.take(4))
	c.Int(&v)
	return v
}

func (s *snapshotReader) long() (v int64) {
	c := jute.Reader(s.take(8))
	c.Long(&v)
	return v
}

// appendBytes reads a string or buffer to the end of s.text; false when it is null.
func (s *snapshotReader) appendBytes() bool {
	n := int(s.int())
	if n < -1 || n > s.stringBytesMax {
		s.fail("length %d, at most %d", n, s.stringBytesMax)
	}
	for n > 0 && s.fill(1) {
		piece := min(n, len(s.buf)-s.pos)
		s.text = append(s.text, s.take(piece)...)
		n -= piece
	}
	return n >= 0
}

// string reads a string into memory of its own.
func (s *snapshotReader) string() string {
	s.text = s.text[:0]
	if !s.appendBytes() {
		return jute.Null
	}
	return jute.CopyText(s.text)
}

// seal compares a checksum with what was read so far.
func (s *snapshotReader) seal() {
	s.addUp()
	sum := int64(s.sum.Sum32())
	if got := s.long(); s.err == nil && got != sum {
		s.fail("checksum %#x, its bytes have %#x", got, sum)
	}
	if end := s.string(); s.err == nil && end != snapshotEnd {
		s.fail("seal ends with %q", end)
	}
}

// atEOF tells whether nothing is left.
func (s *snapshotReader) atEOF() bool {
	if s.err != nil || s.fill(1) {
		return false
	}
	if s.eof {
		s.err = nil
	}
	return true
}

// tree reads sessions, ACLs and znodes into a new head.
func (s *snapshotReader) tree(o Options) *Head {
	h := newHead(o)
	h.tolerant = true
	for n := s.int(); n > 0 && s.err == nil; n-- {
		id := s.long()
		h.sessions.mutable().Set(session{id, s.int()})
	}
	open := s.acls(h)
	entries := s.nodes(h, open)
	if s.err == nil {
		s.err = h.build(entries)
	}
	return h
}

// acls reads the ACL table and returns the ids that turn out to be open to everyone: we do
// not keep those in the table.
func (s *snapshotReader) acls(h *Head) (open map[int64]bool) {
	open = map[int64]bool{}
	for n := s.int(); n > 0 && s.err == nil; n-- {
		id := s.long()
		count := s.int()
		if count == -1 {
			s.fail("ACL %d is null", id)
		}
		list := []proto.ACL{}
		for ; count > 0 && s.err == nil; count-- {
			perms := s.int()
			scheme := s.string()
			list = append(list, proto.ACL{Perms: perms, ID: proto.ID{Scheme: scheme,
				ID: s.string()}})
		}
		if h.aclUses.last = max(h.aclUses.last, id); isOpen(list) {
			open[id] = true
		} else if _, twice := h.aclUses.uses[id]; twice || id == openACL {
			s.fail("ACL %d is there twice, or not to be there", id)
		} else if s.err == nil {
			c := jute.Writer(nil)
			proto.ACLs(&c, &list)
			h.addACL(id, string(c.Bytes()))
		}
	}
	return open
}

// nodes reads the znodes.
func (s *snapshotReader) nodes(h *Head, open map[int64]bool) []entry {
	var entries []entry
	for s.err == nil {
		s.text = s.text[:0]
		if !s.appendBytes() {
			s.fail("a znode whose path is null")
		}
		pathBytes := len(s.text)
		if string(s.text) == snapshotEnd {
			break
		}
		hasData := s.appendBytes()
		acl := s.long()
		var stat proto.StatPersisted
		c := jute.Reader(s.take(60))
		stat.Fields(&c)
		if s.err != nil {
			break
		}
		n := s.node(h.opts, pathBytes, hasData, &stat)
		if n == nil {
			break
		}
		if !open[acl] {
			n.acl = h.loadACL(acl)
		}
		h.useACL(n.acl)
		entries = append(entries, entry{keyOf(n.Path()), n})
	}
	return entries
}

// loadACL is the id to load a znode with. An id that the table lacks is of a list that is newer
// than the fuzzy snapshot's table. It may not stay: replay will give the same id to the next
// list that is new to it, which need not be the same.
func (h *Head) loadACL(id int64) int64 {
	if _, known := h.aclUses.uses[id]; known || id == openACL {
		return id
	}
	h.fuzzy = true
	return h.intern(closedACL)
}

// node makes a znode of s.text, which holds path and data; nil when it cannot be one.
func (s *snapshotReader) node(o Options, pathBytes int, hasData bool,
	stat *proto.StatPersisted,
) *Node {
	path, data := unsafe.String(unsafe.SliceData(s.text), pathBytes), s.text[pathBytes:]
	if path == "" {
		path = "/"
	} else if _, ok := splitPath(path); !ok {
		s.fail("path %q", path)
		return nil
	}
	if o.Kind(stat.EphemeralOwner) == unknownKind {
		s.fail("%q has owner %#x", path, uint64(stat.EphemeralOwner))
		return nil
	}
	switch {
	case !hasData:
		data = nil
	case len(data) == 0:
		data = emptyData
	}
	n := o.newNode(path, data, stat.EphemeralOwner)
	n.czxid, n.mzxid, n.pzxid = stat.Czxid, stat.Mzxid, stat.Pzxid
	n.ctime, n.mtime = stat.Ctime, stat.Mtime
	n.version, n.cversion, n.aversion = stat.Version, stat.Cversion, stat.Aversion
	return n
}

// build fills a head that has ACLs but no znodes.
func (h *Head) build(entries []entry) error {
	slices.SortFunc(entries, func(a, b entry) int {
		if c := cmp.Compare(a.parent, b.parent); c != 0 {
			return c
		}
		if c := cmp.Compare(a.name, b.name); c != 0 {
			return c
		}
		return cmp.Compare(a.node.Path(), b.node.Path())
	})
	for i := 1; i < len(entries); i++ {
		if a, b := &entries[i-1], &entries[i]; a.key == b.key && a.node.Path() == b.node.Path() {
			return fmt.Errorf("%w: %q is there twice", ErrSnapshot, entries[i].node.Path())
		}
	}
	h.nodes.load(entries)
	if err := h.countChildren(entries); err != nil {
		return err
	}
	for _, e := range entries {
		h.digest += e.node.digest(&h.block)
		h.dataBytes += e.node.reportedBytes()
		h.list(e.node)
	}
	for id, u := range h.aclUses.uses {
		if u.nodes == 0 {
			h.forgetACL(id, u)
		}
	}
	var quotas []string
	h.quotas.live.Scan(func(path string) bool { quotas = append(quotas, path); return true })
	for _, path := range quotas {
		h.recount(path)
	}
	return nil
}

// countChildren finds the parent of each znode. Nobody else has seen the nodes yet, so they
// may still be changed.
func (h *Head) countChildren(entries []entry) error {
	if h.Get("/") == nil {
		return fmt.Errorf("%w: it has no root", ErrSnapshot)
	}
	var parent *Node // of the last entry: siblings are neighbours
	for _, e := range entries {
		path := e.node.Path()
		if path == "/" {
			continue
		}
		parentPath, _ := splitPath(path)
		if parentPath == "" {
			parentPath = "/"
		}
		if parent == nil || parent.Path() != parentPath {
			parent = h.Get(parentPath)
		}
		if parent == nil {
			return fmt.Errorf("%w: %q has no parent", ErrSnapshot, path)
		}
		parent.children++
	}
	return nil
}

// trailer reads the sections that follow the first seal, none of which need be there. One that
// is just a zxid and its seal was written without the digest.
// The zxid of the last one counts where there is no file name to tell it.
func (s *snapshotReader) trailer(h *Head, z proto.Zxid) {
	const zxidAndSeal = 8 + 8 + 4 + 1
	if s.err != nil || s.atEOF() {
		return
	}
	if s.fill(zxidAndSeal + 1); s.eof && s.pos+zxidAndSeal == len(s.buf) {
		s.err = nil
	} else {
		s.digest(h, z)
		if s.err != nil || s.atEOF() {
			return
		}
	}
	s.last, s.hasLast = proto.Zxid(s.long()), true
	s.seal()
}

// digest reads the section of the tree digest. Version 1 was hexadecimal text.
func (s *snapshotReader) digest(h *Head, z proto.Zxid) {
	d := zxidDigest{zxid: proto.Zxid(s.long())}
	d.digest.Version = s.int()
	if d.digest.Version < proto.DigestVersion {
		_, err := strconv.ParseInt(s.string(), 16, 64)
		if err != nil {
			s.fail("digest: %v", err)
		}
	} else {
		d.digest.TreeDigest = s.long()
	}
	s.seal()
	if d.zxid >= z { // an older one is of no use, see DataTree.deserializeZxidDigest
		h.loaded = d
	}
}
