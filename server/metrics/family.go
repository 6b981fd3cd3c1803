package metrics

import (
	"maps"
	"slices"
	"strings"
)

// A family is a metric that is shown under one name: what monitors and the page for operators
// know it by, and where its value comes from.
type family struct {
	name  string
	kind  Kind
	says  string // what is shown, or why nothing is
	real  bool   // the value is shown with a decimal point
	unit  int64  // of a summary's values
	value func(*Counts) float64
	hist  func(*Counts) *Histogram
	modes []string // of the server in which it is shown; nil: all
}

// The kinds of families. Each name is Java's; one that begins with op_count_ is of 3.10.

func gauge(name, says string, value func(*Counts) int64) family {
	return family{name: name, kind: Gauge, says: says,
		value: func(c *Counts) float64 { return float64(value(c)) }}
}

func counter(name, says string, value func(*Counts) int64) family {
	f := gauge(name, says, value)
	f.kind = Counter
	return f
}

func sizes(name, says string, hist func(*Counts) *Histogram) family {
	return family{name: name, kind: Basic, says: says, unit: 1, hist: hist}
}

func times(name string, kind Kind, says string, hist func(*Counts) *Histogram) family {
	return family{name: name, kind: kind, says: says, unit: perMs, hist: hist}
}

// absent is a name of Java's for which there is no such thing here.
func absent(name string, kind Kind, why string) family {
	f := family{name: name, kind: kind, says: "0: " + why, unit: 1}
	if kind >= Basic {
		f.hist = func(*Counts) *Histogram { return &none }
	} else {
		f.value = func(*Counts) float64 { return 0 }
	}
	return f
}

var none Histogram // nothing was counted

const perMs = 1e6 // nanoseconds

// in makes a family one that is shown by servers in some modes alone.
func (f family) in(modes ...string) family {
	f.modes = modes
	return f
}

// A set is families of the same name, one per namespace.
type set struct {
	name string
	kind Kind
	says string
	each func(c *Counts, show func(key string, value float64, hist *Histogram))
}

// List shows what was counted: gauges first, then counters, then summaries, as mntr has them.
// Each time is there once more in microseconds under a name of our own, for what takes 20 of
// them is 0 in every name of Java's.
func List(c *Counts) []Metric {
	c.sum()
	var out []Metric
	for _, table := range [][]family{gauges, counters, summaries} {
		for i := range table {
			if f := &table[i]; f.modes == nil || slices.Contains(f.modes, c.Mode) {
				out = f.show(c, out)
			}
		}
	}
	for _, s := range sets {
		s.each(c, func(key string, value float64, hist *Histogram) {
			out = append(out, Metric{Name: s.name, Help: s.says, Key: key, Kind: s.kind,
				Value: value, Hist: hist, Unit: 1})
		})
	}
	return out
}

func (f *family) show(c *Counts, out []Metric) []Metric {
	m := Metric{Name: f.name, Help: f.says, Kind: f.kind, Real: f.real, Unit: f.unit}
	if f.hist == nil {
		m.Value = f.value(c)
		return append(out, m)
	}
	m.Hist = f.hist(c)
	out = append(out, m)
	if f.unit == perMs {
		m.Name, m.Help, m.Unit = microName(f.name), f.says+" (us)", perMs/1000
		out = append(out, m)
	}
	return out
}

// microName is our name for a time in microseconds.
func microName(name string) string { return "meerkat_" + strings.TrimSuffix(name, "_ms") + "_us" }

// Counts is all that a server shows of itself at one moment.
type Counts struct {
	Mode string // standalone, leader, follower or observer
	Loop Loop   // of all loops
	Core Core
	Rare Rare
	Now  Now

	// Sums that several families show; made by sum.
	all, reads, updates, readWait Histogram
}

// Now is what is the case at the moment, and cannot be summed up.
type Now struct {
	UptimeMs, LeadingMs          int64
	Znodes, Ephemerals, Sessions int64
	DataBytes                    int64
	Watches                      int64
	Connections, Outstanding     int64
	Rejected                     int64 // connections turned away by a limit, since the start
	OpenFiles, MaxFiles          int64
	Broken                       bool // nothing more becomes durable
	ReadOnly                     bool // the disk is full
	NoLocks, NoDirSync           bool // what the file system cannot do
	LogDir, DataDir              Room
	Voters                       int64
	Quotas                       map[string]*Quota // by namespace
}

// Room is what a file system has, in bytes.
type Room struct{ Free, Total int64 }

// A Quota is what may be used of a namespace, and what is.
type Quota struct{ CountMax, BytesMax, Count, Bytes int64 }

func (c *Counts) sum() {
	c.all, c.reads, c.updates = Histogram{}, Histogram{}, Histogram{}
	for slot := range c.Loop.Latency {
		h := &c.Loop.Latency[slot]
		c.all.Merge(h)
		if isUpdate[slot] {
			c.updates.Merge(h)
		} else {
			c.reads.Merge(h)
		}
	}
	c.readWait = c.Loop.ReadWait
	if atOnce := c.reads.Count - c.readWait.Count; atOnce > 0 {
		c.readWait.AddN(0, atOnce)
	}
}

// Latency is that of all requests.
func (c *Counts) Latency() *Metric {
	c.sum()
	return &Metric{Hist: &c.all, Unit: perMs}
}

// oneIf is a gauge's value of something that is so or not.
func oneIf(so bool) int64 {
	if so {
		return 1
	}
	return 0
}

func (c *Counts) ops(ops ...int) (n int64) {
	for _, slot := range ops {
		n += c.Loop.Latency[slot].Count
	}
	return n
}

func sortedKeys[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }
