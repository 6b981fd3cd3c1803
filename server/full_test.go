package server

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/tree"
	"github.com/meerkat-zk/meerkat/wal"
)

// fullServer is a server on a disk that its test fills and empties, with short session timeouts.
func fullServer(t *testing.T, change func(*Options)) (*Server, *wal.MemFS, *journal) {
	t.Helper()
	files := wal.NewMemFS()
	s, j := oneLoop(t, func(o *Options) {
		quick(o)
		o.FS = files
		o.Config.PreAllocBytes = 64 << 10
		if change != nil {
			change(o)
		}
	})
	return s, files, j
}

// fill lets the disk run full, and writes until the server turns that down.
func fill(t *testing.T, w *wire, files *wal.MemFS) {
	t.Helper()
	files.Limit(10 << 10)
	for range 1000 {
		p := w.call(proto.OpSetData, setData("/", strings.Repeat("x", 1000), -1))
		if p.Err == proto.ErrNotReadOnly && len(p.body) == 0 {
			return
		}
		if p.Err != proto.OK {
			t.Fatalf("a write on a disk that fills up: %v", p.Err)
		}
	}
	t.Fatal("a full disk took it all")
}

// A server whose disk is full answers all that is no write, tells everybody who asks, lets sessions
// begin and end, with their ephemerals, and takes writes again by itself when there is room.
func TestFullDiskServesOn(t *testing.T) {
	s, files, j := fullServer(t, nil)
	w := attach(t, s, 50*testTick, proto.ConnectResponse{})
	idle := attach(t, s, 4*testTick, proto.ConnectResponse{})
	idle.must(proto.OpCreate, create("/lock", "", proto.FlagEphemeral))
	leaving := attach(t, s, 50*testTick, proto.ConnectResponse{})
	leaving.must(proto.OpCreate, create("/left", "", proto.FlagEphemeral))
	w.must(proto.OpCreateContainer, create("/c", "", proto.FlagContainer))
	if err := s.monitor.Ready(); err != nil {
		t.Fatal(err)
	}
	fill(t, w, files)
	last := dataOf(t, w.must(proto.OpGetData, get("/", false)))

	head := proto.MultiHeader{Op: proto.OpSetData, Err: -1}
	end := proto.MultiEnd
	for what, ask := range map[string][]func(*jute.Coder){
		"create": {create("/new", "", 0)}, "delete": {del("/c", -1)},
		"multi": {head.Fields, setData("/", "", -1), end.Fields},
	} {
		op := map[string]proto.Op{"create": proto.OpCreate, "delete": proto.OpDelete,
			"multi": proto.OpMulti}[what]
		if p := w.call(op, ask...); p.Err != proto.ErrNotReadOnly || len(p.body) > 0 ||
			p.Zxid != last.Stat.Mzxid {
			t.Errorf("%s: %v with zxid %v, %d bytes", what, p.Err, p.Zxid, len(p.body))
		}
	}
	if d := dataOf(t, w.must(proto.OpGetData, get("/", false))); d.Stat != last.Stat {
		t.Errorf("a write that was turned down left %+v, before %+v", d.Stat, last.Stat)
	}
	w.must(proto.OpSync, only("/"))
	for name, want := range map[string]string{"isro": "ro", "mntr": "zk_disk_read_only\t1"} {
		if got, err := askWord(s.Addrs()[0].String(), name); !strings.Contains(got, want) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	err := s.monitor.Ready()
	want := fmt.Sprintf("read-only: 0 bytes free on dataLogDir (%s)", s.files.LogDir)
	if files.Limit(0); err == nil || !strings.HasPrefix(err.Error(), "read-only: ") {
		t.Errorf("ready: %v", err)
	}
	s.disk.Look()
	if err := s.monitor.Ready(); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("ready: %v, want %s", err, want)
	}
	if err := s.monitor.Live(); err != nil {
		t.Errorf("not alive: %v", err) // a restart makes no room
	}

	// The silent session ends, and so does the one that is closed: locks go to who waits for them.
	w.call(proto.OpExists, get("/lock", true))
	w.call(proto.OpExists, get("/left", true))
	leaving.must(proto.OpCloseSession)
	for _, path := range []string{"/left", "/lock"} {
		if e := eventOf(t, w.recv()); e.Type != proto.EventNodeDeleted || e.Path != path {
			t.Errorf("%+v, want the end of %s", e, path)
		}
	}
	fresh := attach(t, s, 50*testTick, proto.ConnectResponse{})
	fresh.must(proto.OpGetData, get("/", false))

	files.Limit(64 << 20)
	j.await(t, "writes are accepted again")
	w.must(proto.OpSetData, setData("/", "y", -1))
	fresh.must(proto.OpCreate, create("/new", "", 0))
	if err := s.monitor.Ready(); err != nil {
		t.Error(err)
	}
	if n := strings.Count(j.text(), "read-only: the disk is full"); n != 1 {
		t.Errorf("%d lines that it is full", n)
	}
}

// Without any room left sessions live on: none ends, none begins, and one that comes back is
// attached. When there is room the overdue ones end.
func TestFullDiskWithoutRoomForSessions(t *testing.T) {
	s, files, j := fullServer(t, nil)
	w := attach(t, s, 50*testTick, proto.ConnectResponse{})
	silent := attach(t, s, 4*testTick, proto.ConnectResponse{})
	silent.must(proto.OpCreate, create("/lock", "", proto.FlagEphemeral))
	_ = silent.conn.Close()
	leaving := attach(t, s, 20*testTick, proto.ConnectResponse{})
	leaving.must(proto.OpCreate, create("/left", "", proto.FlagEphemeral))
	s.disk.SetRoom(0)
	files.Limit(0)
	if p := w.call(proto.OpSetData, setData("/", "", -1)); p.Err != proto.ErrNotReadOnly {
		t.Fatal(p.Err)
	}
	if p := leaving.call(proto.OpCloseSession); p.Err != proto.ErrNotReadOnly {
		t.Errorf("a session that cannot be closed: %v", p.Err)
	}
	leaving.closed()
	stranger := dial(t, s)
	stranger.frame((&proto.ConnectRequest{TimeOut: 1000, Passwd: make([]byte, 16)}).Fields)
	stranger.flush()
	stranger.closed()
	j.await(t, "no session can be made")

	<-time.After(8 * testTick) // it is overdue now
	w.must(proto.OpGetData, get("/lock", false))
	w.must(proto.OpGetData, get("/left", false))
	back := attach(t, s, 50*testTick, leaving.session)
	w.call(proto.OpExists, get("/lock", true))
	s.disk.SetRoom(wal.Unlimited)
	files.Limit(-1)
	if e := eventOf(t, w.recv()); e.Type != proto.EventNodeDeleted || e.Path != "/lock" {
		t.Errorf("%+v", e)
	}
	back.must(proto.OpSetData, setData("/left", "alive", -1))
}

// A check tells how much room there is, and whether a server would start read-only.
func TestCheckTellsRoom(t *testing.T) {
	s, files, _ := fullServer(t, nil)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	check := func() *journal {
		t.Helper()
		j := newJournal()
		if err := Check(Options{Config: s.cfg, Logger: j.logger(), FS: files}); err != nil {
			t.Fatal(err)
		}
		return j
	}
	const readOnly = "a server would start read-only"
	files.Limit(12345)
	j := check()
	for _, key := range []string{"key=dataLogDir", "key=dataDir"} {
		if !j.has("room on disk", key, "free_bytes=12345") {
			t.Errorf("nothing of %s:\n%s", key, j.text())
		}
	}
	if j.has(readOnly) {
		t.Error("it has its reserve:\n", j.text())
	}
	if err := files.Remove(s.files.LogDir + "/meerkat.reserve"); err != nil {
		t.Fatal(err)
	}
	files.Limit(12345)
	if j := check(); !j.has(readOnly, "needed_bytes=16777216") {
		t.Error(j.text())
	}
}

// On a file system without locks, directory fsync and fallocate a server serves, and says loudly
// and once what is not promised there. That a file cannot be synced ends it all the same.
func TestFileSystemThatLacksMuch(t *testing.T) {
	files := wal.NewMemFS()
	lacks := map[string]syscall.Errno{"lock": syscall.ENOLCK, "syncdir": syscall.EINVAL,
		"preallocate": syscall.EINVAL}
	files.Inject(func(op wal.Op) error {
		if code, ok := lacks[op.Kind]; ok {
			return code
		}
		return nil
	})
	j := newJournal()
	s, err := Start(testOptions(t, func(o *Options) {
		o.FS, o.Logger = files, j.logger()
		o.Config.PreAllocBytes = 64 << 10
	}))
	if err != nil {
		t.Fatal(err)
	}
	w := connectTo(t, s)
	for i := range 200 {
		w.must(proto.OpCreate, create(fmt.Sprintf("/%d", i), strings.Repeat("x", 1000), 0))
	}
	for _, line := range []string{"level=WARN msg=\"the file system has no locks",
		"level=ERROR msg=\"the file system cannot fsync a directory"} {
		if n := strings.Count(j.text(), line); n != 1 {
			t.Errorf("%d times %q in:\n%s", n, line, j.text())
		}
	}
	text, err := askWord(s.Addrs()[0].String(), "mntr")
	for _, want := range []string{"zk_disk_lacks_locks\t1", "zk_disk_lacks_dir_fsync\t1"} {
		if !strings.Contains(text, want) {
			t.Errorf("mntr lacks %q; %v", want, err)
		}
	}
	files.Inject(func(op wal.Op) error {
		if op.Kind == "sync" {
			return syscall.EINVAL
		}
		return nil
	})
	w.send(proto.OpSetData, setData("/", "", -1))
	w.flush()
	if err := <-s.Failed(); !errors.Is(err, syscall.EINVAL) {
		t.Error(err)
	}
	if err := s.Stop(); !errors.Is(err, syscall.EINVAL) {
		t.Error(err)
	}
}

// What a start has to put right waits until there is room: the ephemerals of a session that nobody
// knows go when writes come back.
func TestFullDiskPutsOffTheStartsWork(t *testing.T) {
	files := wal.NewMemFS()
	o := testOptions(t, func(o *Options) { o.FS = files })
	_, dir, err := wal.PrepareDirs(files, o.Config.DataDir, "", true)
	if err != nil {
		t.Fatal(err)
	}
	h := tree.NewHead(tree.Options{})
	var events []tree.Event
	header := proto.TxnHeader{ClientID: 0x123, Zxid: 1, Type: proto.OpCreate}
	body := proto.Body{Path: "/e", ACL: proto.OpenACL, Ephemeral: true}
	if _, err := h.ApplyPart(&header, proto.OpCreate, &body, &events); err != nil {
		t.Fatal(err)
	}
	h.Advance(1)
	_, _, err = wal.WriteSnapshot(wal.Options{FS: files, SnapDir: dir}, 1, wal.None,
		func(w io.Writer) error {
			return h.Freeze().WriteSnapshot(w, tree.SnapshotOptions{Digest: true, LastZxid: true})
		})
	if err != nil {
		t.Fatal(err)
	}
	files.Limit(2 << 20) // a file for the log, and no reserve
	j := newJournal()
	s := startServer(t, func(to *Options) {
		*to = o
		to.Logger = j.logger()
	})
	if _, full := s.disk.Room(); !full || j.has("ephemerals of an unknown session") {
		t.Fatalf("full: %v\n%s", full, j.text())
	}
	files.Limit(64 << 20)
	w := dial(t, s)
	j.await(t, "ephemerals of an unknown session")
	w.connect(proto.ConnectRequest{TimeOut: 10000, Passwd: make([]byte, 16)})
	eventually(t, "/e is gone", func() bool {
		return w.call(proto.OpExists, get("/e", false)).Err == proto.ErrNoNode
	})
}
