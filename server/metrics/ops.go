package metrics

import "github.com/meerkat-zk/meerkat/proto"

// Slots is how many kinds of operations are counted apart. A slot below 32 is the operation's
// code; the others follow.
const Slots = 48

const (
	slotAuth    = 32 // auth, setWatches and what else has a code from 100 on
	slotSession = 40 // createSession, closeSession
	slotOther   = Slots - 1
)

// Slot is an operation's place in Loop.Latency.
func Slot(op proto.Op) int {
	switch {
	case op >= 0 && op < slotAuth:
		return int(op)
	case op >= proto.OpAuth && op < proto.OpAuth+slotSession-slotAuth:
		return slotAuth + int(op-proto.OpAuth)
	case op == proto.OpCreateSession || op == proto.OpCloseSession:
		return slotSession + int(proto.OpCreateSession-op)
	}
	return slotOther
}

// updates are the operations that make a transaction.
var updates = []proto.Op{proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer,
	proto.OpCreateTTL, proto.OpDelete, proto.OpSetData, proto.OpSetACL, proto.OpMulti,
	proto.OpReconfig, proto.OpCreateSession, proto.OpCloseSession}

var isUpdate = func() (at [Slots]bool) {
	for _, op := range updates {
		at[Slot(op)] = true
	}
	return at
}()

// IsUpdate tells whether an operation counts as a write.
func IsUpdate(op proto.Op) bool { return isUpdate[Slot(op)] }

// counted are the operations that are counted apart, as Java 3.10 names them.
var counted = []struct {
	name string
	ops  []proto.Op
}{
	{"add_watch", []proto.Op{proto.OpAddWatch}},
	{"check_watches", []proto.Op{proto.OpCheckWatches}},
	{"close_session", []proto.Op{proto.OpCloseSession}},
	{"create", []proto.Op{proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer,
		proto.OpCreateTTL}},
	{"create_session", nil}, // Loop.Sessions
	{"delete", []proto.Op{proto.OpDelete}},
	{"exists", []proto.Op{proto.OpExists}},
	{"get_acl", []proto.Op{proto.OpGetACL}},
	{"get_all_children_number", []proto.Op{proto.OpGetAllChildrenNumber}},
	{"get_children", []proto.Op{proto.OpGetChildren, proto.OpGetChildren2}},
	{"get_data", []proto.Op{proto.OpGetData}},
	{"get_ephemerals", []proto.Op{proto.OpGetEphemerals}},
	{"multi", []proto.Op{proto.OpMulti}},
	{"multi_read", []proto.Op{proto.OpMultiRead}},
	{"ping", []proto.Op{proto.OpPing}},
	{"reconfig", []proto.Op{proto.OpReconfig}},
	{"remove_watches", []proto.Op{proto.OpRemoveWatches}},
	{"set_acl", []proto.Op{proto.OpSetACL}},
	{"set_data", []proto.Op{proto.OpSetData}},
	{"set_watches", []proto.Op{proto.OpSetWatches, proto.OpSetWatches2}},
	{"sync", []proto.Op{proto.OpSync}},
	{"who_am_i", []proto.Op{proto.OpWhoAmI}},
}
