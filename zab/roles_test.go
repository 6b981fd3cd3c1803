package zab

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/meerkat-zk/meerkat/proto"
)

// Scripts of one machine, in testdata/roles. Output is what the machine asks for.
//
//	leader self= voters= accepted= current= last=    begins to lead
//	learner self= accepted= current= last= [observer]  begins with a leader
//	link K, gone K                       a connection comes, goes
//	PACKET [K] [sid=] [epoch=] ZXID      a packet comes (K on a leader: its link)
//	saved accepted | current             the epoch file is on disk
//	durable ZXID, history ZXID           the log is, the TRUNC or SNAP is
//	propose ZXID, truncated K ZXID
//	at MS                                time passes
//
// A zxid is epoch.counter.
type roles struct {
	lead  *Leading
	learn *Learning
	now   int64
}

var packetByName = func() map[string]proto.PacketType {
	m := map[string]proto.PacketType{}
	for k := proto.PacketRequest; k <= proto.PacketInformAndActivate; k++ {
		m[k.String()] = k
	}
	return m
}()

func TestRoles(t *testing.T) {
	datadriven.Walk(t, "testdata/roles", func(t *testing.T, path string) {
		r := &roles{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var out strings.Builder
			for _, line := range append([]string{d.Cmd + " " + args(d)}, strings.Split(d.Input, "\n")...) {
				if line = strings.TrimSpace(line); line != "" && line != "do" {
					r.line(t, &out, line)
				}
			}
			if out.Len() == 0 {
				return "nothing\n"
			}
			return out.String()
		})
	})
}

func args(d *datadriven.TestData) string {
	var all []string
	for _, a := range d.CmdArgs {
		all = append(all, a.String())
	}
	return strings.Join(all, " ")
}

func numeral(t *testing.T, s string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func zxid(t *testing.T, s string) proto.Zxid {
	t.Helper()
	epoch, counter, ok := strings.Cut(s, ".")
	if !ok {
		return proto.Zxid(numeral(t, s))
	}
	return proto.MakeZxid(numeral(t, epoch), uint32(numeral(t, counter)))
}

// line does one line of a script and prints what the machine asks for.
func (r *roles) line(t *testing.T, out *strings.Builder, line string) {
	words := strings.Fields(line)
	set := map[string]string{}
	var plain []string
	for _, w := range words {
		if k, v, ok := strings.Cut(w, "="); ok {
			set[k] = v
		} else {
			plain = append(plain, w)
		}
	}
	get := func(k string) int64 {
		if set[k] == "" {
			return 0
		}
		return numeral(t, set[k])
	}
	limits := Limits{TickMs: 2000, InitMs: 10000, SyncMs: 5000}
	past := Past{Accepted: get("accepted"), Current: get("current")}
	if set["last"] != "" {
		past.Last = zxid(t, set["last"])
	}
	switch plain[0] {
	case "leader":
		r.now = 0
		var voters Majority
		for sid := range get("voters") {
			voters = append(voters, sid+1)
		}
		r.lead, r.learn = NewLeading(get("self"), voters, limits, past, 0, 0), nil
	case "learner":
		r.now, r.lead = 0, nil
		r.learn = NewLearning(get("self"), len(plain) > 1, limits, past, 0, 0)
	case "link":
		r.lead.OnLink(Link(numeral(t, plain[1])), r.now)
	case "gone":
		r.lead.OnGone(Link(numeral(t, plain[1])))
	case "saved":
		r.saved(plain[1])
	case "durable":
		r.durable(zxid(t, plain[1]))
	case "history":
		r.learn.OnHistory(zxid(t, plain[1]))
	case "propose":
		r.lead.Propose(zxid(t, plain[1]), r.now)
	case "truncated":
		r.lead.Truncated(Link(numeral(t, plain[1])), zxid(t, plain[2]))
	case "at":
		r.at(numeral(t, plain[1]))
	default:
		r.packet(t, out, plain, get)
	}
	r.print(out)
}

func (r *roles) saved(which string) {
	switch {
	case r.lead != nil && which == "accepted":
		r.lead.OnAcceptedSaved()
	case r.lead != nil:
		r.lead.OnCurrentSaved(r.now)
	case which == "accepted":
		r.learn.OnAcceptedSaved()
	default:
		r.learn.OnCurrentSaved()
	}
}

func (r *roles) durable(at proto.Zxid) {
	if r.lead != nil {
		r.lead.OnDurable(at)
	} else {
		r.learn.OnDurable(at)
	}
}

// at lets time pass in steps of a tick: whoever sleeps longer forgives.
func (r *roles) at(ms int64) {
	for r.now < ms {
		r.now = min(r.now+1000, ms)
		if r.lead != nil {
			r.lead.Tick(r.now)
		} else {
			r.learn.Tick(r.now)
		}
	}
}

func (r *roles) packet(t *testing.T, out *strings.Builder, plain []string,
	get func(string) int64) {
	kind, ok := packetByName[plain[0]]
	if !ok {
		t.Fatalf("%q is no command", plain[0])
	}
	x := Message{Type: kind, Zxid: zxid(t, plain[len(plain)-1]), Epoch: get("epoch"),
		Info: proto.LearnerInfo{ServerID: get("sid"), ConfigVersion: get("config")}}
	if r.lead != nil {
		r.lead.OnMessage(Link(numeral(t, plain[1])), x, r.now)
	} else if r.learn.OnMessage(x, r.now) {
		fmt.Fprintf(out, "log %v\n", x.Zxid)
	}
}

func (r *roles) print(out *strings.Builder) {
	var all []Action
	if r.lead != nil {
		all = r.lead.Take()
	} else {
		all = r.learn.Take()
	}
	for _, a := range all {
		fmt.Fprintln(out, a)
	}
}
