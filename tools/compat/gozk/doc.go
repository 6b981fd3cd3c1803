// Package gozk drives a server with go-zookeeper/zk, a client that others wrote, through its
// whole API. It consists of tests.
//
// Each test runs against a fresh server of package target (TARGET chooses Meerkat or Java). With
// MEERKAT_ADDR set, the tests that need no crash of the server use that one instead.
//
// The client knows no persistent watches, no multiRead and no whoAmI: package wire covers them.
package gozk
