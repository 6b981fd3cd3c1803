package tree

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/meerkat-zk/meerkat/proto"
)

func TestNodeSize(t *testing.T) {
	if size := unsafe.Sizeof(Node{}); size != 88 {
		t.Fatalf("a Node takes %d bytes, not 88", size)
	}
}

// A text behind the node and one that stands apart look the same, and so do their copies.
func TestNodeText(t *testing.T) {
	for _, size := range []int{0, 1, 100, textBehindMax - 3, textBehindMax - 2, textBehindMax - 1,
		textBehindMax, 1 << 20} {
		data := bytes.Repeat([]byte{'d'}, size)
		n := Options{}.newNode("/n", data, 7)
		n.czxid, n.children = 5, 6
		other := n.withData([]byte("other"))
		back := other.withData(data)
		for _, c := range []*Node{n, n.clone(), back, back.clone()} {
			if c.Path() != "/n" || !bytes.Equal(c.Data(), data) || c.dataBytes() != size ||
				c.Owner() != 7 || c.Czxid() != 5 || c.NumChildren() != 6 || c.textCRC != n.textCRC {
				t.Errorf("%d bytes: %s, %d bytes, %+v", size, c.Path(), len(c.Data()), c.Stat())
			}
		}
		if string(other.Data()) != "other" || other.textCRC == n.textCRC {
			t.Errorf("%d bytes, then other: %q", size, other.Data())
		}
		if c := n.clone(); size > textBehindMax && &c.Data()[0] != &n.Data()[0] {
			t.Errorf("%d bytes are copied with every change beside them", size)
		}
	}
	if n := (Options{}).newNode("/n", nil, 0); n.Data() != nil || n.clone().Data() != nil ||
		n.withData(emptyData).Data() == nil {
		t.Error("null and empty data are not told apart")
	}
}

// Several znodes of one key: paths keep them apart.
func TestIndexCollisions(t *testing.T) {
	x := newIndex()
	k := key{1, 2}
	var nodes []*Node
	for i := range 200 {
		n := Options{}.newNode(fmt.Sprintf("/n%d", i), nil, 0)
		nodes = append(nodes, n)
		x.put(entry{k, n}, nil)
	}
	if x.count != len(nodes) {
		t.Fatalf("%d entries", x.count)
	}
	for _, n := range nodes {
		if got := x.find(k, n.Path(), nil); got != n {
			t.Fatalf("%s is %v", n.Path(), got)
		}
	}
	if n := x.find(k, "/n", nil); n != nil {
		t.Fatalf("found %s", n.Path())
	}
	for i, n := range nodes {
		if i%2 == 0 {
			x.take(entry{k, n})
		}
	}
	for i, n := range nodes {
		if got := x.find(k, n.Path(), nil); (got == n) != (i%2 == 1) {
			t.Fatalf("%s is %v", n.Path(), got)
		}
	}
}

// A scan passes over the children of another parent whose path has the same hash.
func TestScanCollisions(t *testing.T) {
	x := newIndex()
	mine := []string{"/p/a", "/p/b", "/p/c"}
	parent := keyOf("/p/a").parent
	for i, path := range append(mine, "/q/a", "/longer/b", "/p/a/b", "/p") {
		x.put(entry{key{parent, uint64(i * 7 % 5)}, Options{}.newNode(path, nil, 0)}, nil)
	}
	var got []string
	x.scan("/p", nil, func(name string, n *Node) bool {
		got = append(got, "/p/"+name)
		return true
	})
	if slices.Sort(got); !slices.Equal(got, mine) {
		t.Fatalf("%v", got)
	}
}

// Readers of a root need no lock while the head goes on. Run with -race.
func TestReadersOfRoots(t *testing.T) {
	h := sample(t)
	var wg sync.WaitGroup
	for round := range 20 {
		r := h.Freeze()
		want := r.Digest()
		wg.Go(func() {
			var b statBlock
			var sum uint64
			for range 3 {
				sum = r.Get("/").digest(&b)
				r.Descendants("/", func(n *Node) bool {
					sum += n.digest(&b)
					if r.Get(n.Path()) != n {
						panic("lost " + n.Path())
					}
					r.ACL(n)
					return true
				})
			}
			if int64(sum) != want {
				t.Errorf("digest %#x, want %#x", sum, want)
			}
		})
		for i := range 50 {
			hdr := proto.TxnHeader{ClientID: int64(round), Zxid: proto.Zxid(1000 + round)}
			b := proto.Body{Path: fmt.Sprintf("/c/%d", i), ParentCversion: -1, Ephemeral: true,
				ACL: oracleACLs[(i+round)%len(oracleACLs)]}
			if _, err := h.ApplyPart(&hdr, proto.OpDelete, &b, nil); err != nil {
				t.Fatal(err)
			}
			if _, err := h.ApplyPart(&hdr, proto.OpCreate, &b, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	wg.Wait()
}

// Freeze gives the same root until something changes, be it the zxid alone.
func TestFreezeOnce(t *testing.T) {
	h := NewHead(Options{})
	r := h.Freeze()
	if h.Freeze() != r {
		t.Error("two roots of one tree")
	}
	h.Advance(0)
	if h.Freeze() != r {
		t.Error("a zxid that is not higher made another root")
	}
	h.Advance(7)
	if again := h.Freeze(); again == r || again.Zxid() != 7 || r.Zxid() != 0 {
		t.Errorf("zxid %v, before %v", again.Zxid(), r.Zxid())
	}
	if again := h.Freeze(); again.nodes.pages.live != r.nodes.pages.live {
		t.Error("an index was copied that had not changed")
	}
}

// Thousands of znodes that come and go: the index is several btree nodes deep, hints go stale,
// and btree nodes are split, merged and shared with roots.
func TestManyRandom(t *testing.T) {
	for seed := range uint64(5) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		h, live := NewHead(Options{}), map[string]byte{}
		var roots []*Root
		var counts []int
		for step := range 20_000 {
			hdr := proto.TxnHeader{Zxid: proto.Zxid(step), Time: 1}
			dir := fmt.Sprintf("/d%d", rnd.IntN(20))
			path := fmt.Sprintf("%s/n%d", dir, rnd.IntN(300))
			op, b := proto.OpCreate, proto.Body{Path: path, ParentCversion: -1,
				Data: []byte{byte(step)}}
			if _, ok := live[dir]; !ok {
				b.Path = dir
			} else if _, ok := live[path]; ok && rnd.IntN(2) == 0 {
				op = proto.OpDelete
			} else if ok {
				op = proto.OpSetData
			}
			if _, err := h.ApplyPart(&hdr, op, &b, nil); err != nil {
				t.Fatalf("seed %d step %d: %v", seed, step, err)
			}
			if live[b.Path] = b.Data[0]; op == proto.OpDelete {
				delete(live, b.Path)
			}
			if step%100 == 0 {
				roots, counts = append(roots, h.Freeze()), append(counts, h.NodeCount())
			}
		}
		for path, data := range live {
			if n := h.Get(path); n == nil || n.Data()[0] != data {
				t.Fatalf("seed %d: %s is %v, want %d", seed, path, n, data)
			}
		}
		if h.NodeCount() != len(live)+5 {
			t.Fatalf("seed %d: %d znodes, want %d", seed, h.NodeCount(), len(live)+5)
		}
		for i, r := range append(roots, h.Freeze()) {
			var b statBlock
			sum, count := r.Get("/").digest(&b), 2
			r.Descendants("/", func(n *Node) bool {
				sum, count = sum+n.digest(&b), count+1
				return r.Get(n.Path()) == n
			})
			if int64(sum) != r.Digest() || count != r.NodeCount() ||
				i < len(counts) && count != counts[i] {
				t.Fatalf("seed %d root %d: digest %#x, has %#x; %d znodes", seed, i, sum,
					uint64(r.Digest()), count)
			}
		}
		if err := sane(h); err != nil {
			t.Fatal(err)
		}
	}
}

// A path may have thousands of components.
func TestDeepTree(t *testing.T) {
	h := NewHead(Options{})
	const depth = 2000
	b := proto.Body{ParentCversion: -1}
	for range depth {
		b.Path += "/d"
		if _, err := h.ApplyPart(&proto.TxnHeader{}, proto.OpCreate, &b, nil); err != nil {
			t.Fatal(err)
		}
	}
	if n := h.CountDescendants("/d"); n != depth-1 {
		t.Fatalf("%d descendants", n)
	}
	deepest := ""
	h.Descendants("/d", func(n *Node) bool { deepest = n.Path(); return true })
	if strings.Count(deepest, "/") != depth {
		t.Fatalf("deepest has %d components", strings.Count(deepest, "/"))
	}
}

func TestKinds(t *testing.T) {
	ttl, ok := TTLOwner(TTLMax)
	if !ok || ttl != -1<<56|TTLMax {
		t.Fatalf("%#x %v", uint64(ttl), ok)
	}
	extended, old := Options{ExtendedTypes: true}, Options{ExtendedTypes: true, Emulate353TTL: true}
	for _, c := range []struct {
		o     Options
		owner int64
		want  Kind
	}{
		{Options{}, 0, Persistent}, {Options{}, 1, Ephemeral}, {Options{}, -1, Ephemeral},
		{Options{}, ContainerOwner, Container}, {Options{}, ttl, Ephemeral},
		{Options{Emulate353TTL: true}, ContainerOwner + 5, Ephemeral},
		{extended, 0, Persistent}, {extended, ttl, TTL}, {extended, ContainerOwner, Container},
		{extended, ContainerOwner + 5, Ephemeral}, {extended, ttl | 1<<40, unknownKind},
		{old, ContainerOwner, Container}, {old, ContainerOwner + 5, TTL}, {old, 5, Ephemeral},
		{old, ttl | 1<<40, TTL},
	} {
		if got := c.o.Kind(c.owner); got != c.want {
			t.Errorf("%+v: %#x is %v, want %v", c.o, uint64(c.owner), got, c.want)
		}
	}
}

func TestMisuse(t *testing.T) {
	for name, f := range map[string]func(*Head){
		"begin twice": func(h *Head) { h.Begin(); h.Begin() },
		"freeze":      func(h *Head) { h.Begin(); h.Freeze() },
		"commit":      (*Head).Commit,
		"rollback":    (*Head).Rollback,
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error(name, "did not panic")
				}
			}()
			f(NewHead(Options{}))
		}()
	}
}

// Reading allocates nothing.
func TestReadsDoNotAllocate(t *testing.T) {
	r := sample(t).Freeze()
	for name, read := range map[string]func(){
		"get":        func() { r.Get("/c/17").Stat() },
		"miss":       func() { r.Get("/c/none") },
		"data":       func() { r.Get("/c/17").Data() },
		"acl":        func() { r.ACL(r.Get("/t")) },
		"children":   func() { r.Children("/c", func(string, *Node) bool { return true }) },
		"ephemerals": func() { r.Ephemerals(4, func(string) bool { return true }) },
		"session":    func() { r.Session(4) },
		"quota":      func() { r.Quota("/c/17") },
	} {
		if n := testing.AllocsPerRun(100, read); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}
