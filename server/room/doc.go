// Package room watches the room on the file systems of dataDir and dataLogDir.
//
// # Flow
//
// A server calls Look now and then: it says in the log when room gets scarce. The log of
// transactions calls SetRoom when it finds the disk full, and when it is not any more (package
// wal, reserve.go). The core asks for Room in each turn, probes and metrics ask for the rest.
//
// # Invariants
//
// Full changes with a call of SetRoom alone: what a file system says of its room decides when the
// log tries again, never whether a write is accepted.
//
// # Never
//
// A file that is opened or changed, a goroutine.
package room
