// Package metrics holds what a server counts: histograms that one goroutine fills without a lock
// or an allocation, and metrics under ZooKeeper's names that show them.
//
// # Flow
//
// An owner adds values to its own Histogram. When somebody asks, copies are merged, and a list
// of Metric names them; Metric.Each yields the values as the word mntr shows them.
//
// # Invariants
//
// Counts, sums and buckets of a Histogram only grow, so that differences of two copies are
// true; its least and greatest value alone can be forgotten.
//
// # Never
//
// A lock, a clock, a goroutine, knowledge of a server.
package metrics
