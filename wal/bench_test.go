package wal

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/meerkat-zk/meerkat/proto"
)

// BenchmarkStep measures one step, with its fdatasync, on a real disk: set WAL_BENCH_DIR to a
// directory on it, for the default may be in memory.
func BenchmarkStep(b *testing.B) {
	for _, prealloc := range []int64{0, PreallocBytesDefault} {
		for _, records := range []int{1, 100, 1000} {
			name := fmt.Sprintf("prealloc=%dM/records=%d", prealloc>>20, records)
			b.Run(name, func(b *testing.B) { benchStep(b, prealloc, records) })
		}
	}
}

func benchStep(b *testing.B, prealloc int64, records int) {
	dir, err := os.MkdirTemp(os.Getenv("WAL_BENCH_DIR"), "wal")
	if err != nil {
		b.Fatal(err)
	}
	defer os.RemoveAll(dir)
	var syncs []time.Duration
	o := Options{LogDir: dir, SnapDir: dir, PreallocBytes: prealloc, Now: time.Now,
		Synced: func(d time.Duration) { syncs = append(syncs, d) }}
	l, err := OpenLog(o, 0)
	if err != nil {
		b.Fatal(err)
	}
	var zxids []proto.Zxid
	for i := range records {
		zxids = append(zxids, proto.Zxid(i+1))
	}
	items := []Item{itemOf(150-recordBytesMin, zxids...)}
	items[0].Last = items[0].First // the zxids repeat; the log asserts only the first
	b.SetBytes(int64(len(items[0].Records)))
	for b.Loop() {
		if _, err := l.Step(items); err != nil {
			b.Fatal(err)
		}
	}
	slices.Sort(syncs)
	b.ReportMetric(float64(syncs[len(syncs)/2].Microseconds()), "sync-p50-µs")
	b.ReportMetric(float64(syncs[len(syncs)*99/100].Microseconds()), "sync-p99-µs")
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkSnapshot compares the forms over a stream that looks like a tree's.
func BenchmarkSnapshot(b *testing.B) {
	stream := treeStream(200_000)
	for _, c := range []Compression{None, Gzip, Snappy, Zstd} {
		b.Run("write/"+formName(c), func(b *testing.B) {
			dir := b.TempDir()
			o := Options{LogDir: dir, SnapDir: dir}
			b.SetBytes(int64(len(stream)))
			var size int64
			for b.Loop() {
				var err error
				if _, size, err = WriteSnapshot(o, 1, c, func(w io.Writer) error {
					for at := 0; at < len(stream); at += 150 { // a node at a time
						if _, err := w.Write(stream[at:min(at+150, len(stream))]); err != nil {
							return err
						}
					}
					return nil
				}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(size)/float64(len(stream)), "size/plain")
		})
		b.Run("read/"+formName(c), func(b *testing.B) {
			dir := b.TempDir()
			o := Options{LogDir: dir, SnapDir: dir}
			path, _, err := WriteSnapshot(o, 1, c, writeString(string(stream)))
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(stream)))
			for b.Loop() {
				r, err := SnapshotFile{Path: path, Compression: c}.Open(nil)
				if err == nil {
					_, err = io.Copy(io.Discard, r)
				}
				if err != nil {
					b.Fatal(err)
				}
				_ = r.Close()
			}
		})
	}
}

func formName(c Compression) string {
	if c == None {
		return "none"
	}
	return c.String()
}

// treeStream makes nodes with paths, 100 bytes of half random data, and stats.
func treeStream(nodes int) []byte {
	rng := rand.New(rand.NewPCG(1, 2))
	var s []byte
	for i := range nodes {
		s = fmt.Appendf(s, "\x00\x00\x00\x20/app/service-%04d/instance-%06d", i/50, i)
		s = append(s, 0, 0, 0, 100)
		s = fmt.Appendf(s, `{"host":"10.%d.%d.%d","port":%d,"id":"`, rng.IntN(256), rng.IntN(256),
			rng.IntN(256), rng.IntN(65536))
		for range 50 {
			s = append(s, "0123456789abcdef"[rng.IntN(16)])
		}
		s = append(s, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
		s = append(s, txnOf(proto.Zxid(i), 28)...) // zxids, times and zeros: like a stat
	}
	return s
}

func BenchmarkReplay(b *testing.B) {
	dir := b.TempDir()
	o := Options{LogDir: dir, SnapDir: dir, PreallocBytes: PreallocBytesDefault}
	l := open(b, o, 0)
	const records = 100_000
	for z := proto.Zxid(1); z <= records; z += 1000 {
		var zxids []proto.Zxid
		for i := range proto.Zxid(1000) {
			zxids = append(zxids, z+i)
		}
		step(b, l, itemOf(150-recordBytesMin, zxids...))
	}
	info, err := OS.Stat(filepath.Join(dir, "log.1"))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(info.Size)
	for b.Loop() {
		if _, err := Replay(o, 0, func(proto.Zxid, []byte) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/records*1000, "ns/record")
}
