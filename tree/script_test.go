package tree

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/meerkat-zk/meerkat/proto"
)

// A script runs the commands of a file in testdata on one head:
//
//	new [extended] [353] [nodigest] [tolerant]   a fresh tree
//	apply        one transaction a line; prints events and errors
//	multi        one transaction, a part a line
//	rollback     the lines are applied between Begin and Rollback
//	show [path]  znodes at and below the path, with stored stat where the shown one hides it
//	sets         what follows from the znodes
//	quota        the quota that counts for each path
//	freeze       remembers the root; "thawed" tells whether it still reads the same
//	config       SetConfig; reload: through a snapshot; strict: no longer tolerant
//
// A line is an operation, a path, and key=value pairs. Each transaction has the next zxid,
// which is its time too.
type script struct {
	h    *Head
	zxid proto.Zxid
	root *Root
	text string
}

var scriptOps = map[string]proto.Op{
	"create": proto.OpCreate, "create2": proto.OpCreate2, "container": proto.OpCreateContainer,
	"ttl": proto.OpCreateTTL, "delete": proto.OpDelete, "deleteContainer": proto.OpDeleteContainer,
	"setData": proto.OpSetData, "reconfig": proto.OpReconfig, "setACL": proto.OpSetACL,
	"check": proto.OpCheck, "error": proto.OpError, "createSession": proto.OpCreateSession,
	"closeSession": proto.OpCloseSession, "ping": proto.OpPing,
}

func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/script", func(t *testing.T, path string) {
		s := &script{h: NewHead(Options{})}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			return s.run(t, d)
		})
	})
}

func (s *script) run(t *testing.T, d *datadriven.TestData) string {
	var out strings.Builder
	switch d.Cmd {
	case "new":
		*s = script{h: NewHead(Options{ExtendedTypes: d.HasArg("extended"),
			Emulate353TTL: d.HasArg("353"), NoDigest: d.HasArg("nodigest")})}
		s.h.SetTolerant(d.HasArg("tolerant"))
	case "strict":
		s.h.SetTolerant(false)
	case "apply":
		for _, line := range strings.Split(d.Input, "\n") {
			s.apply(&out, s.parse(t, line))
		}
	case "multi":
		txn := proto.Txn{Header: s.parse(t, "error").Header}
		txn.Header.Type = proto.OpMulti
		for _, line := range strings.Split(d.Input, "\n") {
			part := s.parse(t, line)
			s.zxid--
			txn.Header.ClientID = part.Header.ClientID
			txn.Body.Parts = append(txn.Body.Parts, proto.Part{Type: part.Header.Type,
				Body: part.Body})
		}
		s.apply(&out, txn)
	case "rollback":
		s.rollback(t, &out, d.Input)
	case "show":
		s.show(&out, d)
	case "sets":
		text := printView(&s.h.View)
		out.WriteString(text[strings.Index(text, "\"/zookeeper/quota\"")+1:])
		return out.String()[strings.Index(out.String(), "\n")+1:]
	case "quota":
		for _, path := range strings.Fields(d.Input) {
			q, ok := s.h.Quota(path)
			fmt.Fprintf(&out, "%s: %+v %v\n", path, q, ok)
		}
		s.h.Quotas(func(q Quota) bool { fmt.Fprintf(&out, "all: %s\n", q.Path); return true })
	case "freeze":
		if again := s.h.Freeze(); again != s.h.Freeze() {
			t.Fatal("two roots of one tree")
		}
		s.root = s.h.Freeze()
		s.text = printView(&s.root.View)
	case "thawed":
		fmt.Fprintf(&out, "root same=%v, head same=%v\n", printView(&s.root.View) == s.text,
			printView(&s.h.View) == s.text)
	case "config":
		s.h.SetConfig([]byte(strings.TrimSpace(d.Input)), 0x100000000, 77)
	case "reload":
		s.reload(t)
	default:
		t.Fatalf("unknown command %s", d.Cmd)
	}
	if err := sane(s.h); err != nil {
		t.Fatal(err)
	}
	if out.Len() == 0 {
		return "ok\n"
	}
	return out.String()
}

func (s *script) parse(t *testing.T, line string) proto.Txn {
	s.zxid++
	txn := proto.Txn{Header: proto.TxnHeader{Zxid: s.zxid, Time: int64(s.zxid)},
		Body: proto.Body{ParentCversion: -1}}
	words := strings.Fields(line)
	op, ok := scriptOps[words[0]]
	if !ok {
		t.Fatalf("unknown operation %q", line)
	}
	txn.Header.Type = op
	number := func(v string) int64 {
		n, err := strconv.ParseInt(v, 0, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	b := &txn.Body
	for _, w := range words[1:] {
		key, value, pair := strings.Cut(w, "=")
		switch {
		case !pair || key[0] == '/':
			b.Path = w
		case key == "data":
			b.Data = []byte(value)
		case key == "version":
			b.Version = int32(number(value))
		case key == "cversion":
			b.ParentCversion = int32(number(value))
		case key == "session":
			txn.Header.ClientID = number(value)
		case key == "ephemeral":
			txn.Header.ClientID, b.Ephemeral = number(value), true
		case key == "ttl":
			b.TTL = number(value)
		case key == "timeout":
			b.TimeOut = int32(number(value))
		case key == "paths":
			b.Paths = strings.Split(value, ",")
		case key == "zxid":
			txn.Header.Zxid = proto.Zxid(number(value))
		case key == "acl":
			scheme, id, _ := strings.Cut(value, ":")
			b.ACL = []proto.ACL{{Perms: 31, ID: proto.ID{Scheme: scheme, ID: id}}}
		default:
			t.Fatalf("unknown word %q", w)
		}
	}
	return txn
}

func (s *script) apply(out *strings.Builder, txn proto.Txn) {
	var ev []Event
	err := s.h.Apply(&txn, &ev)
	for _, e := range ev {
		kind := map[int32]string{proto.EventNodeCreated: "created",
			proto.EventNodeDeleted: "deleted", proto.EventNodeDataChanged: "changed"}[e.Type]
		fmt.Fprintf(out, "%v %s %s", txn.Header.Zxid, kind, e.Path)
		if e.ACL != nil || e.ParentACL != nil {
			fmt.Fprintf(out, " acl=%q parent=%q", printACL(e.ACL), printACL(e.ParentACL))
		}
		out.WriteByte('\n')
	}
	if err != nil {
		fmt.Fprintln(out, err)
	}
}

func (s *script) rollback(t *testing.T, out *strings.Builder, input string) {
	before := printView(&s.h.View)
	s.h.Begin()
	for _, line := range strings.Split(input, "\n") {
		txn := s.parse(t, line)
		s.zxid--
		n, err := s.h.ApplyPart(&txn.Header, txn.Header.Type, &txn.Body, nil)
		if n != nil {
			fmt.Fprintf(out, "%s version=%d\n", n.Path(), n.Version())
		}
		if err != nil {
			fmt.Fprintln(out, err)
		}
	}
	s.h.Rollback()
	fmt.Fprintf(out, "same=%v\n", printView(&s.h.View) == before)
}

func (s *script) show(out *strings.Builder, d *datadriven.TestData) {
	top := "/"
	if len(d.CmdArgs) > 0 {
		top = d.CmdArgs[0].Key
	}
	print := func(n *Node) bool {
		if n == nil {
			return true
		}
		st, p := n.Stat(), n.Persisted()
		data := "null"
		if n.Data() != nil {
			data = strconv.Quote(string(n.Data()))
		}
		fmt.Fprintf(out, "%s %s c=%v/%d m=%v/%d p=%v v=%d,%d(%d),%d children=%d", n.Path(), data,
			st.Czxid, st.Ctime, st.Mzxid, st.Mtime, st.Pzxid, st.Version, st.Cversion,
			p.Cversion, st.Aversion, st.NumChildren)
		if n.Owner() != 0 {
			fmt.Fprintf(out, " %v owner=%d(%#x) ttl=%d", n.Kind(), st.EphemeralOwner,
				uint64(n.Owner()), n.TTL())
		}
		if acl := printACL(s.h.ACL(n)); acl != "" {
			fmt.Fprintf(out, " %s", acl)
		}
		out.WriteByte('\n')
		return true
	}
	print(s.h.Get(top))
	s.h.Descendants(top, func(n *Node) bool {
		return top == "/" && strings.HasPrefix(n.Path(), procPath) || print(n)
	})
}

func (s *script) reload(t *testing.T) {
	var b bytes.Buffer
	root := s.h.Freeze()
	if err := root.WriteSnapshot(&b, SnapshotOptions{Digest: true}); err != nil {
		t.Fatal(err)
	}
	h, err := ReadSnapshot(&b, root.Zxid(), s.h.Options())
	if err != nil {
		t.Fatal(err)
	}
	h.SetTolerant(s.h.Tolerant())
	s.h = h
}
