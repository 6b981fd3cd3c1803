package wire

import (
	"bytes"
	"maps"
	"os"
	"path"
	"slices"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/tools/compat/target"
)

// A kept tree is what a server says of every znode, as bytes: the bodies of getData, getACL and
// getChildren2.
type kept map[string][3][]byte

// compareKept kills both servers and compares what is there before and after: Meerkat on its own
// files and Java on a copy of them must say the same bytes as Meerkat did, and the Java server's
// own tree must be the same once masked.
func (d *duel) compareKept() {
	java, meerkat := d.java.readTree(), d.meerkat.readTree()
	d.compare("Java and Meerkat", d.java.maskTree(java), d.meerkat.maskTree(meerkat))
	d.java.server.Kill()
	d.meerkat.server.Kill()

	copied := &side{t: d.t, server: target.Prepare(d.t, true, rawLines...),
		sessions: map[[8]byte]int{}}
	if err := os.CopyFS(copied.server.DataDir(), os.DirFS(d.meerkat.server.DataDir())); err != nil {
		d.t.Fatal(err)
	}
	d.both(func(s *side) error { s.server.Restart(); return nil })
	copied.server.Restart()
	d.compare("Meerkat before and after kill -9", meerkat, d.meerkat.readTree())
	d.compare("Meerkat and Java on its files", meerkat, copied.readTree())
	d.compare("Java before and after kill -9", java, d.java.readTree())
}

func (d *duel) compare(what string, want, got kept) {
	d.t.Helper()
	if len(want) < 4 {
		d.t.Errorf("%s: only %d znodes", what, len(want))
	}
	for _, path := range slices.Sorted(maps.Keys(want)) {
		for i, body := range want[path] {
			if other := got[path][i]; !bytes.Equal(body, other) {
				d.t.Errorf("%s: %s of %q\n%x\n%x", what, [...]string{"data", "ACL", "children"}[i],
					path, body, other)
			}
		}
	}
	for _, path := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[path]; !ok {
			d.t.Errorf("%s: %q is there too", what, path)
		}
	}
	d.t.Logf("%s: %d znodes", what, len(want))
}

// readTree walks over all znodes, by a session of its own that may see everything.
func (s *side) readTree() kept {
	s.t.Helper()
	s.links[slotSuper] = nil
	if _, err := s.attach(slotSuper); err != nil {
		s.t.Fatal(err)
	}
	k, tree := s.links[slotSuper], kept{}
	for open := []string{"/"}; len(open) > 0; {
		at := open[0]
		open = open[1:]
		var bodies [3][]byte
		for i, op := range []proto.Op{proto.OpGetData, proto.OpGetACL, proto.OpGetChildren2} {
			var body record = &proto.PathWatch{Path: at}
			if op == proto.OpGetACL {
				body = &proto.PathOnly{Path: at}
			}
			a := k.ask(op, encode(&proto.RequestHeader{Xid: 1, Op: op}, body))
			if len(a.frames) != 1 || len(a.frames[0]) <= replyHeaderBytes {
				s.t.Fatalf("%v of %q: %s", op, at, a.show())
			}
			bodies[i] = inOrder(op, a.frames[0][replyHeaderBytes:])
		}
		tree[at] = bodies
		var children proto.ChildrenStat
		in := jute.Reader(bodies[2])
		children.Fields(&in)
		for _, name := range children.Children {
			open = append(open, path.Join(at, name))
		}
	}
	return tree
}

func (s *side) maskTree(tree kept) kept {
	masked := kept{}
	for path, bodies := range tree {
		for i := range bodies {
			bodies[i] = s.maskBytes(bodies[i])
		}
		masked[path] = bodies
	}
	return masked
}
