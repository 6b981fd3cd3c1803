package zab

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/meerkat-zk/meerkat/proto"
)

// An ensemble is some elections with FIFO links between them, in one goroutine.
type ensemble struct {
	t        testing.TB
	voters   Majority
	sids     []int64 // voters and observers
	barred   []int64
	configs  map[int64]string
	machines map[int64]*Election // nil: down
	wakes    map[int64]int64
	links    map[[2]int64][]proto.Notification
	last     map[[2]int64]proto.Notification // sent again when a connection is made
	cut      map[[2]int64]bool
	now      int64
	trace    strings.Builder
}

func newEnsemble(t testing.TB, voters, observers []int64) *ensemble {
	n := &ensemble{t: t, voters: voters, sids: append(slices.Clone(voters), observers...),
		configs: map[int64]string{}, machines: map[int64]*Election{}, wakes: map[int64]int64{},
		links: map[[2]int64][]proto.Notification{}, last: map[[2]int64]proto.Notification{},
		cut: map[[2]int64]bool{}}
	for _, sid := range n.sids {
		n.boot(sid)
	}
	return n
}

func (n *ensemble) boot(sid int64) {
	n.machines[sid] = NewElection(ElectionConfig{Self: sid, Quorum: n.voters, Barred: n.barred,
		Config: n.configs[sid]})
	n.wakes[sid] = Never
}

func (n *ensemble) say(format string, args ...any) { fmt.Fprintf(&n.trace, format+"\n", args...) }

func describe(v proto.Notification) string {
	text := fmt.Sprintf("%v %v", v.State, ballotOf(v).vote)
	if v.Config != "" {
		text += fmt.Sprintf(" config=%q", v.Config)
	}
	return text
}

// perform does what a machine wants done, and tells it.
func (n *ensemble) perform(sid int64, out ElectionOutput) {
	n.wakes[sid] = out.Wake
	for i := 0; i < len(out.Send); {
		first, to := out.Send[i].Notification, []string{}
		for ; i < len(out.Send) && out.Send[i].Notification == first; i++ {
			to = append(to, fmt.Sprint(out.Send[i].To))
			n.post(sid, out.Send[i])
		}
		n.say("%d>%s %s", sid, strings.Join(to, ","), describe(first))
	}
	if out.Reconnect != nil {
		n.say("%d reconnects to %v", sid, out.Reconnect)
	}
	for _, d := range out.Differs {
		n.say("%d: %d has %q, newer %t", sid, d.Sid, d.Config, d.Newer)
	}
	if d := out.Decided; d != nil {
		n.say("%d is %v: %v, at %d ms", sid, d.State, d.Vote, n.now)
	}
}

func (n *ensemble) post(from int64, m Mail) {
	link := [2]int64{from, m.To}
	n.last[link] = m.Notification
	if !n.cut[link] && n.machines[m.To] != nil {
		n.links[link] = append(n.links[link], m.Notification)
	}
}

// deliver hands over what is on its way, and what comes of it, link by link.
func (n *ensemble) deliver() {
	for range 1000 {
		quiet := true
		for _, from := range n.sids {
			for _, to := range n.sids {
				quiet = !n.deliverOne(from, to) && quiet
			}
		}
		if quiet {
			return
		}
	}
	n.t.Fatal("the servers never stop talking")
}

func (n *ensemble) deliverOne(from, to int64) bool {
	link := [2]int64{from, to}
	waiting := n.links[link]
	if len(waiting) == 0 {
		return false
	}
	n.links[link] = waiting[1:]
	if m := n.machines[to]; m != nil {
		n.perform(to, m.Heard(n.now, from, waiting[0]))
	}
	return true
}

// run delivers, and lets time pass.
func (n *ensemble) run(ms int64) {
	end := n.now + ms
	for {
		n.deliver()
		next := end
		for _, sid := range n.sids {
			next = min(next, n.wakes[sid])
		}
		n.now = max(n.now, next)
		if n.now >= end {
			n.tick()
			n.deliver()
			return
		}
		n.tick()
	}
}

func (n *ensemble) tick() {
	for _, sid := range n.sids {
		if m := n.machines[sid]; m != nil && n.wakes[sid] <= n.now {
			n.perform(sid, m.Tick(n.now))
		}
	}
}

// connect makes a link: both ends say the last again, as they do on a connection.
func (n *ensemble) connect(a, b int64) {
	for _, link := range [][2]int64{{a, b}, {b, a}} {
		n.cut[link] = false
		if said, ever := n.last[link]; ever {
			n.post(link[0], Mail{link[1], said})
		}
	}
}

// sever cuts a link both ways. What is on its way is lost, and neither end notices.
func (n *ensemble) sever(a, b int64) {
	for _, link := range [][2]int64{{a, b}, {b, a}} {
		n.cut[link] = true
		delete(n.links, link)
	}
}

func (n *ensemble) down(sid int64) {
	n.machines[sid], n.wakes[sid] = nil, Never
	for _, other := range n.sids {
		delete(n.links, [2]int64{sid, other})
		delete(n.last, [2]int64{sid, other})
		delete(n.links, [2]int64{other, sid})
	}
}

func sidsOf(t testing.TB, text string) (sids []int64) {
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == '-' }) {
		var sid int64
		if _, err := fmt.Sscan(word, &sid); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		sids = append(sids, sid)
	}
	return sids
}

// A script's commands, each with a list of servers as its first argument:
//
//	ensemble 1,2,3 [observers=4,5] [barred=1]   new servers, none of which looks yet
//	config 1 text=…                      the configuration that servers started later have
//	start 1,2 zxid=0x100000005 epoch=1   a fresh process, looking; zxid=unknown for a wiped one
//	look 1 zxid= epoch=                  the same process looks again
//	leave 1 | crash 1 | settle 1,2 epoch=2
//	cut 1-2 | heal 1-2 | unreachable 1-2 (1 learns that 2 refused its connection)
//	hear 1-2 state=2 leader=2 …          2 says something to 1 that no machine of ours says
//	deliver [1-2]                        all that is on its way, or one message from 1 to 2
//	run 500                              deliver and let so many milliseconds pass
func TestElectionScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/election", func(t *testing.T, path string) {
		var n *ensemble
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "ensemble" {
				n = newEnsemble(t, sidsOf(t, d.CmdArgs[0].Key), sidsOf(t, argument(d, "observers")))
				n.barred = sidsOf(t, argument(d, "barred"))
				return ""
			}
			n.t = t
			n.trace.Reset()
			n.command(d)
			return n.trace.String()
		})
	})
}

func argument(d *datadriven.TestData, key string) string {
	for _, a := range d.CmdArgs {
		if a.Key == key && len(a.Vals) > 0 {
			return strings.Join(a.Vals, ",")
		}
	}
	return ""
}

// lines puts a configuration's lines below each other, which a script cannot.
func lines(text string) string { return strings.ReplaceAll(text, ";", "\n") }

func number(d *datadriven.TestData, key string) (v int64) {
	if text := argument(d, key); text == "unknown" {
		return int64(UnknownZxid)
	} else if text != "" {
		fmt.Sscanf(text, "%v", &v)
	}
	return v
}

func (n *ensemble) command(d *datadriven.TestData) {
	var sids []int64
	if len(d.CmdArgs) > 0 {
		sids = sidsOf(n.t, d.CmdArgs[0].Key)
	}
	switch d.Cmd {
	case "cut":
		n.sever(sids[0], sids[1])
	case "heal":
		n.connect(sids[0], sids[1])
	case "unreachable":
		n.perform(sids[0], n.machines[sids[0]].Unreachable(n.now, sids[1]))
	case "hear":
		n.perform(sids[0], n.machines[sids[0]].Heard(n.now, sids[1], proto.Notification{
			State: proto.PeerState(number(d, "state")), Leader: number(d, "leader"),
			Zxid: proto.Zxid(number(d, "zxid")), Round: number(d, "round"),
			Epoch: number(d, "epoch"), Version: int32(number(d, "version")),
			Config: lines(argument(d, "config"))}))
	case "deliver":
		if sids == nil {
			n.deliver()
		} else {
			n.deliverOne(sids[0], sids[1])
		}
	case "run":
		n.run(sids[0])
	default:
		for _, sid := range sids {
			n.commandOne(d, sid)
		}
	}
}

func (n *ensemble) commandOne(d *datadriven.TestData, sid int64) {
	switch d.Cmd {
	case "config":
		n.configs[sid] = lines(argument(d, "text"))
	case "start":
		n.boot(sid)
		for _, other := range n.sids {
			if !n.cut[[2]int64{sid, other}] {
				n.connect(sid, other)
			}
		}
		fallthrough
	case "look":
		zxid, epoch := proto.Zxid(number(d, "zxid")), number(d, "epoch")
		n.perform(sid, n.machines[sid].Look(n.now, zxid, epoch))
	case "leave":
		n.perform(sid, n.machines[sid].Leave())
	case "crash":
		n.down(sid)
	case "settle":
		n.perform(sid, n.machines[sid].Settled(number(d, "epoch")))
	default:
		n.t.Fatalf("no command %s", d.Cmd)
	}
}
