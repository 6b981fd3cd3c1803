package gozk

import (
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/meerkat-zk/meerkat/tools/compat/target"
)

// patience is how long anything may take; it ends a test, it decides nothing.
const patience = 30 * time.Second

// sessionTimeout is the longest that servers of package target grant.
const sessionTimeout = 20 * target.TickTimeMs * time.Millisecond

func TestMain(m *testing.M) { os.Exit(target.Main(m)) }

// serverAddr is a server that the test may fill, but not stop.
func serverAddr(t *testing.T) string {
	if addr := os.Getenv("MEERKAT_ADDR"); addr != "" {
		return addr
	}
	return target.Start(t, "extendedTypesEnabled=true").Addr
}

// A client is a connected session, and what the tests need to disturb it.
type client struct {
	*zk.Conn
	t      *testing.T
	events <-chan zk.Event

	mu   sync.Mutex
	conn net.Conn // the current socket
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}

// connect opens a session, closed when the test ends.
func connect(t *testing.T, addr string, timeout time.Duration) *client {
	t.Helper()
	c := &client{t: t}
	dial := func(network, address string, timeout time.Duration) (net.Conn, error) {
		conn, err := net.DialTimeout(network, address, timeout)
		c.mu.Lock()
		c.conn = conn
		c.mu.Unlock()
		return conn, err
	}
	var err error
	c.Conn, c.events, err = zk.Connect([]string{addr}, timeout,
		zk.WithDialer(dial), zk.WithLogger(quiet{}), zk.WithMaxConnBufferSize(4<<20))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	c.await(zk.StateHasSession)
	return c
}

// cut breaks the connection under the client, which will come back.
func (c *client) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		_ = c.conn.Close() // the client may have closed it itself
	}
}

// await reads session events until the state is reached.
func (c *client) await(want zk.State) {
	c.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case e, open := <-c.events:
			if e.State == want && e.Type == zk.EventSession {
				return
			}
			if !open {
				c.t.Fatalf("the session ended before %s", want)
			}
		case <-deadline:
			c.t.Fatalf("no %s within %s", want, patience)
		}
	}
}

// root makes a znode of this test's own.
func (c *client) root() string {
	c.t.Helper()
	path := c.create("/gozk-", "", zk.FlagSequence)
	return path
}

var open = zk.WorldACL(zk.PermAll)

func (c *client) create(path, data string, flags int32) string {
	c.t.Helper()
	got, err := c.Create(path, []byte(data), flags, open)
	if err != nil {
		c.t.Fatalf("create %s: %v", path, err)
	}
	return got
}

func (c *client) set(path, data string, version int32) *zk.Stat {
	c.t.Helper()
	stat, err := c.Set(path, []byte(data), version)
	if err != nil {
		c.t.Fatalf("set %s: %v", path, err)
	}
	return stat
}

func (c *client) get(path string) (string, *zk.Stat) {
	c.t.Helper()
	data, stat, err := c.Get(path)
	if err != nil {
		c.t.Fatalf("get %s: %v", path, err)
	}
	return string(data), stat
}

func (c *client) remove(path string) {
	c.t.Helper()
	if err := c.Delete(path, -1); err != nil {
		c.t.Fatalf("delete %s: %v", path, err)
	}
}

func (c *client) children(path string) []string {
	c.t.Helper()
	names, _, err := c.Children(path)
	if err != nil {
		c.t.Fatalf("children %s: %v", path, err)
	}
	slices.Sort(names)
	return names
}

func (c *client) exists(path string) bool {
	c.t.Helper()
	is, _, err := c.Exists(path)
	if err != nil {
		c.t.Fatalf("exists %s: %v", path, err)
	}
	return is
}

// fails demands an error.
func fails(t *testing.T, what string, err, want error) {
	t.Helper()
	if err != want {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// fires demands an event on a watch.
func fires(t *testing.T, watch <-chan zk.Event, want zk.EventType, path string) {
	t.Helper()
	select {
	case e := <-watch:
		if e.Type != want || e.Path != path {
			t.Errorf("event %s %s %v, want %s %s", e.Type, e.Path, e.Err, want, path)
		}
	case <-time.After(patience):
		t.Fatalf("no event %s %s", want, path)
	}
}

// silent demands that a watch did not fire; a round trip has made sure that it would have.
func silent(t *testing.T, watch <-chan zk.Event) {
	t.Helper()
	select {
	case e := <-watch:
		t.Errorf("event %s %s %v", e.Type, e.Path, e.Err)
	default:
	}
}

func numbered(prefix string, n int) string { return fmt.Sprintf("%s%d", prefix, n) }
