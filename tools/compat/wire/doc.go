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
// Two more comparisons are of live servers, side by side (TARGET=both). TestRandom plays random
// scripts of requests as clients send them. TestRaw sends raw bytes, malformed ones among them, one
// request at a time: a prober makes them (probe_test.go), a side is a server with its connections
// (side_test.go), what comes back is masked (mask_test.go) and compared, and at the end both are
// killed and what they kept is compared (kept_test.go). Known and wanted differences are in one
// table, gaps_test.go, which docs/differences.md shows.
//
// To add a case: append a block to a file, run with -rewrite against Java, read what it says.
//
// testdata/own is for Meerkat alone: requests in which it is stricter than Java.
//
// Never: an input that harms a Java server; the table leaves it out.
//
// Invariant: a frame that does not encode to the bytes it was decoded from is printed raw.
package wire
