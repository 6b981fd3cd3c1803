package server

import "time"

// Every limit of the server, with its reason and what happens there.
const (
	// A batch is one root and one fsync; past either bound it is cut and the next begins.
	batchTxnsMax  = 1000
	batchBytesMax = 1 << 20

	// Log that a start may read without leaving a snapshot, so that the next need not. Few large
	// transactions can be much work: a million creates in multis took a second at every start.
	replayBytesMax = 32 << 20

	// A turn of the core with so little to do is taken by the goroutine that brings it, which
	// may be a loop's: some 20 µs.
	littleRequestsMax = 8
	littleBodyBytes   = 4 << 10
	littleMultiBytes  = 512 // of some 20 parts at most

	// Record buffers that are kept for the next batches: one is being filled, one is with the
	// log, and after a burst a few more.
	spareBuffersMax = 4

	// Requests of one connection that were decoded and not answered. Past it the connection
	// is no longer decoded; it goes on at half the mark. Without it one client that never
	// waits could fill memory.
	inFlightMax = 1000

	// Bytes of one connection's waiting requests, for the same reason.
	inFlightBytesMax = 2 << 20

	// Waiting reads that a connection's writes may be sent ahead of. Those reads are answered
	// when their batch comes, however much output waits. Their number is bounded by this, and the
	// size of their replies by outputMax. A write behind more of them is held.
	aheadReadsMax = 16

	// Output that the kernel has not taken. Past it the connection is no longer decoded; it
	// goes on at half the mark. One reply may exceed it.
	outputMax = 1 << 20

	// Events that a connection may be behind with. Requests stop when their answers are not
	// read, events do not: without it one watcher that never reads costs all that happens in
	// its session timeout. Past it the connection is closed; its client connects again and
	// says what it has seen.
	eventBytesMax = 16 << 20

	// Identities of one connection, and their text: each request is judged by all of them, and an
	// ACL entry "auth" becomes one for each. An auth packet beyond it fails.
	identitiesMax    = 256
	identityBytesMax = 64 << 10
	aclGrowthMax     = 1 << 20 // what all entries "auth" of a transaction may become, in bytes

	// A block of request bodies: large enough that its making is nothing per request, small
	// enough that one late request keeps little. A larger body has a block of its own.
	blockBytes = 32 << 10

	// Requests decoded in one turn for one connection, so that neighbours on the same loop
	// wait for at most some hundred microseconds.
	turnRequestsMax = 256

	// Entries (children, descendants, ephemerals, paths) that a read may visit on the loop
	// itself, about 1 ms; a larger read runs aside with the pinned root.
	readInlineMax = 2000

	// Bytes of a multiRead's answer, for the same reason.
	replyInlineMax = 1 << 20

	// A multiRead whose answer grows past this is refused as malformed: a request of 30 kB could
	// ask for a gigabyte. A list of a million long names still passes, for that is no multiRead.
	replyBytesMax = 64 << 20

	// Entries after which a slow read lets others run: some 100 µs.
	slowYieldEvery = 1000

	// Paths of setWatches, of all connections of a loop, that are looked at before the loop
	// looks at its sockets again: 0.6 ms at a million znodes, measured, and up to three times
	// that while the garbage collector runs. The rest becomes a job.
	watchSliceMax = 250

	// A closeSession with more bytes of paths is logged without them, as older servers did:
	// Java learners refuse larger packets, and every applier knows the ephemerals.
	closeSessionPathBytesMax = 512 << 10

	// What a transaction has around its record: header, digest, a count. Java reads the whole
	// as one field, so that all of it is bounded by jute.maxbuffer and its extra: a multi of
	// sequential creates, or of entries "auth", that outgrows this fails at that part. Java logs
	// such a one, and does not start again.
	txnFixedBytes = 48

	// Room of a full log that ends of sessions alone may take, not their beginnings: one end of
	// the largest kind, and thousands of others.
	closesRoomBytes = 1 << 20

	// The most that a session's beginning, or its end without paths, takes in the log: its record
	// is some 80 bytes.
	sessionTxnBytesMax = 256

	// What the log holds in reserve, so that all that was accepted when its disk runs full becomes
	// durable: batches of a full turn, and then sessions for a while. A file system of less than
	// 256 MiB gives a sixteenth. Who has more on the way to the log, in large znodes, ends with the
	// disk, and starts read-only.
	reserveBytes    = 16 << 20
	reserveShareMax = 16

	// How often the room on disk is looked at: how late writes come back.
	diskEvery = time.Second

	// A loop that holds no entry and no watch is woken when so many batches are unread, so
	// that the feed behind it can be freed.
	loopLagBatchesMax = 256

	// Watches that are copied in a turn for the words wchs, wchc and wchp: some 500 µs. The rest
	// waits for the next turn.
	copiedWatchesMax = 5000

	// How long loops and core may take to answer a probe of life. They turn within milliseconds;
	// who does not answer then is stuck.
	probeTimeout = 2 * time.Second

	// How long a batch may be with the log before a probe of readiness says that writes wait.
	logStuckAfter = 10 * time.Second

	// A pending queue's array that is kept when it runs empty.
	queueKeepMax = 64

	// How long a stop waits for the log and for replies to leave.
	drainTimeout = 5 * time.Second
)

// slowReadsMax is how many slow reads run at once; the others wait. Each may hold an answer of
// tens of megabytes, and one on every core would keep loops and core waiting for the scheduler:
// at two cores, neighbours' reads beside three lists of a million names took 60 ms at p99; with
// this limit 5 ms.
func slowReadsMax(loops int) int { return max(loops/2, 1) }
