// Package zab is the consensus core: quorum arithmetic and broadcast. It decides, the server
// carries.
//
// Flow of a leader: Propose notes which zxids are on their way, OnAck takes a voter's (or its
// own log's) acknowledgement, Committed is the last zxid that a quorum has. An ensemble of one
// is a quorum of one: its own log's Durable is the only acknowledgement there is.
//
// Invariants: Committed never steps back, and never passes a zxid that no quorum acknowledged.
//
// Never: I/O, a clock, a goroutine, the payload of a transaction.
package zab
