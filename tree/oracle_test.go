package tree

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/meerkat-zk/meerkat/proto"
	"pgregory.net/rapid"
)

var (
	oraclePaths = []string{"/a", "/b", "/é", "/a/a", "/a/b", "/a/b/a", "/a/b/b", "/b/a", "/b/c",
		"/ab", "/zookeeper/x", "/zookeeper/config", "/zookeeper/quota/a",
		"/zookeeper/quota/a/zookeeper_limits", "/zookeeper/quota/a/zookeeper_stats",
		"/zookeeper/quota/a/b", "/zookeeper/quota/a/b/zookeeper_limits",
		"/zookeeper/quota/a/b/zookeeper_stats"}
	oracleACLs = [][]proto.ACL{nil, proto.OpenACL, {},
		{{Perms: 1, ID: proto.ID{Scheme: "world", ID: "anyone"}}},
		{{Perms: 31, ID: proto.ID{Scheme: "digest", ID: "u:x"}}},
		{{Perms: 31, ID: proto.ID{Scheme: "digest", ID: "u:x"}},
			{Perms: 1, ID: proto.ID{Scheme: "ip", ID: "10.0.0.0/8"}}}}
	oracleOps = []proto.Op{proto.OpCreate, proto.OpCreate, proto.OpCreate2, proto.OpCreate2,
		proto.OpCreateContainer, proto.OpCreateTTL, proto.OpDelete, proto.OpDelete,
		proto.OpSetData, proto.OpSetACL}
)

// drawPart draws an operation, with memory of its own that the caller may overwrite later.
func drawPart(t *rapid.T, m *model) proto.Part {
	p := proto.Part{Type: rapid.SampledFrom(oracleOps).Draw(t, "op")}
	b := &p.Body
	b.Path = rapid.SampledFrom(oraclePaths).Draw(t, "path")
	if p.Type == proto.OpSetData || p.Type == proto.OpSetACL {
		b.Path = rapid.SampledFrom(append(oraclePaths, "/", "/zookeeper")).Draw(t, "path")
	}
	b.ACL = rapid.SampledFrom(oracleACLs).Draw(t, "acl")
	if size := rapid.IntRange(-1, 40).Draw(t, "size"); size >= 0 {
		b.Data = bytes.Repeat([]byte{'d'}, size)
	}
	b.Ephemeral = rapid.IntRange(0, 3).Draw(t, "ephemeral") == 0
	b.TTL = rapid.Int64Range(1, 1000).Draw(t, "ttl")
	b.Version = rapid.Int32Range(-3, 3).Draw(t, "version")
	b.ParentCversion = -1
	if p.Type != proto.OpSetData && p.Type != proto.OpSetACL {
		parent, _ := cutPath(b.Path)
		b.ParentCversion = m.nodes[parent].stat.Cversion + rapid.Int32Range(-1, 1).Draw(t, "cv")
	}
	return p
}

func drawTxn(t *rapid.T, m *model) *proto.Txn {
	txn := &proto.Txn{Header: proto.TxnHeader{
		ClientID: rapid.Int64Range(-2, 2).Draw(t, "session"),
		Zxid:     m.zxid + proto.Zxid(rapid.IntRange(0, 2).Draw(t, "step")),
		Time:     rapid.Int64Range(0, 9).Draw(t, "time"),
	}}
	switch rapid.IntRange(0, 9).Draw(t, "kind") {
	case 0:
		txn.Header.Type = proto.OpCreateSession
		txn.Body.TimeOut = rapid.Int32Range(-1, 9).Draw(t, "timeout")
	case 1:
		txn.Header.Type = proto.OpCloseSession
		if rapid.Bool().Draw(t, "listed") {
			txn.Body.Paths = append([]string{}, m.ephemerals(txn.Header.ClientID)...)
			txn.Body.Paths = append(txn.Body.Paths[:len(txn.Body.Paths)/2], "/a/missing")
		}
	case 2:
		txn.Header.Type = proto.OpMulti
		for range rapid.IntRange(0, 6).Draw(t, "parts") {
			txn.Body.Parts = append(txn.Body.Parts, drawPart(t, m))
		}
		if rapid.IntRange(0, 5).Draw(t, "bad") == 0 {
			txn.Body.Parts = append(txn.Body.Parts, proto.Part{Type: proto.OpError})
		}
	case 3:
		txn.Header.Type = proto.OpError
	default:
		p := drawPart(t, m)
		txn.Header.Type, txn.Body = p.Type, p.Body
	}
	return txn
}

// applyTxn is Head.Apply for the model; the code is that of the first part that fails.
func (m *model) applyTxn(t *proto.Txn) (code proto.Code) {
	before := m.clone()
	parts := []proto.Part{{Type: t.Header.Type, Body: t.Body}}
	if t.Header.Type == proto.OpMulti {
		parts = t.Body.Parts
	}
	for _, p := range parts {
		if p.Type == proto.OpError {
			parts = nil
		}
	}
	for _, p := range parts {
		if code = m.apply(&t.Header, p.Type, &p.Body); code != proto.OK && !m.tolerant {
			*m = *before
			break
		}
		code = proto.OK
	}
	m.zxid = max(m.zxid, t.Header.Zxid)
	return code
}

func codeOf(err error) proto.Code {
	if e := (*Error)(nil); errors.As(err, &e) {
		return e.Code
	}
	return proto.OK
}

// An oracle is a head, its model, and the roots frozen on the way with what they were.
type oracle struct {
	h     *Head
	m     *model
	roots []*Root
	texts []string
}

func (o *oracle) compare(t *rapid.T) {
	if got, want := printView(&o.h.View), o.m.print(); got != want {
		t.Fatalf("the tree differs:\n%s", firstDifference(got, want))
	}
	if err := sane(o.h); err != nil {
		t.Fatal(err)
	}
	for _, p := range oraclePaths {
		if q, _ := o.h.quotaPrefix(p); q != o.m.quotaFor(p) {
			t.Fatalf("quota of %s is %q, want %q", p, q, o.m.quotaFor(p))
		}
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("got  %s\nwant %s", g[i], w[i])
		}
	}
	return fmt.Sprintf("got %d lines, want %d", len(g), len(w))
}

// step applies one transaction to both, or the parts of one with a rollback.
func (o *oracle) step(t *rapid.T) {
	txn := drawTxn(t, o.m)
	if rapid.IntRange(0, 4).Draw(t, "rollback") == 0 {
		o.h.Begin()
		for range rapid.IntRange(0, 8).Draw(t, "parts") {
			p := drawPart(t, o.m)
			_, _ = o.h.ApplyPart(&txn.Header, p.Type, &p.Body, nil)
		}
		if txn.Header.Type == proto.OpCreateSession || txn.Header.Type == proto.OpCloseSession {
			_, _ = o.h.ApplyPart(&txn.Header, txn.Header.Type, &txn.Body, nil)
		}
		o.h.Rollback()
		o.compare(t)
	}
	want := o.m.applyTxn(txn)
	var ev []Event
	if got := codeOf(o.h.Apply(txn, &ev)); got != want {
		t.Fatalf("%v %+v gives %v, want %v", txn.Header, txn.Body, got, want)
	}
	if want != proto.OK && len(ev) > 0 {
		t.Fatalf("events %v of a transaction that failed", ev)
	}
	for i := range txn.Body.Data { // the tree must not alias it
		txn.Body.Data[i] = '!'
	}
	o.compare(t)
}

// reload writes the tree as a snapshot and goes on with what is read back.
func (o *oracle) reload(t *rapid.T) {
	var b bytes.Buffer
	opts := SnapshotOptions{Digest: rapid.Bool().Draw(t, "digest"),
		LastZxid: rapid.Bool().Draw(t, "zxid")}
	root := o.h.Freeze()
	if err := root.WriteSnapshot(&b, opts); err != nil {
		t.Fatal(err)
	}
	h, err := ReadSnapshot(&b, root.Zxid(), o.m.opts)
	if err != nil {
		t.Fatal(err)
	}
	if z, d, ok := h.LoadedDigest(); ok && (z != root.Zxid() || d != root.Digest()) {
		t.Fatalf("digest %#x at %v", d, z)
	}
	h.SetTolerant(o.m.tolerant)
	o.h = h
	for q := range o.m.quotas {
		o.m.recount(q)
	}
	o.compare(t)
}

func checkOracle(t *testing.T, opts Options, tolerant bool) {
	rapid.Check(t, func(t *rapid.T) {
		o := oracle{h: NewHead(opts), m: newModel(opts)}
		o.h.SetTolerant(tolerant)
		o.m.tolerant = tolerant
		o.compare(t)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "do") {
			case 0:
				o.roots = append(o.roots, o.h.Freeze())
				o.texts = append(o.texts, o.m.print())
			case 1:
				o.reload(t)
			default:
				o.step(t)
			}
		}
		for i, r := range o.roots {
			if got := printView(&r.View); got != o.texts[i] {
				t.Fatalf("root %d changed:\n%s", i, firstDifference(got, o.texts[i]))
			}
		}
	})
}

func TestOracle(t *testing.T)         { checkOracle(t, Options{}, false) }
func TestOracleExtended(t *testing.T) { checkOracle(t, Options{ExtendedTypes: true}, false) }
func TestOracleTolerant(t *testing.T) { checkOracle(t, Options{}, true) }

// Many siblings over many btree nodes: the scan stays whole while a walk goes on after
// walkStride of them.
func TestManyChildren(t *testing.T) {
	h := NewHead(Options{})
	var want []string
	for i := range 1000 {
		path := fmt.Sprintf("/n%d", i)
		want = append(want, path)
		b := proto.Body{Path: path, ParentCversion: -1}
		if _, err := h.ApplyPart(&proto.TxnHeader{}, proto.OpCreate, &b, nil); err != nil {
			t.Fatal(err)
		}
		for j := range i % 3 {
			b.Path = fmt.Sprintf("%s/%d", path, j)
			want = append(want, b.Path)
			if _, err := h.ApplyPart(&proto.TxnHeader{}, proto.OpCreate, &b, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := sane(h); err != nil {
		t.Fatal(err)
	}
	got := []string{}
	h.Descendants("/", func(n *Node) bool {
		if !strings.HasPrefix(n.Path(), procPath) {
			got = append(got, n.Path())
		}
		return true
	})
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("walked over %d, want %d", len(got), len(want))
	}
	if n := h.CountDescendants("/n998"); n != 2 {
		t.Fatalf("%d below /n998", n)
	}
	visits := 0
	h.Descendants("/", func(*Node) bool { visits++; return visits < 200 })
	if visits != 200 {
		t.Fatalf("%d visits after a stop at 200", visits)
	}
}
