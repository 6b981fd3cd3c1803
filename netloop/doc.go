// Package netloop is the reactor below client connections, and later quorum connections: it
// accepts, reads, writes, wakes and limits, on gnet's event loops. It alone imports gnet. It
// runs on Linux.
//
// # Flow
//
// [Start] listens, starts the loops and makes one [Handler] per [Loop]. Then, for ever:
//
//	accept ─► admit (limits, emptiest loop) ─► Open
//	readable ─► Traffic: decode, append replies to Conn.Buffer ─┐
//	Loop.Wake, Loop.Execute, tick ─► Wake, f, Tick ─────────────┼─► leave: one write per
//	later list: again, Resume, Drained ─► Traffic, Drained ─────┘   connection, closes, pauses
//
// A call of the Handler, with what follows in leave, is a turn. Input bytes are shown where
// gnet read them; only a rest is copied, to a buffer of the connection's own. Output is
// gathered in a buffer of the loop's and written once. So a turn allocates nothing, and an
// idle connection holds no buffer.
//
// # Who owns what
//
// A loop's goroutine (gnet's) owns its connections: every [Conn] and every [Handler] call is
// its own. Acceptors (a goroutine per listener), the registrar (one) and the ticker (one)
// belong to the [Server] and end in [Server.Stop]. Goroutines share three things: the wakeup
// of a loop (wake.go), the admission counts (admit.go), and the channel of enrolments.
//
// # Invariants
//
//   - Open comes first for a connection and Closed last, each once.
//   - No Handler call is made from inside another. What a Handler asks of a connection takes
//     effect when the call has returned, except the values that it reads back.
//   - A Wake is followed by a Handler.Wake; the Executes of one goroutine run in their order.
//   - Work that a loop leaves for itself goes behind the sockets that are ready.
//   - A connection over its output mark is neither read nor shown until it has drained; its
//     Drained follows, even if the write of the same turn took everything. A Handler that sees
//     Conn.OverMark just returns.
//   - Input that waits is bounded by a frame, a read and inputExtraBytes. A Handler that leaves
//     whole frames unused returns again, or pauses and resumes, or is over the mark; otherwise
//     reading stops at a frame and a read.
//   - A connection whose peer half-closes is closed, with no error, unless it is paused or
//     closing: then the end is seen when reading goes on. What waited unused is dropped.
//
// # What a Wake costs
//
// See BenchmarkWake. A Wake of a loop that has one coming, or is running, is two atomic swaps
// and allocates nothing. That of a resting loop is one write to gnet's eventfd and two small
// allocations of gnet's. A loop that was woken while it ran writes one byte to itself.
//
// # Never
//
// It never knows a request or a session, never blocks a loop, never polls: a timer of 5 ms
// runs only while a connection of the loop is over its mark or closing with output left. It
// never catches a panic. It does not lift RLIMIT_NOFILE: out of descriptors, accepting waits
// and OnFault hears of it.
package netloop
