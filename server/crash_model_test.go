package server

import (
	"fmt"
	"maps"
	"sort"
	"strings"

	"github.com/meerkat-zk/meerkat/proto"
)

// The model of the crash tests: what one client's znodes must look like.
//
// Each client writes below a znode of its own and, in /seq, siblings that carry its name, so a
// plain map tells every answer in advance. Requests of a client are a queue: after a crash the
// server must hold what the client was told, then a prefix of what it was not told.

// A crashNode is a znode as its owner expects it. A zxid of 0 is one that nobody was told.
type crashNode struct {
	data                string
	perms               int32 // of world:anyone
	version, aversion   int32
	creates, children   int32
	owner               int64
	czxid, mzxid, pzxid proto.Zxid
}

type crashTree map[string]crashNode

// A crashOp is one request. Its num is unique in the life of its client, over all crashes.
type crashOp struct {
	num                   int
	op                    proto.Op
	path, data            string
	version, flags, perms int32
	parts                 []crashOp
	watch                 bool
	xid                   int32
	want                  crashAnswer
}

// A crashAnswer is what the model says about a request.
type crashAnswer struct {
	code  proto.Code
	path  string        // of a create; without its sequence number in /seq
	parts []crashAnswer // of a multi
}

const (
	crashSeq = "/seq" // all clients create sequential znodes here
	crashHot = "/hot" // all clients set this one
)

// crashTag marks data with the request that wrote it.
func crashTag(client, num int) string { return fmt.Sprintf("c%d#%d", client, num) }

func parseCrashTag(data string) (client, num int, ok bool) {
	_, err := fmt.Sscanf(data, "c%d#%d ", &client, &num)
	return client, num, err == nil
}

// crashKey is a path's place in the model: in /seq, the path without its sequence number,
// which depends on the other clients.
func crashKey(path string) string {
	if strings.HasPrefix(path, crashSeq+"/") && !strings.HasSuffix(path, "-") {
		return path[:len(path)-10]
	}
	return path
}

func isSequential(flags int32) bool {
	return flags == proto.FlagPersistentSequential || flags == proto.FlagEphemeralSequential
}

func isEphemeral(flags int32) bool {
	return flags == proto.FlagEphemeral || flags == proto.FlagEphemeralSequential
}

// apply does a request of a session to the tree and tells its answer.
func (t crashTree) apply(o *crashOp, session int64, zxid proto.Zxid) crashAnswer {
	switch o.op {
	case proto.OpMulti:
		return t.multi(o, session, zxid)
	case proto.OpCloseSession:
		for _, path := range t.paths() {
			if t[path].owner == session {
				t.remove(path, zxid)
			}
		}
		return crashAnswer{}
	case proto.OpCreate, proto.OpCreate2:
		return t.create(o, session, zxid)
	}
	if o.path == crashHot || o.op == proto.OpGetData || o.op == proto.OpSync {
		return crashAnswer{} // read by the client itself
	}
	n, ok := t[crashKey(o.path)]
	switch {
	case !ok:
		return crashAnswer{code: proto.ErrNoNode}
	case o.op == proto.OpSetACL:
		n.perms, n.aversion = o.perms, n.aversion+1
	case o.version != -1 && o.version != n.version:
		return crashAnswer{code: proto.ErrBadVersion}
	case o.op == proto.OpCheck:
		return crashAnswer{}
	case o.op == proto.OpSetData:
		n.data, n.version, n.mzxid = o.data, n.version+1, zxid
	case o.op == proto.OpDelete:
		if n.children > 0 {
			return crashAnswer{code: proto.ErrNotEmpty}
		}
		t.remove(crashKey(o.path), zxid)
		return crashAnswer{}
	}
	t[crashKey(o.path)] = n
	return crashAnswer{}
}

func (t crashTree) create(o *crashOp, session int64, zxid proto.Zxid) crashAnswer {
	dir := parentOf(o.path)
	parent, ok := t[dir]
	if !ok && dir != crashSeq {
		return crashAnswer{code: proto.ErrNoNode}
	}
	path := o.path
	if isSequential(o.flags) && dir != crashSeq {
		path = fmt.Sprintf("%s%010d", path, parent.creates)
	}
	if _, ok := t[path]; ok {
		return crashAnswer{code: proto.ErrNodeExists}
	}
	if parent.owner != 0 {
		return crashAnswer{code: proto.ErrNoChildrenForEphemerals}
	}
	n := crashNode{data: o.data, perms: proto.PermAll, czxid: zxid, mzxid: zxid, pzxid: zxid}
	if isEphemeral(o.flags) {
		n.owner = session
	}
	t[path] = n
	if dir != crashSeq {
		parent.creates, parent.children, parent.pzxid = parent.creates+1, parent.children+1, zxid
		t[dir] = parent
	}
	return crashAnswer{path: path}
}

func (t crashTree) remove(path string, zxid proto.Zxid) {
	delete(t, path)
	dir := parentOf(path)
	if parent, ok := t[dir]; ok {
		parent.children, parent.pzxid = parent.children-1, zxid
		t[dir] = parent
	}
}

// multi does all parts or, at the first that fails, none.
func (t crashTree) multi(o *crashOp, session int64, zxid proto.Zxid) crashAnswer {
	was := maps.Clone(t)
	all := crashAnswer{parts: make([]crashAnswer, len(o.parts))}
	for i := range o.parts {
		all.parts[i] = t.apply(&o.parts[i], session, zxid)
		if all.parts[i].code == proto.OK {
			continue
		}
		clear(t)
		maps.Copy(t, was)
		for j := range all.parts {
			switch {
			case j < i:
				all.parts[j] = crashAnswer{}
			case j > i:
				all.parts[j] = crashAnswer{code: proto.ErrRuntimeInconsistency}
			}
		}
		break
	}
	return all
}

// failed tells whether a multi failed as a whole.
func (a crashAnswer) failed() bool {
	for _, p := range a.parts {
		if p.code != proto.OK {
			return true
		}
	}
	return false
}

func (t crashTree) paths() []string {
	list := make([]string, 0, len(t))
	for path := range t {
		list = append(list, path)
	}
	sort.Strings(list)
	return list
}

// differs says how got, read from a server, differs from t, "" if it does not. Where t knows
// no zxid, got's must lie above floor, the last one that the client was told.
func (t crashTree) differs(got crashTree, floor proto.Zxid) string {
	for _, path := range t.paths() {
		if _, ok := got[path]; !ok {
			return fmt.Sprintf("%s is missing; it should be %v", path, t[path])
		}
	}
	for _, path := range got.paths() {
		want, ok := t[path]
		if !ok {
			return fmt.Sprintf("%s should not be there: %v", path, got[path])
		}
		have := got[path]
		zxidsFit := true
		for _, z := range [][2]*proto.Zxid{
			{&want.czxid, &have.czxid}, {&want.mzxid, &have.mzxid}, {&want.pzxid, &have.pzxid},
		} {
			if *z[0] == 0 {
				zxidsFit = zxidsFit && *z[1] > floor
				*z[0] = *z[1]
			}
		}
		if want != have || !zxidsFit {
			return fmt.Sprintf("%s is %v, want %v, zxids behind %v", path, have, want, floor)
		}
	}
	return ""
}

// String keeps data short: it may be anything.
func (n crashNode) String() string {
	return fmt.Sprintf("%.20q… (%d bytes) perms %d version %d aversion %d creates %d children %d "+
		"owner 0x%x czxid %v mzxid %v pzxid %v", n.data, len(n.data), n.perms, n.version, n.aversion,
		n.creates, n.children, uint64(n.owner), n.czxid, n.mzxid, n.pzxid)
}
