package tree

import (
	"fmt"
	"slices"

	"github.com/meerkat-zk/meerkat/proto"
)

// An Event is what a transaction did to one znode, for the watches. Changes of the parent's
// children follow from it: they are its reader's to derive.
type Event struct {
	Type           int32       // proto.EventNodeCreated, EventNodeDeleted or EventNodeDataChanged
	Path           string      // memory of the znode
	ACL, ParentACL []proto.ACL // at the time of the change; nil when open to everyone
}

// An Error says that a committed transaction does not apply: replicas have parted.
type Error struct {
	Zxid proto.Zxid
	Op   proto.Op
	Path string
	Code proto.Code
}

func (e *Error) Error() string {
	return fmt.Sprintf("tree: transaction %v does not apply: %v %q: %v", e.Zxid, e.Op, e.Path,
		e.Code)
}

// Apply applies a whole transaction, appends what it did to ev (which may be nil), and raises
// the processed zxid, whatever happened (DataTree.processTxn). A strict head returns an
// *Error, and has applied nothing, when any part of it does not apply.
func (h *Head) Apply(t *proto.Txn, ev *[]Event) error {
	defer h.Advance(t.Header.Zxid)
	if t.Header.Type == proto.OpMulti {
		return h.applyMulti(&t.Header, t.Body.Parts, ev)
	}
	_, err := h.ApplyPart(&t.Header, t.Header.Type, &t.Body, ev)
	return err
}

// applyMulti applies all parts or, when one of them is an error, none.
func (h *Head) applyMulti(hdr *proto.TxnHeader, parts []proto.Part, ev *[]Event) error {
	for i := range parts {
		if parts[i].Type == proto.OpError {
			return nil
		}
	}
	if ev == nil {
		ev = new([]Event)
	}
	before := len(*ev)
	h.Begin()
	for i := range parts {
		if _, err := h.ApplyPart(hdr, parts[i].Type, &parts[i].Body, ev); err != nil {
			h.Rollback()
			*ev = (*ev)[:before]
			return err
		}
	}
	h.Commit()
	return nil
}

// ApplyPart applies one operation of a transaction and returns the znode as it is afterwards,
// nil when there is none. It leaves the processed zxid alone.
func (h *Head) ApplyPart(hdr *proto.TxnHeader, op proto.Op, b *proto.Body, ev *[]Event) (
	*Node, error,
) {
	var n *Node
	var code proto.Code
	switch op {
	case proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer, proto.OpCreateTTL:
		n, code = h.create(hdr, op, b, ev)
	case proto.OpDelete, proto.OpDeleteContainer:
		code = h.remove(b.Path, hdr.Zxid, h.tolerant, ev)
	case proto.OpSetData, proto.OpReconfig:
		n, code = h.setData(hdr, b, ev)
	case proto.OpSetACL:
		n, code = h.setACL(b)
	case proto.OpCreateSession:
		h.setSession(session{hdr.ClientID, b.TimeOut})
	case proto.OpCloseSession:
		h.closeSession(hdr, b.Paths, ev)
	case proto.OpCheck, proto.OpError:
	default:
		code = proto.ErrUnimplemented
	}
	forgiven := h.tolerant && (code == proto.ErrNoNode || code == proto.ErrNodeExists)
	if code == proto.OK || forgiven {
		h.fuzzy = h.fuzzy || forgiven
		return n, nil
	}
	// The path is copied, for it may alias a buffer of the caller.
	return nil, &Error{Zxid: hdr.Zxid, Op: op, Path: string([]byte(b.Path)), Code: code}
}

// create adds a znode (DataTree.createNode).
func (h *Head) create(hdr *proto.TxnHeader, op proto.Op, b *proto.Body, ev *[]Event) (
	*Node, proto.Code,
) {
	parentPath, ok := splitPath(b.Path)
	if !ok {
		return nil, proto.ErrBadArguments
	}
	owner, ok := h.ownerOf(hdr, op, b)
	if !ok {
		return nil, proto.ErrBadArguments
	}
	parent := h.find(parentPath, &h.parentHint)
	if parent == nil {
		return nil, proto.ErrNoNode
	}
	if was := h.find(b.Path, &h.hint); was != nil {
		if h.tolerant {
			h.recreate(hdr, b, parent, was)
		}
		return nil, proto.ErrNodeExists
	}
	n := h.opts.newNode(b.Path, b.Data, owner)
	n.czxid, n.mzxid, n.pzxid = hdr.Zxid, hdr.Zxid, hdr.Zxid
	n.ctime, n.mtime = hdr.Time, hdr.Time
	n.acl = h.intern(b.ACL)
	p := parent.clone()
	p.children++
	p.raiseCversion(b.ParentCversion, hdr.Zxid)
	h.replace(nil, n, &h.hint)
	h.replace(parent, p, &h.parentHint)
	h.recountAt(b.Path)
	h.charge(b.Path, int64(len(b.Data)), 1)
	h.emit(ev, proto.EventNodeCreated, n, parent)
	return n, proto.OK
}

// ownerOf is the stored owner of a znode that a transaction creates.
func (h *Head) ownerOf(hdr *proto.TxnHeader, op proto.Op, b *proto.Body) (owner int64, ok bool) {
	switch {
	case op == proto.OpCreateContainer:
		return ContainerOwner, true
	case op == proto.OpCreateTTL:
		return TTLOwner(b.TTL)
	case b.Ephemeral:
		return hdr.ClientID, h.opts.Kind(hdr.ClientID) != unknownKind
	default:
		return 0, true
	}
}

// raiseCversion gives a parent, which is not in the tree yet, the cversion of a create and its
// zxid, unless it has seen later ones.
func (n *Node) raiseCversion(cversion int32, zxid proto.Zxid) {
	if cversion == -1 { // a transaction of before 3.4
		cversion = n.cversion + 1
	}
	if cversion > n.cversion {
		n.cversion, n.pzxid = cversion, zxid
	}
}

// recreate is what happens to a znode that a fuzzy snapshot has already: it takes the ACL, and
// the parent takes cversion and pzxid, unless it has seen later ones. Java does the second for
// the oldest kind of create alone, and 3.8 not the first; both make the tree what it was.
func (h *Head) recreate(hdr *proto.TxnHeader, b *proto.Body, parent, was *Node) {
	n := was.clone()
	if n.acl = h.intern(b.ACL); n.acl != was.acl {
		h.replace(was, n, &h.hint)
	}
	p := parent.clone()
	if p.raiseCversion(b.ParentCversion, hdr.Zxid); p.cversion != parent.cversion {
		h.replace(parent, p, &h.parentHint)
	}
	h.recountAt(b.Path) // the limits may have been missing for a while
}

// recountAt counts the usage of a quota whose znode of the usage this path is.
func (h *Head) recountAt(path string) {
	if quota, name := splitQuota(path); name == statsName && quota != "" {
		h.recount(quota)
	}
}

// remove deletes a znode (DataTree.deleteNode). Leniently, as Java always does it, the parent's
// pzxid rises even when there is no such child, and children do not stop it: in the history
// there were none yet, so what a fuzzy snapshot has of them goes too, and their own creates
// bring them back. (Java keeps them, out of reach, and counts them twice in a quota.)
func (h *Head) remove(path string, zxid proto.Zxid, lenient bool, ev *[]Event) proto.Code {
	parentPath, ok := splitPath(path)
	if !ok {
		return proto.ErrBadArguments
	}
	parent := h.find(parentPath, &h.parentHint)
	if parent == nil {
		return proto.ErrNoNode
	}
	n := h.find(path, &h.hint)
	switch {
	case n == nil && !lenient:
		return proto.ErrNoNode
	case n != nil && n.children > 0 && !lenient:
		return proto.ErrNotEmpty
	}
	if n != nil && n.children > 0 {
		h.fuzzy = true
		h.removeBelow(path, ev)
		// Quotas count in znodes, which may be these.
		n, parent = h.find(path, &h.hint), h.find(parentPath, &h.parentHint)
	}
	p := parent.clone()
	p.pzxid = max(p.pzxid, zxid)
	if n == nil {
		if p.pzxid != parent.pzxid {
			h.replace(parent, p, &h.parentHint)
		}
		return proto.ErrNoNode
	}
	p.children--
	h.emit(ev, proto.EventNodeDeleted, n, parent)
	h.replace(parent, p, &h.parentHint)
	h.replace(n, nil, nil)
	h.charge(path, -int64(n.dataBytes()), -1)
	return proto.OK
}

// removeBelow deletes all znodes below a path, whose own turn is next: it does not count them
// down.
func (h *Head) removeBelow(path string, ev *[]Event) {
	var below []*Node
	h.Descendants(path, func(n *Node) bool { below = append(below, n); return true })
	for _, n := range slices.Backward(below) {
		n = h.nodes.get(n.Path()) // as it is now: a quota may have counted in it
		h.emit(ev, proto.EventNodeDeleted, n, nil)
		h.replace(n, nil, nil)
		h.charge(n.Path(), -int64(n.dataBytes()), -1)
	}
}

// setData replaces a znode's data (DataTree.setData).
func (h *Head) setData(hdr *proto.TxnHeader, b *proto.Body, ev *[]Event) (*Node, proto.Code) {
	was := h.find(b.Path, &h.hint)
	if was == nil {
		return nil, proto.ErrNoNode
	}
	n := was.withData(b.Data)
	n.version, n.mzxid, n.mtime = b.Version, hdr.Zxid, hdr.Time
	h.replace(was, n, &h.hint)
	h.charge(n.Path(), int64(n.dataBytes()-was.dataBytes()), 0)
	h.emit(ev, proto.EventNodeDataChanged, n, nil)
	return n, proto.OK
}

// setACL replaces a znode's ACL (DataTree.setACL). No watch hears of it.
func (h *Head) setACL(b *proto.Body) (*Node, proto.Code) {
	was := h.find(b.Path, &h.hint)
	if was == nil {
		return nil, proto.ErrNoNode
	}
	n := was.clone()
	n.aversion, n.acl = b.Version, h.intern(b.ACL)
	h.replace(was, n, &h.hint)
	return n, proto.OK
}

// closeSession ends a session and deletes its ephemerals (DataTree.killSession): those that
// the transaction lists, then any others that it has, sorted. As in Java a listed path that
// does not exist is passed over.
func (h *Head) closeSession(hdr *proto.TxnHeader, listed []string, ev *[]Event) {
	for _, path := range listed {
		h.remove(path, hdr.Zxid, true, ev)
	}
	rest := h.closedPaths[:0]
	h.Ephemerals(hdr.ClientID, func(path string) bool {
		rest = append(rest, path)
		return true
	})
	for _, path := range rest {
		h.remove(path, hdr.Zxid, true, ev)
	}
	clear(rest)
	h.closedPaths = rest[:0]
	h.dropSession(hdr.ClientID)
}

// emit appends an event for n. The parent is nil when its ACL does not matter.
func (h *Head) emit(ev *[]Event, kind int32, n, parent *Node) {
	if ev == nil {
		return
	}
	e := Event{Type: kind, Path: n.Path(), ACL: h.ACL(n)}
	if parent != nil {
		e.ParentACL = h.ACL(parent)
	}
	*ev = append(*ev, e)
}
