// Package names compares what monitors ask for with a Java server: the names that mntr prints in
// each role and the form of each value, the families for Prometheus behind them, and the answers of
// the AdminServer to all that health checks and proxies may send. promtool reads the endpoint for
// Prometheus. Part of make compat.
package names
