package server

import (
	"time"

	"github.com/meerkat-zk/meerkat/wal"
)

// run is the core's own goroutine. It ends when the server stops.
func (s *Server) run() {
	defer close(s.coreDone)
	for {
		select {
		case <-s.inbox.signal:
		case <-s.coreStop:
			s.coreMu.Lock()
			s.coreEnded = true
			s.coreMu.Unlock()
			return
		}
		s.coreMu.Lock()
		s.turn(true)
		if f := s.between; f != nil {
			s.between = nil
			f()
		}
		s.coreMu.Unlock()
	}
}

// lend has the core take a turn. A short turn is taken on this goroutine if no other is at it: to
// wake the core's own costs more than such a turn. Any other turn is the core's own goroutine's.
func (s *Server) lend(short bool) {
	if !short || !s.coreMu.TryLock() {
		s.inbox.ring() // a turn that is under way may have taken its inputs already
		return
	}
	if !s.coreEnded && !s.turn(false) {
		s.inbox.ring()
	}
	s.coreMu.Unlock()
}

// turn takes what waits, reads the clock, and does what the core asks for. It does nothing, and
// says so, when a short turn is meant (all is false) and it would not be one.
func (s *Server) turn(all bool) bool {
	in := &s.inputs
	if !s.inbox.take(in, all) {
		return false
	}
	began := time.Now()
	beganNs := began.Sub(s.started).Nanoseconds()
	now := clock{wallMs: began.UnixMilli(), monoNs: beganNs, monoMs: beganNs / 1e6}
	// Read after what is durable was taken: of all that is, the room is gone already.
	in.room, in.full = s.disk.Room()
	in.resting = in.full || s.snapshots.resting(now.monoMs)
	s.core.turn(in, now)
	endedNs := beganNs
	if len(in.requests) > 0 || s.core.out.closes > 0 { // else there was next to nothing to do
		endedNs = s.clock().Nanoseconds()
	}
	s.tally.turn(in, s.core.out.closes, beganNs, endedNs)
	s.perform(&s.core.out, endedNs)
	s.inbox.noteLog(s.core.logState())
	return true
}

// perform does what a turn asked for: the log first, then the feed. The turn ended just now.
func (s *Server) perform(out *outputs, nowNs int64) {
	for i, item := range out.appends {
		s.log.Append(item)
		s.tally.hand(out.handed[i], nowNs)
	}
	if len(out.appends) > 0 {
		began := nowNs
		nowNs = s.clock().Nanoseconds()
		s.tally.ProposeNs.Add(nowNs - began)
	}
	for _, b := range out.publish {
		b.publishedNs = nowNs
		s.feed.publish(b)
		s.tally.publish(b, nowNs)
		for i := range b.expired {
			s.sayExpired(&b.expired[i], 0)
		}
	}
	if len(out.publish) > 0 {
		s.tally.PublishNs.Add(s.clock().Nanoseconds() - nowNs)
	}
	for _, r := range out.save {
		s.snapshots.offer(r)
	}
	if out.ask {
		for _, l := range s.loops {
			l.execute(func() { l.report(true) })
		}
	}
}

// tick tells the core the time, twice per tickTime, until the server stops.
func (s *Server) tick() {
	defer s.aside.Done()
	t := time.NewTicker(time.Duration(tickEveryMs(s.core.tickMs)) * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			s.inbox.put(func(b *inbox) { b.ticked = true })
			s.clientLog.Flush()
		case <-s.stopping:
			return
		}
	}
}

// watchDisk looks at the room on disk, until the server stops. A log that is full tries again when
// there is some.
func (s *Server) watchDisk() {
	defer s.aside.Done()
	t := time.NewTicker(diskEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if s.disk.Look() {
				s.log.Append(wal.Item{Reserve: true})
			}
		case <-s.stopping:
			return
		}
	}
}

// clockMs is the server's clock: it never steps back, and begins with the server.
func (s *Server) clock() time.Duration { return time.Since(s.started) }
func (s *Server) clockMs() int64       { return s.clock().Milliseconds() }
