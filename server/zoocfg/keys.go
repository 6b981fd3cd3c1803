package zoocfg

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A key is one row of the table.
type key struct {
	name  string // as in zoo.cfg; a "*" at the end stands for any text
	def   string // as it would stand in a file; "": none, or another key's value
	kind  kind
	means string
}

// A Key describes a key for documents.
type Key struct {
	Name    string // a "*" at its end stands for any text
	Default string // "": none, or another key's value
	Want    string // what a value is
	Means   string
	Odd     string // what becomes of a value that is not Want, for Java and here
	Ignored bool   // accepted, without effect

	// Unserved: read and checked as ZooKeeper does, but this release does nothing with it.
	Unserved bool
}

// Keys are all keys that the parser knows, by name.
func Keys() []Key {
	all := make([]Key, len(keys))
	for i, k := range keys {
		ignored := k.kind.set == nil
		all[i] = Key{k.name, cmp.Or(k.def, defaultsElsewhere[k.name]), k.kind.want, k.means,
			k.odd(), ignored, !ignored && unserved[k.name]}
	}
	slices.SortFunc(all, func(a, b Key) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// defaultsElsewhere are those of who uses a Config, for keys whose absence it can see.
var defaultsElsewhere = map[string]string{"snapshot.compression.method": "snappy"}

// propertyPrefix starts the names of ZooKeeper's system properties. Java puts it before each
// key that its parser does not know.
const propertyPrefix = "zookeeper."

var byName = func() map[string]*key {
	m := make(map[string]*key, len(keys))
	for i := range keys {
		m[keys[i].name] = &keys[i]
	}
	return m
}()

// find is the row for a key of the file, nil without one; name is the key without the prefix
// of properties, and suffix what stands for the row's "*".
func find(inFile string) (k *key, name, suffix string) {
	name = strings.TrimPrefix(inFile, propertyPrefix)
	if k = byName[name]; k != nil && !strings.HasSuffix(name, "*") {
		return k, name, ""
	}
	family, suffix, _ := strings.Cut(name, ".")
	if k = byName[family+".*"]; k != nil && suffix != "" {
		return k, name, suffix
	}
	return nil, name, ""
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// keys is the table: each key that a file may have, once.
var keys = slices.Concat(
	fileKeys(), clientKeys(), sessionKeys(), treeKeys(), throttleKeys(), authKeys(),
	adminKeys(), metricsKeys(), operatorKeys(), quorumKeys(), memberKeys(),
	tlsKeys("ssl.", "false", func(c *Config) *TLS { return &c.ClientTLS }),
	tlsKeys("ssl.quorum.", "true", func(c *Config) *TLS { return &c.QuorumTLS }),
	ignoredKeys(),
)

func fileKeys() []key {
	return []key{
		{"dataDir", "", filePath(func(c *Config) *string { return &c.DataDir }),
			"directory of snapshots and of myid; required"},
		{"dataLogDir", "", filePath(func(c *Config) *string { return &c.DataLogDir }),
			"directory of transaction logs; dataDir without it"},
		{"datadir.autocreate", "true", boolean(func(c *Config) *bool {
			return &c.DataDirAutocreate
		}), "create missing directories at start"},
		{"db.autocreate", "true", boolean(func(c *Config) *bool { return &c.DBAutocreate }),
			"start an empty database when there is none; false is not served"},
		{"snapshot.trust.empty", "false", boolean(func(c *Config) *bool {
			return &c.SnapshotTrustEmpty
		}), "start from logs alone when there is no snapshot, or only empty ones"},
		{"snapshot.compression.method", "", compression(),
			"how snapshots are written; empty: not compressed"},
		{"preAllocSize", "65536", kib(kibAtMost, func(c *Config) *int64 {
			return &c.PreAllocBytes
		}), "by how much a log file is made longer ahead of its writes"},
		{"snapCount", "100000", number(anyInt, func(c *Config) *int { return &c.SnapCount }),
			"transactions between snapshots, at least 2"},
		{"snapSizeLimitInKb", "4194304", kib(kibOrNone, func(c *Config) *int64 {
			return &c.SnapSizeLimitBytes
		}), "size of log between snapshots; 0 or less: no limit"},
		{"txnLogSizeLimitInKb", "-1", kib(kibOrNone, func(c *Config) *int64 {
			return &c.TxnLogSizeLimitBytes
		}), "size at which a log file is closed; 0 or less: no limit"},
		{"autopurge.snapRetainCount", "3", intIn(anyInt, func(c *Config) *int {
			return &c.SnapRetainCount
		}), "snapshots that purging keeps, at least 3"},
		{"autopurge.purgeInterval", "1m", interval(func(c *Config) *time.Duration {
			return &c.PurgeInterval
		}), "old files are removed after a snapshot, at most once in this time; 0: never (as Java)"},
		{"forceSync", "yes", unlessNo.kind(func(c *Config) *bool { return &c.ForceSync }),
			"sync the log to disk before a write is acknowledged"},
		{"fsync.warningthresholdms", "1000", millis(zeroOrMore, func(c *Config) *time.Duration {
			return &c.FsyncWarning
		}), "a sync that takes longer is logged"},
		{"flushDelay", "0", millis(zeroOrMore, func(c *Config) *time.Duration {
			return &c.FlushDelay
		}), "how long a sync may wait for more writes"},
		{"maxWriteQueuePollTime", "", millis(zeroOrMore, func(c *Config) *time.Duration {
			return &c.MaxWriteQueuePoll
		}), "how long an idle log waits under flushDelay; a third of it without the key"},
		{"maxBatchSize", "1000", number(zeroOrMore, func(c *Config) *int {
			return &c.MaxBatchSize
		}), "writes after which a sync waits no longer; 0: no bound"},
		{"digest.enabled", "true", boolean(func(c *Config) *bool { return &c.DigestEnabled }),
			"keep a digest of the tree, and put it into each transaction"},
		{"serializeLastProcessedZxid.enabled", "false", boolean(func(c *Config) *bool {
			return &c.SaveLastProcessedZxid
		}), "write the last processed zxid into snapshots (since 3.9; Java there: true)"},
	}
}

// compression keeps whether the key was there, for Java's default is not ours.
func compression() kind {
	k := oneOf(func(c *Config) *string { return &c.SnapshotCompression },
		"gz", "snappy", "zstd", "")
	set := k.set
	k.set = func(c *Config, suffix, value string) error {
		c.HasSnapshotCompression = true
		if set(c, suffix, value) == nil {
			return nil
		}
		c.SnapshotCompression = ""
		return &oddity{text: fmt.Sprintf("%q counts as no compression, as for Java; write one of "+
			"gz, snappy and zstd, or leave the key out for snappy", value)}
	}
	return k
}

func clientKeys() []key {
	return []key{
		{"clientPort", "", intIn(port, func(c *Config) *int { return &c.ClientPort }),
			"port for clients; 0: any free one"},
		{"clientPortAddress", "", address(func(c *Config) *string {
			return &c.ClientPortAddress
		}), "interface of clientPort; all without it"},
		{"secureClientPort", "", securePort(), "port for clients over TLS; 0: none"},
		{"secureClientPortAddress", "", address(func(c *Config) *string {
			return &c.SecureClientPortAddress
		}), "interface of secureClientPort; all without it"},
		{"client.portUnification", "false", boolean(func(c *Config) *bool {
			return &c.ClientPortUnification
		}), "take TLS on clientPort too"},
		{"clientPortListenBacklog", "-1", intIn(minusOneUp, func(c *Config) *int {
			return &c.ClientPortListenBacklog
		}), "connections that wait to be accepted; -1: the system's number"},
		{"clientTcpKeepAlive", "false", boolean(func(c *Config) *bool {
			return &c.ClientTCPKeepAlive
		}), "TCP keep-alive on client connections"},
		{"maxClientCnxns", "60", intIn(zeroOrMore, func(c *Config) *int {
			return &c.MaxClientCnxns
		}), "connections from one address; 0: no limit"},
		{"maxCnxns", "0", number(zeroOrMore, func(c *Config) *int { return &c.MaxCnxns }),
			"client connections in all; 0: no limit"},
		{"nio.sessionlessCnxnTimeout", "10000", millis(oneOrMore,
			func(c *Config) *time.Duration { return &c.SessionlessTimeout }),
			"a connection that has no session by then is closed"},
		{"4lw.commands.whitelist", "srvr,stat,ruok,mntr,isro,conf,envi,dirs,wchs",
			list(func(c *Config) *[]string { return &c.FourLetterWords }),
			"four-letter words that are answered, or *; srvr always is"},
		{"readonlymode.enabled", "false", boolean(func(c *Config) *bool {
			return &c.ReadOnlyMode
		}), "serve reads to clients that accept them while there is no quorum"},
	}
}

// securePort is a port; 0 is none, as for Java 3.8.
func securePort() kind {
	k := intIn(port, func(c *Config) *int { return &c.SecureClientPort })
	set := k.set
	k.set = func(c *Config, suffix, value string) error {
		err := set(c, suffix, value)
		if err == nil && c.SecureClientPort == 0 {
			c.SecureClientPort = -1
			return &oddity{text: "0 counts as no port for TLS, as for Java"}
		}
		return err
	}
	return k
}

// leastTimeout is a time of which -1 alone stands for the default; what is below that is no bound.
func leastTimeout() kind {
	k := strictMillis(anyInt, func(c *Config) *time.Duration { return &c.MinSessionTimeout })
	set := k.set
	k.set = func(c *Config, suffix, value string) error {
		err := set(c, suffix, value)
		if err == nil && c.MinSessionTimeout < -time.Millisecond {
			c.MinSessionTimeout = 0
			return &oddity{text: value + " counts as 0: clients may ask for any timeout"}
		}
		return err
	}
	return k
}

func sessionKeys() []key {
	return []key{
		{"tickTime", "3000", strictMillis(oneOrMore, func(c *Config) *time.Duration {
			return &c.TickTime
		}), "the unit of time of sessions and of the ensemble"},
		{"minSessionTimeout", "-1", leastTimeout(), "least session timeout; -1: two ticks"},
		{"maxSessionTimeout", "-1", strictMillis(anyInt, func(c *Config) *time.Duration {
			return &c.MaxSessionTimeout
		}), "greatest session timeout; -1: twenty ticks"},
		{"localSessionsEnabled", "false", strictBoolean(func(c *Config) *bool {
			return &c.LocalSessions
		}), "sessions that only their own server knows"},
		{"localSessionsUpgradingEnabled", "false", strictBoolean(func(c *Config) *bool {
			return &c.LocalSessionsUpgrading
		}), "make a local session global when it creates an ephemeral"},
		{"closeSessionTxn.enabled", "true", boolean(func(c *Config) *bool {
			return &c.CloseSessionTxn
		}), "list a closed session's ephemerals in its transaction"},
		{"sessionRequireClientSASLAuth", "false", boolean(func(c *Config) *bool {
			return &c.RequireClientSASL
		}), "refuse requests of clients that did not pass SASL"},
	}
}

// The classes that Java's server brings for metricsProvider.className.
const (
	defaultMetrics    = "org.apache.zookeeper.metrics.impl.DefaultMetricsProvider"
	nullMetrics       = "org.apache.zookeeper.metrics.impl.NullMetricsProvider"
	prometheusMetrics = "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider"
)

func treeKeys() []key {
	return []key{
		{"jute.maxbuffer", "1048575", number(oneOrMore, func(c *Config) *int {
			return &c.JuteMaxBuffer
		}), "largest request, in bytes"},
		{"jute.maxbuffer.extrasize", "", number(anyInt, func(c *Config) *int {
			return &c.JuteMaxBufferExtra
		}), "what a stored record may have beyond jute.maxbuffer, in bytes, at least 1024"},
		{"enforceQuota", "false", boolean(func(c *Config) *bool { return &c.EnforceQuota }),
			"refuse writes beyond a hard quota"},
		{"extendedTypesEnabled", "false", boolean(func(c *Config) *bool {
			return &c.ExtendedTypes
		}), "allow znodes with a time to live"},
		{"emulate353TTLNodes", "false", boolean(func(c *Config) *bool {
			return &c.Emulate353TTLNodes
		}), "read the owner field of TTL znodes as 3.5.3 wrote it"},
		{"znode.container.checkIntervalMs", "60000", millis(oneOrMore,
			func(c *Config) *time.Duration { return &c.ContainerCheckInterval }),
			"time between searches for containers and TTL znodes to delete"},
		{"znode.container.maxPerMinute", "10000", number(oneOrMore, func(c *Config) *int {
			return &c.ContainerMaxPerMinute
		}), "most of them deleted in a minute"},
		{"znode.container.maxNeverUsedIntervalMs", "0", millis(longMillis,
			func(c *Config) *time.Duration { return &c.ContainerMaxNeverUsed }),
			"age at which a container that never had a child goes; 0: never"},
		{"audit.enable", "false", boolean(func(c *Config) *bool { return &c.AuditEnable }),
			"write the audit log"},
		{"metricsProvider.className", defaultMetrics, oneOf(func(c *Config) *string {
			return &c.MetricsProviderClassName
		}, defaultMetrics, nullMetrics, prometheusMetrics),
			"the last serves metrics to Prometheus over HTTP, the others nothing"},
	}
}

// metricsKeys are those that Java's PrometheusMetricsProvider reads, up to ZooKeeper 3.10.
func metricsKeys() []key {
	const prefix = "metricsProvider."
	rows := []key{
		{prefix + "httpHost", "0.0.0.0", address(func(c *Config) *string {
			return &c.Metrics.Host
		}), "interface for Prometheus"},
		{prefix + "httpPort", "7000", intIn(port, func(c *Config) *int {
			return &c.Metrics.Port
		}), "port for Prometheus"},
		{prefix + "httpsPort", "-1", intIn(portOrNone, func(c *Config) *int {
			return &c.Metrics.HTTPSPort
		}), "another one, with TLS; -1: none"},
		{prefix + "exportJvmInfo", "true", boolean(func(c *Config) *bool {
			return &c.Metrics.Process
		}), "serve the process' own numbers, too"},
	}
	for _, name := range []string{"numWorkerThreads", "maxQueueSize", "workerShutdownTimeoutMs",
		"prometheusMetricsSummaryRotateIntervalSeconds"} {
		rows = append(rows, key{prefix + name, "", ignored(), "threads that count in Java"})
	}
	for _, name := range []string{"keyStore.location", "keyStore.password", "keyStore.type",
		"trustStore.location", "trustStore.password", "trustStore.type", "need.client.auth",
		"want.client.auth", "enabledProtocols", "ciphersuites"} {
		rows = append(rows, key{prefix + "ssl." + name, "", ignored(),
			"keys and rules of metricsProvider.httpsPort, which is not served"})
	}
	return rows
}

func throttleKeys() []key {
	throttle := func(field func(*ConnectionThrottle) *int) func(*Config) *int {
		return func(c *Config) *int { return field(&c.ConnectionThrottle) }
	}
	return []key{
		{"globalOutstandingLimit", "1000", number(atLeastOne, func(c *Config) *int {
			return &c.GlobalOutstandingLimit
		}), "requests in flight above which busy connections are not read"},
		{"largeRequestMaxBytes", "104857600", number(bytesOrNone, func(c *Config) *int64 {
			return &c.LargeRequestMaxBytes
		}), "bytes of large requests in flight"},
		{"largeRequestThreshold", "-1", number(bytesOrNone, func(c *Config) *int64 {
			return &c.LargeRequestThreshold
		}), "bytes from which a request is large; -1: none is"},
		{"throttled_op_wait_time", "0", millis(anyInt, func(c *Config) *time.Duration {
			return &c.ThrottledOpWait
		}), "a request that waited longer is refused; 0 or less: none is"},
		{"connection_throttle_tokens", "0", number(zeroOrMore, throttle(
			func(t *ConnectionThrottle) *int { return &t.Tokens })),
			"size of the bucket that new connections draw from; 0: off"},
		{"connection_throttle_fill_time", "1", millis(oneOrMore,
			func(c *Config) *time.Duration { return &c.ConnectionThrottle.FillTime }),
			"time between fillings of the bucket"},
		{"connection_throttle_fill_count", "1", number(zeroOrMore, throttle(
			func(t *ConnectionThrottle) *int { return &t.FillCount })),
			"tokens of one filling"},
		{"connection_throttle_freeze_time", "-1", millis(anyInt,
			func(c *Config) *time.Duration { return &c.ConnectionThrottle.FreezeTime }),
			"time between changes of the chance to drop; negative: no such drops"},
		{"connection_throttle_drop_increase", "0.02", float(func(c *Config) *float64 {
			return &c.ConnectionThrottle.DropIncrease
		}), "by how much that chance grows"},
		{"connection_throttle_drop_decrease", "0.002", float(func(c *Config) *float64 {
			return &c.ConnectionThrottle.DropDecrease
		}), "by how much it shrinks"},
		{"connection_throttle_decrease_ratio", "0", float(func(c *Config) *float64 {
			return &c.ConnectionThrottle.DecreaseRatio
		}), "how full the bucket must be for it to shrink"},
		{"connection_throttle_weight_enabled", "false", boolean(func(c *Config) *bool {
			return &c.ConnectionThrottle.Weighted
		}), "kinds of sessions draw different numbers of tokens"},
		{"connection_throttle_global_session_weight", "3", number(oneOrMore, throttle(
			func(t *ConnectionThrottle) *int { return &t.GlobalWeight })),
			"tokens for a global session"},
		{"connection_throttle_local_session_weight", "1", number(oneOrMore, throttle(
			func(t *ConnectionThrottle) *int { return &t.LocalWeight })),
			"tokens for a local session"},
		{"connection_throttle_renew_session_weight", "2", number(oneOrMore, throttle(
			func(t *ConnectionThrottle) *int { return &t.RenewWeight })),
			"tokens for a session that comes back"},
		{"request_throttle_max_requests", "0", number(zeroOrMore, func(c *Config) *int {
			return &c.RequestThrottle.MaxRequests
		}), "requests in flight above which others wait; 0: off"},
		{"request_throttle_stall_time", "100", millis(zeroOrMore,
			func(c *Config) *time.Duration { return &c.RequestThrottle.StallTime }),
			"how long one waits at most before it is looked at again"},
		{"request_throttle_drop_stale", "true", boolean(func(c *Config) *bool {
			return &c.RequestThrottle.DropStale
		}), "drop requests that went stale while they waited"},
		{"request_throttler.shutdownTimeout", "10000", millis(zeroOrMore,
			func(c *Config) *time.Duration { return &c.RequestThrottle.ShutdownTimeout }),
			"how long a stop waits for requests in flight"},
		{"request_stale_latency_check", "false", boolean(func(c *Config) *bool {
			return &c.RequestThrottle.StaleLatencyCheck
		}), "a request older than its session timeout is stale"},
		{"request_stale_connection_check", "true", boolean(func(c *Config) *bool {
			return &c.RequestThrottle.StaleConnectionCheck
		}), "a request whose connection is gone is stale"},
	}
}

func authKeys() []key {
	return []key{
		{"skipACL", "no", onlyYes.kind(func(c *Config) *bool { return &c.SkipACL }),
			"check no ACL at all"},
		{"enableEagerACLCheck", "false", boolean(func(c *Config) *bool {
			return &c.EagerACLCheck
		}), "check a write's ACL on the client's own server first"},
		{"DigestAuthenticationProvider.enabled", "true", boolean(func(c *Config) *bool {
			return &c.DigestAuth
		}), "the digest scheme"},
		{"DigestAuthenticationProvider.digestAlg", "SHA1", text(func(c *Config) *string {
			return &c.DigestAlg
		}), "hash of digest ids, by Java's name for it"},
		{"DigestAuthenticationProvider.superDigest", "", text(func(c *Config) *string {
			return &c.SuperDigest
		}), "digest id that may do everything"},
		{"IPAuthenticationProvider.usexforwardedfor", "false", boolean(func(c *Config) *bool {
			return &c.IPUseXForwardedFor
		}), "take a caller's address from X-Forwarded-For in HTTP"},
		{"X509AuthenticationProvider.superUser", "", text(func(c *Config) *string {
			return &c.X509SuperUser
		}), "x509 id that may do everything"},
		{"superUser", "", superUser(), "sasl id that may do everything"},
		{"superUser.*", "", superUser(), "another one"},
		{"authProvider.*", "", family(func(c *Config) *map[string]string {
			return &c.AuthProviders
		}), "Java class of another authentication scheme"},
		{"enforce.auth.enabled", "false", boolean(func(c *Config) *bool {
			return &c.EnforceAuth
		}), "refuse requests of clients that passed none of enforce.auth.schemes"},
		{"enforce.auth.schemes", "", list(func(c *Config) *[]string {
			return &c.EnforceAuthSchemes
		}), "schemes that count for enforce.auth.enabled"},
		{"requireClientAuthScheme", "", text(func(c *Config) *string {
			return &c.RequireClientAuthScheme
		}), "sasl: taken as sessionRequireClientSASLAuth (Java does not read the key)"},
		{serveWithoutSASL, "false", boolean(func(c *Config) *bool {
			return &c.ServeWithoutSASL
		}), "let clients in although the file demands SASL, which is not served (not of ZooKeeper)"},
		{"ensembleAuthName", "", list(func(c *Config) *[]string {
			return &c.EnsembleAuthNames
		}), "names that a client may give to the ensemble scheme"},
		{"allowSaslFailedClients", "false", boolean(func(c *Config) *bool {
			return &c.AllowSASLFailedClients
		}), "keep clients whose SASL failed, without an id"},
		{"letAnySaslUserDoX", "", text(func(c *Config) *string {
			return &c.LetAnySASLUserDoX
		}), "sasl id in an ACL that stands for every sasl user"},
		{"sasl.serverconfig", "Server", text(func(c *Config) *string {
			return &c.SASLServerConfig
		}), "section of the JAAS file"},
		{"SASLAuthenticationProvider.superPassword", "", text(func(c *Config) *string {
			return &c.SASLSuperPassword
		}), "password of the DIGEST-MD5 user super"},
		{"kerberos.removeHostFromPrincipal", "false", boolean(func(c *Config) *bool {
			return &c.KerberosRemoveHost
		}), "sasl ids without their host"},
		{"kerberos.removeRealmFromPrincipal", "false", boolean(func(c *Config) *bool {
			return &c.KerberosRemoveRealm
		}), "sasl ids without their realm"},
		{"kerberos.canonicalizeHostNames", "false", boolean(func(c *Config) *bool {
			return &c.KerberosCanonicalizeHost
		}), "take hosts of server lines by their canonical names"},
		{"security.auth_to_local", "DEFAULT", text(func(c *Config) *string {
			return &c.SecurityAuthToLocal
		}), "rules from Kerberos principals to ids"},
	}
}

func superUser() kind {
	return kind{want: "text", set: func(c *Config, _, value string) error {
		c.SuperUsers = append(c.SuperUsers, value)
		return nil
	}}
}

func adminKeys() []key {
	return []key{
		{"admin.enableServer", "false", unlessFalse.kind(func(c *Config) *bool {
			return &c.Admin.Enable
		}), "the HTTP server for operators (Java before 3.10: true)"},
		{"admin.serverAddress", "0.0.0.0", address(func(c *Config) *string {
			return &c.Admin.Address
		}), "its interface"},
		{"admin.serverPort", "8080", number(port, func(c *Config) *int {
			return &c.Admin.Port
		}), "its port"},
		{"admin.idleTimeout", "30000", millis(zeroOrMore, func(c *Config) *time.Duration {
			return &c.Admin.IdleTimeout
		}), "how long an idle HTTP connection is kept"},
		{"admin.commandURL", "/commands", urlPath(func(c *Config) *string {
			return &c.Admin.CommandURL
		}), "path above the commands"},
		{"admin.portUnification", "false", boolean(func(c *Config) *bool {
			return &c.Admin.PortUnification
		}), "take HTTPS on the same port"},
		{"admin.forceHttps", "false", boolean(func(c *Config) *bool {
			return &c.Admin.ForceHTTPS
		}), "take nothing but HTTPS"},
		{"admin.needClientAuth", "false", boolean(func(c *Config) *bool {
			return &c.Admin.NeedClientAuth
		}), "ask for a client certificate"},
		{"admin.rateLimiterIntervalInMS", "300000", millis(zeroOrMore,
			func(c *Config) *time.Duration { return &c.Admin.RateLimit }),
			"least time between two snapshots, or two restores, by command"},
		{"admin.snapshot.enabled", "true", boolean(func(c *Config) *bool {
			return &c.Admin.Snapshot
		}), "the command snapshot"},
		{"admin.restore.enabled", "true", boolean(func(c *Config) *bool {
			return &c.Admin.Restore
		}), "the command restore"},
	}
}
