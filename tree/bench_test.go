package tree

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/meerkat-zk/meerkat/proto"
)

var benchSizes = []int{1_000, 1_000_000}

// A grown tree and the paths in it, 100 to a directory; built once for each size.
type grown struct {
	h     *Head
	paths []string
	mixed []string // the same in an order that a cache cannot learn, as copies in that order
	heap  uint64   // bytes
}

var growns = map[int]*grown{}

func heapBytes() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func grow(b *testing.B, size int) *grown {
	b.Helper()
	if g := growns[size]; g != nil {
		return g
	}
	g := &grown{h: NewHead(Options{}), paths: make([]string, 0, size)}
	for i := range size {
		if i%101 == 0 {
			g.paths = append(g.paths, fmt.Sprintf("/dir%06d", i/101))
		} else {
			g.paths = append(g.paths, fmt.Sprintf("/dir%06d/node%03d", i/101, i%101))
		}
	}
	before := heapBytes()
	hdr := proto.TxnHeader{Zxid: 1, Time: 1}
	body := proto.Body{Data: make([]byte, 100), ParentCversion: -1}
	for _, path := range g.paths {
		body.Path = path
		if _, err := g.h.ApplyPart(&hdr, proto.OpCreate, &body, nil); err != nil {
			b.Fatal(err)
		}
	}
	g.heap = heapBytes() - before
	for i := range size {
		g.mixed = append(g.mixed, strings.Clone(g.paths[i*7_368_787%size]))
	}
	growns[size] = g
	return g
}

func perSize(b *testing.B, bench func(b *testing.B, g *grown)) {
	for _, size := range benchSizes {
		b.Run(fmt.Sprintf("znodes=%d", size), func(b *testing.B) {
			if testing.Short() && size > 1000 {
				b.Skip("short")
			}
			g := grow(b, size)
			b.ReportAllocs()
			b.ResetTimer()
			bench(b, g)
		})
	}
}

func BenchmarkGet(b *testing.B) {
	perSize(b, func(b *testing.B, g *grown) {
		r := g.h.Freeze()
		for i := range b.N {
			if r.Get(g.mixed[i%len(g.mixed)]) == nil {
				b.Fatal(g.mixed[i%len(g.mixed)])
			}
		}
	})
}

// BenchmarkSetData freezes after every batch of so many.
func BenchmarkSetData(b *testing.B) {
	for _, batch := range []int{1, 100, 1 << 30} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			perSize(b, func(b *testing.B, g *grown) {
				hdr := proto.TxnHeader{Zxid: 2, Time: 2}
				body := proto.Body{Data: make([]byte, 100)}
				var ev []Event
				for i := range b.N {
					body.Path = g.mixed[i%len(g.mixed)]
					ev = ev[:0]
					if _, err := g.h.ApplyPart(&hdr, proto.OpSetData, &body, &ev); err != nil {
						b.Fatal(err)
					}
					if i%batch == batch-1 {
						g.h.Freeze()
					}
				}
			})
		})
	}
}

func BenchmarkCreateDelete(b *testing.B) {
	perSize(b, func(b *testing.B, g *grown) {
		hdr := proto.TxnHeader{Zxid: 2, Time: 2}
		body := proto.Body{Data: make([]byte, 100), ParentCversion: -1}
		paths := make([]string, 4096)
		for i := range paths {
			paths[i] = g.paths[i*101*7%len(g.paths)/101*101] + fmt.Sprintf("/new%d", i)
		}
		for i := range b.N {
			body.Path = paths[i%len(paths)]
			if _, err := g.h.ApplyPart(&hdr, proto.OpCreate, &body, nil); err != nil {
				b.Fatal(err)
			}
			if _, err := g.h.ApplyPart(&hdr, proto.OpDelete, &body, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkChildren(b *testing.B) {
	perSize(b, func(b *testing.B, g *grown) {
		r := g.h.Freeze()
		for i := range b.N {
			n := 0
			r.Children(g.paths[i*101%len(g.paths)/101*101], func(string, *Node) bool {
				n++
				return true
			})
			if n == 0 {
				b.Fatal("no children")
			}
		}
	})
}

// BenchmarkMemory reports what a znode with 100 bytes of data costs, made by transactions and
// read from a snapshot.
func BenchmarkMemory(b *testing.B) {
	const size = 1_000_000
	if testing.Short() {
		b.Skip("short")
	}
	for range b.N {
		g := grow(b, size)
		b.ReportMetric(float64(g.heap)/size, "B/znode")
		var snapshot bytes.Buffer
		if err := g.h.Freeze().WriteSnapshot(&snapshot, SnapshotOptions{}); err != nil {
			b.Fatal(err)
		}
		before := heapBytes()
		h, err := ReadSnapshot(&snapshot, 1, Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(heapBytes()-before)/size, "B/loaded-znode")
		runtime.KeepAlive(h)
		runtime.KeepAlive(&snapshot)
	}
}

func BenchmarkWriteSnapshot(b *testing.B) {
	perSize(b, func(b *testing.B, g *grown) {
		r := g.h.Freeze()
		for range b.N {
			if err := r.WriteSnapshot(io.Discard, SnapshotOptions{Digest: true}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkReadSnapshot(b *testing.B) {
	perSize(b, func(b *testing.B, g *grown) {
		var snapshot bytes.Buffer
		if err := g.h.Freeze().WriteSnapshot(&snapshot, SnapshotOptions{}); err != nil {
			b.Fatal(err)
		}
		b.ResetTimer()
		for range b.N {
			if _, err := ReadSnapshot(bytes.NewReader(snapshot.Bytes()), 1, Options{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
