// Package c runs ZooKeeper's C client, as Debian builds it (libzookeeper_mt), against the
// server that package target starts.
//
// Flow: the test compiles src/suite.c with the machine's C compiler and lets package foreign
// run it; each test of suite.c is a subtest.
//
// Never: tests the C client; it is the judge, and Java proves each test.
package c
