package server

import (
	"math/rand"
	"strings"

	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/tree"
)

// A reaper deletes containers that were emptied and znodes whose time to live is over
// (ContainerManager), at a bounded pace.
type reaper struct {
	nextMs  int64    // clock of the next collection
	waiting []string // collected, not yet deleted
	budget  float64  // deletions that may be done now
}

// reap collects candidates at every interval and deletes as many as the pace allows.
func (c *core) reap() {
	if c.full {
		return
	}
	p := &c.reaper
	if len(p.waiting) == 0 && c.now.monoMs >= p.nextMs {
		if p.nextMs != 0 {
			p.waiting = c.collect()
		}
		p.nextMs = c.now.monoMs + c.reapIntervalMs
	}
	perTick := float64(c.reapPerMinute) * float64(tickEveryMs(c.tickMs)) / 60000
	p.budget = min(p.budget+perTick, max(perTick, 1))
	for len(p.waiting) > 0 && p.budget >= 1 {
		path := p.waiting[0]
		p.waiting = p.waiting[1:]
		p.budget--
		c.write(&request{op: proto.OpDeleteContainer, body: []byte(path)})
	}
}

// collect lists what may go: containers without children that had some (or never had for too
// long), and TTL znodes without children that were not written for their time to live.
func (c *core) collect() []string {
	var out []string
	c.head.Containers(func(n *tree.Node) bool {
		unused := n.StoredCversion() == 0
		aged := c.reapNeverUsedMs > 0 && c.now.wallMs-n.Mtime() > c.reapNeverUsedMs
		if n.NumChildren() == 0 && (!unused || aged) {
			out = append(out, strings.Clone(n.Path())) // the znode's own memory has the data too
		}
		return true
	})
	c.head.TTLs(func(n *tree.Node) bool {
		if n.NumChildren() == 0 && c.now.wallMs-n.Mtime() > n.TTL() {
			out = append(out, strings.Clone(n.Path())) // the znode's own memory has the data too
		}
		return true
	})
	return out
}

// A spread says when a snapshot is due: after a random number of transactions in
// (snapCount/2, snapCount] or of log bytes in the same spread, so that the servers of an
// ensemble do not all write at once (SyncRequestProcessor.shouldSnapshot).
type spread struct {
	rng              *rand.Rand
	snapCount        int
	snapBytes        int64
	txns             int
	bytes            int64
	txnsAt, bytesOff int64
}

func newSpread(seed int64, snapCount int, snapBytes int64) spread {
	s := spread{rng: rand.New(rand.NewSource(seed)), snapCount: snapCount, snapBytes: snapBytes}
	s.reset()
	return s
}

func (s *spread) reset() {
	s.txns, s.bytes = 0, 0
	s.txnsAt = int64(s.snapCount/2) + s.rng.Int63n(int64(s.snapCount/2)+1)
	if s.snapBytes > 0 {
		s.bytesOff = s.snapBytes/2 + s.rng.Int63n(s.snapBytes/2+1)
	}
}

func (s *spread) count(bytes int) {
	s.txns++
	s.bytes += int64(bytes)
}

func (s *spread) due() bool {
	return int64(s.txns) > s.txnsAt || s.snapBytes > 0 && s.bytes > s.bytesOff
}
