// Package zab is the consensus core: election, quorum arithmetic and broadcast. It decides, the
// server carries.
//
// Flow of an election: Election.Look votes, Heard takes what other servers vote for, Tick the
// time; each call returns the notifications to send and, once, who leads (election.go).
//
// Flow of a leader: Propose notes which zxids are on their way, OnAck takes a voter's (or its
// own log's) acknowledgement, Committed is the last zxid that a quorum has. An ensemble of one
// is a quorum of one: its own log's Durable is the only acknowledgement there is.
//
// Promises: a vote names a history that is durable, so the caller looks when its log has said
// so. What is voted for is a wish: safety rests on the epochs.
//
// Invariants: Committed never steps back, and never passes a zxid that no quorum acknowledged.
// The same inputs give the same outputs: no order of a Go map reaches one.
//
// Never: I/O, a clock, a goroutine, the payload of a transaction.
package zab
