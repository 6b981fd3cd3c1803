package tree

import (
	"bytes"
	"hash/adler32"
	"slices"
	"strings"
	"testing"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
	"pgregory.net/rapid"
)

// A server of Java writes a snapshot while transactions change the tree: sessions first, then
// the table of ACLs, then each znode as it is when its turn comes, below the children that its
// parent had at its own turn (SerializeUtils.serializeSnapshot, DataTree.serializeNode). What
// is read of such a file, with the log from the snapshot's zxid on, must be the very tree that
// the history makes.

// A history is transactions that apply, and the live tree while they do.
type history struct {
	t    *rapid.T
	live *Head
	txns []*proto.Txn
	todo []func() // the rest of the last transaction, in steps that a snapshot may fall between
}

var fuzzyPaths = []string{"/a", "/b", "/a/a", "/a/b", "/a/b/a", "/a/b/b", "/b/a", "/b/c",
	"/zookeeper/quota/a", "/zookeeper/quota/a/zookeeper_limits",
	"/zookeeper/quota/a/zookeeper_stats"}

// part draws an operation that applies to the live tree; nil when it found none. A quota has
// its limits before its usage, and longer, as zkCli.sh makes it: else Java's usage is not the
// usage anyway.
func (y *history) part() *proto.Part {
	h := y.live
	b := proto.Body{Path: rapid.SampledFrom(fuzzyPaths).Draw(y.t, "path")}
	n := h.Get(b.Path)
	parentPath, name := cutPath(b.Path)
	if name == statsName && h.Get(parentPath+"/"+limitsName) == nil ||
		name == limitsName && n != nil && h.Get(parentPath+"/"+statsName) != nil {
		return nil
	}
	if n == nil {
		parent := h.Get(parentPath)
		if parent == nil || parent.Kind() == Ephemeral {
			return nil
		}
		op := rapid.SampledFrom([]proto.Op{proto.OpCreate, proto.OpCreate, proto.OpCreate2,
			proto.OpCreateContainer, proto.OpCreateTTL}).Draw(y.t, "create")
		b.Data, b.TTL = []byte("new"), 1000
		b.ACL = y.acl()
		b.ParentCversion = parent.StoredCversion() + 1
		b.Ephemeral = rapid.Bool().Draw(y.t, "ephemeral") && !strings.HasPrefix(b.Path, quotaPath)
		return &proto.Part{Type: op, Body: b}
	}
	switch rapid.IntRange(0, 4).Draw(y.t, "change") {
	case 0:
		if name != statsName { // the usage is the server's
			b.Data, b.Version = []byte("set"), n.Version()+1
			return &proto.Part{Type: proto.OpSetData, Body: b}
		}
	case 1:
		b.ACL, b.Version = y.acl(), n.Aversion()+1
		return &proto.Part{Type: proto.OpSetACL, Body: b}
	default:
		if n.NumChildren() == 0 {
			return &proto.Part{Type: proto.OpDelete, Body: b}
		}
	}
	return nil
}

// acl is one of few lists, so that several znodes share those that come and go.
func (y *history) acl() []proto.ACL {
	n := rapid.IntRange(0, 5).Draw(y.t, "acl")
	if n == 0 {
		return proto.OpenACL
	}
	return []proto.ACL{{Perms: int32(n), ID: proto.ID{Scheme: "world", ID: "anyone"}}}
}

// draw makes the next transaction, if it finds one, and leaves its steps in todo.
func (y *history) draw() {
	zxid := y.live.Zxid() + 1
	session := rapid.Int64Range(1, 3).Draw(y.t, "session")
	txn := &proto.Txn{Header: proto.TxnHeader{ClientID: session, Zxid: zxid, Time: int64(zxid)}}
	h, hdr, body := y.live, &txn.Header, &txn.Body
	_, open := h.Session(session)
	step := func(do func()) { y.todo = append(y.todo, do) }
	apply := func(op proto.Op, b *proto.Body) {
		step(func() {
			if _, err := h.ApplyPart(hdr, op, b, nil); err != nil {
				y.t.Fatal(err)
			}
		})
	}
	kind := rapid.IntRange(0, 9).Draw(y.t, "kind")
	switch {
	case !open:
		hdr.Type, body.TimeOut = proto.OpCreateSession, 4000
		apply(hdr.Type, body)
	case kind == 0:
		hdr.Type = proto.OpCloseSession
		h.Ephemerals(session, func(p string) bool { body.Paths = append(body.Paths, p); return true })
		// SessionTracker forgets it first, then its znodes go, one by one.
		step(func() { h.dropSession(session) })
		for _, p := range body.Paths {
			step(func() { h.remove(p, zxid, true, nil) })
		}
	case kind < 3:
		hdr.Type = proto.OpMulti
		body.Parts = y.multi(hdr)
		for i := range body.Parts {
			apply(body.Parts[i].Type, &body.Parts[i].Body)
		}
	default:
		p := y.part()
		if p == nil {
			return
		}
		hdr.Type, txn.Body = p.Type, p.Body
		apply(hdr.Type, body)
	}
	step(func() { h.Advance(zxid) })
	y.txns = append(y.txns, txn)
}

// multi draws parts of which each sees the ones before it.
func (y *history) multi(hdr *proto.TxnHeader) (parts []proto.Part) {
	y.live.Begin()
	defer y.live.Rollback()
	for range rapid.IntRange(1, 6).Draw(y.t, "parts") {
		if p := y.part(); p != nil {
			parts = append(parts, *p)
			if _, err := y.live.ApplyPart(hdr, p.Type, &p.Body, nil); err != nil {
				y.t.Fatal(err)
			}
		}
	}
	return parts
}

// goOn lets some steps of the history happen.
func (y *history) goOn(atMost int) {
	for range rapid.IntRange(0, atMost).Draw(y.t, "steps") {
		if len(y.todo) == 0 {
			y.draw()
		}
		if len(y.todo) > 0 {
			y.todo[0]()
			y.todo = y.todo[1:]
		}
	}
}

func (y *history) finish() {
	for ; len(y.todo) > 0; y.todo = y.todo[1:] {
		y.todo[0]()
	}
}

// snapshot writes one as Java does, while the history goes on.
func (y *history) snapshot() []byte {
	var b bytes.Buffer
	s := snapshotWriter{w: &b, sum: adler32.New()}
	magic, version, dbid := snapshotMagic, snapshotVersion, snapshotDBID
	s.code(func(c *jute.Coder) {
		c.Int(&magic)
		c.Int(&version)
		c.Long(&dbid)
	})
	y.goOn(3)
	s.count(y.live.SessionCount())
	y.live.Sessions(func(id int64, ms int32) bool {
		s.code(func(c *jute.Coder) {
			c.Long(&id)
			c.Int(&ms)
		})
		return true
	})
	y.goOn(5)
	s.count(y.live.ACLCount())
	y.live.acls.live.Scan(func(e aclEntry) bool {
		s.code(func(c *jute.Coder) {
			c.Long(&e.id)
			proto.ACLs(c, &e.list)
		})
		return true
	})
	y.goOn(5)
	y.node(&s, "/")
	end := snapshotEnd
	s.code(func(c *jute.Coder) { c.String(&end) })
	s.seal()
	s.flush()
	return b.Bytes()
}

func (y *history) node(s *snapshotWriter, path string) {
	n := y.live.Get(path)
	if n == nil {
		return
	}
	s.node(n)
	var names []string
	y.live.Children(path, func(name string, _ *Node) bool { names = append(names, name); return true })
	slices.Sort(names)
	for _, name := range rapid.Permutation(names).Draw(y.t, "order") {
		y.goOn(5)
		if path == "/" {
			y.node(s, "/"+name)
		} else {
			y.node(s, path+"/"+name)
		}
	}
}

func TestFuzzySnapshot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		y := &history{t: t, live: NewHead(Options{ExtendedTypes: true})}
		y.goOn(60)
		y.finish()
		from := y.live.Zxid()
		file := y.snapshot()
		y.goOn(10)
		y.finish()

		h, err := ReadSnapshot(bytes.NewReader(file), from, Options{ExtendedTypes: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, txn := range y.txns {
			if txn.Header.Zxid > from {
				if err := h.Apply(txn, nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		if got, want := printView(&h.View), printView(&y.live.View); got != want {
			t.Fatalf("from %v to %v:\n%s", from, y.live.Zxid(), firstDifference(got, want))
		}
		if err := sane(h); err != nil {
			t.Fatal(err)
		}
	})
}
