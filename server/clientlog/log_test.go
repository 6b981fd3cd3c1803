package clientlog

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// A desk is a Log whose clock the test moves and whose lines it reads.
type desk struct {
	*Log
	now time.Duration
	out bytes.Buffer
}

func newDesk(level slog.Level) *desk {
	d := &desk{}
	drop := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	h := slog.NewTextHandler(&d.out, &slog.HandlerOptions{Level: level, ReplaceAttr: drop})
	d.Log = New(slog.New(h), func() time.Duration { return d.now })
	return d
}

var client = Client{Addr: netip.MustParseAddrPort("10.0.0.7:5121"), Session: 0x1f}

// reports is one call of each method that makes a line.
var reports = map[string]func(*Log){
	"connection refused":        func(l *Log) { l.Refused(client.Addr, errors.New("too many")) },
	"connection closed":         func(l *Log) { l.Closed(client, "it sent %q", "x") },
	"connection opened":         func(l *Log) { l.Opened(client) },
	"connection ended":          func(l *Log) { l.Ended(client, false, errors.New("reset")) },
	"session expired":           func(l *Log) { l.SessionExpired(Expiry{}) },
	"session begun":             func(l *Log) { l.SessionBegun(client, time.Second, true) },
	"session closed":            func(l *Log) { l.SessionClosed(client) },
	"word":                      func(l *Log) { l.Word(client, "ruok", true) },
	"network trouble":           func(l *Log) { l.NetworkFault(errors.New("EMFILE")) },
	"http trouble":              func(l *Log) { l.HTTPFaults().Print("http: bad") },
	"soft quota exceeded":       func(l *Log) { l.SoftQuota("/a") },
	"fsync of the log was slow": func(l *Log) { l.SlowSync(time.Second, "log.1") },
	"a snapshot that was asked for could not be written": func(l *Log) {
		l.SnapshotFailed(errors.New("full"))
	},
	"election connection refused": func(l *Log) {
		l.PeerRefused(net.TCPAddrFromAddrPort(client.Addr), errors.New("garbage"))
	},
	"election message ignored": func(l *Log) {
		l.PeerMessageIgnored(2, errors.New("short"))
	},
	"election peer connected": func(l *Log) { l.PeerConnected(2, nil) },
	"election peer gone":      func(l *Log) { l.PeerGone(2, errors.New("EOF")) },
	"election peer not reached": func(l *Log) {
		l.PeerNotReached(2, errors.New("refused"))
	},
	"no snapshot was restored; all is as before": func(l *Log) { l.RestoreFailed(errors.New("x")) },
}

// However often a thing happens, a second has its bound of lines, and the rest is told as a
// number when the second is over: before the next line of the kind, or by Flush.
func TestEveryLineIsBounded(t *testing.T) {
	d := newDesk(slog.LevelDebug)
	if len(d.lines) != len(reports) {
		t.Fatalf("%d kinds of lines, and %d are tried", len(d.lines), len(reports))
	}
	for _, l := range d.lines {
		report := reports[l.text]
		if report == nil {
			t.Errorf("%q is not tried", l.text)
			continue
		}
		const more = 7
		for _, again := range []func(){func() { report(d.Log) }, d.Flush} {
			d.out.Reset()
			for range l.most + more {
				report(d.Log)
			}
			d.Flush() // the second is not over
			name := fmt.Sprintf("msg=%q", l.text)
			if !strings.Contains(l.text, " ") {
				name = "msg=" + l.text + " "
			}
			if n := strings.Count(d.out.String(), name); n != int(l.most) {
				t.Errorf("%q: %d lines, want %d:\n%.300s", l.text, n, l.most, &d.out)
			}
			d.out.Reset()
			d.now += time.Second
			again()
			left := fmt.Sprintf("level=%v msg=\"lines left out\" of=%q count=%d\n", l.level, l.text, more)
			if l.text == "word" {
				left = strings.ReplaceAll(left, `"word"`, "word")
			}
			if !strings.HasPrefix(d.out.String(), left) {
				t.Errorf("%q: the next second begins with %s, want %s", l.text, &d.out, left)
			}
			d.now += time.Second
			d.Flush()
		}
	}
}

// A quiet second tells of nothing, and what the level hides is neither written nor counted.
func TestHiddenLines(t *testing.T) {
	d := newDesk(slog.LevelError)
	for range 5000 {
		d.Opened(client)
		d.Refused(client.Addr, errors.New("too many"))
	}
	d.now += time.Second
	d.Flush()
	if d.out.Len() > 0 {
		t.Errorf("it said %.300s", &d.out)
	}
}

// What a client made long is cut, at a character's edge, and its length is told.
func TestLongValues(t *testing.T) {
	for name, report := range map[string]func(*Log, string){
		"why":    func(l *Log, s string) { l.Closed(client, "scheme %s", s) },
		"path":   func(l *Log, s string) { l.SoftQuota(s) },
		"err":    func(l *Log, s string) { l.NetworkFault(errors.New(s)) },
		"http":   func(l *Log, s string) { l.HTTPFaults().Print(s) },
		"refuse": func(l *Log, s string) { l.Refused(client.Addr, errors.New(s)) },
	} {
		d := newDesk(slog.LevelInfo)
		report(d.Log, strings.Repeat("ü", 1<<19))
		if n := d.out.Len(); n > 2*valueBytesMax || !strings.Contains(d.out.String(), " bytes)") ||
			strings.ContainsRune(d.out.String(), '�') || strings.Contains(d.out.String(), `\x`) {
			t.Errorf("%s: %d bytes: %.300s", name, n, &d.out)
		}
	}
	d := newDesk(slog.LevelInfo)
	d.HTTPFaults().Print("http: panic serving 10.0.0.7:5121: " + strings.Repeat("stack", 1000))
	if d.out.Len() < 5000 {
		t.Errorf("the stack of a panic was cut: %s", &d.out)
	}
}

// The line that an operator searches for when a session is gone.
func TestExpiryReads(t *testing.T) {
	d := newDesk(slog.LevelInfo)
	e := Expiry{Session: -1, Client: client.Addr, Timeout: 4 * time.Second,
		LastHeard: 4100 * time.Millisecond, Ephemerals: 1, Watches: 3}
	d.SessionExpired(e)
	e.Client = netip.AddrPort{}
	d.SessionExpired(e)
	const want = `level=INFO msg="session expired" id=0xffffffffffffffff client=10.0.0.7:5121 ` +
		"timeout=4s last_heard=4.1s ephemerals=1 watches=3\n" +
		`level=INFO msg="session expired" id=0xffffffffffffffff client="none since the start" ` +
		"timeout=4s last_heard=4.1s ephemerals=1 watches=3\n"
	if got := d.out.String(); got != want {
		t.Errorf("it says\n%swant\n%s", got, want)
	}
}

// Many goroutines may report: no line above the bound, none uncounted.
func TestReportsAtOnce(t *testing.T) {
	d := newDesk(slog.LevelInfo)
	const each = 1000
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range each {
				d.Closed(client, "x")
			}
		})
	}
	wg.Wait()
	d.now += time.Second
	d.Flush()
	lines := strings.Count(d.out.String(), `msg="connection closed"`)
	left := fmt.Sprintf("count=%d\n", 8*each-usualLines)
	if lines != usualLines || !strings.HasSuffix(d.out.String(), left) {
		t.Errorf("%d lines, want %d; then want %s: %.200s", lines, usualLines, left,
			d.out.String()[max(d.out.Len()-200, 0):])
	}
}
