package metrics

import (
	"hash/maphash"
	"iter"
	"maps"
	"slices"
	"strings"
)

const (
	// Namespaces that are counted apart. Each has a histogram on each loop and in the core, and
	// some lines in mntr; who makes a thousand znodes below the root has no use for as many.
	namespacesMax = 200
	// Rest is the namespace under which what is beyond them is counted. No znode has this name.
	Rest = "."
)

// Namespaces counts sizes by the first part of a path, on the way of every read. The namespace is
// mostly that of the path before; else it is mostly where its hash says that it was found last,
// which is twice as fast as the table.
type Namespaces struct {
	last   *namespace
	memo   *[memoSize]*namespace
	byName map[string]*namespace
}

const memoSize = 1024 // several times namespacesMax

var memoSeed = maphash.MakeSeed()

type namespace struct {
	name  string
	sizes Histogram
}

// Add counts something of a path, so many bytes large. The root belongs to no namespace.
func (n *Namespaces) Add(path string, bytes int) {
	if len(path) < 2 {
		return
	}
	t := n.last
	if t == nil || !isBelow(path, t.name) {
		t = n.find(path)
		n.last = t
	}
	t.sizes.Add(int64(bytes))
}

// isBelow tells whether name is the first part of a path.
func isBelow(path, name string) bool {
	end := 1 + len(name)
	return len(path) >= end && path[1:end] == name && (len(path) == end || path[end] == '/')
}

func (n *Namespaces) find(path string) *namespace {
	name := path[1:]
	if end := strings.IndexByte(name, '/'); end >= 0 {
		name = name[:end]
	}
	if n.memo == nil {
		n.memo = new([memoSize]*namespace)
	}
	at := &n.memo[maphash.String(memoSeed, name)%memoSize]
	if *at != nil && (*at).name == name {
		return *at
	}
	t := n.byName[name]
	if t == nil {
		t = n.named(name)
	}
	*at = t
	return t
}

// named returns a new namespace if there is room, or the rest. The name may alias a request.
func (n *Namespaces) named(name string) *namespace {
	if n.byName == nil {
		n.byName = map[string]*namespace{}
	}
	if len(n.byName) >= namespacesMax {
		if t := n.byName[Rest]; t != nil {
			return t
		}
		name = Rest
	}
	t := &namespace{name: strings.Clone(name)}
	n.byName[t.name] = t
	return t
}

// Merge adds what another has counted.
func (n *Namespaces) Merge(o *Namespaces) {
	for name, sizes := range o.All() {
		t := n.byName[name]
		if t == nil {
			t = n.named(name)
		}
		t.sizes.Merge(sizes)
	}
}

// Since takes away what an older copy had counted.
func (n *Namespaces) Since(older *Namespaces) {
	for name, sizes := range older.All() {
		t := n.byName[name]
		if t.sizes.Since(sizes); t.sizes.Count == 0 {
			delete(n.byName, name)
		}
	}
}

// Clone is a copy that shares nothing.
func (n *Namespaces) Clone() Namespaces {
	c := Namespaces{byName: make(map[string]*namespace, len(n.byName))}
	for name, t := range n.byName {
		copied := *t
		c.byName[name] = &copied
	}
	return c
}

// Forget lets all extremes begin anew.
func (n *Namespaces) Forget() {
	for _, t := range n.byName {
		t.sizes.Forget()
	}
}

// All yields the namespaces in order.
func (n *Namespaces) All() iter.Seq2[string, *Histogram] {
	return func(yield func(string, *Histogram) bool) {
		for _, name := range slices.Sorted(maps.Keys(n.byName)) {
			if !yield(name, &n.byName[name].sizes) {
				return
			}
		}
	}
}
