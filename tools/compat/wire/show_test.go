package wire

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"strings"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
)

// print prints a frame and tells whether it is the answer to s.
func (c *conn) print(payload []byte, s sent) bool {
	var h proto.ReplyHeader
	in := jute.Reader(payload)
	h.Fields(&in)
	if in.Err() != nil {
		c.play.printf("%s raw=%x", c.name, payload)
		return false
	}
	head := "zxid=" + showZxid(h.Zxid)
	if s.args != nil && s.args.has("anyzxid") {
		head = "zxid=*"
	}
	if h.Err != proto.OK {
		head += " " + h.Err.String()
	}
	body := in.Rest()
	switch {
	case h.Xid == proto.XidEvent:
		c.play.printf("%s event %s %s", c.name, head, c.showBody(body, new(proto.WatcherEvent)))
		return false
	case s.verb == "" || h.Xid != s.xid:
		c.play.printf("%s stranger xid=%d %s %x", c.name, h.Xid, head, body)
		return false
	case h.Err != proto.OK:
		if len(body) > 0 {
			head += fmt.Sprintf(" raw=%x", body)
		}
		c.play.printf("%s %s %s", c.name, s.verb, head)
	default:
		answer := s.op.answer()
		text := c.showBody(body, answer)
		if r, is := answer.(*proto.ACLStat); is && s.args.has("sorted") {
			slices.SortFunc(r.ACL, func(a, b proto.ACL) int {
				return strings.Compare(a.ID.Scheme+a.ID.ID, b.ID.Scheme+b.ID.ID)
			})
			text = c.play.show(r)
		}
		if text != "" && text[0] != '\n' {
			text = " " + text
		}
		c.play.printf("%s %s %s%s", c.name, s.verb, head, text)
	}
	return true
}

// showBody decodes a body as r and prints it; raw, when that would hide a byte.
func (c *conn) showBody(body []byte, r record) string {
	in := jute.ReaderMax(body, 1<<30)
	r.Fields(&in)
	if in.Err() != nil || !bytes.Equal(encode(r), body) {
		return fmt.Sprintf("raw=%x", body)
	}
	return c.play.show(r)
}

// show prints the record of an answer.
func (p *play) show(r record) string {
	switch r := r.(type) {
	case none:
		return ""
	case *number:
		return "n=" + strconv.Itoa(int(r.n))
	case *names:
		return showNames(r.list)
	case *statOnly:
		return p.stat(&r.stat)
	case *proto.PathOnly:
		return "path=" + showText(r.Path)
	case *proto.PathStat:
		return "path=" + showText(r.Path) + " " + p.stat(&r.Stat)
	case *proto.DataStat:
		return "data=" + showData(r.Data) + " " + p.stat(&r.Stat)
	case *proto.ChildrenStat:
		return showNames(r.Children) + " " + p.stat(&r.Stat)
	case *proto.ACLStat:
		return "acl=" + showACL(r.ACL) + " " + p.stat(&r.Stat)
	case *proto.Token:
		return "token=" + showData(r.Token)
	case *proto.WatcherEvent:
		return showEvent(r)
	case *proto.WhoAmIResponse:
		return showIdentities(r.Infos)
	case *parts:
		return p.showParts(r.list)
	default:
		return fmt.Sprintf("%+v", r)
	}
}

func showZxid(z proto.Zxid) string {
	if z < 0 {
		return strconv.FormatInt(int64(z), 10)
	}
	return z.String()
}

// stat prints the 11 fields in the order of the wire, in short.
func (p *play) stat(s *proto.Stat) string {
	return fmt.Sprintf("c=%s m=%s %s %s v=%d cv=%d av=%d owner=%s len=%d kids=%d p=%s",
		showZxid(s.Czxid), showZxid(s.Mzxid), p.moment(s.Ctime), p.moment(s.Mtime),
		s.Version, s.Cversion, s.Aversion, p.session(s.EphemeralOwner), s.DataLength,
		s.NumChildren, showZxid(s.Pzxid))
}

// showText prints a string as it is when it is plain.
func showText(s string) string {
	if s == jute.Null {
		return "null"
	}
	plain := s != ""
	for _, r := range s {
		plain = plain && r > ' ' && r < 0x7f && r != '"'
	}
	if plain {
		return s
	}
	return strconv.QuoteToASCII(s)
}

func showData(b []byte) string {
	switch {
	case b == nil:
		return "null"
	case len(b) > 256:
		return fmt.Sprintf("%d bytes crc %08x", len(b), crc32.ChecksumIEEE(b))
	default:
		return showText(string(b))
	}
}

// showNames sorts, for the order of children is no promise.
func showNames(list []string) string {
	if list == nil {
		return "names=null"
	}
	sorted := slices.Sorted(slices.Values(list))
	for i := range sorted {
		sorted[i] = showText(sorted[i])
	}
	return "names=[" + strings.Join(sorted, " ") + "]"
}

func orNull(s string) string {
	if s == jute.Null {
		return "null"
	}
	return s
}

func showACL(list []proto.ACL) string {
	if list == nil {
		return "null"
	}
	entries := make([]string, len(list))
	for i, e := range list {
		entries[i] = orNull(e.ID.Scheme) + ":" + orNull(e.ID.ID) + ":"
		for bit, letter := range permLetters {
			if e.Perms>>bit&1 != 0 {
				entries[i] += string(letter)
			}
		}
		if rest := e.Perms &^ proto.PermAll; rest != 0 {
			entries[i] += fmt.Sprintf("+%#x", uint32(rest))
		}
	}
	return "[" + strings.Join(entries, ",") + "]"
}

var eventNames = map[int32]string{
	proto.EventNodeCreated: "NodeCreated", proto.EventNodeDeleted: "NodeDeleted",
	proto.EventNodeDataChanged:     "NodeDataChanged",
	proto.EventNodeChildrenChanged: "NodeChildrenChanged",
}

func showEvent(e *proto.WatcherEvent) string {
	name, known := eventNames[e.Type]
	if !known {
		name = fmt.Sprintf("type=%d", e.Type)
	}
	if e.State != proto.StateSyncConnected {
		name += fmt.Sprintf(" state=%d", e.State)
	}
	return name + " " + showText(e.Path)
}

// showIdentities sorts, for Java keeps them in a hash set.
func showIdentities(infos []proto.ClientInfo) string {
	list := make([]string, len(infos))
	for i, info := range infos {
		list[i] = info.Scheme + ":" + info.User
	}
	slices.Sort(list)
	return "[" + strings.Join(list, " ") + "]"
}

// showParts prints an answered multi, one line a part.
func (p *play) showParts(list []part) string {
	var b strings.Builder
	for _, part := range list {
		if part.header == proto.MultiEnd && part.body == nil {
			continue // every list that decodes has its end
		}
		if part.header.Done {
			fmt.Fprintf(&b, "\n  end %s err=%d", part.header.Op, part.header.Err)
			continue
		}
		fmt.Fprintf(&b, "\n  %s", part.header.Op)
		if failure, failed := part.body.(*number); failed {
			fmt.Fprintf(&b, " %s", proto.Code(failure.n))
			if failure.n != int32(part.header.Err) {
				fmt.Fprintf(&b, " header.err=%d", part.header.Err)
			}
			continue
		}
		if part.header.Err != proto.OK {
			fmt.Fprintf(&b, " header.err=%d", part.header.Err)
		}
		if text := p.show(part.body); text != "" {
			b.WriteString(" " + text)
		}
	}
	return b.String()
}
