package server

import (
	"fmt"
	"strings"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/server/auth"
	"github.com/meerkat-zk/meerkat/tree"
)

// Planning turns a request into the transaction that will be applied, or into an error code.
// The order of checks is PrepRequestProcessor.pRequest2Txn's; the first that fails answers.
// Every transaction accepted before is in the head already, so there is nothing outstanding
// to consult.

// An operation is a decoded write, of a single request or a part of a multi. Its fields are
// those of all write requests together.
type operation struct {
	proto.CreateTTLRequest // Path Data ACL Flags TTL
	version                int32
	op                     proto.Op
}

// read decodes the record of op from r. False means that op is none that a client may send.
func (o *operation) read(op proto.Op, r *jute.Coder) bool {
	switch o.op, o.TTL = op, -1; op {
	case proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer:
		o.CreateRequest.Fields(r)
	case proto.OpCreateTTL:
		o.CreateTTLRequest.Fields(r)
	case proto.OpDelete, proto.OpCheck:
		q := proto.PathVersion{}
		q.Fields(r)
		o.Path, o.version = q.Path, q.Version
	case proto.OpSetData:
		q := proto.SetDataRequest{}
		q.Fields(r)
		o.Path, o.Data, o.version = q.Path, q.Data, q.Version
	case proto.OpSetACL:
		q := proto.SetACLRequest{}
		q.Fields(r)
		o.Path, o.ACL, o.version = q.Path, q.ACL, q.Version
	case proto.OpDeleteContainer: // the reaper's: the record is the bare path
		o.Path = string(r.Rest())
	default:
		return false
	}
	return r.Err() == nil
}

// plan decodes a single write and plans it into c.txn.
func (c *core) plan(op proto.Op, r *request) proto.Code {
	switch op {
	case proto.OpCloseSession:
		c.planCloseSession(r.session)
		return proto.OK
	case proto.OpReconfig:
		return c.planReconfig(r)
	}
	o := &c.scratch
	*o = operation{}
	c.coder = jute.ReaderMax(r.body, c.fieldBytesMax)
	if !o.read(op, &c.coder) {
		return proto.ErrMarshalling
	}
	typ, code := c.planOperation(o, r, &c.txn.Body)
	c.txn.Header.Type = typ
	return code
}

// planReconfig refuses: an ensemble of one cannot change its members.
func (c *core) planReconfig(r *request) proto.Code {
	var q proto.ReconfigRequest
	switch {
	case !decode(r.body, c.fieldBytesMax, q.Fields):
		return proto.ErrMarshalling
	case !c.reconfigEnabled:
		return proto.ErrReconfigDisabled
	}
	return proto.ErrUnimplemented
}

// planOperation checks one operation against the head and fills in its transaction.
func (c *core) planOperation(o *operation, r *request, b *proto.Body) (proto.Op, proto.Code) {
	switch o.op {
	case proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer, proto.OpCreateTTL:
		return o.op, c.planCreate(o, r, b)
	case proto.OpDelete:
		return o.op, c.planDelete(o, r, b)
	case proto.OpSetData:
		return o.op, c.planSetData(o, r, b)
	case proto.OpSetACL:
		return o.op, c.planSetACL(o, r, b)
	case proto.OpCheck:
		return o.op, c.planCheck(o, r, b)
	case proto.OpDeleteContainer:
		return o.op, c.planDeleteContainer(o, b)
	}
	return o.op, proto.ErrUnimplemented
}

// planCreate checks, in ZooKeeper's order: flag, TTL, path, ACL, parent, permission, final
// path, absence, kind of parent, quota.
func (c *core) planCreate(o *operation, r *request, b *proto.Body) proto.Code {
	if code := c.checkMode(o); code != proto.OK {
		return code
	}
	if o.Path == jute.Null {
		return proto.ErrMarshalling
	}
	slash := strings.LastIndexByte(o.Path, '/')
	if slash < 0 || strings.IndexByte(o.Path, 0) >= 0 {
		return proto.ErrBadArguments
	}
	acl, code := c.providers.Fixup(o.ACL, r.ids, &c.growthRoom)
	if code != proto.OK {
		return code
	}
	parent := c.head.Get(o.Path[:slash])
	if parent == nil {
		return proto.ErrNoNode
	}
	if !c.allows(parent, proto.PermCreate, r.ids) {
		return proto.ErrNoAuth
	}
	path := o.Path
	switch o.Flags {
	case proto.FlagPersistentSequential, proto.FlagEphemeralSequential,
		proto.FlagPersistentSequentialTTL:
		path = appendSequence(path, parent.StoredCversion())
		if c.growthRoom -= len(path) - len(o.Path); c.growthRoom < 0 {
			return proto.ErrBadArguments
		}
	}
	if !proto.ValidPath(path) {
		return proto.ErrBadArguments
	}
	if c.head.Get(path) != nil {
		return proto.ErrNodeExists
	}
	if parent.Kind() == tree.Ephemeral {
		return proto.ErrNoChildrenForEphemerals
	}
	if !c.withinQuota(path, 1, int64(len(o.Data))) {
		return proto.ErrQuotaExceeded
	}
	b.Path, b.Data, b.ACL, b.TTL = path, o.Data, acl, o.TTL
	b.Ephemeral = o.Flags == proto.FlagEphemeral || o.Flags == proto.FlagEphemeralSequential
	b.ParentCversion = parent.StoredCversion() + 1
	return proto.OK
}

// wantsTTL tells whether a create has one of the flags of a znode with a time to live.
func (o *operation) wantsTTL() bool {
	return o.Flags == proto.FlagPersistentTTL || o.Flags == proto.FlagPersistentSequentialTTL
}

// checkMode refuses unknown flags and a time to live that does not fit the flag
// (EphemeralType.validateTTL). Stricter than Java: createTTL takes the TTL flags only.
func (c *core) checkMode(o *operation) proto.Code {
	if o.Flags < proto.FlagPersistent || o.Flags > proto.FlagPersistentSequentialTTL {
		return proto.ErrBadArguments
	}
	ttlFlag := o.wantsTTL()
	switch {
	case ttlFlag && !c.extendedTypes:
		return proto.ErrUnimplemented
	case ttlFlag && (o.TTL < 1 || o.TTL > tree.TTLMax), !ttlFlag && o.TTL >= 0,
		!ttlFlag && o.op == proto.OpCreateTTL:
		return proto.ErrBadArguments
	}
	return proto.OK
}

// appendSequence adds the parent's create counter to the given path.
func appendSequence(path string, n int32) string { return fmt.Sprintf("%s%010d", path, n) }

func (c *core) planDelete(o *operation, r *request, b *proto.Body) proto.Code {
	if o.Path == jute.Null {
		return proto.ErrMarshalling
	}
	slash := strings.LastIndexByte(o.Path, '/')
	if slash < 0 || strings.IndexByte(o.Path, 0) >= 0 || isSpecial(o.Path) {
		return proto.ErrBadArguments
	}
	parent := c.head.Get(o.Path[:slash])
	if parent == nil {
		return proto.ErrNoNode
	}
	if !c.allows(parent, proto.PermDelete, r.ids) {
		return proto.ErrNoAuth
	}
	n := c.head.Get(o.Path)
	switch {
	case n == nil:
		return proto.ErrNoNode
	case o.version != -1 && o.version != n.Version():
		return proto.ErrBadVersion
	case n.NumChildren() > 0:
		return proto.ErrNotEmpty
	}
	b.Path = o.Path
	return proto.OK
}

// isSpecial tells the paths that nobody deletes.
func isSpecial(path string) bool {
	switch path {
	case "/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config":
		return true
	}
	return false
}

func (c *core) planSetData(o *operation, r *request, b *proto.Body) proto.Code {
	if !proto.ValidPath(o.Path) {
		return proto.ErrBadArguments
	}
	n := c.head.Get(o.Path)
	if n == nil {
		return proto.ErrNoNode
	}
	if !c.allows(n, proto.PermWrite, r.ids) {
		return proto.ErrNoAuth
	}
	if !c.withinQuota(o.Path, 0, int64(len(o.Data)-len(n.Data()))) {
		return proto.ErrQuotaExceeded
	}
	if o.version != -1 && o.version != n.Version() {
		return proto.ErrBadVersion
	}
	b.Path, b.Data, b.Version = o.Path, o.Data, nextVersion(n.Version())
	return proto.OK
}

// nextVersion skips -1, which means "any" in a request (since 3.10).
func nextVersion(v int32) int32 {
	if v == -2 {
		return 0
	}
	return v + 1
}

func (c *core) planSetACL(o *operation, r *request, b *proto.Body) proto.Code {
	if !proto.ValidPath(o.Path) {
		return proto.ErrBadArguments
	}
	acl, code := c.providers.Fixup(o.ACL, r.ids, &c.growthRoom)
	if code != proto.OK {
		return code
	}
	n := c.head.Get(o.Path)
	if n == nil {
		return proto.ErrNoNode
	}
	if !c.allows(n, proto.PermAdmin, r.ids) {
		return proto.ErrNoAuth
	}
	if o.version != -1 && o.version != n.Aversion() {
		return proto.ErrBadVersion
	}
	b.Path, b.ACL, b.Version = o.Path, acl, nextVersion(n.Aversion())
	return proto.OK
}

func (c *core) planCheck(o *operation, r *request, b *proto.Body) proto.Code {
	if !proto.ValidPath(o.Path) {
		return proto.ErrBadArguments
	}
	n := c.head.Get(o.Path)
	if n == nil {
		return proto.ErrNoNode
	}
	if !c.allows(n, proto.PermRead, r.ids) {
		return proto.ErrNoAuth
	}
	if o.version != -1 && o.version != n.Version() {
		return proto.ErrBadVersion
	}
	b.Path, b.Version = o.Path, nextVersion(n.Version())
	return proto.OK
}

// planDeleteContainer checks the reaper's own request again: the znode may have changed.
func (c *core) planDeleteContainer(o *operation, b *proto.Body) proto.Code {
	n := c.head.Get(o.Path)
	switch {
	case n == nil:
		return proto.ErrNoNode
	case n.NumChildren() > 0:
		return proto.ErrNotEmpty
	case n.Kind() == tree.Ephemeral:
		return proto.ErrBadVersion
	}
	b.Path = o.Path
	return proto.OK
}

// allows checks a permission on a znode.
func (c *core) allows(n *tree.Node, perm int32, ids []proto.ID) bool {
	return c.skipACL || auth.Allows(c.head.ACL(n), perm, ids)
}

// withinQuota tells whether a change by so many znodes and bytes stays under the hard limits.
// A soft limit only leaves a warning (ZooKeeperServer.checkQuota).
func (c *core) withinQuota(path string, count, bytes int64) bool {
	q, ok := c.head.Quota(path)
	if !ok {
		return true
	}
	over := func(limit, used, more int64) bool { return limit >= 0 && more > 0 && used+more > limit }
	if c.enforceQuota && (over(q.HardCount, q.UsedCount, count) ||
		over(q.HardBytes, q.UsedBytes, bytes)) {
		c.stats.Exceed(tree.Namespace(q.Path))
		return false
	}
	if over(q.Count, q.UsedCount, count) || over(q.Bytes, q.UsedBytes, bytes) {
		c.softQuota(q.Path)
	}
	return true
}
