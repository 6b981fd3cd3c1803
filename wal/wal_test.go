package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/meerkat-zk/meerkat/proto"
)

// testOptions returns options for an empty, prepared file system.
func testOptions(t testing.TB, files FS) Options {
	t.Helper()
	logDir, snapDir, err := PrepareDirs(files, "/data", "/datalog", true)
	if err != nil {
		t.Fatal(err)
	}
	return Options{FS: files, LogDir: logDir, SnapDir: snapDir, PreallocBytes: 8 << 10}
}

// txnOf returns a txn with this zxid and a body of n bytes that depend on the zxid.
func txnOf(z proto.Zxid, n int) []byte {
	txn := make([]byte, txnBytesMin+n)
	binary.BigEndian.PutUint64(txn[txnZxidAt:], uint64(z))
	for i := range n {
		txn[txnBytesMin+i] = byte(uint64(z)*31+uint64(i)*7) | 1
	}
	return txn
}

// itemOf returns an item with one record for each zxid.
func itemOf(n int, zxids ...proto.Zxid) Item {
	it := Item{First: zxids[0], Last: zxids[len(zxids)-1]}
	for _, z := range zxids {
		it.Records = AppendRecord(it.Records, txnOf(z, n))
	}
	return it
}

func step(t testing.TB, l *Log, items ...Item) {
	t.Helper()
	z, err := l.Step(items)
	if err != nil {
		t.Fatal(err)
	}
	if z != l.Last() {
		t.Fatalf("durable %v, written %v", z, l.Last())
	}
}

func open(t testing.TB, o Options, last proto.Zxid) *Log {
	t.Helper()
	l, err := OpenLog(o, last)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// replayed returns the zxids that Replay visits.
func replayed(o Options, from proto.Zxid) (zxids []proto.Zxid, err error) {
	_, err = Replay(o, from, func(z proto.Zxid, txn []byte) error {
		if string(txn) != string(txnOf(z, len(txn)-txnBytesMin)) {
			return fmt.Errorf("the txn of %v changed", z)
		}
		zxids = append(zxids, z)
		return nil
	})
	return zxids, err
}

func TestAppendReplayContinue(t *testing.T) {
	m := NewMemFS()
	o := testOptions(t, m)
	l := open(t, o, 0)
	step(t, l, itemOf(100, 1, 2), itemOf(0, 3))
	step(t, l, itemOf(100, 4))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, o, 4) // goes on in log.1
	roll := itemOf(10, 5)
	roll.Roll = true
	step(t, l, itemOf(10, 5))
	roll = itemOf(10, 6, 7)
	roll.Roll = true
	step(t, l, roll)
	if names, _ := m.List(o.LogDir); strings.Join(names, " ") != "log.1 log.6" {
		t.Fatal(names)
	}
	for from, want := range map[proto.Zxid]string{
		0: "[0x1 0x2 0x3 0x4 0x5 0x6 0x7]", 4: "[0x5 0x6 0x7]", 6: "[0x7]", 7: "[]", 9: "[]",
	} {
		zxids, err := replayed(o, from)
		if err != nil || fmt.Sprint(zxids) != want {
			t.Errorf("from %v: %v, %v, want %s", from, zxids, err, want)
		}
	}
}

func TestTruncateRemovesSnapshotsAboveAndCuts(t *testing.T) {
	m := NewMemFS()
	o := testOptions(t, m)
	l := open(t, o, 0)
	for z := proto.Zxid(1); z <= 12; z++ {
		it := itemOf(50, z)
		it.Roll = z%4 == 1
		step(t, l, it)
	}
	for _, z := range []proto.Zxid{3, 6, 7, 12} {
		if _, _, err := WriteSnapshot(o, z, None, writeString("12345\x00\x00\x00\x01/")); err != nil {
			t.Fatal(err)
		}
	}
	step(t, l, itemOf(5, 13), Item{Truncate: true, Last: 6}, itemOf(9, 7))
	zxids, err := replayed(o, 0)
	if want := "[0x1 0x2 0x3 0x4 0x5 0x6 0x7]"; err != nil || fmt.Sprint(zxids) != want {
		t.Fatal(zxids, err)
	}
	list, err := Snapshots(o)
	if err != nil || len(list) != 2 || list[0].Zxid != 6 || list[1].Zxid != 3 {
		t.Fatal(list, err)
	}
}

func writeString(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

func TestStepSplitsLargeBatches(t *testing.T) {
	m := NewMemFS()
	o := testOptions(t, m)
	l := open(t, o, 0)
	written, most := 0, 0
	m.Inject(func(op Op) error {
		switch op.Kind {
		case "write":
			written += op.Bytes
			most = max(most, written)
		case "sync":
			written = 0
		}
		return nil
	})
	var zxids []proto.Zxid
	for z := range proto.Zxid(20) {
		zxids = append(zxids, z+1)
	}
	step(t, l, itemOf(stepBytesMax/8, zxids...), itemOf(5, 21), itemOf(2*stepBytesMax, 22, 23))
	if most > 2*stepBytesMax+recordBytesMin {
		t.Fatalf("%d bytes were written without a sync", most)
	}
	if got, err := replayed(o, 0); err != nil || len(got) != 23 {
		t.Fatal(got, err)
	}
}

func TestRepeatedZxidDoesNotRoll(t *testing.T) {
	o := testOptions(t, NewMemFS())
	l := open(t, o, 0)
	again := itemOf(1, 1)
	again.Roll = true
	step(t, l, itemOf(1, 1), again, itemOf(1, 2))
	zxids, err := replayed(o, 0)
	if err != nil || fmt.Sprint(zxids) != "[0x1 0x1 0x2]" {
		t.Fatal(zxids, err)
	}
}

func TestStepStaysFailed(t *testing.T) {
	m := NewMemFS()
	l := open(t, testOptions(t, m), 0)
	step(t, l, itemOf(1, 1))
	boom := errors.New("boom")
	m.Inject(func(op Op) error {
		if op.Kind == "sync" {
			return boom
		}
		return nil
	})
	for range 2 {
		if z, err := l.Step([]Item{itemOf(1, 2)}); z != 1 || !errors.Is(err, boom) {
			t.Fatal(z, err)
		}
		m.Inject(nil) // the disk works again: too late
	}
}

func TestSyncIsTimed(t *testing.T) {
	o := testOptions(t, NewMemFS())
	var now time.Time
	var synced, slow []time.Duration
	o.Now = func() time.Time {
		now = now.Add(time.Duration(len(synced)+1) * time.Second)
		return now
	}
	o.Synced = func(d time.Duration) { synced = append(synced, d) }
	o.SlowSync = 2 * time.Second
	o.OnSlowSync = func(d time.Duration, file string) {
		if file != o.LogDir+"/log.1" {
			t.Error(file)
		}
		slow = append(slow, d)
	}
	l := open(t, o, 0)
	for z := range proto.Zxid(3) {
		step(t, l, itemOf(1, z+1))
	}
	if fmt.Sprint(synced, slow) != "[1s 2s 3s] [3s]" {
		t.Error(synced, slow)
	}
}

// forceSync=no: no sync per step; a finished file is synced all the same.
func TestNoSync(t *testing.T) {
	m := NewMemFS()
	o := testOptions(t, m)
	o.NoSync = true
	l := open(t, o, 0)
	step(t, l, itemOf(1, 1))
	syncs := 0
	m.Inject(func(op Op) error {
		if op.Kind == "sync" {
			syncs++
		}
		return nil
	})
	step(t, l, itemOf(1, 2))
	if syncs != 0 {
		t.Errorf("%d syncs", syncs)
	}
	if err := l.Close(); err != nil || syncs != 1 {
		t.Errorf("%d syncs, %v", syncs, err)
	}
}

func TestPurge(t *testing.T) {
	m := NewMemFS()
	o := testOptions(t, m)
	l := open(t, o, 0)
	for z := proto.Zxid(1); z <= 12; z++ {
		it := itemOf(50, z)
		it.Roll = z%2 == 1
		step(t, l, it)
	}
	for _, z := range []proto.Zxid{2, 4, 6, 8, 10} {
		if _, _, err := WriteSnapshot(o, z, None, writeString("12345\x00\x00\x00\x01/")); err != nil {
			t.Fatal(err)
		}
	}
	for _, bad := range []string{"snapshot.9", "snapshot.1", "snapshot.9.gz.tmp", "snapshot.b.tmp"} {
		f, err := m.Create(o.SnapDir + "/" + bad)
		if err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
	}
	removed, err := Purge(o, 3, 4)
	if err != nil {
		t.Fatal(err)
	}
	want := "snapshot.1 snapshot.2 snapshot.4 snapshot.9.gz.tmp log.1"
	if got := short(removed); got != want {
		t.Errorf("removed %s, want %s", got, want)
	}
	removed, err = Purge(o, 1, math.MaxInt64)
	if err != nil || short(removed) != "log.3" {
		t.Errorf("removed %s, %v", short(removed), err)
	}
}

func short(paths []string) string {
	var names []string
	for _, p := range paths {
		names = append(names, p[strings.LastIndexByte(p, '/')+1:])
	}
	return strings.Join(names, " ")
}
