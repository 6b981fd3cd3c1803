package zab

import (
	"cmp"
	"math"
	"slices"

	"github.com/meerkat-zk/meerkat/proto"
)

// How an election goes in time, in milliseconds (FastLeaderElection).
const (
	finalizeWaitMs = 200       // a better vote may be on its way when a quorum agrees
	resendMinMs    = 200       // votes are sent again when nothing came of them,
	resendMaxMs    = 60 * 1000 // after twice the time each time
	askMaxMs       = 3200      // of who has no vote that counts, and hears only what it asks for
	repeatMs       = 100       // a server without a vote is not told the same sooner
	strangersMax   = 64        // servers without a vote, or with another configuration, remembered
)

// Never is a moment that does not come.
const Never int64 = math.MaxInt64

// An Election finds the server that everybody should follow (FastLeaderElection). It is a
// state machine: it is told what happens and at which millisecond of a clock that only goes
// forward, and each call returns what to do.
//
//  1. Look starts a round with a vote for oneself and tells it to all voters.
//  2. Heard takes what others say. Whoever hears of a better candidate votes for it and says so
//     (onLooking in ballots.go); whoever is behind joins the newer round.
//  3. When a quorum votes the same, tally waits a moment for a better vote, and decides. It does
//     not wait when every other voter agrees or is not there (Unreachable).
//  4. Or a quorum has a leader already, which says so itself (onSettled): join it.
//  5. Settled: the leader began an epoch. From now on votes name it, or servers that looked when
//     it began and others that came later would never be seen to follow the same leader.
//  6. Leave and Look again when the role is lost.
//
// What an election decides is a proposal. That there is one leader per epoch, and that it has
// all that was committed, rests on the epochs of the discovery that follows.
//
// A vote is a promise: the caller looks only when the history that it names is durable.
// After a late turn, it hands in what waits on the connections before it calls Tick.
type Election struct {
	config ElectionConfig
	out    ElectionOutput

	state    proto.PeerState
	voting   bool // Invariant: only while looking; false between Leave and Look
	outdated bool // another server has a newer configuration: do not propose oneself

	round    int64
	own      Vote             // what Look was told
	proposal Vote             // Invariant: while voting nothing heard in this round beats it
	received map[int64]ballot // of this round, one's own included
	settled  map[int64]ballot // of those who have a leader, whatever their round
	fresh    map[int64]bool   // voters that have no history either, heard since Look
	gone     map[int64]bool   // voters whose connection was refused or reset, since Look
	heard    map[int64]bool   // voters heard since votes were sent to all
	said     map[int64]ballot // the last of each voter since Look, whether it counts or not
	held     []heldMail       // came while not voting or while finalizing; one per server
	answered map[int64]reply  // what servers without a vote were told last
	differs  map[int64]string // configurations that were reported

	resendMs, resendAt int64
	finalizeAt         int64 // Never, unless a quorum agrees on the proposal
}

// ElectionConfig is what does not change during the life of an Election.
type ElectionConfig struct {
	Self   int64
	Quorum Quorum // a server that is none of its voters observes
	// Barred are voters of weight 0: their votes are heard, and nobody votes for them.
	Barred []int64
	// Config is the text of the committed configuration, which each notification carries.
	Config string
	// The times after which a vote is sent again, at first and at most; 0 stands for Java's.
	ResendMinMs, ResendMaxMs int64
}

// ElectionOutput is what a call wants done, in the order of the fields.
type ElectionOutput struct {
	Send []Mail
	// Reconnect are voters that were not heard since all were told last: connect to them if
	// there is no connection.
	Reconnect []int64
	Decided   *Decision
	// Differs are servers whose configuration is another one, told once for each text.
	Differs []ConfigDiffers
	// Wake is the moment at which Tick wants to be called, or Never.
	Wake int64
}

// Mail is a notification on its way.
type Mail struct {
	To           int64
	Notification proto.Notification
}

// A Decision ends an election: the role to take, and the vote that named the leader.
type Decision struct {
	State proto.PeerState // Leading, Following or Observing
	Vote  Vote
}

// ConfigDiffers tells that sid has another configuration. With a newer one, this server does not
// propose itself, for as a leader it would have to refuse those that have it.
type ConfigDiffers struct {
	Sid    int64
	Config string
	Newer  bool
}

type heldMail struct {
	from int64
	n    proto.Notification
}

type reply struct {
	at int64
	n  proto.Notification
}

// NewElection returns a machine that is looking, and has no vote before the first Look.
func NewElection(c ElectionConfig) *Election {
	c.ResendMinMs = cmp.Or(c.ResendMinMs, resendMinMs)
	c.ResendMaxMs = max(c.ResendMinMs, cmp.Or(c.ResendMaxMs, resendMaxMs))
	return &Election{
		config: c, state: proto.Looking, finalizeAt: Never, resendAt: Never,
		settled: map[int64]ballot{}, gone: map[int64]bool{}, heard: map[int64]bool{},
		answered: map[int64]reply{}, differs: map[int64]string{},
	}
}

// State is what this server tells others that it is doing.
func (e *Election) State() proto.PeerState { return e.state }

// Vote is the vote in force: the proposal while looking, afterwards what was decided.
func (e *Election) Vote() Vote { return e.proposal }

// Leave takes the role away. Until Look gives a vote again nobody is answered, and what is heard
// is kept for then.
func (e *Election) Leave() ElectionOutput {
	e.state, e.voting = proto.Looking, false
	e.finalizeAt, e.resendAt = Never, Never
	return e.take()
}

// Look starts an election with the last zxid that is durable here and the currentEpoch. A voter
// that lost its history, or never had one, says UnknownZxid: it waits for a leader that others
// elect, or until it has heard from all voters that none has any.
func (e *Election) Look(now int64, zxid proto.Zxid, epoch int64) ElectionOutput {
	e.state, e.voting = proto.Looking, true
	e.own = Vote{Leader: e.config.Self, Zxid: zxid, Epoch: epoch}
	switch {
	case !e.votes(e.config.Self):
		e.own = Vote{Leader: nobody, Zxid: observerZxid, Epoch: math.MinInt64}
	case e.outdated:
		e.own.Leader = nobody
	}
	e.settled, e.said = map[int64]ballot{}, map[int64]ballot{}
	e.fresh, e.gone = map[int64]bool{}, map[int64]bool{}
	e.enter(e.round + 1)
	e.propose(now, e.own)
	e.lookFresh(now)
	e.tally(now)
	e.release(now)
	return e.take()
}

// Heard takes a notification from sid.
func (e *Election) Heard(now, sid int64, n proto.Notification) ElectionOutput {
	if sid != e.config.Self { // our own id comes from a server that is not us: no vote of ours
		e.compareConfig(now, sid, n.Config)
		e.hear(now, sid, n)
		e.release(now)
	}
	return e.take()
}

// Unreachable tells that sid's connection was refused or reset, so that nothing is on its way
// from there. A connection that merely takes long is not unreachable.
func (e *Election) Unreachable(now, sid int64) ElectionOutput {
	switch {
	case e.voting:
		e.gone[sid] = true
		delete(e.settled, sid) // what it said of its role may be over
		e.tally(now)
		e.release(now)
	case e.state == proto.Looking:
		e.unhold(sid)
	}
	return e.take()
}

// Settled tells that the leadership which was decided has begun its epoch here: on a leader when
// a quorum has acknowledged it, on a learner when it is up to date.
func (e *Election) Settled(epoch int64) ElectionOutput {
	if e.state != proto.Looking {
		e.proposal.Epoch = epoch
	}
	return e.take()
}

// Tick acts on the time.
func (e *Election) Tick(now int64) ElectionOutput {
	if now >= e.finalizeAt {
		e.decide(e.proposal)
		e.release(now)
	}
	if e.voting && now >= e.resendAt {
		for _, sid := range e.others() {
			if !e.heard[sid] {
				e.out.Reconnect = append(e.out.Reconnect, sid)
			}
		}
		wait := min(2*e.resendMs, e.config.ResendMaxMs)
		if !e.votes(e.config.Self) || e.own.Zxid == UnknownZxid {
			wait = min(wait, askMaxMs)
		}
		e.tell(now)
		e.resendMs, e.resendAt = wait, now+wait
	}
	return e.take()
}

// take returns what has gathered.
func (e *Election) take() ElectionOutput {
	out := e.out
	out.Wake = min(e.resendAt, e.finalizeAt)
	e.out = ElectionOutput{}
	return out
}

func (e *Election) votes(sid int64) bool {
	return slices.Contains(e.config.Quorum.Voters(), sid)
}

// others are the voters save this server, ascending.
func (e *Election) others() []int64 {
	return slices.DeleteFunc(slices.Clone(e.config.Quorum.Voters()), func(sid int64) bool {
		return sid == e.config.Self
	})
}

// enter begins a round.
func (e *Election) enter(round int64) {
	e.round = round
	e.received = map[int64]ballot{}
}

// propose votes for v in this round, and tells all voters.
func (e *Election) propose(now int64, v Vote) {
	v.Round = e.round
	e.proposal = v
	if e.votes(e.config.Self) {
		e.received[e.config.Self] = ballot{vote: v, state: proto.Looking}
	}
	e.tell(now)
}

// tell sends the vote to all voters. When nothing comes of it, Tick sends it again.
func (e *Election) tell(now int64) {
	for _, sid := range e.others() {
		e.send(sid)
	}
	e.heard = map[int64]bool{}
	e.resendMs, e.resendAt = e.config.ResendMinMs, now+e.config.ResendMinMs
}

// send tells sid the vote in force.
func (e *Election) send(sid int64) {
	e.out.Send = append(e.out.Send, Mail{sid, e.notification()})
}

func (e *Election) notification() proto.Notification {
	v := e.proposal
	return proto.Notification{State: e.state, Leader: v.Leader, Zxid: v.Zxid, Round: v.Round,
		Epoch: v.Epoch, Version: 2, Config: e.config.Config}
}

// compareConfig reports another configuration, and heeds a newer one.
func (e *Election) compareConfig(now, sid int64, text string) {
	if text == "" || e.config.Config == "" || proto.SameConfig(text, e.config.Config) ||
		e.differs[sid] == text || len(e.differs) >= strangersMax && e.differs[sid] == "" {
		return
	}
	e.differs[sid] = text
	theirs, _ := proto.ConfigVersion(text)
	ours, _ := proto.ConfigVersion(e.config.Config)
	newer := theirs > ours && e.votes(sid)
	e.out.Differs = append(e.out.Differs, ConfigDiffers{sid, text, newer})
	if !newer || e.outdated {
		return
	}
	e.outdated = true
	e.own.Leader = nobody
	if e.voting && e.proposal.Leader == e.config.Self {
		e.propose(now, e.own)
		e.tally(now) // what a quorum agreed on is not wanted any more
	}
}
