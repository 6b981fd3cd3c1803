package zoocfg

import "strings"

// nearestKey is the known key that a misspelt one most likely meant, "" when none is close.
func nearestKey(name string) string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.name
	}
	return nearest(name, names)
}

// nearest is the name that is most like one, "" when none is close: more than a third of its
// letters would have to change. What both have up to a dot does not count, and nor does a "*" at
// the end of a name.
func nearest(name string, names []string) string {
	best, least := "", len(name)/3+1
	lower := strings.ToLower(name)
	for _, known := range names {
		a, b := withoutShared(lower, strings.ToLower(strings.TrimSuffix(known, "*")))
		limit := min(least, len(a)/3+1)
		if d := distance(a, b, limit); d < limit {
			best, least = known, d
		}
	}
	return best
}

// withoutShared cuts off the words with a dot that both begin with.
func withoutShared(a, b string) (restA, restB string) {
	for {
		word, rest, found := strings.Cut(a, ".")
		other, after, alike := strings.Cut(b, ".")
		if !found || !alike || word != other {
			return a, b
		}
		a, b = rest, after
	}
}

// distance is the number of letters to insert, delete, replace or swap with their neighbour
// (optimal string alignment); it gives up at limit and returns that.
func distance(a, b string, limit int) int {
	if max(len(a)-len(b), len(b)-len(a)) >= limit {
		return limit
	}
	older, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			replace := last[j]
			if a[i] != b[j] {
				replace++
			}
			row[j+1] = min(replace, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], older[j-1]+1)
			}
		}
		older, last, row = last, row, older
	}
	return min(last[len(b)], limit)
}
