package metrics

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func shownBy(n *Namespaces) (all []string) {
	for name, sizes := range n.All() {
		all = append(all, fmt.Sprint(name, ":", sizes.Count, ":", sizes.Sum))
	}
	return all
}

// The first part of a path names the namespace, whatever else the names begin with.
func TestNamespaces(t *testing.T) {
	var n Namespaces
	path := []byte("/a/b")
	for _, p := range []string{string(path), "/a", "/ab", "/a/c", "/", "", "/ab/a", "/aa", "/a"} {
		n.Add(p, 10)
	}
	copy(path, "/x/y") // what was counted does not alias it
	want := []string{"a:4:40", "aa:1:10", "ab:2:20"}
	if got := shownBy(&n); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	older := n.Clone()
	n.Add("/a", 5)
	if got := shownBy(&older); !slices.Equal(got, want) {
		t.Errorf("a copy has become %v", got)
	}
	now := n.Clone()
	now.Merge(&older)
	if got := shownBy(&now); got[0] != "a:9:85" {
		t.Errorf("merged: %v", got)
	}
	n.Since(&older)
	if got := shownBy(&n); !slices.Equal(got, []string{"a:1:5"}) {
		t.Errorf("since the copy: %v", got)
	}
}

// What is beyond the limit is counted together, and costs no memory each time.
func TestNamespacesAreBounded(t *testing.T) {
	var n Namespaces
	paths := make([]string, namespacesMax+50)
	for i := range paths {
		paths[i] = fmt.Sprintf("/n%d/x", i)
	}
	all := func() {
		for _, p := range paths {
			n.Add(p, 1)
		}
	}
	all()
	if allocs := testing.AllocsPerRun(10, all); allocs > 0 {
		t.Errorf("%v allocations", allocs)
	}
	got := shownBy(&n)
	if len(got) != namespacesMax+1 || !strings.HasPrefix(got[0], Rest+":600:") {
		t.Errorf("%d namespaces, the rest is %s", len(got), got[0])
	}
}

func BenchmarkNamespaces(b *testing.B) {
	for _, count := range []int{1, 4, 128, 1000} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			var n Namespaces
			paths := make([]string, count)
			for i := range paths {
				paths[i] = fmt.Sprintf("/parent-%06d/child-%02d", i, i%20)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				n.Add(paths[i], 100)
				if i++; i == count {
					i = 0
				}
			}
		})
	}
}
