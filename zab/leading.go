package zab

import (
	"fmt"
	"slices"

	"github.com/meerkat-zk/meerkat/proto"
)

// Leading is the leader's side of Zab (Zab paper, section 4; Leader, LearnerHandler). The flow,
// for the ensemble and then for each learner that comes late:
//
//  1. Discovery. Learners say which epoch they accepted. Once a quorum did, the new epoch is one
//     above all of them; it is on our disk before anybody hears of it: LEADERINFO.
//  2. Learners accept it and say what they have: ACKEPOCH. None of the quorum may have more than
//     we do, or an acknowledged write could be lost: such a learner is dropped.
//  3. Synchronisation. Each gets what it lacks, then NEWLEADER. Our own voice counts when our
//     currentEpoch is on disk; our history was before we began.
//  4. A quorum has acknowledged NEWLEADER: the epoch is established. Activate, UPTODATE.
//  5. Broadcast. Proposals and acks go to Leader, which knows what is committed.
//
// Who leads and is no longer heard by a quorum within syncLimit steps down.
type Leading struct {
	self   int64
	quorum Quorum
	limits Limits
	past   Past
	config int64 // version of the members that we know as committed

	phase    phase
	epoch    int64 // the new one; 0 while it is being found
	now      int64 // as of the last input, ms
	deadline int64 // of this phase, ms; not while leading
	pinged   int64 // when the last PINGs went out, ms
	ticked   int64 // the last Tick, ms
	saved    bool  // our currentEpoch is on disk: we have acknowledged NEWLEADER ourselves

	accepted map[int64]bool // voters that told their acceptedEpoch
	agreed   map[int64]bool // voters that accepted the new epoch
	synced   map[int64]bool // voters that acknowledged NEWLEADER
	learners map[Link]*learner
	order    []Link // of learners, as they came: outputs follow it, never the map

	acks *Leader // what is committed; from activation on
	out  []Action
}

type phase uint8

const (
	discovering phase = iota // finding the epoch
	announcing               // writing it
	collecting               // waiting for a quorum of ACKEPOCH
	syncing                  // waiting for a quorum to acknowledge NEWLEADER
	leading                  // established
	over                     // stepped down
)

// A learner is one link to a follower or an observer.
type learner struct {
	sid      int64
	observer bool
	stage    stage
	last     proto.Zxid // ACKEPOCH: what it has
	early    proto.Zxid // acks that came before its ack of NEWLEADER, as 3.8.0 to 3.9.2 send them
	heard    int64      // ms
	owed     proto.Zxid // the first proposal since owedAt that it has not acknowledged; 0: none
	owedAt   int64      // ms
}

type stage uint8

const (
	stageNew    stage = iota // has said nothing
	stageHello               // waits for the epoch
	stageAsked               // LEADERINFO is sent
	stageAgreed              // waits for the quorum of ACKEPOCH
	stageSync                // is being synchronised; NEWLEADER is sent
	stageSynced              // has acknowledged it
	stageLive                // UPTODATE is sent
)

// NewLeading begins to lead. What past tells must be on disk, the log up to past.Last too.
func NewLeading(self int64, q Quorum, l Limits, past Past, config, nowMs int64) *Leading {
	m := &Leading{self: self, quorum: q, limits: l, past: past, config: config,
		now: nowMs, deadline: nowMs + l.InitMs, pinged: nowMs, ticked: nowMs, accepted: map[int64]bool{},
		agreed: map[int64]bool{}, synced: map[int64]bool{}, learners: map[Link]*learner{}}
	m.noteAccepted(self, past.Accepted)
	return m
}

// Take returns what is to be done since the last call. The slice is used again.
func (m *Leading) Take() []Action {
	out := m.out
	m.out = m.out[len(m.out):]
	return out
}

// Epoch is the new epoch, 0 while it is not found.
func (m *Leading) Epoch() int64 { return m.epoch }

// Acks is what followers and our own log have acknowledged; nil before the epoch is established.
func (m *Leading) Acks() *Leader { return m.acks }

func (m *Leading) do(a Action) { m.out = append(m.out, a) }

func (m *Leading) send(k Link, x Message) { m.do(Action{Do: Send, Link: k, Message: x}) }

func (m *Leading) drop(k Link, format string, args ...any) {
	m.forget(k)
	m.do(Action{Do: Drop, Link: k, Reason: fmt.Sprintf(format, args...)})
}

func (m *Leading) stepDown(format string, args ...any) {
	if m.phase == over {
		return
	}
	m.phase = over
	m.do(Action{Do: StepDown, Reason: fmt.Sprintf(format, args...)})
}

func (m *Leading) forget(k Link) {
	delete(m.learners, k)
	if i := slices.Index(m.order, k); i >= 0 {
		m.order = slices.Delete(m.order, i, i+1)
	}
}

// enter begins a phase, with the whole of initLimit for it.
func (m *Leading) enter(p phase) { m.phase, m.deadline = p, m.now+m.limits.InitMs }

// isVoter tells whether sid counts in the quorum.
func (m *Leading) isVoter(sid int64) bool { return slices.Contains(m.quorum.Voters(), sid) }

func (m *Leading) has(set map[int64]bool) bool {
	return m.quorum.Contains(func(sid int64) bool { return set[sid] })
}

// OnLink takes in a new connection.
func (m *Leading) OnLink(k Link, nowMs int64) {
	m.now = nowMs
	m.learners[k] = &learner{heard: nowMs}
	m.order = append(m.order, k)
}

// OnGone takes in that a connection has ended. What its server acknowledged stays acknowledged:
// it is on that server's disk.
func (m *Leading) OnGone(k Link) { m.forget(k) }

// OnMessage takes in a packet. A link that is not known, or a packet that its phase does not
// allow, changes nothing; the latter drops the link.
func (m *Leading) OnMessage(k Link, x Message, nowMs int64) {
	p := m.learners[k]
	if p == nil || m.phase == over {
		return
	}
	m.now, p.heard = nowMs, nowMs
	switch x.Type {
	case proto.PacketFollowerInfo, proto.PacketObserverInfo:
		m.onHello(k, p, x)
	case proto.PacketAckEpoch:
		m.onAckEpoch(k, p, x)
	case proto.PacketAck:
		m.onAck(k, p, x.Zxid)
	case proto.PacketPing, proto.PacketRequest, proto.PacketRevalidate:
		if p.stage < stageSynced {
			m.drop(k, "%s before its ack of NEWLEADER", x.Type)
		}
	default:
		m.drop(k, "%s is not for a leader", x.Type)
	}
}

// OnProgress takes in that bytes of a synchronisation have left on a link. A large snapshot may
// take longer than any limit, as long as it moves.
func (m *Leading) OnProgress(k Link, nowMs int64) {
	if p := m.learners[k]; p != nil {
		m.now, p.heard = nowMs, nowMs
		if m.phase == syncing {
			m.deadline = nowMs + m.limits.InitMs
		}
	}
}

// onHello begins with a learner (LearnerHandler.run, Leader.getEpochToPropose).
func (m *Leading) onHello(k Link, p *learner, x Message) {
	sid := x.Info.ServerID
	p.observer = x.Type == proto.PacketObserverInfo
	switch {
	case p.stage != stageNew:
		m.drop(k, "a second %s", x.Type)
		return
	case sid == m.self:
		m.drop(k, "it says that it is server %d, which is this one", sid)
		return
	case p.observer && m.isVoter(sid):
		m.drop(k, "server %d is a voter here and calls itself an observer", sid)
		return
	case x.Info.ConfigVersion > m.config:
		m.drop(k, "it knows the members of version %x, newer than ours, %x", x.Info.ConfigVersion,
			m.config)
		return
	}
	m.replace(k, sid)
	p.sid, p.stage = sid, stageHello
	if m.phase > announcing {
		m.ask(k, p)
		return
	}
	if m.phase == discovering {
		m.noteAccepted(sid, x.Zxid.Epoch())
	}
}

// replace drops an older link of the same server: it is dead, and nobody has noticed.
func (m *Leading) replace(k Link, sid int64) {
	for _, other := range slices.Clone(m.order) {
		if p := m.learners[other]; other != k && p.stage != stageNew && p.sid == sid {
			m.drop(other, "server %d has a newer connection", sid)
		}
	}
}

// noteAccepted counts a server's acceptedEpoch. The quorum's greatest decides; an observer's may
// raise it, and counts for nobody.
func (m *Leading) noteAccepted(sid, epoch int64) {
	m.epoch = max(m.epoch, epoch+1)
	if m.isVoter(sid) {
		m.accepted[sid] = true
	}
	if !m.has(m.accepted) {
		return
	}
	m.enter(announcing)
	m.do(Action{Do: SaveAccepted, Epoch: m.epoch})
}

// OnAcceptedSaved takes in that our acceptedEpoch is on disk. Now the epoch may be told.
func (m *Leading) OnAcceptedSaved() {
	if m.phase != announcing {
		return
	}
	m.enter(collecting)
	for _, k := range m.order {
		if p := m.learners[k]; p.stage == stageHello {
			m.ask(k, p)
		}
	}
	m.noteAgreed(m.self)
}

func (m *Leading) ask(k Link, p *learner) {
	p.stage = stageAsked
	m.send(k, Message{Type: proto.PacketLeaderInfo, Zxid: proto.MakeZxid(m.epoch, 0)})
}

// onAckEpoch takes in what a learner has (Leader.waitForEpochAck). Epoch -1 says that it accepted
// this epoch before, and zxid -1 that its disk is empty: neither agrees to anything.
func (m *Leading) onAckEpoch(k Link, p *learner, x Message) {
	if p.stage != stageAsked {
		m.drop(k, "an ACKEPOCH that nobody asked for")
		return
	}
	counts := x.Epoch != -1 && x.Zxid != -1
	if counts && m.phase == collecting && m.isAhead(x.Epoch, x.Zxid) {
		m.drop(k, "server %d has more than this leader: epoch %d, %v; ours %d, %v", p.sid, x.Epoch,
			x.Zxid, m.past.Current, m.past.Last)
		return
	}
	p.stage, p.last = stageAgreed, x.Zxid
	if m.phase > collecting {
		m.sync(k, p)
	} else if counts {
		m.noteAgreed(p.sid)
	}
}

// isAhead compares what a learner has with what we have (StateSummary). A zxid with counter 0
// names the end of the history that its epoch began with, which we have if we were in it.
func (m *Leading) isAhead(epoch int64, last proto.Zxid) bool {
	if epoch != m.past.Current {
		return epoch > m.past.Current
	}
	return last > m.past.Last && !(last.Counter() == 0 && last.Epoch() <= m.past.Current)
}

func (m *Leading) noteAgreed(sid int64) {
	if m.isVoter(sid) {
		m.agreed[sid] = true
	}
	if m.phase != collecting || !m.has(m.agreed) {
		return
	}
	m.enter(syncing)
	m.do(Action{Do: SaveCurrent, Epoch: m.epoch})
	for _, k := range m.order {
		if p := m.learners[k]; p.stage == stageAgreed {
			m.sync(k, p)
		}
	}
}

// sync gives a learner what it lacks, and the end of it. In an established epoch there may be
// proposals behind what was committed; they stand before NEWLEADER too.
func (m *Leading) sync(k Link, p *learner) {
	p.stage = stageSync
	m.do(Action{Do: SyncLearner, Link: k, Zxid: p.last})
	m.send(k, Message{Type: proto.PacketNewLeader, Zxid: proto.MakeZxid(m.epoch, 0)})
}

// Truncated must be told of each TRUNC and SNAP that SyncLearner led to, before it is sent: what
// the learner acknowledged above z leaves its disk. Were its acks still counted, a write could be
// committed that only we have.
func (m *Leading) Truncated(k Link, z proto.Zxid) {
	if p := m.learners[k]; p != nil && m.acks != nil {
		m.acks.Forget(p.sid, z)
	}
}

// OnCurrentSaved takes in that our currentEpoch is on disk: we follow ourselves.
func (m *Leading) OnCurrentSaved(nowMs int64) {
	if m.phase == syncing {
		m.now, m.saved = nowMs, true
		m.noteSynced(m.self)
	}
}

func (m *Leading) onAck(k Link, p *learner, z proto.Zxid) {
	switch {
	case p.stage < stageSync:
		m.drop(k, "an ACK of %v before it was synchronised", z)
	case z.Counter() != 0 && p.stage == stageSync:
		p.early = max(p.early, z)
	case z.Counter() != 0:
		m.onProposalAck(k, p, z)
	case z != proto.MakeZxid(m.epoch, 0):
		m.drop(k, "an ACK of NEWLEADER %v, the epoch is %d", z, m.epoch)
	case p.stage == stageSync:
		p.stage = stageSynced
		if m.phase == leading {
			m.welcome(k, p)
		} else {
			m.noteSynced(p.sid)
		}
	} // else the second one, behind UPTODATE
}

func (m *Leading) noteSynced(sid int64) {
	if m.isVoter(sid) {
		m.synced[sid] = true
	}
	if m.phase != syncing || !m.saved || !m.has(m.synced) {
		return
	}
	m.enter(leading)
	begin := proto.MakeZxid(m.epoch, 0)
	m.acks = NewLeader(m.quorum, begin)
	m.do(Action{Do: Activate, Zxid: begin})
	for _, k := range m.order {
		if p := m.learners[k]; p.stage == stageSynced {
			p.heard = m.now
			m.welcome(k, p)
		}
	}
}

// welcome lets a learner serve, and counts what it had acknowledged already.
func (m *Leading) welcome(k Link, p *learner) {
	p.stage = stageLive
	m.send(k, Message{Type: proto.PacketUpToDate, Zxid: -1})
	if p.early != 0 {
		m.onProposalAck(k, p, p.early)
	}
}

func (m *Leading) onProposalAck(k Link, p *learner, z proto.Zxid) {
	if p.observer {
		return // it may log, and counts for nothing
	}
	if m.acks == nil {
		p.early = max(p.early, z)
		return
	}
	if z.Epoch() != m.epoch {
		return // a proposal of the history: NEWLEADER's ack has said it
	}
	if p.owed != 0 && z >= p.owed {
		p.owed = 0
	}
	before := m.acks.Committed()
	if committed, err := m.acks.OnAck(p.sid, z); err != nil {
		m.drop(k, "%v", err)
	} else if committed > before {
		m.do(Action{Do: CommitTo, Zxid: committed})
	}
}

// Propose notes that everything up to z is on its way to our log and to all learners.
func (m *Leading) Propose(z proto.Zxid, nowMs int64) {
	m.now = nowMs
	m.acks.Propose(z)
	for _, k := range m.order {
		p := m.learners[k]
		if p.owed == 0 && p.stage >= stageSync && !p.observer {
			p.owed, p.owedAt = z, nowMs
		}
	}
}

// OnDurable takes in that everything up to z is on our own disk.
func (m *Leading) OnDurable(z proto.Zxid) {
	if m.phase != leading || z.Epoch() != m.epoch {
		return // the word of a log as it was in an earlier role promises nothing in this one
	}
	before := m.acks.Committed()
	committed, err := m.acks.OnAck(m.self, z)
	if err != nil {
		panic(err) // our own log cannot hold what was not proposed
	}
	if committed > before {
		m.do(Action{Do: CommitTo, Zxid: committed})
	}
}

// Tick tells the time. What waits in the sockets must have been taken in before, so that nobody
// is judged by a silence that was ours.
func (m *Leading) Tick(nowMs int64) {
	if late := nowMs - m.ticked - m.limits.TickMs; late > 0 { // we slept
		m.deadline += late
		for _, p := range m.learners {
			p.heard += late
			p.owedAt += late
		}
	}
	m.now, m.ticked = nowMs, nowMs
	switch {
	case m.phase == over:
	case m.phase != leading:
		if nowMs >= m.deadline {
			m.stepDown("no quorum within initLimit: %s", m.missing())
		}
	default:
		m.judge(nowMs)
	}
	if m.phase == leading && nowMs-m.pinged >= m.limits.TickMs/2 {
		m.pinged = nowMs
		m.ping()
	}
}

// missing says what a leader waited for.
func (m *Leading) missing() string {
	name, set := "epochs accepted", m.accepted
	switch m.phase {
	case collecting:
		name, set = "the new epoch agreed to", m.agreed
	case syncing:
		name, set = "NEWLEADER acknowledged", m.synced
	}
	var by []int64
	for _, sid := range m.quorum.Voters() {
		if set[sid] {
			by = append(by, sid)
		}
	}
	return fmt.Sprintf("%s by %v of the voters %v", name, by, m.quorum.Voters())
}

// judge drops learners that are silent, or owe an ack, and steps down without a quorum.
func (m *Leading) judge(nowMs int64) {
	for _, k := range slices.Clone(m.order) {
		switch p := m.learners[k]; {
		case p.stage >= stageSynced && nowMs-p.heard > m.limits.SyncMs:
			m.drop(k, "server %d was not heard for %d ms", p.sid, nowMs-p.heard)
		case p.stage >= stageSynced && p.owed != 0 && nowMs-p.owedAt > m.limits.SyncMs:
			m.drop(k, "server %d has not acknowledged %v for %d ms", p.sid, p.owed, nowMs-p.owedAt)
		case p.stage < stageSynced && nowMs-p.heard > m.limits.InitMs:
			m.drop(k, "it was not synchronised within initLimit")
		}
	}
	near := map[int64]bool{m.self: true}
	for _, k := range m.order {
		if p := m.learners[k]; p.stage >= stageSynced {
			near[p.sid] = true
		}
	}
	if !m.has(near) {
		m.stepDown("a quorum was not heard within syncLimit")
	}
}

func (m *Leading) ping() {
	last := m.acks.Proposed()
	for _, k := range m.order {
		if m.learners[k].stage == stageLive {
			m.send(k, Message{Type: proto.PacketPing, Zxid: last})
		}
	}
}
