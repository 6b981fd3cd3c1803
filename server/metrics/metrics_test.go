package metrics

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// Every value lies in the bucket that bucketOf names, and buckets leave no gap.
func TestBuckets(t *testing.T) {
	for i := range bucketCount - 1 {
		lo, hi := lowest(i), lowest(i+1)
		if lo >= hi || bucketOf(lo) != i || bucketOf(hi-1) != i {
			t.Fatalf("bucket %d is [%d, %d), but holds them in %d and %d", i, lo, hi,
				bucketOf(lo), bucketOf(hi-1))
		}
		if lo >= 16 && (hi-lo)*8 > lo {
			t.Fatalf("bucket %d, [%d, %d), is wider than an eighth", i, lo, hi)
		}
	}
	if got := bucketOf(1 << 62); got != bucketCount-1 {
		t.Errorf("a huge value is in bucket %d, not the last", got)
	}
}

// A histogram says what sorting all values says, to an eighth.
func TestQuantiles(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	var h, left, right Histogram
	var all []int64
	sum := int64(0)
	for range 5000 {
		v := int64(r.ExpFloat64() * float64(int64(1)<<r.IntN(30)))
		all = append(all, v)
		sum += v
		h.Add(v)
		if r.IntN(2) == 0 {
			left.Add(v)
		} else {
			right.Add(v)
		}
	}
	slices.Sort(all)
	left.Merge(&right)
	if left != h {
		t.Error("two halves merged are not the whole")
	}
	if h.Count != 5000 || h.Sum != sum || h.Min() != all[0] || h.Max() != all[4999] {
		t.Errorf("count %d, sum %d, extremes %d and %d", h.Count, h.Sum, h.Min(), h.Max())
	}
	for _, q := range []float64{0.001, 0.5, 0.95, 0.999, 1} {
		want := all[int(q*5000+0.999)-1]
		got := h.Quantile(q)
		if d := got - want; d*8 > want+8 || -d*8 > want+8 {
			t.Errorf("quantile %v is %d, want about %d", q, got, want)
		}
	}
}

// What a copy had is taken away; extremes are those since Forget.
func TestSince(t *testing.T) {
	var h Histogram
	h.AddN(7, 3)
	h.Add(1 << 20)
	older := h
	h.Forget()
	h.AddN(100, 2)
	h.Since(&older)
	if h.Count != 2 || h.Sum != 200 || h.Min() != 100 || h.Max() != 100 ||
		h.Quantile(0.5) != 100 || h.Below(1000) != 2 || h.Below(90) != 0 {
		t.Errorf("since the copy: %d values, sum %d, %d to %d, median %d", h.Count, h.Sum,
			h.Min(), h.Max(), h.Quantile(0.5))
	}
	older.Forget()
	older.Add(9)
	if got := older.Quantile(0.5); got < 7 || got > 8 {
		t.Errorf("the median of 7, 7, 7, 9 and 2^20 is %d once the extremes are those of 9 alone", got)
	}
	h.Add(-5)
	if h.Min() != 0 {
		t.Error("a negative value is not 0")
	}
}

// The names and forms of AvgMinMaxPercentileCounter.values and MonitorCommand.print.
func TestEach(t *testing.T) {
	var h Histogram
	h.AddN(1e6, 2)
	h.Add(3e6)
	var lines []string
	for _, m := range []Metric{
		{Name: "uptime", Value: 12},
		{Name: "drop", Value: 0, Real: true},
		{Name: "avg", Value: 0.123456, Real: true},
		{Name: "used", Key: "a", Value: 3},
		{Name: "fsynctime", Kind: Basic, Hist: &h, Unit: 1e6},
		{Name: "empty", Kind: Advanced, Hist: &Histogram{}, Unit: 1e6},
	} {
		m.Each(func(name string, value any) {
			lines = append(lines, fmt.Sprint(name, " ", value))
		})
	}
	want := "uptime 12,drop 0.0,avg 0.1235,a_used 3,avg_fsynctime 1.6667,min_fsynctime 1," +
		"max_fsynctime 3,cnt_fsynctime 3,sum_fsynctime 5,avg_empty 0.0,min_empty 0,max_empty 0," +
		"cnt_empty 0,sum_empty 0,p50_empty 0,p95_empty 0,p99_empty 0,p999_empty 0"
	if got := strings.Join(lines, ","); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
