package zab

// A Quorum decides which sets of servers may act for all. Any two of its sets intersect.
type Quorum interface {
	// Contains tells whether the servers for which has answers true form a quorum.
	Contains(has func(sid int64) bool) bool
	// Voters are the ids that count, ascending.
	Voters() []int64
}

// Majority is the usual quorum: more than half of the voters (QuorumMaj).
type Majority []int64

// Contains implements Quorum.
func (m Majority) Contains(has func(sid int64) bool) bool {
	n := 0
	for _, sid := range m {
		if has(sid) {
			n++
		}
	}
	return n > len(m)/2
}

// Voters implements Quorum.
func (m Majority) Voters() []int64 { return m }
