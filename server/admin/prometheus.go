package admin

import (
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/meerkat-zk/meerkat/server/metrics"
)

// Prometheus answers /metrics with the names and labels of Java's PrometheusMetricsProvider:
// no prefix, counters without _total, the label "key" for members of sets, quantile 0.5 of basic
// summaries and 0.5, 0.9 and 0.99 of advanced ones. Summaries of times have a histogram beside
// them, in seconds, whose name begins with meerkat_: those of several servers can be added up.
func Prometheus(s Source, process bool) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(scrape{s})
	if process {
		r.MustRegister(collectors.NewGoCollector(),
			collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	t := &routes{}
	t.add("/metrics", "what is counted, for Prometheus",
		promhttp.HandlerFor(r, promhttp.HandlerOpts{}))
	return t
}

// A scrape collects a Source's metrics when Prometheus asks.
type scrape struct{ source Source }

// Describe tells nothing in advance: which members a set has changes.
func (scrape) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (x scrape) Collect(out chan<- prometheus.Metric) {
	for _, m := range x.source.Metrics(true) {
		for _, p := range convert(&m) {
			out <- p
		}
	}
}

func convert(m *metrics.Metric) (out []prometheus.Metric) {
	var labels, values []string
	if m.Key != "" {
		labels, values = []string{"key"}, []string{m.Key}
	}
	d := prometheus.NewDesc(m.Name, m.Help, labels, nil)
	switch m.Kind {
	case metrics.Gauge:
		return append(out, prometheus.MustNewConstMetric(d, prometheus.GaugeValue, m.Value,
			values...))
	case metrics.Counter:
		return append(out, prometheus.MustNewConstMetric(d, prometheus.CounterValue, m.Value,
			values...))
	}
	quantiles := map[float64]float64{}
	of := func(q float64) { quantiles[q] = float64(m.Hist.Quantile(q)) / float64(m.Unit) }
	of(0.5)
	if m.Kind == metrics.Advanced {
		of(0.9)
		of(0.99)
	}
	sum := float64(m.Hist.Sum) / float64(m.Unit)
	out = append(out, prometheus.MustNewConstSummary(d, uint64(m.Hist.Count), sum, quantiles,
		values...))
	if m.Unit == perMs {
		out = append(out, histogram(m, labels, values))
	}
	return out
}

const perMs = 1e6 // nanoseconds

// boundsNs are the upper bounds of histograms: from 16 µs to 17 s, each twice the one before.
var boundsNs = func() (b []int64) {
	for ns := int64(1 << 14); ns <= 1<<34; ns *= 2 {
		b = append(b, ns)
	}
	return b
}()

func histogram(m *metrics.Metric, labels, values []string) prometheus.Metric {
	buckets := map[float64]uint64{}
	for _, ns := range boundsNs {
		buckets[float64(ns)/1e9] = uint64(m.Hist.Below(ns))
	}
	name := "meerkat_" + strings.TrimSuffix(m.Name, "_ms") + "_seconds"
	d := prometheus.NewDesc(name, m.Name+" as a histogram", labels, nil)
	return prometheus.MustNewConstHistogram(d, uint64(m.Hist.Count), float64(m.Hist.Sum)/1e9,
		buckets, values...)
}
