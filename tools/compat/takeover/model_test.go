package takeover

import (
	"fmt"
	"path"
	"strings"

	"github.com/meerkat-zk/meerkat/proto"
)

// unknown stands for a zxid whose reply did not come.
const unknown proto.Zxid = -1

// A znode is what a model or a dump knows of one. Times are in dumps alone.
type znode struct {
	data                      string
	acl                       string
	czxid, mzxid, pzxid       proto.Zxid
	ctime, mtime              int64
	version, aversion         int32
	cversion                  int32 // stored: how many children were created
	children                  int32
	owner                     int64
	shownCversion, dataLength int32 // in dumps
	storedOwner               int64 // in Java's dumps
	hasStored                 bool
}

// An op is a write request. Its ACL is a list's text, see aclOf.
type op struct {
	op      proto.Op
	path    string // of a sequential create: without its number
	data    string
	acl     string
	flags   int32
	ttl     int64
	version int32
	parts   []op
}

// The bits and numbers of CreateMode that matter here.
const (
	flagEphemeral  = 1
	flagSequential = 2
	flagContainer  = 4
	flagTTL        = 5
)

func (o *op) isCreate() bool {
	switch o.op {
	case proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer, proto.OpCreateTTL:
		return true
	}
	return false
}

// body is the request's record, or that of a part of a multi.
func (o *op) body() record {
	switch {
	case o.isCreate():
		r := proto.CreateRequest{Path: o.path, Data: []byte(o.data), ACL: aclOf(o.acl),
			Flags: o.flags}
		if o.op == proto.OpCreateTTL {
			return &proto.CreateTTLRequest{CreateRequest: r, TTL: o.ttl}
		}
		return &r
	case o.op == proto.OpSetData:
		return &proto.SetDataRequest{Path: o.path, Data: []byte(o.data), Version: o.version}
	case o.op == proto.OpSetACL:
		return &proto.SetACLRequest{Path: o.path, ACL: aclOf(o.acl), Version: o.version}
	default:
		return &proto.PathVersion{Path: o.path, Version: o.version}
	}
}

// records is what follows the request's header.
func (o *op) records() []record {
	if o.op != proto.OpMulti {
		return []record{o.body()}
	}
	var list []record
	for i := range o.parts {
		list = append(list, &proto.MultiHeader{Op: o.parts[i].op, Err: -1}, o.parts[i].body())
	}
	end := proto.MultiEnd
	return append(list, &end)
}

// aclOf makes a list of its text, "perms:scheme:id ..." as dumps have it.
func aclOf(text string) []proto.ACL {
	var list []proto.ACL
	for one := range strings.FieldsSeq(text) {
		parts := strings.SplitN(one, ":", 3)
		var perms int32
		if _, err := fmt.Sscan(parts[0], &perms); err != nil {
			panic(err)
		}
		list = append(list, proto.ACL{Perms: perms, ID: proto.ID{Scheme: parts[1], ID: parts[2]}})
	}
	return list
}

// A model is a map of what is below one path: the second, dumb implementation.
type model struct {
	root    string
	session int64
	nodes   map[string]*znode
	undo    []change // what the last operation changed, oldest first
}

type change struct {
	path string
	was  *znode
}

func newModel(root string, session int64) *model {
	return &model{root: root, session: session, nodes: map[string]*znode{}}
}

// touch makes a znode changeable and remembers what it was.
func (m *model) touch(path string) *znode {
	was := m.nodes[path]
	m.undo = append(m.undo, change{path, was})
	n := new(znode)
	if was != nil {
		*n = *was
	}
	m.nodes[path] = n
	return n
}

func (m *model) remove(path string) {
	m.undo = append(m.undo, change{path, m.nodes[path]})
	delete(m.nodes, path)
}

// apply does an operation; z is unknown when its reply did not come. What a session other than
// its own does, and time, the model does not see.
func (m *model) apply(o *op, z proto.Zxid) proto.Code {
	m.undo = m.undo[:0]
	if o.op != proto.OpMulti {
		_, code := m.one(o, z)
		return code
	}
	for i := range o.parts {
		if _, code := m.one(&o.parts[i], z); code != proto.OK {
			for len(m.undo) > 0 {
				last := m.undo[len(m.undo)-1]
				m.undo = m.undo[:len(m.undo)-1]
				if m.nodes[last.path] = last.was; last.was == nil {
					delete(m.nodes, last.path)
				}
			}
			return code
		}
	}
	return proto.OK
}

// one does a single operation and returns the path that it was about.
func (m *model) one(o *op, z proto.Zxid) (string, proto.Code) {
	if o.isCreate() {
		return m.create(o, z)
	}
	n := m.nodes[o.path]
	if n == nil {
		return o.path, proto.ErrNoNode
	}
	version := n.version
	if o.op == proto.OpSetACL {
		version = n.aversion
	}
	if o.version != -1 && o.version != version {
		return o.path, proto.ErrBadVersion
	}
	switch o.op {
	case proto.OpDelete:
		if n.children > 0 {
			return o.path, proto.ErrNotEmpty
		}
		m.remove(o.path)
		parent := m.touch(path.Dir(o.path))
		parent.children--
		parent.pzxid = z
	case proto.OpSetData:
		n = m.touch(o.path)
		n.data, n.mzxid = o.data, z
		n.version++
	case proto.OpSetACL:
		n = m.touch(o.path)
		n.acl = o.acl
		n.aversion++
	}
	return o.path, proto.OK
}

func (m *model) create(o *op, z proto.Zxid) (string, proto.Code) {
	parentPath := path.Dir(o.path)
	parent := m.nodes[parentPath]
	if parent == nil {
		return o.path, proto.ErrNoNode
	}
	at := o.path
	if o.flags == flagSequential {
		at += fmt.Sprintf("%010d", parent.cversion)
	}
	switch {
	case m.nodes[at] != nil:
		return at, proto.ErrNodeExists
	case parent.owner != 0:
		return at, proto.ErrNoChildrenForEphemerals
	}
	n := m.touch(at)
	n.data, n.acl = o.data, o.acl
	n.czxid, n.mzxid, n.pzxid = z, z, z
	if o.flags == flagEphemeral {
		n.owner = m.session
	}
	parent = m.touch(parentPath)
	parent.children++
	parent.cversion++
	parent.pzxid = z
	return at, proto.OK
}

// differs says what a dump has otherwise at a path, "" for nothing.
func (m *model) differs(path string, d *dump) string {
	want, got := m.nodes[path], d.nodes[path]
	switch {
	case want == nil && got == nil:
		return ""
	case want == nil:
		return "there, and should not be"
	case got == nil:
		return "lost"
	}
	var b strings.Builder
	note := func(name string, same bool, want, got any) {
		if !same {
			fmt.Fprintf(&b, "%s is %v, not %v; ", name, got, want)
		}
	}
	zxid := func(name string, want, got proto.Zxid) {
		note(name, want == unknown || want == got, want, got)
	}
	note("data", want.data == got.data, want.data, got.data)
	note("acl", want.acl == got.acl, want.acl, got.acl)
	note("version", want.version == got.version, want.version, got.version)
	note("aversion", want.aversion == got.aversion, want.aversion, got.aversion)
	cversion := want.cversion*2 - want.children
	note("cversion", cversion == got.shownCversion, cversion, got.shownCversion)
	note("children", want.children == got.children, want.children, got.children)
	note("owner", want.owner == got.owner, want.owner, got.owner)
	zxid("czxid", want.czxid, got.czxid)
	zxid("mzxid", want.mzxid, got.mzxid)
	zxid("pzxid", want.pzxid, got.pzxid)
	return b.String()
}

// settle finds how many of the operations in flight, counted from the front, a dump holds, and
// makes the model what the dump says. The error names differences that none explains.
func (m *model) settle(pending []op, d *dump) (counted int, err error) {
	wrong := map[string]string{}
	look := func(path string) {
		delete(wrong, path)
		if text := m.differs(path, d); text != "" {
			wrong[path] = text
		}
	}
	for path := range m.nodes {
		look(path)
	}
	for path := range d.nodes {
		if path == m.root || strings.HasPrefix(path, m.root+"/") {
			look(path)
		}
	}
	first := describe(wrong)
	for len(wrong) > 0 && counted < len(pending) {
		m.apply(&pending[counted], unknown)
		counted++
		for _, c := range m.undo {
			look(c.path)
		}
	}
	if len(wrong) > 0 {
		return counted, fmt.Errorf("%s: %d in flight; before them: %s; after them: %s", m.root,
			len(pending), first, describe(wrong))
	}
	for path, n := range m.nodes {
		got := d.nodes[path]
		n.czxid, n.mzxid, n.pzxid = got.czxid, got.mzxid, got.pzxid
	}
	return counted, nil
}

// describe names some of the differences.
func describe(wrong map[string]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d paths differ", len(wrong))
	left := 5
	for path, text := range wrong {
		if left--; left < 0 {
			break
		}
		fmt.Fprintf(&b, "\n\t%s: %s", path, text)
	}
	return b.String()
}
