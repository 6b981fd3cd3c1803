package gozk

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/meerkat-zk/meerkat/tools/compat/target"
)

// A broken connection keeps session, ephemerals and watches; what was missed comes by
// setWatches.
func TestSessionSurvivesItsConnection(t *testing.T) {
	addr := serverAddr(t)
	c, other := connect(t, addr, sessionTimeout), connect(t, addr, sessionTimeout)
	r := c.root()
	c.create(r+"/e", "", zk.FlagEphemeral)
	c.create(r+"/data", "0", 0)
	c.create(r+"/quiet", "0", 0)
	session := c.SessionID()
	_, _, missed, err := c.GetW(r + "/data")
	if err != nil {
		t.Fatal(err)
	}
	_, _, later, err := c.GetW(r + "/quiet")
	if err != nil {
		t.Fatal(err)
	}
	_, _, created, err := c.ExistsW(r + "/new")
	if err != nil {
		t.Fatal(err)
	}
	_, _, kids, err := c.ChildrenW(r)
	if err != nil {
		t.Fatal(err)
	}
	c.cut()
	other.set(r+"/data", "1", 0)
	other.create(r+"/new", "", 0)
	c.await(zk.StateHasSession)
	fires(t, missed, zk.EventNodeDataChanged, r+"/data")
	fires(t, created, zk.EventNodeCreated, r+"/new")
	fires(t, kids, zk.EventNodeChildrenChanged, r)
	other.set(r+"/quiet", "1", 0)
	fires(t, later, zk.EventNodeDataChanged, r+"/quiet")
	if c.SessionID() != session || !other.exists(r+"/e") {
		t.Errorf("session 0x%x, then 0x%x", session, c.SessionID())
	}
}

func TestCloseEndsEphemerals(t *testing.T) {
	addr := serverAddr(t)
	c, other := connect(t, addr, sessionTimeout), connect(t, addr, sessionTimeout)
	r := other.root()
	const n = 100
	for i := range n {
		c.create(numbered(r+"/e", i), "", zk.FlagEphemeral)
	}
	_, _, gone, err := other.GetW(r + "/e7")
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	fires(t, gone, zk.EventNodeDeleted, r+"/e7")
	if left := other.children(r); len(left) != 0 {
		t.Errorf("%d ephemerals are left", len(left))
	}
}

// A frozen client loses its session; the next connection learns it.
func TestExpiry(t *testing.T) {
	addr := serverAddr(t)
	c, other := connect(t, addr, sessionTimeout), connect(t, addr, sessionTimeout)
	r := other.root()
	dead := &silentClient{}
	dead.open(t, addr, 2*target.TickTimeMs*time.Millisecond)
	dead.create(r + "/e")
	_, _, gone, err := c.GetW(r + "/e")
	if err != nil {
		t.Fatal(err)
	}
	fires(t, gone, zk.EventNodeDeleted, r+"/e")
}

// Everything is there after a crash and after a stop, the session included.
func TestRestart(t *testing.T) {
	for name, end := range map[string]func(*target.Server){
		"kill": (*target.Server).Kill, "stop": (*target.Server).Stop,
	} {
		t.Run(name, func(t *testing.T) {
			server := target.Start(t)
			c := connect(t, server.Addr, sessionTimeout)
			r := c.root()
			c.create(r+"/e", "mine", zk.FlagEphemeral)
			c.create(r+"/s-", "", zk.FlagSequence)
			c.set(r, "before", -1)
			_, before := c.get(r)
			_, _, watch, err := c.GetW(r)
			if err != nil {
				t.Fatal(err)
			}
			session := c.SessionID()
			end(server)
			c.await(zk.StateDisconnected)
			server.Restart()
			c.await(zk.StateHasSession)
			if c.SessionID() != session {
				t.Errorf("session 0x%x, then 0x%x", session, c.SessionID())
			}
			data, after := c.get(r)
			if data != "before" || *after != *before {
				t.Errorf("%q %+v, was %+v", data, after, before)
			}
			if _, stat := c.get(r + "/e"); stat.EphemeralOwner != session {
				t.Errorf("ephemeral %+v", stat)
			}
			if got := c.create(r+"/s-", "", zk.FlagSequence); got != r+"/s-0000000002" {
				t.Errorf("the next number is %s", got)
			}
			c.set(r, "after", before.Version)
			fires(t, watch, zk.EventNodeDataChanged, r)
		})
	}
}

// Writes that were acknowledged before a crash are there, none is there twice.
func TestCrashUnderLoad(t *testing.T) {
	server := target.Start(t)
	c := connect(t, server.Addr, sessionTimeout)
	r := c.root()
	const writers = 8
	acknowledged := make([]int, writers)
	var group sync.WaitGroup
	halfway := make(chan struct{}, writers)
	for w := range writers {
		c.create(numbered(r+"/w", w), "", 0)
		group.Go(func() {
			for i := 0; ; i++ {
				path := numbered(r+"/w", w) + "/" + strconv.Itoa(i)
				if _, err := c.Create(path, nil, 0, open); err != nil {
					return
				}
				if acknowledged[w] = i + 1; i == 100 {
					halfway <- struct{}{}
				}
			}
		})
	}
	for range writers {
		<-halfway
	}
	server.Kill()
	group.Wait()
	server.Restart()
	c.await(zk.StateHasSession)
	for w := range writers {
		n := len(c.children(numbered(r+"/w", w)))
		if n < acknowledged[w] || n > acknowledged[w]+1 {
			t.Errorf("writer %d: %d were acknowledged, %d are there", w, acknowledged[w], n)
		}
	}
}
