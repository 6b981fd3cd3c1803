package server

import (
	"net"
	"strconv"

	"github.com/meerkat-zk/meerkat/wal"
)

func portOf(a net.Addr) int {
	_, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(port) // a listening address has a number
	return n
}

// dirSize is the size of the files in a directory, 0 when it cannot be read.
func dirSize(dir string) int64 {
	n, err := wal.DirSize(wal.OS, dir)
	if err != nil {
		return 0
	}
	return n
}
