// Package zkcli runs ZooKeeper's own shell, Debian's zkCli.sh, through every command it has,
// and compares what it prints with the files in testdata, which hold what it prints against a
// Java server.
//
// Flow: each file of testdata is one test with a server of its own. Its directives are
//
//	server           start the server with these lines in its zoo.cfg; "stop" and "start"
//	a, b …           commands typed into a shell of that name, one after the other; it is
//	                 opened at its first use, with the arguments of "open NAME"
//	… events=N       and then wait until N watch events were printed
//	stdin            a new shell that reads these commands as its standard input, and ends
//	oneshot          a new shell for each line: its arguments; its exit code is printed
//
// ADDR stands for the server's address. Times and session ids are masked, see mask.go, and
// watch events are shown behind what the commands say: another thread prints them.
// [differences] lists where Meerkat follows later servers than 3.8.
//
// TARGET=java proves the files; `TARGET=java go test ./tools/compat/zkcli -rewrite` makes them.
//
// Never: judges the shell itself.
package zkcli
