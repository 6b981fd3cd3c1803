// Package bench generates load over the wire and measures how a server bears it.
//
// Flow: [Run] dials and opens a session per connection → creates the znodes, in pipelined
// multis → drives a load (warm-up, then the measured window) → removes the znodes, closes the
// sessions → a [Report]. [Versus] does the same row by row against two servers in turns.
//
// A driver is one goroutine with one epoll. It reads what a connection has, judges every reply
// in it, appends the requests that now fit in flight, and writes them at once; requests are
// templates whose xid, znode number and data are patched in. So an operation costs the
// generator a fraction of a microsecond and no allocation, and what is left of a small machine
// belongs to the server.
//
// Latency counts from the moment a request is written, or was meant to be in an open loop,
// until the driver has read its reply. In a closed loop with a window of requests in flight
// the driver is woken by half a window of replies (Config.Batch), so the first of them is seen
// later than it came; both sides of a comparison are measured so. Batch 1 sees each.
//
// Owners: a driver owns its connections, its histograms and its random numbers. Drivers share
// the counts of writes issued per znode (atomic), a flag to stop, and nothing else.
//
// Invariants: replies come in the order of the requests; header zxids of a connection never
// decrease; the mzxid of a znode never steps back on a connection; data that was read is data
// that was written to that znode. A run that sees otherwise fails.
//
// Never: imports a server-side package, retries, hides an error.
package bench
