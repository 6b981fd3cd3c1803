package metrics

import "maps"

// What a server counts. Each struct has one owner, which counts in plain fields; whoever wants to
// see them has the owner copy them. Times are in nanoseconds.

// Places in Loop.Fired.
const (
	FiredCreated = iota
	FiredDeleted
	FiredChanged
	FiredChildren
	firedCount
)

// Loop is what one loop counts.
type Loop struct {
	Received, Sent       int64 // packets
	BytesIn              int64 // of frames, with their lengths
	BytesOut, WatchBytes int64 // of all frames, and of events among them
	Connects, Resumes    int64 // ConnectRequests, and those for a session that exists
	Sessions             int64 // connections that got their session
	Dropped              int64 // connections that ended
	Sessionless          int64 // of those, for want of a ConnectRequest
	NotServing           int64 // of those, because nothing was loaded yet
	AuthFailed           int64
	EnsembleOK           int64 // auth packets of the scheme ensemble: it is the one,
	EnsembleSkipped      int64 // nobody said which,
	EnsembleFailed       int64 // it is another
	TooLarge             int64 // requests beyond jute.maxbuffer
	StaleReplies         int64 // of writes whose connection ended before
	Holds                int64 // times that a connection was not read, for its requests were too many

	Replies Sizes // in bytes

	Latency  [Slots]Histogram      // from request to answer
	Fired    [firedCount]Histogram // watchers that an event told, when it told any
	ReadWait Histogram             // of reads that could not be answered at once, until they were
	Held     Histogram             // how long connections were not read
	Closing  Histogram             // from the decision to close a connection until it is closed

	// Of a turn that answered something.
	Answered             Histogram // requests
	Reads, Writes        Histogram // of those, if there were any
	ReadShare            Histogram // of a read in the time of its turn
	WriteShare, WriteFor Histogram // of a write; the whole turn

	// Of a batch that answered writes of this loop.
	Replied            Histogram // writes
	Committed          Histogram // from its publication until the loop came to it, per write
	Propagated         Histogram // from its first transaction on, per write
	ReadsWait, SentOut Histogram // requests that waited then: for a write; for the core
	Queues             Histogram // connections that had requests behind their write
	Drained            Histogram // of those, that had none afterwards
	Behind, Freed      Histogram // requests of such a connection; those that went on

	ReadBytes Namespaces // of replies to reads
}

func (n *Loop) counts() []*int64 {
	return []*int64{&n.Received, &n.Sent, &n.BytesIn, &n.BytesOut, &n.WatchBytes, &n.Connects,
		&n.Resumes, &n.Sessions, &n.Dropped, &n.Sessionless, &n.NotServing, &n.AuthFailed,
		&n.EnsembleOK, &n.EnsembleSkipped, &n.EnsembleFailed, &n.TooLarge, &n.StaleReplies,
		&n.Holds}
}

func (n *Loop) hists() []*Histogram {
	all := []*Histogram{&n.ReadWait, &n.Held, &n.Closing, &n.Answered, &n.Reads, &n.Writes,
		&n.ReadShare, &n.WriteShare, &n.WriteFor, &n.Replied, &n.Committed, &n.Propagated,
		&n.ReadsWait, &n.SentOut, &n.Queues, &n.Drained, &n.Behind, &n.Freed}
	for i := range n.Latency {
		all = append(all, &n.Latency[i])
	}
	for i := range n.Fired {
		all = append(all, &n.Fired[i])
	}
	return all
}

// Merge adds what another loop counted.
func (n *Loop) Merge(o *Loop) {
	addAll(n.counts(), o.counts(), 1)
	mergeAll(n.hists(), o.hists())
	n.Replies.merge(&o.Replies)
	n.ReadBytes.Merge(&o.ReadBytes)
}

// Since takes away what an older copy had counted. Replies.Min and Max are those since Forget.
func (n *Loop) Since(older *Loop) {
	addAll(n.counts(), older.counts(), -1)
	sinceAll(n.hists(), older.hists())
	n.ReadBytes.Since(&older.ReadBytes)
}

// Clone is a copy that shares nothing.
func (n *Loop) Clone() *Loop {
	c := *n
	c.ReadBytes = n.ReadBytes.Clone()
	return &c
}

// Forget begins extremes anew.
func (n *Loop) Forget() {
	forgetAll(n.hists())
	n.Replies = Sizes{}
	n.ReadBytes.Forget()
}

// Sizes are the last of some sizes, and their extremes.
//
// Invariant: all are 0 while there is none, for no size is 0.
type Sizes struct {
	Last, Min, Max int64
	LastNs         int64 // when the last of them was
}

// Add counts a size.
func (s *Sizes) Add(size, nowNs int64) {
	if s.Max == 0 {
		s.Min = size
	}
	s.Last, s.Min, s.Max, s.LastNs = size, min(s.Min, size), max(s.Max, size), nowNs
}

func (s *Sizes) merge(o *Sizes) {
	switch {
	case o.Max == 0:
		return
	case s.Max == 0:
		*s = *o
		return
	case o.LastNs > s.LastNs:
		s.Last, s.LastNs = o.Last, o.LastNs
	}
	s.Min, s.Max = min(s.Min, o.Min), max(s.Max, o.Max)
}

// Shown are the last size, the least and the greatest as Java shows them: -1 for none.
func (s *Sizes) Shown() (last, least, most int64) {
	if s.Max == 0 {
		return -1, -1, -1
	}
	return s.Last, s.Min, s.Max
}

// Core is what the core's turns count.
type Core struct {
	Requests int64 // that the core got
	Proposed int64 // transactions that went to the log
	Txns     int64 // transactions that were published
	Expired  int64 // sessions
	Stale    int64 // requests of connections that had lost their session
	NoRoom   int64 // requests that found the disk full
	Proposal Sizes // bytes of a transaction

	Taken         Histogram // requests per turn
	WaitNs        Histogram // how long the oldest of them had waited
	PlanNs        Histogram // a request's share of its turn
	CloseNs       Histogram // a turn that closed a session, per closed session
	ProposeNs     Histogram // handing batches to the log
	PublishNs     Histogram // handing committed batches to the loops
	LateNs        Histogram // ticks that came too late
	Batches       Histogram // transactions per batch
	InLog         Histogram // transactions that the log had already when a batch came
	OpenNs, LogNs Histogram // of a batch: until it went to the log; from there until published
	WholeNs       Histogram // both together

	Exceeded   map[string]int64 // writes that a hard quota refused, by namespace
	WriteBytes Namespaces       // of what writes brought
}

func (n *Core) counts() []*int64 {
	return []*int64{&n.Requests, &n.Proposed, &n.Txns, &n.Expired, &n.Stale, &n.NoRoom}
}

func (n *Core) hists() []*Histogram {
	return []*Histogram{&n.Taken, &n.WaitNs, &n.PlanNs, &n.CloseNs, &n.ProposeNs, &n.PublishNs,
		&n.LateNs, &n.Batches, &n.InLog, &n.OpenNs, &n.LogNs, &n.WholeNs}
}

// Since takes away what an older copy had counted.
func (n *Core) Since(older *Core) {
	addAll(n.counts(), older.counts(), -1)
	sinceAll(n.hists(), older.hists())
	n.WriteBytes.Since(&older.WriteBytes)
	for name, count := range older.Exceeded {
		if n.Exceeded[name] -= count; n.Exceeded[name] == 0 {
			delete(n.Exceeded, name)
		}
	}
}

// Clone is a copy that shares nothing.
func (n *Core) Clone() *Core {
	c := *n
	c.WriteBytes, c.Exceeded = n.WriteBytes.Clone(), maps.Clone(n.Exceeded)
	return &c
}

// Forget begins extremes anew.
func (n *Core) Forget() {
	forgetAll(n.hists())
	n.Proposal = Sizes{}
	n.WriteBytes.Forget()
}

// Exceed counts a write that a hard quota refused.
func (n *Core) Exceed(namespace string) {
	if n.Exceeded == nil {
		n.Exceeded = map[string]int64{}
	}
	n.Exceeded[namespace]++
}

// Rare is what happens a few times per second at most.
type Rare struct {
	Fsync, Snapshot, Restore  Histogram // ns
	Load, LoadSnap, Replay    Histogram // ns: of the start, of its snapshot, of its log
	Replayed                  Histogram // records
	SlowSyncs, Mismatches     int64     // digests of records that were not the tree's
	SnapErrors, RestoreErrors int64
	SnapLimited               int64 // asked for too soon
	RestoreLimited            int64
}

func (n *Rare) counts() []*int64 {
	return []*int64{&n.SlowSyncs, &n.Mismatches, &n.SnapErrors, &n.RestoreErrors, &n.SnapLimited,
		&n.RestoreLimited}
}

func (n *Rare) hists() []*Histogram {
	return []*Histogram{&n.Fsync, &n.Snapshot, &n.Restore, &n.Load, &n.LoadSnap, &n.Replay,
		&n.Replayed}
}

// Since takes away what an older copy had counted.
func (n *Rare) Since(older *Rare) {
	addAll(n.counts(), older.counts(), -1)
	sinceAll(n.hists(), older.hists())
}

// Forget begins extremes anew.
func (n *Rare) Forget() { forgetAll(n.hists()) }

func addAll(mine, others []*int64, sign int64) {
	for i := range mine {
		*mine[i] += sign * *others[i]
	}
}

func mergeAll(mine, others []*Histogram) {
	for i := range mine {
		mine[i].Merge(others[i])
	}
}

func sinceAll(mine, older []*Histogram) {
	for i := range mine {
		mine[i].Since(older[i])
	}
}

func forgetAll(all []*Histogram) {
	for _, h := range all {
		h.Forget()
	}
}
