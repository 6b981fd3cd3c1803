// Package names compares what monitors ask for with a Java server: the names that mntr prints and
// the form of each value. promtool reads the endpoint for Prometheus. Part of make compat.
package names
