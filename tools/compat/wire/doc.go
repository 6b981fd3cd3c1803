// Package wire holds scripts of raw requests and what a ZooKeeper answers to them, byte for
// byte. It consists of tests.
//
// Flow: each file in testdata is played against a fresh server. A block of steps (see
// script_test.go for the verbs) yields a transcript: every frame that came back, decoded and
// masked where servers may differ (session ids, times). `go test` compares Meerkat with the
// transcript; `TARGET=java go test` compares a Java ZooKeeper 3.8 with the same one, save for
// the lines that the table in differences_test.go gives a reason for. So the files are proven
// by the real server, and Meerkat is held to them.
//
// To add a case: append a block to a file, run with -rewrite against Java, read what it says.
//
// testdata/own is for Meerkat alone: requests in which it is stricter than Java.
//
// Invariant: a frame that does not encode to the bytes it was decoded from is printed raw.
package wire
