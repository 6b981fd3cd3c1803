// Package server wires the parts into a running ZooKeeper server.
//
// # Flow
//
// A loop (loop.go) decodes requests. It answers reads from its root (read.go) and hands writes
// to the core's inbox (inbox.go). The core (core.go) plans each write against the head tree
// (plan.go, multi.go), applies it, encodes it once into the open batch, and gives the log one
// buffer whenever the log is idle. What is durable on a quorum is published: linked to the
// feed (feed.go), which every loop walks (deliver.go): events, replies, then the new root.
//
// # Who owns what
//
// A loop owns its connections (conn.go), its watch table (watch.go) and its cursor. The core
// owns the head, the sessions' owners and deadlines (session.go) and the batches in flight; one
// goroutine at a time has its turn (shell.go).
// The snapshotter (boot.go) owns a root while it writes it. Nothing else is shared but the
// inbox, the feed, and a few totals (Server). What operators see (monitor.go) is copied
// by its owners when somebody asks (stats.go).
//
// # Invariants
//
// Nothing is answered before it is durable. A loop walks the feed to its end before it answers
// anything that came later. Per connection, replies keep the order of requests, zxids never
// decrease, and the events of a zxid stand before any reply that shows it.
//
// # Never
//
// A lock around domain state, but for the one that says who has the core's turn; a clock, a
// goroutine or the order of a map in the core's step files (core.go, plan.go, multi.go,
// session.go, reap.go); work of unknown length on a loop.
package server
