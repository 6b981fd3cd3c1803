//go:build verify

package proto

// Verify has every transaction and every log record read back before it is logged. It is set by
// the build tag verify, which the crash and random tests use; without it this costs nothing.
const Verify = true
