package zoocfg

import "slices"

// unserved are the keys that this release reads and does nothing with, by name. What of them
// would be missed at once is refused or warned of by who serves the Config.
var unserved = func() map[string]bool {
	m := map[string]bool{}
	for _, k := range slices.Concat(quorumKeys(), memberKeys(),
		tlsKeys("ssl.", "", nil), tlsKeys("ssl.quorum.", "", nil)) {
		m[k.name] = true
	}
	for _, name := range []string{
		"secureClientPort", "secureClientPortAddress", "client.portUnification",
		"readonlymode.enabled", "localSessionsEnabled", "localSessionsUpgradingEnabled",
		"flushDelay", "maxWriteQueuePollTime", "maxBatchSize", "audit.enable",
		"largeRequestMaxBytes", "largeRequestThreshold", "throttled_op_wait_time",
		"admin.portUnification", "admin.forceHttps", "admin.needClientAuth",
		"metricsProvider.httpsPort", "enableEagerACLCheck",
		"X509AuthenticationProvider.superUser", "superUser", "superUser.*",
		"allowSaslFailedClients", "letAnySaslUserDoX", "sasl.serverconfig",
		"SASLAuthenticationProvider.superPassword", "kerberos.removeHostFromPrincipal",
		"kerberos.removeRealmFromPrincipal", "kerberos.canonicalizeHostNames",
		"security.auth_to_local",
	} {
		m[name] = true
	}
	for _, k := range throttleKeys() {
		if k.name != "globalOutstandingLimit" {
			m[k.name] = true
		}
	}
	for _, name := range []string{"reconfigEnabled", "standaloneEnabled", "dynamicConfigFile",
		"server.*"} {
		delete(m, name)
	}
	return m
}()
