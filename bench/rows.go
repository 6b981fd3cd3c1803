package bench

import (
	"fmt"
	"slices"
	"strings"
)

// A Row is one line of a comparison: a load, and what the second server should reach of the
// first one's figures.
type Row struct {
	Name  string // for --rows
	Title string
	Goal  Goal

	workload    Workload
	connections int
	inFlight    int
	read        float64
	znodes      int
}

// A Goal bounds ratios of the second server to the first. For fanout Speed is an upper bound
// of the time, for the rest a lower one of the operations per second; 0 is no goal.
type Goal struct {
	Speed float64 `json:"speed"`
	CPU   float64 `json:"cpu"` // of the server per operation, at most
}

const (
	thousand = 1000
	million  = 1_000_000
)

// Rows are the loads that Versus knows. Those with a million znodes come last and must be
// asked for.
var Rows = []Row{
	{"read-32x16", "100% reads, 32 x 16", Goal{5, 1. / 6}, Mixed, 32, 16, 1, thousand},
	{"mixed90-32x16", "90% reads, 32 x 16", Goal{4, 1. / 5}, Mixed, 32, 16, 0.9, thousand},
	{"mixed50-32x16", "50% reads, 32 x 16", Goal{3, 1. / 4}, Mixed, 32, 16, 0.5, thousand},
	{"write-32x16", "100% writes, 32 x 16", Goal{2.5, 1. / 4}, Mixed, 32, 16, 0, thousand},
	{"multi-32x16", "multi of 4 sets, 32 x 16", Goal{2.5, 1. / 4}, Multi, 32, 16, 0, thousand},
	{"create-32x16", "create, 32 x 16", Goal{2.5, 1. / 4}, Create, 32, 16, 0, thousand},
	{"read-32x1", "reads, 32 x 1", Goal{1.3, 0.65}, Mixed, 32, 1, 1, thousand},
	{"write-32x1", "writes, 32 x 1", Goal{1.5, 1. / 2}, Mixed, 32, 1, 0, thousand},
	{"read-1x1", "one read at a time", Goal{3, 1. / 3}, Mixed, 1, 1, 1, thousand},
	{"write-1x1", "one write at a time", Goal{1.4, 0.6}, Mixed, 1, 1, 0, thousand},
	{"fanout-1000", "a change to 1,000 watchers", Goal{1. / 3, 0}, Fanout, 1000, 1, 0, thousand},
	{"mixed90-1m", "90% reads, 32 x 16, 1 M znodes", Goal{4, 1. / 5}, Mixed, 32, 16, 0.9, million},
	{"write-1m", "100% writes, 32 x 16, 1 M znodes", Goal{2.5, 1. / 4}, Mixed, 32, 16, 0, million},
}

// chooseRows finds rows by name, in the order of Rows. "default" are those with a thousand
// znodes, "all" is all.
func chooseRows(names []string) ([]Row, error) {
	var chosen []Row
	known := []string{"default", "all"}
	for _, r := range Rows {
		known = append(known, r.Name)
		if slices.Contains(names, r.Name) || slices.Contains(names, "all") ||
			slices.Contains(names, "default") && r.znodes == thousand {
			chosen = append(chosen, r)
		}
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("bench: row %q is unknown; there are %s", name,
				strings.Join(known, ", "))
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("bench: no rows chosen; there are %s", strings.Join(known, ", "))
	}
	return chosen, nil
}
