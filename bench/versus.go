package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Side is one of two servers that are compared.
type Side struct {
	Name    string `json:"name"`
	Addr    string `json:"addr"`
	PID     int    `json:"pid"`
	Version string `json:"version"` // as the word srvr tells it, "" if it does not
}

// ParseSide reads "name,host:port,pid".
func ParseSide(s string) (Side, error) {
	f := strings.Split(s, ",")
	if len(f) != 3 {
		return Side{}, fmt.Errorf("bench: %q is not name,host:port,pid", s)
	}
	pid, err := strconv.Atoi(f[2])
	if err != nil {
		return Side{}, fmt.Errorf("bench: %q has no process id: %w", s, err)
	}
	return Side{Name: f[0], Addr: f[1], PID: pid}, nil
}

// A VersusConfig says what to compare. Both servers are processes on this machine.
type VersusConfig struct {
	Sides    [2]Side // the first is the reference
	Rows     []string
	Rounds   int           // of each row; a round is a run against either side
	Duration time.Duration // of a run's measured window
	Warmup   time.Duration // of the same load before it
	Heat     time.Duration // of mixed load against either side before the first row
	Seed     uint64        // 0 picks one
	Progress io.Writer
}

// A Comparison is the outcome of Versus.
type Comparison struct {
	Started time.Time   `json:"started"`
	Version string      `json:"version,omitempty"` // of the generator
	Commit  string      `json:"commit,omitempty"`
	Machine Machine     `json:"machine"`
	Sides   [2]Side     `json:"sides"`
	Rounds  int         `json:"rounds"`
	Seconds float64     `json:"seconds"` // of a measured window
	Rows    []RowReport `json:"rows"`
}

// A RowReport compares the two sides under one load.
type RowReport struct {
	Name     string       `json:"name"`
	Title    string       `json:"title"`
	Goal     Goal         `json:"goal"`
	Sides    [2]Figures   `json:"sides"`
	Speed    float64      `json:"speed_ratio"` // second to first: ops/s; for fanout: time
	CPU      float64      `json:"cpu_ratio"`
	Met      bool         `json:"goal_met"`
	Reports  [2][]*Report `json:"reports"` // of every round
	workload Workload
}

// Figures are the medians of a side's rounds.
type Figures struct {
	OpsPerSecond float64 `json:"ops_per_second"`
	ServerCPU    float64 `json:"server_cpu_us_per_op"`
	ClientCPU    float64 `json:"client_cpu_us_per_op"`
	P50          float64 `json:"p50_us"`
	P99          float64 `json:"p99_us"`
	RSS          int64   `json:"server_rss_bytes"`
	Others       float64 `json:"other_busy_cores"`
}

// Versus measures two servers row by row, in turns, and compares them. The comparison is
// there as far as it got also when there is an error.
func Versus(ctx context.Context, cfg VersusConfig) (*Comparison, error) {
	rows, err := chooseRows(cfg.Rows)
	if err != nil {
		return nil, err
	}
	if cfg.Rounds < 1 || cfg.Duration <= 0 || cfg.Warmup < 0 || cfg.Heat < 0 {
		return nil, errors.New("bench: rounds and duration must be positive, " +
			"warmup and heat not negative")
	}
	if cfg.Seed == 0 {
		cfg.Seed = rand.Uint64() | 1
	}
	say(cfg.Progress, "seed %d", cfg.Seed)
	v := &versus{cfg: cfg}
	c := &Comparison{Started: time.Now().UTC(), Machine: thisMachine(), Sides: cfg.Sides,
		Rounds: cfg.Rounds, Seconds: cfg.Duration.Seconds()}
	c.Version, c.Commit = buildVersion()
	for i := range c.Sides {
		c.Sides[i].Version = serverVersion(ctx, c.Sides[i].Addr)
	}
	if err := v.heat(ctx); err != nil {
		return c, err
	}
	for _, row := range rows {
		rep, err := v.row(ctx, row)
		if err != nil {
			return c, err
		}
		c.Rows = append(c.Rows, rep)
	}
	return c, v.depopulate(ctx)
}

// A versus keeps the populations of both sides from row to row.
type versus struct {
	cfg VersusConfig
	on  [2]*population // nil: none
}

// config is that of a run against one side.
func (v *versus) config(side int, row Row) Config {
	c := DefaultConfig()
	s := v.cfg.Sides[side]
	c.Servers, c.PIDs = []string{s.Addr}, []int{s.PID}
	c.Workload, c.Connections, c.InFlight = row.workload, row.connections, row.inFlight
	c.Read, c.Znodes = row.read, row.znodes
	c.Duration, c.Warmup = v.cfg.Duration, v.cfg.Warmup
	c.Seed = v.cfg.Seed + uint64(side)
	return c
}

// heat lets a just-in-time compiler see reads and writes; the other side gets the same.
func (v *versus) heat(ctx context.Context) error {
	if v.cfg.Heat == 0 {
		return nil
	}
	row := Row{workload: Mixed, connections: 32, inFlight: 16, read: 0.5, znodes: thousand}
	for side := range v.cfg.Sides {
		say(v.cfg.Progress, "heating %s for %v", v.cfg.Sides[side].Name, v.cfg.Heat)
		cfg := v.config(side, row)
		cfg.Duration, cfg.Warmup = v.cfg.Heat, 0
		if _, err := v.run(ctx, side, cfg); err != nil {
			return err
		}
	}
	return nil
}

// row measures one load against the two sides in turns.
func (v *versus) row(ctx context.Context, row Row) (RowReport, error) {
	rep := RowReport{Name: row.Name, Title: row.Title, Goal: row.Goal, workload: row.workload}
	for round := range v.cfg.Rounds {
		for side, s := range v.cfg.Sides {
			r, err := v.run(ctx, side, v.config(side, row))
			if err != nil {
				return rep, fmt.Errorf("%s, %s: %w", row.Name, s.Name, err)
			}
			say(v.cfg.Progress, "%s %d/%d %s: %.0f ops/s, p50 %.0f us, p99 %.0f us, "+
				"CPU per operation: server %.2f us, client %.2f us, others %.2f cores",
				row.Name, round+1, v.cfg.Rounds, s.Name, r.OpsPerSecond, r.Latency.P50,
				r.Latency.P99, r.ServerCPU, r.ClientCPU, r.Others)
			rep.Reports[side] = append(rep.Reports[side], r)
		}
	}
	rep.compare()
	return rep, nil
}

// run is one run over the side's population, made anew when it has another size.
func (v *versus) run(ctx context.Context, side int, cfg Config) (*Report, error) {
	if p := v.on[side]; p == nil || len(p.issued) != cfg.Znodes {
		if err := v.repopulate(ctx, side, cfg); err != nil {
			return nil, err
		}
	}
	r, err := open(ctx, cfg, v.on[side])
	if err != nil {
		return nil, err
	}
	defer r.abandon()
	rep, err := r.measure(ctx)
	if err != nil {
		return rep, r.leftBehind(err)
	}
	r.stop.Store(false)
	return rep, errors.Join(ctx.Err(), rep.failed(), r.removeMade(), r.close())
}

// repopulate replaces a side's znodes.
func (v *versus) repopulate(ctx context.Context, side int, cfg Config) error {
	if err := v.clear(ctx, side); err != nil {
		return err
	}
	say(v.cfg.Progress, "creating %d znodes in %s", cfg.Znodes, v.cfg.Sides[side].Name)
	cfg.Progress = v.cfg.Progress
	// Of its own seed, for the root is named after it and must not be met again.
	p := newPopulation(cfg.Znodes, cfg.Size, mix(cfg.Seed+uint64(cfg.Znodes)))
	r, err := open(ctx, cfg, p)
	if err != nil {
		return err
	}
	defer r.abandon()
	if err := r.populate(ctx); err != nil {
		return r.leftBehind(err)
	}
	v.on[side] = p
	return errors.Join(ctx.Err(), r.close())
}

// clear removes a side's znodes, if it has any.
func (v *versus) clear(ctx context.Context, side int) error {
	p := v.on[side]
	if p == nil {
		return nil
	}
	cfg := v.config(side, Rows[0])
	cfg.Znodes = len(p.issued)
	r, err := open(ctx, cfg, p)
	if err != nil {
		return err
	}
	defer r.abandon()
	v.on[side] = nil
	return errors.Join(r.remove(), r.close())
}

func (v *versus) depopulate(ctx context.Context) error {
	return errors.Join(v.clear(ctx, 0), v.clear(ctx, 1))
}

// compare takes the medians of the rounds and their ratios.
func (r *RowReport) compare() {
	for side, reports := range r.Reports {
		of := func(figure func(*Report) float64) float64 {
			var all []float64
			for _, rep := range reports {
				all = append(all, figure(rep))
			}
			return median(all)
		}
		r.Sides[side] = Figures{
			OpsPerSecond: of(func(r *Report) float64 { return r.OpsPerSecond }),
			ServerCPU:    of(func(r *Report) float64 { return r.ServerCPU }),
			ClientCPU:    of(func(r *Report) float64 { return r.ClientCPU }),
			P50:          of(func(r *Report) float64 { return r.Latency.P50 }),
			P99:          of(func(r *Report) float64 { return r.Latency.P99 }),
			RSS:          int64(of(func(r *Report) float64 { return float64(r.ServerRSS) })),
			Others:       of(func(r *Report) float64 { return r.Others }),
		}
	}
	a, b := &r.Sides[0], &r.Sides[1]
	r.Speed, r.CPU = ratio(b.OpsPerSecond, a.OpsPerSecond), ratio(b.ServerCPU, a.ServerCPU)
	r.Met = r.Speed >= r.Goal.Speed
	if r.workload == Fanout {
		r.Speed = ratio(b.P50, a.P50)
		r.Met = r.Speed <= r.Goal.Speed
	}
	r.Met = r.Met && (r.Goal.CPU == 0 || r.CPU <= r.Goal.CPU)
}

func ratio(b, a float64) float64 {
	if a == 0 {
		return 0
	}
	return b / a
}

// median is 0 for an empty list.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// WriteJSON writes the comparison with the reports of all rounds, as one line.
func (c *Comparison) WriteJSON(w io.Writer) error { return json.NewEncoder(w).Encode(c) }

// WriteMarkdown writes the comparison as a table.
func (c *Comparison) WriteMarkdown(w io.Writer) error {
	var b strings.Builder
	x, y := c.Sides[0].Name, c.Sides[1].Name
	fmt.Fprintf(&b, "%s, %d cores, %d GiB, Linux %s, %s.\n", c.Machine.CPU, c.Machine.Cores,
		c.Machine.Memory>>30, c.Machine.Kernel, c.Started.Format(time.DateOnly))
	for _, s := range c.Sides {
		fmt.Fprintf(&b, "%s: %s.\n", s.Name, s.Version)
	}
	fmt.Fprintf(&b, "100-byte random values; medians of %d rounds of %.0f s each; CPU is the "+
		"server's, per operation.\n", c.Rounds, c.Seconds)
	fmt.Fprintf(&b, "A fanout counts rounds, and its ratio is of the time until the last "+
		"watcher's socket has the event.\n\n")
	fmt.Fprintf(&b, "| load | %s ops/s | %s ops/s | ratio | %s CPU us | %s CPU us | ratio "+
		"| %s p50/p99 us | %s p50/p99 us | %s/%s MiB | goal | |\n", x, y, x, y, x, y, x, y)
	b.WriteString("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|---|\n")
	for i := range c.Rows {
		c.Rows[i].writeMarkdown(&b)
	}
	if busy := c.others(); busy > othersMax {
		fmt.Fprintf(&b, "\nNot to be relied on: other processes kept %.2f of %d cores busy in "+
			"one of the rows.\n", busy, c.Machine.Cores)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// othersMax is how many cores other processes may keep busy before a comparison is doubtful.
const othersMax = 0.1

// others is the most that other processes kept busy in any row.
func (c *Comparison) others() (cores float64) {
	for i := range c.Rows {
		for _, s := range c.Rows[i].Sides {
			cores = max(cores, s.Others)
		}
	}
	return cores
}

func (r *RowReport) writeMarkdown(b *strings.Builder) {
	p, q := &r.Sides[0], &r.Sides[1]
	goal, met := fmt.Sprintf("≥ %.3g", r.Goal.Speed), "missed"
	if r.workload == Fanout {
		goal = fmt.Sprintf("≤ %.2f", r.Goal.Speed)
	}
	if r.Goal.CPU > 0 {
		goal += fmt.Sprintf(", CPU ≤ %.2f", r.Goal.CPU)
	}
	if r.Met {
		met = "met"
	}
	fmt.Fprintf(b, "| %s | %.0f | %.0f | %.2f | %.1f | %.1f | %.2f | %.0f/%.0f | %.0f/%.0f "+
		"| %d/%d | %s | %s |\n", r.Title, p.OpsPerSecond, q.OpsPerSecond, r.Speed, p.ServerCPU,
		q.ServerCPU, r.CPU, p.P50, p.P99, q.P50, q.P99, p.RSS>>20, q.RSS>>20, goal, met)
}

// srvrTimeout bounds how long a server may take for the word srvr.
const srvrTimeout = 2 * time.Second

// serverVersion asks the word srvr; "" when there is no answer to understand.
func serverVersion(ctx context.Context, addr string) string {
	ctx, cancel := context.WithTimeout(ctx, srvrTimeout)
	defer cancel()
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return ""
	}
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	if _, err := nc.Write([]byte("srvr")); err != nil {
		return ""
	}
	answer, _ := io.ReadAll(nc) // what came before an error is good enough for one line
	line, _, _ := strings.Cut(string(answer), "\n")
	_, version, _ := strings.Cut(line, "version: ")
	return strings.TrimSpace(version)
}
