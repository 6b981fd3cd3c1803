package clientlog

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	// Lines of a kind per second of which an operator wants to see each. More than a hundred are
	// read by nobody; a day of a hundred is 2 GB.
	usualLines = 100

	// Lines of a kind about a condition that lasts, so that the next line says nothing new.
	lastingLines = 1

	// Lines of a kind at debug: whoever asks for them wants them all, and looks at the disk.
	debugLines = 1000

	// Bytes of one value: paths, schemes and errors of a client may be as large as its requests.
	valueBytesMax = 256
)

// A line is one kind of line.
type line struct {
	log   *Log
	level slog.Level
	text  string
	most  int64 // per second

	mu     sync.Mutex
	second int64 // of the server's clock, to which count belongs
	count  int64 // lines of that second, those left out too
}

// write writes the line unless its second is full.
func (l *line) write(values ...any) {
	if !l.log.enabled(l.level) {
		return
	}
	ok, left := l.take(l.log.now())
	l.tell(left)
	if ok {
		for i, v := range values {
			values[i] = clip(v)
		}
		l.log.logger.Log(context.Background(), l.level, l.text, values...)
	}
}

// take tells whether a line may be written now, and how many were left out of an earlier second.
func (l *line) take(now time.Duration) (ok bool, left int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	left = l.settle(now)
	l.count++
	return l.count <= l.most, left
}

// settle begins a new second, and returns how many lines were left out of the one before.
// Invariant: mu is held.
func (l *line) settle(now time.Duration) (left int64) {
	if second := int64(now / time.Second); second != l.second {
		left = max(l.count-l.most, 0)
		l.second, l.count = second, 0
	}
	return left
}

// flush tells what was left out of a second that is over.
func (l *line) flush(now time.Duration) {
	l.mu.Lock()
	left := l.settle(now)
	l.mu.Unlock()
	l.tell(left)
}

func (l *line) tell(left int64) {
	if left > 0 {
		l.log.logger.Log(context.Background(), l.level, "lines left out", "of", l.text,
			"count", left)
	}
}

// A format is a text that is put together only if its line is written.
type format struct {
	text string
	args []any
}

// String implements fmt.Stringer.
func (f format) String() string { return fmt.Sprintf(f.text, f.args...) }

// clip shortens a value that a client made long.
func clip(v any) any {
	var text string
	switch x := v.(type) {
	case string:
		text = x
	case error:
		text = x.Error()
	case format:
		text = x.String()
	default:
		return v
	}
	if len(text) <= valueBytesMax {
		return text
	}
	return fmt.Sprintf("%s… (%d bytes)", strings.ToValidUTF8(text[:valueBytesMax], ""), len(text))
}
