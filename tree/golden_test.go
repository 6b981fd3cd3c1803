package tree

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"

	"github.com/meerkat-zk/meerkat/proto"
)

// Vectors of a real 3.9.5 server.
func TestFreshTreeDigest(t *testing.T) {
	h := NewHead(Options{})
	for path, want := range map[string]uint64{
		"/": 0x04128908, "/zookeeper": 0x4DB44D58, "/zookeeper/quota": 0,
		"/zookeeper/config": 0,
	} {
		if got := h.Get(path).digest(new(statBlock)); got != want {
			t.Errorf("digest of %s is %#x, want %#x", path, got, want)
		}
	}
	if got := h.Digest(); got != 0x51C6D660 {
		t.Errorf("tree digest %#x", got)
	}
}

func TestFreshTree(t *testing.T) {
	h := NewHead(Options{})
	root, proc, config := h.Get("").Stat(), h.Get("/zookeeper").Stat(), h.Get(configPath)
	if root.Cversion != -1 || root.NumChildren != 1 {
		t.Errorf("/ has cversion %d and %d children", root.Cversion, root.NumChildren)
	}
	if proc.Cversion != -2 || proc.NumChildren != 2 {
		t.Errorf("/zookeeper has cversion %d and %d children", proc.Cversion, proc.NumChildren)
	}
	want := proto.ACL{Perms: proto.PermRead, ID: proto.ID{Scheme: "world", ID: "anyone"}}
	if acl := h.ACL(config); len(acl) != 1 || acl[0] != want || config.Aversion() != -1 {
		t.Errorf("config has ACL %v at aversion %d", acl, config.Aversion())
	}
	if data := config.Data(); data == nil || len(data) != 0 {
		t.Errorf("config has data %v", data)
	}
	if h.NodeCount() != 5 || h.DataSize() != 44 || h.ACLCount() != 1 {
		t.Errorf("%d nodes, %d bytes, %d ACLs", h.NodeCount(), h.DataSize(), h.ACLCount())
	}
}

// snapshot.0 of a fresh database of a real 3.9.5 server: its length and its three seals.
func TestFreshSnapshot(t *testing.T) {
	var b bytes.Buffer
	o := SnapshotOptions{Digest: true, LastZxid: true}
	if err := NewHead(Options{}).Freeze().WriteSnapshot(&b, o); err != nil {
		t.Fatal(err)
	}
	if b.Len() != 478 {
		t.Fatalf("%d bytes, want 478", b.Len())
	}
	seal := func(before int) int64 {
		return int64(binary.BigEndian.Uint64(b.Bytes()[b.Len()-before:]))
	}
	if a, d, z := seal(13+21+33), seal(13+21), seal(13); a != 0xB8A23B49 ||
		d != 0x95B93D59 || z != 0xBDE83F6D {
		t.Fatalf("seals %#x %#x %#x", a, d, z)
	}
	h, err := ReadSnapshot(&b, 0, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if h.Digest() != 0x51C6D660 || h.NodeCount() != 5 {
		t.Fatalf("read back: digest %#x, %d nodes", h.Digest(), h.NodeCount())
	}
}

// The digest of a node is the CRC-32 of one string of bytes, however we come by it.
func TestDigestIsCRC(t *testing.T) {
	n := Options{}.newNode("/a", []byte("data"), 7)
	n.czxid, n.mzxid, n.pzxid, n.ctime, n.mtime = 1, 2, 3, 4, 5
	n.version, n.cversion, n.aversion = 6, 8, 9
	b := []byte("/adata")
	for _, v := range []uint64{1, 2, 3, 4, 5} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	for _, v := range []uint32{6, 8, 9} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	b = binary.BigEndian.AppendUint64(b, 7)
	if got, want := n.digest(new(statBlock)), uint64(crc32.ChecksumIEEE(b)); got != want {
		t.Fatalf("%#x, want %#x", got, want)
	}
}
