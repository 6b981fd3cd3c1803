package bench

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Machine is where a run took place.
type Machine struct {
	OS     string `json:"os"`
	Kernel string `json:"kernel"`
	Arch   string `json:"arch"`
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Memory int64  `json:"memory_bytes"`
	Go     string `json:"go"`
}

// thisMachine reads /proc; what it does not find stays empty.
func thisMachine() Machine {
	m := Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, Cores: runtime.NumCPU(),
		Go: runtime.Version()}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	m.CPU = procLine("/proc/cpuinfo", "model name")
	if kb, ok := strings.CutSuffix(procLine("/proc/meminfo", "MemTotal"), " kB"); ok {
		n, _ := strconv.ParseInt(strings.TrimSpace(kb), 10, 64) // 0 when it is no number
		m.Memory = n << 10
	}
	return m
}

// procLine finds "key : value" in a file of /proc.
func procLine(file, key string) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		k, v, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// buildVersion is the module version and the commit that this binary was built from.
func buildVersion() (version, commit string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "", ""
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			commit += "+changes"
		}
	}
	return info.Main.Version, commit
}

// A usage samples CPU time at the two ends of a window.
type usage struct {
	pids []int
	own  []time.Duration
	them []time.Duration
	all  []time.Duration // of the whole machine
	at   []time.Time
	rss  int64
	err  error
}

func newUsage(pids []int) *usage { return &usage{pids: pids} }

// sample notes the CPU time that this process and the servers have used so far.
func (u *usage) sample() {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		u.err = err
	}
	u.own = append(u.own, time.Duration(r.Utime.Nano()+r.Stime.Nano()))
	var sum time.Duration
	u.rss = 0
	for _, pid := range u.pids {
		t, rss, err := processUsage(pid)
		if err != nil {
			u.err = err
		}
		sum += t
		u.rss += rss
	}
	u.them = append(u.them, sum)
	busy, err := machineUsage()
	if err != nil {
		u.err = err
	}
	u.all, u.at = append(u.all, busy), append(u.at, time.Now())
}

// others is how many cores were busy with neither this process nor the servers.
func (u *usage) others() float64 {
	if len(u.at) < 2 {
		return 0
	}
	rest := between(u.all) - between(u.own) - between(u.them)
	return max(0, rest.Seconds()/u.at[len(u.at)-1].Sub(u.at[0]).Seconds())
}

// try tells early what sample could not read.
func (u *usage) try() error {
	u.sample()
	return u.err
}

// between is the CPU time used from the first sample to the last.
func between(samples []time.Duration) time.Duration {
	if len(samples) < 2 {
		return 0
	}
	return samples[len(samples)-1] - samples[0]
}

// clockTick is the unit of CPU times in /proc, USER_HZ, 100 on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// machineUsage reads the first line of /proc/stat: CPU times of all cores by kind, of which
// idle and iowait are not use, and the last two are within others (proc(5)).
func machineUsage() (time.Duration, error) {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("bench: CPU time of the machine: %w", err)
	}
	const idle, iowait, kindsUsed = 3, 4, 8
	line, _, _ := bytes.Cut(data, []byte("\n"))
	f := bytes.Fields(line)
	if len(f) <= kindsUsed {
		return 0, fmt.Errorf("bench: /proc/stat starts with %q", line)
	}
	var busy time.Duration
	for i, field := range f[1 : 1+kindsUsed] {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("bench: /proc/stat: %w", err)
		}
		if i != idle && i != iowait {
			busy += time.Duration(n) * clockTick
		}
	}
	return busy, nil
}

// Fields of /proc/<pid>/stat behind the command's closing parenthesis, counted from 0 (proc(5)).
const (
	statUtime = 11
	statStime = 12
	statRSS   = 21
)

// processUsage reads the CPU time (user and system, all threads) and the resident memory.
func processUsage(pid int) (time.Duration, int64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, fmt.Errorf("bench: CPU time of server process %d: %w", pid, err)
	}
	f := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	if len(f) <= statRSS {
		return 0, 0, fmt.Errorf("bench: /proc/%d/stat is cut short: %q", pid, data)
	}
	var n [3]int64
	for i, at := range [...]int{statUtime, statStime, statRSS} {
		if n[i], err = strconv.ParseInt(string(f[at]), 10, 64); err != nil {
			return 0, 0, fmt.Errorf("bench: /proc/%d/stat: %w", pid, err)
		}
	}
	return time.Duration(n[0]+n[1]) * clockTick, n[2] * int64(os.Getpagesize()), nil
}
