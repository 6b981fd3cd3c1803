package takeover

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/tools/compat/target"
)

// Whatever can be logged can be loaded, by Meerkat and by Java: a running Meerkat logs every form
// of transaction at its limits and is killed. What it served, what it serves when it starts again
// from the log and from the snapshot that this leaves, and what Java makes of both, are the same.
// Without Java the half of Meerkat is tried.

// frameMax is the longest request: jute.maxbuffer.
const frameMax = 0xfffff

// forms are what is logged, in this order.
var forms = []struct {
	name string
	log  func(*former)
}{
	{"every kind of znode", (*former).kinds},
	{"data at the edges of buffers", (*former).edges},
	{"the largest frames", (*former).largest},
	{"ACLs that entries auth make grow", (*former).grownACLs},
	{"multis", (*former).multis},
	{"errors", (*former).errors},
	{"containers that are removed", (*former).reaped},
	{"sessions", (*former).sessions},
}

func TestEveryFormLoads(t *testing.T) {
	for _, v := range []struct {
		digest, listed bool
	}{{true, true}, {true, false}, {false, true}} {
		t.Run(fmt.Sprintf("digest=%t listed=%t", v.digest, v.listed), func(t *testing.T) {
			t.Parallel() // most of it is waiting
			k := &takeover{layout: layout{digest: v.digest, preAllocKiB: 64}}
			listed := fmt.Sprintf("closeSessionTxn.enabled=%t", v.listed)
			k.server = target.StartKind(t, false, append(k.lines(), listed, "snapCount=1000000",
				"znode.container.checkIntervalMs=200", "minSessionTimeout=1000")...)
			f := &former{t: t, addr: k.server.Addr}
			f.client = f.open(300_000)
			for _, form := range forms {
				f.root = "/" + strings.ReplaceAll(form.name, " ", "-")
				f.must(proto.OpCreate, newCreate(f.root, nil, 0))
				form.log(f)
				if t.Failed() {
					t.Fatalf("form %q:\n%s", form.name, k.server.Output())
				}
			}
			served := wireDump(t, f.addr)
			k.server.Kill()
			k.compareLoaded(t, served)
			if os.Getenv("COMPAT") != "" {
				k.compareWithJava(t, served, listed)
			}
			if t.Failed() {
				k.keep(t)
			}
		})
	}
}

// compareLoaded starts Meerkat on copies of what was left: the log, then a snapshot alone.
func (k *takeover) compareLoaded(t *testing.T, served *dump) {
	t.Helper()
	again := k.copyServer(t, k.server.Dir, false, unchanged)
	if wrong := compareNodes(served, wireDump(t, again.Addr)); len(wrong) > 0 {
		t.Errorf("Meerkat, from the log: %s", describe(wrong))
	}
	again.Stop()
	k.readLog(t, again.Output())
	alone := k.copyServer(t, again.Dir, false, func(logs string) { removeLogs(t, logs) })
	if wrong := compareNodes(served, wireDump(t, alone.Addr)); len(wrong) > 0 {
		t.Errorf("Meerkat, from a snapshot: %s", describe(wrong))
	}
	alone.Kill()
}

// compareWithJava has Java's classes read the log and Meerkat's snapshot, and Java serve both.
func (k *takeover) compareWithJava(t *testing.T, served *dump, listed string) {
	t.Helper()
	o := k.open(t, unchanged)
	if o.javaFailed != nil {
		t.Errorf("Java, from the log: %v", o.javaFailed)
		return
	}
	if wrong := compareNodes(served, o.java); len(wrong) > 0 {
		t.Errorf("Java, from the log: %s", describe(wrong))
	}
	k.compareJava(t, o)
	k.compareAgain(t, o)
	data, logs := k.dirs(k.server.Dir)
	if strings.HasSuffix(listed, "false") { // Java with the same setting
		if same, err := javaDump(t, data, logs, listed); err != nil {
			t.Errorf("Java with %s: %v", listed, err)
		} else if wrong := compareNodes(served, same); len(wrong) > 0 {
			t.Errorf("Java with %s: %s", listed, describe(wrong))
		}
	}
	for from, dir := range map[string]string{"log": k.server.Dir, "snapshot": o.meerkat.Dir} {
		java := k.copyServer(t, dir, true, func(logs string) {
			if from == "snapshot" {
				removeLogs(t, logs)
			}
		})
		if wrong := compareNodes(served, wireDump(t, java.Addr)); len(wrong) > 0 {
			t.Errorf("served by Java, from the %s: %s", from, describe(wrong))
		}
		java.Kill()
	}
}

// removeLogs leaves a directory with its snapshots alone.
func removeLogs(t *testing.T, dir string) {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(dir, "version-2", "log.*"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("no logs in %s: %v", dir, err)
	}
	for _, log := range logs {
		if err := os.Remove(log); err != nil {
			t.Fatal(err)
		}
	}
	found, err := filepath.Glob(filepath.Join(dir, "version-2", "snapshot.*"))
	if err != nil || len(found) < 2 { // the one of an empty tree, and a later one
		t.Fatalf("snapshots in %s: %q, %v", dir, found, err)
	}
}

// A former has a server log a form.
type former struct {
	*client
	t    *testing.T
	addr string
	root string // the form's own
}

// open starts a session.
func (f *former) open(timeoutMs int32) *client {
	f.t.Helper()
	c := &client{timeoutMs: timeoutMs}
	if err := c.connect(f.addr); err != nil {
		f.t.Fatal(err)
	}
	return c
}

// ask sends a request and returns the code of its reply.
func (f *former) ask(op proto.Op, body ...record) proto.Code {
	f.t.Helper()
	f.send(op, body...)
	if err := f.flush(); err != nil {
		f.t.Fatal(err)
	}
	h, _, err := f.reply()
	if err != nil {
		f.t.Fatalf("%v: %v", op, err)
	}
	return h.Err
}

func (f *former) must(op proto.Op, body ...record) {
	f.t.Helper()
	f.mustBe(proto.OK, op, body...)
}

func (f *former) mustBe(want proto.Code, op proto.Op, body ...record) {
	f.t.Helper()
	if code := f.ask(op, body...); code != want {
		f.t.Fatalf("%v: %v, want %v", op, code, want)
	}
}

func newCreate(path string, data []byte, flags int32) *proto.CreateRequest {
	return &proto.CreateRequest{Path: path, Data: data, ACL: proto.OpenACL, Flags: flags}
}

func newCreateTTL(path string, flags int32) *proto.CreateTTLRequest {
	r := proto.CreateTTLRequest{CreateRequest: *newCreate(path, []byte("t"), flags), TTL: 1 << 39}
	return &r
}

// frameBytes is how long a request with these records is.
func frameBytes(records ...record) int {
	w := jute.Writer(nil)
	new(proto.RequestHeader).Fields(&w)
	for _, r := range records {
		r.Fields(&w)
	}
	return w.Len()
}

func (f *former) kinds() {
	f.must(proto.OpCreate, newCreate(f.root+"/ttls", nil, 0))
	for i, data := range [][]byte{nil, {}, []byte("x")} {
		for flags := range proto.FlagContainer {
			path := fmt.Sprintf("%s/%d-%d-", f.root, flags, i)
			f.must(proto.OpCreate, newCreate(path+"1", data, flags))
			f.must(proto.OpCreate2, newCreate(path+"2", data, flags))
		}
		f.must(proto.OpCreateContainer, newCreate(fmt.Sprintf("%s/c%d", f.root, i), data,
			proto.FlagContainer))
	}
	for _, flags := range []int32{proto.FlagPersistentTTL, proto.FlagPersistentSequentialTTL} {
		f.must(proto.OpCreateTTL, newCreateTTL(fmt.Sprintf("%s/ttls/%d", f.root, flags), flags))
	}
	f.must(proto.OpCreate, newCreate(f.root+"/gone", nil, 0))
	f.must(proto.OpDelete, &proto.PathVersion{Path: f.root + "/gone", Version: -1})
	f.must(proto.OpCreate, newCreate("/zookeeper/quota"+f.root, nil, 0))
	for _, leaf := range []string{"/zookeeper_limits", "/zookeeper_stats"} {
		f.must(proto.OpCreate, newCreate("/zookeeper/quota"+f.root+leaf, []byte("count=99,bytes=-1"), 0))
	}
	f.must(proto.OpCreate, newCreate(f.root+"/counted", []byte("12345"), 0))
}

// edges are sizes around the server's blocks, the file's preallocation and its syncs.
func (f *former) edges() {
	for _, size := range []int{512, 4 << 10, 32 << 10, 64 << 10, 256 << 10, 512 << 10} {
		for off := -90; off <= 30; off += 15 {
			path := fmt.Sprintf("%s/%d", f.root, size+off)
			f.must(proto.OpCreate, newCreate(path, make([]byte, size+off), 0))
			f.must(proto.OpSetData, &proto.SetDataRequest{Path: path, Data: nil, Version: 0})
			f.must(proto.OpSetData, &proto.SetDataRequest{Path: path, Version: -1,
				Data: []byte(strings.Repeat("d", (size+off)%1000))})
		}
	}
}

func (f *former) largest() {
	data := newCreate(f.root+"/data-", nil, proto.FlagPersistentSequential)
	data.Data = make([]byte, frameMax-frameBytes(data))
	f.must(proto.OpCreate, data)
	path := newCreate(f.root+"/", nil, proto.FlagPersistentSequential)
	path.Path += strings.Repeat("p", frameMax-frameBytes(path))
	f.must(proto.OpCreate2, path)
	own := newCreate(f.root+"/", nil, proto.FlagEphemeral)
	own.Path += strings.Repeat("e", frameMax-frameBytes(own))
	f.must(proto.OpCreate, own)
	f.must(proto.OpDelete, &proto.PathVersion{Path: own.Path, Version: 0})
	ttl := newCreateTTL(f.root+"/ttl-", proto.FlagPersistentSequentialTTL)
	ttl.Data = make([]byte, len(ttl.Data)+frameMax-frameBytes(ttl))
	f.must(proto.OpCreateTTL, ttl)
	set := &proto.SetDataRequest{Path: f.root, Version: -1}
	set.Data = make([]byte, frameMax-frameBytes(set)+4) // no data is a length, too
	set.Data = set.Data[:frameMax-frameBytes(&proto.SetDataRequest{Path: f.root, Data: []byte{}})]
	f.must(proto.OpSetData, set)
	acl := &proto.SetACLRequest{Path: f.root, Version: -1, ACL: f.manyACLs(frameMax)}
	f.must(proto.OpSetACL, acl)

	// A byte more is no request: the connection closes.
	c := f.open(10_000)
	data.Data = append(data.Data, 0)
	c.send(proto.OpCreate, data)
	if err := c.flush(); err == nil { // it may be gone before all is sent
		_, _, err = c.reply()
		if err == nil {
			f.t.Error("a request of more than jute.maxbuffer is answered")
		}
	}
	c.hangUp()
}

// manyACLs is a list that fills a setACL of the root up to so many bytes.
func (f *former) manyACLs(bytes int) []proto.ACL {
	acl := append([]proto.ACL{}, proto.OpenACL...)
	rest := bytes - frameBytes(&proto.SetACLRequest{Path: f.root, ACL: acl})
	for i := 0; ; i++ {
		id := proto.ID{Scheme: "digest", ID: fmt.Sprintf("user%05d:%028d", i, i)}
		if rest -= 12 + len(id.Scheme) + len(id.ID); rest < 0 {
			return acl
		}
		acl = append(acl, proto.ACL{Perms: proto.PermRead, ID: id})
	}
}

// identify gives the client so many identities that an entry "auth" becomes 60 KiB.
func (f *former) identify() {
	for i := range 250 {
		f.append(&proto.RequestHeader{Xid: -4, Op: proto.OpAuth}, &proto.AuthPacket{Scheme: "digest",
			Auth: []byte(fmt.Sprintf("%0199d:%d", i, i))})
	}
	if err := f.flush(); err != nil {
		f.t.Fatal(err)
	}
	for range 250 {
		if _, err := f.frame(); err != nil {
			f.t.Fatal(err)
		}
	}
}

// auths are entries that differ by their permissions, and become some 60 KiB each.
func auths(n int) (acl []proto.ACL) {
	for i := range n {
		acl = append(acl, proto.ACL{Perms: int32(i + 1), ID: proto.ID{Scheme: "auth"}})
	}
	return acl
}

func (f *former) grownACLs() {
	f.identify()
	const most = 16 // some 1 MiB
	for _, n := range []int{1, most} {
		r := newCreate(fmt.Sprintf("%s/%d-", f.root, n), nil, 0)
		r.ACL = auths(n)
		f.must(proto.OpCreate, r)
		r.Path += "large"
		r.Data = make([]byte, frameMax-frameBytes(r))
		f.must(proto.OpCreate, r)
		f.must(proto.OpSetACL, &proto.SetACLRequest{Path: r.Path, ACL: auths(n), Version: -1})
	}
	f.mustBe(proto.ErrInvalidACL, proto.OpSetACL,
		&proto.SetACLRequest{Path: f.root, ACL: auths(31), Version: -1})
}

// A parts is the record of a multi.
type parts []struct {
	op   proto.Op
	body record
}

func (p *parts) add(op proto.Op, body record) {
	*p = append(*p, struct {
		op   proto.Op
		body record
	}{op, body})
}

// Fields writes; it does not read.
func (p *parts) Fields(c *jute.Coder) {
	for i := range *p {
		h := proto.MultiHeader{Op: (*p)[i].op, Err: -1}
		h.Fields(c)
		(*p)[i].body.Fields(c)
	}
	end := proto.MultiEnd
	end.Fields(c)
}

// fill adds parts until a request is as long as it may be.
func (p *parts) fill(op proto.Op, part func(i int) record) {
	rest := frameMax - frameBytes(p)
	for i := 0; ; i++ {
		body := part(i)
		if rest -= 9 + frameBytes(body) - 8; rest < 0 {
			return
		}
		p.add(op, body)
	}
}

func (f *former) multis() {
	f.must(proto.OpMulti, &parts{})
	var all parts
	all.add(proto.OpCreate, newCreate(f.root+"/a", nil, 0))
	all.add(proto.OpCreate2, newCreate(f.root+"/s", []byte{}, proto.FlagPersistentSequential))
	all.add(proto.OpCreate, newCreate(f.root+"/e", []byte("e"), proto.FlagEphemeral))
	all.add(proto.OpCreateContainer, newCreate(f.root+"/c", nil, proto.FlagContainer))
	all.add(proto.OpCreateTTL, newCreateTTL(f.root+"/t", proto.FlagPersistentTTL))
	all.add(proto.OpSetData, &proto.SetDataRequest{Path: f.root + "/a", Version: 0})
	all.add(proto.OpCheck, &proto.PathVersion{Path: f.root + "/a", Version: 1})
	all.add(proto.OpDelete, &proto.PathVersion{Path: f.root + "/a", Version: 1})
	f.must(proto.OpMulti, &all)
	f.must(proto.OpMulti, &all)           // fails now
	f.must(proto.OpMulti, &parts{all[0]}) // a part of one
	f.must(proto.OpMulti, &parts{all[7]}) // fails: the version

	var many parts
	many.fill(proto.OpCheck, func(int) record { return &proto.PathVersion{Path: "/", Version: -1} })
	f.must(proto.OpMulti, &many)
	many = parts{}
	many.add(proto.OpDelete, &proto.PathVersion{Path: "/none", Version: -1}) // the rest are errors
	many.fill(proto.OpCheck, func(int) record { return &proto.PathVersion{Path: "/", Version: -1} })
	f.must(proto.OpMulti, &many)
	f.must(proto.OpCreate, newCreate(f.root+"/q", nil, 0))
	sequential := func(int) record {
		return newCreate(f.root+"/q/", nil, proto.FlagPersistentSequential)
	}
	many = parts{}
	many.fill(proto.OpCreate, sequential) // each name grows by ten bytes
	f.must(proto.OpMulti, &many)

	// With so many ACLs more the transaction could become longer than Java reads.
	r := newCreate(f.root+"/grown", nil, 0)
	r.ACL = auths(15)
	many = parts{}
	many.add(proto.OpCreate, r)
	many.fill(proto.OpCreate, sequential)
	f.must(proto.OpMulti, &many)
	f.mustBe(proto.ErrNoNode, proto.OpExists, &proto.PathWatch{Path: r.Path})
	many = many[:len(many)/2]
	f.must(proto.OpMulti, &many)
	f.must(proto.OpExists, &proto.PathWatch{Path: r.Path})
}

func (f *former) errors() {
	f.mustBe(proto.ErrNoNode, proto.OpDelete, &proto.PathVersion{Path: "/none", Version: -1})
	f.mustBe(proto.ErrBadVersion, proto.OpSetData, &proto.SetDataRequest{Path: f.root, Version: 99})
	f.mustBe(proto.ErrNodeExists, proto.OpCreate, newCreate(f.root, nil, 0))
	f.mustBe(proto.ErrInvalidACL, proto.OpSetACL, &proto.SetACLRequest{Path: f.root, Version: -1})
	f.mustBe(proto.ErrMarshalling, proto.OpCreate)
	f.mustBe(proto.ErrMarshalling, proto.OpMulti)
	f.mustBe(proto.ErrReconfigDisabled, proto.OpReconfig, &proto.ReconfigRequest{})
}

func (f *former) reaped() {
	path := f.root + "/" + strings.Repeat("c", 5000)
	f.must(proto.OpCreateContainer, newCreate(path, nil, proto.FlagContainer))
	f.must(proto.OpCreate, newCreate(path+"/child", nil, 0))
	f.must(proto.OpDelete, &proto.PathVersion{Path: path + "/child", Version: -1})
	f.awaitEmpty(f.root)
}

// awaitEmpty waits until a znode has no children.
func (f *former) awaitEmpty(path string) {
	f.t.Helper()
	deadline := time.NewTimer(replyTimeout)
	defer deadline.Stop()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for f.childCount(path) > 0 {
		select {
		case <-poll.C:
		case <-deadline.C:
			f.t.Fatalf("%s has %d children still", path, f.childCount(path))
		}
	}
}

func (f *former) childCount(path string) int32 {
	f.t.Helper()
	body, err := f.call(proto.OpExists, &proto.PathWatch{Path: path})
	var s proto.Stat
	if s.Fields(&body); err != nil || body.Err() != nil {
		f.t.Fatal(err, body.Err())
	}
	return s.NumChildren
}

// sessions with ephemerals whose paths take so many bytes in all, closed and expired. Each path
// counts with its length; above 512 KiB they are not listed.
func (f *former) sessions() {
	var owned []string
	for _, bytes := range []int{100, 511 << 10, 512 << 10, 512<<10 + 1, 513 << 10, 5 << 20} {
		for _, expires := range []bool{true, false} {
			own := fmt.Sprintf("%s/%d-%t", f.root, bytes, expires)
			owned = append(owned, own)
			f.must(proto.OpCreate, newCreate(own, nil, 0))
			c := f.open(3000)
			n, err := ownEphemerals(c, own, bytes)
			if err != nil {
				f.t.Fatal(err)
			}
			if got := f.childCount(own); int(got) != n {
				f.t.Fatalf("%d ephemerals, not %d", got, n)
			}
			if !expires {
				if _, err := c.call(proto.OpCloseSession); err != nil {
					f.t.Fatal(err)
				}
			}
			c.hangUp()
		}
	}
	for _, own := range owned {
		f.awaitEmpty(own)
	}
}
