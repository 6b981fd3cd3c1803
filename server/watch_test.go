package server

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
)

// Watches of every kind, over the wire: what a connection is told, in which order (WatchManager,
// DataTree).

const (
	created  = proto.EventNodeCreated
	deleted  = proto.EventNodeDeleted
	changed  = proto.EventNodeDataChanged
	children = proto.EventNodeChildrenChanged
)

// A told is one event as a client sees it.
type told struct {
	typ  int32
	path string
}

// events returns what the connection was told and has not read, up to the answer to a ping; the
// change's author was answered before, so all of its events stand there.
func (w *wire) events() (all []told, zxids []proto.Zxid) {
	w.t.Helper()
	w.sendXid(proto.XidPing, proto.OpPing)
	w.flush()
	for {
		p := w.recv()
		if p.Xid == proto.XidPing {
			return all, zxids
		}
		e := eventOf(w.t, p)
		if e.State != proto.StateSyncConnected {
			w.t.Errorf("state %d", e.State)
		}
		all, zxids = append(all, told{e.Type, e.Path}), append(zxids, p.Zxid)
	}
}

func typed(path string, typ int32) func(*jute.Coder) {
	q := proto.PathType{Path: path, Type: typ}
	return q.Fields
}

// An ask is one request of a script, and the answer that it must get.
type ask struct {
	op     proto.Op
	fields func(*jute.Coder)
	want   proto.Code
}

func (w *wire) play(steps ...ask) (last proto.Zxid) {
	w.t.Helper()
	for i, s := range steps {
		p := w.call(s.op, s.fields)
		if p.Err != s.want {
			w.t.Errorf("step %d, %v: %v, want %v", i, s.op, p.Err, s.want)
		}
		last = p.Zxid
	}
	return last
}

func mk(path string) ask { return ask{proto.OpCreate, create(path, "", 0), 0} }
func set(path string) ask {
	return ask{proto.OpSetData, setData(path, "new", -1), 0}
}
func rm(path string) ask { return ask{proto.OpDelete, del(path, -1), 0} }
func read(path string) ask {
	return ask{proto.OpGetData, get(path, true), 0}
}
func list(path string) ask {
	return ask{proto.OpGetChildren, get(path, true), 0}
}
func is(path string) ask { return ask{proto.OpExists, get(path, true), 0} }
func isNot(path string) ask {
	return ask{proto.OpExists, get(path, true), proto.ErrNoNode}
}
func persist(path string) ask {
	return ask{proto.OpAddWatch, typed(path, proto.AddWatchPersistent), 0}
}
func recurse(path string) ask {
	return ask{proto.OpAddWatch, typed(path, proto.AddWatchPersistentRecursive), 0}
}
func all(parts ...ask) ask {
	var ops []subOp
	for _, p := range parts {
		ops = append(ops, subOp{p.op, p.fields})
	}
	return ask{proto.OpMulti, multiOf(ops...), 0}
}

func TestWatches(t *testing.T) {
	acl := proto.SetACLRequest{Path: "/a", ACL: proto.OpenACL, Version: -1}
	cases := []struct {
		name              string
		setup, watch, act []ask
		want              []told
	}{
		{"data", []ask{mk("/a")}, []ask{read("/a")}, []ask{set("/a"), set("/a")},
			[]told{{changed, "/a"}}},
		{"data, deleted", []ask{mk("/a")}, []ask{read("/a")}, []ask{rm("/a"), mk("/a")},
			[]told{{deleted, "/a"}}},
		{"data, other changes", []ask{mk("/a")}, []ask{read("/a")},
			[]ask{mk("/a/b"), set("/a/b"), rm("/a/b"), {proto.OpSetACL, acl.Fields, 0}}, nil},
		{"data of none", nil,
			[]ask{{proto.OpGetData, get("/a", true), proto.ErrNoNode}}, []ask{mk("/a")}, nil},
		{"children of none", nil,
			[]ask{{proto.OpGetChildren, get("/a", true), proto.ErrNoNode}}, []ask{mk("/a")}, nil},
		{"exists, created", nil, []ask{isNot("/a")}, []ask{mk("/a"), set("/a")},
			[]told{{created, "/a"}}},
		{"exists, changed", []ask{mk("/a")}, []ask{is("/a")}, []ask{set("/a"), rm("/a")},
			[]told{{changed, "/a"}}},
		{"exists, deleted", []ask{mk("/a")}, []ask{is("/a")}, []ask{rm("/a")},
			[]told{{deleted, "/a"}}},
		{"children", []ask{mk("/a"), mk("/a/x")}, []ask{list("/a")},
			[]ask{set("/a/x"), set("/a"), mk("/a/b"), rm("/a/b")}, []told{{children, "/a"}}},
		{"children, one less", []ask{mk("/a"), mk("/a/x")}, []ask{list("/a")},
			[]ask{rm("/a/x"), mk("/a/x")}, []told{{children, "/a"}}},
		{"children, deleted", []ask{mk("/a")}, []ask{list("/a")}, []ask{rm("/a")},
			[]told{{deleted, "/a"}}},
		{"data and children, deleted: one event", []ask{mk("/a")}, []ask{read("/a"), list("/a")},
			[]ask{rm("/a")}, []told{{deleted, "/a"}}},
		{"data, children, and the parent's", []ask{mk("/p"), mk("/p/a")},
			[]ask{list("/p"), list("/p/a"), read("/p/a")}, []ask{rm("/p/a")},
			[]told{{deleted, "/p/a"}, {children, "/p"}}},
		{"exists and the parent's children", []ask{mk("/p")}, []ask{isNot("/p/a"), list("/p")},
			[]ask{mk("/p/a")}, []told{{created, "/p/a"}, {children, "/p"}}},
		{"the same watch twice", []ask{mk("/a")}, []ask{read("/a"), is("/a"), read("/a")},
			[]ask{set("/a")}, []told{{changed, "/a"}}},
		{"sequential", []ask{mk("/a")}, []ask{isNot("/a/n0000000000")},
			[]ask{{proto.OpCreate, create("/a/n", "", proto.FlagPersistentSequential), 0}},
			[]told{{created, "/a/n0000000000"}}},
		{"persistent", []ask{mk("/a")}, []ask{persist("/a")},
			[]ask{set("/a"), set("/a"), mk("/a/b"), set("/a/b"), rm("/a/b"), rm("/a"), mk("/a")},
			[]told{{changed, "/a"}, {changed, "/a"}, {children, "/a"}, {children, "/a"},
				{deleted, "/a"}, {created, "/a"}}},
		{"recursive", []ask{mk("/a"), mk("/ab")}, []ask{recurse("/a")},
			[]ask{set("/a"), mk("/a/b"), mk("/a/b/c"), set("/a/b/c"), rm("/a/b/c"), rm("/a/b"),
				set("/ab"), rm("/a"), mk("/a")},
			[]told{{changed, "/a"}, {created, "/a/b"}, {created, "/a/b/c"}, {changed, "/a/b/c"},
				{deleted, "/a/b/c"}, {deleted, "/a/b"}, {deleted, "/a"}, {created, "/a"}}},
		{"recursive from the root", []ask{mk("/a")}, []ask{recurse("/")},
			[]ask{mk("/a/b"), set("/"), rm("/a/b")},
			[]told{{created, "/a/b"}, {changed, "/"}, {deleted, "/a/b"}}},
		{"recursive with a standard one: one event", []ask{mk("/a")},
			[]ask{read("/a"), recurse("/a")}, []ask{set("/a"), set("/a")},
			[]told{{changed, "/a"}, {changed, "/a"}}},
		{"recursive above a standard one: one event", []ask{mk("/a"), mk("/a/b")},
			[]ask{read("/a/b"), recurse("/a"), recurse("/")}, []ask{set("/a/b")},
			[]told{{changed, "/a/b"}}},
		{"recursive and children", []ask{mk("/a")}, []ask{recurse("/a"), list("/a")},
			[]ask{mk("/a/b")}, []told{{created, "/a/b"}, {children, "/a"}}},
		{"recursive and persistent", []ask{mk("/a")}, []ask{recurse("/a"), persist("/a")},
			[]ask{set("/a"), mk("/a/b"), rm("/a/b"), rm("/a")},
			[]told{{changed, "/a"}, {created, "/a/b"}, {children, "/a"}, {deleted, "/a/b"},
				{children, "/a"}, {deleted, "/a"}}},
		{"persistent outlives a standard one", []ask{mk("/a")}, []ask{persist("/a"), read("/a")},
			[]ask{set("/a"), set("/a")}, []told{{changed, "/a"}, {changed, "/a"}}},
		{"multi, part by part", []ask{mk("/m")}, []ask{recurse("/m"), list("/m"), isNot("/m/2")},
			[]ask{all(mk("/m/1"), set("/m"), rm("/m/1"), mk("/m/2"))},
			[]told{{created, "/m/1"}, {children, "/m"}, {changed, "/m"}, {deleted, "/m/1"},
				{created, "/m/2"}}},
		{"multi that fails", []ask{mk("/m")}, []ask{recurse("/m"), list("/m")},
			[]ask{all(mk("/m/1"), set("/m"), rm("/none"))}, nil},
		{"write that fails", []ask{mk("/a"), mk("/a/b")}, []ask{persist("/a"), list("/a")},
			[]ask{{proto.OpDelete, del("/a", -1), proto.ErrNotEmpty},
				{proto.OpSetData, setData("/a", "", 7), proto.ErrBadVersion},
				{proto.OpCreate, create("/a/b", "", 0), proto.ErrNodeExists}}, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := startServer(t, inMemory)
			actor, watcher := connectTo(t, s), connectTo(t, s)
			actor.play(c.setup...)
			watcher.play(c.watch...)
			last := actor.play(c.act...)
			got, zxids := watcher.events()
			if !slices.Equal(got, c.want) {
				t.Errorf("told %v, want %v", got, c.want)
			}
			if n := len(zxids); n > 0 && (!slices.IsSorted(zxids) || zxids[n-1] > last || zxids[0] <= 0) {
				t.Errorf("zxids %v, the last change is %v", zxids, last)
			}
		})
	}
}

// The events of a change stand before its reply on the connection of its author, with its zxid.
func TestOwnEventsComeBeforeTheReply(t *testing.T) {
	s := startServer(t, inMemory)
	w := connectTo(t, s)
	w.play(mk("/a"), recurse("/"), list("/a"))
	xid := w.send(proto.OpMulti, all(mk("/a/1"), mk("/a/2")).fields)
	w.flush()
	var zxid proto.Zxid
	for i, want := range []told{{created, "/a/1"}, {children, "/a"}, {created, "/a/2"}} {
		p := w.recv()
		if e := eventOf(t, p); (told{e.Type, e.Path}) != want {
			t.Errorf("event %d: %+v, want %v", i, e, want)
		}
		zxid = p.Zxid
	}
	if p := w.recv(); p.Xid != xid || p.Zxid != zxid {
		t.Errorf("%+v, the events had %v", p.ReplyHeader, zxid)
	}
}

// Who may not read a znode is not told of it; its standard watch is used up all the same.
func TestEventsAreFilteredByACL(t *testing.T) {
	s := startServer(t, inMemory)
	owner, stranger, friend := connectTo(t, s), connectTo(t, s), connectTo(t, s)
	owner.auth("digest", "ann:pw")
	friend.auth("digest", "ann:pw")
	mine := []proto.ACL{{Perms: proto.PermAll, ID: proto.ID{Scheme: "auth"}}}
	createMine := func(path string) ask {
		q := proto.CreateRequest{Path: path, ACL: mine}
		return ask{proto.OpCreate, q.Fields, 0}
	}
	close := proto.SetACLRequest{Path: "/open", ACL: mine, Version: -1}
	owner.play(mk("/open"), createMine("/p"))
	for _, w := range []*wire{stranger, friend} {
		w.play(isNot("/late"), isNot("/p/x"), recurse("/"), read("/open"))
	}
	owner.play(createMine("/late"), createMine("/p/x"), set("/late"), rm("/late"), mk("/late"),
		ask{proto.OpSetACL, close.Fields, 0}, set("/open"))
	if got, _ := stranger.events(); !slices.Equal(got, []told{{created, "/late"}}) {
		t.Errorf("a stranger was told %v", got)
	}
	if got, _ := friend.events(); !slices.Equal(got, []told{{created, "/late"}, {created, "/p/x"},
		{changed, "/late"}, {deleted, "/late"}, {created, "/late"}, {changed, "/open"}}) {
		t.Errorf("a friend was told %v", got)
	}
	// A child event asks for the parent's ACL, not the child's.
	stranger.play(list("/"))
	friend.play(list("/"), list("/p"))
	owner.play(createMine("/secret"), mk("/p/y"))
	if got, _ := stranger.events(); !slices.Equal(got, []told{{children, "/"}, {created, "/p/y"}}) {
		t.Errorf("a stranger was told %v", got)
	}
	if got, _ := friend.events(); !slices.Equal(got, []told{{created, "/secret"}, {children, "/"},
		{created, "/p/y"}, {children, "/p"}}) {
		t.Errorf("a friend was told %v", got)
	}
}

// setWatches and setWatches2 tell at once what the client has missed since the zxid that it
// names, with zxid -1 and before the reply; what it has not missed is watched again.
func TestSetWatchesCatchesUp(t *testing.T) {
	for _, op := range []proto.Op{proto.OpSetWatches, proto.OpSetWatches2} {
		s := startServer(t, inMemory)
		actor := connectTo(t, s)
		actor.play(mk("/same"), mk("/set"), mk("/gone"), mk("/parent"), mk("/full"), mk("/full/x"))
		seen := actor.play(mk("/mark"))
		actor.play(set("/set"), rm("/gone"), mk("/new"), mk("/parent/c"), rm("/full/x"))
		w := connectTo(t, s)
		q := proto.SetWatches{RelativeZxid: seen, Two: op == proto.OpSetWatches2,
			Data:                []string{"/same", "/set", "/gone"},
			Exist:               []string{"/new", "/absent", "/same"},
			Child:               []string{"/same", "/parent", "/gone", "/full"},
			Persistent:          []string{"/set"},
			PersistentRecursive: []string{"/parent"},
		}
		if !q.Two {
			q.Persistent, q.PersistentRecursive = nil, nil
		}
		w.sendXid(proto.XidSetWatches, op, q.Fields)
		w.flush()
		want := []told{{changed, "/set"}, {deleted, "/gone"}, {created, "/new"}, {created, "/same"},
			{children, "/parent"}, {deleted, "/gone"}, {children, "/full"}}
		var got []told
		for {
			p := w.recv()
			if p.Xid == proto.XidSetWatches {
				break
			}
			e := eventOf(t, p)
			if got = append(got, told{e.Type, e.Path}); p.Zxid != -1 {
				t.Errorf("%+v carries %v", e, p.Zxid)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v: told %v, want %v", op, got, want)
		}
		actor.play(set("/same"), mk("/absent"), mk("/same/c"), set("/set"), mk("/parent/d"))
		want = []told{{changed, "/same"}, {created, "/absent"}, {children, "/same"}}
		if q.Two {
			want = append(want, told{changed, "/set"}, told{created, "/parent/d"})
		}
		if got, _ := w.events(); !slices.Equal(got, want) {
			t.Errorf("%v: after it told %v, want %v", op, got, want)
		}
	}
}

// A change between two connections of a client is told exactly once, whatever else goes on.
func TestWatchesSurviveAReconnect(t *testing.T) {
	s := startServer(t, inMemory)
	actor, w := connectTo(t, s), connectTo(t, s)
	actor.play(mk("/a"))
	seen := w.play(read("/a"))
	for round := range 20 {
		session := w.session
		_ = w.conn.Close()
		if round%2 == 0 {
			actor.play(set("/a"))
		}
		w = dial(t, s)
		w.connect(proto.ConnectRequest{LastZxidSeen: seen, TimeOut: 10000,
			SessionID: session.SessionID, Passwd: session.Passwd})
		q := noWatches(seen)
		q.Data = []string{"/a"}
		w.sendXid(proto.XidSetWatches, proto.OpSetWatches, q.Fields)
		w.flush()
		events := 0
		for {
			p := w.recv()
			if p.Xid == proto.XidSetWatches {
				break
			}
			events++
		}
		if round%2 == 1 {
			actor.play(set("/a"))
		}
		more, _ := w.events()
		if events += len(more); events != 1 {
			t.Fatalf("round %d: told %d times", round, events)
		}
		seen = w.play(read("/a"))
	}
}

// checkWatches finds a watch by its kind, removeWatches ends it (Watcher.WatcherType).
func TestCheckAndRemoveWatches(t *testing.T) {
	kinds := []struct {
		set   ask
		types []int32 // that name it
		left  []told  // of setData /a, create /a/b after removing each of the types
	}{
		{read("/a"), []int32{proto.WatcherData, proto.WatcherAny}, nil},
		{is("/a"), []int32{proto.WatcherData, proto.WatcherAny}, nil},
		{list("/a"), []int32{proto.WatcherChildren, proto.WatcherAny}, nil},
		{persist("/a"), []int32{proto.WatcherPersistent, proto.WatcherAny}, nil},
		{recurse("/a"), []int32{proto.WatcherPersistentRecursive, proto.WatcherAny}, nil},
	}
	s := startServer(t, inMemory)
	actor := connectTo(t, s)
	actor.play(mk("/a"), mk("/other"))
	for i, k := range kinds {
		for typ := proto.WatcherChildren; typ <= proto.WatcherPersistentRecursive; typ++ {
			want := proto.ErrNoWatcher
			if slices.Contains(k.types, typ) {
				want = proto.OK
			}
			w, other := connectTo(t, s), connectTo(t, s)
			w.play(k.set)
			other.play(k.set)
			w.play(ask{proto.OpCheckWatches, typed("/a", typ), want},
				ask{proto.OpCheckWatches, typed("/other", typ), proto.ErrNoWatcher},
				ask{proto.OpRemoveWatches, typed("/other", typ), proto.ErrNoWatcher},
				ask{proto.OpRemoveWatches, typed("/a", typ), want},
				ask{proto.OpCheckWatches, typed("/a", typ), proto.ErrNoWatcher})
			actor.play(set("/a"), mk("/a/b"), rm("/a/b"))
			got, _ := w.events()
			if removed := want == proto.OK; removed != (len(got) == 0) {
				t.Errorf("kind %d, removed as %d: told %v", i, typ, got)
			}
			if got, _ := other.events(); len(got) == 0 {
				t.Errorf("kind %d, type %d: another's watch is gone", i, typ)
			}
		}
	}
	w := connectTo(t, s)
	w.play(read("/a"), list("/a"), persist("/a"), recurse("/a"))
	for _, typ := range []int32{0, -1, 6} {
		w.play(ask{proto.OpCheckWatches, typed("/a", typ), proto.ErrMarshalling},
			ask{proto.OpRemoveWatches, typed("/a", typ), proto.ErrMarshalling})
	}
	w.play(ask{proto.OpAddWatch, typed("/a", 2), proto.ErrMarshalling},
		ask{proto.OpAddWatch, typed("/a", -1), proto.ErrMarshalling},
		ask{proto.OpRemoveWatches, typed("/a", proto.WatcherPersistent), 0})
	actor.play(set("/a"), mk("/a/b"), set("/a"))
	// The standard ones and the recursive one are left.
	if got, _ := w.events(); !slices.Equal(got, []told{{changed, "/a"}, {created, "/a/b"},
		{children, "/a"}, {changed, "/a"}}) {
		t.Errorf("told %v", got)
	}
	w.play(ask{proto.OpRemoveWatches, typed("/a", proto.WatcherAny), 0})
	actor.play(set("/a"))
	if got, _ := w.events(); got != nil {
		t.Errorf("told %v by watches that were removed", got)
	}
}

// The words count watches, and a connection's watches go with it.
func TestWatchesEndWithTheirConnection(t *testing.T) {
	s, _ := oneLoop(t, func(o *Options) {
		inMemory(o)
		o.Config.FourLetterWords = []string{"*"}
	})
	actor, w := connectTo(t, s), connectTo(t, s)
	for i := range 10 {
		actor.play(mk(fmt.Sprintf("/%d", i)))
		w.play(read(fmt.Sprintf("/%d", i)), list(fmt.Sprintf("/%d", i)))
	}
	// wchs counts data watches alone, as Java does; mntr counts both tables.
	if got := word(t, s, "wchs"); !strings.Contains(got, "1 connections watching 10 paths") ||
		!strings.Contains(got, "Total watches:10") {
		t.Errorf("wchs: %s", got)
	}
	if got := word(t, s, "mntr"); !strings.Contains(got, "zk_watch_count\t20\n") {
		t.Errorf("mntr: %s", got)
	}
	w.send(proto.OpCloseSession)
	w.flush()
	w.closed()
	left := make(chan int, 1) // the loop sends once per question
	eventually(t, "all watches are gone", func() bool {
		actor.play(set("/1"))
		l := s.loops[0]
		l.nl.Execute(func() { left <- len(l.watches.lists) + l.watches.entries + l.watches.watchers })
		return <-left == 0 && strings.Contains(word(t, s, "wchs"), "Total watches:0")
	})
}

// What a watch is known by does not change with the frame that named it: a second kind of watch
// on a path, and one of several clients that takes its watch away.
func TestWatchKeysOutliveFrames(t *testing.T) {
	s, _ := oneLoop(t, nil)
	a, b, c := connectTo(t, s), connectTo(t, s), connectTo(t, s)
	c.must(proto.OpCreate, create("/xx", "", 0))
	c.must(proto.OpCreate, create("/yy", "", 0))
	persistent := proto.PathType{Path: "/xx", Type: proto.AddWatchPersistent}
	a.must(proto.OpAddWatch, persistent.Fields)
	a.must(proto.OpExists, get("/xx", true))
	b.must(proto.OpExists, get("/xx", true))
	c.must(proto.OpExists, get("/xx", true))
	mine := proto.PathType{Path: "/xx", Type: proto.WatcherData}
	c.must(proto.OpRemoveWatches, mine.Fields)
	for range 10 { // frames of the same lengths, where the others stood
		a.must(proto.OpExists, get("/yy", false))
		b.must(proto.OpExists, get("/yy", false))
		c.must(proto.OpExists, get("/yy", false))
	}
	keys := make(chan []string, 1)
	s.loops[0].nl.Execute(func() {
		var paths []string
		for k, list := range s.loops[0].watches.lists {
			paths = append(paths, k.path, list.key.path)
		}
		for c := range s.loops[0].conns {
			for k := range c.watches {
				paths = append(paths, k.path)
			}
		}
		keys <- paths
	})
	for _, path := range <-keys {
		if path != "/xx" {
			t.Errorf("a watch of %q", path)
		}
	}
	_ = a.conn.Close()
	eventually(t, "a is gone", func() bool { return s.live.Load() == 2 })
	c.must(proto.OpSetData, setData("/xx", "1", -1))
	if e := eventOf(t, b.recv()); e.Path != "/xx" {
		t.Errorf("%+v", e)
	}
	c.must(proto.OpSetData, setData("/xx", "2", -1))
}
