package quorum

import "time"

// Every limit of the room, with its reason and what happens there.
const (
	// Connections whose hello is not over. Hellos take a round trip; whoever holds more open is
	// no server. The oldest is closed for the next one, so that nobody is kept out.
	greetersMax = 64

	// Peers that the configuration does not name: observers need not be in everybody's file.
	// The next one is refused.
	strangersMax = 64

	// Between attempts to bind the election port, as Java waits. A restart may find the port
	// still with the process before it.
	bindRetryWait = time.Second

	// After a failed accept, most often for want of file descriptors.
	acceptRetryWait = 100 * time.Millisecond

	// A connection that ends so soon after our hello was crossed by it: the larger server opens
	// another one in answer. That is no sign that it is gone.
	crossingTime = time.Second
)
