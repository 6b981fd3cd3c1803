// Package tree is the data tree: znodes, what follows from them, and the immutable views that
// readers hold.
//
// Flow: a transaction goes through [Head.Apply] (or, part by part, [Head.ApplyPart]); each znode
// that it changes is replaced by a new [Node] in one place, replace (head.go), which keeps the
// index, the tree digest, the ACL counts, ephemerals, containers, TTL znodes and quotas in step.
// [Head.Freeze] then hands out a [Root]: the same structures, shared until the head writes to
// them again. [Root.WriteSnapshot] and [ReadSnapshot] are ZooKeeper's snapshot file.
//
// Owners: the core's goroutine owns the one [Head]; a [Root] belongs to nobody and may be read
// from any goroutine without a lock.
//
// Invariants: a Node never changes once it is in the tree, and never aliases memory of a caller;
// everything that transactions determine is in the root, and a root's answers never change;
// after [Head.Rollback] the head is what it was at [Head.Begin].
//
// Never: a network, a file, a clock, a goroutine, a watch, a connection, a check of an ACL.
//
// Sources: DataTree, DataNode, ReferenceCountedACLCache, EphemeralType, StatsTrack,
// DigestCalculator, FileSnap.
package tree
