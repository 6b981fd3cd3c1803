// Package admin answers operators over HTTP: Java's AdminServer commands, probes of life and
// readiness, and metrics for Prometheus.
//
// # Flow
//
// Serve listens; a request names a command (commands.go), which asks the Source for facts
// (facts.go) and lays them out under Java's names. Metrics become Prometheus' text form
// (prometheus.go).
//
// # Who owns what
//
// A Server owns its listener and the goroutines of its requests. The facts are copies.
//
// # Invariants
//
// An answer is JSON with the fields "command" and "error", whatever happened.
//
// # Never
//
// Work on a loop or in the core; a change of data.
package admin
