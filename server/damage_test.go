package server

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"io"
	"io/fs"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/server/zoocfg"
	"github.com/meerkat-zk/meerkat/wal"
)

// Damaged, missing and unusable files, met at the start of a server. What must hold: the
// server has every acknowledged write, or it does not start and says which file is wrong.

// A disk is the files of a stopped server, by path; each test boots servers from changed copies.
type disk map[string][]byte

const diskDir = "/data"

// newDisk is what a server leaves that wrote n znodes /0 ….
func newDisk(t *testing.T, n int, change func(*Options)) disk {
	t.Helper()
	files := wal.NewMemFS()
	s, err := Start(diskOptions(t, files, newJournal(), change))
	if err != nil {
		t.Fatal(err)
	}
	w := connectTo(t, s)
	for i := range n {
		w.must(proto.OpCreate, create(fmt.Sprintf("/%d", i), fmt.Sprintf("value %d", i), 0))
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	return diskOf(t, files)
}

// diskOf is what stands in a file system.
func diskOf(t *testing.T, files wal.FS) disk {
	t.Helper()
	d := disk{}
	dir := filepath.Join(diskDir, "version-2")
	names, err := files.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		d[filepath.Join(dir, name)] = readAll(t, files, filepath.Join(dir, name))
	}
	return d
}

func diskOptions(t testing.TB, files wal.FS, j *journal, change func(*Options)) Options {
	return testOptions(t, func(o *Options) {
		o.FS, o.Logger, o.Loops = files, j.logger(), 1
		o.Config.DataDir, o.Config.DataLogDir = diskDir, diskDir
		o.Config.PreAllocBytes = 4096
		o.Config.PurgeInterval = 0 // keep all
		if change != nil {
			change(o)
		}
	})
}

func readAll(t *testing.T, files wal.FS, name string) []byte {
	t.Helper()
	f, err := files.OpenRead(name)
	if err != nil {
		t.Fatal(err)
	}
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); n < len(b) { // an empty file ends at once
		t.Fatal(err)
	}
	return b
}

// with is a copy of the disk with one file changed; nil removes it.
func (d disk) with(name string, content []byte) disk {
	c := disk{}
	for k, v := range d {
		c[k] = v
	}
	if c[name] = content; content == nil {
		delete(c, name)
	}
	return c
}

// names are the files with this prefix, sorted by zxid: all zxids here have as many digits as
// it takes, so longer names come later.
func (d disk) names(prefix string) []string {
	var out []string
	for name := range d {
		if strings.HasPrefix(filepath.Base(name), prefix) {
			out = append(out, name)
		}
	}
	slices.SortFunc(out, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	return out
}

// boot starts a server from the disk, and holds what a Check says against what the start does.
func (d disk) boot(t *testing.T, change func(*Options)) (*Server, *journal, error) {
	t.Helper()
	files := wal.NewMemFS()
	if err := files.MkdirAll(filepath.Join(diskDir, "version-2")); err != nil {
		t.Fatal(err)
	}
	for name, content := range d {
		f, err := files.Create(name)
		if err == nil {
			_, err = f.WriteAt(content, 0)
		}
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	before := diskOf(t, files)
	checked := Check(diskOptions(t, files, newJournal(), change))
	if after := diskOf(t, files); !reflect.DeepEqual(before, after) {
		t.Error("a check has changed the disk")
	}
	j := newJournal()
	s, err := Start(diskOptions(t, files, j, change))
	if fmt.Sprint(checked) != fmt.Sprint(err) {
		t.Errorf("the check said %v, the start %v", checked, err)
	}
	return s, j, err
}

// holds checks that a booted server has the first n znodes and no other, takes writes, and
// stops. It returns what was wrong.
func holds(t *testing.T, s *Server, n int) error {
	t.Helper()
	w := connectTo(t, s)
	var c proto.ChildrenStat
	r := jute.Reader(w.must(proto.OpGetChildren2, get("/", false)).body)
	c.Fields(&r)
	var err error
	if len(c.Children) != n+1 { // and /zookeeper
		err = fmt.Errorf("%d znodes, want %d", len(c.Children)-1, n)
	}
	for i := range n {
		p := w.call(proto.OpGetData, get(fmt.Sprintf("/%d", i), false))
		if p.Err != proto.OK || !bytes.Contains(p.body, []byte(fmt.Sprintf("value %d", i))) {
			err = fmt.Errorf("znode %d: %v %q", i, p.Err, p.body)
		}
	}
	w.must(proto.OpCreate, create("/after", "", 0))
	if e := s.Stop(); e != nil {
		t.Error(e)
	}
	return err
}

// recordsOf gives the offset of each record of a log file, and the end of the last.
func recordsOf(t *testing.T, log []byte) []int {
	t.Helper()
	at := []int{16} // behind the file's header
	for {
		from := at[len(at)-1]
		if len(log) < from+12 {
			return at
		}
		n := int(binary.BigEndian.Uint32(log[from+8:]))
		if n == 0 {
			return at
		}
		at = append(at, from+8+4+n+1)
	}
}

// A log that ends in the middle of its last record, with nothing or with the zeros of its
// preallocation behind it, is repaired: all records before it count, and the server says so.
func TestLogCutAtEveryByteOfItsLastRecord(t *testing.T) {
	d := newDisk(t, 3, nil)
	name := d.names("log.")[0]
	log := d[name]
	at := recordsOf(t, log)
	from, to := at[len(at)-2], at[len(at)-1]
	for cut := from; cut <= to; cut++ {
		for _, padded := range []bool{false, true} {
			torn := slices.Clone(log[:cut])
			if padded {
				torn = append(torn, make([]byte, 4096)...)
			}
			whole := len(torn) >= to && bytes.Equal(torn[:to], log[:to])
			s, j, err := d.with(name, torn).boot(t, nil)
			if err != nil {
				t.Fatalf("cut to %d of %d bytes, padded %v: %v", cut, to, padded, err)
			}
			want := 2
			if whole {
				want = 3
			}
			if err := holds(t, s, want); err != nil {
				t.Errorf("cut to %d of %d bytes, padded %v: %v", cut, to, padded, err)
			}
			// A checksum's upper half is zero, and zeros are what lies behind a whole log.
			zeros := len(bytes.Trim(log[from:cut], "\x00")) == 0
			said := j.has("log repaired", "the torn end", name)
			if !whole && !zeros && !said {
				t.Errorf("cut to %d, padded %v: nothing was said of it:\n%s", cut, padded, j.text())
			} else if said && whole {
				t.Errorf("cut to %d, padded %v: a whole log was repaired", cut, padded)
			}
		}
	}
	t.Logf("last record at %d to %d", from, to)
}

// A bit that flipped in a record with others behind it is no torn tail: the server does not
// start, names file and offset, and leaves the file as it is.
func TestFlippedBitInTheMiddleOfALog(t *testing.T) {
	d := newDisk(t, 6, nil)
	name := d.names("log.")[0]
	log := d[name]
	at := recordsOf(t, log)
	from, to := at[3], at[4]
	seed := rand.Int63()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewSource(seed))
	for i := from; i < to; i++ {
		for bit := range 8 {
			if !full && bit != rng.Intn(8) {
				continue
			}
			bad := slices.Clone(log)
			bad[i] ^= 1 << bit
			s, _, err := d.with(name, bad).boot(t, nil)
			if err == nil {
				_ = s.Stop()
				t.Errorf("bit %d of byte %d of the record: the server started", bit, i-from)
				continue
			}
			text := err.Error()
			if !errors.Is(err, wal.ErrCorrupt) || !strings.Contains(text, name) ||
				!strings.Contains(text, fmt.Sprintf("offset %d", from)) {
				t.Errorf("bit %d of byte %d: %v (the record is at %d)", bit, i-from, err, from)
			}
		}
	}
}

// A transaction whose bytes are whole but whose digest is not the tree's: Java's prediction was
// off, or a record was changed by hand. The server starts and names the transaction.
func TestWrongDigestInALog(t *testing.T) {
	d := newDisk(t, 6, nil)
	name := d.names("log.")[0]
	log := slices.Clone(d[name])
	at := recordsOf(t, log)
	from, to := at[4], at[5]
	txn := log[from+12 : to-1]
	txn[len(txn)-1] ^= 1 // the digest stands last
	binary.BigEndian.PutUint64(log[from:], uint64(adler32.Checksum(txn)))
	s, said, err := d.with(name, log).boot(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !said.has("level=ERROR", "digest", "zxid=0x5") {
		t.Error("a wrong digest was not named")
	}
	if err := holds(t, s, 6); err != nil {
		t.Error(err)
	}
}

// A log whose record is missing in the middle, with whole checksums around it, lacks a write
// that somebody was told of: the server does not start.
func TestGapInALog(t *testing.T) {
	d := newDisk(t, 6, nil)
	name := d.names("log.")[0]
	log := d[name]
	at := recordsOf(t, log)
	gap := append(slices.Clone(log[:at[3]]), log[at[4]:]...)
	_, _, err := d.with(name, gap).boot(t, nil)
	if err == nil || !strings.Contains(err.Error(), "0x5 after 0x3") {
		t.Errorf("started with a missing transaction: %v", err)
	}
}

// A damaged snapshot is passed over for the one before it, and the log says so; nothing is
// missing, because logs are kept from the oldest snapshot on. When none is whole, the server
// does not start.
func TestFlippedBitInASnapshot(t *testing.T) {
	for _, compression := range []string{"", "gz", "snappy", "zstd"} {
		t.Run("compression "+compression, func(t *testing.T) { flipSnapshots(t, compression) })
	}
}

func flipSnapshots(t *testing.T, compression string) {
	const n = 60
	d := newDisk(t, n, func(o *Options) {
		o.Config.SnapCount = 20
		o.Config.HasSnapshotCompression, o.Config.SnapshotCompression = true, compression
	})
	snaps := d.names("snapshot.")
	if len(snaps) < 2 {
		t.Fatalf("only %v", snaps)
	}
	newest := snaps[len(snaps)-1]
	content := d[newest]
	seed := rand.Int63()
	rng := rand.New(rand.NewSource(seed))
	flips, noticed := 0, 0
	for i := range content {
		if !full && i%(len(content)/50) != 0 {
			continue
		}
		bad := slices.Clone(content)
		bad[i] ^= 1 << rng.Intn(8)
		s, j, err := d.with(newest, bad).boot(t, nil)
		if err != nil {
			t.Errorf("byte %d: %v", i, err)
			continue
		}
		if err := holds(t, s, n); err != nil {
			t.Errorf("byte %d: %v", i, err)
		}
		flips++
		if j.has("snapshot passed over", newest) {
			noticed++
		} else if compression == "" { // in a compressed file, some bits mean nothing
			t.Errorf("byte %d: the damage was not noticed", i)
		}
	}
	t.Logf("seed %d; %d of %d flips were noticed", seed, noticed, flips)
	if noticed < flips/2 {
		t.Error("too few")
	}
	for _, name := range snaps {
		d = d.with(name, d[name][:len(d[name])/2])
	}
	_, j, err := d.boot(t, nil)
	if err == nil || !strings.Contains(err.Error(), newest) ||
		!strings.Contains(err.Error(), "restore one") {
		t.Errorf("all snapshots are damaged: %v", err)
	}
	for _, name := range snaps {
		if !j.has("snapshot passed over", name) {
			t.Errorf("nothing was said of %s", name)
		}
	}
}

// A start that read a long log leaves a snapshot, so that the next need not read it again.
func TestLongLogLeavesASnapshot(t *testing.T) {
	o := testOptions(t, nil)
	life := func(act func(*Server)) []wal.SnapshotFile {
		t.Helper()
		s, err := Start(o)
		if err != nil {
			t.Fatal(err)
		}
		act(s)
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		files, err := wal.Snapshots(s.files)
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	const size = 1 << 19
	first := life(func(s *Server) {
		w := connectTo(t, s)
		w.must(proto.OpCreate, create("/x", "", 0))
		for range replayBytesMax / size {
			w.must(proto.OpSetData, setData("/x", strings.Repeat("d", size), -1))
		}
	})
	again := life(func(*Server) {})
	if len(first) != 1 || len(again) != 2 || again[0].Zxid < replayBytesMax/size {
		t.Fatalf("snapshots: %v, then %v", first, again)
	}
	if last := life(func(*Server) {}); len(last) != 2 {
		t.Fatalf("a start that read nothing left a snapshot: %v", last)
	}
}

// Such a snapshot saves time and nothing else: without room for it the server serves.
func TestNoRoomForASnapshotAtTheStart(t *testing.T) {
	files := wal.NewMemFS()
	small := func(o *Options) { o.FS = files; o.Config.SnapCount = 10 }
	s := startServer(t, small)
	w := connectTo(t, s)
	w.must(proto.OpCreate, create("/x", "", 0))
	for range 20 {
		w.must(proto.OpSetData, setData("/x", "d", -1))
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	names, err := files.List(s.files.SnapDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names { // all but the first, so that there is a log to read
		if strings.HasPrefix(name, "snapshot.") && !strings.HasPrefix(name, "snapshot.0") {
			if err := files.Remove(filepath.Join(s.files.SnapDir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	files.Inject(func(op wal.Op) error {
		if op.Kind == "create" && strings.Contains(op.Name, "snapshot") {
			return syscall.ENOSPC
		}
		return nil
	})
	again := startServer(t, func(o *Options) {
		small(o)
		o.Config.DataDir, o.Config.DataLogDir = s.cfg.DataDir, s.cfg.DataLogDir
	})
	d := dataOf(t, connectTo(t, again).must(proto.OpGetData, get("/x", false)))
	if d.Stat.Version != 20 {
		t.Errorf("version %d", d.Stat.Version)
	}
	files.Inject(nil)
}

// A log without a snapshot is refused, because a lost snapshot would mean lost znodes, unless
// snapshot.trust.empty says that there never was one.
func TestMissingSnapshot(t *testing.T) {
	const n = 5
	d := newDisk(t, n, nil)
	for _, name := range d.names("snapshot.") {
		d = d.with(name, nil)
	}
	_, _, err := d.boot(t, nil)
	if err == nil || !strings.Contains(err.Error(), "snapshot.trust.empty") ||
		!strings.Contains(err.Error(), filepath.Join(diskDir, "version-2")) {
		t.Fatalf("no snapshot: %v", err)
	}
	s, _, err := d.boot(t, func(o *Options) { o.Config.SnapshotTrustEmpty = true })
	if err != nil {
		t.Fatal(err)
	}
	if err := holds(t, s, n); err != nil {
		t.Error(err)
	}
	// With logs that begin in the middle, trust is misplaced: the gap tells.
	d = newDisk(t, 60, func(o *Options) { o.Config.SnapCount = 20 })
	for _, name := range append(d.names("snapshot."), d.names("log.")[0]) {
		d = d.with(name, nil)
	}
	if s, _, err := d.boot(t, func(o *Options) { o.Config.SnapshotTrustEmpty = true }); err == nil {
		_ = s.Stop()
		t.Error("started from logs that lack their beginning")
	} else {
		t.Logf("logs without their beginning: %v", err)
	}
}

// A directory that cannot be used ends the start with an error that names it; nothing stays
// behind: the same start succeeds when the reason is gone.
func TestUnusableDataDirectory(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ data, why string }{
		{file, file}, {filepath.Join(file, "below"), file},
		{"/proc/meerkat", "/proc/meerkat"}, // nobody may create this
	} {
		o := testOptions(t, func(o *Options) {
			o.Config.DataDir, o.Config.DataLogDir = c.data, c.data
		})
		// Nothing but trying shows that /proc cannot be written.
		if err := Check(o); c.why == file && (err == nil || !strings.Contains(err.Error(), file)) {
			t.Errorf("a check of %s: %v", c.data, err)
		}
		s, err := Start(o)
		if err == nil {
			_ = s.Stop()
			t.Fatalf("started in %s", c.data)
		}
		if !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v", c.data, err)
		}
	}
	for _, kind := range []string{"mkdir", "create", "syncdir", "write", "rename"} {
		files := wal.NewMemFS()
		files.Inject(func(op wal.Op) error {
			if op.Kind == kind {
				return &fs.PathError{Op: op.Kind, Path: op.Name, Err: syscall.EACCES}
			}
			return nil
		})
		o := diskOptions(t, files, newJournal(), nil)
		s, err := Start(o)
		if err == nil {
			_ = s.Stop()
			t.Fatalf("started without being able to %s", kind)
		}
		if !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), diskDir) {
			t.Errorf("%s: %v", kind, err)
		}
		files.Inject(func(wal.Op) error { return nil })
		if s, err = Start(o); err != nil {
			t.Fatalf("%s works again: %v", kind, err)
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}
}

// A check finds what no port and no file is needed for, all of it, and touches nothing.
func TestCheck(t *testing.T) {
	data := filepath.Join(t.TempDir(), "not", "yet")
	for _, c := range []struct {
		change func(c *zoocfg.Config)
		want   error
		says   []string
	}{
		{func(*zoocfg.Config) {}, nil, nil},
		{func(c *zoocfg.Config) { c.ClientPort = -1 }, ErrConfig, []string{"clientPort is not set"}},
		{func(c *zoocfg.Config) { c.SecureClientPort = 1 }, ErrConfig, []string{"TLS"}},
		{func(c *zoocfg.Config) { c.DigestAlg = "X9" }, ErrConfig, []string{"X9"}},
		{func(c *zoocfg.Config) { c.RequireClientSASL = true }, ErrConfig, []string{"SASL"}},
		{func(c *zoocfg.Config) {
			c.EnforceAuth, c.EnforceAuthSchemes = true, []string{"digest", "x509"}
		}, ErrConfig, []string{`no provider of the scheme "x509"`}},
		{func(c *zoocfg.Config) { c.ClientPortAddress = "256.0.0.1:x" }, ErrListen,
			[]string{"clientPort", "256.0.0.1"}},
		{func(c *zoocfg.Config) {
			c.ClientPort, c.Admin.Enable, c.Admin.Port = 8080, true, 8080
		}, ErrListen, []string{"clientPort and admin.serverPort are both 8080"}},
		{func(c *zoocfg.Config) { c.DataDirAutocreate = false }, nil, []string{"datadir.autocreate"}},
		{func(c *zoocfg.Config) { c.DataDirAutocreate, c.SecureClientPort = false, 1 }, ErrConfig,
			[]string{"TLS", "datadir.autocreate"}},
	} {
		o := testOptions(t, func(o *Options) {
			o.Config.DataDir, o.Config.DataLogDir = data, filepath.Join(data, "logs")
			c.change(o.Config)
		})
		err := Check(o)
		if (err == nil) != (len(c.says) == 0) || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%v, want %v %q", err, c.want, c.says)
		}
		for _, text := range c.says {
			if !strings.Contains(fmt.Sprint(err), text) {
				t.Errorf("%v does not say %q", err, text)
			}
		}
		if _, err := os.Stat(filepath.Dir(data)); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("the check has made a directory: %v", err)
		}
	}
	// The snapshots are gone, the log is elsewhere.
	s, _ := oneLoop(t, func(o *Options) { o.Config.DataLogDir = t.TempDir() })
	connectTo(t, s).must(proto.OpCreate, create("/a", "", 0))
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	o := testOptions(t, func(o *Options) {
		o.Config.DataDir, o.Config.DataLogDir = data, s.cfg.DataLogDir
	})
	if err := Check(o); err == nil || !strings.Contains(err.Error(), "but no snapshot in "+data) {
		t.Errorf("a log without its snapshot: %v", err)
	}
}

// A second server on a directory is refused with an error that names it, and the first one
// goes on; so is a second one on a port.
func TestSecondServer(t *testing.T) {
	s, _ := oneLoop(t, nil)
	by := newBystander(t, s)
	o := testOptions(t, func(o *Options) {
		o.Config.DataDir, o.Config.DataLogDir = s.cfg.DataDir, s.cfg.DataDir
	})
	if _, err := Start(o); err == nil || !strings.Contains(err.Error(), s.cfg.DataDir) ||
		!strings.Contains(err.Error(), "in use by another server") {
		t.Errorf("a second server on a directory: %v", err)
	}
	o = testOptions(t, func(o *Options) { o.Config.ClientPort = portOf(s.Addrs()[0]) })
	_, err := Start(o)
	if err == nil || !strings.Contains(err.Error(), s.Addrs()[0].String()) {
		t.Errorf("a second server on a port: %v", err)
	}
	if left, err := os.ReadDir(o.Config.DataDir); err != nil || len(left) > 0 {
		t.Errorf("it touched its directory first: %v, %v", left, err)
	}
	// The failed start let go of its directory.
	o.Config.ClientPort = 0
	free, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := free.Stop(); err != nil {
		t.Error(err)
	}
	by.well(50 * time.Millisecond)
}

// A Java server takes no lock, but it has its log open, or zkServer.sh has noted it.
func TestJavaHasTheDirectory(t *testing.T) {
	o := testOptions(t, nil)
	refused := func(why string) {
		t.Helper()
		s, err := Start(o)
		if err == nil {
			_ = s.Stop()
			t.Fatalf("started beside a server of which %s", why)
		}
		if !strings.Contains(err.Error(), "stop it first") || !strings.Contains(err.Error(), why) {
			t.Errorf("%v", err)
		}
	}
	log := filepath.Join(o.Config.DataDir, "version-2", "log.1")
	if err := os.MkdirAll(filepath.Dir(log), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", `exec 7>>"$1"; echo open; read line`, "zookeeper", log)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("open\n"))); err != nil {
		t.Fatal(err)
	}
	why := fmt.Sprintf("process %d (sh): it has %s open", cmd.Process.Pid, log)
	refused(why)
	j := newJournal()
	o.Logger = j.logger()
	if err := Check(o); err != nil || !j.has("level=WARN", "a server runs", why) {
		t.Errorf("a check beside a server that runs: %v\n%s", err, j.text())
	}
	if err := os.Remove(log); err != nil {
		t.Fatal(err)
	}
	noted := filepath.Join(o.Config.DataDir, "zookeeper_server.pid")
	if err := os.WriteFile(noted, fmt.Append(nil, cmd.Process.Pid), 0o644); err != nil {
		t.Fatal(err)
	}
	refused(fmt.Sprintf("process %d (sh): %s names it", cmd.Process.Pid, noted))
	_ = in.Close()
	_ = cmd.Wait() // the shell calls it an error to have read no line
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}
