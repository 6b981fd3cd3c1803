package main

import (
	"os"
	"runtime"
	"runtime/debug"
)

const (
	// gcPercent is Go's default until a measurement says otherwise.
	gcPercent = 100

	// ballastBytes of memory are never touched, so they cost address space and no page. Go
	// collects when the heap has doubled; with a small tree that would be every few
	// milliseconds. With the ballast it is after some 64 MiB of garbage.
	ballastBytes = 64 << 20
)

// tuneMemory sets how much garbage may stand before it is collected, until the returned
// function is called. GOGC and GOMEMLIMIT are left to the operator who sets them.
func tuneMemory() (release func()) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	debug.SetGCPercent(gcPercent)
	ballast := make([]byte, ballastBytes)
	return func() { runtime.KeepAlive(ballast) }
}
