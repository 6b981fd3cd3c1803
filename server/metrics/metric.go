package metrics

import (
	"math"
	"strconv"
	"strings"
)

// A Kind says what a metric's value means, in ZooKeeper's words (MetricsContext).
type Kind uint8

// The kinds of metrics.
const (
	Gauge    Kind = iota // goes up and down
	Counter              // only grows
	Basic                // a summary: average, extremes, count, sum
	Advanced             // a summary with quantiles
)

// A Metric is one named value, or one summary, of ZooKeeper's.
type Metric struct {
	Name  string
	Help  string // what it is, in a line
	Key   string // of a set: one metric per key; "" if it is none
	Kind  Kind
	Value float64    // of a gauge or counter
	Real  bool       // the value is shown with a decimal point
	Hist  *Histogram // of a summary
	Unit  int64      // of the summary's values: they are divided by it when shown
}

// A Decimal is a number that is always shown with a decimal point, as Java shows a double.
type Decimal float64

// String has at most four places (AvgMinMaxCounter.getAvg).
func (d Decimal) String() string {
	s := strconv.FormatFloat(math.Round(float64(d)*1e4)/1e4, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// MarshalJSON implements json.Marshaler.
func (d Decimal) MarshalJSON() ([]byte, error) { return []byte(d.String()), nil }

// Quantiles of advanced summaries, as mntr names them (AvgMinMaxPercentileCounter).
var quantiles = []struct {
	prefix string
	q      float64
}{{"p50_", 0.50}, {"p95_", 0.95}, {"p99_", 0.99}, {"p999_", 0.999}}

// Each yields the metric's values by name: one for a gauge or counter, several for a summary.
// A value is an int64 or a Decimal.
func (m *Metric) Each(visit func(name string, value any)) {
	name := m.Name
	if m.Key != "" {
		name = wordOf(m.Key) + "_" + name
	}
	switch {
	case m.Hist == nil && m.Real:
		visit(name, Decimal(m.Value))
		return
	case m.Hist == nil:
		visit(name, int64(m.Value))
		return
	}
	h := m.Hist
	visit("avg_"+name, Decimal(m.Average()))
	visit("min_"+name, h.Min()/m.Unit)
	visit("max_"+name, Up(h.Max(), m.Unit))
	visit("cnt_"+name, h.Count)
	visit("sum_"+name, h.Sum/m.Unit)
	if m.Kind == Advanced {
		for _, x := range quantiles {
			visit(x.prefix+name, h.Quantile(x.q)/m.Unit)
		}
	}
}

// wordOf is a key as part of a name, of characters that parsers of mntr take (Telegraf gives up at
// a line with another one). A znode may be called anything, with line breaks too.
func wordOf(key string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '.':
			return r
		}
		return '_'
	}, key)
}

// Up divides a maximum by its unit and rounds up: rounded down it could be below the average.
func Up(v, unit int64) int64 {
	if v <= 0 {
		return v / unit
	}
	return (v + unit - 1) / unit
}

// Average is the mean of a summary in its unit, 0 if it has no values.
func (m *Metric) Average() float64 {
	if m.Hist.Count == 0 {
		return 0
	}
	return float64(m.Hist.Sum) / float64(m.Hist.Count) / float64(m.Unit)
}
