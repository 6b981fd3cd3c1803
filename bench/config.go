package bench

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// A Workload names what the connections do during the measured window.
type Workload string

// The workloads.
const (
	Mixed  Workload = "mixed"  // getData and setData of random znodes
	Create Workload = "create" // create of znodes that do not exist yet
	Multi  Workload = "multi"  // multi of MultiSets setData each
	Fanout Workload = "fanout" // one change, told to a watcher on every connection
	Idle   Workload = "idle"   // sessions that only ping
)

// Workloads lists all of them.
var Workloads = []Workload{Mixed, Create, Multi, Fanout, Idle}

// MultiSets is the number of setData in one multi of the Multi workload.
const MultiSets = 4

// What a Config may ask for at most. ZnodesMax follows from the nine digits of a name; data of
// DataBytesMax still fits into jute.maxbuffer with its path; in-flight requests of a
// connection are kept in a ring of that many slots.
const (
	ZnodesMax    = 100_000_000
	DataBytesMax = 1_000_000
	InFlightMax  = 1 << 16
)

// A Config says what to run. DefaultConfig has the defaults.
type Config struct {
	Servers     []string // host:port; connections are dealt out over them in turn
	Workload    Workload
	Connections int
	InFlight    int     // requests that a connection has unanswered at most
	Batch       int     // replies that wake the generator; 0 is half of InFlight
	Read        float64 // Mixed: share of reads, 0 to 1
	Size        int     // bytes of data per znode
	Znodes      int
	Duration    time.Duration // of the measured window
	Warmup      time.Duration // the same load before it, not measured
	Rate        float64       // operations per second (open loop); 0 is as fast as answered
	Threads     int           // drivers; the connections are dealt out over them
	Timeout     time.Duration // of a session, and how long a server may stay silent
	Verify      float64       // share of reads whose data is compared, 0 to 1
	Seed        uint64        // 0 picks one
	Keep        bool          // leave the znodes behind
	PIDs        []int         // server processes on this machine, to account their CPU time
	Progress    io.Writer     // told what goes on, one line a second; nil is silent
}

// DefaultConfig is a closed loop of 32 connections with 16 requests in flight each.
func DefaultConfig() Config {
	return Config{
		Servers:     []string{"127.0.0.1:2181"},
		Workload:    Mixed,
		Connections: 32,
		InFlight:    16,
		Read:        0.9,
		Size:        100,
		Znodes:      1000,
		Duration:    5 * time.Second,
		Warmup:      time.Second,
		Threads:     1,
		Timeout:     30 * time.Second,
		Verify:      0.01,
	}
}

// batch is how many replies wake the generator: one where a reply decides when the next
// request is due, or is what the load is about.
func (c *Config) batch() int {
	switch {
	case c.Rate > 0 || c.Workload == Fanout || c.Workload == Idle:
		return 1
	case c.Batch > 0:
		return c.Batch
	}
	return max(c.InFlight/2, 1)
}

// check says what is wrong with the configuration.
func (c *Config) check() error {
	switch {
	case len(c.Servers) == 0:
		return errors.New("bench: no server named; use --servers host:port")
	case !slices.Contains(Workloads, c.Workload):
		return fmt.Errorf("bench: workload %q is unknown; there are %v", c.Workload, Workloads)
	case c.Connections < 1:
		return fmt.Errorf("bench: %d connections; at least 1 is needed", c.Connections)
	case c.InFlight < 1 || c.InFlight > InFlightMax:
		return fmt.Errorf("bench: %d in flight; it must be 1 to %d", c.InFlight, InFlightMax)
	case c.Batch < 0 || c.Batch > c.InFlight:
		return fmt.Errorf("bench: batches of %d replies with %d in flight", c.Batch, c.InFlight)
	case c.Read < 0 || c.Read > 1:
		return fmt.Errorf("bench: a read share of %v; it must be 0 to 1", c.Read)
	case c.Verify < 0 || c.Verify > 1:
		return fmt.Errorf("bench: a verified share of %v; it must be 0 to 1", c.Verify)
	case c.Size < 0 || c.Size > DataBytesMax:
		return fmt.Errorf("bench: %d bytes of data; it must be 0 to %d", c.Size, DataBytesMax)
	case c.Znodes < 1 || c.Znodes > ZnodesMax:
		return fmt.Errorf("bench: %d znodes; it must be 1 to %d", c.Znodes, ZnodesMax)
	case c.Duration <= 0 || c.Warmup < 0 || c.Rate < 0:
		return errors.New("bench: duration must be positive, warmup and rate not negative")
	case c.Threads < 1 || c.Threads > c.Connections:
		return fmt.Errorf("bench: %d threads; it must be 1 to %d, the number of connections",
			c.Threads, c.Connections)
	case c.Timeout < time.Second:
		return fmt.Errorf("bench: a session timeout of %v; at least 1s is needed", c.Timeout)
	case c.Threads > 1 && c.Workload == Fanout:
		return errors.New("bench: fanout times one change on one clock; use --threads 1")
	case c.Rate > 0 && (c.Workload == Fanout || c.Workload == Idle):
		return fmt.Errorf("bench: workload %s paces itself; leave --rate out", c.Workload)
	case c.Workload == Multi && c.Size*MultiSets > DataBytesMax:
		return fmt.Errorf("bench: a multi of %d sets holds at most %d bytes of data",
			MultiSets, DataBytesMax)
	}
	return nil
}
