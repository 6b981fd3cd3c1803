package metrics

import (
	"flag"
	"fmt"
	"math/rand"
	"os"
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

// A family that nothing corresponds to is 0; one of ours is shown under Java's name with the same
// numbers; one that is there already is not doubled.
func TestComplete(t *testing.T) {
	byName := func(a, b family) int { return strings.Compare(a.name, b.name) }
	if !slices.IsSortedFunc(families, byName) {
		t.Error("the families are not in order")
	}
	h := &Histogram{}
	h.Add(5e6)
	list := Complete([]Metric{
		{Name: "updatelatency", Kind: Advanced, Hist: h, Unit: perMs},
		{Name: "sync_processor_request_queued", Kind: Counter, Value: 7},
		{Name: "snap_count", Kind: Counter, Value: 3},
	})
	seen := map[string]*Metric{}
	for i := range list {
		m := &list[i]
		if seen[m.Name] != nil {
			t.Errorf("%s is there twice", m.Name)
		}
		seen[m.Name] = m
		m.Each(func(string, any) {}) // every summary has its histogram
	}
	if m := seen["propagation_latency"]; m == nil || m.Hist.Max() != 5e6 || m.Unit != perMs {
		t.Errorf("propagation_latency: %+v", m)
	}
	if m := seen["proposal_count"]; m == nil || m.Value != 7 || m.Kind != Counter {
		t.Errorf("proposal_count: %+v", m)
	}
	if seen["snap_count"].Value != 3 || seen["throttled_ops"] == nil {
		t.Error("snap_count or throttled_ops is wrong")
	}
}

// Times are there in microseconds too, and nothing else is.
func TestMicroseconds(t *testing.T) {
	h := &Histogram{}
	h.Add(20_000)
	list := Microseconds([]Metric{{Name: "queue_time_ms", Kind: Basic, Hist: h, Unit: perMs},
		{Name: "sizes", Kind: Basic, Hist: h, Unit: 1}, {Name: "count", Kind: Counter}})
	if len(list) != 4 || list[3].Name != "meerkat_queue_time_us" || list[3].Hist.Max() != 20_000 ||
		list[3].Unit != 1000 {
		t.Fatalf("%+v", list)
	}
}

// The table for operators says what the code does.
func TestTableOfFamilies(t *testing.T) {
	const begin, end = "<!-- families -->\n", "<!-- /families -->"
	const path = "../../docs/monitoring.md"
	var want strings.Builder
	want.WriteString("| Java's name | Meerkat puts there |\n|---|---|\n")
	for _, f := range families {
		put := "0: " + f.why
		if f.from != "" {
			put = fmt.Sprintf("`%s`: %s", f.from, f.why)
		}
		fmt.Fprintf(&want, "| `%s` | %s |\n", f.name, put)
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
