package realcfg

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// listening are the addresses that a process listens on: the sockets of the kernel's tables that
// the process has open. IPv4 addresses that are mapped into IPv6 are IPv4 here.
func listening(pid int) ([]netip.AddrPort, error) {
	open, err := sockets(pid)
	if err != nil {
		return nil, err
	}
	var all []netip.AddrPort
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(text)) {
			const local, state, inode, listens = 1, 3, 9, "0A"
			f := strings.Fields(line)
			if len(f) <= inode || f[state] != listens || !open[f[inode]] {
				continue
			}
			a, err := parseKernelAddr(f[local])
			if err != nil {
				return nil, err
			}
			all = append(all, a)
		}
	}
	slices.SortFunc(all, netip.AddrPort.Compare)
	return all, nil
}

// sockets are the inodes of a process' sockets.
func sockets(pid int) (map[string]bool, error) {
	dir := fmt.Sprintf("/proc/%d/fd/", pid)
	fds, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	open := map[string]bool{}
	for _, fd := range fds {
		to, err := os.Readlink(dir + fd.Name())
		if inode, is := strings.CutPrefix(to, "socket:["); err == nil && is { // it may be closed by now
			open[strings.TrimSuffix(inode, "]")] = true
		}
	}
	return open, nil
}

// parseKernelAddr reads an address of /proc/net/tcp: words in the machine's order, and a port,
// both in hex.
func parseKernelAddr(text string) (a netip.AddrPort, err error) {
	host, port, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(host)
	if err != nil {
		return a, err
	}
	n, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return a, err
	}
	for word := range slices.Chunk(raw, 4) {
		binary.NativeEndian.PutUint32(word, binary.BigEndian.Uint32(word))
	}
	ip, ok := netip.AddrFromSlice(raw)
	if !ok {
		return a, fmt.Errorf("%q is no address", text)
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(n)), nil
}
