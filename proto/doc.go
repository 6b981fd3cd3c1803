// Package proto describes what travels and what is stored: client requests and replies,
// transactions, error and op codes, and the zxid.
//
// Flow: every record has a method Fields that names its fields in order against a
// jute.Coder; the same method writes and reads. Nothing is decoded twice.
//
// Invariants: field order is ZooKeeper's (zookeeper.jute, SerializeUtils); what a record read
// aliases the input it was read from.
//
// Never: I/O, a clock, what a request means.
package proto
