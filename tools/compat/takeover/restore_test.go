package takeover

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/tools/compat/target"
)

// TestSnapshotCommand takes snapshots of a loaded Meerkat by the command: Java's classes and
// Meerkat find the same in each. One is restored into another Meerkat, whose directory Java
// opens and serves.
func TestSnapshotCommand(t *testing.T) {
	needsJava(t)
	seed := uint64(setting(t, "MEERKAT_TAKEOVER_SEED", int(time.Now().UnixNano()%1e9)))
	t.Logf("MEERKAT_TAKEOVER_SEED=%d", seed)
	k := &takeover{layout: layout{digest: true, compression: "snappy", preAllocKiB: 1024},
		seed: seed, random: rand.New(rand.NewPCG(seed, 0)), crowd: newCrowd(4, 4000, true, seed)}
	k.server = target.StartKind(t, false, append(k.loadLines(), adminLines...)...)
	if err := k.crowd.populate(k.server.Addr); err != nil {
		t.Fatal(err)
	}
	ended := k.crowd.run(k.server.Addr)
	var body []byte
	for i := range 3 {
		before := k.crowd.acked.Load()
		var zxid string
		body, zxid = takeSnapshot(t, k.server)
		t.Logf("snapshot %d: zxid %s, %d bytes, after %d writes", i, zxid, len(body), before)
		k.compareSnapshot(t, body, zxid)
	}
	k.server.Kill()
	<-ended
	k.crowd.restless.Wait()
	k.restoreElsewhere(t, body)
}

// TestRestoreOfJavaSnapshot restores a snapshot file that Java wrote at its start, behind a log
// that it had read: such a one is of one moment, and names its zxid.
func TestRestoreOfJavaSnapshot(t *testing.T) {
	needsJava(t)
	for _, form := range []string{"", "gz", "snappy"} {
		k := &takeover{layout: layout{digest: true, compression: form, preAllocKiB: 64},
			crowd: newCrowd(2, 1000, false, 1), random: rand.New(rand.NewPCG(1, 0))}
		k.server = target.StartKind(t, true, append(k.lines(), "snapCount=1000000",
			"tickTime=60000")...)
		if err := k.crowd.populate(k.server.Addr); err != nil {
			t.Fatal(err)
		}
		k.server.Stop()
		k.server.Restart()
		files := k.snapshots(t)
		body, err := os.ReadFile(filepath.Join(k.server.DataDir(), "version-2",
			files[len(files)-1]))
		if err != nil {
			t.Fatal(err)
		}
		want := wireDump(t, k.server.Addr)
		k.server.Stop()
		m := target.StartKind(t, false, append(k.quietLines(), adminLines...)...)
		restore(t, m, body)
		if wrong := compareNodes(want, wireDump(t, m.Addr)); len(wrong) > 0 {
			t.Errorf("form %q: %s", form, describe(wrong))
		}
		m.Stop()
	}
}

var adminLines = []string{"admin.enableServer=true", "admin.serverAddress=127.0.0.1",
	"admin.serverPort=0", "admin.rateLimiterIntervalInMS=0"}

var adminAddr = regexp.MustCompile(`for=admin\.serverPort addr=(\S+)`)

// ask gives a command to a Meerkat, as super.
func ask(t *testing.T, s *target.Server, method, command string, body []byte,
) (http.Header, []byte) {
	t.Helper()
	said, err := os.ReadFile(filepath.Join(s.Dir, "output"))
	if err != nil {
		t.Fatal(err)
	}
	found := adminAddr.FindAllStringSubmatch(string(said), -1)
	if found == nil {
		t.Fatalf("no port for commands:\n%s", s.Output())
	}
	q, err := http.NewRequest(method, "http://"+found[len(found)-1][1]+"/commands/"+command,
		bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Authorization", "digest "+superSecret)
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	got, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v: %.300s", command, r.Status, err, got)
	}
	return r.Header, got
}

// takeSnapshot returns a streamed snapshot and its zxid in hex.
func takeSnapshot(t *testing.T, s *target.Server) (body []byte, zxid string) {
	t.Helper()
	header, body := ask(t, s, http.MethodGet, "snapshot", nil)
	zxid, ok := strings.CutPrefix(header.Get("last_zxid"), "0x")
	if !ok || header.Get("snapshot_size") != fmt.Sprint(len(body)) {
		t.Fatalf("%d bytes, header %v", len(body), header)
	}
	return body, zxid
}

func restore(t *testing.T, s *target.Server, body []byte) {
	t.Helper()
	_, got := ask(t, s, http.MethodPost, "restore", body)
	t.Logf("restored: %s", got)
}

// compareSnapshot opens a directory that holds nothing but a snapshot with Java's classes and
// with Meerkat.
func (k *takeover) compareSnapshot(t *testing.T, body []byte, zxid string) {
	t.Helper()
	dir := t.TempDir()
	data, _ := k.dirs(dir)
	versions := filepath.Join(data, "version-2")
	if err := os.MkdirAll(versions, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(versions, "snapshot."+zxid), body, 0o644); err != nil {
		t.Fatal(err)
	}
	java, err := javaDump(t, data, data)
	if err != nil {
		t.Fatal(err)
	}
	if java.info["zxid"] != zxid || java.info["unreachable"] != "0" || len(java.sessions) == 0 ||
		len(java.ephemerals) == 0 {
		t.Errorf("Java: %v, %d sessions, %d ephemerals, want zxid %s", java.info,
			len(java.sessions), len(java.ephemerals), zxid)
	}
	m := k.copyServer(t, dir, false, unchanged)
	wire := wireDump(t, m.Addr)
	m.Kill()
	if wrong := compareNodes(java, wire); len(wrong) > 0 {
		t.Errorf("Meerkat, and not Java: %s", describe(wrong))
	}
}

// restoreElsewhere restores a snapshot into a Meerkat with data of its own, writes on, and has
// Java open what it leaves.
func (k *takeover) restoreElsewhere(t *testing.T, body []byte) {
	t.Helper()
	b := target.StartKind(t, false, append(k.quietLines(), adminLines...)...)
	write := func(path string) {
		t.Helper()
		c := &client{timeoutMs: 120_000}
		err := c.connect(b.Addr)
		if err == nil {
			one := op{op: proto.OpCreate, path: path, acl: openACL}
			_, err = c.call(proto.OpCreate, one.records()...)
		}
		if err != nil {
			t.Fatal(err)
		}
		c.hangUp()
	}
	write("/before")
	restore(t, b, body)
	write("/after")
	wire := wireDump(t, b.Addr)
	b.Kill()
	data, logs := k.dirs(b.Dir)
	java, err := javaDump(t, data, logs)
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range []*dump{java, wire} {
		if other.nodes["/after"] == nil || other.nodes["/before"] != nil {
			t.Error("it is not the restored state")
		}
	}
	if wrong := compareNodes(wire, java); len(wrong) > 0 {
		t.Errorf("the restored directory, opened by Java: %s", describe(wrong))
	}
	live := k.copyServer(t, b.Dir, true, unchanged)
	if wrong := compareNodes(wire, wireDump(t, live.Addr)); len(wrong) > 0 {
		t.Errorf("the restored directory, served by Java: %s", describe(wrong))
	}
	live.Kill()
}
