package zab

import (
	"container/heap"
	"fmt"
	"math/rand"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/meerkat-zk/meerkat/proto"
)

// A world is an ensemble of elections whose links delay, break and lose, whose servers crash and
// come back, and whose leaders do what leaders do: begin an epoch with a quorum that has no more
// than they have, write, and give up without one. It is all one goroutine and one seed.
type world struct {
	t         *testing.T
	rng       *rand.Rand
	voters    Majority
	sids      []int64
	servers   map[int64]*member
	links     map[[2]int64]*link
	events    eventQueue
	numbers   int
	now       int64
	log       []string
	crashes   bool
	wipes     bool
	lost      bool            // a disk was lost: one at most in a world
	committed proto.Zxid      // a quorum has it
	began     map[int64]int64 // by round, where no crash starts rounds anew
	healed    bool
}

// A member is one server. The zxid and the epoch are its disk.
type member struct {
	sid     int64
	machine *Election // nil: down
	wake    int64
	zxid    proto.Zxid
	epoch   int64
	term    int   // counts its elections and crashes: what ends a connection to it
	began   bool  // its leadership, or that it follows one that has
	tie     int   // following: the leader's term
	lonely  int64 // since when its role misses the other side; Never: it does not
}

type link struct {
	cut  bool
	busy int64 // when the last message arrives
	cuts int   // messages of before a cut are lost
	last proto.Notification
	said bool
}

type event struct {
	at     int64
	number int
	do     func()
}

type eventQueue []event

func (q eventQueue) Len() int { return len(q) }
func (q eventQueue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].number < q[j].number
}
func (q eventQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *eventQueue) Push(x any)   { *q = append(*q, x.(event)) }
func (q *eventQueue) Pop() any {
	old := *q
	last := old[len(old)-1]
	*q = old[:len(old)-1]
	return last
}

func newWorld(t *testing.T, seed int64) *world {
	w := &world{t: t, rng: rand.New(rand.NewSource(seed)), servers: map[int64]*member{},
		links: map[[2]int64]*link{}, began: map[int64]int64{}}
	n := []int64{3, 5, 7}[w.rng.Intn(3)]
	w.crashes, w.wipes = w.rng.Intn(3) > 0, w.rng.Intn(2) > 0
	for sid := int64(1); sid <= n; sid++ {
		w.voters = append(w.voters, sid)
	}
	w.sids = slices.Clone(w.voters)
	for range w.rng.Intn(3) {
		w.sids = append(w.sids, int64(len(w.sids)+1))
	}
	for _, sid := range w.sids {
		w.servers[sid] = &member{sid: sid, wake: Never, lonely: Never}
		for _, to := range w.sids {
			w.links[[2]int64{sid, to}] = &link{}
		}
	}
	for _, sid := range w.sids {
		w.at(w.rng.Int63n(1000), func() { w.start(sid) })
	}
	return w
}

func (w *world) note(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf("%6d ", w.now)+fmt.Sprintf(format, args...))
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	for _, line := range w.log[max(0, len(w.log)-150):] {
		w.t.Log(line)
	}
	for _, sid := range w.sids {
		if m := w.servers[sid]; m.machine != nil {
			w.t.Logf("%d: began %t, %v, round %d, vote %v, wakes at %d", sid, m.began,
				m.machine.state, m.machine.round, m.machine.proposal, m.wake)
		}
	}
	w.t.Fatalf(format, args...)
}

func (w *world) at(when int64, do func()) {
	w.numbers++
	heap.Push(&w.events, event{when, w.numbers, do})
}

// run lets all happen that happens until end.
func (w *world) run(end int64) {
	for len(w.events) > 0 && w.events[0].at <= end {
		e := heap.Pop(&w.events).(event)
		w.now = max(w.now, e.at)
		e.do()
	}
	w.now = end
}

func (w *world) start(sid int64) {
	m := w.servers[sid]
	if m.machine != nil {
		return
	}
	m.machine = NewElection(ElectionConfig{Self: sid, Quorum: w.voters})
	for _, other := range w.sids {
		w.reconnect(sid, other)
		w.reconnect(other, sid)
	}
	w.look(m)
}

func (w *world) look(m *member) {
	m.term++
	m.began, m.lonely = false, Never
	w.note("%d looks with %v of epoch %d", m.sid, m.zxid, m.epoch)
	w.perform(m, m.machine.Look(w.now, m.zxid, m.epoch))
}

func (w *world) perform(m *member, out ElectionOutput) {
	for _, mail := range out.Send {
		l := w.links[[2]int64{m.sid, mail.To}]
		l.last, l.said = mail.Notification, true
		w.post(m.sid, mail.To)
	}
	for _, other := range out.Reconnect {
		w.reconnect(m.sid, other)
	}
	if out.Decided != nil {
		w.decided(m, *out.Decided)
	}
	if out.Wake != m.wake {
		m.wake = out.Wake
		if machine := m.machine; out.Wake != Never {
			w.at(max(out.Wake, w.now), func() {
				if m.machine == machine && m.wake == out.Wake {
					m.wake = Never
					w.perform(m, machine.Tick(w.now))
				}
			})
		}
	}
}

// post puts the last message of a link on its way.
func (w *world) post(from, to int64) {
	l := w.links[[2]int64{from, to}]
	if l.cut || !l.said {
		return
	}
	n, cuts := l.last, l.cuts
	delay := w.rng.Int63n(20)
	if !w.healed && w.rng.Intn(10) == 0 {
		delay += w.rng.Int63n(500)
	}
	l.busy = max(l.busy, w.now+delay)
	w.at(l.busy, func() {
		if m := w.servers[to]; m.machine != nil && l.cuts == cuts {
			w.perform(m, m.machine.Heard(w.now, from, n))
		}
	})
}

func (w *world) reconnect(from, to int64) {
	if w.servers[from].machine != nil && w.servers[to].machine != nil {
		w.post(from, to)
	} else if m := w.servers[from]; m.machine != nil { // the port is closed
		machine := m.machine
		w.at(w.now+1, func() {
			if m.machine == machine && w.servers[to].machine == nil {
				w.perform(m, machine.Unreachable(w.now, to))
			}
		})
	}
}

// cut breaks a link both ways, or heals it.
func (w *world) cut(a, b int64, broken bool) {
	for _, ends := range [][2]int64{{a, b}, {b, a}} {
		l := w.links[ends]
		if l.cut = broken; broken {
			l.cuts++
		} else {
			w.post(ends[0], ends[1])
		}
	}
}

func (w *world) crash(sid int64) {
	m := w.servers[sid]
	if m.machine == nil {
		return
	}
	m.machine, m.wake, m.lonely = nil, Never, Never
	m.term, m.began = m.term+1, false
	if w.wipes && !w.lost && w.rng.Intn(4) == 0 && slices.Contains(w.voters, sid) {
		m.zxid, m.epoch, w.lost = UnknownZxid, 0, true
		w.note("%d loses its disk", sid)
	}
	w.note("%d crashes", sid)
	for _, other := range w.sids {
		for _, ends := range [][2]int64{{sid, other}, {other, sid}} {
			w.links[ends].cuts++
		}
		w.links[[2]int64{sid, other}].said = false
		if o := w.servers[other]; o.machine != nil && w.rng.Intn(2) == 0 {
			machine := o.machine
			w.at(w.now+w.rng.Int63n(20), func() {
				if o.machine == machine {
					w.perform(o, machine.Unreachable(w.now, sid))
				}
			})
		}
	}
}

// decided checks what an election decided: that a leader which counted votes had those of a
// quorum, none of whom has more than it has.
func (w *world) decided(m *member, d Decision) {
	w.note("%d is %v: %v", m.sid, d.State, d.Vote)
	if d.State != proto.Leading {
		return
	}
	count := 0
	for _, sid := range w.voters {
		b, known := m.machine.received[sid]
		if s, settled := m.machine.settled[sid]; !known || b.vote.Leader != m.sid && settled {
			b, known = s, settled
		}
		if !known || b.vote.Leader != m.sid {
			continue
		}
		count++
		o := w.servers[sid]
		their := Vote{Leader: nobody, Epoch: o.epoch, Zxid: o.zxid}
		if !w.crashes && b.state == proto.Looking && o.machine != nil && o.machine.voting &&
			o.machine.round == d.Vote.Round && their.beats(d.Vote) {
			w.fail("%d votes for %v and has %v of epoch %d", sid, d.Vote, o.zxid, o.epoch)
		}
	}
	if count <= len(w.voters)/2 {
		w.fail("%d leads with %d votes of %d", m.sid, count, len(w.voters))
	}
}

func (w *world) linked(a, b int64) bool {
	return w.servers[a].machine != nil && w.servers[b].machine != nil &&
		!w.links[[2]int64{a, b}].cut && !w.links[[2]int64{b, a}].cut
}

// supporters are those that have settled on m, itself included.
func (w *world) supporters(m *member) (all []*member) {
	for _, sid := range w.sids {
		o := w.servers[sid]
		if o.machine != nil && (sid == m.sid || o.machine.state != proto.Looking &&
			o.machine.proposal.Leader == m.sid && w.linked(sid, m.sid) &&
			(!o.began || o.tie == m.term)) {
			all = append(all, o)
		}
	}
	return all
}

func (w *world) isQuorum(all []*member, counts func(*member) bool) bool {
	return w.voters.Contains(func(sid int64) bool {
		return slices.ContainsFunc(all, func(o *member) bool { return o.sid == sid && counts(o) })
	})
}

// roles lets leaders lead and followers follow, every 20 ms.
func (w *world) roles() {
	for _, sid := range w.sids {
		if m := w.servers[sid]; m.machine != nil && m.machine.state != proto.Looking {
			if m.machine.state == proto.Leading {
				w.lead(m)
			} else {
				w.follow(m)
			}
		}
	}
	w.at(w.now+20, w.roles)
}

func (w *world) follow(m *member) {
	leader := w.servers[m.machine.proposal.Leader]
	if m.began && m.tie != leader.term {
		w.look(m)
		return
	}
	w.miss(m, !w.linked(m.sid, leader.sid) || leader.machine.state != proto.Leading, 700)
}

// miss has a member look again whose role missed the other side for so long.
func (w *world) miss(m *member, missing bool, patienceMs int64) {
	switch {
	case !missing:
		m.lonely = Never
	case m.lonely == Never:
		m.lonely = w.now
	case w.now >= m.lonely+patienceMs:
		w.look(m)
	}
}

func (w *world) lead(m *member) {
	all := w.supporters(m)
	quorum := w.isQuorum(all, func(o *member) bool { return o.zxid != UnknownZxid })
	if w.miss(m, !quorum, 1000); !quorum || m.machine.state != proto.Leading {
		return
	}
	if !m.began && !w.begin(m, all) {
		return
	}
	for _, o := range all {
		if !o.began {
			o.began, o.tie, o.zxid, o.epoch = true, m.term, m.zxid, m.epoch
			w.perform(o, o.machine.Settled(m.epoch))
		}
	}
	if w.rng.Intn(4) == 0 {
		m.zxid += proto.Zxid(1 + w.rng.Intn(3))
		for _, o := range all {
			if w.rng.Intn(4) > 0 {
				o.zxid = m.zxid
			}
		}
		if w.isQuorum(all, func(o *member) bool { return o.zxid == m.zxid }) {
			w.committed = m.zxid
		}
	}
}

// begin is the discovery: a new epoch, if the leader has what its quorum has.
func (w *world) begin(m *member, all []*member) bool {
	epoch := m.epoch
	for _, o := range all {
		epoch = max(epoch, o.epoch)
		their := Vote{Leader: nobody, Epoch: o.epoch, Zxid: o.zxid}
		if their.beats(Vote{Leader: m.sid, Epoch: m.epoch, Zxid: m.zxid}) {
			w.note("%d gives up: %d has more", m.sid, o.sid)
			w.look(m)
			return false
		}
	}
	if m.zxid < w.committed {
		w.fail("%d leads with %v, and %v is committed", m.sid, m.zxid, w.committed)
	}
	round := m.machine.round
	if other, known := w.began[round]; known && other != m.sid && !w.crashes {
		w.fail("%d and %d lead in round %d", other, m.sid, round)
	}
	w.began[round] = m.sid
	m.began, m.epoch, m.zxid = true, epoch+1, proto.MakeZxid(epoch+1, 0)
	w.note("%d begins epoch %d", m.sid, m.epoch)
	w.perform(m, m.machine.Settled(m.epoch))
	return true
}

// trouble breaks something now and then.
func (w *world) trouble() {
	if w.healed {
		return
	}
	a, b := w.sids[w.rng.Intn(len(w.sids))], w.sids[w.rng.Intn(len(w.sids))]
	switch w.rng.Intn(6) {
	case 0, 1:
		w.note("cut %d-%d", a, b)
		w.cut(a, b, true)
	case 2:
		w.cut(a, b, false)
	case 3:
		for _, o := range w.sids { // a is alone
			w.cut(a, o, true)
		}
		w.note("cut %d off", a)
	case 4:
		if w.crashes {
			w.crash(a)
		}
	case 5:
		w.start(b)
		for _, o := range w.sids {
			w.cut(b, o, false)
		}
	}
	w.at(w.now+w.rng.Int63n(600), w.trouble)
}

func (w *world) heal() {
	w.healed = true
	for _, a := range w.sids {
		w.start(a)
		for _, b := range w.sids {
			w.cut(a, b, false)
		}
	}
	w.note("all is well again")
}

// settled tells whether all follow one leader that has begun.
func (w *world) settled() bool {
	for _, sid := range w.sids {
		m := w.servers[sid]
		if !m.began || m.machine.proposal.Leader != w.servers[w.sids[0]].machine.proposal.Leader {
			return false
		}
	}
	return true
}

// Elections under faults: no leader begins that lacks something committed, no two in one round,
// and when all is well again everybody follows one within seconds. MEERKAT_ELECTIONS is the
// number of worlds, MEERKAT_ELECTION_SEED the first seed.
func TestElectionsUnderFaults(t *testing.T) {
	count, first := envInt("MEERKAT_ELECTIONS", 600), envInt("MEERKAT_ELECTION_SEED", 1)
	if testing.Short() {
		count = min(count, 30)
	}
	slowest, began := int64(0), 0
	for seed := first; seed < first+count; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			took, epochs := playWorld(t, seed)
			slowest, began = max(slowest, took), began+epochs
		})
	}
	t.Logf("%d leaderships; after the last fault all had settled within %d ms", began, slowest)
	if int64(began) < count {
		t.Errorf("%d leaderships in %d worlds: nothing was tried", began, count)
	}
}

// slowMs is how long it may take, once all is well, until all follow one leader: a role that
// misses the other side is given up within a second, and a vote is sent again within another.
const slowMs = 5000

func playWorld(t *testing.T, seed int64) (tookMs int64, leaderships int) {
	w := newWorld(t, seed)
	w.at(0, w.roles)
	w.at(2000, w.trouble)
	w.run(20_000)
	w.heal()
	healed := w.now
	for !w.settled() {
		if w.now > healed+15_000 {
			w.fail("seed %d: not settled 15 s after all is well; MEERKAT_ELECTION_SEED=%d "+
				"MEERKAT_ELECTIONS=1 repeats it", seed, seed)
		}
		w.run(w.now + 10)
	}
	for _, line := range w.log {
		var at, sid, epoch int64
		if n, _ := fmt.Sscanf(line, "%d %d begins epoch %d", &at, &sid, &epoch); n == 3 {
			leaderships++
		}
	}
	if took := w.now - healed; took > slowMs {
		w.fail("seed %d: %d ms until all had settled; MEERKAT_ELECTION_SEED=%d MEERKAT_ELECTIONS=1 "+
			"repeats it", seed, took, seed)
	}
	return w.now - healed, leaderships
}

func envInt(name string, otherwise int64) int64 {
	if v, err := strconv.ParseInt(os.Getenv(name), 10, 64); err == nil {
		return v
	}
	return otherwise
}

// The same seed is the same world: no map order, clock or goroutine has a say.
func TestElectionsRepeat(t *testing.T) {
	for seed := int64(1); seed <= 5; seed++ {
		var logs [2][]string
		for i := range logs {
			w := newWorld(t, seed)
			w.at(0, w.roles)
			w.at(2000, w.trouble)
			w.run(10_000)
			logs[i] = w.log
		}
		if !slices.Equal(logs[0], logs[1]) {
			t.Fatalf("seed %d differs from itself", seed)
		}
	}
}
