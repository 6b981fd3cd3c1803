package wal

import (
	"errors"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// pairOptions are options for two directories, with a snapshot if asked for.
func pairOptions(t *testing.T, files FS, dataDir, logDir string, snapshot bool) Options {
	t.Helper()
	logs, snaps, err := PrepareDirs(files, dataDir, logDir, true)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{FS: files, LogDir: logs, SnapDir: snaps}
	if snapshot {
		if _, _, err := WriteSnapshot(o, 7, None, writeString("0123456789/")); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

// Snapshots that were served with logs are served with those logs alone, wherever both are now.
func TestPair(t *testing.T) {
	move := func(m *MemFS, from, to string) {
		t.Helper()
		if err := errors.Join(m.MkdirAll(filepath.Dir(to)), m.Rename(from, to)); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(m *MemFS, path string) {
		t.Helper()
		if err := m.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		what          string
		before        string // dataLogDir
		data, logs    string // then
		empty         bool   // there is no snapshot
		change        func(m *MemFS)
		refuses, says string // "": it does not
	}{
		{what: "the same again", before: "/log", data: "/data", logs: "/log"},
		{what: "dataLogDir forgotten", before: "/log", data: "/data", logs: "/data",
			refuses: "holds none of them", says: "dataLogDir=/log"},
		{what: "dataLogDir changed", before: "/log", data: "/data", logs: "/other",
			refuses: "holds none of them", says: "rm /data/version-2/meerkat.logdir"},
		{what: "dataLogDir new", before: "/data", data: "/data", logs: "/other",
			refuses: "holds none of them", says: "dataLogDir=/data"},
		{what: "a volume not mounted", before: "/log", data: "/data", logs: "/log",
			change:  func(m *MemFS) { move(m, "/log/version-2", "/elsewhere/version-2") },
			refuses: "its volume mounted", says: "were in /log/version-2"},
		{what: "logs of another", before: "/log", data: "/data", logs: "/log2",
			change: func(m *MemFS) {
				if err := Pair(pairOptions(t, m, "/data2", "/log2", true)); err != nil {
					t.Error(err)
				}
			}, refuses: "another server", says: "/log2/version-2"},
		{what: "both moved", before: "/log", data: "/data3", logs: "/log3", change: func(m *MemFS) {
			move(m, "/log/version-2", "/log3/version-2")
			move(m, "/data/version-2", "/data3/version-2")
		}},
		{what: "one directory moved", before: "/data", data: "/data3", logs: "/data3",
			change: func(m *MemFS) { move(m, "/data/version-2", "/data3/version-2") }},
		{what: "logs given up", before: "/log", data: "/data", logs: "/other",
			change: func(m *MemFS) { remove(m, "/data/version-2/meerkat.logdir") }},
		{what: "no snapshot, nothing to lose", before: "/log", data: "/data", logs: "/other",
			empty: true},
	} {
		m := NewMemFS()
		if err := Pair(pairOptions(t, m, "/data", c.before, !c.empty)); err != nil {
			t.Fatal(err)
		}
		if c.change != nil {
			c.change(m)
		}
		again := pairOptions(t, m, c.data, c.logs, false)
		for range 2 { // what is refused stays so, what is not is not later
			err := Pair(again)
			var pair *PairError
			if c.refuses == "" {
				if err != nil {
					t.Errorf("%s: %v", c.what, err)
				}
			} else if !errors.As(err, &pair) || !strings.Contains(err.Error(), c.refuses) ||
				!strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v", c.what, err)
			}
		}
	}
}

// After a power cut at any change that pairing makes, the directories are paired again; on a full
// disk they are not, which is no error.
func TestPairOutlivesPowerCutsAndFullDisks(t *testing.T) {
	for n := 1; ; n++ {
		m := NewMemFS()
		o := pairOptions(t, m, "/data", "/log", true)
		m.FailFrom(n)
		err := Pair(o)
		if err == nil {
			if n < 8 {
				t.Errorf("only %d changes", n-1)
			}
			break
		}
		if !errors.Is(err, ErrPowerCut) {
			t.Fatal(err)
		}
		for i := range uint64(10) {
			o.FS = m.CrashClone(rand.New(rand.NewPCG(i, uint64(n))))
			if err := Pair(o); err != nil {
				t.Errorf("cut at change %d: %v", n, err)
			}
		}
	}
	for room := int64(0); room < 100; room++ {
		m := NewMemFS()
		o := pairOptions(t, m, "/data", "/log", true)
		m.Limit(room)
		if err := Pair(o); err != nil {
			t.Fatal(err)
		}
		m.Limit(-1)
		if err := Pair(o); err != nil {
			t.Fatal(err)
		}
		if id, _, err := readPair(&o); id == "" {
			t.Fatalf("not paired: %v", err)
		}
	}
	m := NewMemFS()
	o := pairOptions(t, m, "/data", "/log", true)
	m.Inject(func(Op) error { return unix.EIO })
	if err := Pair(o); !errors.Is(err, unix.EIO) {
		t.Error(err)
	}
}
