package room

import (
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
)

// Options are what a Watch needs to know.
type Options struct {
	Logger  *slog.Logger
	Space   func(dir string) (total, free int64, err error)
	Data    string // where the snapshots are
	Log     string // where the logs are
	Reserve int64  // how large the log's reserve is
	Reopen  func() // called when writes are accepted again
}

// A Watch knows how much room there is. Any goroutine may use it.
type Watch struct {
	o        Options
	room     atomic.Int64 // what the log is sure to take; math.MaxInt64: the disk is not full
	snapshot atomic.Int64 // bytes of the newest snapshot

	mu   sync.Mutex // guards dirs
	dirs []Dir
}

// A Dir is a directory and the room on its file system.
type Dir struct {
	Key         string // of zoo.cfg
	Path        string
	Total, Free int64
	Err         error // why neither is known
	Low         bool  // less is free than should be
}

// New makes a Watch, and looks for the first time.
func New(o Options) *Watch {
	w := &Watch{o: o, dirs: []Dir{{Key: "dataLogDir", Path: o.Log}, {Key: "dataDir", Path: o.Data}}}
	w.room.Store(math.MaxInt64)
	w.Look()
	return w
}

// Dirs are the directories as they were when Look was called last, that of the logs first.
func (w *Watch) Dirs() []Dir {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]Dir(nil), w.dirs...)
}

// Look asks the file systems for their room, and logs when it gets scarce and when it is not any
// more. It tells whether a log that is full should try again.
func (w *Watch) Look() (again bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.dirs {
		d := &w.dirs[i]
		d.Total, d.Free, d.Err = w.o.Space(d.Path)
		if d.Err != nil {
			continue
		}
		w.judge(d)
	}
	_, full := w.Room()
	return full && (w.dirs[0].Err != nil || w.dirs[0].Free >= w.want())
}

// judge logs a change. What is scarce is enough again only when there is a tenth more.
func (w *Watch) judge(d *Dir) {
	want := max(d.Total/lowShare, 2*w.snapshot.Load())
	attrs := []any{"key", d.Key, "dir", d.Path, "free_bytes", d.Free, "of_bytes", d.Total}
	switch {
	case !d.Low && d.Free < want:
		d.Low = true
		w.o.Logger.Warn("the disk is filling up; when it is full the server is read-only",
			append(attrs, "should_be_free_bytes", want)...)
	case d.Low && d.Free >= want+want/10:
		d.Low = false
		w.o.Logger.Info("the disk has room again", attrs...)
	}
}

// lowShare of a file system should be free, and room for two snapshots: while the next is written
// the last one is still there, and the log grows.
const lowShare = 10

// want is how much must be free for the log to try again: the reserve, and as much to go on with,
// so that it does not stop again at once.
func (w *Watch) want() int64 { return 2 * w.o.Reserve }

// SetRoom notes how many bytes the log is sure to take, math.MaxInt64 while the disk is not full.
func (w *Watch) SetRoom(bytes int64) {
	was := w.room.Swap(bytes)
	if (was == math.MaxInt64) == (bytes == math.MaxInt64) {
		return
	}
	w.Look()
	d := w.Dirs()[0]
	attrs := []any{"key", d.Key, "dir", d.Path, "free_bytes", d.Free}
	if bytes == math.MaxInt64 {
		w.o.Logger.Warn("writes are accepted again: the disk has room", attrs...)
		w.o.Reopen()
		return
	}
	w.o.Logger.Error("read-only: the disk is full; writes come back by themselves when there is room",
		append(attrs, "must_be_free_bytes", w.want(), "room_for_sessions_bytes", bytes)...)
}

// Room is what the log is sure to take, when the disk is full.
func (w *Watch) Room() (bytes int64, full bool) {
	bytes = w.room.Load()
	return bytes, bytes != math.MaxInt64
}

// ReadOnly says why no writes are accepted; nil: they are.
func (w *Watch) ReadOnly() error {
	if _, full := w.Room(); !full {
		return nil
	}
	d := w.Dirs()[0]
	return fmt.Errorf("read-only: %d bytes free on dataLogDir (%s); "+
		"writes come back when %d bytes are free", d.Free, d.Path, w.want())
}

// NoteSnapshot notes how large the newest snapshot is.
func (w *Watch) NoteSnapshot(bytes int64) { w.snapshot.Store(bytes) }

// FitsSnapshot refuses a snapshot that would fill the disk, and the log's with it. The next one is
// taken to be as large as the last.
func (w *Watch) FitsSnapshot() error {
	bytes := w.snapshot.Load()
	_, free, err := w.o.Space(w.o.Data)
	if err == nil && free < bytes { // where the room is not known, writing it will tell
		return fmt.Errorf("the last one took %d bytes, and %d are free on dataDir (%s)", bytes, free,
			w.o.Data)
	}
	return nil
}
