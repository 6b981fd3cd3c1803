// Package jute encodes and decodes the primitive types of ZooKeeper's wire and disk format.
//
// Flow: a record describes its fields once, in order, against a [Coder]; a Coder made by
// [Writer] appends them, a Coder made by [Reader] fills them in. The first error sticks and
// turns every later call into a no-op, so a record needs no error handling of its own.
//
// Invariants: a Reader never reads outside its input and never allocates more than the input
// could justify; strings and buffers that it returns alias the input (copy what outlives it).
//
// Never: reflection, knowledge of any record, a clock, a socket.
//
// Source: BinaryInputArchive, BinaryOutputArchive.
package jute
