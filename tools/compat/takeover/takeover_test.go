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
	purge       bool // Meerkat's default; else all generations stay
}

func layoutOf(i int) layout {
	return layout{
		compression: []string{"", "gz", "snappy"}[i%3],
		digest:      i%4 != 2,
		apart:       i/2%2 == 1,
		preAllocKiB: []int{64, 1024, 65536}[i/3%3],
		wildACLs:    i%2 == 1,
		purge:       i%5 > 1,
	}
}

func (l layout) String() string {
	return fmt.Sprintf("snapshots=%q digest=%t apart=%t preAllocSize=%d wildACLs=%t "+
		"purge=%t", l.compression, l.digest, l.apart, l.preAllocKiB, l.wildACLs, l.purge)
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
	if !l.purge {
		lines = append(lines, "autopurge.purgeInterval=0")
	}
	return lines
}

// loadLines are for a server under load, quietLines for one that is to change nothing by
// itself: sessions expire on whole ticks, and with ticks of a day hardly ever on one.
func (l layout) loadLines() []string {
	return append(l.lines(), "snapCount=1000", "znode.container.checkIntervalMs=200")
}

func (l layout) quietLines() []string {
	return append(l.lines(), "snapCount=2", "znode.container.checkIntervalMs=3600000",
		"tickTime=86400000", "minSessionTimeout=1000")
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
		k.compare(t, what, round == rounds-1)
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

// An opened directory is what its readers make of copies of it.
type opened struct {
	java       *dump // Java's own classes; nil when they could not read it
	javaFailed error
	wire       *dump // Meerkat, over the wire
	again      *dump // Java's classes, of the directory as Meerkat left it
	meerkat    *target.Server
}

// open copies the directory for each reader and changes every copy before it is read.
func (k *takeover) open(t *testing.T, change func(logDir string)) *opened {
	t.Helper()
	digest := fmt.Sprintf("digest.enabled=%t", k.digest)
	var o opened
	copied := t.TempDir()
	k.copyTo(t, k.server.Dir, copied)
	data, logs := k.dirs(copied)
	change(logs)
	o.java, o.javaFailed = javaDump(t, data, logs, digest)

	o.meerkat = k.copyServer(t, k.server.Dir, false, change)
	o.wire = wireDump(t, o.meerkat.Addr)
	o.meerkat.Kill()
	k.readLog(t, o.meerkat.Output())
	var err error
	data, logs = k.dirs(o.meerkat.Dir)
	if o.again, err = javaDump(t, data, logs, digest); err != nil {
		t.Fatalf("Meerkat's files: %v", err)
	}
	return &o
}

// copyServer starts a server that changes nothing by itself on a copy of a directory.
func (k *takeover) copyServer(t *testing.T, from string, java bool, change func(logDir string),
) *target.Server {
	t.Helper()
	s := target.Prepare(t, java, k.quietLines()...)
	if err := os.Remove(s.DataDir()); err != nil { // it is empty
		t.Fatal(err)
	}
	k.copyTo(t, from, s.Dir)
	_, logs := k.dirs(s.Dir)
	change(logs)
	s.Restart()
	return s
}

func unchanged(string) {}

// compare opens copies of the directory with Java and with Meerkat.
func (k *takeover) compare(t *testing.T, what string, last bool) {
	t.Helper()
	o := k.open(t, unchanged)
	t.Logf("%s: %d znodes, %d sessions, zxid %s", what, len(o.again.nodes), len(o.again.sessions),
		o.again.info["zxid"])
	k.compareWriters(t, o.wire)
	k.compareAgain(t, o)
	switch {
	case o.javaFailed == nil:
		k.compareJava(t, o)
	case k.wildACLs:
		t.Logf("Java cannot open its own files: %.300v", o.javaFailed)
	default:
		t.Error(o.javaFailed)
	}
	if last {
		live := k.copyServer(t, o.meerkat.Dir, true, unchanged)
		if wrong := compareLeft(o.wire, wireDump(t, live.Addr)); len(wrong) > 0 {
			t.Errorf("Meerkat's files, served by Java: %s", describe(wrong))
		}
		live.Kill()
	}
	if t.Failed() {
		k.keep(t)
		t.FailNow()
	}
}

// compareAgain compares what Meerkat served with what it left.
func (k *takeover) compareAgain(t *testing.T, o *opened) {
	t.Helper()
	if wrong := compareLeft(o.wire, o.again); len(wrong) > 0 {
		t.Errorf("Meerkat's files, opened by Java: %s", describe(wrong))
	}
	if n := o.again.info["unreachable"]; n != "0" {
		t.Errorf("Meerkat's files, opened by Java: %s znodes cannot be reached", n)
	}
}

// compareLeft compares what Meerkat served with what Java makes of the files that it left. A
// usage that was wrong may be right now: neither server counts what is deleted while a quota has
// no limits, and both count anew when they open a snapshot.
func compareLeft(served, left *dump) map[string]string {
	wrong := compareNodes(served, left)
	for path := range wrong {
		if miscounted(path, served, left) {
			delete(wrong, path)
		}
	}
	return wrong
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
		if n := d.nodes["/zookeeper/quota"+w.root+"/zookeeper_stats"]; n != nil {
			if want := usage(d, w.root); n.data != want {
				t.Errorf("the quota on %s says %s, and should %s", w.root, n.data, want)
			}
		}
	}
}

// readLog shows what Meerkat says of the files, and refuses what it should not have to say.
func (k *takeover) readLog(t *testing.T, said string) {
	t.Helper()
	for line := range strings.Lines(said) {
		switch {
		case strings.Contains(line, "data loaded"):
			_, line, _ = strings.Cut(line, "data loaded")
			t.Log("loaded", strings.TrimSpace(line))
		case strings.Contains(line, "level=ERROR"):
			t.Error(line)
		}
	}
}

// usage is what a quota on a path must say: the oracle for what no client writes.
func usage(d *dump, path string) string {
	count, size := 0, 0
	for at, n := range d.nodes {
		if at == path || strings.HasPrefix(at, path+"/") {
			count, size = count+1, size+len(n.data)
		}
	}
	return fmt.Sprintf("count=%d,bytes=%d", count, size)
}

// miscounted tells whether a path is the usage of a quota that the first dump has wrong and the
// second right. Java counts a znode twice when its parent was deleted in a fuzzy range.
func miscounted(path string, first, second *dump) bool {
	of, ok := strings.CutSuffix(path, "/zookeeper_stats")
	if !ok || first.nodes[path] == nil || second.nodes[path] == nil {
		return false
	}
	right := usage(second, strings.TrimPrefix(of, "/zookeeper/quota"))
	return first.nodes[path].data != right && second.nodes[path].data == right
}

// compareJava compares Java's dump of the directory with Meerkat's over the wire and with
// Java's of what Meerkat made of it.
func (k *takeover) compareJava(t *testing.T, o *opened) {
	t.Helper()
	java, wire := o.java, o.wire
	wrong := compareNodes(java, wire)
	lost, counted := 0, 0
	for path := range wrong {
		j, m := java.nodes[path], wire.nodes[path]
		switch {
		case miscounted(path, java, wire):
			counted++
			delete(wrong, path)
		case k.wildACLs && j != nil && m != nil && j.acl != m.acl:
			lost++
			delete(wrong, path)
		}
	}
	if lost+counted > 0 {
		t.Logf("Java lost %d ACLs and miscounted %d quotas", lost, counted)
	}
	if len(wrong) > 0 {
		t.Errorf("Meerkat, and not Java: %s", describe(wrong))
	}
	own := slices.Collect(maps.Keys(wire.sessions))
	if wrong := compareRest(java, o.again, own...); len(wrong) > 0 {
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
