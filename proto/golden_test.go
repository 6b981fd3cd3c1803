package proto

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meerkat-zk/meerkat/jute"
)

// A record is whatever names its fields.
type record interface{ Fields(*jute.Coder) }

// none is the body of an op that has no record.
type none struct{}

func (none) Fields(*jute.Coder) {}

// children is GetChildrenResponse and GetEphemeralsResponse, which need no type of their own.
type children struct{ Names []string }

func (r *children) Fields(c *jute.Coder) { jute.Strings(c, &r.Names) }

// number is GetAllChildrenNumberResponse and ErrorResponse.
type number struct{ N int32 }

func (r *number) Fields(c *jute.Coder) { c.Int(&r.N) }

// stat is the response of exists, setData and setACL.
type stat struct{ Stat Stat }

func (r *stat) Fields(c *jute.Coder) { r.Stat.Fields(c) }

// A message is an op's pair of records.
type message struct {
	request, response func() record
}

func of[T any, P interface {
	*T
	record
}]() record {
	return P(new(T))
}

// messages lists every op that a client can send, with the records of request and reply.
var messages = map[Op]message{
	OpCreate:               {of[CreateRequest], of[PathOnly]},
	OpCreate2:              {of[CreateRequest], of[PathStat]},
	OpCreateContainer:      {of[CreateRequest], of[PathStat]},
	OpCreateTTL:            {of[CreateTTLRequest], of[PathStat]},
	OpDelete:               {of[PathVersion], of[none]},
	OpExists:               {of[PathWatch], of[stat]},
	OpGetData:              {of[PathWatch], of[DataStat]},
	OpGetChildren:          {of[PathWatch], of[children]},
	OpGetChildren2:         {of[PathWatch], of[ChildrenStat]},
	OpSetData:              {of[SetDataRequest], of[stat]},
	OpGetACL:               {of[PathOnly], of[ACLStat]},
	OpSetACL:               {of[SetACLRequest], of[stat]},
	OpSync:                 {of[PathOnly], of[PathOnly]},
	OpPing:                 {of[none], of[none]},
	OpCheck:                {of[PathVersion], of[none]},
	OpMulti:                {of[multiRequest], of[multiResponse]},
	OpMultiRead:            {of[multiRequest], of[multiResponse]},
	OpReconfig:             {of[ReconfigRequest], of[DataStat]},
	OpCheckWatches:         {of[PathType], of[none]},
	OpRemoveWatches:        {of[PathType], of[none]},
	OpAddWatch:             {of[PathType], of[number]},
	OpAuth:                 {of[AuthPacket], of[none]},
	OpSASL:                 {of[Token], of[Token]},
	OpSetWatches:           {of[SetWatches], of[none]},
	OpSetWatches2:          {func() record { return &SetWatches{Two: true} }, of[none]},
	OpGetEphemerals:        {of[PathOnly], of[children]},
	OpGetAllChildrenNumber: {of[PathOnly], of[number]},
	OpWhoAmI:               {of[none], of[WhoAmIResponse]},
	OpCloseSession:         {of[none], of[none]},
}

// A multiRequest is the parts of a multi between their headers.
type multiRequest struct{ parts []multiPart }

// A multiResponse is the answers to them; the header's type says which record follows.
type multiResponse struct{ parts []multiPart }

type multiPart struct {
	header MultiHeader
	body   record
}

func (r *multiRequest) Fields(c *jute.Coder) {
	codeParts(c, &r.parts, func(op Op) record {
		if m, known := messages[op]; known {
			return m.request()
		}
		return nil
	})
}

func (r *multiResponse) Fields(c *jute.Coder) {
	codeParts(c, &r.parts, func(op Op) record {
		if op == OpError {
			return new(number)
		}
		if m, known := messages[op]; known {
			return m.response()
		}
		return nil
	})
}

func codeParts(c *jute.Coder, parts *[]multiPart, bodyOf func(Op) record) {
	if !c.Reading() {
		for _, p := range *parts {
			p.header.Fields(c)
			p.body.Fields(c)
		}
		end := MultiEnd
		end.Fields(c)
		return
	}
	for {
		var p multiPart
		p.header.Fields(c)
		if c.Err() != nil || p.header.Done {
			return
		}
		nested := p.header.Op == OpMulti || p.header.Op == OpMultiRead
		if p.body = bodyOf(p.header.Op); p.body == nil || nested {
			c.Fail(fmt.Errorf("a part of type %s", p.header.Op))
			return
		}
		p.body.Fields(c)
		*parts = append(*parts, p)
	}
}

// eachLine calls f with the fields of every line of testdata/name that is not a comment.
func eachLine(t testing.TB, name string, f func(where string, fields []string)) {
	file, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		if !strings.HasPrefix(lines.Text(), "#") {
			fields := strings.Fields(lines.Text())
			f(name+":"+strings.Join(fields[:len(fields)-1], " "), fields)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

func unhex(t testing.TB, s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var opByName = func() map[string]Op {
	m := make(map[string]Op)
	for op, name := range opNames {
		m[name] = op
	}
	return m
}()

// frameRecords is what a recorded payload consists of, in order.
func frameRecords(t testing.TB, dir, label string) []record {
	name, _, failed := strings.Cut(label, "!")
	switch {
	case name == "connect" && dir == ">":
		return []record{new(ConnectRequest)}
	case name == "connect":
		return []record{new(ConnectResponse)}
	case name == "event":
		return []record{new(ReplyHeader), new(WatcherEvent)}
	}
	m, known := messages[opByName[name]]
	switch {
	case !known:
		t.Fatalf("no records for %q", label)
		return nil
	case dir == ">":
		return []record{new(RequestHeader), m.request()}
	case failed: // an error reply is its header alone
		return []record{new(ReplyHeader)}
	default:
		return []record{new(ReplyHeader), m.response()}
	}
}

// recode decodes data as the given records, which must cover it, and encodes them again.
func recode(t testing.TB, where string, data []byte, records []record) []byte {
	in := jute.Reader(data)
	for _, r := range records {
		r.Fields(&in)
	}
	if in.Err() != nil {
		t.Fatalf("%s: %v", where, in.Err())
	}
	if rest := in.Rest(); len(rest) != 0 {
		t.Fatalf("%s: %d bytes are left over: %x", where, len(rest), rest)
	}
	out := jute.Writer(nil)
	for _, r := range records {
		r.Fields(&out)
	}
	return out.Bytes()
}

// Frames that real clients and a real server exchanged decode and encode to the same bytes.
func TestRecordedFrames(t *testing.T) {
	seen := make(map[string]bool)
	for _, client := range []string{"java", "kazoo", "gozk", "raw"} {
		eachLine(t, "frames-"+client+".txt", func(where string, f []string) {
			dir, label, data := f[1], f[2], unhex(t, f[3])
			seen[dir+label] = true
			records := frameRecords(t, dir, label)
			got := recode(t, where, data, records)
			if !bytes.Equal(got, data) {
				t.Errorf("%s\ngot  %x\nwant %x\n%+v", where, got, data, records)
			}
			if h, ok := records[0].(*ReplyHeader); ok && strings.Contains(label, "!") !=
				(h.Err != OK) {
				t.Errorf("%s: err %s", where, h.Err)
			}
		})
	}
	for op := range messages {
		if op != OpCheck && !seen[">"+op.String()] { // check stands only inside a multi
			t.Errorf("no recorded request of %s", op)
		}
	}
}

// A connect without the readOnly byte (clients before 3.4) is answered without it.
func TestLegacyConnectHasNoReadOnly(t *testing.T) {
	eachLine(t, "frames-raw.txt", func(where string, f []string) {
		if f[2] != "connect" {
			return
		}
		records := frameRecords(t, f[1], f[2])
		recode(t, where, unhex(t, f[3]), records)
		switch r := records[0].(type) {
		case *ConnectRequest:
			if r.HasReadOnly || r.TimeOut != 8000 || len(r.Passwd) != PasswordBytes {
				t.Errorf("%+v", r)
			}
		case *ConnectResponse:
			want := SessionPassword(r.SessionID)
			if r.HasReadOnly || r.TimeOut != 8000 || !bytes.Equal(r.Passwd, want[:]) {
				t.Errorf("%+v", r)
			}
		}
	})
}

// Every session password that the server handed out is the one we compute.
func TestRecordedPasswords(t *testing.T) {
	n := 0
	for _, client := range []string{"java", "kazoo", "gozk"} {
		eachLine(t, "frames-"+client+".txt", func(where string, f []string) {
			if f[1] != "<" || f[2] != "connect" {
				return
			}
			r := new(ConnectResponse)
			recode(t, where, unhex(t, f[3]), []record{r})
			want := SessionPassword(r.SessionID)
			if r.SessionID == 0 {
				want = [PasswordBytes]byte{} // refused
			}
			if !bytes.Equal(r.Passwd, want[:]) || (r.TimeOut == 0) != (r.SessionID == 0) {
				t.Errorf("%s: %+v", where, r)
			}
			n++
		})
	}
	if n < 8 {
		t.Errorf("only %d connects", n)
	}
}

// The records of a log that a real server wrote decode and encode to the same bytes.
func TestRecordedTxns(t *testing.T) {
	seen := make(map[string]int)
	last := Zxid(0)
	eachLine(t, "txns-java.txt", func(where string, f []string) {
		data := unhex(t, f[1])
		var txn Txn
		if got := recode(t, where, data, []record{&txn}); !bytes.Equal(got, data) {
			t.Errorf("%s\ngot  %x\nwant %x\n%+v", where, got, data, txn)
		}
		if txn.Header.Zxid <= last || txn.Header.Type != opByName[f[0]] {
			t.Errorf("%s after %s: %+v", where, last, txn.Header)
		}
		if txn.HasDigest == (txn.Header.Type == OpError) {
			t.Errorf("%s: only an error has no digest: %+v", where, txn)
		}
		if txn.HasDigest && txn.Digest.Version != DigestVersion {
			t.Errorf("%s: digest version %d", where, txn.Digest.Version)
		}
		last = txn.Header.Zxid
		seen[f[0]]++
		if txn.Header.Type == OpMulti && len(txn.Body.Parts) > 0 &&
			txn.Body.Parts[len(txn.Body.Parts)-1].Type == OpError {
			seen["failed multi"]++
		}
		if len(txn.Body.Paths) > 0 {
			seen["close with ephemerals"]++
		}
	})
	for _, want := range []string{"create", "create2", "createContainer", "createTtl", "delete",
		"deleteContainer", "setData", "setACL", "multi", "failed multi", "createSession",
		"closeSession", "close with ephemerals", "error"} {
		if seen[want] == 0 {
			t.Errorf("no recorded %s", want)
		}
	}
}
