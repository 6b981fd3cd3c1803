package server

import (
	"fmt"
	"strings"
	"testing"

	"github.com/meerkat-zk/meerkat/proto"
)

// authenticateAs sends so many digest identities and returns how many were taken.
func authenticateAs(w *wire, ids int) (taken int) {
	for i := range ids {
		q := proto.AuthPacket{Scheme: "digest", Auth: []byte(fmt.Sprintf("u%d:p", i))}
		w.sendXid(proto.XidAuth, proto.OpAuth, q.Fields)
	}
	w.flush()
	for taken < ids && w.recv().Err == proto.OK {
		taken++
	}
	return taken
}

// What "auth" entries become is bounded, in one request and in all parts of a multi.
func TestAuthEntriesAreBounded(t *testing.T) {
	s, _ := oneLoop(t, inMemory)
	w := connectTo(t, s)
	if n := authenticateAs(w, 100); n != 100 {
		t.Fatalf("%d identities were taken", n)
	}
	auth := []proto.ACL{{Perms: proto.PermAll, ID: proto.ID{Scheme: "auth"}}}
	few := proto.CreateRequest{Path: "/few", ACL: auth}
	w.must(proto.OpCreate, few.Fields)
	many := proto.CreateRequest{Path: "/many"}
	for i := range 20_000 {
		entry := auth[0]
		entry.ID.ID = fmt.Sprint(i)
		many.ACL = append(many.ACL, entry)
	}
	if p := w.call(proto.OpCreate, many.Fields); p.Err != proto.ErrInvalidACL {
		t.Errorf("20,000 entries times 100 identities: %v", p.Err)
	}
	var parts []subOp
	for i := range 2000 {
		q := proto.CreateRequest{Path: fmt.Sprintf("/part%d", i), ACL: auth}
		parts = append(parts, subOp{proto.OpCreate, q.Fields})
	}
	w.call(proto.OpMulti, multiOf(parts...))
	if p := w.call(proto.OpExists, get("/part0", false)); p.Err != proto.ErrNoNode {
		t.Errorf("2,000 parts times 100 identities were created: %v", p.Err)
	}
}

// A connection has so many identities and no more: the packet beyond fails.
func TestIdentitiesAreBounded(t *testing.T) {
	s, _ := oneLoop(t, inMemory)
	w := connectTo(t, s)
	const itsAddress = 1
	if n := authenticateAs(w, identitiesMax+10); n != identitiesMax-itsAddress {
		t.Errorf("%d identities were taken", n)
	}
	w.closed()
	w = connectTo(t, s)
	q := proto.AuthPacket{Scheme: "digest", Auth: []byte(strings.Repeat("u", identityBytesMax) + ":p")}
	w.sendXid(proto.XidAuth, proto.OpAuth, q.Fields)
	w.flush()
	if p := w.recv(); p.Err != proto.ErrAuthFailed {
		t.Errorf("a name of %d bytes: %v", identityBytesMax, p.Err)
	}
}

// Soft quotas are told of once a second, however many changes exceed them.
func TestSoftQuotaLinesAreFew(t *testing.T) {
	s, j := oneLoop(t, inMemory)
	w := connectTo(t, s)
	w.must(proto.OpCreate, create("/q", "", 0))
	w.must(proto.OpCreate, create("/zookeeper/quota/q", "", 0))
	w.must(proto.OpCreate, create("/zookeeper/quota/q/zookeeper_limits", "count=0,bytes=0", 0))
	w.must(proto.OpCreate, create("/zookeeper/quota/q/zookeeper_stats", "", 0))
	var parts []subOp
	for i := range 2000 {
		parts = append(parts, subOp{proto.OpSetData, setData("/q", strings.Repeat("x", i), -1)})
	}
	w.must(proto.OpMulti, multiOf(parts[:1000]...))
	j.await(t, "soft quota exceeded", "path=/q")
	if n := strings.Count(j.text(), "soft quota"); n > 100 {
		t.Errorf("%d lines of 1,000 changes", n)
	}
}
