package wal

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/meerkat-zk/meerkat/proto"
)

const testReserve = 32 << 10

// reserveOptions are options with a reserve; what OnRoom said last is in room.
func reserveOptions(t testing.TB, files FS) (o Options, room *int64) {
	o, room = testOptions(t, files), new(int64)
	o.ReserveBytes, o.OnRoom = testReserve, func(n int64) { *room = n }
	return o, room
}

// The disk runs full at every byte of a workload: amid a record, a header, a file's making. All
// that was handed over before the log said so becomes durable in the reserve's room, nothing is
// written twice or torn, and once there is room all is as before.
func TestFullDiskEndsInTheReserve(t *testing.T) {
	for _, prealloc := range []int64{0, 1000, 8 << 10} {
		for limit := int64(0); limit < 3000; limit += 11 {
			if err := fillAndDrain(t, prealloc, limit); err != nil {
				t.Fatalf("preallocation %d, room for %d bytes: %v", prealloc, limit, err)
			}
		}
	}
}

func fillAndDrain(t *testing.T, prealloc, limit int64) error {
	m := NewMemFS()
	o, room := reserveOptions(t, m)
	o.PreallocBytes = prealloc
	l := open(t, o, 0)
	m.Limit(limit)
	z := proto.Zxid(0)
	next := func() Item {
		it := itemOf(50, z+1, z+2, z+3)
		it.Roll = z%5 == 0
		z += 3
		return it
	}
	for *room == Unlimited {
		step(t, l, next(), next())
	}
	for size := int64(3*(recordBytesMin+50) + 1); *room > size; {
		was := *room
		step(t, l, next())
		if *room != was-size+1 {
			return fmt.Errorf("room %d, then %d", was, *room)
		}
		if *room > testReserve/2 {
			m.Limit(0) // others take what the log did not claim
		}
	}
	step(t, l, Item{Reserve: true}) // there is no room
	if *room == Unlimited {
		return errors.New("a reserve was made of nothing")
	}
	m.Limit(testReserve + 20000)
	step(t, l, Item{Reserve: true})
	if *room != Unlimited {
		return errors.New("the log still takes the disk for full")
	}
	step(t, l, next())
	if err := l.Close(); err != nil {
		return err
	}
	if err := noPadding(m, o.LogDir); err != nil {
		return err
	}
	o.Repaired = func(r Repair) { t.Errorf("repaired: %+v", r) }
	zxids, err := replayed(o, 0)
	if err == nil && len(zxids) != int(z) {
		err = fmt.Errorf("%d of %d are left", len(zxids), z)
	}
	return err
}

// noPadding tells whether the log files end with a record, as they do once the log is closed.
func noPadding(m *MemFS, dir string) error {
	names, err := m.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		f, err := m.OpenRead(dir + "/" + name)
		if err != nil || name == reserveName {
			continue
		}
		size, err := f.Size()
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, size-1); err != nil || last[0] != recordEnd {
			return fmt.Errorf("%s of %d bytes ends with %x; %w", name, size, last, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// The power is cut at every change that a log makes whose disk runs full, gets room and runs full
// again. What is left is a prefix, with all that was durable.
func TestPowerCutOnFullDisk(t *testing.T) {
	cuts := 0
	for limit := int64(0); limit < 2000; limit += 37 {
		for n := 1; ; n++ {
			cut, err := cutWhileFull(t, limit, n)
			if err != nil {
				t.Fatalf("room for %d bytes, cut at change %d: %v", limit, n, err)
			}
			if !cut {
				break
			}
			cuts++
		}
	}
	t.Logf("%d power cuts", cuts)
}

func cutWhileFull(t *testing.T, limit int64, n int) (cut bool, err error) {
	m := NewMemFS()
	o, _ := reserveOptions(t, m)
	o.PreallocBytes = 1000
	m.FailFrom(n)
	z, durable := proto.Zxid(0), proto.Zxid(0)
	l, err := OpenLog(o, 0)
	work := func(items ...Item) {
		if err == nil {
			durable, err = l.Step(items)
		}
	}
	next := func() Item { z += 2; return itemOf(100, z-1, z) }
	for range 2 {
		m.Limit(limit)
		for range 5 {
			work(next(), next())
		}
		m.Limit(testReserve + 100)
		work(Item{Reserve: true}, Item{Roll: true}, next())
	}
	if err == nil {
		err = l.Close()
	}
	if err == nil {
		return false, nil
	}
	if !errors.Is(err, ErrPowerCut) {
		return true, err
	}
	rng := rand.New(rand.NewPCG(uint64(limit), uint64(n)))
	for range 3 {
		left := m.CrashClone(rng)
		left.Limit(int64(rng.IntN(2)) * limit)
		o := o
		o.FS = left
		if err := goesOn(o, durable, z); err != nil {
			return true, err
		}
	}
	return true, nil
}

// goesOn opens what a cut has left, on a disk that may still be full.
func goesOn(o Options, durable, written proto.Zxid) error {
	room := int64(0)
	o.OnRoom = func(n int64) { room = n }
	zxids, err := replayed(o, 0)
	last := proto.Zxid(len(zxids))
	if err == nil && (last < durable || last > written) {
		err = fmt.Errorf("%v to %v were to be left, not %v", durable, written, last)
	}
	if err != nil {
		return err
	}
	l, err := OpenLog(o, last)
	if err != nil {
		return err
	}
	if room > 500 {
		if _, err := l.Step([]Item{itemOf(100, last+1)}); err != nil {
			return fmt.Errorf("room for %d bytes, and: %w", room, err)
		}
		last++
	}
	if err := l.Close(); err != nil {
		return err
	}
	if zxids, err = replayed(o, 0); err == nil && len(zxids) != int(last) {
		err = fmt.Errorf("%d of %d are left", len(zxids), last)
	}
	return err
}

// A sync that fails for want of room may have dropped what was to be written: the reserve must not
// hide that, and nothing is synced again.
func TestFullDiskAtSyncIsFatal(t *testing.T) {
	for _, file := range []string{"sync", "syncdir"} {
		m := NewMemFS()
		o, room := reserveOptions(t, m)
		l := open(t, o, 0)
		step(t, l, itemOf(10, 1))
		syncs := 0
		m.Inject(func(op Op) error {
			if op.Kind != file {
				return nil
			}
			syncs++
			return unix.ENOSPC
		})
		_, err := l.Step([]Item{itemOf(10, 2), {Roll: true}, itemOf(10, 3)})
		if _, again := l.Step([]Item{itemOf(10, 4)}); again != err || !errors.Is(err, unix.ENOSPC) {
			t.Errorf("%s: %v, then %v", file, err, again)
		}
		if syncs != 1 || *room != Unlimited {
			t.Errorf("%s: %d syncs, room %d", file, syncs, *room)
		}
		if _, err := m.Stat(o.LogDir + "/" + reserveName); err != nil {
			t.Errorf("%s: the reserve was given up: %v", file, err)
		}
	}
}

// What more was accepted than the reserve holds fails the log, as a full disk does without one,
// and what was durable before stays.
func TestMoreThanTheReserveIsFatal(t *testing.T) {
	m := NewMemFS()
	o, _ := reserveOptions(t, m)
	l := open(t, o, 0)
	m.Limit(1000)
	step(t, l, itemOf(100, 1))
	durable, err := l.Step([]Item{itemOf(2*testReserve, 2)})
	if !errors.Is(err, unix.ENOSPC) || durable != 1 {
		t.Fatal(durable, err)
	}
	_ = l.Close()
	if zxids, err := replayed(o, 0); err != nil || len(zxids) != 1 {
		t.Fatal(zxids, err)
	}
}

// Without fallocate zeros hold the room; the log goes on without, and says nothing of it.
func TestNoFallocate(t *testing.T) {
	for _, code := range []unix.Errno{unix.EINVAL, unix.EOPNOTSUPP, unix.ENOSYS} {
		m := NewMemFS()
		m.Inject(func(op Op) error {
			if op.Kind == "preallocate" {
				return code
			}
			return nil
		})
		o, room := reserveOptions(t, m)
		l := open(t, o, 0)
		if info, err := m.Stat(o.LogDir + "/" + reserveName); err != nil || info.Size != testReserve {
			t.Fatalf("%v: a reserve of %d bytes; %v", code, info.Size, err)
		}
		m.Limit(10000)
		z := proto.Zxid(1)
		for ; *room == Unlimited; z++ {
			step(t, l, itemOf(100, z))
		}
		if *room < testReserve/2 {
			t.Errorf("%v: room for %d bytes", code, *room)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if zxids, err := replayed(o, 0); err != nil || len(zxids) != int(z-1) {
			t.Errorf("%v: %d of %d are left; %v", code, len(zxids), z-1, err)
		}
	}
}

// A start on a full disk knows of the room that the last log left for it.
func TestOpenOnFullDisk(t *testing.T) {
	m := NewMemFS()
	o, room := reserveOptions(t, m)
	l := open(t, o, 0)
	m.Limit(1000)
	z := proto.Zxid(1)
	for ; *room == Unlimited; z++ {
		step(t, l, itemOf(100, z))
	}
	left := *room
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	m.Limit(0)
	*room = Unlimited
	l = open(t, o, z-1)
	if *room < left/2 || *room > testReserve {
		t.Fatalf("room for %d bytes, it was %d", *room, left)
	}
	step(t, l, itemOf(100, z))
}
