package wal

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash/adler32"
	"io"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meerkat-zk/meerkat/proto"
)

var (
	crashSeed  = flag.Uint64("crash.seed", 0, "run the crash test with this seed only")
	crashSeeds = flag.Uint64("crash.seeds", 3, "how many seeds the crash test runs")
)

// The power is cut at every change that a random workload makes to the disk, and sometimes
// once more while recovery repairs what the first cut left. Whatever remains must be a prefix
// of what was written, with all that was reported durable.
func TestCrashAtEveryChange(t *testing.T) {
	first, n := uint64(1), *crashSeeds
	if *crashSeed != 0 {
		first, n = *crashSeed, 1
	}
	for seed := first; seed < first+n; seed++ {
		cuts, err := crashEverywhere(seed, func(m *MemFS) FS { return m })
		if err != nil {
			t.Fatalf("%v\nrepeat with: go test ./wal -run TestCrashAtEveryChange -crash.seed %d",
				err, seed)
		}
		if cuts < 50 {
			t.Fatalf("seed %d: a workload of only %d changes", seed, cuts)
		}
	}
}

// Without its syncs the log must not survive this test.
func TestCrashTestSeesMissingSyncs(t *testing.T) {
	for name, wrap := range map[string]func(*MemFS) FS{
		"file":      func(m *MemFS) FS { return noFileSync{m} },
		"directory": func(m *MemFS) FS { return noDirSync{m} },
	} {
		if _, err := crashEverywhere(1, wrap); err == nil {
			t.Errorf("%s syncs did nothing, and nothing was lost", name)
		} else {
			t.Logf("without %s syncs: %v", name, err)
		}
	}
}

type noDirSync struct{ *MemFS }

func (noDirSync) SyncDir(string) error { return nil }

type noFileSync struct{ *MemFS }

type unsyncedFile struct{ File }

func (unsyncedFile) SyncData() error { return nil }

func (n noFileSync) Create(name string) (File, error) {
	f, err := n.MemFS.Create(name)
	return unsyncedFile{f}, err
}

func (n noFileSync) OpenWrite(name string) (File, error) {
	f, err := n.MemFS.OpenWrite(name)
	return unsyncedFile{f}, err
}

func crashEverywhere(seed uint64, wrap func(*MemFS) FS) (cuts int, err error) {
	for n := 1; ; n++ {
		w := newWorkload(seed, wrap)
		w.m.FailFrom(n)
		err := w.run()
		if err == nil {
			return n, nil // the workload has fewer changes
		}
		if !errors.Is(err, ErrPowerCut) {
			return n, fmt.Errorf("cut at change %d: %w", n, err)
		}
		rng := rand.New(rand.NewPCG(seed, uint64(n)))
		for range 4 {
			left := w.m.CrashClone(rng)
			if err := w.check(left, wrap, rng); err != nil {
				return n, fmt.Errorf("cut at change %d: %w", n, err)
			}
		}
	}
}

// An entry is one transaction of the model. Tags differ between transactions that have the
// same zxid because the first one was truncated.
type entry struct {
	zxid proto.Zxid
	tag  uint64
}

// A workload drives a log and knows what a crash may leave.
type workload struct {
	m   *MemFS
	o   Options
	rng *rand.Rand
	log *Log
	tag uint64

	oldest     proto.Zxid // snapshot; no truncation goes below it
	history    []entry    // all that was given to the log and not truncated
	candidates [][]entry  // of which a crash now must leave a prefix
	floor      int        // at least so long
}

func newWorkload(seed uint64, wrap func(*MemFS) FS) *workload {
	w := &workload{m: NewMemFS(), rng: rand.New(rand.NewPCG(seed, 0))}
	files := wrap(w.m)
	logDir, snapDir, err := PrepareDirs(w.m, "/data", "", true)
	if err != nil {
		panic(err)
	}
	prealloc := []int64{0, 2 << 10, 20 << 10}[w.rng.IntN(3)]
	w.o = Options{FS: files, LogDir: logDir, SnapDir: snapDir, PreallocBytes: prealloc}
	if w.rng.IntN(3) == 0 {
		w.o.LogSizeLimit = 6 << 10
	}
	return w
}

func (w *workload) run() (err error) {
	if w.log, err = OpenLog(w.o, 0); err != nil {
		return err
	}
	for range 40 {
		switch p := w.rng.IntN(20); {
		case p < 14:
			err = w.step()
		case p < 17:
			err = w.snapshot()
		case p < 18:
			err = w.purge()
		default:
			err = w.restart()
		}
		if err != nil {
			return err
		}
	}
	return w.log.Close()
}

// step gives the log a few items. Until it returns, a crash may leave any state on the way.
func (w *workload) step() error {
	var items []Item
	w.candidates, w.floor = [][]entry{w.history}, len(w.history)
	for range 1 + w.rng.IntN(4) {
		if w.rng.IntN(12) == 0 && len(w.history) > 0 {
			items = append(items, w.truncate())
		} else {
			items = append(items, w.records())
		}
		w.candidates = append(w.candidates, w.history)
	}
	_, err := w.log.Step(items)
	if err == nil {
		w.candidates, w.floor = [][]entry{w.history}, len(w.history)
	}
	return err
}

func (w *workload) records() Item {
	it := Item{Roll: w.rng.IntN(8) == 0}
	history := w.history[:len(w.history):len(w.history)]
	for range 1 + w.rng.IntN(6) {
		z := proto.Zxid(1)
		if len(history) > 0 {
			z = history[len(history)-1].zxid + 1
		}
		if w.rng.IntN(30) == 0 {
			z = proto.MakeZxid(z.Epoch()+1, 1)
		}
		w.tag++
		e := entry{z, w.tag}
		history = append(history, e)
		it.Records = AppendRecord(it.Records, w.txn(e))
		if it.First == 0 {
			it.First = z
		}
		it.Last = z
	}
	w.history = history
	return it
}

// txn is a transaction of random size, some with more zeros than a sector has.
func (w *workload) txn(e entry) []byte {
	txn := make([]byte, txnBytesMin+w.rng.IntN(1300))
	binary.BigEndian.PutUint64(txn, e.tag)
	binary.BigEndian.PutUint64(txn[txnZxidAt:], uint64(e.zxid))
	if w.rng.IntN(4) > 0 {
		for i := txnBytesMin; i < len(txn); i++ {
			txn[i] = byte(w.rng.UintN(256))
		}
	}
	return txn
}

func (w *workload) truncate() Item {
	keep := 1 + w.rng.IntN(len(w.history))
	for w.history[keep-1].zxid < w.oldest {
		keep++
	}
	w.history = w.history[:keep]
	w.floor = min(w.floor, keep)
	return Item{Truncate: true, Last: w.history[keep-1].zxid}
}

func (w *workload) purge() error {
	_, err := Purge(w.o, 3, math.MaxInt64)
	if err != nil {
		return err
	}
	list, err := Snapshots(w.o)
	if len(list) > 0 {
		w.oldest = list[len(list)-1].Zxid
	}
	return err
}

// snapshot writes the durable history: entries, then what a plain snapshot ends with.
func (w *workload) snapshot() error {
	if len(w.history) == 0 {
		return nil
	}
	var b []byte
	for _, e := range w.history {
		b = binary.BigEndian.AppendUint64(b, uint64(e.zxid))
		b = binary.BigEndian.AppendUint64(b, e.tag)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(adler32.Checksum(b)))
	b = append(b, snapshotEnd...)
	if w.oldest == 0 {
		w.oldest = w.history[len(w.history)-1].zxid
	}
	c := None // compressors cost more than all the rest
	if w.rng.IntN(8) == 0 {
		c = Compression(w.rng.IntN(4))
	}
	_, _, err := WriteSnapshot(w.o, w.history[len(w.history)-1].zxid, c, func(to io.Writer) error {
		_, err := to.Write(b)
		return err
	})
	return err
}

func (w *workload) restart() error {
	if err := w.log.Close(); err != nil {
		return err
	}
	got, err := recoverAll(w.o)
	if err == nil {
		err = w.matches(got)
	}
	if err != nil {
		return fmt.Errorf("after a clean stop: %w", err)
	}
	w.log, err = OpenLog(w.o, lastOf(got))
	return err
}

func lastOf(h []entry) proto.Zxid {
	if len(h) == 0 {
		return 0
	}
	return h[len(h)-1].zxid
}

// matches tells whether a recovered history is one that may be left.
func (w *workload) matches(got []entry) error {
	if len(got) < w.floor {
		return fmt.Errorf("%d transactions were durable, %d are left", w.floor, len(got))
	}
	for _, c := range w.candidates {
		if len(got) <= len(c) && equal(c[:len(got)], got) {
			return nil
		}
	}
	if len(w.candidates) == 0 && len(got) == 0 {
		return nil
	}
	return fmt.Errorf("%v was never the history; at last it was %v", got, w.history)
}

func equal(a, b []entry) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return len(a) == len(b)
}

// check recovers what a crash left, in the middle of which the power may fail again, and then
// writes on.
func (w *workload) check(left *MemFS, wrap func(*MemFS) FS, rng *rand.Rand) error {
	o := w.o
	left.FailFrom(1 + rng.IntN(5))
	o.FS = wrap(left)
	if _, err := recoverAll(o); err != nil {
		if !errors.Is(err, ErrPowerCut) {
			return err
		}
		left = left.CrashClone(rng)
	}
	left.Inject(nil)
	o.FS = wrap(left)
	got, err := recoverAll(o)
	if err == nil {
		err = w.matches(got)
	}
	if err != nil {
		return err
	}
	log, err := OpenLog(o, lastOf(got))
	if err != nil {
		return fmt.Errorf("go on: %w", err)
	}
	next := entry{lastOf(got) + 1, math.MaxUint64}
	it := Item{First: next.zxid, Last: next.zxid, Records: AppendRecord(nil, w.txn(next))}
	if _, err := log.Step([]Item{it}); err != nil {
		return fmt.Errorf("go on: %w", err)
	}
	again, err := recoverAll(o)
	if err == nil && !equal(again, append(got, next)) {
		err = fmt.Errorf("wrote on behind %v, got %v", got, again)
	}
	return err
}

// recoverAll boots from every snapshot that is there, for each must lead to the same history.
func recoverAll(o Options) ([]entry, error) {
	snapshots, err := Snapshots(o)
	if err != nil {
		return nil, err
	}
	var histories [][]entry
	for _, s := range snapshots {
		if s.Invalid != "" {
			return nil, fmt.Errorf("%s was renamed before it was whole: %s", s.Path, s.Invalid)
		}
		h, err := loadSnapshot(o, s)
		if err == nil {
			h, err = replayOnto(o, h)
		}
		if err != nil {
			return nil, err
		}
		histories = append(histories, h)
	}
	if len(histories) == 0 {
		return replayOnto(o, nil)
	}
	for i, h := range histories {
		if !equal(h, histories[0]) {
			return nil, fmt.Errorf("%s leads to %v, %s to %v", snapshots[0].Path, histories[0],
				snapshots[i].Path, h)
		}
	}
	return histories[0], nil
}

func loadSnapshot(o Options, s SnapshotFile) ([]entry, error) {
	r, err := s.Open(o.FS)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, err
	}
	body := b[:len(b)-len(snapshotEnd)-8]
	if binary.BigEndian.Uint64(b[len(body):]) != uint64(adler32.Checksum(body)) {
		return nil, fmt.Errorf("%s: bad seal", s.Path)
	}
	var h []entry
	for ; len(body) > 0; body = body[16:] {
		h = append(h, entry{proto.Zxid(binary.BigEndian.Uint64(body)),
			binary.BigEndian.Uint64(body[8:])})
	}
	return h, nil
}

func replayOnto(o Options, h []entry) ([]entry, error) {
	_, err := Replay(o, lastOf(h), func(z proto.Zxid, txn []byte) error {
		h = append(h, entry{z, binary.BigEndian.Uint64(txn)})
		return nil
	})
	return h, err
}

// Java does not start on a log file without a header, so there is none, wherever a process that
// begins a new file is killed.
func TestNoLogWithoutHeader(t *testing.T) {
	killed := errors.New("killed")
	for n := range 40 {
		m := NewMemFS()
		o := testOptions(t, m)
		first := m.Ops()
		m.Inject(func(op Op) error {
			if op.N-first > n {
				return killed
			}
			return nil
		})
		l, err := OpenLog(o, 0)
		for z := proto.Zxid(1); err == nil && z <= 3; z++ { // a file each
			it := itemOf(10, z)
			it.Roll = true
			_, err = l.Step([]Item{it})
		}
		if err != nil && !errors.Is(err, killed) {
			t.Fatal(err)
		}
		m.Inject(nil)
		names, err := m.List(o.LogDir)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			f, err := m.OpenRead(filepath.Join(o.LogDir, name))
			if err != nil {
				t.Fatal(err)
			}
			head := make([]byte, fileHeaderBytes)
			if _, err := f.ReadAt(head, 0); strings.HasPrefix(name, "log.") && (err != nil ||
				string(head) != fileHeader) {
				t.Errorf("after %d changes %s begins with % x (%v)", n, name, head, err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
