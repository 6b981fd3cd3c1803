package wal

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/meerkat-zk/meerkat/proto"
)

// The power is cut at every change that a restore makes to the disk, and once more while the
// next start puts in order what the first cut left. There is the old state, whole, or the new
// one, and the new one once it was committed; no old file is lost.
func TestCrashInRestore(t *testing.T) {
	for _, logDir := range []string{"", "/logs"} {
		states := map[string]int{}
		for n := 1; ; n++ {
			r := newRestoring(t, logDir)
			r.m.FailFrom(n)
			err := r.run()
			if err != nil && !errors.Is(err, ErrPowerCut) {
				t.Fatalf("cut at change %d: %v", n, err)
			}
			for i := range 8 {
				state, err := r.boot(rand.New(rand.NewPCG(uint64(n), uint64(i))))
				if err != nil {
					t.Fatalf("logs in %q, cut at change %d, clone %d: %v", logDir, n, i, err)
				}
				states[state]++
			}
			if err == nil {
				if n < 20 || states["old"] < 20 || states["new"] < 20 {
					t.Fatalf("%d changes, states %v", n, states)
				}
				break
			}
		}
	}
}

// restoredAt is the zxid of the restore; the old state ends at oldEnd.
const (
	restoredAt = proto.Zxid(90)
	oldEnd     = proto.Zxid(70)
)

// A restoring is a log with two snapshots that is replaced by a third, and goes on.
type restoring struct {
	m         *MemFS
	o         Options
	log       *Log
	old       []string // the files before
	committed bool
	durable   proto.Zxid
}

func newRestoring(t *testing.T, logDir string) *restoring {
	t.Helper()
	r := &restoring{m: NewMemFS()}
	logs, snaps, err := PrepareDirs(r.m, "/data", logDir, true)
	if err != nil {
		t.Fatal(err)
	}
	r.o = Options{FS: r.m, LogDir: logs, SnapDir: snaps, PreallocBytes: 4 << 10}
	if r.log, err = OpenLog(r.o, 0); err != nil {
		t.Fatal(err)
	}
	for _, until := range []proto.Zxid{20, 40, 60} {
		err = errors.Join(err, r.append(until-19, until))
		if until < 60 {
			err = errors.Join(err, r.snapshot(until, "old"))
		}
		_, failed := r.log.Step([]Item{{Roll: true}})
		err = errors.Join(err, failed)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *restoring) append(first, last proto.Zxid) (err error) {
	it := Item{First: first, Last: last}
	for z := first; z <= last; z++ {
		it.Records = AppendRecord(it.Records, txnOf(z, 40))
	}
	r.durable, err = r.log.Step([]Item{it})
	return err
}

func (r *restoring) snapshot(z proto.Zxid, content string) error {
	_, _, err := WriteSnapshot(r.o, z, None, func(w io.Writer) error {
		_, err := io.WriteString(w, content+"....."+snapshotEnd)
		return err
	})
	return err
}

// run is a restore between two loads.
func (r *restoring) run() error {
	if err := r.append(61, oldEnd); err != nil {
		return err
	}
	for _, dir := range r.o.versionDirs() {
		names, err := r.m.List(dir)
		if err != nil {
			return err
		}
		for _, name := range names {
			r.old = append(r.old, filepath.Join(dir, name))
		}
	}
	if err := PrepareRestore(r.o, restoredAt); err != nil {
		return err
	}
	if err := r.snapshot(restoredAt, "new"); err != nil {
		return err
	}
	r.committed = true
	z, err := r.log.Step([]Item{{Restart: true, Last: restoredAt}})
	if err == nil && z != restoredAt {
		err = fmt.Errorf("the log restarts at %v", z)
	}
	if err == nil {
		err = r.append(91, 95)
	}
	if err == nil {
		_, err = SetAside(r.o, restoredAt)
	}
	if err == nil {
		err = r.append(96, 99)
	}
	return err
}

// boot starts from what a crash left, twice crashing, and says which state it found.
func (r *restoring) boot(rng *rand.Rand) (state string, err error) {
	o, left := r.o, r.m.CrashClone(rng)
	left.FailFrom(1 + rng.IntN(12))
	o.FS = left
	if _, err := r.start(o); err != nil {
		if !errors.Is(err, ErrPowerCut) {
			return "", err
		}
		left = left.CrashClone(rng)
	}
	left.Inject(nil)
	o.FS = left
	if state, err = r.start(o); err != nil {
		return "", err
	}
	return state, r.checkOld(o, state)
}

// start does what a server does at its start: it loads, checks, then settles the restore.
func (r *restoring) start(o Options) (state string, err error) {
	state, z, err := load(o)
	switch {
	case err != nil:
		return "", err
	case state == "old" && (r.committed || z < min(r.durable, oldEnd)):
		return "", fmt.Errorf("the old state up to %v; %v was durable", z, r.durable)
	case state == "new" && z < max(restoredAt, r.durable):
		return "", fmt.Errorf("the new state up to %v; %v was durable", z, r.durable)
	}
	all, err := Restores(o)
	for _, x := range all {
		if x <= z {
			_, err = SetAside(o, x)
		} else {
			err = AbandonRestore(o, x)
		}
	}
	return state, err
}

// load boots: the newest snapshot, and the log behind it, which must have no hole.
func load(o Options) (state string, last proto.Zxid, err error) {
	all, err := Snapshots(o)
	if err != nil || len(all) == 0 {
		return "", 0, fmt.Errorf("snapshots %v: %w", all, err)
	}
	content, err := readSnapshot(o, all[0])
	if err != nil {
		return "", 0, err
	}
	next := all[0].Zxid + 1
	last, err = Replay(o, all[0].Zxid, func(z proto.Zxid, _ []byte) error {
		if z != next {
			return fmt.Errorf("a record %v, %v is next", z, next)
		}
		next++
		return nil
	})
	return content[:3], last, err
}

// checkOld looks for the old files: all there, and after a restore all in its folder, which
// boots by itself.
func (r *restoring) checkOld(o Options, state string) error {
	m := o.FS.(*MemFS)
	for _, path := range r.old {
		aside := filepath.Join(restoreDir(filepath.Dir(path), restoredAt), versionDir,
			filepath.Base(path))
		_, err := m.Stat(path)
		if state == "new" {
			if err == nil {
				return fmt.Errorf("%s is still there", path)
			}
			_, err = m.Stat(aside)
		}
		if err != nil {
			return fmt.Errorf("an old file is lost: %w", err)
		}
	}
	if state == "old" {
		if all, err := Restores(o); err != nil || len(all) > 0 {
			return fmt.Errorf("folders of restores are left: %v %w", all, err)
		}
		return nil
	}
	o.SnapDir = filepath.Join(restoreDir(o.SnapDir, restoredAt), versionDir)
	o.LogDir = filepath.Join(restoreDir(o.LogDir, restoredAt), versionDir)
	if state, z, err := load(o); state != "old" || z < oldEnd || err != nil {
		return fmt.Errorf("the folder holds the state %q up to %v: %w", state, z, err)
	}
	return nil
}

// A log file with a record above the restore stays where it is, and so do newer snapshots.
func TestSetAsideKeepsWhatIsNeeded(t *testing.T) {
	r := newRestoring(t, "")
	if err := r.append(61, 100); err != nil {
		t.Fatal(err)
	}
	moved, err := SetAside(r.o, 80)
	if err != nil || moved != 5 { // two snapshots and three logs
		t.Fatal(moved, err)
	}
	names, err := r.m.List(r.o.LogDir)
	if err != nil || !slices.Equal(names, []string{"log.3d"}) {
		t.Fatal(names, err)
	}
	if dir := RestoreDir(r.o, 80); !strings.HasSuffix(dir, "/data/before-restore-50") {
		t.Fatal(dir)
	}
	if err := AbandonRestore(r.o, 80); err != nil {
		t.Fatal(err)
	}
	if all, err := Restores(r.o); err != nil || len(all) != 1 || all[0] != 80 {
		t.Fatal(all, err)
	}
}

func TestDecompress(t *testing.T) {
	const text = "a snapshot of some bytes, some bytes, some bytes"
	for c := range compressions {
		var b strings.Builder
		if err := compress(&b, Compression(c), func(w io.Writer) error {
			_, err := io.WriteString(w, text)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		in, done, err := Decompress(strings.NewReader(b.String()))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(in)
		done()
		if string(got) != text || err != nil {
			t.Errorf("%v: %q %v", Compression(c), got, err)
		}
	}
	in, _, err := Decompress(strings.NewReader("x"))
	if got, failed := io.ReadAll(in); string(got) != "x" || err != nil || failed != nil {
		t.Errorf("%q %v %v", got, err, failed)
	}
}
