package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
)

// plant writes files below a root that stands for "/".
func plant(t *testing.T, files map[string]string) (root string) {
	t.Helper()
	root = t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const (
	ownFile   = "proc/self/cgroup"
	mountFile = "proc/self/mountinfo"
	v1        = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:15 - cgroup cgroup rw,memory\n"
	v1Other   = "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"
	v2        = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	noBound   = "9223372036854771712\n"
)

// The least of all bounds counts, wherever version 1 and 2 have them.
func TestCgroupBound(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		bytes int64
		file  string
	}{
		"no cgroups": {nil, 0, ""},
		"systemd unit, version 2": {map[string]string{
			ownFile: "0::/system.slice/meerkat.service\n", mountFile: v1Other + v2,
			"sys/fs/cgroup/system.slice/meerkat.service/memory.max":  "1000000\n",
			"sys/fs/cgroup/system.slice/meerkat.service/memory.high": "max\n",
			"sys/fs/cgroup/system.slice/memory.max":                  "max\n",
		}, 1000000, "/sys/fs/cgroup/system.slice/meerkat.service/memory.max"},
		"MemoryHigh is below MemoryMax": {map[string]string{
			ownFile: "0::/a\n", mountFile: v2, "sys/fs/cgroup/a/memory.max": "1000000\n",
			"sys/fs/cgroup/a/memory.high": "900000\n",
		}, 900000, "/sys/fs/cgroup/a/memory.high"},
		"the slice is tighter": {map[string]string{
			ownFile: "0::/pods/one\n", mountFile: v2, "sys/fs/cgroup/pods/one/memory.max": "1000000\n",
			"sys/fs/cgroup/pods/memory.max": "500000\n",
		}, 500000, "/sys/fs/cgroup/pods/memory.max"},
		"container, version 2": {map[string]string{
			ownFile: "0::/\n", mountFile: v2, "sys/fs/cgroup/memory.max": "700000\n",
		}, 700000, "/sys/fs/cgroup/memory.max"},
		"no bound, version 2": {map[string]string{
			ownFile: "0::/a\n", mountFile: v2, "sys/fs/cgroup/a/memory.max": "max\n",
		}, 0, ""},
		"version 1": {map[string]string{
			ownFile: "9:cpu,cpuacct:/x\n4:memory:/pods/one\n", mountFile: v1Other + v1,
			"sys/fs/cgroup/memory/pods/one/memory.limit_in_bytes": "800000\n",
			"sys/fs/cgroup/memory/pods/memory.limit_in_bytes":     noBound,
			"sys/fs/cgroup/memory/memory.limit_in_bytes":          noBound,
			"sys/fs/cgroup/cpu/x/memory.limit_in_bytes":           "1\n",
		}, 800000, "/sys/fs/cgroup/memory/pods/one/memory.limit_in_bytes"},
		"container, version 1: the host's path is not seen": {map[string]string{
			ownFile:   "4:memory:/docker/abc\n",
			mountFile: strings.Replace(v1, " / ", " /docker/abc ", 1),
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "600000\n",
		}, 600000, "/sys/fs/cgroup/memory/memory.limit_in_bytes"},
		"a path outside of what is seen": {map[string]string{
			ownFile: "0::/../../other\n", mountFile: v2, "sys/fs/cgroup/memory.max": "700000\n",
			"sys/other/memory.max": "1\n",
		}, 700000, "/sys/fs/cgroup/memory.max"},
		"both versions": {map[string]string{
			ownFile:   "4:memory:/a\n0::/a\n",
			mountFile: v1 + strings.Replace(v2, "/sys/fs/cgroup ", "/sys/fs/cgroup/unified ", 1),
			"sys/fs/cgroup/memory/a/memory.limit_in_bytes": "800000\n",
			"sys/fs/cgroup/unified/a/memory.max":           "700000\n",
		}, 700000, "/sys/fs/cgroup/unified/a/memory.max"},
		"a blank in the mount point": {map[string]string{
			ownFile: "0::/\n", mountFile: strings.Replace(v2, "/sys/fs/cgroup ", `/a\040b `, 1),
			"a b/memory.max": "700000\n",
		}, 700000, "/a b/memory.max"},
		"nonsense": {map[string]string{
			ownFile: "\n:\n0::/\n", mountFile: " - \n1 2 3\n\n" + v2, "sys/fs/cgroup/memory.max": "lots\n",
		}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := cgroupBound(plant(t, c.files))
			if got.bytes != c.bytes || got.file != c.file {
				t.Errorf("%d by %q, want %d by %q", got.bytes, got.file, c.bytes, c.file)
			}
		})
	}
}

// The collector keeps below nine tenths of the bound, with the ballast on top, which takes no
// memory; who sets GOMEMLIMIT decides, and without a bound there is no limit.
func TestMemoryLimit(t *testing.T) {
	const bound, none = 1 << 30, 1<<63 - 1
	bounded := map[string]string{ownFile: "0::/\n", mountFile: v2,
		"sys/fs/cgroup/memory.max": "1073741824\n"}
	for name, c := range map[string]struct {
		files      map[string]string
		gogc, goml string
		want       int64
	}{
		"bounded":            {bounded, "", "", bound/100*90 + ballastBytes},
		"GOGC":               {bounded, "400", "", bound / 100 * 90},
		"GOMEMLIMIT":         {bounded, "", "8GiB", none},
		"GOMEMLIMIT and off": {bounded, "", "off", none},
		"not bounded":        {nil, "", "", none},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("GOGC", c.gogc)
			t.Setenv("GOMEMLIMIT", c.goml) // Go read its own long ago
			var log bytes.Buffer
			release := tuneMemory(plant(t, c.files), slog.New(slog.NewTextHandler(&log, nil)))
			got := debug.SetMemoryLimit(-1)
			release()
			if got != c.want {
				t.Errorf("the limit is %d, want %d", got, c.want)
			}
			said := strings.Contains(log.String(), "/sys/fs/cgroup/memory.max")
			if said != (c.want != none) {
				t.Errorf("it says %s", &log)
			}
			if after := debug.SetMemoryLimit(-1); after != none {
				t.Errorf("afterwards the limit is %d", after)
			}
		})
	}
}
