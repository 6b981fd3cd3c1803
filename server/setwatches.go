package server

import (
	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/tree"
)

// A job is a setWatches that is worked through in slices, a bounded number of paths per turn,
// each against the root of its turn. The zxid that the client names makes any order right: a
// change that the client has not seen has a larger one (DataTree.setWatches).
type job struct {
	conn  *conn
	xid   int32
	q     proto.SetWatches
	table int // which list: data, exist, child, persistent, recursive
	at    int // the next path of it
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
	c.pending.first().kind = pendingJob
	l.jobs = append(l.jobs, j)
	l.nl.Wake()
	return false
}

// work gives every job one slice; those that are not done go on in the next turn.
func (l *loop) work() {
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

// jobDone answers a setWatches.
func (l *loop) jobDone(j *job) {
	b, at := beginReply(j.conn.nc.Buffer(), j.xid, l.root.Zxid(), proto.OK)
	l.reply(j.conn, b, at)
}

// step looks at the next slice of paths, and tells whether that was all.
func (l *loop) step(j *job) bool {
	lists := [...][]string{j.q.Data, j.q.Exist, j.q.Child, j.q.Persistent, j.q.PersistentRecursive}
	for left := watchSliceMax; j.table < len(lists); j.table, j.at = j.table+1, 0 {
		for ; j.at < len(lists[j.table]); j.at++ {
			if left--; left < 0 {
				return false
			}
			l.restore(j, lists[j.table][j.at])
		}
	}
	return true
}

// restore sets one watch again, or tells at once of the change that it missed. Such events
// carry zxid -1 and are not filtered by ACL.
func (l *loop) restore(j *job, path string) {
	c, n := j.conn, l.root.Get(path)
	tell := func(typ int32) { l.catchUp(c, typ, path) }
	switch j.table {
	case 0:
		switch {
		case n == nil:
			tell(proto.EventNodeDeleted)
		case n.Mzxid() > j.q.RelativeZxid:
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
		l.restoreChild(j, path, n)
	case 3:
		l.addWatch(c, path, dataTable, watchPersistent)
		l.addWatch(c, path, childTable, watchPersistent)
	case 4:
		l.addWatch(c, path, dataTable, watchRecursive)
	}
}

func (l *loop) restoreChild(j *job, path string, n *tree.Node) {
	switch {
	case n == nil:
		l.catchUp(j.conn, proto.EventNodeDeleted, path)
	case n.Pzxid() > j.q.RelativeZxid:
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
