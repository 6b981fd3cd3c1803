package server

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/tree"
	"github.com/meerkat-zk/meerkat/wal"
)

// A snapshot that holds more than its name says, as Java's do, at the worst all that came later:
// whatever its zxid, the server starts, has everything once, and leaves an exact snapshot. The
// znodes of a quota are in no digest, and they come last: the digest fits before they apply.
func TestSnapshotAheadOfItsName(t *testing.T) {
	files := wal.NewMemFS()
	s, err := Start(diskOptions(t, files, newJournal(), nil))
	if err != nil {
		t.Fatal(err)
	}
	w := connectTo(t, s)
	const n = 4
	for i := range n {
		w.must(proto.OpCreate, create(fmt.Sprintf("/%d", i), fmt.Sprintf("value %d", i), 0))
	}
	for _, path := range []string{"", "/zookeeper_limits", "/zookeeper_stats"} {
		w.must(proto.OpCreate, create("/zookeeper/quota/1"+path, "count=5,bytes=50", 0))
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	root := s.core.head.Freeze()
	var ahead bytes.Buffer
	if err := root.WriteSnapshot(&ahead, tree.SnapshotOptions{Digest: true}); err != nil {
		t.Fatal(err)
	}
	written := diskOf(t, files)
	for _, name := range written.names("snapshot.") {
		written = written.with(name, nil)
	}
	for from := range root.Zxid() {
		name := filepath.Join(diskDir, "version-2", fmt.Sprintf("snapshot.%x", int64(from)))
		s, said, err := written.with(name, ahead.Bytes()).boot(t, nil)
		if err != nil {
			t.Fatalf("from %v: %v", from, err)
		}
		digest := make(chan int64, 1) // the core sends once: the head is its own
		s.inbox.put(func(b *inbox) {
			b.calls = append(b.calls, func(c *core) { digest <- c.head.Digest() })
		})
		if got, want := <-digest, root.Digest(); got != want {
			t.Errorf("from %v: digest %x, want %x", from, got, want)
		}
		said.await(t, "snapshot written", fmt.Sprintf("snapshot.%x", int64(root.Zxid())))
		if err := holds(t, s, n); err != nil {
			t.Errorf("from %v: %v", from, err)
		}
	}
}

// A data directory with TTL znodes is refused when they would be taken for ephemerals.
func TestForgottenExtendedTypes(t *testing.T) {
	for _, snapshot := range []int{2, 100_000} { // from the snapshot, from the log
		extended := func(on bool) func(*Options) {
			return func(o *Options) { o.Config.ExtendedTypes, o.Config.SnapCount = on, snapshot }
		}
		files := wal.NewMemFS()
		s, err := Start(diskOptions(t, files, newJournal(), extended(true)))
		if err != nil {
			t.Fatal(err)
		}
		w := connectTo(t, s)
		w.must(proto.OpCreateTTL, createTTL("/ttl", proto.FlagPersistentTTL, 1_000_000))
		for i := range 8 {
			w.must(proto.OpCreate, create(fmt.Sprintf("/%d", i), "", 0))
		}
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		d := diskOf(t, files)
		if _, _, err := d.boot(t, extended(false)); err == nil ||
			!strings.Contains(err.Error(), "/ttl is a znode with a TTL") {
			t.Fatalf("started without the setting: %v", err)
		}
		s, _, err = d.boot(t, extended(true))
		if err != nil {
			t.Fatal(err)
		}
		connectTo(t, s).must(proto.OpGetData, get("/ttl", false))
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}
