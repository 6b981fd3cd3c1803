// Package target runs the server that a compatibility suite talks to: Meerkat, or a Java
// ZooKeeper to prove the suite itself.
//
// Flow: [Start] writes a zoo.cfg into a temporary directory, starts the server as a process on
// a free loopback port, and waits until it answers; the test's end kills it. Stop, Kill and
// Restart make the accidents that clients must survive.
//
// The environment chooses: TARGET is "meerkat" (default) or "java"; MEERKAT_BIN names a built
// binary, without it Meerkat is built from this source, once per test binary.
//
// Invariant: only processes that were started here are signalled.
//
// Never: looks into a server; whatever a suite learns, it learns over the wire.
package target
