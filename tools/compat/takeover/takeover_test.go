package takeover

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/meerkat-zk/meerkat/tools/compat/target"
)

func TestMain(m *testing.M) {
	code := target.Main(m)
	if dir, _ := dumper(); dir != "" { // it does not matter here why it could not compile
		_ = os.RemoveAll(dir) // in the temporary directory, nothing depends on it
	}
	os.Exit(code)
}

// setting reads a number from the environment.
func setting(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// A layout is how the files of one takeover look.
type layout struct {
	compression string // of snapshots: "", gz or snappy
	digest      bool
	apart       bool // dataLogDir is not dataDir
	preAllocKiB int
	wildACLs    bool
}

func layoutOf(i int) layout {
	return layout{
		compression: []string{"", "gz", "snappy"}[i%3],
		digest:      i%4 != 2,
		apart:       i/2%2 == 1,
		preAllocKiB: []int{64, 1024, 65536}[i/3%3],
		wildACLs:    i%2 == 1,
	}
}

func (l layout) String() string {
	return fmt.Sprintf("snapshots=%q digest=%t apart=%t preAllocSize=%d wild ACLs=%t",
		l.compression, l.digest, l.apart, l.preAllocKiB, l.wildACLs)
}

// lines are for zoo.cfg.
func (l layout) lines() []string {
	lines := []string{superLine, "maxSessionTimeout=600000", "maxClientCnxns=0",
		"extendedTypesEnabled=true", fmt.Sprintf("digest.enabled=%t", l.digest),
		"snapshot.compression.method=" + l.compression,
		fmt.Sprintf("preAllocSize=%d", l.preAllocKiB)}
	if l.apart {
		lines = append(lines, "dataLogDir=./log")
	}
	return lines
}

// loadLines are for a server under load, quietLines for one that is to change nothing by
// itself: with so long a tick no session expires.
func (l layout) loadLines() []string {
	return append(l.lines(), "snapCount=1000", "znode.container.checkIntervalMs=200")
}

func (l layout) quietLines() []string {
	return append(l.lines(), "snapCount=2", "znode.container.checkIntervalMs=3600000",
		"tickTime=60000")
}

func (l layout) dirs(dir string) (data, logs string) {
	data = filepath.Join(dir, "data")
	if l.apart {
		return data, filepath.Join(dir, "log")
	}
	return data, data
}

// copyTo copies the data of a server to an empty directory, holes as holes.
func (l layout) copyTo(t *testing.T, from, to string) {
	t.Helper()
	data, logs := l.dirs(from)
	for _, d := range slices.Compact([]string{data, logs}) {
		out, err := exec.Command("cp", "-a", "--sparse=always", d, to).CombinedOutput()
		if err != nil {
			t.Fatalf("cp: %v\n%s", err, out)
		}
	}
}

// needsJava skips a test where the real server is not to be expected: run.sh installs it and
// sets COMPAT, and there nothing is skipped.
func needsJava(t *testing.T) {
	t.Helper()
	if os.Getenv("COMPAT") == "" {
		t.Skip("it needs a Java server: run make compat, or set COMPAT=1")
	}
}

func TestTakeover(t *testing.T) {
	needsJava(t)
	count := setting(t, "MEERKAT_TAKEOVERS", 3)
	seed := uint64(setting(t, "MEERKAT_TAKEOVER_SEED", int(time.Now().UnixNano()%1e9)))
	t.Logf("MEERKAT_TAKEOVER_SEED=%d", seed)
	for i := range count {
		l := layoutOf(i)
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Log(l)
			k := &takeover{layout: l, seed: seed + uint64(i),
				random: rand.New(rand.NewPCG(seed, uint64(i)))}
			k.play(t)
		})
	}
}

type takeover struct {
	layout
	seed   uint64
	random *rand.Rand
	server *target.Server
	crowd  *crowd
}

// play is one takeover with its rounds back and forth. Even rounds are Java's.
func (k *takeover) play(t *testing.T) {
	const writers, rounds = 4, 4
	k.crowd = newCrowd(writers, setting(t, "MEERKAT_TAKEOVER_ZNODES", 10_000), k.wildACLs, k.seed)
	k.server = target.StartKind(t, true, k.loadLines()...)
	if err := k.crowd.populate(k.server.Addr); err != nil {
		t.Fatal(err)
	}
	for round := range rounds {
		if round > 0 {
			k.server.Become(round%2 == 0)
			k.server.Restart()
			if err := k.crowd.attach(k.server.Addr); err != nil {
				t.Fatalf("round %d: the sessions do not move: %v", round, err)
			}
		}
		middle := k.loadAndKill(t)
		what := fmt.Sprintf("round %d, %s", round, middle)
		t.Log(what)
		k.compare(t, what)
	}
}

// loadAndKill loads the server until it starts to write a snapshot and a little longer, kills
// it, and says what it was doing.
func (k *takeover) loadAndKill(t *testing.T) string {
	t.Helper()
	const opsMin = 20_000
	before := k.crowd.acked.Load()
	ended := k.crowd.run(k.server.Addr)
	deadline := time.NewTimer(2 * time.Minute)
	defer deadline.Stop()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	var known []string
	for {
		select {
		case <-poll.C:
		case err := <-ended:
			t.Fatalf("the load ended: %v\n%s", err, k.server.Output())
		case <-deadline.C:
			t.Fatalf("no snapshot came after %d writes; there are %d\n%s",
				k.crowd.acked.Load()-before, len(known), k.server.Output())
		}
		files := k.snapshots(t)
		enough := k.crowd.acked.Load()-before >= opsMin
		if enough && known != nil && len(files) > len(known) {
			break
		}
		known = files
	}
	<-time.After(time.Duration(k.random.IntN(30_000)) * time.Microsecond)
	k.server.Kill()
	k.crowd.restless.Wait()
	var surprise *surpriseError
	if err := <-ended; errors.As(err, &surprise) {
		t.Fatal(err)
	}
	files := k.snapshots(t)
	newest := files[len(files)-1]
	return fmt.Sprintf("%d writes, %d snapshots, the newest %s", k.crowd.acked.Load()-before,
		len(files), newest)
}

// snapshots are the names of the snapshot files, oldest first.
func (k *takeover) snapshots(t *testing.T) []string {
	t.Helper()
	found, err := os.ReadDir(filepath.Join(k.server.DataDir(), "version-2"))
	if err != nil {
		t.Fatal(err)
	}
	type named struct {
		zxid uint64
		name string
	}
	var files []named
	for _, f := range found {
		text, ok := strings.CutPrefix(f.Name(), "snapshot.")
		hex, _, _ := strings.Cut(text, ".")
		if zxid, err := strconv.ParseUint(hex, 16, 64); ok && err == nil {
			files = append(files, named{zxid, f.Name()})
		}
	}
	slices.SortFunc(files, func(a, b named) int { return int(a.zxid) - int(b.zxid) })
	names := make([]string, 0, len(files))
	for _, f := range files {
		names = append(names, f.name)
	}
	return names
}

// compare opens copies of the directory with Java and with Meerkat.
func (k *takeover) compare(t *testing.T, what string) {
	t.Helper()
	digest := fmt.Sprintf("digest.enabled=%t", k.digest)
	copied := t.TempDir()
	k.copyTo(t, k.server.Dir, copied)
	data, logs := k.dirs(copied)
	java, javaFailed := javaDump(t, data, logs, digest)

	meerkat := target.Prepare(t, false, k.quietLines()...)
	if err := os.Remove(meerkat.DataDir()); err != nil {
		t.Fatal(err)
	}
	k.copyTo(t, k.server.Dir, meerkat.Dir)
	meerkat.Restart()
	wire := wireDump(t, meerkat.Addr)
	meerkat.Kill()
	data, logs = k.dirs(meerkat.Dir)
	again, err := javaDump(t, data, logs, digest)
	if err != nil {
		t.Fatalf("%s: Meerkat's files: %v", what, err)
	}
	t.Logf("%s: %d znodes, %d sessions, zxid %s", what, len(again.nodes), len(again.sessions),
		again.info["zxid"])

	k.compareWriters(t, wire)
	if wrong := compareNodes(wire, again); len(wrong) > 0 {
		t.Errorf("Meerkat's files, opened by Java: %s", describe(wrong))
	}
	if n := again.info["unreachable"]; n != "0" {
		t.Errorf("Meerkat's files, opened by Java: %s znodes cannot be reached", n)
	}
	switch {
	case javaFailed == nil:
		k.compareJava(t, java, wire, again)
	case k.wildACLs:
		t.Logf("Java cannot open its own files: %.300v", javaFailed)
	default:
		t.Error(javaFailed)
	}
	if t.Failed() {
		k.keep(t)
		t.FailNow()
	}
}

// compareWriters compares with what the clients know.
func (k *takeover) compareWriters(t *testing.T, d *dump) {
	t.Helper()
	for _, w := range k.crowd.writers {
		counted, err := w.settle(w.pending, d)
		if err != nil {
			t.Error(err)
		}
		t.Logf("%s: of %d in flight %d count", w.root, len(w.pending), counted)
		w.pending = nil
	}
}

// compareJava compares Java's dump of the directory with Meerkat's over the wire and with
// Java's of what Meerkat made of it.
func (k *takeover) compareJava(t *testing.T, java, wire, again *dump) {
	t.Helper()
	wrong := compareNodes(java, wire)
	if k.wildACLs {
		lost := 0
		for path := range wrong {
			if j, m := java.nodes[path], wire.nodes[path]; j != nil && m != nil && j.acl != m.acl {
				lost++
				delete(wrong, path)
			}
		}
		t.Logf("Java lost %d ACLs", lost)
	}
	if len(wrong) > 0 {
		t.Errorf("Meerkat, and not Java: %s", describe(wrong))
	}
	if wrong := compareRest(java, again, slices.Collect(maps.Keys(wire.sessions))...); len(wrong) > 0 {
		t.Errorf("Meerkat's files, opened by Java: %s", describe(wrong))
	}
}

// keep leaves the directory of a failure where MEERKAT_TAKEOVER_KEEP says.
func (k *takeover) keep(t *testing.T) {
	if dir := os.Getenv("MEERKAT_TAKEOVER_KEEP"); dir != "" {
		k.copyTo(t, k.server.Dir, dir)
		t.Logf("the directory is kept in %s", dir)
	}
}
