package main

import (
	"log/slog"
	"math"
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

	// goPercent of what a cgroup allows is Go's. The rest is for the kernel's part, which counts
	// too: sockets' buffers, and pages of files that are being written.
	goPercent = 90
)

// tuneMemory sets how much garbage may stand before it is collected, until the returned
// function is called. GOGC and GOMEMLIMIT are left to the operator who sets them.
func tuneMemory(root string, logger *slog.Logger) (release func()) {
	var ballast []byte
	before := debug.SetMemoryLimit(-1)
	limited := os.Getenv("GOMEMLIMIT") != ""
	if os.Getenv("GOGC") == "" && !limited {
		debug.SetGCPercent(gcPercent)
		ballast = make([]byte, ballastBytes)
	}
	if bound := cgroupBound(root); !limited && bound.file != "" {
		limit := bound.bytes / 100 * goPercent
		logger.Info("memory is bounded by a cgroup", "file", bound.file, "bytes", bound.bytes,
			"collects_before", limit)
		// Go counts the ballast as used; the kernel does not.
		debug.SetMemoryLimit(min(limit, math.MaxInt64-ballastBytes) + int64(len(ballast)))
	}
	return func() {
		runtime.KeepAlive(ballast)
		debug.SetMemoryLimit(before)
	}
}
