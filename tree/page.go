package tree

import (
	"encoding/binary"
	"math/bits"
	"strings"
)

// A page holds up to pageMax neighbours of the index, in their order: of entry i tags[i],
// nodes[i] and keys[i]. A look-up reads the tags, which say where to look, one key and one
// node, however large the page. Other data of a znode changes its node alone: the keys are
// apart, so that a copy of the page for such a change can share them.
//
// Invariant: only the index of its epoch changes a page, only that of keysEpoch its keys; for
// all others they never change.
type page struct {
	epoch     uint64
	keysEpoch uint64
	n         int
	tie       *string // least path here, if the page before ends with the key that this begins with
	keys      *[pageMax]key
	tags      [(pageMax + 7) &^ 7]byte
	nodes     [pageMax]*Node
}

// pageMax makes a page 888 bytes and its keys 1,504, of which the allocator makes 896 and 1,536.
const pageMax = 94

// newPage returns an empty page with keys of its own.
func newPage(epoch uint64) *page {
	return &page{epoch: epoch, keysEpoch: epoch, keys: new([pageMax]key)}
}

// tag is a byte of a hash of the key.
func (k key) tag() byte { return byte((k.name ^ k.parent) * 0x9e3779b97f4a7c15 >> 56) }

const (
	eachByte = 0x0101010101010101
	highBits = 0x8080808080808080
)

// find returns where the entry of a path is that has this key, pageMax when there is none.
func (p *page) find(k key, path string) int {
	at := p.next(k, 0)
	for at < p.n && p.nodes[at].Path() != path {
		at = p.next(k, at+1)
	}
	return at
}

// next returns the first entry from a place on that has this key, pageMax when there is none.
func (p *page) next(k key, from int) int {
	tag := uint64(k.tag()) * eachByte
	for base := from &^ 7; base < p.n; base += 8 {
		x := binary.LittleEndian.Uint64(p.tags[base:]) ^ tag
		// The high bit of each byte that is 0, and of some above one, which the key tells apart.
		for hit := (x - eachByte) &^ x & highBits; hit != 0; hit &= hit - 1 {
			at := base + bits.TrailingZeros64(hit)/8
			if at >= from && at < p.n && p.keys[at] == k {
				return at
			}
		}
	}
	return pageMax
}

// first returns a node of this key, an empty one when there is none.
func (p *page) first(k key) *Node {
	if at := p.next(k, 0); at < p.n {
		return p.nodes[at]
	}
	return noNode
}

var noNode = &Node{}

// search returns the first place whose entry is not less than this key and path.
func (p *page) search(k key, path string) int {
	low, high := 0, p.n
	for low < high {
		mid := int(uint(low+high) / 2)
		if p.keys[mid].less(k) || p.keys[mid] == k && p.nodes[mid].Path() < path {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// warm brings the nodes of the next entries of a parent into the core's cache, and returns
// where they end.
func (p *page) warm(from int, parent uint64) int {
	to := from
	for to < min(p.n, from+GetManyMax) && p.keys[to].parent == parent {
		to++
	}
	warm(p.nodes[from:to])
	return max(to, from+1)
}

// own makes the keys ones that may be changed.
func (p *page) own() {
	if p.keysEpoch != p.epoch {
		keys := *p.keys
		p.keys, p.keysEpoch = &keys, p.epoch
	}
}

// insert puts an entry at its place; there is room.
func (p *page) insert(at int, k key, n *Node) {
	p.own()
	copy(p.keys[at+1:p.n+1], p.keys[at:p.n])
	copy(p.tags[at+1:p.n+1], p.tags[at:p.n])
	copy(p.nodes[at+1:p.n+1], p.nodes[at:p.n])
	p.keys[at], p.tags[at], p.nodes[at] = k, k.tag(), n
	p.n++
}

// remove takes the entry at a place out.
func (p *page) remove(at int) {
	p.own()
	p.n--
	copy(p.keys[at:p.n], p.keys[at+1:p.n+1])
	copy(p.tags[at:p.n], p.tags[at+1:p.n+1])
	copy(p.nodes[at:p.n], p.nodes[at+1:p.n+1])
	p.nodes[p.n] = nil
}

// join appends the entries of the page that follows, from a place on.
func (p *page) join(next *page, from int) {
	p.own()
	copy(p.keys[p.n:], next.keys[from:next.n])
	copy(p.tags[p.n:], next.tags[from:next.n])
	p.n += copy(p.nodes[p.n:], next.nodes[from:next.n])
}

// split moves the entries from a place on into a new page.
func (p *page) split(at int) *page {
	right := newPage(p.epoch)
	right.join(p, at)
	clear(p.nodes[at:p.n])
	p.n = at
	right.follow(p)
	return right
}

// follow notes what tells the page from the one before it.
func (p *page) follow(before *page) {
	if p.keys[0] == before.keys[before.n-1] {
		path := strings.Clone(p.nodes[0].Path())
		p.tie = &path
	}
}
