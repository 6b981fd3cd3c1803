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
// # Where to read
//
//	server.go     Options, Start, Stop         accept.go   from the kernel to a loop
//	loop.go       Handler, Loop, turns         admit.go    counts, limits, the emptiest loop
//	wake.go       Wake, Execute, later turns   pause.go    how reading is stopped
//	conn.go       Conn, closing                transport.go gnet, and the seam for TLS
//	input.go      the life of input            limits.go   every bound, why, and what then
//	output.go     the life of output, marks    frame.go    NextFrame
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
//   - No Handler call is made from inside another. What a Handler asks of a connection is
//     done when the call has returned: gnet may close a connection inside a write, and no
//     write is made while a Handler is on the stack.
//   - A Wake is followed by a Handler.Wake; the Executes of one goroutine run in their order.
//   - Work that a loop leaves for itself goes behind the sockets that are ready.
//   - A connection over its output mark is neither read nor shown until it has drained; its
//     Drained follows, even if the write of the same turn took everything, and then Traffic,
//     if input waits. A Handler that sees Conn.OverMark just returns.
//   - Input that waits is bounded by a frame, a read and inputExtraBytes. A Handler that
//     leaves whole frames unused returns again, or pauses and resumes, or is over the mark;
//     otherwise reading stops at a frame and a read, until Resume.
//   - Taking in a frame costs time linear in its length, whatever pieces it comes in, and
//     memory in proportion to what has come, never to what its length claims.
//   - A connection whose peer half-closes is closed, with no error; what waits unused is
//     dropped. While it is paused, or closing with output left, the end is not looked for, so
//     a reply that takes a while still reaches a peer that has closed its half.
//
// # What it costs
//
// A Wake of a loop that has one coming, or is running, is two atomic swaps, 5 ns. That of a
// resting loop is gnet's: a write to its eventfd and two small allocations, 1.5 µs, and 4.5 µs
// until the Handler has run. (The bell, a socket pair, took twice that.) A loop that was woken
// while it ran writes one byte to itself.
//
// Measured on two AMD EPYC cores that other work shared, so take them as an order: echoing
// frames of 100 bytes, with the client in the same process, did 1.35 million/s at best with 32
// connections of 16 in flight and 0.45 at worst, with one such connection 0.8 and 0.3. Side by
// side, three runs each, with a client process of its own and one frame in flight, a loop took
// 38 to 40 µs (p50), a goroutine per connection on package net 50 to 56 µs, a loop locked to
// its thread 54 to 56 µs: so there is no option for locking.
//
//	go test -run '^$' -bench . ./netloop
//
// # Never
//
// It never knows a request or a session, never blocks a loop, never polls: a timer of 5 ms
// runs only while a connection of the loop is over its mark or closing with output left. It
// never catches a panic. It does not lift RLIMIT_NOFILE: out of descriptors, accepting waits
// and OnFault hears of it. It does not make outgoing connections yet.
package netloop
