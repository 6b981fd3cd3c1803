// Package zab is the consensus core: election, quorum arithmetic, discovery, synchronisation,
// broadcast. It decides, the server carries.
//
// Each part is a machine that is only stepped: messages, words of the disk and the time go in, and
// what is to be done comes out, in order.
//
//   - Election: Look votes, Heard takes what other servers vote for, Tick the time. Each call
//     returns the notifications to send and, once, who leads.
//   - Leading finds an epoch above all that a quorum accepted, has each learner synchronised, and
//     leads once a quorum has acknowledged that.
//   - Leader notes which zxids are on their way and takes acks: Committed is the last zxid that a
//     quorum has. An ensemble of one is a quorum of one: its own log's Durable is its only ack.
//   - Learning accepts the epoch, takes in what the server lacks, acknowledges it, serves.
//   - DecideSync tells how a learner gets what it lacks: DIFF, TRUNC or SNAP. It knows runs of
//     zxids (Span), not transactions.
//
// Every message that promises something waits for the disk:
//
//	a vote                the history that it names: the caller looks when its log has said so.
//	                      What is voted for is a wish; safety rests on the epochs
//	LEADERINFO            the leader's acceptedEpoch
//	ACKEPOCH              the learner's acceptedEpoch
//	ack of NEWLEADER      the history up to NEWLEADER, then currentEpoch; the leader counts itself
//	                      by the same rule
//	ack of a PROPOSAL     its record
//
// A role begins when all that the server has is on its disk, and gets that as its Past. When a
// role ends its machine is thrown away; late words of the disk belong to no other.
//
// Invariants: Committed never steps back, and never passes a zxid that no quorum has on disk. One
// epoch has one leader. What a learner drops by TRUNC or SNAP is no longer counted as acknowledged
// from the moment that it is decided. The same inputs give the same outputs: no order of a Go map
// reaches one.
//
// sim_test.go runs whole ensembles of the two roles under crashes, cuts and wrong elections, and
// holds each promise against the disk of the server that makes it. The server runs an ensemble of
// one so far, with Leader alone.
//
// Never: I/O, a clock, a goroutine, the payload of a transaction.
package zab
