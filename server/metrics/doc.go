// Package metrics holds what a server counts, and the names under which ZooKeeper's monitors ask
// for it.
//
// # Flow
//
// A loop counts in its Loop, the core's turns in a Core (counts.go): plain fields and histograms,
// filled by one goroutine without a lock or an allocation. When somebody asks, copies are added up
// in Counts, and List shows them by the tables of families (table.go, stages.go): a name, what
// stands behind it, and which count that is. Metric.Each yields the values as the word mntr shows
// them; server/admin turns metrics into Prometheus' text. docs/monitoring.md repeats the tables.
//
// # Who owns what
//
// Each count belongs to the goroutine that adds to it; all else is copies.
//
// # Invariants
//
// Counts, sums and buckets of a Histogram only grow, so that differences of two copies are
// true; its least and greatest value alone can be forgotten. Each name of Java's stands in one
// table, once.
//
// # Never
//
// A lock, a clock, a goroutine, knowledge of a server.
package metrics
