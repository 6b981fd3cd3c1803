package metrics

import (
	"flag"
	"fmt"
	"math/rand"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the table of docs/monitoring.md anew")

// What is shown of a summary is in order, whatever its unit rounds to.
func TestSummariesAreInOrder(t *testing.T) {
	for seed := int64(1); seed <= 2000; seed++ {
		rng := rand.New(rand.NewSource(seed))
		h := &Histogram{}
		for range 1 + rng.Intn(50) {
			h.AddN(rng.Int63n(1<<rng.Intn(40)), 1+rng.Int63n(3))
		}
		for _, unit := range []int64{1, 1000, 1e6} {
			m := Metric{Name: "x", Kind: Advanced, Hist: h, Unit: unit}
			got := map[string]float64{}
			m.Each(func(name string, value any) {
				switch v := value.(type) {
				case int64:
					got[name] = float64(v)
				case Decimal:
					got[name] = float64(v)
				}
			})
			for _, order := range []string{"min_x avg_x max_x", "min_x p50_x p95_x p99_x p999_x max_x"} {
				names := strings.Fields(order)
				for i := 1; i < len(names); i++ {
					if got[names[i-1]] > got[names[i]] {
						t.Fatalf("seed %d, unit %d: %s %v above %s %v", seed, unit, names[i-1],
							got[names[i-1]], names[i], got[names[i]])
					}
				}
			}
		}
	}
}

// filled is a server that has counted something under every name.
func filled() *Counts {
	c := &Counts{Mode: "leader"}
	next := int64(0)
	for _, counts := range [][]*int64{c.Loop.counts(), c.Core.counts(), c.Rare.counts()} {
		for _, n := range counts {
			next++
			*n = next
		}
	}
	for _, hists := range [][]*Histogram{c.Loop.hists(), c.Core.hists(), c.Rare.hists()} {
		for _, h := range hists {
			next++
			h.Add(next * 2e6)
		}
	}
	c.Loop.Replies.Add(50, 1)
	c.Core.Proposal.Add(60, 1)
	c.Core.Exceed("q")
	c.Loop.ReadBytes.Add("/a/b", 70)
	c.Core.WriteBytes.Add("/a", 80)
	c.Now = Now{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, true, true, true, true,
		Room{13, 14}, Room{15, 16}, 17, map[string]*Quota{"q": {1, 2, 3, 4}}}
	return c
}

// What is not said to be absent shows what was counted; what is absent is 0, under every name
// once.
func TestEveryFamilyShowsSomething(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range List(filled()) {
		if name := m.Key + m.Name; seen[name] {
			t.Errorf("%s is there twice", name)
		}
		seen[m.Key+m.Name] = true
		if m.Kind >= Basic && m.Hist == nil || m.Kind < Basic && m.Hist != nil {
			t.Errorf("%s is of another kind than its value", m.Name)
			continue
		}
		zero := m.Value == 0
		if m.Hist != nil {
			zero = m.Hist.Count == 0
		}
		if says := strings.HasPrefix(m.Help, "0: "); says != zero {
			t.Errorf("%s is said to be %q, and is %v, %+v", m.Name, m.Help, m.Value, m.Hist != nil)
		}
	}
	for _, name := range []string{"learners", "meerkat_readlatency_us", "op_count_total",
		"qquota_exceeded_error_per_namespace", "aread_per_namespace", "awrite_per_namespace"} {
		if !seen[name] {
			t.Errorf("%s is not there", name)
		}
	}
}

// What only a leader has is not shown by a server of its own.
func TestModes(t *testing.T) {
	for _, x := range []struct {
		mode, names string
	}{
		{"standalone", ""},
		{"follower", "quorum_size synced_observers"},
		{"leader", "quorum_size learners synced_followers synced_non_voting_followers " +
			"synced_observers pending_syncs leader_uptime last_proposal_size min_proposal_size " +
			"max_proposal_size"},
	} {
		c := filled()
		c.Mode = x.mode
		var got []string
		for _, m := range List(c) {
			for _, f := range gauges {
				if f.name == m.Name && f.modes != nil {
					got = append(got, m.Name)
				}
			}
		}
		if strings.Join(got, " ") != x.names {
			t.Errorf("a %s shows %v", x.mode, got)
		}
	}
}

// testdata/java-3.9 is what ServerMetrics.java of 3.9.4 makes, with its kinds.
func TestNamesOfServerMetrics(t *testing.T) {
	text, err := os.ReadFile("testdata/java-3.9")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]Kind{}
	for _, table := range [][]family{counters, summaries} {
		for _, f := range table {
			got[f.name] = f.kind
		}
	}
	for _, s := range sets {
		got[s.name] = s.kind
	}
	kinds := map[string]Kind{"Counter": Counter, "CounterSet": Counter, "BASIC": Basic,
		"ADVANCED": Advanced}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		kind, there := got[f[0]]
		switch want := kinds[f[len(f)-1]]; {
		case strings.Contains(line, " SummarySet ") && !there:
			if !slices.Contains([]string{"ack_latency", "learner_handler_qp_size",
				"learner_handler_qp_time_ms"}, f[0]) { // sets without a member
				t.Errorf("%s is not there", f[0])
			}
		case !there:
			t.Errorf("%s is not there", f[0])
		case kind != want:
			t.Errorf("%s is of kind %d, want %d", f[0], kind, want)
		}
	}
}

// Counting, merging and resetting forget no field.
func TestCountsAreWhole(t *testing.T) {
	for name, x := range map[string]struct {
		v             any
		counts, hists int
	}{
		"Loop": {Loop{}, len(new(Loop).counts()), len(new(Loop).hists())},
		"Core": {Core{}, len(new(Core).counts()), len(new(Core).hists())},
		"Rare": {Rare{}, len(new(Rare).counts()), len(new(Rare).hists())},
	} {
		counts, hists := 0, 0
		typ := reflect.TypeOf(x.v)
		for i := range typ.NumField() {
			switch f := typ.Field(i).Type; {
			case f.Kind() == reflect.Int64:
				counts++
			case f == reflect.TypeOf(Histogram{}):
				hists++
			case f.Kind() == reflect.Array:
				hists += f.Len()
			}
		}
		if counts != x.counts || hists != x.hists {
			t.Errorf("%s has %d counts and %d histograms, but tells of %d and %d", name, counts,
				hists, x.counts, x.hists)
		}
	}
}

// The table for operators says what the code does.
func TestTableOfFamilies(t *testing.T) {
	const begin, end = "<!-- families -->\n", "<!-- /families -->"
	const path = "../../docs/monitoring.md"
	type row struct{ name, says string }
	var rows []row
	for _, table := range [][]family{gauges, counters, summaries} {
		for _, f := range table {
			says := f.says
			if f.modes != nil {
				says += " (" + strings.Join(f.modes, ", ") + ")"
			}
			rows = append(rows, row{f.name, says})
		}
	}
	for _, s := range sets {
		rows = append(rows, row{s.name, s.says})
	}
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.name, b.name) })
	var want strings.Builder
	want.WriteString("| name | Meerkat puts there |\n|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&want, "| `%s` | %s |\n", r.name, r.says)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	got, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table, between %q and %q", path, begin, end)
	}
	if got == want.String() {
		return
	}
	if !*rewrite {
		t.Fatalf("%s does not say what the code does: go test ./server/metrics -rewrite", path)
	}
	if err := os.WriteFile(path, []byte(before+begin+want.String()+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
