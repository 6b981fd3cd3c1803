// Package auth decides who a caller is and what an ACL lets it do.
//
// Flow: a connection starts with the id of its address ([RemoteID]); each auth packet goes
// through [Providers.Authenticate] and adds ids ([Join]); the ACL of a create or setACL goes
// through [Providers.Fixup] before it becomes a transaction; every request asks [Allows].
//
// Owner: a Providers is made once from the configuration and never changes, so all loops and
// the core share it. The ids belong to the connection, which the caller keeps.
//
// Invariants: [Allows] and the matching below it allocate nothing; no function keeps or
// changes a slice it was given; a string in a result may alias the argument it came from.
//
// Never: a socket, a session, a znode, the clock.
//
// Source: ZooKeeperServer.checkACL, PrepRequestProcessor.fixupACL, FinalRequestProcessor (the
// mask of getACL), DigestAuthenticationProvider, IPAuthenticationProvider,
// EnsembleAuthenticationProvider, SASLAuthenticationProvider, AuthUtil.
package auth
