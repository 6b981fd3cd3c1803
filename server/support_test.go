package server

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/tree"
	"github.com/meerkat-zk/meerkat/wal"
)

// full is MEERKAT_FULL=1: the large tests run with the numbers that their names promise.
// Otherwise they run with a tenth or less, so that the package takes seconds.
var full = os.Getenv("MEERKAT_FULL") != ""

func scaled(usual, whole int) int {
	if full {
		return whole
	}
	return usual
}

// inMemory spares a test the disk's fsync, unless it runs in full.
func inMemory(o *Options) {
	if !full {
		o.FS = wal.NewMemFS()
	}
}

// A journal is a log that a test can look into and wait for.
type journal struct {
	mu    sync.Mutex
	lines []string
	more  chan struct{} // closed and replaced with every line
}

func newJournal() *journal { return &journal{more: make(chan struct{})} }

func (j *journal) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// Write implements io.Writer: slog writes one line at a time.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, string(p))
	close(j.more)
	j.more = make(chan struct{})
	return len(p), nil
}

// has tells whether one line holds all of the texts.
func (j *journal) has(texts ...string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.find(texts) != ""
}

func (j *journal) find(texts []string) string {
	for _, line := range j.lines {
		if !slices.ContainsFunc(texts, func(x string) bool { return !strings.Contains(line, x) }) {
			return line
		}
	}
	return ""
}

// await waits for a line with all of the texts, and returns it.
func (j *journal) await(t testing.TB, texts ...string) string {
	t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		j.mu.Lock()
		line, more := j.find(texts), j.more
		j.mu.Unlock()
		if line != "" {
			return line
		}
		select {
		case <-more:
		case <-timeout:
			t.Fatalf("the log never said %q; it said:\n%s", texts, j.text())
		}
	}
}

func (j *journal) text() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.lines, "")
}

// oneLoop starts a server whose connections all share a loop, and whose log is kept.
func oneLoop(t testing.TB, change func(*Options)) (*Server, *journal) {
	t.Helper()
	j := newJournal()
	return startServer(t, func(o *Options) {
		o.Loops, o.Logger = 1, j.logger()
		if change != nil {
			change(o)
		}
	}), j
}

// A bystander is a client that minds its own business while others misbehave: it reads its
// znode all the time, writes it now and then, and fails the test when an answer is wrong.
type bystander struct {
	t     testing.TB
	w     *wire
	path  string
	stop  chan struct{} // closed by end
	done  chan struct{} // closed when it has stopped
	reads []time.Duration
}

func newBystander(t testing.TB, s *Server) *bystander {
	t.Helper()
	return standBy(t, connectTo(t, s))
}

// standBy makes a bystander of a connection.
func standBy(t testing.TB, w *wire) *bystander {
	t.Helper()
	b := &bystander{t: t, w: w, stop: make(chan struct{}), done: make(chan struct{})}
	b.path = fmt.Sprintf("/bystander-%x", uint64(b.w.session.SessionID))
	b.w.must(proto.OpCreate, create(b.path, "0", proto.FlagEphemeral))
	go b.run()
	return b
}

func (b *bystander) run() {
	defer close(b.done)
	value := "0"
	for round := 1; ; round++ {
		select {
		case <-b.stop:
			return
		default:
		}
		if round%64 == 0 {
			value = fmt.Sprint(round)
			b.w.must(proto.OpSetData, setData(b.path, value, -1))
		}
		began := time.Now()
		d := dataOf(b.t, b.w.must(proto.OpGetData, get(b.path, false)))
		b.reads = append(b.reads, time.Since(began))
		if string(d.Data) != value || d.Stat.Version != int32(round/64) {
			b.t.Errorf("the bystander read %q (version %d), it wrote %q", d.Data, d.Stat.Version, value)
			return
		}
	}
}

// end stops the bystander and returns the latency of its reads: the 99th percentile and the
// worst. A read that took long stands for those that a client with a beat of 1 ms would have
// sent meanwhile, so that one long stop is not hidden by many short reads around it.
func (b *bystander) end() (p99, worst time.Duration) {
	b.t.Helper()
	close(b.stop)
	<-b.done
	var all []time.Duration
	for _, d := range b.reads {
		all = append(all, d)
		for d -= time.Millisecond; d > 0; d -= time.Millisecond {
			all = append(all, d)
		}
	}
	if len(all) == 0 {
		b.t.Fatal("the bystander was never served")
	}
	slices.Sort(all)
	return all[len(all)*99/100], all[len(all)-1]
}

// well ends the bystander and fails if it was kept waiting longer than bound at the 99th
// percentile. The bound is for a quiet machine: a full run allows three times as much; others
// only notice when a client is hardly served at all. What was measured is logged.
func (b *bystander) well(bound time.Duration) {
	b.t.Helper()
	p99, worst := b.end()
	b.t.Logf("bystander: %d reads, p99 %v, worst %v", len(b.reads), p99, worst)
	if bound *= 3; !full || raceEnabled {
		bound = max(bound, 10*time.Second) // whether it was served, not how fast
	}
	if p99 > bound {
		b.t.Errorf("the bystander's reads took %v at p99, more than %v", p99, bound)
	}
}

// bulkDir writes a data directory whose snapshot holds n znodes with these paths, each parent
// before its children.
func bulkDir(t testing.TB, n int, path func(i int) string) string {
	t.Helper()
	h := tree.NewHead(tree.Options{})
	for i := range n {
		p := path(i)
		parent := h.Get(parentOf(p))
		if parent == nil {
			t.Fatalf("no parent of %s", p)
		}
		hdr := proto.TxnHeader{Zxid: h.Zxid() + 1, Time: 1, Type: proto.OpCreate}
		b := proto.Body{Path: p, Data: []byte("some data"), ACL: proto.OpenACL,
			ParentCversion: parent.StoredCversion() + 1}
		if _, err := h.ApplyPart(&hdr, proto.OpCreate, &b, nil); err != nil {
			t.Fatal(err)
		}
		h.Advance(hdr.Zxid)
	}
	dir := t.TempDir()
	logDir, snapDir, err := wal.PrepareDirs(wal.OS, dir, dir, true)
	if err != nil {
		t.Fatal(err)
	}
	o := wal.Options{FS: wal.OS, LogDir: logDir, SnapDir: snapDir}
	r := h.Freeze()
	if _, _, err := wal.WriteSnapshot(o, r.Zxid(), wal.CompressionDefault, writeRoot(r)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func writeRoot(r *tree.Root) func(io.Writer) error {
	return func(w io.Writer) error {
		return r.WriteSnapshot(w, tree.SnapshotOptions{Digest: true})
	}
}

// TestMain raises the limit of descriptors, as the program does.
func TestMain(m *testing.M) {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil {
		limit.Cur = limit.Max
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	}
	os.Exit(m.Run())
}

// expect reads replies until one that is no event, and checks its xid.
func (w *wire) expect(xid int32) reply {
	w.t.Helper()
	for {
		p := w.recv()
		if p.Xid == proto.XidEvent {
			continue
		}
		if p.Xid != xid {
			w.t.Fatalf("a reply to %d, want %d", p.Xid, xid)
		}
		return p
	}
}

// raw gathers a request with a body of these bytes.
func (w *wire) raw(op proto.Op, body []byte) int32 {
	w.xid++
	at := len(w.out)
	w.out = append(w.out, make([]byte, 12)...)
	binary.BigEndian.PutUint32(w.out[at:], uint32(8+len(body)))
	binary.BigEndian.PutUint32(w.out[at+4:], uint32(w.xid))
	binary.BigEndian.PutUint32(w.out[at+8:], uint32(op))
	w.out = append(w.out, body...)
	return w.xid
}

// addr is the client's end as the server's log names it.
func (w *wire) addr() string { return "client=" + w.conn.LocalAddr().String() }

// neighbours serves a directory and returns what opens connections that share a loop. In a full
// run the server is a process of its own, for the tests' collector and goroutines would be in
// its way: what is measured there counts.
func neighbours(t *testing.T, dir string) (open func() *wire) {
	t.Helper()
	if !full {
		s, _ := oneLoop(t, func(o *Options) { o.Config.DataDir, o.Config.DataLogDir = dir, dir })
		return func() *wire { return connectTo(t, s) }
	}
	_, addr := runProgram(t, buildMeerkat(t), dir, "", newJournal())
	q := proto.ConnectRequest{TimeOut: 10000, Passwd: make([]byte, 16)}
	return func() *wire {
		w := dialAddr(t, addr)
		w.connect(q)
		for range runtime.NumCPU() - 1 { // the other loops get one each
			dialAddr(t, addr).connect(q)
		}
		return w
	}
}

// eventually asks until it is so.
func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	beat := time.NewTicker(10 * time.Millisecond)
	defer beat.Stop()
	for range 3000 {
		if so() {
			return
		}
		<-beat.C
	}
	t.Fatalf("it never came about that %s", what)
}

// alone logs what a bystander sees without any load, to compare.
func alone(t *testing.T, open func() *wire) {
	if !full {
		return
	}
	by := standBy(t, open())
	<-time.After(500 * time.Millisecond)
	p99, worst := by.end()
	t.Logf("without load: %d reads, p99 %v, worst %v", len(by.reads), p99, worst)
}

// dialAddr opens a connection to a server of another process.
func dialAddr(t testing.TB, addr string) *wire {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &wire{t: t, conn: c, r: bufio.NewReaderSize(c, 1<<16)}
}
