package takeover

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/tools/compat/target"
	"github.com/meerkat-zk/meerkat/wal"
)

// TestKillAtClose has sessions with very many ephemerals end, by their clients or by expiry, and
// kills the server about then. It starts again, and so does Java on a copy; the ephemerals are all
// gone, or all there when nobody was told. MEERKAT_CLOSES is how often, on one directory.
func TestKillAtClose(t *testing.T) {
	closes := setting(t, "MEERKAT_CLOSES", 2)
	seed := uint64(setting(t, "MEERKAT_TAKEOVER_SEED", int(time.Now().UnixNano()%1e9)))
	t.Logf("MEERKAT_TAKEOVER_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	k := &takeover{layout: layout{digest: true, purge: true, preAllocKiB: 1024}}
	k.server = target.StartKind(t, false, append(k.lines(), "minSessionTimeout=1000")...)
	for n := range closes {
		c := closing{t: t, parent: fmt.Sprintf("/close-%06d", n), bytes: closeBytes(random),
			expires: random.IntN(8) == 0, acked: random.IntN(4) > 0,
			delay: time.Duration(random.IntN(20_000)) * time.Microsecond}
		if c.expires {
			c.acked = true
		}
		what := fmt.Sprintf("close %d of seed %d: %+v", n, seed, c)
		c.play(k.server)
		k.server.Restart()
		served := wireDump(t, k.server.Addr)
		if left := int(served.nodes[c.parent].children); left != 0 && (c.acked || left != c.owned) {
			t.Errorf("%s: of %d ephemerals %d are left", what, c.owned, left)
		}
		if os.Getenv("COMPAT") != "" {
			java := k.copyServer(t, k.server.Dir, true, unchanged)
			if wrong := compareNodes(served, wireDump(t, java.Addr)); len(wrong) > 0 {
				t.Errorf("%s: served by Java: %s", what, describe(wrong))
			}
			java.Kill()
			if err := os.RemoveAll(java.Dir); err != nil { // a hundred of them fill a disk
				t.Fatal(err)
			}
		}
		c.clear(k.server)
		if t.Failed() {
			k.keep(t)
			t.FailNow()
		}
	}
}

// closeBytes is a size of a session's paths: around the limits of a listed closeSession, of a
// batch and of a transaction that Java reads, or anything.
func closeBytes(random *rand.Rand) int {
	limits := []int{512 << 10, 1 << 20, 2 * frameMax}
	if i := random.IntN(2 * len(limits)); i < len(limits) {
		return limits[i] - 60 + random.IntN(100)
	}
	return 100 + random.IntN(3<<20)
}

// A closing is the end of one session.
type closing struct {
	t       *testing.T
	parent  string
	bytes   int  // of its ephemerals' paths
	expires bool // else its client closes it
	acked   bool // the kill waits until somebody was told
	delay   time.Duration

	owned int
}

// play has the session own its ephemerals and end, and kills the server.
func (c *closing) play(s *target.Server) {
	c.t.Helper()
	f := &former{t: c.t, addr: s.Addr}
	f.client = f.open(300_000)
	defer f.hangUp()
	f.must(proto.OpCreate, newCreate(c.parent, nil, 0))
	timeoutMs := int32(300_000)
	if c.expires {
		timeoutMs = 3000
	}
	w := f.open(timeoutMs)
	defer w.hangUp()
	var err error
	if c.owned, err = ownEphemerals(w, c.parent, c.bytes); err != nil {
		c.t.Fatal(err)
	}
	switch {
	case c.expires:
		w.hangUp()
		f.awaitEmpty(c.parent)
	case c.acked:
		if _, err := w.call(proto.OpCloseSession); err != nil {
			c.t.Fatal(err)
		}
	default:
		w.send(proto.OpCloseSession)
		if err := w.flush(); err != nil {
			c.t.Fatal(err)
		}
		<-time.After(c.delay)
	}
	s.Kill()
}

// clear removes what a kill before the end left, so that the next close has the server alone.
func (c *closing) clear(s *target.Server) {
	c.t.Helper()
	f := &former{t: c.t, addr: s.Addr}
	f.client = f.open(300_000)
	defer f.hangUp()
	body, err := f.call(proto.OpGetChildren2, &proto.PathWatch{Path: c.parent})
	var left proto.ChildrenStat
	if left.Fields(&body); err != nil || body.Err() != nil {
		c.t.Fatal(err, body.Err())
	}
	for _, name := range left.Children {
		f.must(proto.OpDelete, &proto.PathVersion{Path: c.parent + "/" + name, Version: -1})
	}
	f.must(proto.OpDelete, &proto.PathVersion{Path: c.parent, Version: -1})
	if _, err := f.call(proto.OpCloseSession); err != nil {
		c.t.Fatal(err)
	}
}

// A Java server with closeSessionTxn.enabled=false logs the end of a session as a digest without
// a record, which other Java servers take for paths: whether they can load that depends on the
// digest's value. Meerkat can.
func TestJavaWithoutCloseSessionPaths(t *testing.T) {
	needsJava(t)
	const line = "closeSessionTxn.enabled=false"
	k := &takeover{layout: layout{digest: true, preAllocKiB: 1024}}
	k.server = target.StartKind(t, true, append(k.lines(), line)...)
	f := &former{t: t, addr: k.server.Addr}
	f.client = f.open(300_000)
	for _, n := range []int{0, 1, 2, 30} {
		own := fmt.Sprintf("/own-%d", n)
		f.must(proto.OpCreate, newCreate(own, nil, 0))
		c := f.open(10_000)
		if _, err := ownEphemerals(c, own, 500*n); err != nil {
			t.Fatal(err)
		}
		if _, err := c.call(proto.OpCloseSession); err != nil {
			t.Fatal(err)
		}
		c.hangUp()
	}
	served := wireDump(t, f.addr)
	k.server.Kill()
	if n := digestsAlone(t, k.server.Dir, k.layout); n < 4 {
		t.Errorf("%d sessions ended in the form that is meant", n)
	}
	meerkat := k.copyServer(t, k.server.Dir, false, unchanged)
	if wrong := compareNodes(served, wireDump(t, meerkat.Addr)); len(wrong) > 0 {
		t.Errorf("Meerkat: %s", describe(wrong))
	}
	meerkat.Kill()
	k.readLog(t, meerkat.Output())
}

// digestsAlone counts the ends of sessions in the log that are a header and a digest.
func digestsAlone(t *testing.T, dir string, l layout) (n int) {
	t.Helper()
	const headerAndDigest = 32 + 12
	_, logs := l.dirs(dir)
	_, err := wal.Read(wal.Options{LogDir: filepath.Join(logs, "version-2")}, 0,
		func(_ proto.Zxid, txn []byte) error {
			var header proto.TxnHeader
			c := jute.Reader(txn)
			if header.Fields(&c); header.Type == proto.OpCloseSession && len(txn) == headerAndDigest {
				n++
			}
			return c.Err()
		})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// ownEphemerals has a session own ephemerals whose paths, with their lengths, take so many bytes,
// and returns how many there are.
func ownEphemerals(c *client, parent string, bytes int) (int, error) {
	const usual = 500
	n := 0
	for ; bytes > 0; n++ {
		size := usual
		if bytes < 2*usual {
			size = bytes
		}
		bytes -= size
		name := fmt.Sprintf("%s/%06d", parent, n)
		c.send(proto.OpCreate, newCreate(name+strings.Repeat("e", size-4-len(name)), nil,
			proto.FlagEphemeral))
		if c.in == inFlight {
			if err := c.drain(); err != nil {
				return n, err
			}
		}
	}
	return n, c.drain()
}

// drain sends what waits and reads all replies.
func (c *client) drain() error {
	err := c.flush()
	for c.in > 0 && err == nil {
		var h proto.ReplyHeader
		if h, _, err = c.reply(); err == nil && h.Err != proto.OK {
			err = errors.New(h.Err.String())
		}
	}
	return err
}
