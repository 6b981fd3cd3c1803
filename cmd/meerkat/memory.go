package main

import (
	"os"
	"runtime/debug"
)

// ballast is memory that is never touched, so it costs address space and no page. Go collects
// when the heap has doubled; with a small tree that would be every few milliseconds.
var ballast []byte

// ballastBytes keeps the collector quiet until there are some 64 MiB of garbage.
const ballastBytes = 64 << 20

// tuneMemory sets how much garbage may stand before it is collected. GOGC and GOMEMLIMIT are
// left to the operator who sets them.
func tuneMemory() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetGCPercent(gcPercent)
	ballast = make([]byte, ballastBytes)
}

// gcPercent is Go's default until a measurement says otherwise.
const gcPercent = 100
