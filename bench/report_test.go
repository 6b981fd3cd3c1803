package bench

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/meerkat-zk/meerkat/proto"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the files in testdata")

// golden compares what write writes with a file in testdata.
func golden(t *testing.T, name string, write func(io.Writer) error) {
	t.Helper()
	var got bytes.Buffer
	if err := write(&got); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%s has changed (-rewrite accepts):\n%s", file, got.Bytes())
	}
}

// indented writes JSON so that a person can read the golden file.
func indented(v any) func(io.Writer) error {
	return func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(v)
	}
}

// made is a report of figures that were made up, through the code that adds up real ones.
func made() *Report {
	cfg := DefaultConfig()
	cfg.Seed = 42
	r := &run{cfg: cfg, rssBefore: 60 << 20}
	for range 2 {
		d := &driver{stats: newStats(), opened: int64(time.Second), closed: int64(3 * time.Second)}
		for ns := int64(1000); ns <= 1000_000; ns += 1000 {
			d.record(kindRead, ns, 9)
			d.record(kindWrite, 2*ns, 1)
		}
		d.record(kindFanout, 1, 1) // of another workload: not reported
		d.failed(proto.ErrThrottledOp)
		d.stats.verified = 90
		r.drivers = append(r.drivers, d)
	}
	seconds := func(s ...float64) (d []time.Duration) {
		for _, s := range s {
			d = append(d, time.Duration(s*float64(time.Second)))
		}
		return d
	}
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	u := &usage{own: seconds(1, 1.02), them: seconds(5, 5.1), all: seconds(10, 10.5),
		at: []time.Time{start, start.Add(2 * time.Second)}, rss: 64 << 20}
	rep := newReport(r, start, u)
	rep.Version, rep.Commit = "v1.2.3", "abcdef"
	rep.Machine = Machine{OS: "linux", Kernel: "6.1", Arch: "amd64", CPU: "abacus", Cores: 2,
		Memory: 8 << 30, Go: "go1.26"}
	return rep
}

func TestReportGolden(t *testing.T) {
	rep := made()
	golden(t, "report.txt", rep.WriteTable)
	golden(t, "report.json", indented(rep))
	var line bytes.Buffer
	if err := rep.WriteJSON(&line); err != nil {
		t.Fatal(err)
	}
	if bytes.Count(line.Bytes(), []byte("\n")) != 1 {
		t.Errorf("not one line: %q", line.Bytes())
	}
}

func TestVersusGolden(t *testing.T) {
	c := &Comparison{Started: made().Started, Machine: made().Machine, Rounds: 3, Seconds: 5,
		Sides: [2]Side{{Name: "java", Version: "3.8.0"}, {Name: "meerkat", Version: "1"}}}
	for _, row := range []Row{Rows[0], Rows[1], {Title: "watchers", workload: Fanout,
		Goal: Goal{Speed: 1. / 3}}} {
		r := RowReport{Name: row.Name, Title: row.Title, Goal: row.Goal, workload: row.workload}
		for i, ops := range []float64{90, 100, 5000} { // the median is not moved by one
			slow := &Report{OpsPerSecond: ops, ServerCPU: 12, Latency: Latency{P50: 9, P99: 90}}
			fast := &Report{OpsPerSecond: 6 * ops, ServerCPU: 1.5, Others: 0.25,
				Latency: Latency{P50: 2 + float64(i), P99: 20}}
			r.Reports[0] = append(r.Reports[0], slow)
			r.Reports[1] = append(r.Reports[1], fast)
		}
		r.compare()
		c.Rows = append(c.Rows, r)
	}
	c.Rows[1].Goal, c.Rows[1].Met = Goal{Speed: 7, CPU: 0.1}, false
	golden(t, "versus.md", c.WriteMarkdown)
}

// Two honest servers are compared over the same znodes, row by row and in turns.
func TestVersus(t *testing.T) {
	a, b := startFake(t), startFake(t)
	cfg := VersusConfig{
		Sides: [2]Side{{Name: "a", Addr: a.addr, PID: os.Getpid()},
			{Name: "b", Addr: b.addr, PID: os.Getpid()}},
		Rows:   []string{"mixed50-32x16", "multi-32x16", "create-32x16", "write-1x1"},
		Rounds: 2, Duration: 50 * time.Millisecond,
		Heat: 10 * time.Millisecond, Seed: 1,
	}
	c, err := Versus(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range c.Rows {
		for side, s := range r.Sides {
			if len(r.Reports[side]) != cfg.Rounds || s.RSS <= 0 {
				t.Errorf("%s, %s: %+v", r.Name, c.Sides[side].Name, s)
			}
		}
	}
	if c.Sides[0].Version != fakeVersion {
		t.Errorf("the version is %q", c.Sides[0].Version)
	}
	if len(c.Rows) != len(cfg.Rows) {
		t.Errorf("%d rows, not %d", len(c.Rows), len(cfg.Rows))
	}
	for _, f := range []*fake{a, b} {
		if paths, _ := f.left(); len(paths) > 0 {
			t.Errorf("left behind: %v", paths)
		}
	}
}

func TestUsage(t *testing.T) {
	u := newUsage([]int{os.Getpid()})
	if err := u.try(); err != nil {
		t.Fatal(err)
	}
	if u.rss <= 0 || u.own[0] <= 0 || u.all[0] <= 0 {
		t.Errorf("this process uses nothing: %+v", u)
	}
	if m := thisMachine(); m.Kernel == "" || m.Memory <= 0 {
		t.Errorf("a machine of nothing: %+v", m)
	}
}
