package room_test

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"strings"
	"testing"

	"github.com/meerkat-zk/meerkat/server/room"
)

// A watched is a Watch on a disk of 1000 bytes that a test fills.
type watched struct {
	*room.Watch
	free   int64
	err    error
	log    bytes.Buffer
	opened int
}

func watch() *watched {
	w := &watched{free: 1000}
	w.Watch = room.New(room.Options{
		Logger: slog.New(slog.NewTextHandler(&w.log, nil)), Data: "/d", Log: "/l", Reserve: 20,
		Space:  func(string) (int64, int64, error) { return 1000, w.free, w.err },
		Reopen: func() { w.opened++ },
	})
	return w
}

// said is what was logged since it was asked last.
func (w *watched) said() string {
	s := w.log.String()
	w.log.Reset()
	return s
}

// Scarce room is said once per directory, below a tenth or below two snapshots, and so is its end,
// which is a tenth above.
func TestScarceRoomIsSaidOnce(t *testing.T) {
	w := watch()
	for _, step := range []struct {
		free, snapshot int64
		low, ended     int
	}{
		{1000, 0, 0, 0}, {100, 0, 0, 0}, {99, 0, 2, 0}, {50, 0, 0, 0}, {105, 0, 0, 0},
		{110, 0, 0, 2}, {110, 200, 2, 0}, {430, 200, 0, 0}, {440, 200, 0, 2},
	} {
		w.free = step.free
		w.NoteSnapshot(step.snapshot)
		w.Look()
		said := w.said()
		if strings.Count(said, "is filling up") != step.low ||
			strings.Count(said, "has room again") != step.ended {
			t.Errorf("%+v: it said %q", step, said)
		}
	}
}

// A full log is asked to try again when its reserve would fit twice, or when nobody knows.
func TestFullLogTriesAgain(t *testing.T) {
	w := watch()
	if w.ReadOnly() != nil || w.Look() {
		t.Error("read-only from the start")
	}
	w.free = 0
	w.SetRoom(7)
	if n, full := w.Room(); n != 7 || !full {
		t.Error(n, full)
	}
	want := "read-only: 0 bytes free on dataLogDir (/l); writes come back when 40 bytes are free"
	if err := w.ReadOnly(); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	w.SetRoom(3)
	if said := w.said(); strings.Count(said, "read-only: the disk is full") != 1 {
		t.Errorf("it said %q", said)
	}
	for free, again := range map[int64]bool{0: false, 39: false, 40: true} {
		if w.free = free; w.Look() != again {
			t.Errorf("with %d bytes free: %v", free, !again)
		}
	}
	if w.err = errors.New("no statfs"); !w.Look() {
		t.Error("it never tries, where room is not known")
	}
	w.said()
	w.SetRoom(math.MaxInt64)
	if said := w.said(); w.opened != 1 || !strings.Contains(said, "writes are accepted again") {
		t.Errorf("opened %d times; it said %q", w.opened, said)
	}
}

// A snapshot that would fill the disk is not begun.
func TestSnapshotThatDoesNotFit(t *testing.T) {
	w := watch()
	w.NoteSnapshot(300)
	for free, fits := range map[int64]bool{299: false, 300: true} {
		if w.free = free; (w.FitsSnapshot() == nil) != fits {
			t.Errorf("with %d bytes free: %v", free, w.FitsSnapshot())
		}
	}
}
