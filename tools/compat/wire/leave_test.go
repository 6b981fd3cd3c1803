package wire

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
)

// What the gaps ask of a probe and of two answers.

func byOp(op proto.Op) func(*exchange) bool {
	return func(x *exchange) bool { return x.probe.op == op }
}

func byProbe(op proto.Op) func(*probe) bool {
	return func(p *probe) bool { return p.op == op }
}

func isWatchQuestion(op proto.Op) bool {
	return op == proto.OpCheckWatches || op == proto.OpRemoveWatches
}

func bothMarshalling(x *exchange) bool {
	java, meerkat, both := x.codes()
	if !both || java != proto.ErrMarshalling || meerkat != proto.ErrMarshalling {
		return false
	}
	_, body := x.bodies()
	return len(body) == 0
}

// sameParts tells whether two answers to a multi are the same but for create2 in place of
// create.
func sameParts(x *exchange) bool {
	java, meerkat, both := x.codes()
	if !both || java != proto.OK || meerkat != proto.OK {
		return false
	}
	var j, m parts
	of, by := x.bodies()
	in, other := jute.Reader(of), jute.Reader(by)
	j.Fields(&in)
	m.Fields(&other)
	if in.Err() != nil || other.Err() != nil || len(j.list) != len(m.list) {
		return false
	}
	for i := range j.list {
		short, is := j.list[i].body.(*proto.PathOnly)
		if long, has := m.list[i].body.(*proto.PathStat); is && has {
			if short.Path != long.Path {
				return false
			}
			m.list[i] = j.list[i]
		}
	}
	return bytes.Equal(encode(&j), encode(&m))
}

// notUTF8 is the one path of the raw comparison whose bytes are no text.
const notUTF8 = "/\xff"

// sameButText tells whether two answers are the same up to what is no text in their paths.
func sameButText(x *exchange) bool {
	if x.java.closed != x.meerkat.closed || x.java.zxid != x.meerkat.zxid ||
		len(x.java.frames) != len(x.meerkat.frames) {
		return false
	}
	for i, java := range x.java.frames {
		meerkat := x.meerkat.frames[i]
		if !bytes.Equal(java, meerkat) && !bytes.Equal(withoutBroken(java), withoutBroken(meerkat)) {
			return false
		}
	}
	return true
}

// withoutBroken is an event or the answer to a sync without what is no text in its path.
func withoutBroken(f []byte) []byte {
	var r record = new(proto.PathOnly)
	if isEvent(f) {
		r = new(proto.WatcherEvent)
	}
	if len(f) < replyHeaderBytes {
		return f
	}
	in := jute.Reader(f[replyHeaderBytes:])
	if r.Fields(&in); in.Err() != nil || in.More() {
		return f
	}
	text := func(s string) string {
		return strings.Map(func(c rune) rune {
			if c == utf8.RuneError {
				return -1
			}
			return c
		}, s)
	}
	switch r := r.(type) {
	case *proto.PathOnly:
		r.Path = text(r.Path)
	case *proto.WatcherEvent:
		r.Path = text(r.Path)
	}
	return append(bytes.Clone(f[:replyHeaderBytes]), encode(r)...)
}

func multiParts(list ...part) *parts { return &parts{append(list, part{header: proto.MultiEnd})} }

func multiCreate2() record {
	return multiParts(part{proto.MultiHeader{Op: proto.OpCreate2, Err: -1},
		&proto.CreateRequest{Path: "/example", ACL: proto.OpenACL}})
}

func multiNull() record {
	return multiParts(part{proto.MultiHeader{Op: proto.OpDelete, Err: -1},
		&proto.PathVersion{Path: jute.Null}})
}

func multiReadNull() record {
	return multiParts(part{proto.MultiHeader{Op: proto.OpGetData, Err: -1},
		&proto.PathWatch{Path: jute.Null}})
}

// firstString is the path that most bodies begin with.
func firstString(p *probe) (path string, ok bool) {
	in := jute.Reader(p.body)
	in.String(&path)
	return path, in.Err() == nil
}

// decodeCreate reads the body of a create of any kind.
func decodeCreate(op proto.Op, body []byte) (q proto.CreateRequest, ok bool) {
	switch op {
	case proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer, proto.OpCreateTTL:
		in := jute.Reader(body)
		q.Fields(&in)
		return q, in.Err() == nil
	}
	return q, false
}

// eachCreate calls f with every create that a probe asks for, alone or in a multi.
func eachCreate(p *probe, f func(op proto.Op, q *proto.CreateRequest)) {
	if q, ok := decodeCreate(p.op, p.body); ok {
		f(p.op, &q)
	}
	if p.op != proto.OpMulti {
		return
	}
	in := jute.Reader(p.body)
	for {
		var h proto.MultiHeader
		h.Fields(&in)
		if in.Err() != nil || h.Done {
			return
		}
		switch h.Op {
		case proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer:
			var q proto.CreateRequest
			q.Fields(&in)
			f(h.Op, &q)
		case proto.OpCreateTTL:
			var q proto.CreateTTLRequest
			q.Fields(&in)
			f(h.Op, &q.CreateRequest)
		case proto.OpDelete, proto.OpCheck:
			new(proto.PathVersion).Fields(&in)
		case proto.OpSetData:
			new(proto.SetDataRequest).Fields(&in)
		default:
			return // the whole multi is refused
		}
	}
}

// leavesPart leaves out the multis that have such a create among their parts.
func leavesPart(is func(op proto.Op, q *proto.CreateRequest) bool) func(*probe) bool {
	return func(p *probe) (left bool) {
		if p.op == proto.OpMulti {
			eachCreate(p, func(op proto.Op, q *proto.CreateRequest) { left = left || is(op, q) })
		}
		return left
	}
}

func flagOfNoContainer(op proto.Op, q *proto.CreateRequest) bool {
	return op == proto.OpCreateContainer && q.Flags >= 0 && q.Flags < proto.FlagContainer
}

// hidesZnode leaves out what would make a znode that not everyone may read.
func hidesZnode(p *probe) (hides bool) {
	check := func(list []proto.ACL) {
		open := slices.ContainsFunc(list, func(a proto.ACL) bool {
			return a.Perms&proto.PermRead != 0 && a.ID == everyone.ID
		})
		refused := slices.ContainsFunc(list, func(a proto.ACL) bool {
			return a.ID.Scheme == jute.Null || a.ID.ID == jute.Null && a.ID.Scheme != "auth" ||
				!slices.Contains([]string{"world", "auth", "digest", "ip"}, a.ID.Scheme)
		})
		hides = hides || len(list) > 0 && !open && !refused
	}
	eachCreate(p, func(_ proto.Op, q *proto.CreateRequest) { check(q.ACL) })
	if p.op == proto.OpSetACL {
		var q proto.SetACLRequest
		in := jute.Reader(p.body)
		q.Fields(&in)
		check(q.ACL)
	}
	return hides
}

// watchPaths are the paths that a probe sets or asks for watches on, by their modes.
func watchPaths(p *probe) (oneShot, persistent, recursive []string) {
	in := jute.Reader(p.body)
	switch p.op {
	case proto.OpExists, proto.OpGetData, proto.OpGetChildren, proto.OpGetChildren2:
		var q proto.PathWatch
		if q.Fields(&in); q.Watch {
			oneShot = []string{q.Path}
		}
	case proto.OpCheckWatches, proto.OpRemoveWatches:
		var q proto.PathType
		q.Fields(&in)
		oneShot = []string{q.Path}
	case proto.OpAddWatch:
		var q proto.PathType
		q.Fields(&in)
		switch q.Type {
		case proto.AddWatchPersistent:
			persistent = []string{q.Path}
		case proto.AddWatchPersistentRecursive:
			recursive = []string{q.Path}
		}
	case proto.OpSetWatches, proto.OpSetWatches2:
		q := proto.SetWatches{Two: p.op == proto.OpSetWatches2}
		q.Fields(&in)
		return slices.Concat(q.Data, q.Exist, q.Child), q.Persistent, q.PersistentRecursive
	}
	return oneShot, persistent, recursive
}

// mixedWatches leaves out watches of a mode that is not the connection's.
func mixedWatches(p *probe) bool {
	oneShot, persistent, recursive := watchPaths(p)
	switch p.slot {
	case slotPersistent:
		return len(oneShot)+len(recursive) > 0
	case slotRecursive:
		return len(oneShot)+len(persistent) > 0
	default:
		return len(persistent)+len(recursive) > 0
	}
}

func watchesEmpty(p *probe) bool {
	oneShot, persistent, recursive := watchPaths(p)
	return slices.Contains(slices.Concat(oneShot, persistent, recursive), "")
}

// isRelative tells of a path that does not begin at the root.
func isRelative(path string) bool { return !strings.HasPrefix(path, "/") }
