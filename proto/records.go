package proto

import (
	"encoding/binary"

	"github.com/meerkat-zk/meerkat/jute"
)

// An ID is an identity: of a caller, or one that an ACL names.
type ID struct{ Scheme, ID string }

// Fields codes {scheme, id}.
func (r *ID) Fields(c *jute.Coder) {
	c.String(&r.Scheme)
	c.String(&r.ID)
}

// An ACL grants Perms to an identity.
type ACL struct {
	Perms int32
	ID    ID
}

// Fields codes {perms, id}.
func (r *ACL) Fields(c *jute.Coder) {
	c.Int(&r.Perms)
	r.ID.Fields(c)
}

// ACLs codes a vector of ACL.
func ACLs(c *jute.Coder, v *[]ACL) {
	jute.Vector(c, v, 12, func(c *jute.Coder, a *ACL) { a.Fields(c) })
}

// OpenACL is world:anyone with all permissions (ZooDefs.Ids.OPEN_ACL_UNSAFE).
var OpenACL = []ACL{{Perms: PermAll, ID: ID{Scheme: "world", ID: "anyone"}}}

// StatBytes is the size of a Stat.
const StatBytes = 6*8 + 5*4

// Stat is what a client is shown of a znode.
type Stat struct {
	Czxid, Mzxid   Zxid
	Ctime, Mtime   int64 // ms since 1970
	Version        int32
	Cversion       int32
	Aversion       int32
	EphemeralOwner int64
	DataLength     int32
	NumChildren    int32
	Pzxid          Zxid
}

// Fields codes the 11 fields of Stat. Nearly every reply has one, so they are written as one block,
// in a third of the time.
func (r *Stat) Fields(c *jute.Coder) {
	if b := c.Append(StatBytes); b != nil {
		r.put(b)
		return
	}
	c.Long((*int64)(&r.Czxid))
	c.Long((*int64)(&r.Mzxid))
	c.Long(&r.Ctime)
	c.Long(&r.Mtime)
	c.Int(&r.Version)
	c.Int(&r.Cversion)
	c.Int(&r.Aversion)
	c.Long(&r.EphemeralOwner)
	c.Int(&r.DataLength)
	c.Int(&r.NumChildren)
	c.Long((*int64)(&r.Pzxid))
}

// put writes into the block what Fields would field by field.
func (r *Stat) put(b []byte) {
	be := binary.BigEndian
	_ = b[StatBytes-1]
	be.PutUint64(b[0:], uint64(r.Czxid))
	be.PutUint64(b[8:], uint64(r.Mzxid))
	be.PutUint64(b[16:], uint64(r.Ctime))
	be.PutUint64(b[24:], uint64(r.Mtime))
	be.PutUint32(b[32:], uint32(r.Version))
	be.PutUint32(b[36:], uint32(r.Cversion))
	be.PutUint32(b[40:], uint32(r.Aversion))
	be.PutUint64(b[44:], uint64(r.EphemeralOwner))
	be.PutUint32(b[52:], uint32(r.DataLength))
	be.PutUint32(b[56:], uint32(r.NumChildren))
	be.PutUint64(b[60:], uint64(r.Pzxid))
}

// StatPersisted is what a snapshot stores of a znode: 60 bytes. Cversion and EphemeralOwner
// are the stored values, not the shown ones.
type StatPersisted struct {
	Czxid, Mzxid   Zxid
	Ctime, Mtime   int64
	Version        int32
	Cversion       int32
	Aversion       int32
	EphemeralOwner int64
	Pzxid          Zxid
}

// Fields codes the 9 fields of StatPersisted.
func (r *StatPersisted) Fields(c *jute.Coder) {
	c.Long((*int64)(&r.Czxid))
	c.Long((*int64)(&r.Mzxid))
	c.Long(&r.Ctime)
	c.Long(&r.Mtime)
	c.Int(&r.Version)
	c.Int(&r.Cversion)
	c.Int(&r.Aversion)
	c.Long(&r.EphemeralOwner)
	c.Long((*int64)(&r.Pzxid))
}

// ConnectRequest is the first frame of a client, without a header. HasReadOnly tells whether
// the optional last byte was there; the response carries it only then.
type ConnectRequest struct {
	ProtocolVersion int32
	LastZxidSeen    Zxid
	TimeOut         int32 // ms
	SessionID       int64
	Passwd          []byte
	ReadOnly        bool
	HasReadOnly     bool
}

// Fields codes ConnectRequest.
func (r *ConnectRequest) Fields(c *jute.Coder) {
	c.Int(&r.ProtocolVersion)
	c.Long((*int64)(&r.LastZxidSeen))
	c.Int(&r.TimeOut)
	c.Long(&r.SessionID)
	c.Buffer(&r.Passwd)
	optionalBool(c, &r.ReadOnly, &r.HasReadOnly)
}

// ConnectResponse answers a ConnectRequest; TimeOut 0 means that the session is gone.
type ConnectResponse struct {
	ProtocolVersion int32
	TimeOut         int32 // ms
	SessionID       int64
	Passwd          []byte // 16 bytes
	ReadOnly        bool
	HasReadOnly     bool
}

// Fields codes ConnectResponse.
func (r *ConnectResponse) Fields(c *jute.Coder) {
	c.Int(&r.ProtocolVersion)
	c.Int(&r.TimeOut)
	c.Long(&r.SessionID)
	c.Buffer(&r.Passwd)
	optionalBool(c, &r.ReadOnly, &r.HasReadOnly)
}

// optionalBool codes a trailing bool that older peers leave out.
func optionalBool(c *jute.Coder, v, has *bool) {
	if c.Reading() {
		*has = c.More()
	}
	if *has {
		c.Bool(v)
	}
}

// RequestHeader starts every request after the ConnectRequest.
type RequestHeader struct {
	Xid int32
	Op  Op
}

// Fields codes {xid, type}.
func (r *RequestHeader) Fields(c *jute.Coder) {
	c.Int(&r.Xid)
	c.Int((*int32)(&r.Op))
}

// ReplyHeader starts every reply after the ConnectResponse: 16 bytes.
type ReplyHeader struct {
	Xid  int32
	Zxid Zxid
	Err  Code
}

// Fields codes {xid, zxid, err}.
func (r *ReplyHeader) Fields(c *jute.Coder) {
	c.Int(&r.Xid)
	c.Long((*int64)(&r.Zxid))
	c.Int((*int32)(&r.Err))
}

// CreateRequest is the body of create, create2 and createContainer.
type CreateRequest struct {
	Path  string
	Data  []byte
	ACL   []ACL
	Flags int32
}

// Fields codes CreateRequest.
func (r *CreateRequest) Fields(c *jute.Coder) {
	c.String(&r.Path)
	c.Buffer(&r.Data)
	ACLs(c, &r.ACL)
	c.Int(&r.Flags)
}

// CreateTTLRequest is the body of createTTL; TTL in ms.
type CreateTTLRequest struct {
	CreateRequest
	TTL int64
}

// Fields codes CreateTTLRequest.
func (r *CreateTTLRequest) Fields(c *jute.Coder) {
	r.CreateRequest.Fields(c)
	c.Long(&r.TTL)
}

// PathVersion is DeleteRequest and CheckVersionRequest; Version -1 matches any.
type PathVersion struct {
	Path    string
	Version int32
}

// Fields codes {path, version}.
func (r *PathVersion) Fields(c *jute.Coder) {
	c.String(&r.Path)
	c.Int(&r.Version)
}

// PathWatch is the body of exists, getData, getChildren and getChildren2.
type PathWatch struct {
	Path  string
	Watch bool
}

// Fields codes {path, watch}.
func (r *PathWatch) Fields(c *jute.Coder) {
	c.String(&r.Path)
	c.Bool(&r.Watch)
}

// PathOnly is a record of one path: getACL, sync, getEphemerals, getAllChildrenNumber, and
// the replies of create and sync.
type PathOnly struct{ Path string }

// Fields codes {path}.
func (r *PathOnly) Fields(c *jute.Coder) { c.String(&r.Path) }

// SetDataRequest replaces a znode's data; Version -1 matches any.
type SetDataRequest struct {
	Path    string
	Data    []byte
	Version int32
}

// Fields codes SetDataRequest.
func (r *SetDataRequest) Fields(c *jute.Coder) {
	c.String(&r.Path)
	c.Buffer(&r.Data)
	c.Int(&r.Version)
}

// SetACLRequest replaces a znode's ACL; Version is of the ACL, -1 matches any.
type SetACLRequest struct {
	Path    string
	ACL     []ACL
	Version int32
}

// Fields codes SetACLRequest.
func (r *SetACLRequest) Fields(c *jute.Coder) {
	c.String(&r.Path)
	ACLs(c, &r.ACL)
	c.Int(&r.Version)
}

// ReconfigRequest asks for another membership.
type ReconfigRequest struct {
	Joining, Leaving, NewMembers string
	CurConfigID                  int64
}

// Fields codes ReconfigRequest.
func (r *ReconfigRequest) Fields(c *jute.Coder) {
	c.String(&r.Joining)
	c.String(&r.Leaving)
	c.String(&r.NewMembers)
	c.Long(&r.CurConfigID)
}

// PathType is the body of checkWatches and removeWatches (Type: WatcherChildren …) and of
// addWatch (Type: AddWatchPersistent …).
type PathType struct {
	Path string
	Type int32
}

// Fields codes {path, type}.
func (r *PathType) Fields(c *jute.Coder) {
	c.String(&r.Path)
	c.Int(&r.Type)
}

// SetWatches restores a client's watches on a new connection. The last two lists exist in
// setWatches2 only; Two tells which record it is.
type SetWatches struct {
	RelativeZxid        Zxid
	Data, Exist, Child  []string
	Persistent          []string
	PersistentRecursive []string
	Two                 bool
}

// Fields codes SetWatches, or SetWatches2 when Two is set.
func (r *SetWatches) Fields(c *jute.Coder) {
	c.Long((*int64)(&r.RelativeZxid))
	jute.Strings(c, &r.Data)
	jute.Strings(c, &r.Exist)
	jute.Strings(c, &r.Child)
	if r.Two {
		jute.Strings(c, &r.Persistent)
		jute.Strings(c, &r.PersistentRecursive)
	}
}

// AuthPacket adds an identity to a connection.
type AuthPacket struct {
	Type   int32 // ignored
	Scheme string
	Auth   []byte
}

// Fields codes AuthPacket.
func (r *AuthPacket) Fields(c *jute.Coder) {
	c.Int(&r.Type)
	c.String(&r.Scheme)
	c.Buffer(&r.Auth)
}

// Token is the body of a sasl request and of its reply.
type Token struct{ Token []byte }

// Fields codes {token}.
func (r *Token) Fields(c *jute.Coder) { c.Buffer(&r.Token) }

// PathStat is Create2Response.
type PathStat struct {
	Path string
	Stat Stat
}

// Fields codes {path, stat}.
func (r *PathStat) Fields(c *jute.Coder) {
	c.String(&r.Path)
	r.Stat.Fields(c)
}

// DataStat is GetDataResponse.
type DataStat struct {
	Data []byte
	Stat Stat
}

// Fields codes {data, stat}.
func (r *DataStat) Fields(c *jute.Coder) {
	c.Buffer(&r.Data)
	r.Stat.Fields(c)
}

// ChildrenStat is GetChildren2Response.
type ChildrenStat struct {
	Children []string
	Stat     Stat
}

// Fields codes {children, stat}.
func (r *ChildrenStat) Fields(c *jute.Coder) {
	jute.Strings(c, &r.Children)
	r.Stat.Fields(c)
}

// ACLStat is GetACLResponse.
type ACLStat struct {
	ACL  []ACL
	Stat Stat
}

// Fields codes {acl, stat}.
func (r *ACLStat) Fields(c *jute.Coder) {
	ACLs(c, &r.ACL)
	r.Stat.Fields(c)
}

// WatcherEvent is the body of a notification.
type WatcherEvent struct {
	Type, State int32
	Path        string
}

// Fields codes {type, state, path}.
func (r *WatcherEvent) Fields(c *jute.Coder) {
	c.Int(&r.Type)
	c.Int(&r.State)
	c.String(&r.Path)
}

// ClientInfo is one identity as whoAmI shows it.
type ClientInfo struct{ Scheme, User string }

// WhoAmIResponse lists the identities of a connection.
type WhoAmIResponse struct{ Infos []ClientInfo }

// Fields codes WhoAmIResponse.
func (r *WhoAmIResponse) Fields(c *jute.Coder) {
	jute.Vector(c, &r.Infos, 8, func(c *jute.Coder, i *ClientInfo) {
		c.String(&i.Scheme)
		c.String(&i.User)
	})
}

// MultiHeader precedes each part of a multi and of its answer; the last one has Done set.
type MultiHeader struct {
	Op   Op
	Done bool
	Err  Code
}

// Fields codes {type, done, err}.
func (r *MultiHeader) Fields(c *jute.Coder) {
	c.Int((*int32)(&r.Op))
	c.Bool(&r.Done)
	c.Int((*int32)(&r.Err))
}

// MultiEnd closes the list of parts, in a request and in an answer.
var MultiEnd = MultiHeader{Op: OpError, Done: true, Err: -1}
