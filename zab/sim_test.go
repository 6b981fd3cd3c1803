package zab

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/meerkat-zk/meerkat/proto"
)

// Whole ensembles of these machines, in one goroutine, by one seed. Elections are drawn by lot
// here, mostly for the best, sometimes for anybody: no promise may rest on who is elected.
//
// After every step: what any server publishes is one history; and when a promise leaves a server,
// the disk as a power cut would leave it must hold what is promised.

// An entry is a transaction: its zxid, and an identity that no other proposal has.
type simEntry struct {
	z  proto.Zxid
	id int
}

// simOp is something on its way to a disk.
type simOp struct {
	entry    simEntry   // with z above 0: append
	history  []simEntry // with replace: the log from now on
	replace  bool
	accepted int64 // above 0: write the file
	current  int64
	of       int // the life of the role that asked
}

type simNode struct {
	sid      int64
	up       bool
	life     int // counts roles: late answers of a disk to an earlier one are told from ours
	log      []simEntry
	disk     []simEntry // of log, what a power cut leaves
	accepted int64      // on disk
	current  int64      // on disk
	queue    []simOp    // for the log
	files    []simOp    // for the epoch files, which another goroutine may write
	lead     *Leading
	learn    *Learning
	up2      *simLink // to the leader
	active   bool
	shown    int        // of log, published
	seen     proto.Zxid // CommitTo
	ours     bool

	vote    *Election // nil: elections are by lot
	follows int64     // whom it decided to follow; 0: nobody
	since   int64     // when, ms
}

type simPacket struct {
	m       Message
	id      int        // of a PROPOSAL or INFORM
	history []simEntry // of SNAP
}

type simLink struct {
	k                 Link
	learner, leader   *simNode
	toLeader, toLearn []simPacket
	feeding, live     bool // gets proposals; gets commits
	cursor            proto.Zxid
	plan              Plan
	observer          bool
}

type sim struct {
	t       *testing.T
	seed    int64
	rng     *rand.Rand
	nodes   []*simNode
	voters  Majority
	links   []*simLink
	now     int64
	ids     int
	nextK   Link
	history []simEntry // published by anybody, first come
	leaders map[int64]int64
	lie     string
	fault   string
	trace   []string
	marks   map[string]int
	real    bool // elections are real
	tickMs  int64
	steps   int // with faults
	mail    []simMail
}

// simMail is what one server has to say to another about the election, in order.
type simMail struct {
	from, to int64
	queue    []proto.Notification
}

const simObserver = 100

func newSim(t *testing.T, seed int64, lie string) *sim {
	s := &sim{t: t, seed: seed, rng: rand.New(rand.NewSource(seed)), lie: lie,
		leaders: map[int64]int64{}, marks: map[string]int{}, tickMs: 20, steps: 1500}
	for i := range []int{3, 3, 5}[s.rng.Intn(3)] {
		s.voters = append(s.voters, int64(i+1))
		s.nodes = append(s.nodes, &simNode{sid: int64(i + 1), up: true, ours: s.rng.Intn(3) > 0})
	}
	s.nodes = append(s.nodes, &simNode{sid: simObserver, up: true})
	return s
}

func (s *sim) fail(format string, args ...any) {
	if s.fault == "" {
		s.fault = fmt.Sprintf(format, args...)
	}
}

func (s *sim) say(format string, args ...any) {
	if len(s.trace) < 4000 {
		s.trace = append(s.trace, fmt.Sprintf("%d: ", s.now)+fmt.Sprintf(format, args...))
	}
}

func last(log []simEntry) proto.Zxid {
	if len(log) == 0 {
		return 0
	}
	return log[len(log)-1].z
}

// flush brings n's next op to its disk, and tells the role that asked for it.
func (s *sim) flush(n *simNode) {
	from := &n.queue
	if len(n.queue) == 0 || len(n.files) > 0 && s.rng.Intn(2) == 0 {
		from = &n.files
	}
	op := (*from)[0]
	*from = (*from)[1:]
	switch {
	case op.replace:
		n.disk = slices.Clone(op.history)
	case op.accepted > 0:
		n.accepted = op.accepted
	case op.current > 0:
		n.current = op.current
	default:
		n.disk = append(n.disk, op.entry)
	}
	if op.of == n.life {
		s.told(n, op)
	}
}

func (s *sim) told(n *simNode, op simOp) {
	switch {
	case op.replace:
		n.learn.OnHistory(last(op.history))
	case op.accepted > 0 && n.lead != nil:
		n.lead.OnAcceptedSaved()
	case op.accepted > 0:
		n.learn.OnAcceptedSaved()
	case op.current > 0 && n.lead != nil:
		n.lead.OnCurrentSaved(s.now)
	case op.current > 0:
		n.learn.OnCurrentSaved()
	case n.lead != nil:
		n.lead.OnDurable(op.entry.z)
	default:
		n.learn.OnDurable(op.entry.z)
	}
	s.act(n)
}

// enqueue gives the disk something to do. A lie tells at once that it is done.
func (s *sim) enqueue(n *simNode, op simOp) {
	op.of = n.life
	if s.lie == "fsync" && op.entry.z > 0 || s.lie == "epoch" && op.accepted+op.current > 0 {
		late := op
		late.of = -1
		s.line(n, late)
		s.told(n, op)
		return
	}
	s.line(n, op)
}

// line puts an op into its queue.
func (s *sim) line(n *simNode, op simOp) {
	if op.accepted+op.current > 0 {
		n.files = append(n.files, op)
	} else {
		n.queue = append(n.queue, op)
	}
}

// busy tells whether something is on its way to n's disk.
func (n *simNode) busy() bool { return len(n.queue)+len(n.files) > 0 }

// onQuorum tells whether a quorum's disks hold e.
func (s *sim) onQuorum(e simEntry) bool {
	return s.voters.Contains(func(sid int64) bool { return slices.Contains(s.nodes[sid-1].disk, e) })
}

// leave ends n's role: it looks for a leader again, once all it has is on disk.
func (s *sim) leave(n *simNode) {
	n.life++
	for n.busy() {
		s.flush(n)
	}
	n.lead, n.learn, n.active, n.up2, n.follows = nil, nil, false, nil, 0
	for _, l := range slices.Clone(s.links) {
		if l.leader == n || l.learner == n {
			s.cut(l)
		}
	}
	if n.vote != nil {
		s.voted(n, n.vote.Leave())
		s.look(n)
	}
}

func (s *sim) cut(l *simLink) {
	i := slices.Index(s.links, l)
	if i < 0 {
		return
	}
	s.links = slices.Delete(s.links, i, i+1)
	if n := l.leader; n.lead != nil {
		n.lead.OnGone(l.k)
	}
	if l.learner.up2 == l {
		s.leave(l.learner)
	}
}

// crash takes the power from n; what was not synced is lost, but for as much as luck has it.
func (s *sim) crash(n *simNode) {
	s.say("crash %d", n.sid)
	n.life++
	n.vote = nil
	for n.busy() && s.rng.Intn(3) == 0 {
		s.flush(n)
	}
	n.queue, n.files = nil, nil
	s.leave(n)
	n.up, n.log, n.shown = false, slices.Clone(n.disk), 0
	for _, other := range s.nodes {
		if other.vote != nil && s.rng.Intn(2) == 0 { // else nobody notices
			s.voted(other, other.vote.Unreachable(s.now, n.sid))
		}
	}
}

func (s *sim) past(n *simNode) Past {
	return Past{Accepted: n.accepted, Current: n.current, Last: last(n.log)}
}

// elect draws a leader and lets some of the others follow it.
func (s *sim) elect() {
	var free []*simNode
	for _, n := range s.nodes {
		if n.up && n.lead == nil && n.learn == nil && n.sid != simObserver {
			free = append(free, n)
		}
	}
	if len(free) == 0 {
		return
	}
	best := free[s.rng.Intn(len(free))]
	if s.rng.Intn(8) > 0 {
		for _, n := range free {
			if n.current > best.current || n.current == best.current && last(n.log) > last(best.log) {
				best = n
			}
		}
	}
	s.say("server %d leads, with %+v", best.sid, s.past(best))
	best.lead = NewLeading(best.sid, s.voters, Limits{100, 1000, 500}, s.past(best), 0, s.now)
	s.act(best)
}

// follow lets n follow some leader.
func (s *sim) follow(n *simNode) {
	var leaders []*simNode
	for _, m := range s.nodes {
		if m.lead != nil {
			leaders = append(leaders, m)
		}
	}
	if len(leaders) == 0 || !n.up || n.lead != nil || n.learn != nil {
		return
	}
	s.connect(n, leaders[s.rng.Intn(len(leaders))])
}

// connect has n follow m.
func (s *sim) connect(n, m *simNode) {
	s.nextK++
	l := &simLink{k: s.nextK, learner: n, leader: m, observer: n.sid == simObserver}
	s.links = append(s.links, l)
	m.lead.OnLink(l.k, s.now)
	s.say("server %d follows %d by link %d, with %+v", n.sid, m.sid, l.k, s.past(n))
	n.learn = NewLearning(n.sid, l.observer, Limits{100, 1000, 500}, s.past(n), 0, s.now)
	n.up2 = l
	s.act(n)
}

// act does what n's machine asks for.
func (s *sim) act(n *simNode) {
	for {
		var out []Action
		switch {
		case n.lead != nil:
			out = slices.Clone(n.lead.Take())
		case n.learn != nil:
			out = slices.Clone(n.learn.Take())
		}
		if len(out) == 0 {
			return
		}
		for _, a := range out {
			s.say("%d: %v", n.sid, a)
			life := n.life
			if n.lead != nil {
				s.leaderAct(n, a)
			} else if n.learn != nil {
				s.learnerAct(n, a)
			}
			if n.life != life {
				return
			}
		}
	}
}

func (s *sim) link(n *simNode, k Link) *simLink {
	for _, l := range s.links {
		if l.k == k && l.leader == n {
			return l
		}
	}
	return nil
}

func (s *sim) leaderAct(n *simNode, a Action) {
	l := s.link(n, a.Link)
	switch a.Do {
	case Send:
		if l == nil {
			return
		}
		if a.Message.Type == proto.PacketLeaderInfo && n.accepted < a.Message.Zxid.Epoch() {
			s.fail("server %d tells of epoch %v, and its disk has %d", n.sid, a.Message.Zxid, n.accepted)
		}
		l.toLearn = append(l.toLearn, simPacket{m: a.Message})
		if a.Message.Type == proto.PacketUpToDate {
			l.live = true
			s.commits(l)
		}
	case Drop:
		if l != nil {
			s.cut(l)
		}
	case SaveAccepted:
		s.enqueue(n, simOp{accepted: a.Epoch})
	case SaveCurrent:
		s.enqueue(n, simOp{current: a.Epoch})
	case SyncLearner:
		s.sync(n, l, a.Zxid)
	case Activate:
		if other, ok := s.leaders[a.Zxid.Epoch()]; ok {
			s.fail("epoch %d has two leaders, %d and %d", a.Zxid.Epoch(), other, n.sid)
		}
		s.leaders[a.Zxid.Epoch()] = n.sid
		s.marks["activated"]++
		n.active, n.seen = true, a.Zxid
		s.settled(n, a.Zxid)
		s.publish(n, a.Zxid)
	case CommitTo:
		n.seen = a.Zxid
		if n.shown < len(n.log) && len(n.disk) < len(n.log) && a.Zxid > last(n.disk) {
			s.marks["committed before our own disk"]++
		}
		s.publish(n, a.Zxid)
		for _, l := range s.links {
			if l.leader == n && l.live {
				s.commits(l)
			}
		}
	case StepDown:
		s.marks["stepped down"]++
		s.leave(n)
	}
}

// commits sends a learner what is committed and not told it yet.
func (s *sim) commits(l *simLink) {
	for _, e := range l.leader.log {
		if e.z <= l.cursor || e.z > l.leader.seen {
			continue
		}
		x := simPacket{m: Message{Type: proto.PacketCommit, Zxid: e.z}}
		if l.observer {
			x = simPacket{m: Message{Type: proto.PacketInform, Zxid: e.z}, id: e.id}
		}
		l.toLearn = append(l.toLearn, x)
		l.cursor = e.z
	}
}

// sync sends a learner what it lacks.
func (s *sim) sync(n *simNode, l *simLink, p proto.Zxid) {
	committed := last(n.log) // a new leader's history is committed when anybody may see it
	if n.active {
		committed = n.seen
	}
	upTo := 0
	for upTo < len(n.log) && n.log[upTo].z <= committed {
		upTo++
	}
	h := History{Last: committed, Ours: l.learner.ours, Snap: s.rng.Intn(10) == 0}
	var all []proto.Zxid
	for _, e := range n.log {
		all = append(all, e.z)
	}
	window := len(all) - min(len(all), s.rng.Intn(5))
	h.Window = Spans(all[window:])
	if s.rng.Intn(2) == 0 {
		h.Disk = Spans(all[:window])
	}
	plan := DecideSync(p, h)
	if h.Disk != nil && len(h.Window) == 0 {
		plan.FromDisk = true
	}
	s.marks[plan.Type.String()]++
	if plan.Type == proto.PacketDiff && plan.Zxid < p && p.Counter() != 0 {
		s.marks["DIFF with a proposed tail"]++
	}
	l.plan, l.feeding, l.cursor = plan, true, committed
	x := simPacket{m: Message{Type: plan.Type, Zxid: plan.Zxid}}
	if plan.Drops() && s.lie != "forget" {
		n.lead.Truncated(l.k, plan.After)
	}
	if plan.Type == proto.PacketSnap {
		x.history = slices.Clone(n.log[:upTo])
	}
	l.toLearn = append(l.toLearn, x)
	for i, e := range n.log {
		if e.z <= plan.After || l.observer && i >= upTo {
			continue
		}
		l.toLearn = append(l.toLearn, simPacket{m: Message{Type: proto.PacketProposal, Zxid: e.z},
			id: e.id})
		if i < upTo {
			l.toLearn = append(l.toLearn, simPacket{m: Message{Type: proto.PacketCommit, Zxid: e.z}})
		}
	}
}

// publish shows clients n's log up to z: it must be the one history.
func (s *sim) publish(n *simNode, z proto.Zxid) {
	for n.shown < len(n.log) && n.log[n.shown].z <= z {
		e := n.log[n.shown]
		if n.shown == len(s.history) {
			if !s.onQuorum(e) {
				s.fail("server %d publishes %+v, which no quorum has on disk", n.sid, e)
			}
			s.history = append(s.history, e)
		} else if s.history[n.shown] != e {
			s.fail("server %d publishes %+v as number %d, which was %+v", n.sid, e, n.shown,
				s.history[n.shown])
		}
		n.shown++
	}
}

func (s *sim) learnerAct(n *simNode, a Action) {
	switch a.Do {
	case Send:
		s.promised(n, a.Message)
		n.up2.toLeader = append(n.up2.toLeader, simPacket{m: a.Message})
	case SaveAccepted:
		s.enqueue(n, simOp{accepted: a.Epoch})
	case SaveCurrent:
		s.enqueue(n, simOp{current: a.Epoch})
	case Truncate:
		for len(n.log) > 0 && last(n.log) > a.Zxid {
			n.log = n.log[:len(n.log)-1]
		}
		n.log, n.shown = slices.Clone(n.log), 0
		s.enqueue(n, simOp{replace: true, history: slices.Clone(n.log)})
	case CommitTo:
		s.publish(n, a.Zxid)
	case Serve:
		s.marks["served"]++
		s.settled(n, a.Zxid)
	case StepDown:
		if strings.Contains(a.Reason, "missing") || strings.Contains(a.Reason, "oldest") {
			s.fail("server %d leaves its leader: %s", n.sid, a.Reason)
		}
		s.leave(n)
	}
}

// promised holds a packet against the disk of the server that sends it.
func (s *sim) promised(n *simNode, m Message) {
	has := func(z proto.Zxid) bool {
		return slices.ContainsFunc(n.disk, func(e simEntry) bool { return e.z == z })
	}
	switch {
	case m.Type == proto.PacketAckEpoch && n.accepted < n.learn.Epoch():
		s.fail("server %d sends %v, and its disk has accepted %d", n.sid, m, n.accepted)
	case m.Type == proto.PacketAck && m.Zxid.Counter() != 0 && !has(m.Zxid):
		s.fail("server %d sends %v, which its disk does not hold", n.sid, m)
	case m.Type == proto.PacketAck && m.Zxid.Counter() == 0 && n.current != m.Zxid.Epoch():
		s.fail("server %d sends %v, and its disk has epoch %d", n.sid, m, n.current)
	case m.Type == proto.PacketAck && m.Zxid.Counter() == 0 && !s.holds(n, n.learn.synced):
		s.fail("server %d sends %v, and its disk ends before %v", n.sid, m, n.learn.synced)
	}
}

// holds tells whether n's disk has its log up to z, and none of what that replaced.
func (s *sim) holds(n *simNode, z proto.Zxid) bool {
	for i, e := range n.log {
		if e.z <= z && (i >= len(n.disk) || n.disk[i] != e) {
			return false
		}
	}
	return len(n.disk) <= len(n.log)
}

// deliver takes a link's next packet in.
func (s *sim) deliver(l *simLink) {
	if len(l.toLeader) > 0 && (len(l.toLearn) == 0 || s.rng.Intn(2) == 0) {
		x := l.toLeader[0]
		l.toLeader = l.toLeader[1:]
		l.leader.lead.OnMessage(l.k, x.m, s.now)
		s.act(l.leader)
		return
	}
	if len(l.toLearn) == 0 {
		return
	}
	x, n := l.toLearn[0], l.learner
	l.toLearn = l.toLearn[1:]
	if x.m.Type == proto.PacketSnap {
		n.log, n.shown = slices.Clone(x.history), 0
		n.learn.OnMessage(x.m, s.now)
		s.enqueue(n, simOp{replace: true, history: x.history})
	} else if n.learn.OnMessage(x.m, s.now) {
		e := simEntry{x.m.Zxid, x.id}
		n.log = append(n.log, e)
		s.enqueue(n, simOp{entry: e})
	}
	s.act(n)
}

// propose lets a leader accept a write.
func (s *sim) propose(n *simNode) {
	z := max(last(n.log), proto.MakeZxid(n.lead.Epoch(), 0)) + 1
	s.ids++
	e := simEntry{z, s.ids}
	n.log = append(n.log, e)
	n.lead.Propose(z, s.now)
	for _, l := range s.links {
		if l.leader == n && l.feeding && !l.observer {
			l.toLearn = append(l.toLearn, simPacket{m: Message{Type: proto.PacketProposal, Zxid: z},
				id: e.id})
		}
	}
	s.enqueue(n, simOp{entry: e})
}

// step does one thing, drawn by lot.
func (s *sim) step(faults bool) {
	n := s.nodes[s.rng.Intn(len(s.nodes))]
	switch k := s.rng.Intn(100); {
	case s.real && k >= 65:
		s.electionStep(n, k, faults)
	case k < 45 && len(s.links) > 0:
		s.deliver(s.links[s.rng.Intn(len(s.links))])
	case k < 65 && n.busy():
		s.flush(n)
	case k < 75 && n.active:
		s.propose(n)
	case s.real: // what is below is the lot's
	case k < 80:
		s.follow(n)
	case k < 82:
		s.tick()
	case k < 83:
		leading := slices.ContainsFunc(s.nodes, func(n *simNode) bool { return n.lead != nil })
		if !leading || faults && s.rng.Intn(4) == 0 {
			s.elect()
		}
	case k < 85 && faults && len(s.links) > 0:
		s.cut(s.links[s.rng.Intn(len(s.links))])
	case k < 86 && faults && n.up && s.rng.Intn(2) == 0:
		s.crash(n)
	case k < 90:
		n.up = true
	}
}

func (s *sim) tick() {
	s.now += s.tickMs
	for _, n := range s.nodes {
		switch {
		case n.lead != nil:
			n.lead.Tick(s.now)
		case n.learn != nil:
			n.learn.Tick(s.now)
		}
		s.act(n)
		if n.vote != nil {
			s.voted(n, n.vote.Tick(s.now))
		}
		if n.follows != 0 && n.learn == nil && n.up {
			s.reach(n)
		}
	}
}

// run lives through faults, heals, and demands progress.
func (s *sim) run() {
	for i := 0; i < s.steps && s.fault == ""; i++ {
		s.step(true)
	}
	before := len(s.history)
	for i := 0; i < 40000 && s.fault == ""; i++ {
		s.step(false)
		if len(s.history) > before+10 {
			return
		}
	}
	if s.fault == "" {
		s.fail("healed, and only %d writes were published after %d", len(s.history)-before, before)
	}
}

// TestSim runs ensembles under crashes, cuts and wrong elections.
func TestSim(t *testing.T) {
	marks := map[string]int{}
	published := 0
	for seed := int64(1); seed <= simSeeds(t); seed++ {
		s := newSim(t, seed, "")
		s.run()
		if s.fault != "" {
			t.Fatalf("seed %d: %s\n%s", seed, s.fault, strings.Join(tail(s.trace, 80), "\n"))
		}
		for k, n := range s.marks {
			marks[k] += n
		}
		published += len(s.history)
	}
	t.Logf("%d writes published; reached: %v", published, marks)
	for _, k := range []string{"activated", "served", "DIFF", "TRUNC", "SNAP", "stepped down",
		"committed before our own disk", "DIFF with a proposed tail"} {
		if marks[k] == 0 {
			t.Errorf("no seed reached %q", k)
		}
	}
}

// TestSimFindsLies shows that TestSim would fail for a server that promises too early.
func TestSimFindsLies(t *testing.T) {
	for _, lie := range []string{"fsync", "epoch"} {
		found := false
		for seed := int64(1); seed <= 1000 && !found; seed++ {
			s := newSim(t, seed, lie)
			s.run()
			found = s.fault != ""
		}
		if !found {
			t.Errorf("%s: not found", lie)
		}
	}
}

func tail(lines []string, n int) []string { return lines[max(0, len(lines)-n):] }
