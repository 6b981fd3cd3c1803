package zab

import (
	"fmt"

	"github.com/meerkat-zk/meerkat/proto"
)

// Learning is the learner's side of Zab (Learner, Follower, Observer). The flow:
//
//  1. FOLLOWERINFO or OBSERVERINFO says which epoch we accepted.
//  2. LEADERINFO brings the new epoch. acceptedEpoch goes to disk, then ACKEPOCH says what we have.
//  3. DIFF, TRUNC or SNAP, then the transactions that we lack, then NEWLEADER. All of that goes to
//     disk, then currentEpoch does, then NEWLEADER is acknowledged. That ack is the first packet
//     after ACKEPOCH: a Java leader takes the first one for it.
//  4. UPTODATE: we serve.
//  5. Broadcast. A follower acknowledges a PROPOSAL when it is on disk and publishes it at COMMIT.
//     An observer gets INFORM, which is both.
//
// Promises and what they wait for: ACKEPOCH for acceptedEpoch; the ack of NEWLEADER for the
// history and then currentEpoch; the ack of a proposal for that record.
type Learning struct {
	self     int64
	observer bool
	limits   Limits
	past     Past
	config   int64

	state    lstate
	epoch    int64      // the leader's; 0 before LEADERINFO
	heard    int64      // ms
	next     proto.Zxid // the last one that is in our log or on its way: what follows it
	durable  proto.Zxid // all up to here is on disk
	settled  bool       // a TRUNC or SNAP is on disk; true if there was none
	synced   proto.Zxid // where the history ended: next at NEWLEADER
	acked    proto.Zxid // proposals that were acknowledged
	got      []proto.Zxid
	commit   proto.Zxid // COMMIT came for all up to here
	reported proto.Zxid // CommitTo was asked for up to here

	out []Action
}

type lstate uint8

const (
	lHello     lstate = iota // waits for LEADERINFO
	lAccepting               // writes acceptedEpoch
	lAgreed                  // waits for DIFF, TRUNC or SNAP
	lSync                    // takes the history in
	lSettling                // NEWLEADER is here; the history goes to disk
	lSaving                  // currentEpoch does
	lAcked                   // waits for UPTODATE
	lLive                    // serves
	lOver
)

// NewLearning begins with a leader whose connection stands. What past tells must be on disk.
func NewLearning(self int64, observer bool, l Limits, past Past, config, nowMs int64) *Learning {
	m := &Learning{self: self, observer: observer, limits: l, past: past, config: config,
		heard: nowMs, next: past.Last, durable: past.Last, settled: true}
	hello := proto.PacketFollowerInfo
	if observer {
		hello = proto.PacketObserverInfo
	}
	m.send(Message{Type: hello, Zxid: proto.MakeZxid(past.Accepted, 0),
		Info: proto.LearnerInfo{ServerID: self, Protocol: proto.LearnerProtocol,
			ConfigVersion: config}})
	return m
}

// Take returns what is to be done since the last call. The slice is used again.
func (m *Learning) Take() []Action {
	out := m.out
	m.out = m.out[len(m.out):]
	return out
}

// Epoch is the leader's epoch, 0 before it is known.
func (m *Learning) Epoch() int64 { return m.epoch }

// IsServing tells whether UPTODATE has come.
func (m *Learning) IsServing() bool { return m.state == lLive }

func (m *Learning) do(a Action)    { m.out = append(m.out, a) }
func (m *Learning) send(x Message) { m.do(Action{Do: Send, Message: x}) }

func (m *Learning) leave(format string, args ...any) {
	if m.state != lOver {
		m.state = lOver
		m.do(Action{Do: StepDown, Reason: fmt.Sprintf(format, args...)})
	}
}

// OnMessage takes in a packet of the leader. When it returns true for a PROPOSAL or an INFORM, its
// transaction goes to the log; else it is one that the log has already, and is dropped.
func (m *Learning) OnMessage(x Message, nowMs int64) (accept bool) {
	if m.state == lOver {
		return false
	}
	m.heard = nowMs
	switch x.Type {
	case proto.PacketLeaderInfo:
		m.onLeaderInfo(x.Zxid.Epoch())
	case proto.PacketDiff, proto.PacketTrunc, proto.PacketSnap:
		m.onSync(x)
	case proto.PacketProposal:
		return m.onProposal(x.Zxid)
	case proto.PacketInform, proto.PacketInformAndActivate:
		accept = m.onProposal(x.Zxid)
		m.onCommit(x.Zxid)
		return accept
	case proto.PacketCommit, proto.PacketCommitAndActivate:
		m.onCommit(x.Zxid)
	case proto.PacketNewLeader:
		m.onNewLeader(x.Zxid)
	case proto.PacketUpToDate:
		m.onUpToDate()
	case proto.PacketPing:
		if m.state >= lAcked { // an answer before the ack of NEWLEADER would be taken for it
			m.send(x)
		}
	case proto.PacketRevalidate, proto.PacketSync:
		if m.state < lAcked {
			m.leave("%s before NEWLEADER was acknowledged", x.Type)
		}
	default:
		m.leave("%s is not for a learner", x.Type)
	}
	return false
}

func (m *Learning) onLeaderInfo(epoch int64) {
	switch {
	case m.state != lHello:
		m.leave("a second LEADERINFO")
	case epoch < m.past.Accepted:
		m.leave("the leader's epoch %d is below the accepted one, %d", epoch, m.past.Accepted)
	case epoch == m.past.Accepted:
		// Promised before, perhaps to another leader: this ack must not count (Learner.java).
		m.epoch, m.state = epoch, lAgreed
		m.ackEpoch(-1)
	default:
		m.epoch, m.state = epoch, lAccepting
		m.do(Action{Do: SaveAccepted, Epoch: epoch})
	}
}

// OnAcceptedSaved takes in that acceptedEpoch is on disk.
func (m *Learning) OnAcceptedSaved() {
	if m.state == lAccepting {
		m.state = lAgreed
		m.ackEpoch(m.past.Current)
	}
}

func (m *Learning) ackEpoch(current int64) {
	m.send(Message{Type: proto.PacketAckEpoch, Zxid: m.past.Last, Epoch: current})
}

// onSync begins the synchronisation.
func (m *Learning) onSync(x Message) {
	if m.state != lAgreed {
		m.leave("%s at a moment when no synchronisation begins", x.Type)
		return
	}
	m.state = lSync
	switch x.Type {
	case proto.PacketTrunc:
		if x.Zxid > m.next || x.Zxid < 0 {
			m.leave("TRUNC to %v, and the log ends at %v", x.Zxid, m.next)
			return
		}
		m.replaced(x.Zxid, Truncate)
	case proto.PacketSnap:
		m.replaced(x.Zxid, ReceiveSnapshot)
	default:
		m.diff(x.Zxid)
	}
}

// diff keeps all that we have. A leader of ours may know of its end only that it was proposed, and
// says with the zxid of DIFF up to where it is committed; what is above that waits for its COMMIT
// like any proposal. A Java leader has it committed, or sends TRUNC.
func (m *Learning) diff(committed proto.Zxid) {
	m.commit = min(m.next, committed)
	first := m.commit + 1
	if m.commit.Epoch() != m.next.Epoch() {
		first = proto.MakeZxid(m.next.Epoch(), 1)
	}
	for z := first; m.commit < m.next && z <= m.next; z++ {
		m.got = append(m.got, z)
	}
}

// replaced begins with another history, which ends at z.
func (m *Learning) replaced(z proto.Zxid, do Do) {
	m.next, m.commit, m.settled, m.durable = z, z, false, -1
	m.do(Action{Do: do, Zxid: z})
}

// OnHistory takes in that the TRUNC or SNAP, to z, is done and on disk. What was durable of the
// old history says nothing of the new one.
func (m *Learning) OnHistory(z proto.Zxid) {
	m.settled = true
	m.durable = max(m.durable, z)
	m.maybeSave()
}

// onProposal checks that nothing is missing before z. A Java leader may repeat a zxid: that is
// acknowledged again and logged once.
func (m *Learning) onProposal(z proto.Zxid) bool {
	switch {
	case m.state < lSync:
		m.leave("a proposal before the synchronisation")
		return false
	case z == m.next && z.Counter() != 0:
		if z <= m.durable && m.state >= lAcked && !m.observer {
			m.send(Message{Type: proto.PacketAck, Zxid: z})
		}
		return false
	case !m.isNext(z):
		m.leave("%v came after %v: transactions between them are missing", z, m.next)
		return false
	}
	m.next = z
	m.got = append(m.got, z)
	return true
}

// isNext tells whether z may follow what we have.
func (m *Learning) isNext(z proto.Zxid) bool {
	return follows(max(m.next, 0), z)
}

// onCommit takes in that a quorum has z. Commits come for each proposal in its order.
func (m *Learning) onCommit(z proto.Zxid) {
	if m.state == lOver {
		return
	}
	if z <= m.commit {
		return // repeated with its proposal
	}
	if len(m.got) == 0 || m.got[0] != z {
		m.leave("COMMIT %v is not of the oldest proposal that waits", z)
		return
	}
	m.got = m.got[1:]
	m.commit = z
	m.publish()
}

func (m *Learning) publish() {
	if m.state == lLive && m.commit > m.reported {
		m.reported = m.commit
		m.do(Action{Do: CommitTo, Zxid: m.commit})
	}
}

func (m *Learning) onNewLeader(z proto.Zxid) {
	switch {
	case m.state != lSync:
		m.leave("NEWLEADER without a synchronisation before it")
	case z != proto.MakeZxid(m.epoch, 0):
		m.leave("NEWLEADER %v, and LEADERINFO had said epoch %d", z, m.epoch)
	default:
		m.state, m.synced = lSettling, m.next
		m.maybeSave()
	}
}

// OnDurable takes in that everything up to z is on disk, of the history as it is now.
func (m *Learning) OnDurable(z proto.Zxid) {
	m.durable = max(m.durable, z)
	m.maybeSave()
	m.ack()
}

// maybeSave writes currentEpoch once the history before NEWLEADER is on disk, never before: a
// server that says it followed epoch e must hold what e began with.
func (m *Learning) maybeSave() {
	if m.state == lSettling && m.settled && m.durable >= m.synced {
		m.state = lSaving
		m.do(Action{Do: SaveCurrent, Epoch: m.epoch})
	}
}

// OnCurrentSaved takes in that currentEpoch is on disk: NEWLEADER may be acknowledged, and what
// came with the history and is not committed yet.
func (m *Learning) OnCurrentSaved() {
	if m.state != lSaving {
		return
	}
	m.state = lAcked
	m.send(Message{Type: proto.PacketAck, Zxid: proto.MakeZxid(m.epoch, 0)})
	m.acked = m.commit
	m.ack()
}

// ack acknowledges each proposal that is on disk, in order.
func (m *Learning) ack() {
	if m.state != lAcked && m.state != lLive || m.observer {
		return
	}
	for _, z := range m.got {
		if z > m.durable {
			break
		}
		if z > m.acked {
			m.acked = z
			m.send(Message{Type: proto.PacketAck, Zxid: z})
		}
	}
}

func (m *Learning) onUpToDate() {
	if m.state != lAcked {
		m.leave("UPTODATE before NEWLEADER was acknowledged")
		return
	}
	m.state = lLive
	begin := proto.MakeZxid(m.epoch, 0)
	m.send(Message{Type: proto.PacketAck, Zxid: begin})
	m.reported = m.commit
	m.do(Action{Do: CommitTo, Zxid: m.commit})
	m.do(Action{Do: Serve, Zxid: begin})
}

// OnProgress takes in that bytes of a snapshot have come.
func (m *Learning) OnProgress(nowMs int64) { m.heard = nowMs }

// Tick tells the time. What waits in the sockets must have been taken in before.
func (m *Learning) Tick(nowMs int64) {
	limit := m.limits.InitMs
	if m.state >= lAcked {
		limit = m.limits.SyncMs
	}
	if silent := nowMs - m.heard; silent > limit {
		m.leave("the leader was not heard for %d ms", silent)
	}
}
