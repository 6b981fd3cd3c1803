package tree

import (
	"encoding/binary"
	"math/bits"
	"strings"
	"unsafe"
)

// A page holds up to pageMax neighbours of the index, in their order: of entry i keys[i],
// tags[i] and refs[i]. A look-up reads the tags, which say where to look, one key and one
// node, however large the page. Other data of a znode changes its node alone: the keys are
// apart, so that a copy of the page for such a change can share them.
//
// A node is either fresh, a block of memory of its own, or packed: the small nodes of a page
// of a large tree stand in one block. A million blocks of their own take the collector a tenth
// of a second and half of the processors, whenever it runs.
//
// Invariant: only the index of its epoch changes a page, only that of keysEpoch its keys; for
// all others they never change. The array of fresh is shared by copies of a page, which append
// to it and change what they appended.
type page struct {
	epoch     uint64
	keysEpoch uint64
	tie       *string // least path here, if the page before ends with the key that this begins with
	keys      *[pageMax]key
	packed    unsafe.Pointer // of nodes, each at a multiple of packUnit
	fresh     []*Node
	n         int32
	slack     int32 // changes since the last pack: what fresh and packed may hold in vain
	shared    int32 // of fresh, so many other epochs may read
	tags      [(pageMax + 7) &^ 7]byte
	refs      [pageMax]ref
}

// A ref says where a node is: at an offset of packed, in units, or at an index of fresh.
type ref uint16

const (
	freshRef ref = 1 << 15
	packUnit     = 8

	// pageMax makes a page 360 bytes and its keys 1,504, of which the allocator makes 384 and
	// 1,536.
	pageMax = 94

	// packTextMax is the text of the largest node that is packed; a page of such nodes takes 33 kB.
	packTextMax = 256
	// packEvery is after how many changes a page is packed, which copies its nodes; tidyEvery
	// after how many one of a tree that is not large is tidied, which copies pointers.
	packEvery = 16
	tidyEvery = pageMax
)

// newPage returns an empty page with keys of its own.
func newPage(epoch uint64) *page {
	return &page{epoch: epoch, keysEpoch: epoch, keys: new([pageMax]key)}
}

// node returns the node of an entry.
func (p *page) node(at int) *Node {
	r := p.refs[at]
	if r&freshRef != 0 {
		return p.fresh[r&^freshRef]
	}
	return (*Node)(unsafe.Add(p.packed, uintptr(r)*packUnit))
}

// len is the number of entries.
func (p *page) len() int { return int(p.n) }

// tag is a byte of a hash of the key.
func (k key) tag() byte { return byte((k.name ^ k.parent) * 0x9e3779b97f4a7c15 >> 56) }

const (
	eachByte = 0x0101010101010101
	highBits = 0x8080808080808080
)

// find returns where the entry of a path is that has this key, pageMax when there is none.
func (p *page) find(k key, path string) int {
	at := p.next(k, 0)
	for at < p.len() && p.node(at).Path() != path {
		at = p.next(k, at+1)
	}
	return at
}

// next returns the first entry from a place on that has this key, pageMax when there is none.
func (p *page) next(k key, from int) int {
	tag := uint64(k.tag()) * eachByte
	for base := from &^ 7; base < p.len(); base += 8 {
		x := binary.LittleEndian.Uint64(p.tags[base:]) ^ tag
		// The high bit of each byte that is 0, and of some above one, which the key tells apart.
		for hit := (x - eachByte) &^ x & highBits; hit != 0; hit &= hit - 1 {
			at := base + bits.TrailingZeros64(hit)/8
			if at >= from && at < p.len() && p.keys[at] == k {
				return at
			}
		}
	}
	return pageMax
}

// first returns a node of this key, an empty one when there is none.
func (p *page) first(k key) *Node {
	if at := p.next(k, 0); at < p.len() {
		return p.node(at)
	}
	return noNode
}

var noNode = &Node{}

// search returns the first place whose entry is not less than this key and path.
func (p *page) search(k key, path string) int {
	low, high := 0, p.len()
	for low < high {
		mid := int(uint(low+high) / 2)
		if p.keys[mid].less(k) || p.keys[mid] == k && p.node(mid).Path() < path {
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
	var nodes [GetManyMax]*Node
	to := from
	for to < min(p.len(), from+GetManyMax) && p.keys[to].parent == parent {
		nodes[to-from] = p.node(to)
		to++
	}
	warm(nodes[:to-from])
	return max(to, from+1)
}

// own makes the keys ones that may be changed.
func (p *page) own() {
	if p.keysEpoch != p.epoch {
		keys := *p.keys
		p.keys, p.keysEpoch = &keys, p.epoch
	}
}

// replace gives an entry another node.
func (p *page) replace(at int, n *Node) {
	p.drop(p.node(at))
	if r := p.refs[at]; r&freshRef != 0 && int32(r&^freshRef) >= p.shared {
		p.fresh[r&^freshRef] = n
		return
	}
	p.add(at, n)
}

// add makes a node an entry's.
func (p *page) add(at int, n *Node) {
	p.refs[at] = freshRef | ref(len(p.fresh))
	p.fresh = append(p.fresh, n)
	p.slack++
}

// drop counts a node that is held in vain from now on.
func (p *page) drop(n *Node) { p.slack += int32(min(n.textBytes/packTextMax, pageMax)) }

// insert puts an entry at its place; there is room.
func (p *page) insert(at int, k key, n *Node) {
	p.own()
	end := p.n
	copy(p.keys[at+1:end+1], p.keys[at:end])
	copy(p.tags[at+1:end+1], p.tags[at:end])
	copy(p.refs[at+1:end+1], p.refs[at:end])
	p.keys[at], p.tags[at] = k, k.tag()
	p.n++
	p.add(at, n)
}

// remove takes the entry at a place out.
func (p *page) remove(at int) {
	p.own()
	p.drop(p.node(at))
	end := p.n
	copy(p.keys[at:end-1], p.keys[at+1:end])
	copy(p.tags[at:end-1], p.tags[at+1:end])
	copy(p.refs[at:end-1], p.refs[at+1:end])
	p.n--
	p.slack++
}

// join appends the entries of another page, which follow, from a place on.
func (p *page) join(next *page, from int) {
	p.own()
	for ; from < next.len(); from++ {
		p.keys[p.n], p.tags[p.n] = next.keys[from], next.tags[from]
		p.n++
		p.add(int(p.n-1), next.node(from))
	}
}

// split moves the entries from a place on into a new page.
func (p *page) split(at int) *page {
	right := newPage(p.epoch)
	right.join(p, at)
	p.slack += p.n - int32(at)
	p.n = int32(at)
	right.follow(p)
	return right
}

// follow notes what tells the page from the one before it.
func (p *page) follow(before *page) {
	if p.keys[0] == before.keys[before.n-1] {
		path := strings.Clone(p.node(0).Path())
		p.tie = &path
	}
}

// tidy lets go of what is held in vain, and packs the small nodes if pack says so.
func (p *page) tidy(pack bool) {
	var nodes [pageMax]*Node
	units, fresh := 0, 0
	for i := range p.len() {
		nodes[i] = p.node(i)
		if pack && nodes[i].textBytes <= packTextMax {
			units += nodes[i].units()
		} else {
			fresh++
		}
	}
	block := make([]byte, units*packUnit)
	p.packed, p.fresh = unsafe.Pointer(unsafe.SliceData(block)), make([]*Node, 0, fresh+packEvery)
	p.slack, p.shared = 0, 0
	at := 0
	for i, n := range nodes[:p.n] {
		if pack && n.textBytes <= packTextMax {
			p.refs[i] = ref(at)
			copy(block[at*packUnit:], n.block())
			at += n.units()
		} else {
			p.refs[i] = freshRef | ref(len(p.fresh))
			p.fresh = append(p.fresh, n)
		}
	}
}
