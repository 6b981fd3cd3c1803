package tree

import (
	"unsafe"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
)

// openACL is the id of world:anyone with all permissions, which is not in the table
// (ReferenceCountedACLCache.OPEN_UNSAFE_ACL_ID).
const openACL int64 = -1

// closedACL stands for a list that a fuzzy snapshot does not have: until the log has replaced
// it nobody may do anything.
var closedACL = []proto.ACL{{Perms: 0, ID: proto.ID{Scheme: "world", ID: "anyone"}}}

// An aclEntry is an ACL that znodes share, under its id.
type aclEntry struct {
	id   int64
	list []proto.ACL
}

func aclLess(a, b aclEntry) bool { return a.id < b.id }

// aclUses is the head's side of the ACL table: who has which id, and how many nodes use it.
type aclUses struct {
	ids     map[string]int64 // by encoded list
	uses    map[int64]aclUse
	last    int64  // the last id given out
	scratch []byte // an encoded list
}

type aclUse struct {
	encoded string
	nodes   int
}

func newACLUses() aclUses {
	return aclUses{ids: map[string]int64{}, uses: map[int64]aclUse{}}
}

func isOpen(list []proto.ACL) bool {
	return list == nil || len(list) == 1 && list[0] == proto.OpenACL[0]
}

// intern returns the id of a list, adding it to the table when it is new. The list is copied.
func (h *Head) intern(list []proto.ACL) int64 {
	if isOpen(list) {
		return openACL
	}
	a := &h.aclUses
	c := jute.Writer(a.scratch[:0])
	proto.ACLs(&c, &list)
	a.scratch = c.Bytes()
	if id, ok := a.ids[string(a.scratch)]; ok {
		return id
	}
	a.last++
	h.addACL(a.last, string(a.scratch))
	return a.last
}

// addACL adds a list, which no node uses yet, to the table. The entry's strings are pieces of
// the encoded form, which the maps hold anyway.
func (h *Head) addACL(id int64, encoded string) {
	entry := aclEntry{id: id}
	r := jute.ReaderMax(unsafe.Slice(unsafe.StringData(encoded), len(encoded)), len(encoded))
	proto.ACLs(&r, &entry.list)
	if r.Err() != nil {
		panic(r.Err()) // it was encoded by us
	}
	h.aclUses.ids[encoded] = id
	h.aclUses.uses[id] = aclUse{encoded: encoded}
	h.acls.mutable().Set(entry)
}

// useACL counts one more node that has this ACL.
func (h *Head) useACL(id int64) {
	if u, ok := h.aclUses.uses[id]; ok {
		u.nodes++
		h.aclUses.uses[id] = u
	}
}

// dropACL counts one node less, and forgets an ACL that none has.
func (h *Head) dropACL(id int64) {
	u, ok := h.aclUses.uses[id]
	if !ok {
		return
	}
	if u.nodes--; u.nodes > 0 {
		h.aclUses.uses[id] = u
		return
	}
	h.forgetACL(id, u)
	if h.undoing {
		h.undo = append(h.undo, undo{acl: u.encoded, id: id})
	}
}

func (h *Head) forgetACL(id int64, u aclUse) {
	delete(h.aclUses.uses, id)
	if h.aclUses.ids[u.encoded] == id {
		delete(h.aclUses.ids, u.encoded)
	}
	h.acls.mutable().Delete(aclEntry{id: id})
}
