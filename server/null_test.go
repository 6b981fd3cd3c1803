package server

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
)

// A path that is null names no znode. Most requests answer that with -5, as Java does; the empty
// path, which is the root to a read, does not. All answers were taken from a real server (3.8.0),
// but those about watches: it lets a null path be watched, and tells the empty one from the root.
func TestNullPath(t *testing.T) {
	s, _ := oneLoop(t, nil)
	w := connectTo(t, s)
	typed := func(path string, n int32) func(*jute.Coder) {
		q := proto.PathType{Path: path, Type: n}
		return q.Fields
	}
	acl := func(path string) func(*jute.Coder) {
		q := proto.SetACLRequest{Path: path, ACL: proto.OpenACL, Version: -1}
		return q.Fields
	}
	ttl := func(path string) func(*jute.Coder) {
		q := proto.CreateTTLRequest{TTL: 1000, CreateRequest: proto.CreateRequest{Path: path,
			ACL: proto.OpenACL, Flags: proto.FlagPersistentTTL}}
		return q.Fields
	}
	watches := func(path string) func(*jute.Coder) {
		q := proto.SetWatches{RelativeZxid: 1 << 40, Data: []string{"/", path},
			Exist: []string{}, Child: []string{}}
		return q.Fields
	}
	at := func(f func(string, bool) func(*jute.Coder), watch bool) func(string) func(*jute.Coder) {
		return func(path string) func(*jute.Coder) { return f(path, watch) }
	}
	is := func(n int32) func(string) func(*jute.Coder) {
		return func(path string) func(*jute.Coder) { return typed(path, n) }
	}
	const marshalling, bad, none = proto.ErrMarshalling, proto.ErrBadArguments, proto.ErrNoWatcher
	for _, c := range []struct {
		op          proto.Op
		fields      func(path string) func(*jute.Coder)
		null, empty proto.Code
	}{
		{proto.OpCreate, func(p string) func(*jute.Coder) { return create(p, "", 0) }, marshalling, bad},
		{proto.OpCreate, func(p string) func(*jute.Coder) { return create(p, "", 100) }, bad, bad},
		{proto.OpCreate2, func(p string) func(*jute.Coder) { return create(p, "", 2) }, marshalling, bad},
		{proto.OpCreateContainer, func(p string) func(*jute.Coder) { return create(p, "", 4) },
			marshalling, bad},
		{proto.OpCreateTTL, ttl, proto.ErrUnimplemented, proto.ErrUnimplemented},
		{proto.OpDelete, func(p string) func(*jute.Coder) { return del(p, -1) }, marshalling, bad},
		{proto.OpSetData, func(p string) func(*jute.Coder) { return setData(p, "", -1) }, bad, bad},
		{proto.OpSetACL, acl, bad, bad},
		{proto.OpExists, at(get, false), marshalling, proto.OK},
		{proto.OpExists, at(get, true), marshalling, proto.OK},
		{proto.OpGetData, at(get, false), marshalling, proto.OK},
		{proto.OpGetData, at(get, true), marshalling, proto.OK},
		{proto.OpGetChildren, at(get, true), marshalling, proto.OK},
		{proto.OpGetChildren2, at(get, false), marshalling, proto.OK},
		{proto.OpGetACL, only, marshalling, proto.OK},
		{proto.OpGetAllChildrenNumber, only, marshalling, proto.OK},
		{proto.OpGetEphemerals, only, proto.OK, proto.OK},
		{proto.OpSync, only, proto.OK, proto.OK},
		{proto.OpAddWatch, is(proto.AddWatchPersistent), marshalling, proto.OK},
		{proto.OpAddWatch, is(proto.AddWatchPersistentRecursive), marshalling, proto.OK},
		{proto.OpCheckWatches, is(proto.WatcherAny), marshalling, proto.OK},
		{proto.OpRemoveWatches, is(proto.WatcherAny), none, proto.OK},
		{proto.OpSetWatches, watches, marshalling, proto.OK},
	} {
		if p := w.call(c.op, c.fields(jute.Null)); p.Err != c.null {
			t.Errorf("%v of null: %v, not %v", c.op, p.Err, c.null)
		}
		if p := w.call(c.op, c.fields("")); p.Err != c.empty {
			t.Errorf("%v of an empty path: %v, not %v", c.op, p.Err, c.empty)
		}
	}
	for path, want := range map[string]string{jute.Null: "ffffffff", "": "00000000",
		"/a": "000000022f61"} {
		if p := w.must(proto.OpSync, only(path)); hex.EncodeToString(p.body) != want {
			t.Errorf("sync of %q answers %x", path, p.body)
		}
	}
}

// The watches of a setWatches that stand before a null path are set.
func TestSetWatchesBeforeNull(t *testing.T) {
	s, _ := oneLoop(t, nil)
	w := connectTo(t, s)
	w.must(proto.OpCreate, create("/a", "", 0))
	q := proto.SetWatches{RelativeZxid: 1 << 40, Data: []string{"/a", jute.Null},
		Exist: []string{"/b"}, Child: []string{}}
	if p := w.call(proto.OpSetWatches, q.Fields); p.Err != proto.ErrMarshalling {
		t.Fatal(p.Err)
	}
	w.send(proto.OpSetData, setData("/a", "x", -1))
	last := w.send(proto.OpCreate, create("/b", "", 0))
	w.flush()
	if e := eventOf(t, w.recv()); e.Type != proto.EventNodeDataChanged || e.Path != "/a" {
		t.Fatalf("%+v", e)
	}
	for p := w.recv(); p.Xid != last; p = w.recv() {
		if p.Xid == proto.XidEvent {
			t.Fatalf("a watch behind the null path: %+v", eventOf(t, p))
		}
	}
}

// A list of a setWatches that is null ends it; those before it count.
func TestSetWatchesNullList(t *testing.T) {
	s, _ := oneLoop(t, nil)
	w := connectTo(t, s)
	w.must(proto.OpCreate, create("/a", "", 0))
	some, no := []string{"/a"}, []string{}
	for name, c := range map[string]struct {
		q     proto.SetWatches
		code  proto.Code
		armed bool
	}{
		"data":  {proto.SetWatches{Exist: no, Child: no}, proto.ErrMarshalling, false},
		"child": {proto.SetWatches{Data: some, Exist: no}, proto.ErrMarshalling, true},
		"none":  {proto.SetWatches{Data: some, Exist: no, Child: no}, proto.OK, true},
		"persistent": {proto.SetWatches{Data: some, Exist: no, Child: no, Two: true},
			proto.ErrMarshalling, true},
		"recursive": {proto.SetWatches{Data: some, Exist: no, Child: no, Persistent: no, Two: true},
			proto.ErrMarshalling, true},
	} {
		c.q.RelativeZxid = 1 << 40
		op := proto.OpSetWatches
		if c.q.Two {
			op = proto.OpSetWatches2
		}
		if p := w.call(op, c.q.Fields); p.Err != c.code {
			t.Errorf("%s: %v, not %v", name, p.Err, c.code)
		}
		q := proto.PathType{Path: "/a", Type: proto.WatcherData}
		if p := w.call(proto.OpRemoveWatches, q.Fields); (p.Err == proto.OK) != c.armed {
			t.Errorf("%s: the data watch: %v", name, p.Err)
		}
	}
}

// getEphemerals takes null, blanks and the root, with blanks around it, for all paths.
func TestGetEphemeralsOfAll(t *testing.T) {
	s, _ := oneLoop(t, nil)
	w := connectTo(t, s)
	w.must(proto.OpCreate, create("/e", "", proto.FlagEphemeral))
	for prefix, want := range map[string]string{jute.Null: "/e", "": "/e", " \t\x00": "/e",
		" / ": "/e", "/": "/e", "/e": "/e", "/f": "", " /e": ""} {
		p := w.must(proto.OpGetEphemerals, only(prefix))
		var paths []string
		r := jute.Reader(p.body)
		jute.Strings(&r, &paths)
		if got := strings.Join(paths, " "); r.Err() != nil || got != want {
			t.Errorf("%q: %q", prefix, got)
		}
	}
}

// What is answered outside of the order of requests, auth and sasl, closes the connection without
// a reply when it cannot be decoded, or when there is no token.
func TestUndecodableAuthCloses(t *testing.T) {
	s, j := oneLoop(t, nil)
	for op, bodies := range map[proto.Op][]string{
		proto.OpAuth: {"", "\x00\x00\x00\x00\x00\x00\x00\x06digest",
			"\x00\x00\x00\x00\x7f\xff\xff\xff"},
		proto.OpSASL: {"", "\xff\xff\xff\xff", "\x00\x00\x00\x02a"},
	} {
		for _, body := range bodies {
			w := connectTo(t, s)
			w.raw(op, []byte(body))
			w.flush()
			if frame, err := w.read(); err == nil {
				t.Errorf("%v %q is answered: %x", op, body, frame)
			}
			j.await(t, w.addr(), "connection closed", op.String())
		}
	}
	w := connectTo(t, s)
	token := proto.Token{Token: []byte{}}
	if p := w.must(proto.OpSASL, token.Fields); string(p.body) != "\xff\xff\xff\xff" || p.Zxid != 0 {
		t.Errorf("a token: %+v", p)
	}
}

// A reconfig that cannot be decoded is told so, though none is served.
func TestUndecodableReconfig(t *testing.T) {
	s, _ := oneLoop(t, nil)
	w := connectTo(t, s)
	if p := w.call(proto.OpReconfig, only("server.1=a:1:1;1")); p.Err != proto.ErrMarshalling {
		t.Error(p.Err)
	}
	q := proto.ReconfigRequest{Joining: jute.Null, Leaving: jute.Null, NewMembers: jute.Null}
	if p := w.call(proto.OpReconfig, q.Fields); p.Err != proto.ErrReconfigDisabled {
		t.Error(p.Err)
	}
}
