package takeover

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/meerkat-zk/meerkat/proto"
)

// A dump is all that a data directory or a server holds. Dump.java prints it so, tabs between
// the fields of a znode:
//
//	N path data czxid mzxid pzxid ctime mtime version cversion aversion owner length
//	  children ACL, and as stored: cversion owner
//	S session timeout
//	E session path of an ephemeral
//	C path of a container
//	T path of a TTL znode
//	I name value
type dump struct {
	nodes      map[string]*znode
	sessions   map[int64]int64
	ephemerals map[string]bool // "session path"
	special    map[string]bool // "C path", "T path"
	info       map[string]string
}

func newDump() *dump {
	return &dump{nodes: map[string]*znode{}, sessions: map[int64]int64{},
		ephemerals: map[string]bool{}, special: map[string]bool{}, info: map[string]string{}}
}

// javaClasses is where Java's server has its classes.
const javaClasses = "/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar"

// dumper is the folder with Dump.class, removed by TestMain.
var dumper = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "takeover-dump-")
	if err != nil {
		return "", err
	}
	out, err := exec.Command("javac", "-implicit:none", "-nowarn", "-cp",
		javaClasses+":/usr/share/java/zookeeper-jute.jar", "-d", dir, "Dump.java").CombinedOutput()
	if err != nil {
		return dir, fmt.Errorf("javac: %w\n%s", err, out)
	}
	return dir, nil
})

// javaDump is what Java's own classes read in a directory; an error says that they cannot. They
// do not change it.
func javaDump(t *testing.T, dataDir, logDir string, properties ...string) (*dump, error) {
	t.Helper()
	classes, err := dumper()
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "dump")
	arguments := []string{"-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
		"-Dzookeeper.extendedTypesEnabled=true"}
	for _, p := range properties {
		arguments = append(arguments, "-Dzookeeper."+p)
	}
	arguments = append(arguments, "-cp", classes+":"+javaClasses, "Dump", logDir, dataDir, out)
	if text, err := exec.Command("java", arguments...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("java Dump: %w\n%s", err, text)
	}
	return parseDump(out)
}

func parseDump(file string) (*dump, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	d := newDump()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 8<<20)
	for lines.Scan() && err == nil {
		if line := lines.Text(); len(line) > 2 {
			err = d.line(line[0], line[2:])
		}
	}
	return d, errors.Join(err, lines.Err(), f.Close())
}

func (d *dump) line(kind byte, text string) error {
	first, second, _ := strings.Cut(text, " ")
	switch kind {
	case 'N':
		return d.znode(strings.Split(text, "\t"))
	case 'S':
		id, err := strconv.ParseUint(first, 16, 64)
		if err != nil {
			return err
		}
		d.sessions[int64(id)], err = strconv.ParseInt(second, 10, 64)
		return err
	case 'E':
		d.ephemerals[text] = true
	case 'C', 'T':
		d.special[string(kind)+" "+text] = true
	case 'I':
		d.info[first] = second
	default:
		return fmt.Errorf("a line of kind %c", kind)
	}
	return nil
}

func (d *dump) znode(fields []string) error {
	if len(fields) != 16 {
		return fmt.Errorf("%d fields: %q", len(fields), fields)
	}
	var failed error
	number := func(i, base int) int64 {
		v, err := strconv.ParseInt(fields[i], base, 64)
		if base == 16 { // Java prints the bits
			var u uint64
			u, err = strconv.ParseUint(fields[i], 16, 64)
			v = int64(u)
		}
		failed = errors.Join(failed, err)
		return v
	}
	data, err := hex.DecodeString(fields[1])
	n := &znode{data: string(data), acl: fields[13], hasStored: true,
		czxid: proto.Zxid(number(2, 16)), mzxid: proto.Zxid(number(3, 16)),
		pzxid: proto.Zxid(number(4, 16)), ctime: number(5, 10), mtime: number(6, 10),
		version: int32(number(7, 10)), shownCversion: int32(number(8, 10)),
		aversion: int32(number(9, 10)), owner: number(10, 16),
		dataLength: int32(number(11, 10)), children: int32(number(12, 10)),
		cversion: int32(number(14, 10)), storedOwner: number(15, 16)}
	d.nodes[fields[0]] = n
	return errors.Join(err, failed)
}

// wireDump asks a server for every znode that it has. Sessions are not to be had so.
func wireDump(t *testing.T, addr string) *dump {
	t.Helper()
	d := newDump()
	c := &client{timeoutMs: 120_000}
	err := c.connect(addr)
	if err == nil {
		err = errors.Join(d.read(c), func() error {
			_, err := c.call(proto.OpCloseSession)
			return err
		}())
		c.hangUp()
	}
	if err != nil {
		t.Fatalf("dump over the wire: %v", err)
	}
	d.sessions[c.id] = -1 // so that it can be left out elsewhere
	return d
}

// read walks over the tree, a few hundred znodes at a time.
func (d *dump) read(c *client) error {
	const atOnce = 200
	open := []string{"/"}
	for len(open) > 0 {
		paths := slices.Clone(open[max(0, len(open)-atOnce):])
		open = open[:len(open)-len(paths)]
		for _, p := range paths {
			c.send(proto.OpGetData, &proto.PathWatch{Path: p})
			c.send(proto.OpGetACL, &proto.PathOnly{Path: p})
			c.send(proto.OpGetChildren2, &proto.PathWatch{Path: p})
		}
		if err := c.flush(); err != nil {
			return err
		}
		for _, p := range paths {
			names, err := d.readOne(c, p)
			if err != nil {
				return fmt.Errorf("%s: %w", p, err)
			}
			for _, name := range names {
				open = append(open, strings.TrimSuffix(p, "/")+"/"+name)
			}
		}
	}
	return nil
}

func (d *dump) readOne(c *client, path string) ([]string, error) {
	var data proto.DataStat
	var acl proto.ACLStat
	var children proto.ChildrenStat
	lost := false
	for i, r := range []record{&data, &acl, &children} {
		h, body, err := c.reply()
		if err != nil {
			return nil, err
		}
		if h.Err == proto.ErrMarshalling && i == 1 {
			lost = true // Java has lost the list
			continue
		}
		if h.Err != proto.OK {
			return nil, fmt.Errorf("request %d: %v", i, h.Err)
		}
		if r.Fields(&body); body.Err() != nil {
			return nil, body.Err()
		}
	}
	if data.Stat != children.Stat || !lost && data.Stat != acl.Stat {
		return nil, fmt.Errorf("three Stats: %+v, %+v, %+v", data.Stat, acl.Stat, children.Stat)
	}
	if int(data.Stat.NumChildren) != len(children.Children) {
		return nil, fmt.Errorf("%d children, and the Stat says %d", len(children.Children),
			data.Stat.NumChildren)
	}
	s := &data.Stat
	n := &znode{data: string(data.Data), czxid: s.Czxid, mzxid: s.Mzxid, pzxid: s.Pzxid,
		ctime: s.Ctime, mtime: s.Mtime, version: s.Version, shownCversion: s.Cversion,
		aversion: s.Aversion, owner: s.EphemeralOwner, dataLength: s.DataLength,
		children: s.NumChildren}
	var entries strings.Builder
	for _, a := range acl.ACL {
		fmt.Fprintf(&entries, "%d:%s:%s ", a.Perms, a.ID.Scheme, a.ID.ID)
	}
	n.acl = entries.String()
	if lost {
		n.acl = "lost"
	}
	d.nodes[path] = n
	return children.Children, nil
}

// compareNodes says where two dumps differ, want being the first. Of a dump over the wire the
// stored fields are not compared.
func compareNodes(want, got *dump) map[string]string {
	wrong := map[string]string{}
	for path, w := range want.nodes {
		g := got.nodes[path]
		if g == nil {
			wrong[path] = "lost"
			continue
		}
		a, b := *w, *g
		if !a.hasStored || !b.hasStored {
			a.cversion, b.cversion, a.storedOwner, b.storedOwner = 0, 0, 0, 0
			a.hasStored, b.hasStored = false, false
		}
		if a != b {
			wrong[path] = fmt.Sprintf("is\n\t\t%+v, not\n\t\t%+v", b, a)
		}
	}
	for path := range got.nodes {
		if want.nodes[path] == nil {
			wrong[path] = "there, and should not be"
		}
	}
	return wrong
}

// compareRest says where sessions, ephemerals, containers and TTL znodes of two dumps by Java
// differ. The sessions of except are left out.
func compareRest(want, got *dump, except ...int64) map[string]string {
	wrong := map[string]string{}
	for _, id := range except {
		delete(want.sessions, id)
		delete(got.sessions, id)
	}
	if !maps.Equal(want.sessions, got.sessions) {
		wrong["sessions"] = fmt.Sprintf("are %x, not %x", got.sessions, want.sessions)
	}
	if !maps.Equal(want.ephemerals, got.ephemerals) {
		wrong["ephemerals"] = only(want.ephemerals, got.ephemerals)
	}
	if !maps.Equal(want.special, got.special) {
		wrong["containers and TTL"] = only(want.special, got.special)
	}
	return wrong
}

func only(want, got map[string]bool) string {
	var missing, more []string
	for k := range want {
		if !got[k] {
			missing = append(missing, k)
		}
	}
	for k := range got {
		if !want[k] {
			more = append(more, k)
		}
	}
	return fmt.Sprintf("%d missing, %d too many: %.300q, %.300q", len(missing), len(more),
		missing, more)
}
