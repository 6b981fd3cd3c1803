package tree

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// GetMany is Get, for paths that are there, that are not, and in any number.
func TestGetMany(t *testing.T) {
	const seed = 1
	rnd := rand.New(rand.NewPCG(seed, 0))
	h := NewHead(Options{})
	for i := range 5000 {
		h.replace(nil, h.opts.newNode(fmt.Sprintf("/n%d", i), make([]byte, i%3000), 0), nil)
	}
	r := h.Freeze()
	var nodes [GetManyMax]*Node
	for range 1000 {
		var paths []string
		for range rnd.IntN(GetManyMax + 1) {
			paths = append(paths, []string{"", "/", "/zookeeper/quota", "/none",
				fmt.Sprintf("/n%d", rnd.IntN(6000))}[min(rnd.IntN(20), 4)])
		}
		r.GetMany(paths, nodes[:])
		for i, path := range paths {
			if nodes[i] != r.Get(path) {
				t.Fatalf("seed %d: %q is %v", seed, path, nodes[i])
			}
		}
	}
}

func BenchmarkGetMany(b *testing.B) {
	perSize(b, func(b *testing.B, g *grown) {
		r := g.h.Freeze()
		var nodes [GetManyMax]*Node
		for i := 0; i < b.N; i += GetManyMax {
			at := i % (len(g.mixed) - GetManyMax)
			r.GetMany(g.mixed[at:at+GetManyMax], nodes[:])
			for i := range nodes {
				if nodes[i] == nil || nodes[i].Data()[99] != 0 {
					b.Fatal(at)
				}
			}
		}
	})
}

func BenchmarkFloor(b *testing.B) {
	perSize(b, func(b *testing.B, g *grown) {
		r := g.h.Freeze()
		for i := range b.N {
			if r.nodes.floor(keyOf(g.mixed[i%len(g.mixed)]), nil).page == nil {
				b.Fatal(g.mixed[i%len(g.mixed)])
			}
		}
	})
}
