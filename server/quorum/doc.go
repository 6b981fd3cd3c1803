// Package quorum carries what the servers of an ensemble say to each other: it turns bytes into
// what package zab decides upon, and what zab wants said into bytes. Today that is the election.
//
// # Flow
//
// An Elector owns a zab.Election: it hands in what is heard, and the time, and does what comes
// out (elector.go). Its ElectionPort listens, connects, and keeps one connection to each peer
// (port.go): a connection begins with a hello (hello.go), and is then a link with a reader and a
// writer (link.go).
//
// # Who owns what
//
// The elector's goroutine owns the election and its timer. The port's goroutine owns the table of
// peers: each one's link, its last message, and whether somebody is dialling it. A link has two
// goroutines: the reader owns the incoming half of the connection and calls Config.Receive, the
// writer the outgoing half. A dialler and a greeter own a connection until its hello is over, and
// then give it to the port. All of them hand over through a mailbox, the only thing they share;
// Close ends and awaits them all.
//
// Links are plain net.Conn with goroutines, and not loops of netloop: an election sends some
// bytes in a minute, and nothing waits for a hop. The proposals of a leader are another matter.
//
// # Invariants
//
// There is one link per peer at most, and it was opened by the server with the larger id; the
// other says hello and closes. Per peer one message waits at most: a newer one takes the place of
// one that was not sent, and the last one is sent again when a link begins.
//
// # Never
//
// Decides, blocks its callers, trusts a length, or lets one peer hold up another.
package quorum
