package metrics

import "math/bits"

// A Histogram counts values of 0 and more in buckets of an eighth of an octave, so that a
// quantile is off by at most an eighth:
//
//	value   0 1 … 15   16 18 20 … 30   32 36 …   beginning of its bucket
//	bucket  0 1 … 15   16 17 18 … 23   24 25 …
type Histogram struct {
	Count int64 // values
	Sum   int64 // of all values

	recent   int64 // values since the extremes were forgotten
	min, max int64 // of those
	buckets  [bucketCount]int64
}

const (
	bitsMax     = 44 // nanoseconds: nearly five hours; larger values stand in the last bucket
	bucketCount = (bitsMax-4)*8 + 16
)

func bucketOf(v int64) int {
	if v < 16 {
		return int(v)
	}
	e := bits.Len64(uint64(v)) - 4
	return min(e*8+int(v>>e), bucketCount-1)
}

// lowest is the least value of a bucket.
func lowest(bucket int) int64 {
	if bucket < 16 {
		return int64(bucket)
	}
	e := bucket/8 - 1
	return int64(bucket-e*8) << e
}

// Add counts a value; one below 0 counts as 0.
func (h *Histogram) Add(v int64) { h.AddN(v, 1) }

// AddN counts a value n times.
func (h *Histogram) AddN(v, n int64) {
	v = max(v, 0)
	if h.recent == 0 {
		h.min, h.max = v, v
	}
	h.min, h.max = min(h.min, v), max(h.max, v)
	h.recent += n
	h.Count += n
	h.Sum += v * n
	h.buckets[bucketOf(v)] += n
}

// Min is the least value since Forget, 0 if there is none.
func (h *Histogram) Min() int64 { return h.min }

// Max is the greatest value since Forget, 0 if there is none.
func (h *Histogram) Max() int64 { return h.max }

// Forget lets Min and Max begin anew.
func (h *Histogram) Forget() { h.recent, h.min, h.max = 0, 0, 0 }

// Merge adds what another Histogram counted.
func (h *Histogram) Merge(o *Histogram) {
	switch {
	case o.recent == 0:
	case h.recent == 0:
		h.min, h.max = o.min, o.max
	default:
		h.min, h.max = min(h.min, o.min), max(h.max, o.max)
	}
	h.recent += o.recent
	h.Count += o.Count
	h.Sum += o.Sum
	for i, n := range o.buckets {
		h.buckets[i] += n
	}
}

// Since takes away what an older copy of this Histogram had counted.
func (h *Histogram) Since(older *Histogram) {
	h.Count -= older.Count
	h.Sum -= older.Sum
	for i, n := range older.buckets {
		h.buckets[i] -= n
	}
}

// Quantile is a value that at least the share q of all values do not exceed, by the middle of
// its bucket, and within Min and Max while these are of all values; 0 if there are none.
func (h *Histogram) Quantile(q float64) int64 {
	want, seen := int64(q*float64(h.Count)+0.999999), int64(0)
	for i, n := range h.buckets {
		if seen += n; n > 0 && seen >= want {
			v := (lowest(i) + lowest(i+1)) / 2
			if h.recent == h.Count { // else the extremes are those of some of the values alone
				v = min(max(v, h.min), h.max)
			}
			return v
		}
	}
	return 0
}

// Below counts the values whose bucket begins below a bound.
func (h *Histogram) Below(bound int64) (n int64) {
	for i := range h.buckets {
		if lowest(i) >= bound {
			break
		}
		n += h.buckets[i]
	}
	return n
}
