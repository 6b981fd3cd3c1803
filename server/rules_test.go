package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/server/auth"
)

// Quotas, containers and times to live, identities and ACLs, over the wire.

func quotaStats(t *testing.T, w *wire, path string) string {
	t.Helper()
	return string(dataOf(t, w.must(proto.OpGetData,
		get("/zookeeper/quota"+path+"/zookeeper_stats", false))).Data)
}

// limit sets a quota as clients do (SetQuotaCommand).
func limit(w *wire, path, limits string) {
	w.t.Helper()
	at := "/zookeeper/quota"
	for _, name := range strings.Split(path, "/")[1:] {
		at += "/" + name
		w.call(proto.OpCreate, create(at, "", 0)) // may be there
	}
	w.must(proto.OpCreate, create(at+"/zookeeper_limits", limits, 0))
	w.must(proto.OpCreate, create(at+"/zookeeper_stats", "count=0,bytes=0", 0))
}

// A soft quota is said when it is exceeded, and nothing more; usage counts every change.
func TestSoftQuota(t *testing.T) {
	s, j := oneLoop(t, inMemory)
	w := connectTo(t, s)
	w.play(mk("/q"), mk("/q/a"))
	w.must(proto.OpSetData, setData("/q", "four", -1))
	limit(w, "/q", "count=3,bytes=10")
	if got := quotaStats(t, w, "/q"); !strings.HasPrefix(got, "count=2,bytes=4") {
		t.Errorf("usage %q", got)
	}
	if j.has("soft quota") {
		t.Error("it was not exceeded yet")
	}
	w.play(mk("/q/b"), mk("/q/c"))
	j.await(t, "soft quota exceeded", "/q")
	w.must(proto.OpSetData, setData("/q/c", strings.Repeat("x", 20), -1))
	if got := quotaStats(t, w, "/q"); !strings.HasPrefix(got, "count=4,bytes=24") {
		t.Errorf("usage %q", got)
	}
	w.play(rm("/q/c"))
	if got := quotaStats(t, w, "/q"); !strings.HasPrefix(got, "count=3,bytes=4") {
		t.Errorf("usage %q", got)
	}
}

// A hard quota refuses, if the server enforces quotas, whatever would exceed it: a single
// write, a part of a multi with all of it, never what makes less.
func TestHardQuota(t *testing.T) {
	for _, enforced := range []bool{true, false} {
		s, _ := oneLoop(t, func(o *Options) {
			inMemory(o)
			o.Config.EnforceQuota = enforced
		})
		w := connectTo(t, s)
		full := proto.ErrQuotaExceeded
		if !enforced {
			full = proto.OK
		}
		w.play(mk("/q"))
		limit(w, "/q", "count=-1,bytes=-1=;byteHardLimit=10;countHardLimit=3")
		data := func(n int) func(*jute.Coder) {
			return setData("/q/a", strings.Repeat("x", n), -1)
		}
		w.play(mk("/q/a"), mk("/q/b"),
			ask{proto.OpCreate, create("/q/c", "", 0), full},
			ask{proto.OpCreate, create("/q/a/deep", "", proto.FlagEphemeral), full},
			ask{proto.OpSetData, data(10), 0},
			ask{proto.OpSetData, data(11), full},
			ask{proto.OpSetData, data(4), 0})
		if !enforced {
			continue
		}
		p := w.must(proto.OpMulti, all(rm("/q/b"), mk("/q/d"), mk("/q/e")).fields)
		r := jute.Reader(p.body)
		for i, want := range []proto.Code{0, 0, proto.ErrQuotaExceeded} {
			var h proto.MultiHeader
			var code int32
			h.Fields(&r)
			if r.Int(&code); h.Op != proto.OpError || h.Err != want {
				t.Errorf("part %d: %+v", i, h)
			}
		}
		if got := quotaStats(t, w, "/q"); !strings.HasPrefix(got, "count=3,bytes=4") {
			t.Errorf("usage after a failed multi: %q", got)
		}
		w.play(rm("/q/b"), mk("/q/d"), ask{proto.OpCreate, create("/q/e", "", 0), full},
			ask{proto.OpDelete, del("/zookeeper/quota/q/zookeeper_limits", -1), 0}, mk("/q/e"))
	}
}

func createTTL(path string, flags int32, ttl int64) func(*jute.Coder) {
	q := proto.CreateTTLRequest{TTL: ttl, CreateRequest: proto.CreateRequest{Path: path,
		ACL: proto.OpenACL, Flags: flags}}
	return q.Fields
}

// Containers go after their last child, TTL znodes when they had no child and no write for
// their time; who watches hears of it. A container that never had a child stays.
func TestContainersAndTTLs(t *testing.T) {
	s := startServer(t, func(o *Options) {
		inMemory(o)
		quick(o)
		o.Config.ExtendedTypes = true
		o.Config.ContainerCheckInterval = testTick
		o.Config.ContainerMaxPerMinute = 60_000
	})
	w := attach(t, s, 100*testTick, proto.ConnectResponse{})
	const ttl = 5 * testTick
	container := func(path string) ask {
		return ask{proto.OpCreateContainer, create(path, "", proto.FlagContainer), 0}
	}
	timed := func(path string) ask {
		return ask{proto.OpCreateTTL, createTTL(path, proto.FlagPersistentTTL, ttl.Milliseconds()), 0}
	}
	w.play(container("/unused"), container("/used"), mk("/used/1"), container("/busy"), mk("/busy/1"),
		timed("/idle"), timed("/parent"), mk("/parent/1"), timed("/fresh"))
	began := time.Now()
	watcher := attach(t, s, 100*testTick, proto.ConnectResponse{})
	watcher.play(recurse("/"))
	w.play(rm("/used/1"))
	beat := time.NewTicker(testTick)
	defer beat.Stop()
	gone := map[string]time.Duration{}
	for time.Since(began) < 3*ttl {
		<-beat.C
		w.play(set("/fresh"))
		got, _ := watcher.events()
		for _, e := range got {
			if e.typ == deleted {
				gone[e.path] = time.Since(began)
			}
		}
	}
	if len(gone) != 3 || gone["/used/1"] == 0 || gone["/used"] == 0 || gone["/idle"] < ttl-testTick {
		t.Errorf("gone: %v", gone)
	}
	t.Logf("gone: %v; time to live %v", gone, ttl)
	for _, path := range []string{"/unused", "/busy", "/parent", "/fresh"} {
		w.must(proto.OpExists, get(path, false))
	}
	w.play(rm("/parent/1"), rm("/busy/1"))
	eventually(t, "/parent, /busy and /fresh go too", func() bool {
		for _, path := range []string{"/parent", "/busy", "/fresh"} {
			if w.call(proto.OpExists, get(path, false)).Err != proto.ErrNoNode {
				return false
			}
		}
		return true
	})
	w.must(proto.OpExists, get("/unused", false))
}

// Which times to live and flags are taken (EphemeralType.validateTTL).
func TestModesOfCreate(t *testing.T) {
	for _, extended := range []bool{true, false} {
		s := startServer(t, func(o *Options) {
			inMemory(o)
			o.Config.ExtendedTypes = extended
		})
		w := connectTo(t, s)
		taken, bad := proto.OK, proto.ErrBadArguments
		if !extended {
			taken, bad = proto.ErrUnimplemented, proto.ErrUnimplemented
		}
		w.play(
			ask{proto.OpCreateTTL, createTTL("/a", proto.FlagPersistentTTL, 1), taken},
			ask{proto.OpCreateTTL, createTTL("/b", proto.FlagPersistentTTL, 0xFFFFFFFFFF), taken},
			ask{proto.OpCreateTTL, createTTL("/c", proto.FlagPersistentSequentialTTL, 9), taken},
			ask{proto.OpCreateTTL, createTTL("/x", proto.FlagPersistentTTL, 0), bad},
			ask{proto.OpCreateTTL, createTTL("/x", proto.FlagPersistentTTL, -1), bad},
			ask{proto.OpCreateTTL, createTTL("/x", proto.FlagPersistentTTL, 1<<40), bad},
			ask{proto.OpCreateTTL, createTTL("/x", proto.FlagPersistent, 5), proto.ErrBadArguments},
			ask{proto.OpCreateTTL, createTTL("/x", proto.FlagPersistent, -1), proto.ErrBadArguments},
			ask{proto.OpCreate, create("/x", "", proto.FlagPersistentTTL), bad},
			ask{proto.OpCreate, create("/x", "", 7), proto.ErrBadArguments},
			ask{proto.OpCreate, create("/x", "", -1), proto.ErrBadArguments},
			ask{proto.OpExists, get("/x", false), proto.ErrNoNode})
	}
	s := startServer(t, inMemory)
	w := connectTo(t, s)
	w.play(ask{proto.OpCreate, create("/e", "", proto.FlagEphemeral), 0},
		ask{proto.OpCreate, create("/e/x", "", 0), proto.ErrNoChildrenForEphemerals},
		mk("/s"), mk("/s/x"),
		ask{proto.OpCreate, create("/s/", "", proto.FlagPersistentSequential), 0},
		ask{proto.OpExists, get("/s/0000000001", false), 0})
}

func withACL(path string, acl ...proto.ACL) ask {
	q := proto.CreateRequest{Path: path, ACL: acl}
	return ask{proto.OpCreate, q.Fields, 0}
}

func who(perms int32, scheme, id string) proto.ACL {
	return proto.ACL{Perms: perms, ID: proto.ID{Scheme: scheme, ID: id}}
}

// Each operation asks for its own permission, on the znode or on its parent.
func TestPermissions(t *testing.T) {
	s := startServer(t, inMemory)
	ops := []struct {
		name string
		perm int32 // asked for
		ask  func(path string) ask
	}{
		{"getData", proto.PermRead, read},
		{"exists", proto.PermRead, is},
		{"getChildren", proto.PermRead, list},
		{"getAllChildrenNumber", proto.PermRead, func(path string) ask {
			return ask{proto.OpGetAllChildrenNumber, only(path), 0}
		}},
		{"setData", proto.PermWrite, set},
		{"create", proto.PermCreate, func(path string) ask { return mk(path + "/new") }},
		{"delete", proto.PermDelete, func(path string) ask { return rm(path + "/old") }},
		{"getACL", proto.PermRead | proto.PermAdmin, func(path string) ask {
			return ask{proto.OpGetACL, only(path), 0}
		}},
		{"setACL", proto.PermAdmin, func(path string) ask {
			q := proto.SetACLRequest{Path: path, ACL: proto.OpenACL, Version: -1}
			return ask{proto.OpSetACL, q.Fields, 0}
		}},
	}
	owner, w := connectTo(t, s), connectTo(t, s)
	owner.auth("digest", "ann:pw")
	for i, o := range ops {
		for perm := proto.PermRead; perm <= proto.PermAdmin; perm *= 2 {
			path := fmt.Sprintf("/p-%d-%d", i, perm)
			owner.play(withACL(path, who(perm, "world", "anyone"), who(proto.PermAll, "auth", "")),
				mk(path+"/old"))
			a := o.ask(path)
			if o.perm&perm == 0 {
				a.want = proto.ErrNoAuth
			}
			if got := w.call(a.op, a.fields); got.Err != a.want {
				t.Errorf("%s with permission %d: %v, want %v", o.name, perm, got.Err, a.want)
			}
		}
	}
	check := proto.PathVersion{Path: "/p-0-2", Version: -1}
	p := w.must(proto.OpMulti, multiOf(subOp{proto.OpCheck, check.Fields}))
	var h proto.MultiHeader
	r := jute.Reader(p.body)
	if h.Fields(&r); h.Err != proto.ErrNoAuth {
		t.Errorf("check: %+v", h)
	}
}

// Identities: by address, by digest, super, and what whoAmI shows of them.
func TestIdentities(t *testing.T) {
	super, _ := auth.Digest("", "super:pw")
	s := startServer(t, func(o *Options) {
		inMemory(o)
		o.Config.SuperDigest = super
	})
	ann, err := auth.Digest("", "ann:pw")
	if !err {
		t.Fatal("no digest")
	}
	owner := connectTo(t, s)
	owner.play(withACL("/here", who(proto.PermAll, "ip", "127.0.0.1")),
		withACL("/net", who(proto.PermAll, "ip", "127.0.0.0/8")),
		withACL("/elsewhere", who(proto.PermAll, "ip", "10.0.0.0/8")),
		withACL("/ann", who(proto.PermAll, "digest", ann)))
	codes := func(w *wire) (got [4]proto.Code) {
		t.Helper()
		for i, path := range []string{"/here", "/net", "/elsewhere", "/ann"} {
			got[i] = w.call(proto.OpGetData, get(path, false)).Err
		}
		return got
	}
	const no = proto.ErrNoAuth
	if got := codes(owner); got != [4]proto.Code{0, 0, no, no} {
		t.Errorf("nobody: %v", got)
	}
	w := connectTo(t, s)
	w.auth("digest", "ann:pw")
	if got := codes(w); got != [4]proto.Code{0, 0, no, 0} {
		t.Errorf("ann: %v", got)
	}
	w = connectTo(t, s)
	w.auth("digest", "bob:pw")
	if got := codes(w); got != [4]proto.Code{0, 0, no, no} {
		t.Errorf("bob: %v", got)
	}
	w.auth("digest", "ann:pw") // both at once
	if got := codes(w); got != [4]proto.Code{0, 0, no, 0} {
		t.Errorf("bob and ann: %v", got)
	}
	if got := whoAmI(t, w); got != "[{ip 127.0.0.1} {digest bob} {digest ann}]" {
		t.Errorf("whoAmI: %v", got)
	}
	w = connectTo(t, s)
	w.auth("digest", "super:pw")
	if got := codes(w); got != [4]proto.Code{} {
		t.Errorf("super: %v", got)
	}
	if got := whoAmI(t, w); !strings.Contains(got, "{super }") {
		t.Errorf("whoAmI: %v", got)
	}
	w = connectTo(t, s)
	w.auth("digest", "super:wrong")
	if got := codes(w); got != [4]proto.Code{0, 0, no, no} {
		t.Errorf("not super: %v", got)
	}
	// An identity counts for what is sent behind it, pipelined too, and dies with the connection.
	w = connectTo(t, s)
	q := proto.AuthPacket{Scheme: "digest", Auth: []byte("ann:pw")}
	before := w.send(proto.OpSetData, setData("/ann", "x", -1))
	w.sendXid(proto.XidAuth, proto.OpAuth, q.Fields)
	after := w.send(proto.OpSetData, setData("/ann", "y", -1))
	w.flush()
	got := map[int32]proto.Code{}
	for range 3 {
		p := w.recv()
		got[p.Xid] = p.Err
	}
	if got[before] != no || got[after] != 0 || got[proto.XidAuth] != 0 {
		t.Errorf("pipelined: %v", got)
	}
	again := dial(t, s)
	again.connect(proto.ConnectRequest{TimeOut: 10000, SessionID: w.session.SessionID,
		Passwd: w.session.Passwd})
	if got := codes(again); got != [4]proto.Code{0, 0, no, no} {
		t.Errorf("the session on another connection: %v", got)
	}
}

func whoAmI(t *testing.T, w *wire) string {
	t.Helper()
	var q proto.WhoAmIResponse
	r := jute.Reader(w.must(proto.OpWhoAmI).body)
	if q.Fields(&r); r.Err() != nil {
		t.Fatal(r.Err())
	}
	return fmt.Sprint(q.Infos)
}

func getACL(t *testing.T, w *wire, path string) proto.ACLStat {
	t.Helper()
	var a proto.ACLStat
	r := jute.Reader(w.must(proto.OpGetACL, only(path)).body)
	if a.Fields(&r); r.Err() != nil {
		t.Fatal(r.Err())
	}
	return a
}

// getACL hides what a digest is made of from those without ADMIN.
func TestGetACLMasks(t *testing.T) {
	s := startServer(t, inMemory)
	owner, w := connectTo(t, s), connectTo(t, s)
	owner.auth("digest", "ann:pw")
	ann, _ := auth.Digest("", "ann:pw")
	owner.play(withACL("/a", who(proto.PermAll, "auth", ""), who(proto.PermRead, "world", "anyone"),
		who(proto.PermAll, "auth", ""))) // the same twice: stored once
	want := []proto.ACL{who(proto.PermAll, "digest", ann), who(proto.PermRead, "world", "anyone")}
	if got := getACL(t, owner, "/a").ACL; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the owner sees %v, want %v", got, want)
	}
	want[0].ID.ID = "ann:x"
	if got := getACL(t, w, "/a").ACL; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("a stranger sees %v, want %v", got, want)
	}
	if got := getACL(t, w, "/"); fmt.Sprint(got.ACL) != fmt.Sprint(proto.OpenACL) {
		t.Errorf("the root: %v", got)
	}
}

// ACLs that may not be stored are refused with -114, in create and in setACL.
func TestBadACLs(t *testing.T) {
	s := startServer(t, inMemory)
	w := connectTo(t, s)
	w.play(mk("/a"))
	for _, acl := range [][]proto.ACL{
		nil, {}, {who(31, "world", "me")}, {who(31, "auth", "")}, {who(31, "super", "")},
		{who(31, "nobody", "x")}, {who(31, "ip", "nowhere")}, {who(31, "ip", "1.2.3.4/33")},
		{who(31, "digest", "ann")}, {who(31, "digest", "a:b:c")}, {who(31, "", "x")},
		{who(31, "world", "anyone"), who(31, "nobody", "x")}, {who(31, "sasl", "x")},
	} {
		q := proto.CreateRequest{Path: "/x", ACL: acl}
		p := proto.SetACLRequest{Path: "/a", ACL: acl, Version: -1}
		if got := w.call(proto.OpCreate, q.Fields); got.Err != proto.ErrInvalidACL {
			t.Errorf("create with %v: %v", acl, got.Err)
		}
		if got := w.call(proto.OpSetACL, p.Fields); got.Err != proto.ErrInvalidACL {
			t.Errorf("setACL %v: %v", acl, got.Err)
		}
	}
	if st := getACL(t, w, "/a").Stat; st.Aversion != 0 {
		t.Errorf("aversion %d", st.Aversion)
	}
}

// getEphemerals lists the caller's own, by prefix.
func TestGetEphemerals(t *testing.T) {
	s := startServer(t, inMemory)
	w, other := connectTo(t, s), connectTo(t, s)
	w.play(mk("/d"))
	for _, path := range []string{"/d/a", "/d/b", "/da", "/e"} {
		w.must(proto.OpCreate, create(path, "", proto.FlagEphemeral))
	}
	other.must(proto.OpCreate, create("/d/other", "", proto.FlagEphemeral))
	for prefix, want := range map[string]string{
		"": "[/d/a /d/b /da /e]", "/": "[/d/a /d/b /da /e]", "/d": "[/d/a /d/b /da]",
		"/d/": "[/d/a /d/b]", "/x": "[]",
	} {
		var got []string
		r := jute.Reader(w.must(proto.OpGetEphemerals, only(prefix)).body)
		if jute.Strings(&r, &got); fmt.Sprint(got) != want {
			t.Errorf("prefix %q: %v, want %v", prefix, got, want)
		}
	}
}
