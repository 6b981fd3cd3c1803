package bench

import (
	"bytes"
	"fmt"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
)

// A template is a record encoded once, by proto, for a znode with number 0. A request is a copy
// of it with the number and the data patched in: a few nanoseconds instead of an encoder's run.
type template struct {
	bytes  []byte
	digits int // where the last digit of the number ends
	data   int // where the data starts
	size   int // bytes of data
}

// nameDigits is the fixed width of a znode's number in its name.
const nameDigits = 9

// znodePath is the path of a numbered znode below prefix.
func znodePath(prefix string, node uint32) string {
	return fmt.Sprintf("%s%0*d", prefix, nameDigits, node)
}

// newTemplate encodes a record that holds the path of znode 0 below prefix, then size zero
// bytes of data if it has any.
func newTemplate(prefix string, size int, record func(*jute.Coder)) template {
	w := jute.Writer(nil)
	record(&w)
	path := znodePath(prefix, 0)
	at := bytes.Index(w.Bytes(), []byte(path))
	if at < 0 {
		panic("bench: a template without its path " + path)
	}
	t := template{bytes: w.Bytes(), digits: at + len(path), size: size}
	if size > 0 {
		t.data = t.digits + 4 // behind its length
	}
	return t
}

// append appends the record for a znode and returns the place of its data.
func (t *template) append(dst []byte, node uint32) (out, data []byte) {
	at := len(dst)
	dst = append(dst, t.bytes...)
	for i := at + t.digits - 1; node > 0; i-- {
		dst[i] = byte('0' + node%10)
		node /= 10
	}
	return dst, dst[at+t.data : at+t.data+t.size]
}

// templates are the requests of a run, made for its root and data size.
type templates struct {
	get, getWatch, set, create template

	// Parts of a multi, with their MultiHeader, and what ends it.
	multiSet, multiCreate, multiDelete, multiDeleteMade template
	multiEnd                                            []byte
}

// Names of the znodes: those that exist for the whole run, and those that Create makes.
const (
	nodePrefix = "/n"
	madePrefix = "/c"
)

func newTemplates(root string, size int) *templates {
	node, made := root+nodePrefix, root+madePrefix
	data := make([]byte, size)
	t := &templates{}
	get := func(watch bool) template {
		r := proto.PathWatch{Path: znodePath(node, 0), Watch: watch}
		return newTemplate(node, 0, r.Fields)
	}
	part := func(op proto.Op, prefix string, size int, fields func(*jute.Coder)) template {
		h := proto.MultiHeader{Op: op, Err: -1}
		return newTemplate(prefix, size, func(c *jute.Coder) {
			h.Fields(c)
			fields(c)
		})
	}
	t.get, t.getWatch = get(false), get(true)
	set := proto.SetDataRequest{Path: znodePath(node, 0), Data: data, Version: -1}
	t.set = newTemplate(node, size, set.Fields)
	t.multiSet = part(proto.OpSetData, node, size, set.Fields)
	create := proto.CreateRequest{Path: znodePath(node, 0), Data: data, ACL: proto.OpenACL}
	t.multiCreate = part(proto.OpCreate, node, size, create.Fields)
	create.Path = znodePath(made, 0)
	t.create = newTemplate(made, size, create.Fields)
	del := proto.PathVersion{Path: znodePath(node, 0), Version: -1}
	t.multiDelete = part(proto.OpDelete, node, 0, del.Fields)
	delMade := proto.PathVersion{Path: znodePath(made, 0), Version: -1}
	t.multiDeleteMade = part(proto.OpDelete, made, 0, delMade.Fields)
	w := jute.Writer(nil)
	end := proto.MultiEnd
	end.Fields(&w)
	t.multiEnd = w.Bytes()
	return t
}
