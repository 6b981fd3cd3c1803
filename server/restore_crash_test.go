package server

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/wal"
)

// The power is cut at every change of the disk during a restore under load, and at a few after
// it. The next start finds the old state with all that was acknowledged, or the new one; the new
// one once the restore was answered with 200.
func TestRestorePowerCut(t *testing.T) {
	body := powerCutBody(t)
	seen := map[string]int{}
	for n := 1; ; n++ {
		state, cut := restoreAndCut(t, body, n)
		seen[state]++
		if !cut {
			break
		}
	}
	t.Logf("starts after a cut: %v", seen)
	if seen["old"] < 3 || seen["new"] < 3 {
		t.Errorf("too few of one kind: %v", seen)
	}
}

func powerCutBody(t *testing.T) []byte {
	a := startServer(t, often)
	w := connectTo(t, a)
	w.must(proto.OpCreate, create("/new", "", 0))
	return snapshotOf(t, a)
}

// restoreAndCut cuts the power at the n-th change from the beginning of a restore, boots what is
// left, and tells the state. cut is false if so many changes never came.
func restoreAndCut(t *testing.T, body []byte, n int) (state string, cut bool) {
	t.Helper()
	disk := wal.NewMemFS()
	options := func() Options {
		o := testOptions(t, often)
		o.FS, o.Config.DataDir, o.Config.DataLogDir, o.Loops = disk, "/data", "/log", 1
		o.Config.SnapCount = 10
		return o
	}
	s, err := Start(options())
	if err != nil {
		t.Fatal(err)
	}
	w := connectTo(t, s)
	for i := range 20 {
		w.must(proto.OpCreate, create(fmt.Sprint("/old", i), "", 0))
	}
	disk.FailFrom(n)
	a, err := tryCommand(s, http.MethodPost, "restore", anybody, body)
	done := err == nil && a.code == http.StatusOK
	later := 0
	if done { // go on in the new state, until the cut comes
		late := connectOrNot(s, t)
		for ; late != nil && later < 3; later++ {
			late.send(proto.OpCreate, create(fmt.Sprint("/later", later), "", 0))
			late.flush()
			if !awaitReply(s, late) {
				break
			}
		}
		cut = late == nil || later < 3
	} else {
		cut = true
	}
	_ = s.Stop() // it may say that the power was cut
	disk = disk.CrashClone(rand.New(rand.NewPCG(uint64(n), 1)))
	b, err := Start(options())
	if err != nil {
		t.Fatalf("cut %d: %v", n, err)
	}
	defer func() {
		if err := b.Stop(); err != nil {
			t.Errorf("cut %d: %v", n, err)
		}
	}()
	root := headOf(t, b)
	isNew, missing := root.Get("/new") != nil, 0
	for i := range 20 {
		if root.Get(fmt.Sprint("/old", i)) == nil {
			missing++
		}
	}
	switch {
	case isNew && missing != 20, !isNew && missing != 0, done && !isNew:
		t.Fatalf("cut %d: new=%t, %d of 20 missing, answered=%t", n, isNew, missing, done)
	case isNew:
		for i := range later {
			if root.Get(fmt.Sprint("/later", i)) == nil {
				t.Fatalf("cut %d: an acknowledged write of the new state is lost", n)
			}
		}
		return "new", cut
	}
	return "old", cut
}

// connectOrNot connects to a server that may fail at any moment.
func connectOrNot(s *Server, t *testing.T) *wire {
	w := dial(t, s)
	q := proto.ConnectRequest{TimeOut: 10000, Passwd: make([]byte, 16), HasReadOnly: true}
	w.frame(q.Fields)
	w.flush()
	if !awaitReply(s, w) {
		return nil
	}
	return w
}

// awaitReply tells whether a frame comes before the server fails.
func awaitReply(s *Server, w *wire) bool {
	got := make(chan bool, 1) // the reader sends once
	go func() {
		_, err := w.read()
		got <- err == nil
	}()
	select {
	case ok := <-got:
		return ok
	case <-s.broken:
		return false
	}
}

// A disk that is full leaves all as it was; one that fails when it is unknown what it holds ends
// the server.
func TestRestoreDiskFails(t *testing.T) {
	for kind, fatal := range map[string]bool{"write": false, "create": false, "mkdir": false,
		"rename": false, "syncdir": true} {
		disk := wal.NewMemFS()
		s, err := Start(testOptions(t, func(o *Options) {
			often(o)
			o.FS, o.Config.DataDir, o.Config.DataLogDir = disk, "/data", "/data"
		}))
		if err != nil {
			t.Fatal(err)
		}
		w := connectTo(t, s)
		w.must(proto.OpCreate, create("/kept", "", 0))
		body, renamed := snapshotOf(t, s), false
		disk.Inject(func(op wal.Op) error {
			renamed = renamed || op.Kind == "rename"
			if op.Kind == kind && (kind != "syncdir" || renamed) {
				return unix.ENOSPC
			}
			return nil
		})
		a := command(t, s, http.MethodPost, "restore", anybody, body)
		if a.code != http.StatusInternalServerError {
			t.Errorf("%s: %d %s", kind, a.code, a.body)
		}
		disk.Inject(nil)
		if fatal {
			<-s.Failed()
		} else {
			w.must(proto.OpSetData, setData("/kept", kind, -1))
			if all, err := wal.Restores(s.files); err != nil || len(all) > 0 {
				t.Errorf("%s: folders are left: %v %v", kind, all, err)
			}
			restoreTo(t, s, body) // it works again
		}
		_ = s.Stop() // after a failure it says so
	}
}
