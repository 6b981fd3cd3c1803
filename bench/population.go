package bench

import (
	"fmt"
	"sync/atomic"
)

// A population is the znodes that a run works on, and what is known about them: enough to
// verify what is read, also by a later run over the same znodes.
type population struct {
	root string
	size int // bytes of data per znode
	seed uint64
	tmpl *templates

	// issued[node] counts the writes that were sent to a znode. Atomic, for all drivers add to
	// it; a count is raised before its write leaves, so no reader can see a later one.
	issued []atomic.Uint32

	// made counts the znodes that Create has sent a create for, from 0 without gaps.
	made atomic.Uint32
}

func newPopulation(znodes, size int, seed uint64) *population {
	root := fmt.Sprintf("/bench-%016x", mix(seed))
	return &population{
		root:   root,
		size:   size,
		seed:   seed,
		tmpl:   newTemplates(root, size),
		issued: make([]atomic.Uint32, znodes),
	}
}

func (p *population) path(node uint32) string { return znodePath(p.root+nodePrefix, node) }
