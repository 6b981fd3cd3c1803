// Package foreign runs test programs that are written in other languages, as Go tests.
//
// Flow: [Run] starts the program with the server's address as its last argument and reads its
// standard output, line by line:
//
//	begin NAME     a test begins; what follows belongs to it
//	server ACTION  stop, kill, start, pause or resume the server; "done" is the answer on the
//	               program's standard input
//	pass           the test is over, all was well
//	fail WHY       the test is over, and this was wrong
//	end            the program has run all its tests
//
// Every other line, and all of standard error, is kept for the message of a failure. Each NAME
// becomes a subtest.
//
// Invariant: a program that ends without "end", or is silent for too long, fails.
//
// Never: knows a language or a client; how a program is built is its suite's business.
package foreign
