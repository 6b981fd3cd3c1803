package tree

import (
	"strings"

	"github.com/meerkat-zk/meerkat/proto"
	"github.com/tidwall/btree"
)

// The znodes that every tree has.
const (
	procPath   = "/zookeeper"
	procPrefix = procPath + "/" // what is below counts in no digest
	quotaPath  = "/zookeeper/quota"
	configPath = "/zookeeper/config"
)

// A Head is the tree that transactions change. It belongs to one goroutine.
type Head struct {
	View
	opts     Options
	aclUses  aclUses
	tolerant bool
	fuzzy    bool // something was forgiven, see Fuzzy

	root *Root // the last frozen one; nil when something changed since

	undoing bool // between Begin and Commit or Rollback
	undo    []undo
	lastACL int64 // aclUses.last at Begin

	loaded zxidDigest // what the snapshot said of itself

	// Scratch space.
	block       statBlock
	parentHint  btree.PathHint
	hint        btree.PathHint
	closedPaths []string
	seen        [2]seen
	seenCount   int
}

// A seen is a look-up of planning. Applying what was planned looks the same paths up again.
//
// Invariant: nothing was changed since, and the path's bytes are the caller's still: replace and
// Advance forget them all.
type seen struct {
	path string
	node *Node // nil: there is none
	hint btree.PathHint
}

// Get returns the znode at path, nil when there is none, and remembers it for what is applied
// next.
func (h *Head) Get(path string) *Node {
	if path == "" {
		path = "/"
	}
	if h.seenCount == len(h.seen) {
		return h.find(path, &h.hint)
	}
	s := &h.seen[h.seenCount]
	s.node = h.find(path, &s.hint)
	s.path = path
	h.seenCount++
	return s.node
}

// find is a look-up whose hint is for a replace of the same path.
func (h *Head) find(path string, hint *btree.PathHint) *Node {
	for i := range h.seen[:h.seenCount] {
		if s := &h.seen[i]; s.path == path {
			*hint = s.hint
			return s.node
		}
	}
	return h.nodes.getHint(path, hint)
}

// A Root is a tree that does not change. Any goroutine may read it, without a lock.
type Root struct{ View }

// An undo is one step back: what a node was, an ACL that was dropped, or what a session was.
type undo struct {
	was, is *Node
	session *sessionUndo
	acl     string // encoded
	id      int64  // of the ACL
}

// A sessionUndo is what a session was, if it existed.
type sessionUndo struct {
	session
	existed bool
}

// NewHead returns a fresh database (DataTree's constructor): the root, /zookeeper, and there
// quota and config, which everyone may read.
func NewHead(o Options) *Head {
	h := newHead(o)
	h.zero("/", 1)
	h.zero(procPath, 2)
	h.zero(quotaPath, 0)
	h.addConfig()
	return h
}

func newHead(o Options) *Head {
	return &Head{View: newView(), opts: o, aclUses: newACLUses()}
}

// zero adds a znode of the fresh database.
func (h *Head) zero(path string, children int32) {
	n := h.opts.newNode(path, emptyData, 0)
	n.children = children
	h.replace(nil, n, nil)
}

func (h *Head) addConfig() {
	n := h.opts.newNode(configPath, emptyData, 0)
	n.aversion = -1
	n.acl = h.intern([]proto.ACL{{Perms: proto.PermRead, ID: proto.OpenACL[0].ID}})
	h.replace(nil, n, nil)
}

// Freeze returns the tree as it is now. It costs one small header for each structure that
// changed since the last time, and nothing when none did.
func (h *Head) Freeze() *Root {
	if h.undoing {
		panic("tree: Freeze between Begin and Commit")
	}
	if h.root == nil {
		h.root = &Root{h.freeze()}
	}
	return h.root
}

// Options are what the tree was made with.
func (h *Head) Options() Options { return h.opts }

// SetTolerant chooses how transactions that do not apply are taken. A tolerant head ignores
// them as Java does, because the state that it started from may be fuzzy: it may already
// hold some of their effects. A strict head returns an error. A head from ReadSnapshot starts
// tolerant, a fresh one strict.
func (h *Head) SetTolerant(on bool) { h.tolerant = on }

// Tolerant tells whether transactions that do not apply are ignored.
func (h *Head) Tolerant() bool { return h.tolerant }

// Fuzzy tells whether something had to be forgiven on the way here: the files that this head
// was read from do not say exactly what they mean.
func (h *Head) Fuzzy() bool { return h.fuzzy }

// Advance raises the processed zxid.
func (h *Head) Advance(z proto.Zxid) {
	h.seenCount = 0
	if z > h.zxid {
		h.zxid = z
		h.root = nil
	}
}

// SetConfig sets the data of /zookeeper/config outside of any transaction: the membership,
// its version as the mzxid, and the local time (ZKDatabase.initConfigInZKDatabase).
func (h *Head) SetConfig(data []byte, version proto.Zxid, timeMs int64) {
	n := h.Get(configPath)
	if n == nil { // a snapshot of ZooKeeper before 3.5
		h.addConfig()
		if proc := h.Get(procPath); proc != nil {
			c := proc.clone()
			c.children++
			h.replace(proc, c, nil)
		}
		n = h.Get(configPath)
	}
	c := n.withData(data)
	c.version, c.mzxid, c.mtime = -1, version, timeMs
	h.replace(n, c, nil)
	h.charge(configPath, int64(c.dataBytes()-n.dataBytes()), 0)
}

// Begin starts a series of changes that can be taken back.
//
// A copy of the whole tree's headers would do too, but then the first write to each btree
// node after it copies that node, 3 kB per multi at one million znodes. So the head notes what
// it replaces instead.
func (h *Head) Begin() {
	if h.undoing {
		panic("tree: Begin within Begin")
	}
	h.undoing, h.lastACL = true, h.aclUses.last
}

// Commit keeps the changes since Begin.
func (h *Head) Commit() {
	if !h.undoing {
		panic("tree: Commit without Begin")
	}
	h.endUndo()
}

// Rollback takes the changes since Begin back, last first.
func (h *Head) Rollback() {
	if !h.undoing {
		panic("tree: Rollback without Begin")
	}
	h.undoing = false
	for i := len(h.undo) - 1; i >= 0; i-- {
		switch u := &h.undo[i]; {
		case u.session != nil && u.session.existed:
			h.setSession(u.session.session)
		case u.session != nil:
			h.dropSession(u.session.id)
		case u.was == nil && u.is == nil:
			h.addACL(u.id, u.acl)
		default:
			h.replace(u.is, u.was, nil)
		}
	}
	h.aclUses.last = h.lastACL
	h.endUndo()
}

func (h *Head) endUndo() {
	h.undoing = false
	clear(h.undo)
	h.undo = h.undo[:0]
}

// replace is the one place where a znode changes: was is nil for a new one, is for a deleted
// one. All that follows from the znodes is brought up to date here, so that replacing back
// undoes everything.
//
// The hint is of a look-up of the same path, and only saves time.
func (h *Head) replace(was, is *Node, hint *btree.PathHint) {
	h.root = nil
	h.seenCount = 0
	if h.undoing {
		h.undo = append(h.undo, undo{was: was, is: is})
	}
	switch {
	case is == nil:
		h.nodes.remove(was)
		h.digest -= was.digest(&h.block)
		h.dataBytes -= was.reportedBytes()
		h.unlist(was)
		h.dropACL(was.acl)
	case was == nil:
		h.nodes.set(is, hint)
		h.digest += is.digest(&h.block)
		h.dataBytes += is.reportedBytes()
		h.list(is)
		h.useACL(is.acl)
	default:
		h.nodes.set(is, hint)
		h.digest += is.digest(&h.block) - was.digest(&h.block)
		if is.textBytes != was.textBytes {
			h.dataBytes += is.reportedBytes() - was.reportedBytes()
		}
		if is.acl != was.acl {
			h.useACL(is.acl)
			h.dropACL(was.acl)
		}
	}
}

// list enters a new znode in the sets that its kind and its name belong to.
func (h *Head) list(n *Node) {
	path := n.Path()
	if quota, name := splitQuota(path); name == limitsName {
		h.quotas.mutable().Set(strings.Clone(quota))
	}
	switch n.Kind() {
	case Ephemeral:
		h.ephemerals.mutable().Set(owned{n.owner, strings.Clone(path)})
	case Container:
		h.containers.mutable().Set(strings.Clone(path))
	case TTL:
		h.ttls.mutable().Set(strings.Clone(path))
	}
}

// unlist is list backwards.
func (h *Head) unlist(n *Node) {
	path := n.Path()
	if quota, name := splitQuota(path); name == limitsName {
		h.quotas.mutable().Delete(quota)
	}
	switch n.Kind() {
	case Ephemeral:
		h.ephemerals.mutable().Delete(owned{n.owner, path})
	case Container:
		h.containers.mutable().Delete(path)
	case TTL:
		h.ttls.mutable().Delete(path)
	}
}

// setSession adds a session, or changes its timeout.
func (h *Head) setSession(s session) {
	h.root = nil
	was, ok := h.sessions.mutable().Set(s)
	if h.undoing {
		h.undo = append(h.undo, undo{session: &sessionUndo{session{s.id, was.timeoutMs}, ok}})
	}
}

func (h *Head) dropSession(id int64) {
	if _, ok := h.Session(id); !ok {
		return
	}
	h.root = nil
	was, _ := h.sessions.mutable().Delete(session{id: id})
	if h.undoing {
		h.undo = append(h.undo, undo{session: &sessionUndo{was, true}})
	}
}
