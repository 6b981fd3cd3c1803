package wire

import (
	"math"
	"math/rand/v2"
	"strings"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
)

// A probe is one request of the raw comparison, as bytes. Many are malformed.
type probe struct {
	slot int // the connection that sends it
	xid  int32
	op   proto.Op
	body []byte
	head int // how many bytes of the header are sent; less than all, and there is no body
}

const headerBytes = 8

func (p *probe) payload() []byte {
	h := proto.RequestHeader{Xid: p.xid, Op: p.op}
	return append(encode(&h)[:p.head], p.body...)
}

// The connections of a raw comparison. Those that set one-shot watches set no other, and each of
// the last two sets watches of one mode alone (see mixedWatches).
const (
	slotSuper      = 2 // has all permissions, so that no ACL locks a part of the tree for good
	slotPersistent = 3
	slotRecursive  = 4
	slots          = 5
)

// A prober makes probes. The same seed makes the same ones.
type prober struct {
	rand *rand.Rand
	xid  int32
}

func newProber(seed uint64) *prober {
	return &prober{rand: rand.New(rand.NewPCG(seed, 1))}
}

func pick[T any](g *prober, list ...T) T { return list[g.rand.IntN(len(list))] }

func (g *prober) chance(percent int) bool { return g.rand.IntN(100) < percent }

// next makes a probe that may be sent.
func (g *prober) next() *probe {
	for {
		p := &probe{slot: g.rand.IntN(slots), head: headerBytes}
		g.xid++
		p.xid = g.xid
		if g.chance(4) {
			p.xid = pick(g, proto.XidEvent, proto.XidPing, proto.XidAuth, proto.XidSetWatches, 0,
				math.MinInt32, math.MaxInt32)
		}
		p.op = g.operation()
		p.body = encode(g.record(p.slot, p.op))
		g.malform(p)
		if !leftOut(p) {
			return p
		}
	}
}

func (g *prober) operation() proto.Op {
	if g.chance(2) {
		return pick(g, proto.OpNotification, proto.OpError, proto.OpCheck, proto.OpDeleteContainer,
			10, 23, 99, 108, -12, math.MaxInt32, math.MinInt32)
	}
	return pick(g, proto.OpCreate, proto.OpCreate, proto.OpCreate, proto.OpCreate, proto.OpCreate2,
		proto.OpCreate2, proto.OpCreateContainer, proto.OpCreateTTL, proto.OpDelete,
		proto.OpDelete, proto.OpDelete, proto.OpSetData, proto.OpSetData, proto.OpSetACL,
		proto.OpMulti, proto.OpMulti, proto.OpMulti, proto.OpMulti, proto.OpExists,
		proto.OpExists, proto.OpGetData, proto.OpGetData, proto.OpGetChildren,
		proto.OpGetChildren2, proto.OpGetACL, proto.OpMultiRead, proto.OpSync, proto.OpPing,
		proto.OpGetEphemerals, proto.OpGetAllChildrenNumber, proto.OpCheckWatches,
		proto.OpRemoveWatches, proto.OpAddWatch, proto.OpAddWatch, proto.OpSetWatches,
		proto.OpSetWatches2, proto.OpAuth, proto.OpWhoAmI, proto.OpSASL, proto.OpReconfig,
		g.rarely(proto.OpCloseSession, 30, proto.OpPing))
}

// rarely is op in so many percent of all cases.
func (g *prober) rarely(op proto.Op, percent int, otherwise proto.Op) proto.Op {
	if g.chance(percent) {
		return op
	}
	return otherwise
}

// record is the body of an operation, which decodes.
func (g *prober) record(slot int, op proto.Op) record {
	oneShot := slot < slotPersistent
	switch op {
	case proto.OpExists, proto.OpGetData, proto.OpGetChildren, proto.OpGetChildren2:
		return &proto.PathWatch{Path: g.path(), Watch: oneShot && g.chance(50)}
	case proto.OpGetACL, proto.OpSync, proto.OpGetAllChildrenNumber, proto.OpGetEphemerals:
		return &proto.PathOnly{Path: g.path()}
	case proto.OpCheckWatches, proto.OpRemoveWatches:
		return &proto.PathType{Path: g.path(), Type: pick[int32](g, 1, 2, 3, 3, 4, 5, 0, -1, 6)}
	case proto.OpAddWatch:
		mode := proto.AddWatchPersistent
		if slot == slotRecursive {
			mode = proto.AddWatchPersistentRecursive
		}
		return &proto.PathType{Path: g.path(), Type: pick(g, mode, mode, mode, mode, 2, -1)}
	case proto.OpSetWatches, proto.OpSetWatches2:
		return g.setWatches(slot, op == proto.OpSetWatches2)
	case proto.OpMulti, proto.OpMultiRead:
		return g.multi(op)
	case proto.OpAuth:
		return &proto.AuthPacket{Type: pick[int32](g, 0, 0, -1, 7),
			Scheme: pick(g, "digest", "digest", "digest", "ip", "world", "", jute.Null, "nope"),
			Auth:   pick(g, []byte("a:x"), []byte("b:y"), []byte("u"), []byte{}, []byte("\xff:\xfe"))}
	case proto.OpSASL:
		return &proto.Token{Token: g.data()}
	case proto.OpReconfig:
		text := func() string { return pick(g, jute.Null, "", "server.1=a:1:1;1") }
		return &proto.ReconfigRequest{Joining: text(), Leaving: text(), NewMembers: text()}
	default:
		return g.write(op)
	}
}

// write is the body of an operation that a multi may have too; none for all others.
func (g *prober) write(op proto.Op) record {
	odd := []int32{-1, 5, 6, 7, 100, math.MinInt32}
	switch op {
	case proto.OpCreate, proto.OpCreate2:
		r := g.create(append(odd, 4), 0, 0, 0, 0, 1, 1, 2, 3)
		return &r
	case proto.OpCreateContainer:
		r := g.create(append(odd, 0, 1), proto.FlagContainer)
		return &r
	case proto.OpCreateTTL:
		return &proto.CreateTTLRequest{CreateRequest: g.create([]int32{-1, 4, 0, 7}, 5, 5, 6),
			TTL: pick[int64](g, 1<<30, 1<<30, 1<<30, 1<<39, 0, -1, 1<<40, math.MaxInt64,
				math.MinInt64)}
	case proto.OpDelete, proto.OpCheck:
		return &proto.PathVersion{Path: g.path(), Version: g.version()}
	case proto.OpSetData:
		return &proto.SetDataRequest{Path: g.path(), Data: g.data(), Version: g.version()}
	case proto.OpSetACL:
		return &proto.SetACLRequest{Path: g.path(), ACL: g.acl(), Version: g.version()}
	default:
		return none{}
	}
}

func (g *prober) create(odd []int32, flags ...int32) proto.CreateRequest {
	if g.chance(10) {
		flags = odd
	}
	return proto.CreateRequest{Path: g.path(), Data: g.data(), ACL: g.acl(),
		Flags: pick(g, flags...)}
}

// goodPaths may have a znode; the others are of all the kinds that are refused.
var (
	goodPaths = []string{"/a", "/b", "/a/x", "/a/y", "/a/x/z", "/b/e", "/b/ü"}
	oddPaths  = []string{"/", "", jute.Null, "a", "/a/", "//", "/a//x", "/a/./x", "/a/../b", ".",
		"/a\x00b", "/zookeeper", "/zookeeper/quota", "/zookeeper/config", "/zookeeper/new", notUTF8,
		"/\ue000", "/a\x7f", "/a\n", " ", "/b/", "/none/x", "/" + strings.Repeat("n", 300)}
)

func (g *prober) path() string {
	if g.chance(15) {
		return pick(g, oddPaths...)
	}
	return pick(g, goodPaths...)
}

func (g *prober) version() int32 {
	return pick[int32](g, -1, -1, -1, -1, -1, 0, 1, 2, 7, -2, math.MinInt32, math.MaxInt32)
}

func (g *prober) data() []byte {
	return pick(g, nil, []byte{}, []byte("1"), []byte("22"), []byte(strings.Repeat("long", 100)))
}

func acls(list ...proto.ACL) []proto.ACL { return list }

func ace(perms int32, scheme, id string) proto.ACL {
	return proto.ACL{Perms: perms, ID: proto.ID{Scheme: scheme, ID: id}}
}

// Lists that are stored let everyone read: before 3.9.2, exists asks for no permission.
var (
	everyone = ace(proto.PermRead, "world", "anyone")
	goodACLs = [][]proto.ACL{acls(everyone), acls(ace(7, "world", "anyone")),
		acls(ace(31, "auth", ""), everyone), acls(everyone, ace(31, "digest", "b:x")),
		acls(ace(31, "ip", "127.0.0.0/8"), everyone), acls(everyone, everyone),
		acls(ace(-1, "world", "anyone")), acls(ace(1<<20|1, "world", "anyone")),
		acls(ace(31, "auth", jute.Null), everyone)}
	badACLs = [][]proto.ACL{nil, {}, acls(ace(31, jute.Null, "x")),
		acls(ace(31, "world", jute.Null)), acls(ace(31, "", "")), acls(ace(31, "nope", "x")),
		acls(ace(31, "digest", jute.Null)), acls(everyone, ace(31, "ip", jute.Null)),
		acls(everyone, ace(1, jute.Null, "x")), acls(ace(31, jute.Null, jute.Null), everyone),
		acls(everyone, ace(0, "super", "")), acls(everyone, ace(31, "ip", "300.0.0.1")),
		acls(everyone, ace(31, "digest", "x"))}
)

func (g *prober) acl() []proto.ACL {
	switch n := g.rand.IntN(20); {
	case n < 13:
		return proto.OpenACL
	case n < 18:
		return pick(g, goodACLs...)
	default:
		return pick(g, badACLs...)
	}
}

func (g *prober) setWatches(slot int, two bool) record {
	list := func(may bool) []string {
		if g.chance(2) {
			return nil
		}
		paths := make([]string, 0, 3)
		for may && g.chance(40) && len(paths) < 3 {
			paths = append(paths, g.path())
		}
		return paths
	}
	oneShot := slot < slotPersistent
	return &proto.SetWatches{RelativeZxid: pick(g, proto.Zxid(g.rand.IntN(500)), 0, -1, 1<<40),
		Data: list(oneShot), Exist: list(oneShot), Child: list(oneShot), Two: two,
		Persistent: list(slot == slotPersistent), PersistentRecursive: list(slot == slotRecursive)}
}

// multi is a list of parts: some of a wrong kind, some nested, some without an end.
func (g *prober) multi(op proto.Op) record {
	r := new(parts)
	for range pick(g, 0, 1, 1, 1, 2, 2, 2, 3, 3, 5) {
		own := pick(g, proto.OpCreate, proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer,
			proto.OpCreateTTL, proto.OpDelete, proto.OpSetData, proto.OpSetData, proto.OpCheck)
		if (op == proto.OpMultiRead) != g.chance(2) {
			own = pick(g, proto.OpGetData, proto.OpGetChildren)
		}
		h := proto.MultiHeader{Op: own, Err: pick[proto.Code](g, -1, -1, 0, 7)}
		body := g.record(slotPersistent, own)
		switch n := g.rand.IntN(100); {
		case n < 2:
			h.Op, body = pick(g, proto.OpMulti, proto.OpMultiRead), g.multi(op)
		case n < 4:
			h.Op = pick(g, proto.OpSetACL, proto.OpExists, proto.OpDeleteContainer, proto.OpError,
				proto.OpGetData, proto.OpCreateTTL, proto.OpDelete, 99)
		case n < 5:
			h.Done = true
		}
		r.list = append(r.list, part{header: h, body: body})
	}
	if !g.chance(3) {
		r.list = append(r.list, part{header: proto.MultiEnd})
	}
	return r
}

// malform spoils one probe in six: it ends early, goes on too long, or has a number in it that
// is no length, count or flag.
func (g *prober) malform(p *probe) {
	switch n := g.rand.IntN(100); {
	case n < 6 && len(p.body) > 0:
		p.body = p.body[:g.rand.IntN(len(p.body))]
	case n < 9:
		for range 1 + g.rand.IntN(20) {
			p.body = append(p.body, byte(g.rand.Uint32()))
		}
	case n < 16 && len(p.body) >= 4:
		value := pick[int32](g, -1, -1, -2, 0, 1, 2, 4, 255, 1<<16, 1<<24, math.MaxInt32,
			math.MinInt32)
		at := g.rand.IntN(len(p.body) - 3)
		copy(p.body[at:], encode(&number{value}))
	case n < 17 && g.chance(30):
		p.head, p.body = g.rand.IntN(headerBytes), nil
	}
}
