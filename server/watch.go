package server

import (
	"slices"
	"strings"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/tree"
)

// Watches live in the loop of the connection that set them (WatchManager, one per loop). Two
// tables by path: data (also exists, persistent and recursive) and child.

type watchTable uint8

const (
	dataTable watchTable = iota
	childTable
)

// A watchMode is the set of ways in which one connection watches one path in one table.
type watchMode uint8

const (
	watchStandard watchMode = 1 << iota // fires once
	watchPersistent
	watchRecursive // fires for descendants too; data table only
)

type watchKey struct {
	path  string
	table watchTable
}

// A watcher is a connection in a path's list.
type watcher struct {
	conn *conn
	mode watchMode
}

// A watchList has the watchers of a path in one table, and owns the memory of the path. Keys that
// are only looked up may alias a frame or a znode. An assignment to a Go map may replace the key by
// an equal one, so assignments use the list's own key.
type watchList struct {
	key      watchKey
	watchers []watcher
}

// index is the place of a connection in the list, which must have it.
func (l *watchList) index(c *conn) int {
	return slices.IndexFunc(l.watchers, func(x watcher) bool { return x.conn == c })
}

// watches is a loop's table. Invariant: conn.watches and the lists say the same.
type watches struct {
	lists     map[watchKey]*watchList
	recursive int // entries with watchRecursive; 0 spares the walk over ancestors
	entries   int // (connection, path, table) triples
	watchers  int // connections with any

	dataEntries, dataPaths int // of entries and of lists, those of the data table

	// restored is the zxid of the last restore. For a client that has seen nothing since, every znode
	// may have changed.
	restored proto.Zxid
}

// add registers a watch; it tells whether the triple is new.
func (w *watches) add(c *conn, k watchKey, mode watchMode) bool {
	had := c.watches[k]
	if had|mode == had {
		return false
	}
	if mode&watchRecursive != 0 {
		w.recursive++
	}
	list := w.lists[k]
	if had != 0 {
		list.watchers[list.index(c)].mode |= mode
		c.watches[list.key] = had | mode
		return false
	}
	if list == nil {
		k.path = strings.Clone(k.path)
		list = &watchList{key: k}
		w.lists[k] = list
		if k.table == dataTable {
			w.dataPaths++
		}
	}
	list.watchers = append(list.watchers, watcher{c, mode})
	if k.table == dataTable {
		w.dataEntries++
	}
	if c.watches == nil {
		c.watches = map[watchKey]watchMode{}
	}
	if len(c.watches) == 0 {
		w.watchers++
	}
	c.watches[list.key] = mode
	w.entries++
	return true
}

// drop takes modes away from a connection's watch on k, and tells whether it had any of them.
func (w *watches) drop(c *conn, k watchKey, mode watchMode) bool {
	had := c.watches[k]
	if had&mode == 0 {
		return false
	}
	if had&mode&watchRecursive != 0 {
		w.recursive--
	}
	list := w.lists[k]
	left := had &^ mode
	i := list.index(c)
	if left != 0 {
		list.watchers[i].mode = left
		c.watches[list.key] = left
		return true
	}
	list.watchers = slices.Delete(list.watchers, i, i+1)
	w.dropEmpty(list)
	w.forget(c, k)
	return true
}

// forget takes a triple out of its connection's side.
func (w *watches) forget(c *conn, k watchKey) {
	delete(c.watches, k)
	w.entries--
	if k.table == dataTable {
		w.dataEntries--
	}
	if len(c.watches) == 0 {
		w.watchers--
	}
}

// dropEmpty takes a list out that nobody is in.
func (w *watches) dropEmpty(list *watchList) {
	if len(list.watchers) > 0 {
		return
	}
	delete(w.lists, list.key)
	if list.key.table == dataTable {
		w.dataPaths--
	}
}

// dropAll forgets a connection.
func (w *watches) dropAll(c *conn) {
	for k, mode := range c.watches {
		w.drop(c, k, mode)
	}
	c.watches = nil
}

// collect appends to out the connections that must be told of an event on a path in one table.
// First come those that watch the path itself; their standard watches end here. Then come those
// with a recursive watch on an ancestor. A connection is appended once, and not at all if it
// carries mark already.
func (w *watches) collect(out []*conn, k watchKey, mark uint64) []*conn {
	if list := w.lists[k]; list != nil {
		keep := list.watchers[:0]
		for _, x := range list.watchers {
			if x.conn.eventMark != mark {
				x.conn.eventMark = mark
				out = append(out, x.conn)
			}
			left := x.mode &^ watchStandard
			if left == 0 {
				w.forget(x.conn, k)
				continue
			}
			x.conn.watches[list.key] = left
			keep = append(keep, watcher{x.conn, left})
		}
		clear(list.watchers[len(keep):])
		list.watchers = keep
		w.dropEmpty(list)
	}
	if w.recursive == 0 || k.table != dataTable {
		return out
	}
	for path := k.path; path != "/"; {
		path = parentOf(path)
		list := w.lists[watchKey{path, dataTable}]
		if list == nil {
			continue
		}
		for _, x := range list.watchers {
			if x.mode&watchRecursive != 0 && x.conn.eventMark != mark {
				x.conn.eventMark = mark
				out = append(out, x.conn)
			}
		}
	}
	return out
}

// parentOf is the path of a znode's parent.
func parentOf(path string) string {
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return "/"
}

// modesOf says which triples a kind of checkWatches or removeWatches names (WatcherType);
// nil for an unknown kind.
func modesOf(kind int32) []struct {
	table watchTable
	mode  watchMode
} {
	type sel = struct {
		table watchTable
		mode  watchMode
	}
	const all = watchStandard | watchPersistent | watchRecursive
	switch kind {
	case proto.WatcherChildren:
		return []sel{{childTable, watchStandard}}
	case proto.WatcherData:
		return []sel{{dataTable, watchStandard}}
	case proto.WatcherAny:
		return []sel{{dataTable, all}, {childTable, all}}
	case proto.WatcherPersistent:
		return []sel{{dataTable, watchPersistent}, {childTable, watchPersistent}}
	case proto.WatcherPersistentRecursive:
		return []sel{{dataTable, watchRecursive}}
	}
	return nil
}

// A job is a large setWatches. A bounded number of its paths is looked at per turn, each against
// the root of its turn. The order does not matter, because a change that the client has not seen
// has a larger zxid than the one that the client names (DataTree.setWatches).
type job struct {
	conn  *conn
	xid   int32
	q     proto.SetWatches
	table int // which list: data, exist, child, persistent, recursive
	at    int // the next path of it
	code  proto.Code
}

// setWatches answers a setWatches that is small, and makes a job of a larger one (false).
func (l *loop) setWatches(c *conn, xid int32, op proto.Op, body []byte) bool {
	j := &job{conn: c, xid: xid, q: proto.SetWatches{Two: op == proto.OpSetWatches2}}
	inQueue := c.pending.len() > 0
	own := append([]byte(nil), body...) // the paths outlive the turn
	if !decode(own, l.srv.cfg.JuteMaxBuffer, j.q.Fields) {
		b, at := beginReply(c.nc.Buffer(), xid, l.root.Zxid(), proto.ErrMarshalling)
		l.reply(c, b, at)
		return true
	}
	if l.step(j) {
		l.jobDone(j)
		return true
	}
	if !inQueue {
		l.wait(c, pendingJob, proto.RequestHeader{Xid: xid, Op: op}, nil)
	}
	c.pending.become(pendingJob)
	l.jobs = append(l.jobs, j)
	l.nl.Wake()
	return false
}

// work gives the jobs one slice together; those that are not done go on in the next turn.
func (l *loop) work() {
	l.paths = watchSliceMax
	jobs := l.jobs
	l.jobs = nil
	for _, j := range jobs {
		switch {
		case j.conn.state != connLive:
		case l.step(j):
			c := j.conn
			l.jobDone(j)
			l.pop(c)
			l.drain(c)
		default:
			l.jobs = append(l.jobs, j)
		}
	}
	if len(l.jobs) > 0 {
		l.nl.Wake()
	}
}

func (j *job) op() proto.Op {
	if j.q.Two {
		return proto.OpSetWatches2
	}
	return proto.OpSetWatches
}

// jobDone answers a setWatches.
func (l *loop) jobDone(j *job) {
	b, at := beginReply(j.conn.nc.Buffer(), j.xid, l.root.Zxid(), j.code)
	l.reply(j.conn, b, at)
	l.answered(j.conn, j.xid, j.op(), l.root.Zxid())
}

// step looks at the next slice of paths, and tells whether that was all. A null list or path ends
// it with an error; the paths before it have their watches, as in Java.
func (l *loop) step(j *job) bool {
	lists := [...][]string{j.q.Data, j.q.Exist, j.q.Child, j.q.Persistent, j.q.PersistentRecursive}
	if !j.q.Two {
		lists[3], lists[4] = []string{}, []string{}
	}
	for ; j.table < len(lists); j.table, j.at = j.table+1, 0 {
		if lists[j.table] == nil {
			j.code = proto.ErrMarshalling
			return true
		}
		for ; j.at < len(lists[j.table]); j.at++ {
			if l.paths == 0 {
				return false
			}
			l.paths--
			path := lists[j.table][j.at]
			if path == jute.Null {
				j.code = proto.ErrMarshalling
				return true
			}
			l.restore(j, path)
		}
	}
	return true
}

// restore sets one watch again, or tells at once of the change that it missed. Such events
// carry zxid -1 and are not filtered by ACL.
func (l *loop) restore(j *job, path string) {
	c, n := j.conn, l.root.Get(path)
	missed := j.q.RelativeZxid < l.watches.restored
	tell := func(typ int32) { l.catchUp(c, typ, path) }
	switch j.table {
	case 0:
		switch {
		case n == nil:
			tell(proto.EventNodeDeleted)
		case n.Mzxid() > j.q.RelativeZxid || missed:
			tell(proto.EventNodeDataChanged)
		default:
			l.addWatch(c, path, dataTable, watchStandard)
		}
	case 1:
		if n != nil {
			tell(proto.EventNodeCreated)
		} else {
			l.addWatch(c, path, dataTable, watchStandard)
		}
	case 2:
		l.restoreChild(j, path, n, missed)
	case 3:
		l.addWatch(c, path, dataTable, watchPersistent)
		l.addWatch(c, path, childTable, watchPersistent)
	case 4:
		l.addWatch(c, path, dataTable, watchRecursive)
	}
}

func (l *loop) restoreChild(j *job, path string, n *tree.Node, missed bool) {
	switch {
	case n == nil:
		l.catchUp(j.conn, proto.EventNodeDeleted, path)
	case n.Pzxid() > j.q.RelativeZxid || missed:
		l.catchUp(j.conn, proto.EventNodeChildrenChanged, path)
	default:
		l.addWatch(j.conn, path, childTable, watchStandard)
	}
}

// catchUp sends an event that stands before the setWatches reply.
func (l *loop) catchUp(c *conn, typ int32, path string) {
	b, at := appendEvent(c.nc.Buffer(), -1, typ, path)
	l.reply(c, b, at)
}
