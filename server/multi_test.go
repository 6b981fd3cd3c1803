package server

import (
	"encoding/hex"
	"testing"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
)

// A multi that can be decoded is answered part by part, whatever the parts ask for. The answers
// were taken from a real server (3.8.0), but for create2, which it answers as a create.
func TestPartsThatAreNotAllowed(t *testing.T) {
	s, _ := oneLoop(t, func(o *Options) { o.Config.ExtendedTypes = true })
	w := connectTo(t, s)
	w.must(proto.OpCreate, create("/w", "", 0))
	const (
		badArgs = "fffffff8"
		badACL  = "ffffff8e"
		ok      = "ok"
		whole   = "-5"
	)
	open, none := proto.OpenACL, []proto.ACL{}
	for _, c := range []struct {
		name  string
		op    proto.Op
		flags int32
		acl   []proto.ACL
		want  string
	}{
		{"flag 100", proto.OpCreate2, 100, open, badArgs},
		{"flag -1", proto.OpCreate2, -1, open, badArgs},
		{"flag 7", proto.OpCreate, 7, open, badArgs},
		{"flag 7, null ACL", proto.OpCreate, 7, nil, badArgs},
		{"flag 7 of a container", proto.OpCreateContainer, 7, open, badArgs},
		{"flag 7 with TTL", proto.OpCreateTTL, 7, open, badArgs},
		{"flag -1 with TTL", proto.OpCreateTTL, -1, nil, badArgs},
		{"null ACL", proto.OpCreate, 0, nil, badACL},
		{"null ACL of a create2", proto.OpCreate2, 1, nil, badACL},
		{"null ACL of a container", proto.OpCreateContainer, 4, nil, badACL},
		{"null ACL with TTL", proto.OpCreateTTL, 5, nil, badACL},
		{"empty ACL", proto.OpCreate, 0, none, badACL},
		{"TTL flag without TTL", proto.OpCreate, 5, open, whole},
		{"TTL flag without TTL, null ACL", proto.OpCreate2, 6, nil, whole},
		{"TTL flag of a container", proto.OpCreateContainer, 5, open, whole},
		{"no TTL flag with TTL", proto.OpCreateTTL, 0, open, ok},
		{"TTL", proto.OpCreateTTL, 5, open, ok},
		{"null id", proto.OpCreate, 0, []proto.ACL{{Perms: 31,
			ID: proto.ID{Scheme: "digest", ID: jute.Null}}}, whole},
		{"null scheme", proto.OpCreate, 0, []proto.ACL{{Perms: 31,
			ID: proto.ID{Scheme: jute.Null, ID: "x"}}}, badACL},
	} {
		q := proto.CreateTTLRequest{TTL: 1 << 30,
			CreateRequest: proto.CreateRequest{Path: "/f", ACL: c.acl, Flags: c.flags}}
		fields := q.CreateRequest.Fields
		if c.op == proto.OpCreateTTL {
			fields = q.Fields
		}
		p := w.call(proto.OpMulti, multiOf(subOp{c.op, fields},
			subOp{proto.OpCheck, del("/w", -1)}))
		got := hex.EncodeToString(p.body)
		switch {
		case c.want == whole:
			if p.Err != proto.ErrMarshalling || got != "" {
				t.Errorf("%s: %v %s", c.name, p.Err, got)
			}
		case c.want == ok:
			if p.Err != proto.OK || got[:2] == "ff" {
				t.Errorf("%s: %v %s", c.name, p.Err, got)
			}
			w.must(proto.OpDelete, del("/f", -1))
		case p.Err != proto.OK || got != failedParts(c.want, "fffffffe"):
			t.Errorf("%s: %v %s", c.name, p.Err, got)
		}
	}
}

// failedParts is the body, in hex, of a multi whose parts have these codes.
func failedParts(codes ...string) (body string) {
	for _, code := range codes {
		body += "ffffffff00" + code + code
	}
	return body + "ffffffff01ffffffff"
}

// What would end a multi as a whole does not when an earlier part has failed; a null path does,
// wherever it stands. Either way nothing of it is left.
func TestPartsBehindOneThatFailed(t *testing.T) {
	s, _ := oneLoop(t, nil)
	w := connectTo(t, s)
	ttl := subOp{proto.OpCreate, create("/ttl", "", proto.FlagPersistentTTL)}
	null := subOp{proto.OpDelete, del(jute.Null, -1)}
	made := subOp{proto.OpCreate, create("/made", "", 0)}
	missing := subOp{proto.OpCheck, del("/none", -1)}
	const noNode, after = "ffffff9b", "fffffffe"
	for name, c := range map[string]struct {
		parts []subOp
		want  string // "" for -5
	}{
		"TTL flag after a failure": {[]subOp{missing, ttl}, failedParts(noNode, after)},
		"TTL flag after a part":    {[]subOp{made, ttl}, ""},
		"null after a failure":     {[]subOp{missing, null}, ""},
		"null after a part":        {[]subOp{made, null}, ""},
		"failure after a part":     {[]subOp{made, missing}, failedParts("00000000", noNode)},
	} {
		p := w.call(proto.OpMulti, multiOf(c.parts...))
		if got := hex.EncodeToString(p.body); got != c.want ||
			(p.Err == proto.ErrMarshalling) != (c.want == "") {
			t.Errorf("%s: %v %s, not %s", name, p.Err, got, c.want)
		}
		if p := w.call(proto.OpExists, get("/made", false)); p.Err != proto.ErrNoNode {
			t.Errorf("%s: its first part was kept", name)
		}
	}
	w.must(proto.OpMulti, multiOf(made))
}
