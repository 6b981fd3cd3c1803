package tree

import "strings"

// An Extent is how far a tree goes in what another server may bound.
type Extent struct {
	Depth   int // names in the longest way down
	Deepest string

	FieldBytes int    // of the largest path, data or ACL id
	Largest    string // whose that is
}

// Extent looks at every znode and every ACL.
func (v *View) Extent() (x Extent) {
	v.walk(v.Get("/"), func(n *Node) bool {
		path := n.Path()
		if depth := strings.Count(path, "/"); path != "/" && depth > x.Depth {
			x.Depth, x.Deepest = depth, strings.Clone(path) // the znode's own memory has the data too
		}
		if bytes := max(len(path), n.dataBytes()); bytes > x.FieldBytes {
			x.FieldBytes, x.Largest = bytes, strings.Clone(path)
		}
		return true
	})
	v.acls.live.Scan(func(e aclEntry) bool {
		for _, entry := range e.list {
			if bytes := max(len(entry.ID.Scheme), len(entry.ID.ID)); bytes > x.FieldBytes {
				x.FieldBytes, x.Largest = bytes, "an ACL"
			}
		}
		return true
	})
	return x
}
