package clientlog

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net/netip"
	"strings"
	"time"
)

// A Log writes the lines that clients can cause. Any goroutine may use it.
type Log struct {
	logger *slog.Logger
	now    func() time.Duration // the server's clock
	lines  []*line              // all of them, for Flush

	refused, faults, httpFaults, softQuota, slowSync, snapshot, restore *line // warn, error
	stranger, peerMessage                                               *line // warn

	closed, expired, peerUp, peerDown, peerAway *line // info

	opened, ended, begun, over, word *line // debug
}

// New makes the log of a server whose clock now reads.
func New(logger *slog.Logger, now func() time.Duration) *Log {
	l := &Log{logger: logger, now: now}
	l.refused = l.line(slog.LevelWarn, "connection refused", usualLines)
	l.faults = l.line(slog.LevelWarn, "network trouble", lastingLines)
	l.httpFaults = l.line(slog.LevelWarn, "http trouble", lastingLines)
	l.softQuota = l.line(slog.LevelWarn, "soft quota exceeded", lastingLines)
	l.slowSync = l.line(slog.LevelWarn, "fsync of the log was slow", lastingLines)
	l.snapshot = l.line(slog.LevelError, "a snapshot that was asked for could not be written",
		lastingLines)
	l.restore = l.line(slog.LevelError, "no snapshot was restored; all is as before", lastingLines)
	l.closed = l.line(slog.LevelInfo, "connection closed", usualLines)
	l.expired = l.line(slog.LevelInfo, "session expired", usualLines)
	l.addPeerLines()
	l.opened = l.line(slog.LevelDebug, "connection opened", debugLines)
	l.ended = l.line(slog.LevelDebug, "connection ended", debugLines)
	l.begun = l.line(slog.LevelDebug, "session begun", debugLines)
	l.over = l.line(slog.LevelDebug, "session closed", debugLines)
	l.word = l.line(slog.LevelDebug, "word", debugLines)
	return l
}

func (l *Log) line(level slog.Level, text string, most int64) *line {
	n := &line{log: l, level: level, text: text, most: most}
	l.lines = append(l.lines, n)
	return n
}

func (l *Log) enabled(level slog.Level) bool {
	return l.logger.Enabled(context.Background(), level)
}

// Flush tells how many lines were left out of the seconds that are over. Without it the end of
// a flood would stay untold until the next line of its kind.
func (l *Log) Flush() {
	now := l.now()
	for _, n := range l.lines {
		n.flush(now)
	}
}

// A Client is one connection as lines name it.
type Client struct {
	Addr    netip.AddrPort
	Session int64 // 0: none yet
}

// Refused reports a connection that was turned away before a byte of it was read.
func (l *Log) Refused(addr netip.AddrPort, why error) {
	l.refused.write("client", addr, "why", why)
}

// Closed reports a connection that the server closes on its client's account. The reason is put
// together only if the line is written.
func (l *Log) Closed(c Client, why string, args ...any) {
	l.closed.write("client", c.Addr, "session", hex(c.Session), "why", format{why, args})
}

// An Expiry is a session that ended because nothing was heard of it.
type Expiry struct {
	Session    int64
	Client     netip.AddrPort // the last one; not valid: none since the server started
	Timeout    time.Duration
	LastHeard  time.Duration // how long ago
	Ephemerals int           // znodes that went with it
	Watches    int           // of the connection that it still had
}

// SessionExpired reports the end of a silent session.
func (l *Log) SessionExpired(e Expiry) {
	client := "none since the start"
	if e.Client.IsValid() {
		client = e.Client.String()
	}
	l.expired.write("id", hex(e.Session), "client", client, "timeout", e.Timeout,
		"last_heard", e.LastHeard, "ephemerals", e.Ephemerals, "watches", e.Watches)
}

// SessionBegun reports a session that has a connection: a new one, or one that goes on.
func (l *Log) SessionBegun(c Client, timeout time.Duration, resumed bool) {
	l.begun.write("id", hex(c.Session), "client", c.Addr, "timeout", timeout, "resumed", resumed)
}

// SessionClosed reports a session that its client closed.
func (l *Log) SessionClosed(c Client) {
	l.over.write("id", hex(c.Session), "client", c.Addr, "why", "its client closed it")
}

// Opened reports a new connection.
func (l *Log) Opened(c Client) { l.opened.write("client", c.Addr) }

// Ended reports a connection that is gone: the server closed it, or its client, or the network
// failed, as err says.
func (l *Log) Ended(c Client, byServer bool, err error) {
	why := "the client closed it"
	switch {
	case byServer:
		why = "the server closed it"
	case err != nil:
		why = err.Error()
	}
	l.ended.write("client", c.Addr, "session", hex(c.Session), "why", why)
}

// Word reports a four-letter word, and whether the whitelist has it.
func (l *Log) Word(c Client, name string, allowed bool) {
	l.word.write("client", c.Addr, "name", name, "allowed", allowed)
}

// NetworkFault reports trouble that belongs to no connection, such as a failed accept.
func (l *Log) NetworkFault(err error) { l.faults.write("err", err) }

// HTTPFaults is where an HTTP server says what it has against its clients.
func (l *Log) HTTPFaults() *log.Logger { return log.New(httpWriter{l.httpFaults}, "", 0) }

// SoftQuota reports a change that went beyond a quota which only warns.
func (l *Log) SoftQuota(path string) { l.softQuota.write("path", path) }

// SlowSync reports an fsync that took longer than fsync.warningthresholdms.
func (l *Log) SlowSync(took time.Duration, file string) {
	l.slowSync.write("took", took, "file", file)
}

// SnapshotFailed reports a snapshot that was asked for over HTTP.
func (l *Log) SnapshotFailed(err error) { l.snapshot.write("err", err) }

// RestoreFailed reports a restore over HTTP that changed nothing.
func (l *Log) RestoreFailed(err error) { l.restore.write("err", err) }

// A hex is a session's id, put together only if its line is written.
type hex int64

// LogValue implements slog.LogValuer.
func (h hex) LogValue() slog.Value { return slog.StringValue(fmt.Sprintf("0x%x", uint64(h))) }

// An httpWriter makes lines of what net/http prints.
type httpWriter struct{ line *line }

// Write implements io.Writer.
func (w httpWriter) Write(p []byte) (int, error) {
	text := strings.TrimSuffix(string(p), "\n")
	if strings.HasPrefix(text, "http: panic") {
		w.line.write("err", slog.StringValue(text)) // whole: its stack is why it is read
		return len(p), nil
	}
	w.line.write("err", text)
	return len(p), nil
}
