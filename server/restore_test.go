package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/tree"
	"github.com/meerkat-zk/meerkat/wal"
)

// anybody may have all commands while the root znode is open.
const anybody = "digest any:body"

// asked is the answer to a command.
type asked struct {
	code   int
	header http.Header
	body   []byte
}

// json is the answer's object.
func (a asked) json(t testing.TB) map[string]any {
	t.Helper()
	var f map[string]any
	if err := json.Unmarshal(a.body, &f); err != nil {
		t.Fatalf("%v: %d %s", err, a.code, a.body)
	}
	return f
}

// command gives a command to a server's HTTP port.
func command(t testing.TB, s *Server, method, name, authorization string, body []byte) asked {
	t.Helper()
	a, err := tryCommand(s, method, name, authorization, body)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func tryCommand(s *Server, method, name, authorization string, body []byte) (a asked, err error) {
	q, err := http.NewRequest(method, "http://"+s.monitor.served[0].Addr().String()+"/commands/"+
		name, bytes.NewReader(body))
	if err != nil {
		return a, err
	}
	if authorization != "" {
		q.Header.Set("Authorization", authorization)
	}
	client := http.Client{Timeout: 60 * time.Second,
		Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Do(q)
	if err != nil {
		return a, err
	}
	got, err := io.ReadAll(r.Body)
	return asked{r.StatusCode, r.Header, got}, errors.Join(err, r.Body.Close())
}

func snapshotOf(t testing.TB, s *Server) []byte {
	t.Helper()
	a := command(t, s, http.MethodGet, "snapshot", anybody, nil)
	if a.code != http.StatusOK {
		t.Fatalf("snapshot: %d %s", a.code, a.body)
	}
	return a.body
}

// restoreTo sends a snapshot to a server, which must take it, and returns its zxid there.
func restoreTo(t testing.TB, s *Server, body []byte) proto.Zxid {
	t.Helper()
	a := command(t, s, http.MethodPost, "restore", anybody, body)
	if a.code != http.StatusOK {
		t.Fatalf("restore: %d %s", a.code, a.body)
	}
	return proto.Zxid(a.json(t)["last_zxid"].(float64))
}

// often lets the commands be given as often as a test likes.
func often(o *Options) {
	withAdmin(o)
	o.Config.Admin.RateLimit = 0
}

// content is all that a state holds but its zxid: znodes, ACLs, sessions.
func content(t testing.TB, r *tree.Root) string {
	t.Helper()
	var b strings.Builder
	if err := r.WriteStream(&b, nil); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x %s", r.Digest(), b.String())
}

func headOf(t testing.TB, s *Server) *tree.Root {
	t.Helper()
	r, err := fromCore(&s.monitor, func(c *core) *tree.Root { return c.head.Freeze() })
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// aclOf is a request for a znode with an ACL of its own.
func aclOf(path, user string) *proto.CreateRequest {
	return &proto.CreateRequest{Path: path, Data: []byte("secret"), ACL: []proto.ACL{
		{Perms: proto.PermAll, ID: proto.ID{Scheme: "digest", ID: user + ":hash"}}}}
}

// resume attaches a connection to a session.
func resume(t testing.TB, s *Server, of *wire) *wire {
	t.Helper()
	w := dial(t, s)
	w.connect(proto.ConnectRequest{TimeOut: 10000, SessionID: of.session.SessionID,
		Passwd: of.session.Passwd, HasReadOnly: true})
	return w
}

// A snapshot of one server is restored into another that had data of its own: it has the same
// znodes, ACLs, sessions and ephemerals, and so has it after a restart. What it had before is in
// a folder that is a data directory.
func TestSnapshotAndRestore(t *testing.T) {
	for _, apart := range []bool{false, true} {
		t.Run(fmt.Sprintf("apart=%t", apart), func(t *testing.T) { testSnapshotAndRestore(t, apart) })
	}
}

func testSnapshotAndRestore(t *testing.T, apart bool) {
	a := startServer(t, often)
	theirs := connectTo(t, a)
	for i := range 300 {
		theirs.must(proto.OpCreate, create(fmt.Sprintf("/a%d", i), "data of a", 0))
	}
	theirs.must(proto.OpCreate, aclOf("/guarded", "mine").Fields)
	theirs.must(proto.OpCreate, create("/e", "", proto.FlagEphemeral))
	body, want := snapshotOf(t, a), content(t, headOf(t, a))

	o := testOptions(t, often)
	if apart {
		o.Config.DataLogDir = t.TempDir()
	}
	b, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	ours := connectTo(t, b)
	for i := range 500 {
		ours.must(proto.OpCreate, create(fmt.Sprintf("/b%d", i), "data of b", 0))
	}
	before := headOf(t, b)
	old := content(t, before)
	z := restoreTo(t, b, body)
	if z <= before.Zxid() {
		t.Errorf("restored at %v, it was at %v", z, before.Zxid())
	}
	ours.closed()
	if again := resume(t, b, ours); again.session.TimeOut != 0 {
		t.Error("a session that the snapshot does not have goes on")
	}
	if got := content(t, headOf(t, b)); got != want {
		t.Error("the restored state is another one")
	}
	moved := resume(t, b, theirs)
	moved.must(proto.OpGetData, get("/e", false))
	moved.must(proto.OpCreate, create("/later", "", 0))
	want = content(t, headOf(t, b))
	if err := b.Stop(); err != nil {
		t.Fatal(err)
	}
	if b, err = Start(o); err != nil {
		t.Fatal(err)
	}
	if got := headOf(t, b); content(t, got) != want || got.Zxid() != z+1 {
		t.Errorf("after a restart it is another state, of %v", got.Zxid())
	}
	if err := b.Stop(); err != nil {
		t.Fatal(err)
	}

	folder := fmt.Sprintf("before-restore-%x", uint64(z))
	o.Config.DataDir = filepath.Join(o.Config.DataDir, folder)
	o.Config.DataLogDir = filepath.Join(o.Config.DataLogDir, folder)
	was, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	if got := headOf(t, was); content(t, got) != old || got.Zxid() != before.Zxid() {
		t.Errorf("the folder holds another state, of %v", got.Zxid())
	}
	if err := was.Stop(); err != nil {
		t.Fatal(err)
	}
}

// A snapshot of a server that is ahead keeps its zxid, so that its clients may come along.
func TestRestoreKeepsZxid(t *testing.T) {
	a, b := startServer(t, often), startServer(t, often)
	w := connectTo(t, a)
	for range 20 {
		w.must(proto.OpSetData, setData("/", "x", -1))
	}
	at := headOf(t, a).Zxid()
	got := command(t, a, http.MethodGet, "snap", anybody, nil)
	if h := got.header["Last_zxid"]; !slices.Equal(h, []string{fmt.Sprintf("0x%x", uint64(at))}) {
		t.Errorf("last_zxid %q in %q, want %v", h, got.header, at)
	}
	if h := got.header.Get("Snapshot_size"); h != fmt.Sprint(len(got.body)) {
		t.Errorf("snapshot_size %s of %d bytes", h, len(got.body))
	}
	if h := got.header.Get("Content-Type"); h != "application/octet-stream" {
		t.Errorf("content type %s", h)
	}
	if z := restoreTo(t, b, got.body); z != at {
		t.Errorf("restored at %v, the snapshot is of %v", z, at)
	}
	if z := restoreTo(t, b, got.body); z != at+1 { // now it is not above what was
		t.Errorf("restored again at %v, want %v", z, at+1)
	}
}

// streaming=false leaves a file and sends nothing; the file can be restored as it is.
func TestSnapshotFile(t *testing.T) {
	for _, form := range []string{"", "gz", "snappy", "zstd"} {
		s := startServer(t, func(o *Options) {
			often(o)
			o.Config.SnapshotCompression, o.Config.HasSnapshotCompression = form, true
		})
		w := connectTo(t, s)
		w.must(proto.OpCreate, create("/kept", "", 0))
		a := command(t, s, http.MethodGet, "snapshot?streaming=no", anybody, nil)
		if f := a.json(t); a.code != 200 || f["error"] != nil || f["command"] != "snapshot" {
			t.Fatalf("%d %s", a.code, a.body)
		}
		files, err := wal.Snapshots(s.files)
		if err != nil || len(files) == 0 || files[0].Zxid != headOf(t, s).Zxid() {
			t.Fatal(files, err)
		}
		if got := a.header.Get("Snapshot_size"); got != fmt.Sprint(files[0].Size) {
			t.Errorf("snapshot_size %s, the file has %d", got, files[0].Size)
		}
		body := readAll(t, s.files.FS, files[0].Path)
		w.must(proto.OpDelete, del("/kept", -1))
		restoreTo(t, s, body)
		if headOf(t, s).Get("/kept") == nil {
			t.Errorf("form %q was not restored", form)
		}
	}
}

// A body that is no snapshot, or not all of one, changes nothing and disturbs nobody.
func TestRestoreBadBody(t *testing.T) {
	s := startServer(t, often)
	w := connectTo(t, s)
	w.must(proto.OpCreate, create("/kept", "", 0))
	body := snapshotOf(t, s)
	flipped := bytes.Clone(body)
	flipped[len(body)/2] ^= 1
	ttl := tree.NewHead(tree.Options{ExtendedTypes: true})
	hdr := proto.TxnHeader{Zxid: 7, Type: proto.OpCreateTTL}
	if _, err := ttl.ApplyPart(&hdr, proto.OpCreateTTL, &proto.Body{Path: "/ttl", TTL: 5,
		ACL: proto.OpenACL, ParentCversion: 1}, nil); err != nil {
		t.Fatal(err)
	}
	ttl.Advance(7)
	var withTTL bytes.Buffer
	if err := writeRoot(ttl.Freeze())(&withTTL); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{"nothing": nil, "text": []byte("a text, and no snapshot"),
		"cut": body[:len(body)-40], "flipped": flipped, "too long": append(bytes.Clone(body), 0),
		"a TTL znode": withTTL.Bytes(), "half gz": []byte("\x1f\x8b\x08")} {
		a := command(t, s, http.MethodPost, "restore", anybody, bad)
		if f := a.json(t); a.code != 400 || f["error"] == nil || f["command"] != "restore" {
			t.Errorf("%s: %d %s", name, a.code, a.body)
		}
	}
	// A connection that ends before its body does.
	c, err := net.Dial("tcp", s.monitor.served[0].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "POST /commands/restore HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n"+
		"Content-Length: %d\r\n\r\n%s", anybody, len(body), body[:len(body)-1])
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(c); err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 400")) {
		t.Errorf("a cut-off body: %s %v", answer, err)
	}
	_ = c.Close() // it was read to its end
	w.must(proto.OpGetData, get("/kept", false))
	if all, err := wal.Restores(s.files); err != nil || len(all) > 0 {
		t.Errorf("folders are left: %v %v", all, err)
	}
}

// A client that comes back is told of what it watches, for it may have changed back.
func TestRestoreFiresWatches(t *testing.T) {
	o := testOptions(t, often)
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	w := connectTo(t, s)
	for _, path := range []string{"/data", "/parent", "/gone"} {
		w.must(proto.OpCreate, create(path, "first", 0))
	}
	body := snapshotOf(t, s)
	w.must(proto.OpSetData, setData("/data", "second", -1))
	w.must(proto.OpCreate, create("/parent/child", "", 0))
	w.must(proto.OpCreate, create("/new", "", 0))
	w.must(proto.OpDelete, del("/gone", -1))
	seen := headOf(t, s).Zxid()
	restoreTo(t, s, body)
	w.closed()
	check := func() {
		t.Helper()
		back := resume(t, s, w)
		q := proto.SetWatches{RelativeZxid: seen, Data: []string{"/data", "/new"},
			Exist: []string{"/gone", "/never"}, Child: []string{"/parent"}}
		xid := back.sendXid(proto.XidSetWatches, proto.OpSetWatches, q.Fields)
		back.flush()
		var got []string
		for {
			p := back.recv()
			if p.Xid == xid {
				break
			}
			e := eventOf(t, p)
			got = append(got, fmt.Sprint(e.Type, " ", e.Path))
		}
		want := []string{"3 /data", "2 /new", "1 /gone", "4 /parent"}
		if !slices.Equal(got, want) {
			t.Errorf("events %q, want %q", got, want)
		}
		if d := dataOf(t, back.must(proto.OpGetData, get("/data", false))); string(d.Data) != "first" {
			t.Errorf("it reads %q", d.Data)
		}
	}
	check()
	if err := s.Stop(); err != nil { // a restart forgets nothing of it
		t.Fatal(err)
	}
	if s, err = Start(o); err != nil {
		t.Fatal(err)
	}
	check()
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
}

// Under full load nothing is lost but what the restore says: every write that was acknowledged
// on a connection before it closed is in the folder, and every one after it in the new state.
func TestRestoreUnderLoad(t *testing.T) {
	o := testOptions(t, often)
	o.Config.SnapCount = 500 // snapshots and log files all the time
	o.Config.PurgeInterval = time.Nanosecond
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	body := snapshotOf(t, s)
	var all sync.WaitGroup
	var acked, after atomic.Int64
	loaded := make(chan struct{}) // closed when the load has got going
	const writers = 8
	counts := make([][2]int, writers) // acknowledged before and after
	for i := range writers {
		all.Add(1)
		go func() {
			defer all.Done()
			for generation := range 2 {
				counts[i][generation] = writeUntilClosed(t, s, fmt.Sprintf("/w%d-%d-", i, generation),
					func() bool {
						if acked.Add(1) == 3000 {
							close(loaded)
						}
						return generation == 1 && after.Add(1) > 2000
					})
			}
		}()
	}
	<-loaded
	z := restoreTo(t, s, body)
	all.Wait()
	check := func(s *Server, generation int) {
		t.Helper()
		root := headOf(t, s)
		for i := range writers {
			n := counts[i][generation]
			for k := range n {
				if root.Get(fmt.Sprintf("/w%d-%d-%d", i, generation, k)) == nil {
					t.Fatalf("write %d of %d of writer %d is lost (%d)", k, n, i, generation)
				}
			}
			if other := fmt.Sprintf("/w%d-%d-0", i, 1-generation); root.Get(other) != nil {
				t.Fatalf("%s is of the other state", other)
			}
		}
	}
	check(s, 1)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if s, err = Start(o); err != nil {
		t.Fatal(err)
	}
	check(s, 1)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	o.Config.DataDir = wal.RestoreDir(s.files, z)
	o.Config.DataLogDir = o.Config.DataDir
	if s, err = Start(o); err != nil {
		t.Fatal(err)
	}
	check(s, 0)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
}

// writeUntilClosed creates znodes, 16 in flight, until the connection closes or enough says so;
// it returns how many were acknowledged, which are the first so many.
func writeUntilClosed(t *testing.T, s *Server, prefix string, enough func() bool) (n int) {
	w := connectTo(t, s)
	sent := 0
	for {
		for ; sent < n+16; sent++ {
			w.send(proto.OpCreate, create(fmt.Sprint(prefix, sent), "", 0))
		}
		_, err := w.conn.Write(w.out)
		w.out = w.out[:0]
		body, failed := w.read()
		if err != nil && failed != nil || failed != nil || enough() {
			_ = w.conn.Close() // it may be closed
			return n
		}
		if p := parseReply(t, body); p.Err != proto.OK {
			t.Errorf("%v", p.Err)
			return n
		}
		n++
	}
}

// A client that does not read its snapshot holds up nobody, and is given up.
func TestSnapshotToSlowReader(t *testing.T) {
	dir := bulkDir(t, 150_000, func(i int) string { return fmt.Sprintf("/%064d", i) })
	s := startServer(t, func(o *Options) {
		often(o)
		o.Config.DataDir, o.Config.DataLogDir = dir, dir
		o.Config.Admin.IdleTimeout = 300 * time.Millisecond
	})
	slow, err := net.Dial("tcp", s.monitor.served[0].Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close() // the server closes it
	if err := slow.(*net.TCPConn).SetReadBuffer(128 << 10); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(slow, "GET /commands/snapshot HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n\r\n",
		anybody)
	first := make([]byte, 400)
	if _, err := io.ReadFull(slow, first); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(first, []byte("\r\nlast_zxid: 0x249f0\r\nsnapshot_size: ")) {
		t.Errorf("the header is %q", first)
	}
	w := connectTo(t, s)
	w.must(proto.OpCreate, create("/meanwhile", "", 0))
	if whole := len(snapshotOf(t, s)); whole < 150_000*150 {
		t.Fatalf("a whole snapshot has %d bytes", whole)
	}
	idle := time.NewTimer(700 * time.Millisecond) // longer than the server waits
	<-idle.C
	if rest, err := io.ReadAll(slow); len(rest) > 150_000*150 {
		t.Errorf("a reader that stood still was sent %d bytes, %v", len(rest), err)
	}
}

// Behind a restore there is no log until the first write, and a start knows why.
func TestStartBehindRestore(t *testing.T) {
	files := wal.NewMemFS()
	set := func(o *Options) { o.FS = files; o.Config.DataDir, o.Config.DataLogDir = "/d", "/d" }
	s, err := Start(testOptions(t, set))
	if err != nil {
		t.Fatal(err)
	}
	connectTo(t, s).must(proto.OpCreate, create("/x", "", 0))
	root := s.monitor.root()
	var body bytes.Buffer
	if err := root.WriteSnapshot(&body, tree.SnapshotOptions{LastZxid: true}); err != nil {
		t.Fatal(err)
	}
	z, err := s.monitor.Restore(&body)
	if err := errors.Join(err, s.Stop()); err != nil {
		t.Fatal(err)
	}
	if has, err := wal.HasLogs(s.files); has || err != nil {
		t.Fatalf("there is a log behind %v; %v", z, err)
	}
	j := newJournal()
	startServer(t, func(o *Options) { set(o); o.Logger = j.logger() })
	if j.has("no log behind it") {
		t.Error(j.text())
	}
}
