// Package wal keeps the transaction log and the snapshot files, in ZooKeeper's formats.
//
// Flow: Append queues → Runner takes the whole queue → Step writes it and syncs once →
// durable(zxid). At start: Pair → Snapshots → SnapshotFile.Open → Replay (repairs a torn tail) →
// OpenLog. In between: WriteSnapshot, Purge, Read for learners that are far behind.
//
// Commit points. A record counts when the fdatasync after it returned, and its file's header
// and directory entry were synced before it. A snapshot counts when its directory was synced
// after the rename. A truncation counts when TruncateLog returned; a power cut in its middle
// leaves a longer history, never one with a hole.
//
// Owner: one goroutine owns the Log and its open file; roll and truncate go through its queue.
// One goroutine at a time writes a snapshot. Purge touches no file that either has open.
//
// Invariants:
//   - durable(z) is sent only when every record ≤ z is on disk;
//   - behind the last synced record the disk holds zeros, or pieces of one step (stepBytesMax):
//     this is what lets recovery tell a torn tail from damage (tail.go);
//   - a file is complete and synced before its successor is created.
//
// Never: reads the meaning of a transaction (only the zxid in its header), retries a failed
// sync, blocks its callers, reads a clock, drops a record that was reported durable.
//
// Source: FileTxnLog, FilePadding, FileSnap, SnapStream, FileTxnSnapLog, PurgeTxnLog.
package wal
