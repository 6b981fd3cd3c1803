// Package admin answers operators: the text of the four-letter words, and over HTTP Java's
// AdminServer commands, probes of life and readiness, and metrics for Prometheus.
//
// # Flow
//
// Listen serves; a request names a command (commands.go), which asks the Source for facts
// (facts.go) and lays them out under Java's names. Commands that hand out or replace all data
// want to know who asks (guarded.go). Metrics become Prometheus' text form (prometheus.go).
// A word comes over a client port; the server finds its answer in Words (words.go).
//
// # Who owns what
//
// A Server owns its listener and the goroutines of its requests. The facts are copies.
//
// # Invariants
//
// An answer over HTTP is JSON with the fields "command" and "error", whatever happened, or the
// stream of a snapshot.
//
// # Never
//
// Work on a loop or in the core.
package admin
