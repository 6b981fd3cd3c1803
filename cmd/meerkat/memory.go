package main

import (
	"os"
	"runtime/debug"
)

// tuneMemory leaves GOGC and GOMEMLIMIT to the operator who sets them.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

// gcPercent is Go's default until a measurement says otherwise.
const gcPercent = 100
