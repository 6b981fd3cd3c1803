package tree

import (
	"encoding/binary"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/tidwall/btree"
)

// A key is where a znode sits in the index: by the hash of its parent's path, then by a number
// for its name, so that siblings are neighbours and comparing is comparing integers. Paths
// break ties.
//
// A btree keyed by whole paths took 2.3 to 3.2 µs a look-up at one million znodes, one keyed
// like this 0.9 to 1.1 µs.
type key struct{ parent, name uint64 }

// nameKey numbers a name so that names which count up, as those of sequential znodes do, are
// neighbours: a batch of them changes a few btree nodes instead of one each. What stands before
// the last eight bytes is hashed, and moves the whole run.
func nameKey(name string) uint64 {
	var tail [8]byte
	cut := max(len(name)-len(tail), 0)
	copy(tail[:], name[cut:])
	return binary.BigEndian.Uint64(tail[:]) + xxhash.Sum64String(name[:cut])
}

// An entry is a znode in the index.
type entry struct {
	key
	node *Node
}

func (k key) less(o key) bool {
	if k.parent != o.parent {
		return k.parent < o.parent
	}
	return k.name < o.name
}

// keyOf hashes a path. The root, "" or "/", has a key of its own; its children's parent is "".
func keyOf(path string) key {
	if len(path) <= 1 {
		return key{}
	}
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return key{}
	}
	return key{xxhash.Sum64String(path[:i]), nameKey(path[i+1:])}
}

// A pageRef is an item of the btree of pages: low is no greater than the page's least key.
// Without a page it is a search key, after all pages of the same low.
type pageRef struct {
	low  key
	page *page
}

func pageLess(a, b pageRef) bool {
	if a.low != b.low {
		return a.low.less(b.low)
	}
	if a.page == nil || b.page == nil {
		return b.page == nil && a.page != nil
	}
	return b.page.tie != nil && (a.page.tie == nil || *a.page.tie < *b.page.tie)
}

// indexDegree makes a btree node hold at most 31 pages, 744 bytes.
const indexDegree = 16

// An index finds znodes by path, and the children of a znode in one range scan. It is a btree
// of pages. Of one million znodes the btree stays in a core's cache, and a look-up waits for
// memory three times: for a page's tags, for the entry, for the znode (docs/adr/0008-pages.md).
type index struct {
	pages cow[pageRef]
	count int
	large int    // the count from which on pages are packed, and look-ups worth doing side by side
	epoch uint64 // counts freezes: pages of this epoch are nobody else's
}

func newIndex() index {
	x := index{pages: newCow(pageLess, indexDegree), large: largeMin}
	x.pages.live.Set(pageRef{page: newPage(0)})
	return x
}

// freeze returns an index that will not change.
func (x *index) freeze() index {
	x.epoch++
	return index{pages: x.pages.freeze(), count: x.count, large: x.large}
}

// floor returns the last page that may have an entry of a key.
func (x *index) floor(k key, hint *btree.PathHint) (r pageRef) {
	x.pages.live.DescendHint(pageRef{low: k}, func(at pageRef) bool {
		r = at
		return false
	}, hint)
	return r
}

// place returns the page for an entry.
func (x *index) place(k key, path string, hint *btree.PathHint) pageRef {
	r := x.floor(k, hint)
	if r.page.tie != nil && r.low == k {
		tie := path
		x.pages.live.DescendHint(pageRef{k, &page{tie: &tie}}, func(at pageRef) bool {
			r = at
			return false
		}, hint)
	}
	return r
}

// get returns the znode at path, nil when there is none.
func (x *index) get(path string) *Node { return x.getHint(path, nil) }

// getHint is get that remembers where it went, for a set of the same path right after.
func (x *index) getHint(path string, hint *btree.PathHint) *Node {
	if path == "" {
		path = "/"
	}
	return x.find(keyOf(path), path, hint)
}

func (x *index) find(k key, path string, hint *btree.PathHint) *Node {
	p := x.place(k, path, hint).page
	if at := p.find(k, path); at < p.len() {
		return p.node(at)
	}
	return nil
}

// set puts n in its place, or in the place of the node that had its path.
func (x *index) set(n *Node, hint *btree.PathHint) { x.put(entry{keyOf(n.Path()), n}, hint) }

func (x *index) put(e entry, hint *btree.PathHint) {
	path := e.node.Path()
	r := x.place(e.key, path, hint)
	p := x.own(&r, hint)
	if at := p.find(e.key, path); at < p.len() {
		p.replace(at, e.node)
	} else {
		x.count++
		p = x.insert(p, e)
	}
	x.tidy(p)
}

// insert puts a new entry into a page, or half of it, and returns where it went.
func (x *index) insert(p *page, e entry) *page {
	at := p.search(e.key, e.node.Path())
	if p.len() == pageMax {
		half := pageMax / 2
		if at == pageMax { // names that count up come to the end
			half = loadMax
		}
		right := p.split(half)
		x.pages.live.Set(pageRef{right.keys[0], right})
		// Between the halves: the key alone sends it to the right one if that begins with it.
		if at > half || at == half && right.tie == nil && right.keys[0] == e.key {
			x.tidy(p)
			p, at = right, at-half
		} else {
			x.tidy(right)
		}
	}
	p.insert(at, e.key, e.node)
	return p
}

// own makes a page one that may be changed.
func (x *index) own(r *pageRef, hint *btree.PathHint) *page {
	pages := x.pages.mutable()
	if r.page.epoch != x.epoch {
		p := *r.page
		p.epoch, p.shared = x.epoch, int32(len(p.fresh))
		r.page = &p
		pages.SetHint(*r, hint)
	}
	return r.page
}

// remove takes n out.
func (x *index) remove(n *Node) { x.take(entry{keyOf(n.Path()), n}) }

func (x *index) take(e entry) {
	var hint btree.PathHint
	path := e.node.Path()
	r := x.place(e.key, path, &hint)
	at := r.page.find(e.key, path)
	if at >= r.page.len() {
		return
	}
	p := x.own(&r, &hint)
	p.remove(at)
	x.count--
	if p.n < pageMax/4 {
		x.merge(r)
	}
	x.tidy(p)
}

// tidy tidies a page that holds much in vain.
func (x *index) tidy(p *page) {
	if large := x.isLarge(); p.slack >= tidyEvery || large && p.slack >= packEvery {
		p.tidy(large)
	}
}

func (x *index) isLarge() bool { return x.count >= x.large }

// largeMin is the number of znodes from which on the cores' caches do not hold them, and the
// collector's work with them is felt.
const largeMin = 50_000

// merge joins a page that has become small with the next, if they fit.
func (x *index) merge(r pageRef) {
	pages := x.pages.mutable()
	next := r
	pages.Ascend(r, func(at pageRef) bool {
		next = at
		return at.page == r.page
	})
	switch {
	case next.page != r.page && r.page.n+next.page.n <= pageMax*3/4:
		r.page.join(next.page, 0)
		pages.Delete(next)
	case r.page.n == 0 && r.low != key{}:
		pages.Delete(r)
	}
}

// scan visits the children of a path, in the order of their key; from says where to start:
// after that node, or at the first when it is nil.
func (x *index) scan(parent string, from *Node, visit func(name string, n *Node) bool) {
	if parent == "/" {
		parent = ""
	}
	first, after := key{xxhash.Sum64String(parent), 0}, ""
	if from != nil {
		after = from.Path()
		first = keyOf(after)
	}
	r := x.place(first, after, nil)
	at := r.page.search(first, after)
	x.pages.live.Ascend(r, func(r pageRef) bool {
		for p, warm := r.page, at; at < p.len(); at++ {
			if at == warm && x.isLarge() {
				warm = p.warm(at, first.parent)
			}
			if p.keys[at].parent != first.parent {
				return false
			}
			n := p.node(at)
			path := n.Path()
			// Another parent may have the same hash.
			if n == from || len(path) < len(parent)+2 ||
				path[:len(parent)] != parent || path[len(parent)] != '/' ||
				strings.IndexByte(path[len(parent)+1:], '/') >= 0 {
				continue
			}
			if !visit(path[len(parent)+1:], n) {
				return false
			}
		}
		at = 0
		return true
	})
}

// loadMax is how many entries a page has that is filled in order.
const loadMax = pageMax - pageMax/8

// load fills an empty index from entries in their order.
func (x *index) load(sorted []entry) {
	if len(sorted) == 0 {
		return
	}
	x.count = len(sorted)
	x.pages = newCow(pageLess, indexDegree)
	var last *page
	for len(sorted) > 0 {
		p := newPage(x.epoch)
		p.fresh = make([]*Node, 0, min(len(sorted), loadMax)+packEvery)
		for _, e := range sorted[:min(len(sorted), loadMax)] {
			p.insert(p.len(), e.key, e.node)
		}
		p.slack = 0
		low := key{} // the first page is for all that is less, too
		if last != nil {
			low = p.keys[0]
			p.follow(last)
		}
		x.pages.live.Load(pageRef{low, p})
		sorted, last = sorted[p.n:], p
	}
}
