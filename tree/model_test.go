package tree

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strings"

	"github.com/meerkat-zk/meerkat/proto"
)

// A model is the tree as a map, dumb and slow: the oracle. Everything but znodes, sessions and
// registered quotas is worked out when asked for.
type model struct {
	nodes    map[string]mnode
	sessions map[int64]int32
	quotas   map[string]bool
	zxid     proto.Zxid
	tolerant bool
	opts     Options
}

type mnode struct {
	data []byte
	stat proto.StatPersisted
	acl  string // printed; "" is open
}

func newModel(o Options) *model {
	m := &model{nodes: map[string]mnode{}, sessions: map[int64]int32{},
		quotas: map[string]bool{}, opts: o}
	for _, path := range []string{"", "/zookeeper", "/zookeeper/quota"} {
		m.nodes[path] = mnode{data: []byte{}}
	}
	m.nodes["/zookeeper/config"] = mnode{data: []byte{},
		stat: proto.StatPersisted{Aversion: -1}, acl: "acl:1:world:anyone;"}
	return m
}

func (m *model) clone() *model {
	c := *m
	c.nodes, c.sessions, c.quotas = maps.Clone(m.nodes), maps.Clone(m.sessions), maps.Clone(m.quotas)
	return &c
}

func printACL(list []proto.ACL) string {
	if list == nil || len(list) == 1 && list[0] == proto.OpenACL[0] {
		return ""
	}
	s := "acl:"
	for _, a := range list {
		s += fmt.Sprintf("%d:%s:%s;", a.Perms, a.ID.Scheme, a.ID.ID)
	}
	return s
}

func cutPath(path string) (parent, name string) {
	i := strings.LastIndex(path, "/")
	return path[:i], path[i+1:]
}

// apply applies one operation; an error code leaves the model as the tree should be.
func (m *model) apply(hdr *proto.TxnHeader, op proto.Op, b *proto.Body) proto.Code {
	path := b.Path
	switch op {
	case proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer, proto.OpCreateTTL:
		return m.create(hdr, op, b)
	case proto.OpDelete, proto.OpDeleteContainer:
		return m.remove(hdr, path, m.tolerant)
	case proto.OpSetData, proto.OpReconfig:
		n, ok := m.nodes[strings.TrimSuffix(path, "/")]
		if !ok {
			return proto.ErrNoNode
		}
		grown := len(b.Data) - len(n.data)
		n.data = bytes.Clone(b.Data)
		n.stat.Version, n.stat.Mzxid, n.stat.Mtime = b.Version, hdr.Zxid, hdr.Time
		m.nodes[strings.TrimSuffix(path, "/")] = n
		m.charge(path, grown, 0)
	case proto.OpSetACL:
		n, ok := m.nodes[strings.TrimSuffix(path, "/")]
		if !ok {
			return proto.ErrNoNode
		}
		n.stat.Aversion, n.acl = b.Version, printACL(b.ACL)
		m.nodes[strings.TrimSuffix(path, "/")] = n
	case proto.OpCreateSession:
		m.sessions[hdr.ClientID] = b.TimeOut
	case proto.OpCloseSession:
		for _, p := range b.Paths {
			m.remove(hdr, p, true)
		}
		for _, p := range m.ephemerals(hdr.ClientID) {
			m.remove(hdr, p, true)
		}
		delete(m.sessions, hdr.ClientID)
	}
	return proto.OK
}

func (m *model) create(hdr *proto.TxnHeader, op proto.Op, b *proto.Body) proto.Code {
	var owner int64
	switch {
	case op == proto.OpCreateContainer:
		owner = -1 << 63
	case op == proto.OpCreateTTL:
		owner = -1<<56 | b.TTL
	case b.Ephemeral:
		owner = hdr.ClientID
	}
	if m.opts.Kind(owner) == unknownKind {
		return proto.ErrBadArguments
	}
	parentPath, name := cutPath(b.Path)
	parent, ok := m.nodes[parentPath]
	if !ok {
		return proto.ErrNoNode
	}
	raise := func() {
		v := b.ParentCversion
		if v == -1 {
			v = parent.stat.Cversion + 1
		}
		if v > parent.stat.Cversion {
			parent.stat.Cversion, parent.stat.Pzxid = v, hdr.Zxid
		}
		m.nodes[parentPath] = parent
	}
	if n, ok := m.nodes[b.Path]; ok {
		if m.tolerant {
			n.acl = printACL(b.ACL)
			m.nodes[b.Path] = n
			raise()
			if q, ok := strings.CutPrefix(parentPath, "/zookeeper/quota"); ok && q != "" &&
				name == "zookeeper_stats" {
				m.recount(q)
			}
		}
		return proto.ErrNodeExists
	}
	raise()
	m.nodes[b.Path] = mnode{data: bytes.Clone(b.Data), acl: printACL(b.ACL),
		stat: proto.StatPersisted{Czxid: hdr.Zxid, Mzxid: hdr.Zxid, Pzxid: hdr.Zxid,
			Ctime: hdr.Time, Mtime: hdr.Time, EphemeralOwner: owner}}
	if q, ok := strings.CutPrefix(parentPath, "/zookeeper/quota"); ok && q != "" {
		if name == "zookeeper_limits" {
			m.quotas[q] = true
		}
		if name == "zookeeper_stats" {
			m.recount(q)
		}
	}
	m.charge(b.Path, len(b.Data), 1)
	return proto.OK
}

func (m *model) remove(hdr *proto.TxnHeader, path string, lenient bool) proto.Code {
	parentPath, _ := cutPath(path)
	if _, ok := m.nodes[parentPath]; !ok {
		return proto.ErrNoNode
	}
	_, ok := m.nodes[path]
	if !lenient && !ok {
		return proto.ErrNoNode
	}
	if !lenient && len(m.children(path)) > 0 {
		return proto.ErrNotEmpty
	}
	below := slices.Sorted(maps.Keys(m.nodes))
	for _, p := range slices.Backward(below) {
		if strings.HasPrefix(p, path+"/") {
			m.drop(p)
		}
	}
	parent := m.nodes[parentPath] // its usage may have been counted just now
	parent.stat.Pzxid = max(parent.stat.Pzxid, hdr.Zxid)
	m.nodes[parentPath] = parent
	if !ok {
		return proto.ErrNoNode
	}
	m.drop(path)
	return proto.OK
}

// drop takes one znode out of the map.
func (m *model) drop(path string) {
	n := m.nodes[path]
	delete(m.nodes, path)
	parent, name := cutPath(path)
	if q, ok := strings.CutPrefix(parent, "/zookeeper/quota"); ok && name == "zookeeper_limits" {
		delete(m.quotas, q)
	}
	m.charge(path, -len(n.data), -1)
}

func (m *model) quotaFor(path string) string {
	best := ""
	for q := range m.quotas {
		if (path == q || strings.HasPrefix(path, q+"/")) && len(q) > len(best) {
			best = q
		}
	}
	return best
}

func (m *model) charge(path string, bytes, count int) {
	q := m.quotaFor(path)
	stats := "/zookeeper/quota" + q + "/zookeeper_stats"
	n, ok := m.nodes[stats]
	if q == "" || !ok {
		return
	}
	c, b := -1, -1
	fmt.Sscanf(string(n.data), "count=%d,bytes=%d", &c, &b)
	n.data = fmt.Appendf(nil, "count=%d,bytes=%d", c+count, b+bytes)
	m.nodes[stats] = n
}

func (m *model) recount(q string) {
	stats := "/zookeeper/quota" + q + "/zookeeper_stats"
	n, ok := m.nodes[stats]
	if !ok {
		return
	}
	count, size := 0, 0
	for path, n := range m.nodes {
		if path == q || strings.HasPrefix(path, q+"/") {
			count, size = count+1, size+len(n.data)
		}
	}
	n.data = fmt.Appendf(nil, "count=%d,bytes=%d", count, size)
	m.nodes[stats] = n
}

func (m *model) children(path string) []string {
	var names []string
	for p := range m.nodes {
		if p == "" {
			continue
		}
		if parent, name := cutPath(p); parent == path {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (m *model) owned(kind Kind, owner int64) []string {
	var paths []string
	for p, n := range m.nodes {
		o := n.stat.EphemeralOwner
		if m.opts.Kind(o) == kind && (kind != Ephemeral || o == owner) {
			paths = append(paths, p)
		}
	}
	slices.Sort(paths)
	return paths
}

func (m *model) ephemerals(id int64) []string { return m.owned(Ephemeral, id) }

func (m *model) digest() (sum uint64) {
	for path, n := range m.nodes {
		if strings.HasPrefix(path, "/zookeeper/") {
			continue
		}
		b := append([]byte(path), n.data...)
		s := n.stat
		for _, v := range []int64{int64(s.Czxid), int64(s.Mzxid), int64(s.Pzxid), s.Ctime, s.Mtime} {
			b = binary.BigEndian.AppendUint64(b, uint64(v))
		}
		for _, v := range []int32{s.Version, s.Cversion, s.Aversion} {
			b = binary.BigEndian.AppendUint32(b, uint32(v))
		}
		b = binary.BigEndian.AppendUint64(b, uint64(s.EphemeralOwner))
		sum += uint64(crc32.ChecksumIEEE(b))
	}
	return sum
}

// print renders everything that can be read of a tree: equal texts, equal trees.
func (m *model) print() string {
	var b strings.Builder
	acls := map[string]bool{}
	size := len("/") + len(m.nodes[""].data)
	for _, path := range slices.Sorted(maps.Keys(m.nodes)) {
		n := m.nodes[path]
		if n.acl != "" {
			acls[n.acl] = true
		}
		size += len([]rune(path)) + len(n.data)
		children := m.children(path)
		s := n.stat
		stat := proto.Stat{Czxid: s.Czxid, Mzxid: s.Mzxid, Ctime: s.Ctime, Mtime: s.Mtime,
			Version: s.Version, Cversion: 2*s.Cversion - int32(len(children)),
			Aversion: s.Aversion, DataLength: int32(len(n.data)),
			NumChildren: int32(len(children)), Pzxid: s.Pzxid}
		if m.opts.Kind(s.EphemeralOwner) == Ephemeral {
			stat.EphemeralOwner = s.EphemeralOwner
		}
		fmt.Fprintf(&b, "%q %#v %v %v %q %v\n", path, n.data, stat, s, n.acl, children)
	}
	owners := map[int64]bool{}
	ephemerals := 0
	for _, n := range m.nodes {
		if o := n.stat.EphemeralOwner; m.opts.Kind(o) == Ephemeral {
			owners[o] = true
			ephemerals++
		}
	}
	for _, o := range slices.Sorted(maps.Keys(owners)) {
		fmt.Fprintf(&b, "owner %d %v\n", o, m.ephemerals(o))
	}
	fmt.Fprintf(&b, "containers %v ttls %v\n", m.owned(Container, 0), m.owned(TTL, 0))
	for _, id := range slices.Sorted(maps.Keys(m.sessions)) {
		fmt.Fprintf(&b, "session %d %d\n", id, m.sessions[id])
	}
	fmt.Fprintf(&b, "zxid %v digest %#x nodes %d ephemerals %d bytes %d acls %d quotas %v\n",
		m.zxid, m.digest(), len(m.nodes)+1, ephemerals, size, len(acls),
		slices.Sorted(maps.Keys(m.quotas)))
	return b.String()
}

// printView is model.print for the real thing.
func printView(v *View) string {
	var b strings.Builder
	var all []string
	v.nodes.each(func(e entry) { all = append(all, e.node.Path()) })
	slices.Sort(all)
	for _, path := range all {
		n := v.Get(path)
		var children []string
		v.Children(path, func(name string, c *Node) bool {
			if c != v.Get(strings.TrimSuffix(path, "/")+"/"+name) {
				panic("child " + name + " of " + path)
			}
			children = append(children, name)
			return true
		})
		slices.Sort(children)
		shown := path
		if path == "/" {
			shown = ""
		}
		fmt.Fprintf(&b, "%q %#v %v %v %q %v\n", shown, n.Data(), n.Stat(), n.Persisted(),
			printACL(v.ACL(n)), children)
	}
	v.EphemeralOwners(func(o int64) bool {
		var paths []string
		v.Ephemerals(o, func(p string) bool { paths = append(paths, p); return true })
		fmt.Fprintf(&b, "owner %d %v\n", o, paths)
		return true
	})
	paths := func(visit func(func(*Node) bool)) (s []string) {
		visit(func(n *Node) bool { s = append(s, n.Path()); return true })
		return s
	}
	fmt.Fprintf(&b, "containers %v ttls %v\n", paths(v.Containers), paths(v.TTLs))
	v.Sessions(func(id int64, ms int32) bool {
		fmt.Fprintf(&b, "session %d %d\n", id, ms)
		return true
	})
	var quotas []string
	v.quotas.live.Scan(func(q string) bool { quotas = append(quotas, q); return true })
	fmt.Fprintf(&b, "zxid %v digest %#x nodes %d ephemerals %d bytes %d acls %d quotas %v\n",
		v.Zxid(), uint64(v.Digest()), v.NodeCount(), v.EphemeralCount(), v.DataSize(),
		v.ACLCount(), quotas)
	return b.String()
}

// sane checks what must hold between the head's own structures.
func sane(h *Head) error {
	uses := map[int64]int{}
	h.nodes.each(func(e entry) {
		if e.node.acl != openACL {
			uses[e.node.acl]++
		}
	})
	if len(uses) != len(h.aclUses.uses) || len(uses) != len(h.aclUses.ids) {
		return fmt.Errorf("%d ACLs in use, counted %v, ids %v", len(uses), h.aclUses.uses,
			h.aclUses.ids)
	}
	for id, u := range h.aclUses.uses {
		if uses[id] != u.nodes || h.aclUses.ids[u.encoded] != id || id > h.aclUses.last {
			return fmt.Errorf("ACL %d: %d nodes, counted %d", id, uses[id], u.nodes)
		}
	}
	seen := map[string]bool{"": true}
	var err error
	h.Descendants("/", func(n *Node) bool {
		parent, _ := cutPath(n.Path())
		if !seen[parent] || seen[n.Path()] {
			err = fmt.Errorf("walked to %s before %s, or twice", n.Path(), parent)
		}
		seen[n.Path()] = true
		return true
	})
	return err
}
