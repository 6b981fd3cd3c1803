package admin

import (
	"errors"
	"io"
	"net/netip"
	"time"

	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/server/metrics"
)

// A Source tells facts about a running server. Its methods may take a while, and may be called
// from any goroutine; all but Live, Ready, Version, Environment and Metrics need Serving.
type Source interface {
	Live() error    // why the process should be restarted; nil: it should not
	Ready() error   // why clients should go elsewhere; nil: they need not
	ReadOnly() bool // no room on disk: writes are turned down
	Serving() bool  // the data is loaded and clients are served
	Version() string
	Mode() string      // standalone, leader, follower or observer
	PeerState() string // of a member of an ensemble: "leading - broadcast"; "" of others
	Environment() []Field
	Metrics(always bool) []metrics.Metric // always: what a reset cannot set back

	Conf() Conf
	Conns() []Conn
	Sessions() []Deadline // by time
	Ephemerals() []Owned  // by session
	Watches() []Watched   // of the data table, by session
	Digests() []Digest
	Stats() Stats
	Dirs() (data, log int64)
	LastSnapshot() (proto.Zxid, time.Time) // -1 when there is none
	ResetStats()
	ResetConns()
	TraceMask() int64
	SetTraceMask(int64)

	// What guarded commands ask (guarded.go).
	Guard() Guard
	// Identify tells who shows these credentials of a scheme; nil: nobody.
	Identify(scheme string, credentials []byte, from netip.Addr) []proto.ID
	MayAll([]proto.ID) bool // all permissions on the root znode
	Snapshot(stream bool) (Snapshot, error)
	Restore(body io.Reader) (proto.Zxid, error) // an ErrBody: the body is no snapshot
	Shed(percent int) (closed int)
	Limited(restore bool) // a snapshot or a restore was asked for too soon
}

// ErrBody is what is wrong with a snapshot that was sent. Test with errors.Is.
var ErrBody = errors.New("the body is not a snapshot that can be restored")

// Guard says which guarded commands there are.
type Guard struct {
	Snapshot, Restore bool          // admin.snapshot.enabled, admin.restore.enabled
	Interval          time.Duration // admin.rateLimiterIntervalInMS
	Forwarded         bool          // callers are behind a proxy that tells their address
}

// A Snapshot is one that was taken on demand.
type Snapshot struct {
	Zxid   proto.Zxid
	Bytes  int64         // of the file; of the stream, if there is one
	Stream io.ReadCloser // uncompressed; nil unless asked for
}

// Conf is what the words conf and configuration show (ZooKeeperServerConf).
type Conf struct {
	ClientPort      int
	DataDir, LogDir string
	TickMs          int64
	MaxClientCnxns  int
	MinTimeoutMs    int64
	MaxTimeoutMs    int64
	ServerID        int64
	Backlog         int
	Initial         string  // the configuration as text
	Quorum          *Quorum // nil for a server that is in no ensemble
}

// Quorum is what members of an ensemble show there.
type Quorum struct {
	InitLimit, SyncLimit     int
	ElectionAlg              int
	ElectionPort, QuorumPort int
	PeerType                 int // 0: participant, 1: observer
	Membership               string
}

// A Conn is a client connection (ServerCnxn.getConnectionInfo). Times of the server's clock are
// in ms since its start.
type Conn struct {
	Remote         string
	Interest       int // 1: it is read
	Queued         int
	Received, Sent int64
	Session        int64 // 0: none yet
	LastOp         string
	EstablishedMs  int64 // since 1970
	TimeoutMs      int32
	LastCxid       int64 // -1: none
	LastZxid       proto.Zxid
	LastResponseMs int64
	LastLatencyMs  int64
	MinLatencyMs   int64
	AvgLatencyMs   int64
	MaxLatencyMs   int64
	DeadlineMs     int64     // it is closed then unless it is heard from: the end of a tick
	Deadline       time.Time // the same
}

// A Deadline names the sessions that end at a moment of the server's clock.
type Deadline struct {
	AtMs     int64 // since the server's start
	At       time.Time
	Sessions []int64
}

// Owned are the ephemerals of a session.
type Owned struct {
	Session int64
	Paths   []string
}

// Watched are the paths that a session watches.
type Watched struct {
	Session int64
	Paths   []string
}

// A Digest is that of the tree after a transaction (ZxidDigest).
type Digest struct {
	Zxid    proto.Zxid
	Digest  int64
	Version int32
}

// Stats is what the words srvr and stat show (ServerStats).
type Stats struct {
	Received, Sent       int64
	Outstanding          int64
	Connections          int64
	MinMs, MaxMs         int64
	AvgMs                metrics.Decimal
	LastSize             int64 // of replies, in bytes; -1: none
	MinSize, MaxSize     int64
	SlowSyncs            int64
	DataBytes, LogBytes  int64
	Zxid                 proto.Zxid
	UptimeMs, AuthFailed int64
	Nodes                int
}
