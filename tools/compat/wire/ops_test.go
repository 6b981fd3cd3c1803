package wire

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
)

// A record is whatever names its fields.
type record interface{ Fields(*jute.Coder) }

// Records that proto has no type for: it writes them field by field.
type (
	none     struct{}
	names    struct{ list []string }
	number   struct{ n int32 }
	statOnly struct{ stat proto.Stat }
	rawBytes struct{ b []byte }
	parts    struct{ list []part } // of a multi, or of its answer
)

// A part is a header with what follows it; body is nil for the end of the list.
type part struct {
	header proto.MultiHeader
	body   record
}

func (none) Fields(*jute.Coder) {}

func (r *names) Fields(c *jute.Coder)    { jute.Strings(c, &r.list) }
func (r *number) Fields(c *jute.Coder)   { c.Int(&r.n) }
func (r *statOnly) Fields(c *jute.Coder) { r.stat.Fields(c) }

func (r *rawBytes) Fields(c *jute.Coder) {
	for i := range r.b {
		c.Byte(&r.b[i])
	}
}

func (r *parts) Fields(c *jute.Coder) {
	for i := range r.list {
		r.list[i].Fields(c)
	}
	if !c.Reading() {
		return
	}
	for done := false; !done && c.Err() == nil; {
		var p part
		p.Fields(c)
		r.list = append(r.list, p)
		done = p.header.Done
	}
}

// answerOf is the record behind each type that the header of an answered part can have.
var answerOf = map[proto.Op]func() record{
	proto.OpError:       func() record { return new(number) },
	proto.OpCreate:      func() record { return new(proto.PathOnly) },
	proto.OpCreate2:     func() record { return new(proto.PathStat) },
	proto.OpDelete:      func() record { return none{} },
	proto.OpSetData:     func() record { return new(statOnly) },
	proto.OpCheck:       func() record { return none{} },
	proto.OpGetData:     func() record { return new(proto.DataStat) },
	proto.OpGetChildren: func() record { return new(names) },
}

func (p *part) Fields(c *jute.Coder) {
	p.header.Fields(c)
	if c.Reading() && c.Err() == nil && !p.header.Done {
		answer, known := answerOf[p.header.Op]
		if !known {
			c.Fail(fmt.Errorf("an answer of type %s", p.header.Op))
			return
		}
		p.body = answer()
	}
	if p.body != nil {
		p.body.Fields(c)
	}
}

// An op is a verb of the scripts: how its request is made of the arguments, and what record a
// good answer has.
type op struct {
	code    proto.Op
	xid     int32 // 0: the next one of the connection
	request func(a *args) record
	answer  func() record
}

func pathStat() record { return new(proto.PathStat) }
func nothing() record  { return none{} }
func stat() record     { return new(statOnly) }

// ops is every verb that sends a request.
var ops map[string]op

func init() { // parts of a multi refer back to the table
	ops = map[string]op{
		"create":          {proto.OpCreate, 0, create(0), answerOf[proto.OpCreate]},
		"create2":         {proto.OpCreate2, 0, create(0), pathStat},
		"createContainer": {proto.OpCreateContainer, 0, create(4), pathStat},
		"createTTL":       {proto.OpCreateTTL, 0, createTTL, pathStat},
		"delete":          {proto.OpDelete, 0, pathVersion, nothing},
		"check":           {proto.OpCheck, 0, pathVersion, nothing},
		"exists":          {proto.OpExists, 0, pathWatch, stat},
		"getData":         {proto.OpGetData, 0, pathWatch, answerOf[proto.OpGetData]},
		"getChildren":     {proto.OpGetChildren, 0, pathWatch, answerOf[proto.OpGetChildren]},
		"getChildren2": {proto.OpGetChildren2, 0, pathWatch,
			func() record { return new(proto.ChildrenStat) }},
		"setData":       {proto.OpSetData, 0, setData, stat},
		"getACL":        {proto.OpGetACL, 0, pathOnly, func() record { return new(proto.ACLStat) }},
		"setACL":        {proto.OpSetACL, 0, setACL, stat},
		"sync":          {proto.OpSync, 0, pathOnly, answerOf[proto.OpCreate]},
		"ping":          {proto.OpPing, proto.XidPing, empty, nothing},
		"checkWatches":  {proto.OpCheckWatches, 0, pathType("type"), nothing},
		"removeWatches": {proto.OpRemoveWatches, 0, pathType("type"), nothing},
		"addWatch": {proto.OpAddWatch, 0, pathType("mode"),
			func() record { return new(number) }},
		"auth":        {proto.OpAuth, proto.XidAuth, auth, nothing},
		"setWatches":  {proto.OpSetWatches, proto.XidSetWatches, setWatches(false), nothing},
		"setWatches2": {proto.OpSetWatches2, proto.XidSetWatches, setWatches(true), nothing},
		"getEphemerals": {proto.OpGetEphemerals, 0, pathOnly,
			answerOf[proto.OpGetChildren]},
		"getAllChildrenNumber": {proto.OpGetAllChildrenNumber, 0, pathOnly,
			func() record { return new(number) }},
		"whoAmI": {proto.OpWhoAmI, 0, empty,
			func() record { return new(proto.WhoAmIResponse) }},
		"sasl": {proto.OpSASL, 0, sasl, func() record { return new(proto.Token) }},
		"reconfig": {proto.OpReconfig, 0, reconfig,
			func() record { return new(proto.DataStat) }},
		"closeSession": {proto.OpCloseSession, 0, empty, nothing},
		"multi":        {proto.OpMulti, 0, nil, func() record { return new(parts) }},
		"multiRead":    {proto.OpMultiRead, 0, nil, func() record { return new(parts) }},
		"op":           {0, 0, rawRequest, nothing}, // op=N hex=…
	}
}

func empty(*args) record { return none{} }

func create(flags int64) func(*args) record {
	return func(a *args) record {
		r := new(proto.CreateRequest)
		*r = createRequest(a, flags)
		return r
	}
}

func createRequest(a *args, flags int64) proto.CreateRequest {
	return proto.CreateRequest{Path: a.at(0), Data: data(a), ACL: acl(a),
		Flags: int32(a.number("flags", flags))}
}

func createTTL(a *args) record {
	return &proto.CreateTTLRequest{CreateRequest: createRequest(a, 5), TTL: a.number("ttl", 1000)}
}

func pathVersion(a *args) record {
	return &proto.PathVersion{Path: a.at(0), Version: int32(a.number("version", -1))}
}

func pathWatch(a *args) record {
	return &proto.PathWatch{Path: a.at(0), Watch: a.has("watch")}
}

func pathOnly(a *args) record { return &proto.PathOnly{Path: a.at(0)} }

func setData(a *args) record {
	return &proto.SetDataRequest{Path: a.at(0), Data: data(a),
		Version: int32(a.number("version", -1))}
}

func setACL(a *args) record {
	return &proto.SetACLRequest{Path: a.at(0), ACL: acl(a),
		Version: int32(a.number("version", -1))}
}

func pathType(key string) func(*args) record {
	return func(a *args) record {
		return &proto.PathType{Path: a.at(0), Type: int32(a.number(key, 0))}
	}
}

func auth(a *args) record {
	return &proto.AuthPacket{Scheme: a.at(0), Auth: []byte(a.at(1))}
}

func sasl(a *args) record { return &proto.Token{Token: []byte(a.at(0))} }

func reconfig(a *args) record {
	return &proto.ReconfigRequest{Joining: a.values["joining"], Leaving: a.values["leaving"],
		NewMembers: a.values["members"], CurConfigID: a.number("version", -1)}
}

func setWatches(two bool) func(*args) record {
	return func(a *args) record {
		return &proto.SetWatches{RelativeZxid: proto.Zxid(a.number("zxid", 0)),
			Data: a.list("data"), Exist: a.list("exist"), Child: a.list("child"),
			Persistent:          a.list("persistent"),
			PersistentRecursive: a.list("recursive"), Two: two}
	}
}

func rawRequest(a *args) record {
	b, err := hex.DecodeString(a.values["hex"])
	if err != nil {
		a.err = err
	}
	return &rawBytes{b}
}

// data is data=text, data=null, or size=n bytes of "x"; empty when nothing is said.
func data(a *args) []byte {
	if n := a.number("size", -1); n >= 0 {
		return []byte(strings.Repeat("x", int(n)))
	}
	if a.values["data"] == "null" {
		return nil
	}
	return []byte(a.values["data"])
}

const permLetters = "rwcda" // bit 0 first

// acl is acl=scheme:id:perms,… or null or empty; open to all when nothing is said.
func acl(a *args) []proto.ACL {
	if !a.has("acl") {
		return proto.OpenACL
	}
	list := a.list("acl")
	if list == nil {
		return nil
	}
	entries := make([]proto.ACL, 0, len(list))
	for _, word := range list {
		first, last := strings.Index(word, ":"), strings.LastIndex(word, ":")
		if first < 0 || first == last {
			a.err = fmt.Errorf("%q is not scheme:id:perms", word)
			return nil
		}
		e := proto.ACL{ID: proto.ID{Scheme: text(word[:first]), ID: text(word[first+1 : last])}}
		for _, letter := range word[last+1:] {
			e.Perms |= 1 << strings.IndexRune(permLetters, letter)
		}
		entries = append(entries, e)
	}
	return entries
}
