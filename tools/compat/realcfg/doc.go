// Package realcfg starts servers from zoo.cfg files in the shapes that people use, and compares
// what becomes of them: the mode, the addresses that are listened on, or that the file is refused.
//
// Flow: server/zoocfg/testdata/real has the files. NAME.cfg is a zoo.cfg, NAME.myid the myid in
// its data directory, NAME.dynamic its dynamicConfigFile, and NAME.java what a Java server of 3.8
// makes of it. A case is laid out in a directory of its own: the paths and ports of the files
// become ones that are free here, and what a server says is turned back (layout.go). A server
// is asked by srvr, and the kernel's tables tell where it listens (sockets.go).
//
// [differences] is the one list of what Meerkat does otherwise, each with its reason.
//
// The tests of Meerkat need no Java. With COMPAT=1 the Java server is run again, and must do what
// the files say; `COMPAT=1 go test ./tools/compat/realcfg -run Java -rewrite` writes them. How
// many files that takes is MEERKAT_REAL, of all by default; a smaller number is a sample, and
// MEERKAT_REAL_SEED repeats one.
//
// Never: uses a port that a file names.
package realcfg
