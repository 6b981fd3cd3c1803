package tree

import "runtime"

// A look-up in a large tree waits for memory several times, each time for an address that the
// last one told. Look-ups side by side wait together.

// GetManyMax is how many paths GetMany takes.
const GetManyMax = 16

// IsLarge tells whether GetMany is worth its while.
func (v *View) IsLarge() bool { return v.nodes.isLarge() }

// GetMany looks up to GetManyMax paths up, and has the znodes' memory in the core's cache when
// it returns. Sixteen at one million znodes take 0.4 µs each, Get takes 0.8 to 1.0.
func (v *View) GetMany(paths []string, nodes []*Node) {
	var keys [GetManyMax]key
	var pages [GetManyMax]*page
	for i, path := range paths {
		keys[i] = keyOf(path)
		pages[i] = v.nodes.floor(keys[i], nil).page
	}
	var touched byte
	for i := range paths {
		touched += pages[i].tags[0]
	}
	runtime.KeepAlive(touched)
	nodes = nodes[:len(paths)]
	for i := range paths {
		nodes[i] = pages[i].first(keys[i])
	}
	warm(nodes)
	for i, path := range paths {
		if nodes[i].Path() != path {
			nodes[i] = v.Get(path)
		}
	}
}

// warm brings nodes into the core's cache: one read after the other does not wait for the ones
// before.
func warm(nodes []*Node) {
	var touched byte
	for _, n := range nodes {
		touched += byte(n.textBytes)
	}
	for _, n := range nodes {
		text := n.text()
		for at := 0; at < min(len(text), warmMax); at += cacheLine {
			touched += text[at]
		}
	}
	runtime.KeepAlive(touched)
}

const (
	cacheLine = 64
	warmMax   = 512 // bytes of a text; what is longer is read ahead by the processor
)
