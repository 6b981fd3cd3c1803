package tree

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
)

// testdata/java is the version-2 directory of a real 3.8 server (with extended types) that was
// asked for one znode of each kind, null and empty data, ACLs, quota, sequences, multis and
// failures, and was then restarted while the session was open: the empty snapshot, the whole
// log without its padding, and the snapshot of the restart.
const javaDir = "testdata/java/"

func readJava(t *testing.T, name string, z proto.Zxid) *Head {
	t.Helper()
	data, err := os.ReadFile(javaDir + name)
	if err != nil {
		t.Fatal(err)
	}
	h, err := ReadSnapshot(bytes.NewReader(data), z, Options{ExtendedTypes: true})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// readJavaLog returns the transactions of a log: a header of 16 bytes, then records of
// checksum long, length int, transaction, 'B'.
func readJavaLog(t *testing.T, name string) (txns []proto.Txn) {
	t.Helper()
	data, err := os.ReadFile(javaDir + name)
	if err != nil {
		t.Fatal(err)
	}
	for at := 16; at < len(data); {
		size := int(binary.BigEndian.Uint32(data[at+8:]))
		var txn proto.Txn
		c := jute.Reader(data[at+12 : at+12+size])
		if txn.Fields(&c); c.Err() != nil {
			t.Fatal(c.Err())
		}
		txns = append(txns, txn)
		at += 12 + size + 1
	}
	return txns
}

// Applying Java's log to Java's snapshot, strictly, gives Java's digest after each transaction
// and in the end the tree of Java's next snapshot.
func TestJavaLogGivesJavaTree(t *testing.T) {
	h := readJava(t, "snapshot.0", 0)
	h.SetTolerant(false)
	digests := 0
	for _, txn := range readJavaLog(t, "log.1") {
		if err := h.Apply(&txn, nil); err != nil {
			t.Fatal(err)
		}
		if txn.HasDigest {
			digests++
			if got := h.Digest(); got != txn.Digest.TreeDigest {
				t.Fatalf("digest %#x after %+v, Java has %#x", got, txn, txn.Digest.TreeDigest)
			}
		}
	}
	if digests < 20 {
		t.Fatalf("only %d transactions with a digest", digests)
	}
	java := readJava(t, "snapshot.18", 0x18)
	if got, want := printView(&h.View), printView(&java.View); got != want {
		t.Fatal(firstDifference(got, want))
	}
	for _, head := range []*Head{h, java} {
		if err := sane(head); err != nil {
			t.Fatal(err)
		}
		head.DeadOwners(func(id int64) bool {
			t.Errorf("session %#x owns ephemerals but is not there", id)
			return true
		})
	}
	if z, digest, ok := java.LoadedDigest(); !ok || z != 0x18 || digest != java.Digest() {
		t.Errorf("Java's snapshot has digest %#x at %v, the tree %#x", digest, z, java.Digest())
	}
}

// Writing back what Java wrote gives the same bytes where their order is fixed, and in any case
// as many that read the same.
func TestJavaSnapshotRoundTrip(t *testing.T) {
	for name, z := range map[string]proto.Zxid{"snapshot.0": 0, "snapshot.18": 0x18} {
		java, err := os.ReadFile(javaDir + name)
		if err != nil {
			t.Fatal(err)
		}
		h := readJava(t, name, z)
		var b bytes.Buffer
		if err := h.Freeze().WriteSnapshot(&b, SnapshotOptions{Digest: true}); err != nil {
			t.Fatal(err)
		}
		if z == 0 && !bytes.Equal(b.Bytes(), java) {
			t.Errorf("%s differs from Java's", name)
		}
		back, err := ReadSnapshot(&b, z, Options{ExtendedTypes: true})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := printView(&back.View), printView(&h.View); got != want {
			t.Error(firstDifference(got, want))
		}
	}
}
