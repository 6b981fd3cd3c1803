// Package curator runs Apache Curator's recipes, as Debian builds them, against the server that
// package target starts.
//
// Flow: the test compiles src with javac and lets package foreign run it in one JVM; each test
// of src is a subtest.
//
// Never: tests Curator; it is the judge, and Java proves each test.
package curator
