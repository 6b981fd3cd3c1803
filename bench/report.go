package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A Report is what a run measured. Times within it are in microseconds.
type Report struct {
	Started  time.Time `json:"started"`
	Version  string    `json:"version,omitempty"` // of the generator
	Commit   string    `json:"commit,omitempty"`
	Machine  Machine   `json:"machine"`
	Settings Settings  `json:"settings"`

	Seconds      float64          `json:"seconds"` // how long the window really was
	Ops          int64            `json:"ops"`     // answered without an error within it
	OpsPerSecond float64          `json:"ops_per_second"`
	Latency      Latency          `json:"latency_us"` // of all kinds together
	Kinds        []KindReport     `json:"kinds"`
	Errors       map[string]int64 `json:"errors"`         // answers by code, warm-up included
	Verified     int64            `json:"verified_reads"` // whose data was compared

	ClientCPU float64 `json:"client_cpu_us_per_op"`
	ServerCPU float64 `json:"server_cpu_us_per_op,omitempty"` // of Config.PIDs
	ServerRSS int64   `json:"server_rss_bytes,omitempty"`     // at the end of the window
	RSSBefore int64   `json:"server_rss_before_bytes,omitempty"`

	// Others is how many cores something else kept busy: a run next to it says little.
	// Without Config.PIDs the server counts as something else.
	Others float64 `json:"other_busy_cores"`
}

// A KindReport is about one kind of operation.
type KindReport struct {
	Kind         string  `json:"kind"` // read, write, create, multi, fanout
	Ops          int64   `json:"ops"`
	OpsPerSecond float64 `json:"ops_per_second"`
	Latency      Latency `json:"latency_us"`
}

// A Latency is a distribution, in microseconds.
type Latency struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
	Max  float64 `json:"max"`
}

// Settings are the parts of a Config that decide what was measured.
type Settings struct {
	Servers     []string `json:"servers"`
	Workload    Workload `json:"workload"`
	Connections int      `json:"connections"`
	InFlight    int      `json:"in_flight"`
	Batch       int      `json:"batch"` // replies that wake the generator
	Read        float64  `json:"read"`
	Size        int      `json:"size"`
	Znodes      int      `json:"znodes"`
	Duration    float64  `json:"duration_s"`
	Warmup      float64  `json:"warmup_s"`
	Rate        float64  `json:"rate"`
	Threads     int      `json:"threads"`
	Verify      float64  `json:"verify"`
	Seed        uint64   `json:"seed"`
}

func settingsOf(c *Config) Settings {
	return Settings{
		Servers: c.Servers, Workload: c.Workload, Connections: c.Connections,
		InFlight: c.InFlight, Batch: c.batch(), Read: c.Read, Size: c.Size, Znodes: c.Znodes,
		Duration: c.Duration.Seconds(), Warmup: c.Warmup.Seconds(), Rate: c.Rate,
		Threads: c.Threads, Verify: c.Verify, Seed: c.Seed,
	}
}

// newReport adds up what the drivers of a run measured.
func newReport(r *run, started time.Time, u *usage) *Report {
	rep := &Report{Started: started.UTC(), Machine: thisMachine(),
		Settings: settingsOf(&r.cfg), Errors: map[string]int64{}}
	rep.Version, rep.Commit = buildVersion()
	total := newStats()
	for _, d := range r.drivers {
		for k, h := range d.stats.latency {
			total.latency[k].Merge(h)
		}
		for code, n := range d.stats.errors {
			rep.Errors[code.String()] += n
		}
		rep.Verified += d.stats.verified
		rep.Seconds = max(rep.Seconds, time.Duration(d.closed-d.opened).Seconds())
	}
	all := newLatencies()
	for _, k := range kindsOf(r.cfg.Workload) {
		h := total.latency[k]
		all.Merge(h)
		if h.TotalCount() == 0 {
			continue
		}
		rep.Ops += h.TotalCount()
		rep.Kinds = append(rep.Kinds, KindReport{
			Kind: k.String(), Ops: h.TotalCount(), OpsPerSecond: per(h.TotalCount(), rep.Seconds),
			Latency: latencyOf(h),
		})
	}
	rep.OpsPerSecond, rep.Latency = per(rep.Ops, rep.Seconds), latencyOf(all)
	if rep.Ops > 0 {
		rep.ClientCPU = micros(float64(between(u.own)) / float64(rep.Ops))
		rep.ServerCPU = micros(float64(between(u.them)) / float64(rep.Ops))
	}
	rep.ServerRSS, rep.RSSBefore, rep.Others = u.rss, r.rssBefore, u.others()
	return rep
}

func per(n int64, seconds float64) float64 {
	if seconds <= 0 {
		return 0
	}
	return float64(n) / seconds
}

func micros(ns float64) float64 { return ns / 1e3 }

func latencyOf(h *hdrhistogram.Histogram) Latency {
	at := func(q float64) float64 { return micros(float64(h.ValueAtQuantile(q))) }
	return Latency{Mean: micros(h.Mean()), P50: at(50), P90: at(90), P99: at(99), P999: at(99.9),
		Max: micros(float64(h.Max()))}
}

// failed is an error when requests were answered with errors.
func (r *Report) failed() error {
	if len(r.Errors) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrFailed, r.errorList())
}

func (r *Report) errorList() string {
	var list []string
	for code, n := range r.Errors {
		list = append(list, fmt.Sprintf("%s %d", code, n))
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// WriteJSON writes the report as one line.
func (r *Report) WriteJSON(w io.Writer) error { return json.NewEncoder(w).Encode(r) }

// WriteTable writes the report for people.
func (r *Report) WriteTable(w io.Writer) error {
	var b strings.Builder
	s := &r.Settings
	fmt.Fprintf(&b, "%s: %d connections x %d in flight, %d bytes, %d znodes, seed %d\n",
		s.Workload, s.Connections, s.InFlight, s.Size, s.Znodes, s.Seed)
	fmt.Fprintf(&b, "%-8s %12s %12s %9s %9s %9s %9s %9s %9s  (us)\n", "", "ops", "ops/s", "mean",
		"p50", "p90", "p99", "p99.9", "max")
	for _, k := range r.Kinds {
		l := &k.Latency
		fmt.Fprintf(&b, "%-8s %12d %12.0f %9.0f %9.0f %9.0f %9.0f %9.0f %9.0f\n", k.Kind, k.Ops,
			k.OpsPerSecond, l.Mean, l.P50, l.P90, l.P99, l.P999, l.Max)
	}
	fmt.Fprintf(&b, "%-8s %12d %12.0f in %.2f s; %d reads verified\n", "all", r.Ops,
		r.OpsPerSecond, r.Seconds, r.Verified)
	fmt.Fprintf(&b, "CPU per operation: client %.2f us", r.ClientCPU)
	if r.ServerRSS > 0 {
		fmt.Fprintf(&b, ", server %.2f us; others kept %.2f cores busy\n", r.ServerCPU, r.Others)
		fmt.Fprintf(&b, "server's resident memory: %d MiB, %+.1f kB per connection since before "+
			"the run", r.ServerRSS>>20,
			float64(r.ServerRSS-r.RSSBefore)/1e3/float64(s.Connections))
	}
	b.WriteByte('\n')
	if len(r.Errors) > 0 {
		fmt.Fprintf(&b, "errors: %s\n", r.errorList())
	}
	_, err := io.WriteString(w, b.String())
	return err
}
