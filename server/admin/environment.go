package admin

import (
	"math"
	"os"
	"os/user"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// absent is what Java shows for a system property that there is not (Environment.list).
const absent = "<NA>"

// Environment is what the words envi and environment show: Java's keys in Java's order. Scripts
// look for them. There is no JVM, so what tells of one is absent; go.version is ours.
func Environment(version string) []Field {
	host, _ := os.Hostname() // what is unknown is shown as an empty text
	dir, _ := os.Getwd()
	home, _ := os.UserHomeDir()
	name := ""
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	return []Field{{"zookeeper.version", version}, {"host.name", host},
		{"java.version", absent}, {"java.vendor", absent}, {"java.home", absent},
		{"java.class.path", absent}, {"java.library.path", absent},
		{"java.io.tmpdir", os.TempDir()}, {"java.compiler", absent},
		{"go.version", runtime.Version()},
		{"os.name", strings.ToUpper(runtime.GOOS[:1]) + runtime.GOOS[1:]},
		{"os.arch", runtime.GOARCH}, {"os.version", kernel()},
		{"user.name", name}, {"user.home", home}, {"user.dir", dir},
		{"os.memory.free", megabytes(mem.HeapIdle - mem.HeapReleased)},
		{"os.memory.max", megabytes(memoryMax())}, {"os.memory.total", megabytes(mem.Sys)}}
}

func megabytes(n uint64) string { return strconv.FormatUint(n>>20, 10) + "MB" }

// kernel is the release of the operating system.
func kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

// memoryMax is how much the process may use: its limit, or all of the machine's memory.
func memoryMax() uint64 {
	if limit := debug.SetMemoryLimit(-1); limit != math.MaxInt64 {
		return uint64(limit)
	}
	var i unix.Sysinfo_t
	if err := unix.Sysinfo(&i); err != nil {
		return 0
	}
	return i.Totalram * uint64(i.Unit)
}
