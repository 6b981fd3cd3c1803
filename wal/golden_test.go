package wal

import (
	"bytes"
	"encoding/binary"
	"hash/adler32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meerkat-zk/meerkat/proto"
)

const golden = "testdata/java38"

// The log files of a real server are read, written again with the same file starts, and must
// come out byte for byte.
func TestGoldenLogs(t *testing.T) {
	from := Options{LogDir: golden, SnapDir: golden}
	to := testOptions(t, NewMemFS())
	to.PreallocBytes = 0
	files, err := logFiles(&from)
	if err != nil || len(files) != 7 {
		t.Fatal(files, err)
	}
	starts := map[proto.Zxid]bool{}
	for _, f := range files {
		starts[f.zxid] = true
	}
	l := open(t, to, 0)
	last, err := Replay(from, 0, func(z proto.Zxid, txn []byte) error {
		_, err := l.Step([]Item{{First: z, Last: z, Records: AppendRecord(nil, txn), Roll: starts[z]}})
		return err
	})
	if err != nil || last != 0x24 {
		t.Fatal(last, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		want, err := os.ReadFile(f.path)
		if err != nil {
			t.Fatal(err)
		}
		got := content(t, to.FS, filepath.Join(to.LogDir, filepath.Base(f.path)))
		if got != string(want) {
			t.Errorf("%s differs:\n% x\n% x", f.path, got, want)
		}
	}
}

// With its padding back, a killed server's log needs no repair.
func TestGoldenLogWithPadding(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(golden, "log.1"))
	if err != nil {
		t.Fatal(err)
	}
	o := testOptions(t, NewMemFS())
	o.Repaired = func(r Repair) { t.Errorf("%+v", r) }
	path := filepath.Join(o.LogDir, "log.1")
	putFile(t, o.FS, path, string(b))
	f, err := o.FS.OpenWrite(path)
	if err == nil {
		err = f.Preallocate(64<<20 + fileHeaderBytes)
	}
	if err != nil {
		t.Fatal(err)
	}
	last, err := Replay(o, 0, func(proto.Zxid, []byte) error { return nil })
	if err != nil || last != 7 {
		t.Fatal(last, err)
	}
}

// The snapshots of a real server, in all forms, are valid, hold a sealed stream, and come out
// the same after they were written again.
func TestGoldenSnapshots(t *testing.T) {
	list, err := Snapshots(Options{SnapDir: golden})
	if err != nil || len(list) != 7 {
		t.Fatal(list, err)
	}
	o := testOptions(t, NewMemFS())
	forms := map[Compression]int{}
	for _, s := range list {
		stream := sealed(t, nil, s)
		forms[s.Compression]++
		path, size, err := WriteSnapshot(o, s.Zxid, s.Compression, writeString(stream))
		if err != nil || filepath.Base(path) != filepath.Base(s.Path) {
			t.Fatal(path, err)
		}
		again := s
		again.Path = path
		if sealed(t, o.FS, again) != stream {
			t.Errorf("%s changed", s.Path)
		}
		file := content(t, o.FS, path)
		if want, _ := os.ReadFile(s.Path); s.Compression == None && file != string(want) {
			t.Errorf("%s differs", path)
		}
		if int64(len(file)) != size {
			t.Errorf("%s: %d bytes reported, %d written", path, size, len(file))
		}
	}
	if forms[None] != 2 || forms[Gzip] != 2 || forms[Snappy] != 3 {
		t.Error(forms)
	}
}

// sealed returns the stream of a snapshot, and checks its magic and last seal.
func sealed(t *testing.T, files FS, s SnapshotFile) string {
	t.Helper()
	if s.Invalid != "" {
		t.Fatalf("%s: %s", s.Path, s.Invalid)
	}
	r, err := s.Open(files)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	body := b[:len(b)-8-len(snapshotEnd)]
	if !bytes.HasPrefix(b, []byte("ZKSN")) || !bytes.HasSuffix(b, []byte(snapshotEnd)) ||
		binary.BigEndian.Uint64(b[len(body):]) != uint64(adler32.Checksum(body)) {
		t.Fatalf("%s: bad stream", s.Path)
	}
	return string(b)
}

func content(t testing.TB, files FS, path string) string {
	t.Helper()
	f, err := files.OpenRead(path)
	if err != nil {
		t.Fatal(err)
	}
	size, _ := f.Size()
	b, err := io.ReadAll(io.NewSectionReader(f, 0, size))
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	return string(b)
}

// Java reads what we write: a log through TxnLogToolkit, snapshots of every form that it
// knows through SnapshotFormatter.
func TestJavaReadsOurs(t *testing.T) {
	var jars []string
	for _, jar := range []string{"zookeeper", "zookeeper-jute", "slf4j-api", "slf4j-nop", "netty-all",
		"snappy-java", "commons-cli", "jackson-databind", "jackson-core", "jackson-annotations"} {
		path := "/usr/share/java/" + jar + ".jar"
		if _, err := os.Stat(path); err != nil {
			t.Skipf("needs Debian's libzookeeper-java: %v", err)
		}
		jars = append(jars, path)
	}
	java := func(class string, args ...string) string {
		out, err := exec.Command("java", append([]string{"-cp", strings.Join(jars, ":"),
			"org.apache.zookeeper.server." + class}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", class, err, out)
		}
		return string(out)
	}
	dir := t.TempDir()
	o := Options{LogDir: dir, SnapDir: dir, PreallocBytes: 1 << 20}
	l := open(t, o, 0)
	if _, err := Replay(Options{LogDir: golden, SnapDir: golden}, 0,
		func(z proto.Zxid, txn []byte) error {
			_, err := l.Step([]Item{{First: z, Last: z, Records: AppendRecord(nil, txn)}})
			return err
		}); err != nil {
		t.Fatal(err)
	}
	// The file is open, with its padding, as a killed server leaves it.
	if out := java("persistence.TxnLogToolkit", filepath.Join(dir, "log.1")); !strings.Contains(out,
		"EOF reached after 36 txns") || strings.Contains(out, "CRC") {
		t.Errorf("TxnLogToolkit: %s", out)
	}
	list, err := Snapshots(Options{SnapDir: golden})
	if err != nil {
		t.Fatal(err)
	}
	stream := sealed(t, nil, list[0])
	for _, c := range []Compression{None, Gzip, Snappy} {
		path, _, err := WriteSnapshot(o, list[0].Zxid, c, writeString(stream))
		if err != nil {
			t.Fatal(err)
		}
		if out := java("SnapshotFormatter", path); !strings.Contains(out, "/multi20") {
			t.Errorf("SnapshotFormatter %s: %s", path, out)
		}
	}
}
