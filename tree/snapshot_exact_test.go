package tree

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/meerkat-zk/meerkat/proto"
)

// A snapshot that comes alone is read as it was written, with each section that may name its
// zxid; cut anywhere, it is the same tree or none.
func TestReadExact(t *testing.T) {
	h := sample(t)
	r := h.Freeze()
	for _, o := range []SnapshotOptions{{Digest: true, LastZxid: true}, {Digest: true},
		{LastZxid: true}} {
		var b bytes.Buffer
		if err := r.WriteSnapshot(&b, o); err != nil {
			t.Fatal(err)
		}
		data := b.Bytes()
		back, err := ReadExact(bytes.NewReader(data), h.Options())
		if err != nil {
			t.Fatalf("%+v: %v", o, err)
		}
		if got, want := printView(&back.View), printView(&h.View); got != want {
			t.Fatalf("%+v: %s", o, firstDifference(got, want))
		}
		if back.Zxid() != h.Zxid() || back.Digest() != h.Digest() {
			t.Fatalf("%+v: zxid %v, digest %x", o, back.Zxid(), back.Digest())
		}
		for cut := 0; cut < len(data); cut += 1 + cut/100*min(1, (len(data)-100)/(cut+1)) {
			back, err := ReadExact(bytes.NewReader(data[:cut]), h.Options())
			if err == nil && back.Digest() != h.Digest() || err != nil && !errors.Is(err, ErrSnapshot) {
				t.Fatalf("%+v, cut at %d: %v", o, cut, err)
			}
		}
	}
}

// Java's own snapshots of a moment are read too: 3.8 names the zxid with the digest.
func TestReadExactJava(t *testing.T) {
	data, err := os.ReadFile(javaDir + "snapshot.18")
	if err != nil {
		t.Fatal(err)
	}
	h, err := ReadExact(bytes.NewReader(data), Options{ExtendedTypes: true})
	if err != nil || h.Zxid() != 0x18 {
		t.Fatalf("%v %v", h, err)
	}
}

// What cannot be the state of one moment is refused, and the reason is told.
func TestReadExactRefuses(t *testing.T) {
	digest := func(r *rawSnapshot, zxid, digest int64) *rawSnapshot {
		r.long(zxid)
		r.int(proto.DigestVersion)
		r.long(digest)
		return r.seal()
	}
	last := func(r *rawSnapshot, zxid int64) *rawSnapshot {
		r.long(zxid)
		return r.seal()
	}
	late := func() *rawSnapshot {
		h := NewHead(Options{})
		hdr := proto.TxnHeader{Zxid: 7, Time: 1, Type: proto.OpCreate}
		b := proto.Body{Path: "/late", ACL: proto.OpenACL, ParentCversion: 1}
		if _, err := h.ApplyPart(&hdr, proto.OpCreate, &b, nil); err != nil {
			t.Fatal(err)
		}
		r := new(rawSnapshot)
		if err := h.Freeze().WriteSnapshot(&r.Buffer, SnapshotOptions{}); err != nil {
			t.Fatal(err)
		}
		return r
	}
	empty := func() *rawSnapshot { return start().node("", -1, 0).end() }
	lostACL := start().node("", 5, 0)
	more := last(digest(empty(), 0, 0), 5)
	more.text("more")
	flipped := last(empty(), 5)
	flipped.Bytes()[flipped.Len()-6]++ // the end of the last seal's checksum
	for want, r := range map[string]*rawSnapshot{
		"does not name its zxid":                  empty(),
		"zxid 0x7fff":                             last(empty(), 0x7fff<<48),
		"zxid 0xffffffffffffffff cannot be":       last(empty(), -1),
		"its digest is 1234":                      last(digest(empty(), 9, 0x1234), 9),
		"an ACL is missing":                       last(lostACL.end(), 9),
		"it is of zxid 0x6, \"/\" of a later one": last(late(), 6),
		"more bytes follow its end":               more,
		"checksum":                                flipped,
		"it ends where 4 more bytes are due":      {},
	} {
		_, err := ReadExact(&r.Buffer, Options{})
		if !errors.Is(err, ErrSnapshot) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	// Without digests there is nothing to compare with.
	if _, err := ReadExact(last(digest(empty(), 9, 0x1234), 9), Options{NoDigest: true}); err != nil {
		t.Error(err)
	}
}
