package realcfg

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// corpus is where the files are.
const corpus = "../../../server/zoocfg/testdata/real"

// A layout is a case on this machine.
type layout struct {
	dir   string
	ports map[int]int // those of the files by ours
}

// filePorts are the numbers in the files that are ports.
var filePorts = regexp.MustCompile(`\b(218[1-3]|2281|[23]88[89]|[23]89[01]|7000|8080)\b`)

// folders are the paths that the files name, with what stands for each in a case's directory.
var folders = [][2]string{{"/var/lib/zookeeper", "data"}, {"/tmp/zookeeper", "data"},
	{"/var/log/zookeeper", "log"}, {"/etc/zookeeper", "etc"}}

// layOut puts the files of a case into a directory.
func layOut(name, dir string) (*layout, error) {
	l := &layout{dir: dir, ports: map[int]int{}}
	ours, err := l.choosePorts(name)
	if err != nil {
		return nil, err
	}
	for suffix, place := range map[string]string{
		".cfg": "etc/zoo.cfg", ".dynamic": "etc/zoo.cfg.dynamic", ".myid": "data/myid",
	} {
		text, err := os.ReadFile(filepath.Join(corpus, name+suffix))
		if errors.Is(err, fs.ErrNotExist) && suffix != ".cfg" {
			continue
		} else if err != nil {
			return nil, err
		}
		for _, f := range folders {
			text = bytes.ReplaceAll(text, []byte(f[0]), []byte(filepath.Join(dir, f[1])))
		}
		text = filePorts.ReplaceAllFunc(text, func(port []byte) []byte {
			return []byte(ours[string(port)])
		})
		path := filepath.Join(dir, place)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// choosePorts finds a free port for each that the files name.
func (l *layout) choosePorts(name string) (ours map[string]string, err error) {
	ours = map[string]string{}
	for _, suffix := range []string{".cfg", ".dynamic"} {
		text, _ := os.ReadFile(filepath.Join(corpus, name+suffix)) // layOut tells what is missing
		for _, port := range filePorts.FindAll(text, -1) {
			if ours[string(port)] != "" {
				continue
			}
			held, err := net.Listen("tcp", ":0")
			if err != nil {
				return nil, err
			}
			defer held.Close() // all at once, so that no two are one
			free := held.Addr().(*net.TCPAddr).Port
			ours[string(port)] = strconv.Itoa(free)
			if l.ports[free], err = strconv.Atoi(string(port)); err != nil {
				return nil, err
			}
		}
	}
	return ours, nil
}

func (l *layout) config() string { return filepath.Join(l.dir, "etc", "zoo.cfg") }

// clients are the ports that the files give to clients, as ours.
func (l *layout) clients() (ports []int) {
	for ours, port := range l.ports {
		if port > 2180 && port < 2184 {
			ports = append(ports, ours)
		}
	}
	return ports
}

// asInFile turns an address into what the files have. All interfaces are "*".
func (l *layout) asInFile(a netip.AddrPort) string {
	port := "other"
	if p, named := l.ports[int(a.Port())]; named {
		port = strconv.Itoa(p)
	}
	if a.Addr().IsUnspecified() {
		return "*:" + port
	}
	if a.Addr().Is6() {
		return fmt.Sprintf("[%s]:%s", a.Addr(), port)
	}
	return fmt.Sprintf("%s:%s", a.Addr(), port)
}

// plain turns ours back into what the files have, in a text.
func (l *layout) plain(text string) string {
	text = strings.ReplaceAll(text, l.dir+"/etc", "/etc/zookeeper")
	text = strings.ReplaceAll(text, l.dir+"/data", "/var/lib/zookeeper")
	text = strings.ReplaceAll(text, l.dir, "DIR")
	for ours, port := range l.ports {
		text = strings.ReplaceAll(text, strconv.Itoa(ours), strconv.Itoa(port))
	}
	return text
}

// names are those of all cases.
func names() ([]string, error) {
	files, err := filepath.Glob(filepath.Join(corpus, "*.cfg"))
	if err != nil {
		return nil, err
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(filepath.Base(f), ".cfg")
	}
	slices.Sort(files)
	return files, nil
}
