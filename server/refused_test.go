package server

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/tree"
)

// What a start refuses or passes over, and says of it.

// Snapshots with nothing in them are passed over when snapshot.trust.empty says so, for the log has
// everything; else, and when there is something in them, the start is refused.
func TestEmptySnapshots(t *testing.T) {
	const n = 5
	trust := func(o *Options) { o.Config.SnapshotTrustEmpty = true }
	whole := newDisk(t, n, nil)
	snapshot := whole.names("snapshot.")[0]
	for name, content := range map[string][]byte{"empty": {}, "zeros": make([]byte, 5000)} {
		older := filepath.Join(diskDir, "version-2", "snapshot.3")
		d := whole.with(snapshot, content).with(older, content)
		_, _, err := d.boot(t, nil)
		if err == nil || !strings.Contains(err.Error(), "snapshot.trust.empty") ||
			!strings.Contains(err.Error(), name[:4]) {
			t.Errorf("%s, without trust: %v", name, err)
		}
		s, j, err := d.boot(t, trust)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !j.has("all snapshots are empty and passed over", "snapshots=2") {
			t.Errorf("%s: it was not said:\n%s", name, j.text())
		}
		if err := holds(t, s, n); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	damaged := bytes.Repeat([]byte("ZKSN"), 100)
	if s, _, err := whole.with(snapshot, damaged).boot(t, trust); err == nil {
		_ = s.Stop()
		t.Error("a damaged snapshot is no empty one")
	}
}

// rootAt is the snapshot of a tree with another zxid.
func rootAt(t *testing.T, z proto.Zxid) []byte {
	t.Helper()
	h := tree.NewHead(tree.Options{})
	h.Advance(z)
	var b bytes.Buffer
	o := tree.SnapshotOptions{Digest: true, LastZxid: true}
	if err := h.Freeze().WriteSnapshot(&b, o); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A zxid that leaves no room for others is refused at the start and in a restore, with the reason:
// a server that came to the last one would end at each write.
func TestZxidNearItsEnd(t *testing.T) {
	const last = 1<<63 - 1
	const refusal = "no server has counted beyond 0x3fffffffffffffff"
	for _, test := range []struct {
		zxid proto.Zxid
		fits bool
	}{{tree.ZxidMax, true}, {tree.ZxidMax + 1, false}, {last - 15, false}, {last, false}} {
		body := rootAt(t, test.zxid)
		name := filepath.Join(diskDir, "version-2", fmt.Sprintf("snapshot.%x", int64(test.zxid)))
		s, _, err := disk{name: body}.boot(t, nil)
		if test.fits != (err == nil) || err != nil &&
			!strings.Contains(err.Error(), refusal) {
			t.Errorf("a start at %v: %v", test.zxid, err)
		}
		if err == nil {
			connectTo(t, s).must(proto.OpCreate, create("/a", "", 0))
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
		}
		live := startServer(t, func(o *Options) { inMemory(o) })
		_, err = live.restore(bytes.NewReader(body))
		if test.fits != (err == nil) || err != nil && !strings.Contains(err.Error(), refusal) {
			t.Errorf("a restore of %v: %v", test.zxid, err)
		}
		connectTo(t, live).must(proto.OpCreate, create("/a", "", 0))
	}
}

// A log file that is found empty, or zeroed, is told as what it is: nobody knows what was in it.
func TestEmptiedLog(t *testing.T) {
	d := newDisk(t, 5, func(o *Options) { o.Config.SnapCount = 3 })
	logs := d.names("log.")
	newest := logs[len(logs)-1]
	for _, content := range [][]byte{{}, make([]byte, len(d[newest]))} {
		s, j, err := d.with(newest, content).boot(t, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !j.has("a file without a record is removed; whether it ever held one cannot be known",
			newest) || strings.Contains(j.text(), "no acknowledged") {
			t.Error(j.text())
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}
	beyond := filepath.Join(diskDir, "version-2", "log.77")
	s, j, err := d.with(beyond, []byte{}).boot(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !j.has("by its name there were transactions before it that are in no file", beyond) {
		t.Error(j.text())
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

// A snapshot or log that the server's user may not read ends the start with whose it is, its mode
// and what helps; it is no damage, and no older snapshot is taken for it. So does --check.
func TestUnreadableFiles(t *testing.T) {
	top, binary := t.TempDir(), buildMeerkat(t)
	letOthersIn(t, top)
	letOthersIn(t, filepath.Dir(binary))
	d := newDisk(t, 60, func(o *Options) { o.Config.SnapCount = 20 })
	snapshots, logs := d.names("snapshot."), d.names("log.")
	nobody := os.Geteuid() == 0
	for _, closed := range []string{snapshots[len(snapshots)-1], logs[len(logs)-1]} {
		data := filepath.Join(top, "data-"+filepath.Base(closed))
		for name, content := range d {
			file := filepath.Join(data, "version-2", filepath.Base(name))
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		closed = filepath.Join(data, "version-2", filepath.Base(closed))
		says := []string{closed, "permission denied", "has mode 0000", "chmod u+r " + closed}
		if nobody {
			says = []string{closed, "permission denied", "belongs to root (uid 0) and has mode 0000",
				"this process runs as nobody (uid 65534)", "run chown nobody " + closed}
			giveAway(t, data, 65534)
			if err := os.Chown(closed, 0, 0); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(closed, 0); err != nil {
			t.Fatal(err)
		}
		config := writeConfig(t, data, "")
		letOthersIn(t, filepath.Dir(config))
		for _, args := range [][]string{{"server", "--check", config}, {"server", config}} {
			cmd := exec.Command(binary, args...)
			cmd.Dir = "/"
			if nobody {
				cmd.SysProcAttr = &syscall.SysProcAttr{
					Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
			}
			out, err := cmd.CombinedOutput()
			if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 3 {
				t.Errorf("%q: %v\n%s", args, err, out)
			}
			for _, text := range says {
				if !strings.Contains(string(out), text) {
					t.Errorf("%q does not say %q:\n%s", args, text, out)
				}
			}
			for _, text := range []string{"corrupt", "passed over", "data loaded"} {
				if strings.Contains(string(out), text) {
					t.Errorf("%q says %q:\n%s", args, text, out)
				}
			}
		}
	}
}

// giveAway makes a directory and all in it another user's.
func giveAway(t *testing.T, dir string, uid int) {
	t.Helper()
	err := filepath.Walk(dir, func(path string, _ os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, uid, uid)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What stands where a snapshot or a log belongs is named.
func TestFileOfAnotherKindAtStart(t *testing.T) {
	d := newDisk(t, 5, nil)
	log, snapshot := d.names("log.")[0], d.names("snapshot.")[0]
	text := []byte("# a note about this directory\n")
	newer := filepath.Join(diskDir, "version-2", "snapshot.77")
	s, j, err := d.with(newer, d[log]).boot(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !j.has("snapshot passed over", "is a transaction log, not a snapshot") {
		t.Error(j.text())
	}
	if err := holds(t, s, 5); err != nil {
		t.Error(err)
	}
	for name, other := range map[string]disk{
		filepath.Base(snapshot) + " is a text file, not a ": d.with(snapshot, text),
		"log.1 is a text file, not a ":                      d.with(log, text),
		"log.1 is a sna":                                    d.with(log, d[snapshot]),
	} {
		if _, _, err := other.boot(t, nil); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%q: %v", name, err)
		}
	}
}
