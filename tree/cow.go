package tree

import "github.com/tidwall/btree"

// A cow is an ordered set that is copied on write: frozen copies share its memory and cost
// one small header, and only what is changed afterwards is copied, a path of btree nodes at a
// time.
type cow[T any] struct {
	live   *btree.BTreeG[T]
	frozen *btree.BTreeG[T] // a copy that is equal to live; nil when live changed since
}

func newCow[T any](less func(a, b T) bool, degree int) cow[T] {
	o := btree.Options{NoLocks: true, Degree: degree}
	return cow[T]{live: btree.NewBTreeGOptions(less, o)}
}

// freeze returns a set that will not change.
func (c *cow[T]) freeze() cow[T] {
	if c.frozen == nil {
		c.frozen = c.live.Copy()
	}
	return cow[T]{live: c.frozen}
}

// mutable returns the set for a change.
func (c *cow[T]) mutable() *btree.BTreeG[T] {
	c.frozen = nil
	return c.live
}

// smallDegree suits the sets that are usually small.
const smallDegree = 8

func stringLess(a, b string) bool { return a < b }

// owned is an ephemeral znode of a session. The path is a copy: the node's own text would
// keep old data alive.
type owned struct {
	owner int64
	path  string
}

func ownedLess(a, b owned) bool {
	if a.owner != b.owner {
		return a.owner < b.owner
	}
	return a.path < b.path
}

// session is a global session and its timeout.
type session struct {
	id        int64
	timeoutMs int32
}

func sessionLess(a, b session) bool { return a.id < b.id }
