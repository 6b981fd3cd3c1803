package zoocfg

import (
	"net"
	"slices"
	"strconv"
	"time"
)

// A Config is what zoo.cfg says, defaults filled in. The table in keys.go has the name, the
// default and the meaning of the key behind each field; comments here say only what that
// leaves open. A field that holds bytes or time is in bytes or time whatever unit its key has.
type Config struct {
	// Files.
	DataDir              string
	DataLogDir           string // DataDir when the key is absent
	DataDirAutocreate    bool
	DBAutocreate         bool
	SnapshotTrustEmpty   bool
	PreAllocBytes        int64
	SnapCount            int
	SnapSizeLimitBytes   int64 // 0: no limit
	TxnLogSizeLimitBytes int64 // 0: no limit
	SnapRetainCount      int
	PurgeInterval        time.Duration // 0: never
	ForceSync            bool
	FsyncWarning         time.Duration
	FlushDelay           time.Duration
	MaxWriteQueuePoll    time.Duration // a third of FlushDelay when the key is absent
	MaxBatchSize         int
	// SnapshotCompression counts only when HasSnapshotCompression is true: the file may say
	// "", which is Java's no compression and not our default.
	SnapshotCompression    string
	HasSnapshotCompression bool
	DigestEnabled          bool
	SaveLastProcessedZxid  bool // serializeLastProcessedZxid.enabled

	// Clients.
	ClientPort              int    // -1: no plain port; 0: any free one
	ClientPortAddress       string // "": all interfaces
	SecureClientPort        int    // as ClientPort
	SecureClientPortAddress string
	ClientPortListenBacklog int // -1: the system's
	ClientPortUnification   bool
	ClientTCPKeepAlive      bool
	MaxClientCnxns          int // of one address; 0: no limit
	MaxCnxns                int // 0: no limit
	SessionlessTimeout      time.Duration
	FourLetterWords         []string // "*": all
	ReadOnlyMode            bool

	// Sessions.
	TickTime                 time.Duration
	MinSessionTimeout        time.Duration
	MaxSessionTimeout        time.Duration
	LocalSessions            bool
	LocalSessionsUpgrading   bool
	CloseSessionTxn          bool
	GlobalOutstandingLimit   int
	JuteMaxBuffer            int // bytes
	JuteMaxBufferExtra       int // bytes; JuteMaxBuffer when the key is absent
	LargeRequestMaxBytes     int64
	LargeRequestThreshold    int64 // bytes; -1: off
	ConnectionThrottle       ConnectionThrottle
	RequestThrottle          RequestThrottle
	ThrottledOpWait          time.Duration // 0: off
	EnforceQuota             bool
	ExtendedTypes            bool
	Emulate353TTLNodes       bool
	ContainerCheckInterval   time.Duration
	ContainerMaxPerMinute    int
	ContainerMaxNeverUsed    time.Duration // 0: a container never used stays
	AuditEnable              bool
	MetricsProviderClassName string
	Metrics                  Metrics
	Admin                    Admin
	LogLevel                 string // debug, info, warn or error

	// Authentication.
	SkipACL                  bool
	EagerACLCheck            bool
	DigestAuth               bool
	DigestAlg                string
	SuperDigest              string
	IPUseXForwardedFor       bool
	X509SuperUser            string
	SuperUsers               []string          // sasl ids, from superUser and superUser.N
	AuthProviders            map[string]string // Java class by what follows "authProvider."
	EnforceAuth              bool
	EnforceAuthSchemes       []string
	RequireClientSASL        bool
	RequireClientAuthScheme  string
	ServeWithoutSASL         bool // meerkat.serveWithoutSASL
	EnsembleAuthNames        []string
	AllowSASLFailedClients   bool
	LetAnySASLUserDoX        string
	SASLServerConfig         string
	SASLSuperPassword        string
	KerberosRemoveHost       bool
	KerberosRemoveRealm      bool
	KerberosCanonicalizeHost bool
	SecurityAuthToLocal      string

	// TLS.
	ClientTLS      TLS    // ssl.*
	QuorumTLS      TLS    // ssl.quorum.*
	TLSProvider    string // ssl.authProvider
	ClientReload   bool   // client.certReload
	FIPSMode       bool
	HandshakeLimit int // netty.server.outstandingHandshake.limit; -1: none

	// Quorum is what only members of an ensemble heed.
	Quorum Quorum

	places map[string]position // of the keys in the file, by name without prefix
}

// Admin is the HTTP server of admin.*.
type Admin struct {
	Enable          bool
	Address         string
	Port            int
	IdleTimeout     time.Duration
	CommandURL      string
	PortUnification bool
	ForceHTTPS      bool
	NeedClientAuth  bool
	RateLimit       time.Duration
	Snapshot        bool
	Restore         bool
}

// Metrics is the HTTP server of metricsProvider.*, for Prometheus.
type Metrics struct {
	Host      string
	Port      int
	HTTPSPort int  // -1: none
	Process   bool // the process' own numbers, too
}

// ConnectionThrottle is the token bucket that new connections pass (BlueThrottle).
type ConnectionThrottle struct {
	Tokens        int // 0: off
	FillTime      time.Duration
	FillCount     int
	FreezeTime    time.Duration // negative: no random drops
	DropIncrease  float64
	DropDecrease  float64
	DecreaseRatio float64
	Weighted      bool
	GlobalWeight  int
	LocalWeight   int
	RenewWeight   int
}

// RequestThrottle bounds requests in flight (RequestThrottler).
type RequestThrottle struct {
	MaxRequests          int // 0: off
	StallTime            time.Duration
	DropStale            bool
	ShutdownTimeout      time.Duration
	StaleLatencyCheck    bool
	StaleConnectionCheck bool
}

// TLS is one side's keys and rules, for clients or for the quorum.
type TLS struct {
	KeyStore           string
	KeyStorePassword   string
	KeyStorePassPath   string
	KeyStoreType       string // "": by the file's name
	TrustStore         string
	TrustStorePassword string
	TrustStorePassPath string
	TrustStoreType     string
	Protocol           string
	EnabledProtocols   []string
	CipherSuites       []string
	VerifyHostname     bool
	VerifyClientHost   bool
	ReverseDNS         bool
	CRL                bool
	OCSP               bool
	ClientAuth         string // none, want or need
	HandshakeDetection time.Duration
}

// ClientAddr is the address of the plain client port; ok is false when there is none.
func (c *Config) ClientAddr() (addr string, ok bool) {
	return joinAddr(c.ClientPortAddress, c.ClientPort)
}

// SecureClientAddr is the address of the TLS client port; ok is false when there is none.
func (c *Config) SecureClientAddr() (addr string, ok bool) {
	return joinAddr(c.SecureClientPortAddress, c.SecureClientPort)
}

func joinAddr(host string, port int) (string, bool) {
	return net.JoinHostPort(host, strconv.Itoa(port)), port >= 0
}

// Default is the configuration of a server that was given no file: a server to try out, heard
// on this machine alone.
func Default() *Config {
	c := withDefaults()
	c.DataDir = "./meerkat-data"
	c.ClientPort = 2181
	c.ClientPortAddress = "127.0.0.1"
	c.MaxClientCnxns = 0 // whoever tries it out has one address for all clients
	c.TickTime = 2000 * time.Millisecond
	c.complete()
	return c
}

// withDefaults is a Config with the default of each key that has one of its own.
func withDefaults() *Config {
	c := &Config{
		ClientPort: -1, SecureClientPort: -1, // none
		MaxWriteQueuePoll: -1, JuteMaxBufferExtra: -1, // for complete to fill in
		Quorum: Quorum{MyID: -1},
	}
	for _, k := range keys {
		if k.def == "" || k.kind.set == nil {
			continue
		}
		if err := k.kind.set(c, "", k.def); err != nil {
			panic("zoocfg: default of " + k.name + ": " + err.Error())
		}
	}
	return c
}

// complete fills in the fields whose default is another key's value.
func (c *Config) complete() {
	if c.DataLogDir == "" {
		c.DataLogDir = c.DataDir
	}
	if c.MinSessionTimeout < 0 {
		c.MinSessionTimeout = 2 * c.TickTime
	}
	if c.MaxSessionTimeout == -time.Millisecond {
		c.MaxSessionTimeout = 20 * c.TickTime
	}
	if c.MaxWriteQueuePoll < 0 {
		c.MaxWriteQueuePoll = c.FlushDelay / 3
	}
	if c.JuteMaxBufferExtra < 0 {
		c.JuteMaxBufferExtra = max(c.JuteMaxBuffer, extraSizeMin)
	}
	c.FourLetterWords = withWord(c.FourLetterWords, "srvr") // zkServer.sh needs it
	if c.ReadOnlyMode {
		c.FourLetterWords = withWord(c.FourLetterWords, "isro") // servers ask each other
	}
	if c.Quorum.ConnectLimit == 0 {
		c.Quorum.ConnectLimit = c.Quorum.InitLimit
	}
	if c.Quorum.CnxnTimeout < 0 {
		c.Quorum.CnxnTimeout = time.Duration(c.Quorum.SyncLimit) * c.TickTime
	}
}

func withWord(words []string, word string) []string {
	if slices.Contains(words, word) || slices.Contains(words, "*") {
		return words
	}
	return append(words, word)
}
