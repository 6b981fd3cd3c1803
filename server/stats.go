package server

import (
	"sync/atomic"

	"github.com/meerkat-zk/meerkat/proto"
)

// connStats is what a connection counts for the words cons and stat.
type connStats struct {
	received, sent int64
	lastCxid       int32
	lastOp         proto.Op
	lastZxid       proto.Zxid
}

// loopStats are a loop's counters: plain while a turn runs, published at its end so that a
// word or a scrape reads them from any goroutine.
type loopStats struct {
	received, sent      int64
	answered            int64 // with a latency
	sumNs, minNs, maxNs int64

	shown [statCount]atomic.Int64
}

// Places in loopStats.shown.
const (
	statReceived = iota
	statSent
	statAnswered
	statSumNs
	statMinNs
	statMaxNs
	statConns
	statWatches
	statDataWatches
	statDataPaths
	statWatchers
	statCount
)

// read counts a request that was answered within its turn.
func (s *loopStats) read() { s.answered++; s.minNs = 0 }

// latency counts a request that was answered after ns.
func (s *loopStats) latency(ns int64) {
	s.answered++
	s.sumNs += ns
	s.maxNs = max(s.maxNs, ns)
	if s.minNs == 0 && s.answered == 1 || ns < s.minNs {
		s.minNs = ns
	}
}

// publish shows the counters as they are at the end of a turn.
func (s *loopStats) publish(l *loop) {
	s.shown[statReceived].Store(s.received)
	s.shown[statSent].Store(s.sent)
	s.shown[statAnswered].Store(s.answered)
	s.shown[statSumNs].Store(s.sumNs)
	s.shown[statMinNs].Store(s.minNs)
	s.shown[statMaxNs].Store(s.maxNs)
	s.shown[statConns].Store(int64(len(l.conns)))
	s.shown[statWatches].Store(int64(l.watches.entries))
	s.shown[statDataWatches].Store(int64(l.watches.dataEntries))
	s.shown[statDataPaths].Store(int64(l.watches.dataPaths))
	s.shown[statWatchers].Store(int64(l.watches.watchers))
}

// total is the sum over all loops of one counter.
func (s *Server) total(stat int) int64 {
	sum := int64(0)
	for _, l := range s.loops {
		sum += l.stats.shown[stat].Load()
	}
	return sum
}

// latencies are the least, mean and greatest time from a request to its answer, in ms.
func (s *Server) latencies() (minMs int64, avgMs float64, maxMs int64) {
	minNs, maxNs := int64(-1), int64(0)
	for _, l := range s.loops {
		if l.stats.shown[statAnswered].Load() == 0 {
			continue
		}
		if m := l.stats.shown[statMinNs].Load(); minNs < 0 || m < minNs {
			minNs = m
		}
		maxNs = max(maxNs, l.stats.shown[statMaxNs].Load())
	}
	if n := s.total(statAnswered); n > 0 {
		avgMs = float64(s.total(statSumNs)) / float64(n) / 1e6
	}
	return max(minNs, 0) / 1e6, avgMs, maxNs / 1e6
}
