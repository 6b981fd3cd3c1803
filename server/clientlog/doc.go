// Package clientlog writes the log lines that clients can cause.
//
// Flow: Start makes a Log → loops, core and ports report what happened → a line is written, or
// counted → Flush, called now and then, tells how many were only counted.
// Owner: any goroutine may report; a line's count is behind the line's own lock.
// Invariant: a second has at most so many lines of a kind, and a value of a line is at most
// valueBytesMax long. What was left out is told once, as a number.
// Invariant: a line that the logger's level hides costs one question to the logger.
// Never: decides anything; keeps what it was told.
//
// A line that clients can cause belongs here, whoever writes it: one client that connects in a
// circle would otherwise fill the disk that the log is on. docs/operating.md has all lines, with
// what to do at each.
package clientlog
