package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Containers and systemd (MemoryMax=, MemoryHigh=) bound a process's memory by its cgroup: past
// the bound the kernel kills it, or slows it down. Go does not look there by itself.

// A memoryBound is what one cgroup allows; no file: nothing is bounded.
type memoryBound struct {
	bytes int64
	file  string // that says so
}

// cgroupBound is the least that the process's cgroup and those around it allow, in version 1, 2
// or both. root is "/", but for tests. What cannot be read bounds nothing.
func cgroupBound(root string) (least memoryBound) {
	own := ownCgroups(filepath.Join(root, "proc/self/cgroup"))
	mounts, err := os.ReadFile(filepath.Join(root, "proc/self/mountinfo"))
	if err != nil {
		return least
	}
	for line := range strings.Lines(string(mounts)) {
		m, ok := parseMount(line)
		if !ok {
			continue
		}
		var files []string
		group, member := own[m.controller]
		switch {
		case !member:
			continue
		case m.controller == "memory":
			files = []string{"memory.limit_in_bytes"}
		default:
			files = []string{"memory.max", "memory.high"}
		}
		for _, dir := range m.dirs(group) {
			for _, name := range files {
				file := filepath.Join(dir, name)
				if n := readBound(filepath.Join(root, file)); n > 0 && (least.file == "" || n < least.bytes) {
					least = memoryBound{n, file}
				}
			}
		}
	}
	return least
}

// ownCgroups are the paths of the process's cgroups by controller; version 2 has "" for all.
func ownCgroups(file string) map[string]string {
	own := map[string]string{}
	text, err := os.ReadFile(file)
	if err != nil {
		return own
	}
	for line := range strings.Lines(string(text)) { // number:controllers:path
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(parts) < 3 {
			continue
		}
		for controller := range strings.SplitSeq(parts[1], ",") {
			own[controller] = parts[2]
		}
	}
	return own
}

// A cgroupMount is where a hierarchy of cgroups is seen.
type cgroupMount struct {
	controller string // "memory" in version 1, "" in version 2
	root       string // the cgroup that is seen at point
	point      string
}

// parseMount reads a line of mountinfo; ok is false for one that has no cgroups with memory.
//
//	41 31 0:38 /root /point rw,relatime shared:9 - cgroup2 source rw
func parseMount(line string) (m cgroupMount, ok bool) {
	where, what, found := strings.Cut(line, " - ")
	left, right := strings.Fields(where), strings.Fields(what)
	if !found || len(left) < 5 || len(right) < 3 {
		return m, false
	}
	m.root, m.point = unescapeOctal(left[3]), unescapeOctal(left[4])
	switch right[0] {
	case "cgroup2":
		return m, true
	case "cgroup":
		m.controller = "memory"
		return m, strings.Contains(","+right[2]+",", ",memory,")
	}
	return m, false
}

// dirs are the directories of a cgroup and of those around it, as far as they are seen. In a
// container the cgroup's path may be one of the host, which is not seen: the mount's own is left.
func (m cgroupMount) dirs(group string) (dirs []string) {
	below, err := filepath.Rel(m.root, group)
	if err != nil || below == ".." || strings.HasPrefix(below, "../") {
		below = "."
	}
	for {
		dirs = append(dirs, filepath.Join(m.point, below))
		if below == "." {
			return dirs
		}
		below = filepath.Dir(below)
	}
}

// unboundedFrom are numbers that mean no bound: version 1 writes the largest multiple of a page.
const unboundedFrom = 1 << 60

// readBound is the number in a file, 0 when there is none or it bounds nothing ("max").
func readBound(file string) int64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || n >= unboundedFrom {
		return 0
	}
	return n
}

// unescapeOctal resolves \040 and the like, which mountinfo writes for blanks.
func unescapeOctal(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
