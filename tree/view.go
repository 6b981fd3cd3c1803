package tree

import (
	"math"
	"strings"

	"github.com/meerkat-zk/meerkat/proto"
)

// A View is what can be read of a tree, be it the changing Head or an immutable Root.
// Visitors return false to stop; they must not change the tree.
type View struct {
	nodes      index
	ephemerals cow[owned]
	containers cow[string]
	ttls       cow[string]
	sessions   cow[session]
	acls       cow[aclEntry]
	quotas     cow[string] // paths that have a limits znode
	zxid       proto.Zxid
	digest     uint64
	dataBytes  int64
}

func newView() View {
	return View{
		nodes:      newIndex(),
		ephemerals: newCow(ownedLess, smallDegree),
		containers: newCow(stringLess, smallDegree),
		ttls:       newCow(stringLess, smallDegree),
		sessions:   newCow(sessionLess, smallDegree),
		acls:       newCow(aclLess, smallDegree),
		quotas:     newCow(stringLess, smallDegree),
	}
}

// freeze returns an immutable copy.
func (v *View) freeze() View {
	f := *v
	f.nodes = v.nodes.freeze()
	f.ephemerals = v.ephemerals.freeze()
	f.containers = v.containers.freeze()
	f.ttls = v.ttls.freeze()
	f.sessions = v.sessions.freeze()
	f.acls = v.acls.freeze()
	f.quotas = v.quotas.freeze()
	return f
}

// Get returns the znode at path, nil when there is none. "" is an alias of "/".
func (v *View) Get(path string) *Node { return v.nodes.get(path) }

// Children visits the children of the znode at path, in no order that means anything.
func (v *View) Children(path string, visit func(name string, n *Node) bool) {
	v.nodes.scan(path, nil, visit)
}

// Descendants visits all znodes below path, each before its children.
func (v *View) Descendants(path string, visit func(*Node) bool) {
	top := v.Get(path)
	if top == nil {
		return
	}
	v.walk(top, func(n *Node) bool { return n == top || visit(n) })
}

// CountDescendants is the number of znodes below path: what getAllChildrenNumber answers.
func (v *View) CountDescendants(path string) int {
	if path == "" || path == "/" {
		return v.nodes.count - 1
	}
	count := -1
	top := v.Get(path)
	if top == nil {
		return 0
	}
	v.walk(top, func(*Node) bool { count++; return true })
	return count
}

// A place is where a walk goes on: at the node itself, or below it after one of its children.
type place struct{ node, after *Node }

// walkStride bounds how many children of one znode wait on a walk's stack.
const walkStride = 128

// walk visits top and all below it, parents first. Trees can be 500,000 deep, so the stack is
// ours.
func (v *View) walk(top *Node, visit func(*Node) bool) {
	stack := []place{{node: top}}
	for len(stack) > 0 {
		at := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if at.after == nil {
			if !visit(at.node) {
				return
			}
			if at.node.children == 0 {
				continue
			}
		}
		stack = v.pushChildren(stack, at)
	}
}

// pushChildren puts the next children of a place on the stack, the first on top, and below
// them the place where to go on after the last.
func (v *View) pushChildren(stack []place, at place) []place {
	base := len(stack)
	stack = append(stack, at)
	v.nodes.scan(at.node.Path(), at.after, func(_ string, n *Node) bool {
		stack = append(stack, place{node: n})
		return len(stack) < base+1+walkStride
	})
	if len(stack) == base+1+walkStride {
		stack[base].after = stack[len(stack)-1].node
	} else {
		stack = append(stack[:base], stack[base+1:]...)
		base--
	}
	for i, j := base+1, len(stack)-1; i < j; i, j = i+1, j-1 {
		stack[i], stack[j] = stack[j], stack[i]
	}
	return stack
}

// Ephemerals visits the paths of a session's ephemeral znodes, sorted.
func (v *View) Ephemerals(session int64, visit func(path string) bool) {
	v.ephemerals.live.Ascend(owned{owner: session}, func(o owned) bool {
		return o.owner == session && visit(o.path)
	})
}

// EphemeralOwners visits the sessions that have ephemeral znodes, each once.
func (v *View) EphemeralOwners(visit func(session int64) bool) {
	for next, more := int64(math.MinInt64), true; more; {
		more = false
		v.ephemerals.live.Ascend(owned{owner: next}, func(o owned) bool {
			next, more = o.owner, true
			return false
		})
		if !more || !visit(next) || next == math.MaxInt64 {
			return
		}
		next++
	}
}

// DeadOwners visits the owners of ephemeral znodes that are no session: a fuzzy snapshot can
// hold them, and whoever loads it closes them.
func (v *View) DeadOwners(visit func(session int64) bool) {
	v.EphemeralOwners(func(id int64) bool {
		_, ok := v.Session(id)
		return ok || visit(id)
	})
}

// Session returns the timeout that a session was created with.
func (v *View) Session(id int64) (timeoutMs int32, ok bool) {
	s, ok := v.sessions.live.Get(session{id: id})
	return s.timeoutMs, ok
}

// Sessions visits all global sessions by id.
func (v *View) Sessions(visit func(id int64, timeoutMs int32) bool) {
	v.sessions.live.Scan(func(s session) bool { return visit(s.id, s.timeoutMs) })
}

// SessionCount is the number of global sessions.
func (v *View) SessionCount() int { return v.sessions.live.Len() }

// Containers visits all container znodes.
func (v *View) Containers(visit func(*Node) bool) {
	v.containers.live.Scan(func(path string) bool { return visit(v.Get(path)) })
}

// TTLs visits all znodes that have a time to live.
func (v *View) TTLs(visit func(*Node) bool) {
	v.ttls.live.Scan(func(path string) bool { return visit(v.Get(path)) })
}

// ACL returns the ACL of a node of this tree: nil when everyone may do everything. The list is
// shared; read only.
func (v *View) ACL(n *Node) []proto.ACL {
	if n.acl == openACL {
		return nil
	}
	if e, ok := v.acls.live.Get(aclEntry{id: n.acl}); ok {
		return e.list
	}
	return closedACL
}

// ACLCount is the number of different ACLs in use, not counting the open one.
func (v *View) ACLCount() int { return v.acls.live.Len() }

// Zxid is the last transaction that was processed.
func (v *View) Zxid() proto.Zxid { return v.zxid }

// Digest is the tree digest: the sum of all node digests (AdHash).
func (v *View) Digest() int64 { return int64(v.digest) }

// NodeCount is the number of znodes as ZooKeeper reports it: the root counts twice.
func (v *View) NodeCount() int { return v.nodes.count + 1 }

// EphemeralCount is the number of ephemeral znodes.
func (v *View) EphemeralCount() int { return v.ephemerals.live.Len() }

// DataSize is the length of all paths and data as ZooKeeper reports it
// (DataTree.approximateDataSize).
func (v *View) DataSize() int64 { return v.dataBytes }

// splitPath cuts a path before its last component; the parent of "/a" is "". It refuses what
// cannot be the path of a znode that has a parent.
func splitPath(path string) (parent string, ok bool) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 || path[0] != '/' || i == 1 || i == len(path)-1 || len(path) > pathBytesMax {
		return "", false
	}
	return path[:i], true
}
