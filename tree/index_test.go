package tree

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// each visits all entries in their order.
func (x *index) each(visit func(entry)) {
	x.pages.live.Scan(func(r pageRef) bool {
		for i := range r.page.len() {
			visit(entry{r.page.keys[i], r.page.node(i)})
		}
		return true
	})
}

// sane checks what must hold of pages and their order.
func (x *index) sane() error {
	count, entries := 0, []entry(nil)
	var wrong error
	x.pages.live.Scan(func(r pageRef) bool {
		p := r.page
		if p.n == 0 && r.low != (key{}) {
			wrong = fmt.Errorf("an empty page at %v", r.low)
		}
		for i := range p.len() {
			k, n := p.keys[i], p.node(i)
			if p.tags[i] != k.tag() {
				wrong = fmt.Errorf("entry %d has tag %x, not %x", i, p.tags[i], k.tag())
			}
			if k.less(r.low) || k == r.low && p.tie != nil && n.Path() < *p.tie {
				wrong = fmt.Errorf("entry %d, %v, is below %v", i, k, r.low)
			}
			if x.place(k, n.Path(), nil).page != p {
				wrong = fmt.Errorf("%v is not looked for where it is", k)
			}
			entries = append(entries, entry{k, n})
		}
		count += p.len()
		return true
	})
	for i := 1; i < len(entries); i++ {
		a, b := entries[i-1], entries[i]
		if !a.less(b.key) && (a.key != b.key || a.node.Path() >= b.node.Path()) {
			wrong = fmt.Errorf("%v is before %v", a.key, b.key)
		}
	}
	if count != x.count {
		return fmt.Errorf("%d entries, counted %d", count, x.count)
	}
	return wrong
}

// An index against a map: growing and shrinking over many pages, with keys of which many collide,
// and frozen copies that must stay as they were.
func TestIndexRandom(t *testing.T) {
	for seed := range uint64(27) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { indexRandom(t, seed) })
	}
}

func indexRandom(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 0))
	keys := []int{3, 40, 1 << 20}[seed%3] // different keys
	keyFor := func(path string) key {
		h := keyOf("/x"+path).name * 0x9e3779b97f4a7c15 >> 20
		return key{h % 3, h % uint64(keys)}
	}
	type frozen struct {
		index
		want map[string]*Node
	}
	x, model := newIndex(), map[string]*Node{}
	x.large = []int{0, 700, largeMin}[seed/3%3]
	sizes := []int{1, 250, 400, 3000}
	var copies []frozen
	for step := range 6000 {
		n := Options{}.newNode(fmt.Sprintf("/n%d", rnd.IntN(1500)),
			make([]byte, rnd.IntN(sizes[rnd.IntN(len(sizes))])), 0)
		n.version = int32(step)
		path := n.Path()
		if shrinking := step/1500%2 == 1; rnd.IntN(4) == 0 != shrinking {
			x.take(entry{keyFor(path), n})
			delete(model, path)
		} else {
			x.put(entry{keyFor(path), n}, nil)
			model[path] = n
		}
		if step%500 == 0 {
			want := map[string]*Node{}
			for path, n := range model {
				want[path] = n
			}
			copies = append(copies, frozen{x.freeze(), want})
		}
		if step%100 == 0 {
			if err := x.sane(); err != nil {
				t.Fatalf("step %d: %v", step, err)
			}
		}
	}
	for _, c := range append(copies, frozen{x, model}) {
		if err := c.sane(); err != nil {
			t.Fatal(err)
		}
		if c.count != len(c.want) {
			t.Fatalf("%d entries, want %d", c.count, len(c.want))
		}
		for i := range 1500 {
			path := fmt.Sprintf("/n%d", i)
			got, want := c.find(keyFor(path), path, nil), c.want[path]
			if got == nil && want == nil {
				continue
			}
			if got == nil || want == nil || got.Stat() != want.Stat() ||
				got.Path() != path || len(got.Data()) != len(want.Data()) {
				t.Fatalf("%s is %v, want %v", path, got, want)
			}
		}
	}
}

// A tree that shrinks gives its pages back.
func TestIndexShrinks(t *testing.T) {
	x := newIndex()
	var nodes []*Node
	for i := range 10_000 {
		nodes = append(nodes, Options{}.newNode(fmt.Sprintf("/n%d", i), nil, 0))
		x.set(nodes[i], nil)
	}
	full := x.pages.live.Len()
	for i, n := range nodes {
		if i%20 != 0 {
			x.remove(n)
		}
	}
	if err := x.sane(); err != nil {
		t.Fatal(err)
	}
	if left := x.pages.live.Len(); left > full/4 {
		t.Errorf("%d of %d pages are left for a twentieth of the znodes", left, full)
	}
}

// An entry between the halves of a page that is split goes where it will be looked for, even if
// the right half begins with its key.
func TestIndexSplitsBetweenEqualKeys(t *testing.T) {
	for half := range pageMax + 1 {
		x := newIndex()
		for i := range pageMax {
			x.put(entry{key{1, uint64(i)}, Options{}.newNode(fmt.Sprintf("/%03d-b", i), nil, 0)}, nil)
		}
		for _, side := range []string{"a", "c"} {
			n := Options{}.newNode(fmt.Sprintf("/%03d-%s", half, side), nil, 0)
			x.put(entry{key{1, uint64(half)}, n}, nil)
			if x.find(key{1, uint64(half)}, n.Path(), nil) != n {
				t.Fatalf("%s is lost", n.Path())
			}
		}
		if err := x.sane(); err != nil {
			t.Fatal(err)
		}
	}
}
