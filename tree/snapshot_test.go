package tree

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"io"
	"os"
	"runtime"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
)

// A rawSnapshot builds snapshots that no server would write.
type rawSnapshot struct{ bytes.Buffer }

func (r *rawSnapshot) int(v int32)   { binary.Write(r, binary.BigEndian, v) }
func (r *rawSnapshot) long(v int64)  { binary.Write(r, binary.BigEndian, v) }
func (r *rawSnapshot) text(s string) { r.int(int32(len(s))); r.WriteString(s) }

func (r *rawSnapshot) header() *rawSnapshot {
	r.int(snapshotMagic)
	r.int(2)
	r.long(-1)
	return r
}

func (r *rawSnapshot) node(path string, acl, owner int64) *rawSnapshot {
	r.text(path)
	r.text("data")
	r.long(acl)
	c := jute.Writer(nil)
	(&proto.StatPersisted{EphemeralOwner: owner}).Fields(&c)
	r.Write(c.Bytes())
	return r
}

func (r *rawSnapshot) seal() *rawSnapshot {
	r.long(int64(adler32.Checksum(r.Bytes())))
	r.text("/")
	return r
}

// start is a header, no sessions and no ACLs.
func start() *rawSnapshot {
	r := new(rawSnapshot).header()
	r.int(0)
	r.int(0)
	return r
}

func (r *rawSnapshot) end() *rawSnapshot {
	r.text("/")
	return r.seal()
}

func (r *rawSnapshot) with(f func(*rawSnapshot)) *rawSnapshot {
	f(r)
	return r
}

func TestReadSnapshotRefuses(t *testing.T) {
	root := func() *rawSnapshot { return start().node("", -1, 0) }
	for name, r := range map[string]*rawSnapshot{
		"empty":            new(rawSnapshot),
		"magic":            new(rawSnapshot).with(func(r *rawSnapshot) { r.long(0); r.long(0) }),
		"no root":          start().end(),
		"no parent":        root().node("/a/b", -1, 0).end(),
		"twice":            root().node("/a", -1, 0).node("/a", -1, 0).end(),
		"two roots":        root().node("", -1, 0).end(),
		"relative":         root().node("a", -1, 0).end(),
		"empty component":  root().node("//a", -1, 0).end(),
		"trailing slash":   root().node("/a", -1, 0).node("/a/", -1, 0).end(),
		"no end":           root().seal(),
		"no seal":          root().with(func(r *rawSnapshot) { r.text("/") }),
		"wrong seal":       root().with(func(r *rawSnapshot) { r.text("/"); r.long(1); r.text("/") }),
		"seal without end": root().with(func(r *rawSnapshot) { r.text("/"); r.long(1) }),
		"half a digest":    root().end().with(func(r *rawSnapshot) { r.long(1) }),
		"wrong digest seal": root().end().with(func(r *rawSnapshot) {
			r.long(1)
			r.int(2)
			r.long(3)
			r.long(4)
			r.text("/")
		}),
		"half a zxid": root().end().with(func(r *rawSnapshot) {
			r.long(1)
			r.int(2)
			r.long(3)
		}).seal().with(func(r *rawSnapshot) { r.int(1) }),
		"null path": root().with(func(r *rawSnapshot) { r.int(-1) }).node("/a", -1, 0).end(),
		"null ACL": new(rawSnapshot).header().with(func(r *rawSnapshot) {
			r.int(0)
			r.int(1)
			r.long(1)
			r.int(-1)
		}).node("", -1, 0).end(),
		"sessions without end": new(rawSnapshot).header().with(func(r *rawSnapshot) {
			r.int(1<<31 - 1)
			r.long(1)
		}),
		"ACLs without end": new(rawSnapshot).header().with(func(r *rawSnapshot) {
			r.int(0)
			r.int(1<<31 - 1)
			r.long(1)
			r.int(1<<31 - 1)
			r.int(31)
		}),
		"huge path":     start().with(func(r *rawSnapshot) { r.int(1<<31 - 1) }),
		"negative path": start().with(func(r *rawSnapshot) { r.int(-2) }),
		"long path":     start().with(func(r *rawSnapshot) { r.int(jute.BytesMax) }),
		"huge data":     start().with(func(r *rawSnapshot) { r.text(""); r.int(1<<31 - 1) }),
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			h, err := ReadSnapshot(&r.Buffer, 0, Options{})
			runtime.ReadMemStats(&after)
			if h != nil || !errors.Is(err, ErrSnapshot) {
				t.Fatalf("got %v, %v", h, err)
			}
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
				t.Fatalf("%d bytes allocated", grown)
			}
			t.Log(err)
		})
	}
}

func TestReadSnapshotExtendedOwner(t *testing.T) {
	r := start().node("", -1, 0).node("/a", -1, -2).end()
	o := Options{ExtendedTypes: true}
	if _, err := ReadSnapshot(&r.Buffer, 0, o); !errors.Is(err, ErrSnapshot) {
		t.Fatal(err)
	}
}

// Children before parents, unknown ACLs, open ACLs with an id and owners without a session are
// accepted; and none but the first seal need be there.
func TestReadSnapshotAccepts(t *testing.T) {
	r := new(rawSnapshot).header()
	r.int(1)
	r.long(5)
	r.int(1000)
	r.int(2)
	for id, perms := range map[int64]int32{3: 31, 9: 1} {
		r.long(id)
		r.int(1)
		r.int(perms)
		r.text("world")
		r.text("anyone")
	}
	r.node("/a/b", 3, 5).node("/a", 77, 6).node("", -1, 0).end()
	h, err := ReadSnapshot(&r.Buffer, 42, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var dead []int64
	h.DeadOwners(func(id int64) bool { dead = append(dead, id); return true })
	if len(dead) != 1 || dead[0] != 6 {
		t.Errorf("dead owners %v", dead)
	}
	if h.ACL(h.Get("/a/b")) != nil || h.ACLCount() != 1 {
		t.Errorf("ACL %v of %d", h.ACL(h.Get("/a/b")), h.ACLCount())
	}
	if acl := h.ACL(h.Get("/a")); len(acl) != 1 || acl[0].Perms != 0 || !h.Fuzzy() {
		t.Errorf("an unknown ACL is %v, fuzzy %v", acl, h.Fuzzy())
	}
	if !h.Tolerant() || h.Zxid() != 42 || h.Get("/a").NumChildren() != 1 {
		t.Errorf("tolerant %v zxid %v children %d", h.Tolerant(), h.Zxid(),
			h.Get("/a").NumChildren())
	}
	if _, _, ok := h.LoadedDigest(); ok {
		t.Error("a digest from nowhere")
	}
	if id := h.intern(oracleACLs[3]); id != 11 { // 10 stands for the unknown one
		t.Errorf("the next ACL has id %d", id)
	}
}

// Digest sections: of version 1, and missing although the zxid follows.
func TestReadSnapshotTrailers(t *testing.T) {
	v1 := start().node("", -1, 0).end()
	v1.long(50)
	v1.int(1)
	v1.text("1f")
	v1.seal()
	bare := start().node("", -1, 0).end()
	bare.long(50)
	bare.seal()
	for _, r := range []*rawSnapshot{v1, bare} {
		h, err := ReadSnapshot(&r.Buffer, 0, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, ok := h.LoadedDigest(); ok {
			t.Error("a digest that cannot be compared")
		}
	}
}

// sample is a tree with something of everything.
func sample(t testing.TB) *Head {
	h := NewHead(Options{ExtendedTypes: true})
	apply := func(op proto.Op, session int64, b proto.Body) {
		b.ParentCversion = -1
		txn := proto.Txn{Header: proto.TxnHeader{Type: op, ClientID: session, Zxid: h.Zxid() + 1,
			Time: 9}, Body: b}
		if err := h.Apply(&txn, nil); err != nil {
			t.Fatal(err)
		}
	}
	apply(proto.OpCreateSession, 4, proto.Body{TimeOut: 1000})
	apply(proto.OpCreate, 4, proto.Body{Path: "/e", Ephemeral: true})
	apply(proto.OpCreateContainer, 4, proto.Body{Path: "/c", Data: []byte{}})
	apply(proto.OpCreateTTL, 4, proto.Body{Path: "/t", TTL: 5, ACL: oracleACLs[4]})
	for i := range 300 {
		apply(proto.OpCreate, 0, proto.Body{Path: fmt.Sprintf("/c/%d", i),
			Data: bytes.Repeat([]byte{byte(i)}, i), ACL: oracleACLs[i%len(oracleACLs)]})
	}
	apply(proto.OpCreate, 0, proto.Body{Path: "/big", Data: make([]byte, 200_000)})
	return h
}

func snapshotOf(t testing.TB, h *Head) []byte {
	var b bytes.Buffer
	pieces := 0
	o := SnapshotOptions{Digest: true, LastZxid: true, Pace: func(n int) { pieces += n }}
	if err := h.Freeze().WriteSnapshot(&b, o); err != nil {
		t.Fatal(err)
	}
	if pieces != b.Len() {
		t.Fatalf("paced %d bytes of %d", pieces, b.Len())
	}
	return b.Bytes()
}

// However the bytes arrive, the same tree comes out; cut anywhere or with a flipped bit, none.
func TestSnapshotDamage(t *testing.T) {
	h := sample(t)
	data := snapshotOf(t, h)
	for name, r := range map[string]io.Reader{
		"whole": bytes.NewReader(data), "bytes": iotest.OneByteReader(bytes.NewReader(data)),
		"halves": iotest.HalfReader(bytes.NewReader(data)),
		"eof":    iotest.DataErrReader(bytes.NewReader(data)),
	} {
		back, err := ReadSnapshot(r, h.Zxid(), h.Options())
		if err != nil {
			t.Fatal(name, err)
		}
		if got, want := printView(&back.View), printView(&h.View); got != want {
			t.Fatal(name, firstDifference(got, want))
		}
	}
	seal1, digest := len(data)-13-21-20, len(data)-21
	for cut := 0; cut < len(data); cut += 1 + cut/100 {
		if cut == seal1 || cut == digest {
			continue
		}
		_, err := ReadSnapshot(bytes.NewReader(data[:cut]), h.Zxid(), h.Options())
		if !errors.Is(err, ErrSnapshot) {
			t.Fatalf("cut at %d: %v", cut, err)
		}
	}
	for at := 0; at < len(data); at += 1 + at/100 {
		if at >= 4 && at < 8 { // the version, which is only summed
			continue
		}
		bad := bytes.Clone(data)
		bad[at] ^= 0x10
		_, err := ReadSnapshot(bytes.NewReader(bad), h.Zxid(), h.Options())
		if !errors.Is(err, ErrSnapshot) {
			t.Fatalf("flipped at %d: %v", at, err)
		}
	}
	broken := errors.New("broken disk")
	_, err := ReadSnapshot(iotest.ErrReader(broken), 0, Options{})
	if !errors.Is(err, ErrSnapshot) || !errors.Is(err, broken) {
		t.Fatal(err)
	}
}

type failingWriter struct{ left int }

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}

func TestSnapshotWriteError(t *testing.T) {
	r := sample(t).Freeze()
	for _, left := range []int{0, 100_000, 200_000} {
		o := SnapshotOptions{Digest: true}
		if err := r.WriteSnapshot(&failingWriter{left}, o); err != io.ErrShortWrite {
			t.Fatal(left, err)
		}
	}
}

// A stream is the snapshot without header and seals.
func TestWriteStream(t *testing.T) {
	h := sample(t)
	var b bytes.Buffer
	if err := h.Freeze().WriteStream(&b, nil); err != nil {
		t.Fatal(err)
	}
	file := snapshotOf(t, h)
	if want := file[16 : len(file)-13-33-21]; !bytes.Equal(b.Bytes(), want) {
		t.Fatalf("%d bytes, want %d", b.Len(), len(want))
	}
}

// FuzzReadSnapshot reads anything without a panic; what it accepts is written back and read as
// the same tree. The seal is made right, so that what is below it gets its share.
func FuzzReadSnapshot(f *testing.F) {
	for _, name := range []string{"snapshot.0", "snapshot.18"} {
		data, err := os.ReadFile(javaDir + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(data[:len(data)-13-33])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o := Options{ExtendedTypes: true, StringBytesMax: 1 << 16}
		for _, input := range [][]byte{data, (&rawSnapshot{*bytes.NewBuffer(
			bytes.Clone(data))}).seal().Bytes()} {
			h, err := ReadSnapshot(bytes.NewReader(input), 1, o)
			if err != nil {
				if !errors.Is(err, ErrSnapshot) {
					t.Fatal(err)
				}
				continue
			}
			if err := sane(h); err != nil {
				t.Fatal(err)
			}
			back, err := ReadSnapshot(bytes.NewReader(snapshotOf(t, h)), 1, o)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := printView(&back.View), printView(&h.View); got != want {
				t.Fatal(firstDifference(got, want))
			}
		}
	})
}

// A null scheme or id of an ACL is not an empty one, in the table and through a snapshot.
func TestNullInACL(t *testing.T) {
	h := NewHead(Options{})
	ids := []proto.ID{{Scheme: "digest", ID: jute.Null}, {Scheme: "digest"},
		{Scheme: jute.Null, ID: "x"}, {ID: "x"}, {Scheme: jute.Null, ID: jute.Null}, {}}
	acl := func(i int) []proto.ACL { return []proto.ACL{{Perms: 31, ID: ids[i]}} }
	for i := range ids {
		hdr := proto.TxnHeader{Zxid: h.Zxid() + 1, Type: proto.OpCreate}
		b := proto.Body{Path: fmt.Sprint("/", i), ACL: acl(i), ParentCversion: int32(i + 1)}
		if err := h.Apply(&proto.Txn{Header: hdr, Body: b}, nil); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if err := h.Freeze().WriteSnapshot(&b, SnapshotOptions{LastZxid: true}); err != nil {
		t.Fatal(err)
	}
	back, err := ReadExact(&b, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range ids {
		path := fmt.Sprint("/", i)
		if got := h.ACL(h.Get(path)); !slices.Equal(got, acl(i)) {
			t.Errorf("%s in the tree: %q", path, got)
		}
		if got := back.ACL(back.Get(path)); !slices.Equal(got, acl(i)) {
			t.Errorf("%s after a snapshot: %q", path, got)
		}
	}
}
