package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
)

// A gap is a known and wanted difference between Java 3.8 and Meerkat in the raw comparison.
// docs/differences.md shows this table.
type gap struct {
	what, java, meerkat, why string

	left    func(p *probe) bool    // requests that are not sent at all
	allows  func(x *exchange) bool // answers that may differ so
	example func() *probe          // sent in every run, so that a gap that has closed is noticed
	used    atomic.Int64
}

// An exchange is a probe with the answers of both servers, masked.
type exchange struct {
	probe         *probe
	java, meerkat answer
}

// errors are the codes of the last frames, when both end with a reply.
func (x *exchange) codes() (java, meerkat proto.Code, ok bool) {
	j, m := x.java.frames, x.meerkat.frames
	if len(j) == 0 || len(m) != len(j) || !slices.EqualFunc(j[:len(j)-1], m[:len(m)-1], bytes.Equal) ||
		x.java.closed != x.meerkat.closed {
		return 0, 0, false
	}
	a, b := j[len(j)-1], m[len(m)-1]
	if len(a) < replyHeaderBytes || len(b) < replyHeaderBytes {
		return 0, 0, false
	}
	code := func(f []byte) proto.Code { return proto.Code(binary.BigEndian.Uint32(f[12:])) }
	return code(a), code(b), true
}

// bodies are what stands behind the headers of the last frames.
func (x *exchange) bodies() (java, meerkat []byte) {
	j, m := x.java.frames, x.meerkat.frames
	return j[len(j)-1][replyHeaderBytes:], m[len(m)-1][replyHeaderBytes:]
}

func example(op proto.Op, body ...record) func() *probe {
	return func() *probe { return &probe{xid: 1, op: op, body: encode(body...), head: headerBytes} }
}

// gaps is every known difference. What both sides mask (session ids, times, the order of
// children and of the events of a session's end) is no difference.
var gaps = []*gap{
	{
		what: "watch event", java: "zxid -1 in its header", meerkat: "the zxid of the change",
		why: whyEventZxid, // masked, so that the rest of the event is compared
	},
	{
		what: "`create2` in a `multi`", java: "answered as `create`", meerkat: "answered as `create2`",
		why:     whyCreate2,
		allows:  func(x *exchange) bool { return x.probe.op == proto.OpMulti && sameParts(x) },
		example: example(proto.OpMulti, multiCreate2()),
	},
	{
		what: "`createContainer` in a `multi` with a flag of another kind",
		java: "a znode as the flag says", meerkat: "a container",
		why:  "later versions of Java go by the type of the part, too",
		left: leavesPart(flagOfNoContainer),
	},
	{
		what: "`createTTL` with a flag without TTL", java: "accepted without a TTL",
		meerkat: "-8 (BadArguments)", why: "a TTL znode has a TTL",
		left: func(p *probe) bool {
			o, ok := decodeCreate(p.op, p.body)
			return ok && p.op == proto.OpCreateTTL && o.Flags >= 0 && o.Flags < proto.FlagPersistentTTL
		},
	},
	{
		what: "`check` that stands alone", java: "answered at times",
		meerkat: "-6 (Unimplemented), and the connection is closed",
		why:     "no client sends it: it is a part of a `multi`", left: byProbe(proto.OpCheck),
	},
	{
		what: "`deleteContainer` from a client", java: "-8 (BadArguments), and a zxid is gone",
		meerkat: "-6 (Unimplemented), and the connection is closed",
		why:     "it is the server's own request",
		allows:  byOp(proto.OpDeleteContainer),
		example: example(proto.OpDeleteContainer, &proto.PathOnly{Path: "/a"}),
	},
	{
		what: "`createSession` from a client", java: "a session", meerkat: "-6 (Unimplemented), and " +
			"the connection is closed", why: "it is the server's own request",
		left: byProbe(proto.OpCreateSession),
	},
	{
		what: "text that is not UTF-8, where it is echoed (`sync`, `setWatches`)",
		java: "U+FFFD in its place", meerkat: "the bytes as they came",
		why:     "a client finds its watch by the bytes that it sent",
		allows:  sameButText,
		example: example(proto.OpSync, &proto.PathOnly{Path: notUTF8}),
	},
	{
		what: "`multi` with a null path", java: "the zxid of the last transaction, and an empty answer " +
			"behind the error", meerkat: "a zxid of its own, and nothing behind the error",
		why:     "every write has a zxid that no other has",
		allows:  func(x *exchange) bool { return x.probe.op == proto.OpMulti && bothMarshalling(x) },
		example: example(proto.OpMulti, multiNull()),
	},
	{
		what: "`reconfig` that cannot be decoded", java: "the zxid of the last transaction",
		meerkat: "a zxid of its own", why: "every write has a zxid that no other has",
		allows:  func(x *exchange) bool { return x.probe.op == proto.OpReconfig && bothMarshalling(x) },
		example: example(proto.OpReconfig, &proto.PathOnly{Path: "server.1=a:1:1;1"}),
	},
	{
		what: "`multiRead` that ends with an error", java: "the answers before it, behind the error",
		meerkat: "nothing behind the error", why: "no client reads them",
		allows:  func(x *exchange) bool { return x.probe.op == proto.OpMultiRead && bothMarshalling(x) },
		example: example(proto.OpMultiRead, multiReadNull()),
	},
	{
		what: "a persistent watch on a null path (`addWatch`, `setWatches2`)",
		java: "accepted at times", meerkat: "-5 (MarshallingError)", why: "such a watch never fires",
		left: func(p *probe) bool {
			_, persistent, recursive := watchPaths(p)
			return slices.Contains(append(persistent, recursive...), jute.Null)
		},
	},
	{
		what: "types 4 and 5 of `checkWatches` and `removeWatches`", java: "-5 (MarshallingError)",
		meerkat: "looks for a persistent watch", why: whyWatchTypes,
		allows: func(x *exchange) bool {
			var q proto.PathType
			in := jute.Reader(x.probe.body)
			q.Fields(&in)
			java, _, both := x.codes()
			return both && isWatchQuestion(x.probe.op) && java == proto.ErrMarshalling &&
				(q.Type == proto.WatcherPersistent || q.Type == proto.WatcherPersistentRecursive)
		},
		example: example(proto.OpCheckWatches, &proto.PathType{Path: "/a", Type: 4}),
	},
	{
		what: "`checkWatches`", java: "content with anyone's watch of any kind on the path",
		meerkat: "looks for the caller's watch of that type", why: whyLooseContains,
		allows: func(x *exchange) bool {
			java, meerkat, both := x.codes()
			return both && x.probe.op == proto.OpCheckWatches && java == proto.OK &&
				meerkat == proto.ErrNoWatcher
		},
	},
	{
		what:    "`checkWatches` of a path that does not begin with `/`",
		java:    "-5 (MarshallingError) while anyone has a recursive watch",
		meerkat: "looks for the caller's watch",
		why:     "no such watch can fire, and other clients' watches should not matter",
		allows: func(x *exchange) bool {
			path, ok := firstString(x.probe)
			java, _, both := x.codes()
			return ok && both && x.probe.op == proto.OpCheckWatches && isRelative(path) &&
				java == proto.ErrMarshalling
		},
	},
	{
		what: "watches of several modes of one client on one path", java: "the last mode takes the " +
			"place of the others", meerkat: "each stands for itself", why: whyWatchModes,
		left: mixedWatches,
	},
	{
		what: "a watch on the empty path", java: "never fires", meerkat: "is a watch on `/`",
		why: "the path reads as the root, so its watch is the root's", left: watchesEmpty,
	},
	{
		what: "`getAllChildrenNumber` of the empty path", java: "one too many",
		meerkat: "the number of znodes below the root", why: "the root is not below itself",
		allows: func(x *exchange) bool {
			path, ok := firstString(x.probe)
			return ok && path == "" && x.probe.op == proto.OpGetAllChildrenNumber
		},
		example: example(proto.OpGetAllChildrenNumber, &proto.PathOnly{}),
	},
	{
		what: "`exists` of a znode that the caller may not read", java: "its Stat",
		meerkat: "-102 (NoAuth)", why: whyExistsReads, left: hidesZnode,
	},
}

// Reasons that scripts share with the table.
const (
	whyEventZxid  = "3.9 puts the zxid of the change into a watch event's header, 3.8 has -1"
	whyCreate2    = "a create2 inside a multi is answered as a create before 3.9"
	whyWatchModes = "3.8 keeps one mode per watcher and path, so a one-shot or recursive watch " +
		"ends a persistent one (ZOOKEEPER-4466)"
	whyWatchTypes    = "types 4 and 5 of checkWatches and removeWatches are since 3.9.0"
	whyLooseContains = "checkWatches in 3.8 is content with anyone's watch of any kind on the path"
	whyExistsReads   = "exists asks for READ since 3.8.4 and 3.9.2"
)

// leftOut tells whether a probe is of a kind that is not sent.
func leftOut(p *probe) bool {
	for _, g := range gaps {
		if g.left != nil && g.left(p) {
			g.used.Add(1)
			return true
		}
	}
	return false
}

// allowed finds the gap that explains two answers.
func allowed(x *exchange) *gap {
	for _, g := range gaps {
		if g.allows != nil && g.allows(x) {
			g.used.Add(1)
			return g
		}
	}
	return nil
}

// gapTable is the table as docs/differences.md has it.
func gapTable() string {
	var b strings.Builder
	b.WriteString("| request | Java 3.8 | Meerkat | why |\n|---|---|---|---|\n")
	for _, g := range gaps {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", g.what, g.java, g.meerkat, g.why)
	}
	return b.String()
}

func TestGapsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../../docs/differences.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), gapTable()) {
		t.Errorf("docs/differences.md has another table than this one:\n%s", gapTable())
	}
	for _, d := range differences {
		if !slices.ContainsFunc(gaps, func(g *gap) bool { return strings.HasPrefix(d.why, g.why) }) {
			t.Errorf("a script's reason is not in the table: %s", d.why)
		}
	}
}
