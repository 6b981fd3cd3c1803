package zoocfg

import (
	"slices"
	"time"
)

func memberKeys() []key {
	return []key{
		{"server.*", "", serverLine(), "a member of the ensemble, by its id"},
		{"group.*", "", groupLine(), "members of a group, for hierarchical quorums"},
		{"weight.*", "", weightLine(), "votes of a member; 1 without it"},
	}
}

func quorumKeys() []key {
	return slices.Concat(membershipKeys(), electionKeys(), syncKeys(), quorumSASLKeys())
}

// quorumInt, quorumTime and quorumBool are kinds of fields of Config.Quorum.
func quorumInt(in bound, field func(*Quorum) *int) kind {
	return number(in, func(c *Config) *int { return field(&c.Quorum) })
}

func strictQuorumInt(in bound, field func(*Quorum) *int) kind {
	return intIn(in, func(c *Config) *int { return field(&c.Quorum) })
}

func quorumTime(in bound, field func(*Quorum) *time.Duration) kind {
	return millis(in, func(c *Config) *time.Duration { return field(&c.Quorum) })
}

func strictQuorumTime(in bound, field func(*Quorum) *time.Duration) kind {
	return strictMillis(in, func(c *Config) *time.Duration { return field(&c.Quorum) })
}

func strictQuorumBool(field func(*Quorum) *bool) kind {
	return strictBoolean(func(c *Config) *bool { return field(&c.Quorum) })
}

func quorumBool(field func(*Quorum) *bool) kind {
	return boolean(func(c *Config) *bool { return field(&c.Quorum) })
}

func quorumText(field func(*Quorum) *string) kind {
	return text(func(c *Config) *string { return field(&c.Quorum) })
}

func membershipKeys() []key {
	return []key{
		{"standaloneEnabled", "true", strictQuorumBool(func(q *Quorum) *bool {
			return &q.Standalone
		}), "a single participant runs alone"},
		{"reconfigEnabled", "false", strictQuorumBool(func(q *Quorum) *bool { return &q.Reconfig }),
			"allow reconfig"},
		{"dynamicConfigFile", "", filePath(func(c *Config) *string {
			return &c.Quorum.DynamicConfigFile
		}), "file of the server, group and weight keys"},
		{"peerType", "participant", oneOf(func(c *Config) *string {
			return &c.Quorum.PeerType
		}, "participant", "observer"), "role of this server; its server line wins"},
		{"electionAlg", "3", oneOf(func(*Config) *string { return new(string) }, "3"),
			"the election algorithm"},
		{"quorumListenOnAllIPs", "false", strictQuorumBool(func(q *Quorum) *bool {
			return &q.ListenOnAllIPs
		}), "hear the other servers on all interfaces"},
		{"observerMasterPort", "0", strictQuorumInt(portOrLess, func(q *Quorum) *int {
			return &q.ObserverMasterPort
		}), "port on which a follower serves observers; 0 or less: none"},
		{"oraclePath", "", quorumText(func(q *Quorum) *string { return &q.OraclePath }),
			"file that decides for one of two servers"},
		{"multiAddress.enabled", "false", strictQuorumBool(func(q *Quorum) *bool {
			return &q.MultiAddress
		}), "several addresses in a server line"},
		{"multiAddress.reachabilityCheckTimeoutMs", "1000", strictQuorumTime(oneOrMore,
			func(q *Quorum) *time.Duration { return &q.ReachabilityTimeout }),
			"how long a check of an address takes at most"},
		{"multiAddress.reachabilityCheckEnabled", "true", strictQuorumBool(func(q *Quorum) *bool {
			return &q.ReachabilityCheck
		}), "check addresses before one is used"},
		{"sslQuorum", "false", strictQuorumBool(func(q *Quorum) *bool { return &q.TLS }),
			"TLS between servers"},
		{"portUnification", "false", strictQuorumBool(func(q *Quorum) *bool {
			return &q.PortUnification
		}), "take servers with and without TLS"},
		{"sslQuorumReloadCertFiles", "false", strictQuorumBool(func(q *Quorum) *bool {
			return &q.ReloadCertFiles
		}), "read changed certificates again"},
		{"tcpKeepAlive", "false", quorumBool(func(q *Quorum) *bool { return &q.TCPKeepAlive }),
			"TCP keep-alive on election connections"},
	}
}

func electionKeys() []key {
	return []key{
		{"cnxTimeout", "5000", quorumTime(oneOrMore, func(q *Quorum) *time.Duration {
			return &q.ConnectTimeout
		}), "time to connect to another server's election port"},
		{"electionPortBindRetry", "3", quorumInt(zeroOrMore, func(q *Quorum) *int {
			return &q.BindRetry
		}), "attempts to open the election port; 0: without end"},
		{"fastleader.minNotificationInterval", "200", quorumTime(oneOrMore,
			func(q *Quorum) *time.Duration { return &q.MinNotification }),
			"first wait before a vote is sent again"},
		{"fastleader.maxNotificationInterval", "60000", quorumTime(oneOrMore,
			func(q *Quorum) *time.Duration { return &q.MaxNotification }),
			"longest wait before a vote is sent again"},
		{"observer.election.DelayMs", "200", quorumTime(zeroOrMore,
			func(q *Quorum) *time.Duration { return &q.ObserverElectionDelay }),
			"how long an observer waits before it looks for a leader"},
		{"observer.reconnectDelayMs", "0", quorumTime(zeroOrMore,
			func(q *Quorum) *time.Duration { return &q.ObserverRetryDelay }),
			"how long an observer waits before it connects again"},
		{"leader.maxTimeToWaitForEpoch", "-1", quorumTime(anyInt,
			func(q *Quorum) *time.Duration { return &q.MaxWaitForEpoch }),
			"how long a leader waits for its epoch; negative: initLimit ticks"},
	}
}

func syncKeys() []key {
	snapSyncs := func(q *Quorum) *int { return &q.MaxSnapSyncs }
	syncEnabled := func(q *Quorum) *bool { return &q.SyncEnabled }
	return []key{
		{"initLimit", "0", strictQuorumInt(anyInt, func(q *Quorum) *int {
			return &q.InitLimit
		}), "ticks to find and follow a leader; required in an ensemble"},
		{"syncLimit", "0", strictQuorumInt(anyInt, func(q *Quorum) *int {
			return &q.SyncLimit
		}), "ticks a follower may be silent; required in an ensemble"},
		{"connectToLearnerMasterLimit", "0", strictQuorumInt(zeroOrMore, func(q *Quorum) *int {
			return &q.ConnectLimit
		}), "ticks to connect to the leader; 0: initLimit"},
		{"quorumCnxnTimeoutMs", "-1", quorumTime(minusOneUp,
			func(q *Quorum) *time.Duration { return &q.CnxnTimeout }),
			"read timeout of election connections; -1: syncLimit ticks"},
		{"leaderConnectDelayDuringRetryMs", "100", quorumTime(zeroOrMore,
			func(q *Quorum) *time.Duration { return &q.ConnectRetryDelay }),
			"wait between attempts to connect to the leader"},
		{"leader.maxConcurrentSnapSyncs", "10", quorumInt(oneOrMore, snapSyncs),
			"learners that a leader sends a snapshot at one time"},
		{"leader.maxConcurrentSnapshots", "", quorumInt(oneOrMore, snapSyncs),
			"the same, by its name in 3.5"},
		{"leader.maxConcurrentDiffSyncs", "100", quorumInt(oneOrMore, func(q *Quorum) *int {
			return &q.MaxDiffSyncs
		}), "learners that a leader sends a difference at one time"},
		{"leaderServes", "yes", unlessNo.kind(func(c *Config) *bool {
			return &c.Quorum.LeaderServes
		}), "the leader takes clients"},
		{"syncEnabled", "true", strictQuorumBool(syncEnabled), "observers keep a log and snapshots"},
		{"observer.syncEnabled", "", quorumBool(syncEnabled), "the same, as a property"},
		{"observerMaster.sizeLimit", "33554432", quorumInt(zeroOrMore, func(q *Quorum) *int {
			return &q.ObserverMasterBytes
		}), "bytes of packets that a follower keeps for observers"},
		{"commitLogCount", "500", quorumInt(anyInt, func(q *Quorum) *int {
			return &q.CommitLogCount
		}), "transactions kept in memory for learners, at least 500"},
		{"snapshotSizeFactor", "0.33", float(func(c *Config) *float64 {
			return &c.Quorum.SnapshotSizeFactor
		}), "log that may be sent in place of a snapshot, as a part of it; negative: none"},
	}
}

func quorumSASLKeys() []key {
	return []key{
		{"quorum.auth.enableSasl", "false", strictQuorumBool(func(q *Quorum) *bool {
			return &q.SASL
		}), "SASL between servers"},
		{"quorum.auth.serverRequireSasl", "false", strictQuorumBool(func(q *Quorum) *bool {
			return &q.SASLServerRequire
		}), "refuse servers without it"},
		{"quorum.auth.learnerRequireSasl", "false", strictQuorumBool(func(q *Quorum) *bool {
			return &q.SASLLearnerRequire
		}), "connect to no server without it"},
		{"quorum.auth.learner.saslLoginContext", "QuorumLearner", quorumText(
			func(q *Quorum) *string { return &q.SASLLearnerContext }),
			"section of the JAAS file for the connecting side"},
		{"quorum.auth.server.saslLoginContext", "QuorumServer", quorumText(
			func(q *Quorum) *string { return &q.SASLServerContext }),
			"section of the JAAS file for the accepting side"},
		{"quorum.auth.kerberos.servicePrincipal", "zkquorum/localhost", quorumText(
			func(q *Quorum) *string { return &q.SASLPrincipal }),
			"Kerberos name of the servers"},
	}
}

// tlsKeys are the keys of one side of TLS, under its prefix.
func tlsKeys(prefix, verifyClient string, side func(*Config) *TLS) []key {
	str := func(field func(*TLS) *string) kind {
		return text(func(c *Config) *string { return field(side(c)) })
	}
	flag := func(field func(*TLS) *bool) kind {
		return boolean(func(c *Config) *bool { return field(side(c)) })
	}
	words := func(field func(*TLS) *[]string) kind {
		return list(func(c *Config) *[]string { return field(side(c)) })
	}
	rows := []key{
		{"keyStore.location", "", str(func(t *TLS) *string { return &t.KeyStore }),
			"file of the own key and certificate"},
		{"keyStore.password", "", str(func(t *TLS) *string { return &t.KeyStorePassword }),
			"its password"},
		{"keyStore.passwordPath", "", str(func(t *TLS) *string { return &t.KeyStorePassPath }),
			"file of its password"},
		{"keyStore.type", "", str(func(t *TLS) *string { return &t.KeyStoreType }),
			"its format; by its name without this key"},
		{"trustStore.location", "", str(func(t *TLS) *string { return &t.TrustStore }),
			"file of the trusted certificates"},
		{"trustStore.password", "", str(func(t *TLS) *string { return &t.TrustStorePassword }),
			"its password"},
		{"trustStore.passwordPath", "", str(func(t *TLS) *string {
			return &t.TrustStorePassPath
		}), "file of its password"},
		{"trustStore.type", "", str(func(t *TLS) *string { return &t.TrustStoreType }),
			"its format; by its name without this key"},
		{"protocol", "", str(func(t *TLS) *string { return &t.Protocol }),
			"protocol of TLS"},
		{"enabledProtocols", "", words(func(t *TLS) *[]string { return &t.EnabledProtocols }),
			"protocols that are spoken"},
		{"ciphersuites", "", words(func(t *TLS) *[]string { return &t.CipherSuites }),
			"ciphers that are spoken"},
		{"hostnameVerification", "true", flag(func(t *TLS) *bool { return &t.VerifyHostname }),
			"check that a certificate is for the host"},
		{"clientHostnameVerification", verifyClient, flag(func(t *TLS) *bool {
			return &t.VerifyClientHost
		}), "check it for the connecting side too"},
		{"allowReverseDnsLookup", "false", flag(func(t *TLS) *bool { return &t.ReverseDNS }),
			"look for the host's name to check"},
		{"crl", "false", flag(func(t *TLS) *bool { return &t.CRL }),
			"check certificates against revocation lists"},
		{"ocsp", "false", flag(func(t *TLS) *bool { return &t.OCSP }),
			"check certificates by OCSP"},
		{"clientAuth", "need", looseOneOf(func(c *Config) *string { return &side(c).ClientAuth },
			"none", "want", "need"), "whether the connecting side must have a certificate"},
		{"handshakeDetectionTimeoutMillis", "5000", millis(oneOrMore,
			func(c *Config) *time.Duration { return &side(c).HandshakeDetection }),
			"how long the first bytes may take to show whether it is TLS"},
		{"context.supplier.class", "", ignored(), "Java class that makes TLS contexts"},
	}
	for i := range rows {
		rows[i].name = prefix + rows[i].name
	}
	if prefix != "ssl." {
		return rows
	}
	return append(rows, []key{
		{"ssl.authProvider", "x509", text(func(c *Config) *string { return &c.TLSProvider }),
			"authentication scheme of client certificates"},
		{"client.certReload", "false", boolean(func(c *Config) *bool {
			return &c.ClientReload
		}), "read changed certificates again"},
		{"fips-mode", "true", boolean(func(c *Config) *bool { return &c.FIPSMode }),
			"leave host names to Java's own check"},
		{"netty.server.outstandingHandshake.limit", "-1", number(minusOneUp,
			func(c *Config) *int { return &c.HandshakeLimit }),
			"handshakes at one time; -1: no limit"},
		{"ssl.sslProvider", "", ignored(), "Java's implementation of TLS"},
	}...)
}

// ignoredKeys steer what only a Java server has: its threads, buffers, caches and tools.
func ignoredKeys() []key {
	names := map[string]string{
		"serverCnxnFactory":                                     "Java class of the network layer",
		"nio.numSelectorThreads":                                "threads of the network layer",
		"nio.numWorkerThreads":                                  "threads of the network layer",
		"nio.directBufferBytes":                                 "buffers of the network layer",
		"nio.shutdownTimeout":                                   "threads of the network layer",
		"intBufferStartingSizeBytes":                            "buffers of the network layer",
		"netty.advancedFlowControl.enabled":                     "buffers of the network layer",
		"commitProcessor.numWorkerThreads":                      "threads that answer reads",
		"commitProcessor.shutdownTimeout":                       "threads that answer reads",
		"commitProcessor.maxReadBatchSize":                      "turns of reads and writes",
		"commitProcessor.maxCommitBatchSize":                    "turns of reads and writes",
		"maxResponseCacheSize":                                  "cache of encoded answers",
		"maxGetChildrenResponseCacheSize":                       "cache of encoded answers",
		"watchManagerName":                                      "Java class that holds watches",
		"watcherCleanThreadsNum":                                "how watches of dead connections go",
		"watcherCleanThreshold":                                 "how watches of dead connections go",
		"watcherCleanIntervalInSeconds":                         "how watches of dead connections go",
		"maxInProcessingDeadWatchers":                           "how watches of dead connections go",
		"bitHashCacheSize":                                      "how watches are held",
		"quorum.cnxn.threads.size":                              "threads of the election port",
		"leader.nodelay":                                        "TCP_NODELAY, which is always set",
		"follower.nodelay":                                      "TCP_NODELAY, which is always set",
		"leader.ackLoggingFrequency":                            "log of acknowledgements",
		"leader.closeSocketAsync":                               "how a connection is closed",
		"learner.closeSocketAsync":                              "how a connection is closed",
		"learner.asyncSending":                                  "threads of a learner",
		"forceSnapshotSync":                                     "for Java's own tests",
		"testingonly.initialZxid":                               "for Java's own tests",
		"audit.impl.class":                                      "Java class of the audit log",
		"requireKerberosConfig":                                 "Kerberos in Java",
		"jaasLoginRenew":                                        "Kerberos in Java",
		"kerberos.minReLoginTimeMs":                             "Kerberos in Java",
		"jvm.pause.monitor":                                     "pauses of the Java virtual machine",
		"jvm.pause.warn-threshold.ms":                           "pauses of the Java virtual machine",
		"jvm.pause.info-threshold.ms":                           "pauses of the Java virtual machine",
		"jvm.pause.sleep.time.ms":                               "pauses of the Java virtual machine",
		"admin.httpVersion":                                     "HTTP in Java",
		"messageTracker.BufferSize":                             "trace of packets",
		"messageTracker.Enabled":                                "trace of packets",
		"pathStats.enabled":                                     "statistics of paths",
		"pathStats.slotCapacity":                                "statistics of paths",
		"pathStats.slotDuration":                                "statistics of paths",
		"pathStats.maxDepth":                                    "statistics of paths",
		"pathStats.initialDelay":                                "statistics of paths",
		"pathStats.delay":                                       "statistics of paths",
		"pathStats.topPathMax":                                  "statistics of paths",
		"pathStats.sampleRate":                                  "statistics of paths",
		"jmx.log4j.disable":                                     "JMX",
		"controllerPort":                                        "server for Java's own tests",
		"follower.skipLearnerRequestToNextProcessor":            "stages of a request in Java",
		"forward_learner_requests_to_commit_processor_disabled": "stages of a request in Java",
		"netty.server.earlyDropSecureConnectionHandshakes":      "handshakes of a stopping server",
	}
	rows := make([]key, 0, len(names))
	for _, name := range sortedKeys(names) {
		rows = append(rows, key{name, "", ignored(), names[name]})
	}
	return rows
}
