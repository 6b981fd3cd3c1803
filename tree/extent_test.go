package tree

import (
	"strings"
	"testing"

	"github.com/meerkat-zk/meerkat/proto"
)

func TestExtent(t *testing.T) {
	h := NewHead(Options{})
	if x := h.Extent(); x.Depth != 2 || x.FieldBytes != len("/zookeeper/config") {
		t.Errorf("an empty tree: %+v", x)
	}
	zxid := proto.Zxid(0)
	create := func(path, data string, acl []proto.ACL) {
		t.Helper()
		zxid++
		txn := proto.Txn{Header: proto.TxnHeader{Zxid: zxid, Type: proto.OpCreate},
			Body: proto.Body{Path: path, Data: []byte(data), ACL: acl}}
		var events []Event
		if err := h.Apply(&txn, &events); err != nil {
			t.Fatal(err)
		}
	}
	create("/a", "", proto.OpenACL)
	create("/a/b", strings.Repeat("x", 100), proto.OpenACL)
	create("/a/b/c", "", proto.OpenACL)
	create("/a/b/c/d", "", proto.OpenACL)
	want := Extent{Depth: 4, Deepest: "/a/b/c/d", FieldBytes: 100, Largest: "/a/b"}
	if x := h.Extent(); x != want {
		t.Errorf("got %+v, want %+v", x, want)
	}
	long := strings.Repeat("u", 101)
	create("/e", "", []proto.ACL{{Perms: 31, ID: proto.ID{Scheme: "digest", ID: long}}})
	want.FieldBytes, want.Largest = 101, "an ACL"
	if x := h.Extent(); x != want {
		t.Errorf("got %+v, want %+v", x, want)
	}
	create("/"+long, "", proto.OpenACL)
	want.FieldBytes, want.Largest = 102, "/"+long
	if x := h.Extent(); x != want {
		t.Errorf("got %+v, want %+v", x, want)
	}
}
