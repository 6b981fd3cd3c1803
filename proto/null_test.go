package proto

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/meerkat-zk/meerkat/jute"
)

// fill gives every string within v this value, and one element to each vector.
func fill(v reflect.Value, text string) (strings int) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
		return 1
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				strings += fill(v.Field(i), text)
			}
		}
	case reflect.Slice:
		if v.Type() == reflect.TypeFor[[]Part]() {
			v.Set(reflect.ValueOf([]Part{{Type: OpCreate, Body: Body{Path: text,
				ACL: []ACL{{ID: ID{Scheme: text, ID: text}}}}}}))
			return 3
		}
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		return fill(v.Index(0), text)
	}
	return strings
}

// In every record that has a string, a null one stays null and an empty one stays empty.
func TestNullStringsOfEveryRecord(t *testing.T) {
	tried := 0
	try := func(name string, make func() record) {
		var encoded [2][]byte
		for i, text := range []string{jute.Null, ""} {
			r := make()
			if fill(reflect.ValueOf(r).Elem(), text) == 0 {
				return
			}
			tried++
			w := jute.Writer(nil)
			r.Fields(&w)
			encoded[i] = bytes.Clone(w.Bytes())
			back := make()
			in := jute.Reader(w.Bytes())
			back.Fields(&in)
			again := jute.Writer(nil)
			back.Fields(&again)
			if in.Err() != nil || !bytes.Equal(again.Bytes(), encoded[i]) {
				t.Errorf("%s of %q: %v\n%x\n%x", name, text, in.Err(), encoded[i], again.Bytes())
			}
		}
		if bytes.Equal(encoded[0], encoded[1]) {
			t.Errorf("%s: null and empty are the same: %x", name, encoded[0])
		}
	}
	for op, m := range messages {
		if op == OpMulti || op == OpMultiRead {
			continue // of parts, which are messages themselves
		}
		try("request of "+op.String(), m.request)
		try("reply to "+op.String(), m.response)
	}
	try("event", of[WatcherEvent])
	for _, op := range []Op{OpCreate, OpCreate2, OpCreateContainer, OpCreateTTL, OpDelete,
		OpDeleteContainer, OpSetData, OpReconfig, OpSetACL, OpCheck, OpCloseSession, OpMulti} {
		try("transaction "+op.String(), func() record { return &txnOf{op: op} })
	}
	if tried < 40 {
		t.Errorf("only %d records", tried)
	}
}

// txnOf is a transaction whose type is given.
type txnOf struct {
	op   Op
	Body Body
}

func (r *txnOf) Fields(c *jute.Coder) { r.Body.Fields(c, r.op) }
