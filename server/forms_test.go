package server

import (
	"encoding/binary"
	"fmt"
	"hash/adler32"
	"slices"
	"strings"
	"testing"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/wal"
)

// Whatever can be logged can be loaded: the forms of a transaction at their limits.

// ownEphemerals has the session own ephemerals whose paths take so many bytes in its
// closeSession, and returns how many it made.
func ownEphemerals(w *wire, parent string, bytes int) int {
	w.t.Helper()
	w.must(proto.OpCreate, create(parent, "", 0))
	const usual = 1000 // bytes of a path with its length
	n := 0
	for ; bytes > 0; n++ {
		size := usual
		if bytes < 2*usual { // the last takes what is left
			size = bytes
		}
		bytes -= size
		name := fmt.Sprintf("%s/%06d", parent, n)
		w.send(proto.OpCreate, create(name+strings.Repeat("e", size-4-len(name)), "",
			proto.FlagEphemeral))
	}
	w.flush()
	for range n {
		if p := w.recv(); p.Err != proto.OK {
			w.t.Fatal(p.Err)
		}
	}
	return n
}

// lastTxn is the last transaction of a log, and where its bytes stand.
func lastTxn(t *testing.T, log []byte) (txn proto.Txn, from, to int) {
	t.Helper()
	at := recordsOf(t, log)
	from, to = at[len(at)-2]+12, at[len(at)-1]-1
	c := jute.ReaderMax(log[from:to], to-from)
	if txn.Fields(&c); c.Err() != nil {
		t.Fatal(c.Err())
	}
	return txn, from, to
}

// A session closes, whatever it owns, and the server starts on what that left.
func TestSessionOfAnySizeCloses(t *testing.T) {
	const most = closeSessionPathBytesMax
	for _, test := range []struct {
		bytes      int
		unlisted   bool
		fieldBytes int
		logged     bool // the paths are in the transaction
	}{
		{bytes: 0, logged: true},
		{bytes: 100, logged: true},
		{bytes: 100, unlisted: true},
		{bytes: most - 1, logged: true},
		{bytes: most, logged: true},
		{bytes: most + 1},
		{bytes: 5 << 20},
		{bytes: 32<<10 - txnFixedBytes, fieldBytes: 16 << 10, logged: true},
		{bytes: 32<<10 - txnFixedBytes + 1, fieldBytes: 16 << 10},
	} {
		change := func(o *Options) {
			o.Config.CloseSessionTxn = !test.unlisted
			if test.fieldBytes > 0 {
				o.Config.JuteMaxBuffer, o.Config.JuteMaxBufferExtra = test.fieldBytes, test.fieldBytes
			}
		}
		files := wal.NewMemFS()
		s, err := Start(diskOptions(t, files, newJournal(), change))
		if err != nil {
			t.Fatal(err)
		}
		w := connectTo(t, s)
		n := ownEphemerals(w, "/own", test.bytes)
		w.must(proto.OpCloseSession)
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		d := diskOf(t, files)
		log := d.names("log.")[0]
		txn, _, to := lastTxn(t, d[log])
		if listed := txn.Body.Paths != nil; txn.Header.Type != proto.OpCloseSession ||
			listed != test.logged || listed && len(txn.Body.Paths) != n {
			t.Errorf("%+v: %v with %d of %d paths", test, txn.Header.Type, len(txn.Body.Paths), n)
		}
		closed(t, d, change, fmt.Sprintf("%+v", test))

		// And with the digest alone, which others log.
		if !test.logged {
			closed(t, d.with(log, withDigestAlone(t, d[log], to)), change, "a digest alone")
		}
	}
}

// withDigestAlone gives a log's last transaction, which has no record, its digest.
func withDigestAlone(t *testing.T, log []byte, end int) []byte {
	t.Helper()
	_, from, to := lastTxn(t, log)
	if to != end || to-from != 32 {
		t.Fatalf("the last transaction takes %d bytes", to-from)
	}
	txn := slices.Clone(log[from:to])
	txn = binary.BigEndian.AppendUint32(txn, uint32(proto.DigestVersion))
	txn = binary.BigEndian.AppendUint64(txn, 0xfedcba9876543210)
	out := slices.Clone(log[:from-12])
	out = binary.BigEndian.AppendUint64(out, uint64(adler32.Checksum(txn)))
	out = binary.BigEndian.AppendUint32(out, uint32(len(txn)))
	return append(append(out, txn...), 'B')
}

// closed checks that a server starts on the disk, and that the session and what it owned are gone.
func closed(t *testing.T, d disk, change func(*Options), of string) {
	t.Helper()
	s, j, err := d.boot(t, change)
	if err != nil {
		t.Errorf("%s: %v", of, err)
		return
	}
	w := connectTo(t, s)
	var c proto.ChildrenStat
	r := jute.Reader(w.must(proto.OpGetChildren2, get("/own", false)).body)
	c.Fields(&r)
	if len(c.Children) != 0 || j.has("unknown session") {
		t.Errorf("%s: %d ephemerals are left", of, len(c.Children))
	}
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}

// What was written under a larger jute.maxbuffer is loaded under a smaller one, from a snapshot as
// from the log.
func TestSmallerMaxBufferLoads(t *testing.T) {
	for _, snapCount := range []int{2, 100_000} {
		files := wal.NewMemFS()
		written := func(o *Options) { o.Config.SnapCount = snapCount }
		s, err := Start(diskOptions(t, files, newJournal(), written))
		if err != nil {
			t.Fatal(err)
		}
		w := connectTo(t, s)
		const size = 300_000
		for i := range 8 {
			w.must(proto.OpCreate, create(fmt.Sprintf("/%d", i), strings.Repeat("d", size), 0))
		}
		w.must(proto.OpDelete, del("/7", -1))
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		d := diskOf(t, files)
		if many := len(d.names("snapshot.")) > 1; many != (snapCount == 2) {
			t.Fatalf("snapCount %d: %q", snapCount, d.names("snapshot."))
		}
		s, j, err := d.boot(t, func(o *Options) {
			o.Config.JuteMaxBuffer, o.Config.JuteMaxBufferExtra = 4096, 1024
		})
		if err != nil {
			t.Fatal(err)
		}
		if j.has("snapshot passed over") {
			t.Error(j.text())
		}
		w = connectTo(t, s)
		for i := range 7 {
			p := w.must(proto.OpGetData, get(fmt.Sprintf("/%d", i), false))
			if got := len(dataOf(t, p).Data); got != size {
				t.Errorf("%d bytes", got)
			}
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}
}
