package gozk

import (
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/go-zookeeper/zk"
)

// A thousand operations in flight on one connection: all answered, each of them once.
func TestPipeline(t *testing.T) {
	c := connect(t, serverAddr(t), sessionTimeout)
	r := c.root()
	const n = 1000
	paths := make([]string, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			path, err := c.Create(r+"/s-", []byte(strconv.Itoa(i)), zk.FlagSequence, open)
			if err != nil {
				t.Errorf("create %d: %v", i, err)
				return
			}
			paths[i] = path
			if data, _, err := c.Get(path); err != nil || string(data) != strconv.Itoa(i) {
				t.Errorf("%s is %q %v, want %d", path, data, err, i)
			}
		})
	}
	group.Wait()
	slices.Sort(paths)
	if paths = slices.Compact(paths); len(paths) != n || paths[0] != r+"/s-0000000000" ||
		paths[n-1] != r+"/s-0000000999" {
		t.Errorf("%d names, %s to %s", len(paths), paths[0], paths[len(paths)-1])
	}
}

// A reader never steps back, and reads its own write.
func TestOrder(t *testing.T) {
	addr := serverAddr(t)
	writer := connect(t, addr, sessionTimeout)
	r := writer.root()
	const n = 500
	done := make(chan struct{})
	var group sync.WaitGroup
	for range 4 {
		reader := connect(t, addr, sessionTimeout)
		group.Go(func() {
			var last int32 = -1
			var zxid int64
			for {
				_, stat, err := reader.Get(r)
				if err != nil || stat.Version < last || stat.Mzxid < zxid {
					t.Errorf("version %d after %d: %v", stat.Version, last, err)
					return
				}
				last, zxid = stat.Version, stat.Mzxid
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := range n {
		writer.set(r, numbered("", i), int32(i))
		if data, _ := writer.get(r); data != numbered("", i) {
			t.Fatalf("read %q after writing %d", data, i)
		}
	}
	close(done)
	group.Wait()
}

// A write that was acknowledged is seen by every other connection of the server.
func TestAcknowledgedIsSeen(t *testing.T) {
	addr := serverAddr(t)
	writer := connect(t, addr, sessionTimeout)
	r := writer.root()
	readers := make([]*client, 8)
	for i := range readers {
		readers[i] = connect(t, addr, sessionTimeout)
	}
	for i := range 200 {
		writer.set(r, numbered("", i), int32(i))
		reader := readers[i%len(readers)]
		if data, _ := reader.get(r); data != numbered("", i) {
			t.Fatalf("reader %d sees %q after %d was acknowledged", i%len(readers), data, i)
		}
	}
}

// The client's own recipe, by several sessions: never two holders, and all get their turn.
func TestLock(t *testing.T) {
	addr := serverAddr(t)
	c := connect(t, addr, sessionTimeout)
	r := c.root()
	c.create(r+"/counter", "0", 0)
	const sessions, rounds = 4, 10
	var group sync.WaitGroup
	for range sessions {
		mine := connect(t, addr, sessionTimeout)
		group.Go(func() {
			for range rounds {
				lock := zk.NewLock(mine.Conn, r+"/lock", open)
				if err := lock.Lock(); err != nil {
					t.Error(err)
					return
				}
				data, stat := mine.get(r + "/counter")
				n, err := strconv.Atoi(data)
				if err != nil {
					t.Error(err)
				}
				mine.set(r+"/counter", strconv.Itoa(n+1), stat.Version)
				if err := lock.Unlock(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if data, _ := c.get(r + "/counter"); data != strconv.Itoa(sessions*rounds) {
		t.Errorf("counter %s, want %d", data, sessions*rounds)
	}
}
