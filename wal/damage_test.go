package wal

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/meerkat-zk/meerkat/proto"
)

// logBytes returns the bytes of log.1 with records 1 to n, without padding.
func logBytes(n proto.Zxid, size int) []byte {
	b := []byte(fileHeader)
	for z := range n {
		b = AppendRecord(b, txnOf(z+1, size))
	}
	return b
}

// replayBytes replays a directory with this log.1.
func replayBytes(t *testing.T, b []byte) (Options, []proto.Zxid, error) {
	t.Helper()
	o := testOptions(t, NewMemFS())
	putFile(t, o.FS, filepath.Join(o.LogDir, "log.1"), string(b))
	zxids, err := replayed(o, 0)
	return o, zxids, err
}

// A log cut at every byte of its last record keeps all others, and goes on behind them.
func TestCutAtEveryByteOfLastRecord(t *testing.T) {
	whole, less := logBytes(4, 700), len(logBytes(3, 700))
	for _, padding := range []int{0, 5, 8000} {
		for at := less; at < len(whole); at++ {
			b := append(append([]byte{}, whole[:at]...), make([]byte, padding)...)
			o, zxids, err := replayBytes(t, b)
			if err != nil || len(zxids) != 3 {
				t.Fatalf("cut at %d, padding %d: %v, %v", at, padding, zxids, err)
			}
			step(t, open(t, o, 3), itemOf(3, 4))
			if zxids, err = replayed(o, 0); err != nil || len(zxids) != 4 {
				t.Fatalf("cut at %d, padding %d, then appended: %v, %v", at, padding, zxids, err)
			}
		}
	}
}

// One flipped bit never loses a record without a word, wherever it is.
func TestFlipEveryBit(t *testing.T) {
	whole := logBytes(4, 60)
	for _, padding := range []int{0, 600} {
		for bit := range 8 * (len(whole) + padding) {
			b := append(append([]byte{}, whole...), make([]byte, padding)...)
			b[bit/8] ^= 1 << (bit % 8)
			_, zxids, err := replayBytes(t, b)
			var corrupt *CorruptError
			if errors.As(err, &corrupt) && errors.Is(err, ErrCorrupt) {
				if corrupt.Offset > int64(bit/8) {
					t.Fatalf("bit %d: refused at %d", bit, corrupt.Offset)
				}
				continue
			}
			// Java does not look at version and dbid either; padding is not data.
			unused := bit/8 >= len(fileMagic) && bit/8 < len(fileHeader) || bit/8 >= len(whole)
			if !unused || err != nil || len(zxids) != 4 {
				t.Fatalf("bit %d, padding %d: %v, %v", bit, padding, zxids, err)
			}
		}
	}
}

// Every sector of an unfinished batch may be missing, in any combination.
func TestMissingSectors(t *testing.T) {
	const synced = 2
	whole, before := logBytes(6, 300), len(logBytes(synced, 300))
	first := before / sectorBytes
	sectors := (len(whole)+sectorBytes-1)/sectorBytes - first
	for missing := range 1 << sectors {
		b := append([]byte{}, whole...)
		for s := range sectors {
			if missing>>s&1 != 0 {
				from := max(before, (first+s)*sectorBytes)
				clear(b[from:min(len(b), (first+s+1)*sectorBytes)])
			}
		}
		_, zxids, err := replayBytes(t, append(b, make([]byte, 700)...))
		if err != nil || len(zxids) < synced {
			t.Fatalf("sectors %b missing: %v, %v", missing, zxids, err)
		}
		if missing == 0 && len(zxids) != 6 {
			t.Fatalf("nothing missing: %v", zxids)
		}
	}
}

// A full disk fails the step, loses nothing that was durable, and is no obstacle once there is
// room again; reserving space fails softly while records still fit.
func TestFullDisk(t *testing.T) {
	for room := int64(0); room < 2500; room += 7 {
		m := NewMemFS()
		o := testOptions(t, m)
		o.PreallocBytes = 1000
		m.Limit(room)
		l := open(t, o, 0)
		durable, err := proto.Zxid(0), error(nil)
		for z := proto.Zxid(1); err == nil && z < 100; z++ {
			var d proto.Zxid
			if d, err = l.Step([]Item{itemOf(50, z)}); err == nil {
				durable = d
			}
		}
		if !errors.Is(err, unix.ENOSPC) {
			t.Fatalf("room %d: %v", room, err)
		}
		if fits := (room - fileHeaderBytes) / (recordBytesMin + 50); int64(durable) < fits {
			t.Fatalf("room %d: %d records of %d that fit", room, durable, fits)
		}
		_ = l.Close()
		zxids, err := replayed(o, 0) // while the disk is full
		if err != nil || len(zxids) < int(durable) {
			t.Fatalf("room %d: durable %v, left %v, %v", room, durable, zxids, err)
		}
		m.Limit(-1)
		step(t, open(t, o, proto.Zxid(len(zxids))), itemOf(1, proto.Zxid(len(zxids)+1)))
	}
}

func TestFullDiskInSnapshot(t *testing.T) {
	for _, c := range []Compression{None, Gzip, Snappy, Zstd} {
		m := NewMemFS()
		o := testOptions(t, m)
		m.Limit(100)
		_, _, err := WriteSnapshot(o, 1, c, writeString(string(txnOf(1, 1<<20))))
		if c == None && !errors.Is(err, unix.ENOSPC) {
			t.Error(c, err)
		}
		m.Limit(-1)
		if err == nil {
			continue // a compressor made it fit
		}
		if names, _ := m.List(o.SnapDir); len(names) > 0 {
			t.Errorf("%v left %v", c, names)
		}
	}
}

func TestRecordLengthCannotOverAllocate(t *testing.T) {
	b := logBytes(1, 0)
	head := fmt.Sprintf("\x00\x00\x00\x00\x12\x34\x56\x78\x7f\xff\xff\xf0%s", "some bytes")
	n := testing.Benchmark(func(bench *testing.B) {
		bench.ReportAllocs()
		for range bench.N {
			o := testOptions(t, NewMemFS())
			putFile(t, o.FS, filepath.Join(o.LogDir, "log.1"), string(b)+head)
			if _, err := replayed(o, 0); err != nil {
				bench.Fatal(err)
			}
		}
	}).AllocedBytesPerOp()
	if n > 1<<20 {
		t.Errorf("%d bytes were allocated", n)
	}
}
