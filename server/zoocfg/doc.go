// Package zoocfg reads zoo.cfg, ZooKeeper's configuration file.
//
// Flow: [Load] opens the file; [Parse] splits it into properties (properties.go), looks each
// key up in one table (keys.go) that says what it may hold and where it goes, builds the
// ensemble from its server lines (members.go), and checks what keys say together (check.go).
// Load also reads dataDir/myid, which says which server line is this server's (myid.go).
//
// A property of the Java virtual machine, zookeeper.X, is a key here, with the prefix and
// without. A key that only steers Java's own machinery is accepted and has no effect. A key
// that nobody knows is a warning that names the nearest known one; a value that cannot be is
// an error with its file and line where Java's own parser refuses it. Where Java corrects a value
// and goes on, or takes a word for its opposite, so do we, with a warning (loose.go).
//
// Invariants: a [Config] is complete (each field has its default), and a plain value: nothing
// here keeps it.
//
// What is read and checked but not served by this release is in unserved.go and served.go.
//
// Never: creates a directory, opens a port, reads the environment, knows what a key does.
//
// Source: QuorumPeerConfig and, for each property, the class that reads it; java.util.Properties
// for the syntax.
package zoocfg
