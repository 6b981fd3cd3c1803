package zab

import (
	"slices"

	"github.com/meerkat-zk/meerkat/proto"
)

// What an Election makes of what it hears:
//
//  1. hear sorts out who speaks: a server without a vote is answered, one that looks is answered
//     by who does not look, and the rest counts.
//  2. onLooking and onSettled count the votes of those who look and of those who have a leader.
//  3. tally and decide end it.
//  4. hold and release put off what would come at the wrong moment.

// hear takes one notification, of this moment or held from an earlier one.
func (e *Election) hear(now, sid int64, n proto.Notification) {
	e.heard[sid] = true
	delete(e.gone, sid)
	switch {
	case !e.votes(sid): // it observes, and asks whom
		e.answerStranger(now, sid)
	case e.state != proto.Looking:
		if n.State == proto.Looking {
			e.send(sid)
		}
	case !e.voting:
		e.hold(sid, n)
	case n.State == proto.Looking:
		if n.Round < e.round {
			e.send(sid)
		}
		e.onNews(now, sid, n)
		e.onLooking(now, sid, n)
	case n.State != proto.Observing && e.votes(n.Leader):
		e.onNews(now, sid, n)
		e.onSettled(now, sid, n)
	}
}

// onNews makes the waiting for an answer short again when a voter says something new: things
// move, and what it tells us next it tells only those who ask. What is merely said again does
// not, or servers without a quorum would keep each other talking.
func (e *Election) onNews(now, sid int64, n proto.Notification) {
	b := ballotOf(n)
	if soon := now + e.config.ResendMinMs; e.said[sid] != b && soon < e.resendAt {
		e.resendMs, e.resendAt = e.config.ResendMinMs, soon
	}
	e.said[sid] = b
}

// answerStranger tells a server without a vote the vote in force. Two servers whose
// configurations differ may both take themselves for voters and each answer every answer: that
// is slowed down.
func (e *Election) answerStranger(now, sid int64) {
	if e.state == proto.Looking && !e.voting {
		return // there is no vote; it asks again
	}
	n := e.notification()
	if last, known := e.answered[sid]; known && last.n == n && now < last.at+repeatMs {
		return
	}
	if len(e.answered) >= strangersMax {
		clear(e.answered)
	}
	e.answered[sid] = reply{now, n}
	e.send(sid)
}

// onLooking takes the vote of a voter that looks for a leader, as we do.
func (e *Election) onLooking(now, sid int64, n proto.Notification) {
	b := ballotOf(n)
	e.fresh[sid] = n.Epoch == 0 && (n.Zxid == 0 || n.Zxid == UnknownZxid)
	e.lookFresh(now)
	if !e.voting || e.own.Zxid == UnknownZxid || n.Zxid == UnknownZxid || !e.votes(n.Leader) {
		return
	}
	better := e.beats(b.vote, e.proposal)
	switch {
	case b.vote.Round < e.round:
		return
	case b.vote.Round > e.round && e.finalizeAt != Never && !better &&
		e.received[sid].vote != e.proposal:
		// A quorum is about to agree, and sid, which starts anew and is none of it, changes
		// nothing: it is answered with what was decided. Another round would undo that.
		e.hold(sid, n)
		return
	case b.vote.Round > e.round:
		e.enter(b.vote.Round)
		if e.beats(b.vote, e.own) {
			e.propose(now, b.vote)
		} else {
			e.propose(now, e.own)
		}
	case better:
		e.propose(now, b.vote)
	}
	e.received[sid] = b
	e.tally(now)
}

// beats tells whether candidate is better than v, and may lead.
func (e *Election) beats(candidate, v Vote) bool {
	barred := slices.Contains(e.config.Barred, candidate.Leader) ||
		candidate.Leader == e.config.Self && e.own.Leader == nobody
	return !barred && candidate.beats(v)
}

// lookFresh looks for an ensemble that nobody has written to. A voter's vote is never worse than
// its own history, so one for zxid 0 (or an unknown one) and epoch 0 shows that it has none.
// When that is true of all, no history was lost: there never was one, and we may vote.
func (e *Election) lookFresh(now int64) {
	if e.own.Zxid != UnknownZxid || e.own.Epoch != 0 {
		return
	}
	for _, sid := range e.others() {
		if !e.fresh[sid] {
			return
		}
	}
	e.own.Zxid = 0
	e.propose(now, e.own)
	e.tally(now)
}

// onSettled takes the word of a voter that has a leader.
func (e *Election) onSettled(now, sid int64, n proto.Notification) {
	b := ballotOf(n)
	delete(e.fresh, sid)
	if b.vote.Round == e.round {
		e.received[sid] = b
		if e.agree(e.received, b, ballot.supports) && e.leads(e.received, b.vote) {
			e.decide(b.vote)
			return
		}
	}
	e.settled[sid] = b
	if e.agree(e.settled, b, ballot.settledWith) && e.leads(e.settled, b.vote) {
		e.round = max(e.round, b.vote.Round) // Java goes back; then a round is not one election
		e.decide(b.vote)
		return
	}
	e.tally(now)
}

// agree tells whether a quorum of ballots is for the same as b.
func (e *Election) agree(all map[int64]ballot, b ballot, same func(ballot, ballot) bool) bool {
	return e.config.Quorum.Contains(func(sid int64) bool {
		other, known := all[sid]
		return known && same(other, b)
	})
}

// leads tells whether the leader of a vote leads as far as we know: it says so itself, or it is
// this server, and this is its election. Without that, a leader that died would be elected again
// and again by those who have not noticed (checkLeader).
func (e *Election) leads(all map[int64]ballot, v Vote) bool {
	if v.Leader == e.config.Self {
		return v.Round == e.round && e.own.Leader == e.config.Self && e.own.Zxid != UnknownZxid
	}
	b, known := all[v.Leader]
	return known && b.state == proto.Leading
}

// tally decides for the proposal when a quorum votes for it and nobody is left who could know
// better, or gives those who are left a moment.
func (e *Election) tally(now int64) {
	if !e.voting {
		return
	}
	mine := ballot{vote: e.proposal, state: proto.Looking}
	quorum := e.own.Zxid != UnknownZxid && e.agree(e.received, mine, func(b, o ballot) bool {
		return b.vote == o.vote
	})
	switch {
	case !quorum:
		e.finalizeAt = Never
	case e.unanimous():
		e.decide(e.proposal)
	case e.finalizeAt == Never:
		e.finalizeAt = now + finalizeWaitMs
	}
}

// unanimous tells whether every other voter agrees or is not there.
func (e *Election) unanimous() bool {
	for _, sid := range e.others() {
		b, known := e.received[sid]
		if !e.gone[sid] && !(known && b.vote.Leader == e.proposal.Leader) {
			return false
		}
	}
	return true
}

// decide ends the election.
func (e *Election) decide(v Vote) {
	e.state = proto.Following
	switch {
	case v.Leader == e.config.Self:
		e.state = proto.Leading
	case !e.votes(e.config.Self):
		e.state = proto.Observing
	}
	e.voting, e.proposal = false, v
	e.finalizeAt, e.resendAt = Never, Never
	e.out.Decided = &Decision{e.state, v}
}

// hold keeps a server's last notification for release.
func (e *Election) hold(sid int64, n proto.Notification) {
	e.unhold(sid)
	e.held = append(e.held, heldMail{sid, n})
}

func (e *Election) unhold(sid int64) {
	e.held = slices.DeleteFunc(e.held, func(m heldMail) bool { return m.from == sid })
}

// release hears what was held, once the reason to hold it is gone.
func (e *Election) release(now int64) {
	for len(e.held) > 0 && e.finalizeAt == Never && (e.voting || e.state != proto.Looking) {
		m := e.held[0]
		e.held = slices.Delete(e.held, 0, 1)
		e.hear(now, m.from, m.n)
	}
}
