package gozk

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

func TestCreate(t *testing.T) {
	c := connect(t, serverAddr(t), sessionTimeout)
	r := c.root()
	for _, kind := range []struct {
		flags int32
		want  string
		owner int64
	}{
		{zk.FlagPersistent, "/plain", 0},
		{zk.FlagEphemeral, "/ephemeral", c.SessionID()},
		{zk.FlagSequence, "/sequence-0000000002", 0},
		{zk.FlagEphemeralSequential, "/both-0000000003", c.SessionID()},
	} {
		asked := r + strings.TrimRight(kind.want, "0123456789")
		if got := c.create(asked, "data", kind.flags); got != r+kind.want {
			t.Errorf("flags %d: %s, want %s", kind.flags, got, r+kind.want)
		}
		data, stat := c.get(r + kind.want)
		if data != "data" || stat.EphemeralOwner != kind.owner || stat.Czxid != stat.Mzxid ||
			stat.DataLength != 4 || stat.Version != 0 {
			t.Errorf("flags %d: %q %+v", kind.flags, data, stat)
		}
	}
	_, err := c.Create(r+"/plain", nil, 0, open)
	fails(t, "again", err, zk.ErrNodeExists)
	_, err = c.Create(r+"/none/x", nil, 0, open)
	fails(t, "without a parent", err, zk.ErrNoNode)
	_, err = c.Create(r+"/ephemeral/x", nil, 0, open)
	fails(t, "under an ephemeral", err, zk.ErrNoChildrenForEphemerals)
	_, err = c.Create(r+"/x", nil, 0, nil)
	fails(t, "without an ACL", err, zk.ErrInvalidACL)
}

func TestCreateProtected(t *testing.T) {
	c := connect(t, serverAddr(t), sessionTimeout)
	r := c.root()
	path, err := c.CreateProtectedEphemeralSequential(r+"/p-", []byte("x"), open)
	if err != nil || !strings.HasPrefix(path, r+"/_c_") ||
		!strings.HasSuffix(path, "-p-0000000000") {
		t.Fatalf("%s %v", path, err)
	}
	if _, stat := c.get(path); stat.EphemeralOwner != c.SessionID() {
		t.Errorf("%+v", stat)
	}
}

func TestCreateContainerAndTTL(t *testing.T) {
	c := connect(t, serverAddr(t), sessionTimeout)
	r := c.root()
	if path, err := c.CreateContainer(r+"/c", []byte("x"), zk.FlagContainer, open); err != nil ||
		path != r+"/c" {
		t.Errorf("container: %s %v", path, err)
	}
	path, err := c.CreateTTL(r+"/t", []byte("x"), zk.FlagTTL, open, time.Hour)
	if err != nil || path != r+"/t" {
		t.Errorf("TTL: %s %v", path, err)
	}
	path, err = c.CreateTTL(r+"/t-", nil, zk.FlagPersistentSequentialWithTTL, open, time.Hour)
	if err != nil || path != r+"/t-0000000002" {
		t.Errorf("sequential TTL: %s %v", path, err)
	}
	for _, name := range []string{"/c", "/t"} {
		if data, stat := c.get(r + name); data != "x" || stat.EphemeralOwner != 0 {
			t.Errorf("%s: %q %+v", name, data, stat)
		}
		c.create(r+name+"/child", "", 0)
	}
}

func TestSetAndDelete(t *testing.T) {
	c := connect(t, serverAddr(t), sessionTimeout)
	r := c.root()
	c.create(r+"/x", "0", 0)
	first := c.set(r+"/x", "1", 0)
	second := c.set(r+"/x", "22", -1)
	if first.Version != 1 || second.Version != 2 || second.Mzxid <= first.Mzxid ||
		second.DataLength != 2 || second.Czxid != first.Czxid {
		t.Errorf("%+v, %+v", first, second)
	}
	_, err := c.Set(r+"/x", nil, 0)
	fails(t, "old version", err, zk.ErrBadVersion)
	_, err = c.Set(r+"/none", nil, 0)
	fails(t, "set of nothing", err, zk.ErrNoNode)
	if data, stat := c.get(r + "/x"); data != "22" || stat.Version != 2 {
		t.Errorf("%q %+v", data, stat)
	}
	c.create(r+"/x/y", "", 0)
	fails(t, "with a child", c.Delete(r+"/x", -1), zk.ErrNotEmpty)
	fails(t, "wrong version", c.Delete(r+"/x/y", 9), zk.ErrBadVersion)
	c.remove(r + "/x/y")
	fails(t, "again", c.Delete(r+"/x/y", -1), zk.ErrNoNode)
	if err := c.Delete(r+"/x", 2); err != nil {
		t.Error(err)
	}
	_, _, err = c.Get(r + "/x")
	fails(t, "get of nothing", err, zk.ErrNoNode)
	_, _, err = c.Children(r + "/x")
	fails(t, "children of nothing", err, zk.ErrNoNode)
	if c.exists(r + "/x") {
		t.Error("exists after delete")
	}
}

func TestChildren(t *testing.T) {
	c := connect(t, serverAddr(t), sessionTimeout)
	r := c.root()
	const n = 2000
	var want []string
	for i := range n {
		want = append(want, numbered("a rather long name to fill the reply ", i))
		c.create(r+"/"+want[i], "", 0)
	}
	slices.Sort(want)
	if got := c.children(r); !slices.Equal(got, want) {
		t.Errorf("%d children, want %d", len(got), n)
	}
	if _, stat, err := c.Exists(r); err != nil || stat.NumChildren != n || stat.Cversion != n {
		t.Errorf("%+v %v", stat, err)
	}
}

func TestWatches(t *testing.T) {
	addr := serverAddr(t)
	c, other := connect(t, addr, sessionTimeout), connect(t, addr, sessionTimeout)
	r := c.root()
	_, _, created, err := c.ExistsW(r + "/x")
	if err != nil {
		t.Fatal(err)
	}
	_, _, kids, err := c.ChildrenW(r)
	if err != nil {
		t.Fatal(err)
	}
	other.create(r+"/x", "0", 0)
	fires(t, created, zk.EventNodeCreated, r+"/x")
	fires(t, kids, zk.EventNodeChildrenChanged, r)

	_, _, changed, err := c.GetW(r + "/x")
	if err != nil {
		t.Fatal(err)
	}
	other.set(r+"/x", "1", -1)
	fires(t, changed, zk.EventNodeDataChanged, r+"/x")
	_, _, gone, err := c.GetW(r + "/x")
	if err != nil {
		t.Fatal(err)
	}
	_, _, noKids, err := c.ChildrenW(r + "/x")
	if err != nil {
		t.Fatal(err)
	}
	_, _, untouched, err := c.GetW(r)
	if err != nil {
		t.Fatal(err)
	}
	other.remove(r + "/x")
	fires(t, gone, zk.EventNodeDeleted, r+"/x")
	fires(t, noKids, zk.EventNodeDeleted, r+"/x")
	c.exists(r)
	silent(t, untouched)
}

func TestMulti(t *testing.T) {
	c := connect(t, serverAddr(t), sessionTimeout)
	r := c.root()
	results, err := c.Multi(
		&zk.CreateRequest{Path: r + "/a", Data: []byte("0"), Acl: open},
		&zk.CreateRequest{Path: r + "/s-", Acl: open, Flags: zk.FlagSequence},
		&zk.SetDataRequest{Path: r + "/a", Data: []byte("1"), Version: 0},
		&zk.CheckVersionRequest{Path: r + "/a", Version: 1},
		&zk.CreateRequest{Path: r + "/b", Acl: open},
		&zk.DeleteRequest{Path: r + "/b", Version: 0},
	)
	if err != nil || len(results) != 6 || results[0].String != r+"/a" ||
		results[1].String != r+"/s-0000000001" || results[2].Stat.Version != 1 {
		t.Fatalf("%+v %v", results, err)
	}
	if data, stat := c.get(r + "/a"); data != "1" || stat.Czxid != stat.Mzxid {
		t.Errorf("%q %+v: one multi has one zxid", data, stat)
	}
	results, err = c.Multi(
		&zk.CreateRequest{Path: r + "/c", Acl: open},
		&zk.SetDataRequest{Path: r + "/a", Data: []byte("2"), Version: 1},
		&zk.CheckVersionRequest{Path: r + "/a", Version: 99},
		&zk.DeleteRequest{Path: r + "/a", Version: -1},
	)
	fails(t, "multi", err, zk.ErrBadVersion)
	if len(results) != 4 || results[0].Error != nil || results[1].Error != nil ||
		results[2].Error != zk.ErrBadVersion || results[3].Error == nil {
		t.Errorf("%+v", results)
	}
	if data, _ := c.get(r + "/a"); data != "1" || c.exists(r+"/c") {
		t.Errorf("a failed multi left something: %q", data)
	}
	if results, err := c.Multi(); err != nil || len(results) != 0 {
		t.Errorf("empty: %+v %v", results, err)
	}
}

func TestAuth(t *testing.T) {
	addr := serverAddr(t)
	owner, stranger := connect(t, addr, sessionTimeout), connect(t, addr, sessionTimeout)
	r := owner.root()
	if err := owner.AddAuth("digest", []byte("bob:secret")); err != nil {
		t.Fatal(err)
	}
	acl := zk.DigestACL(zk.PermAll, "bob", "secret")
	if _, err := owner.Create(r+"/mine", []byte("x"), 0, acl); err != nil {
		t.Fatal(err)
	}
	if _, err := owner.Create(r+"/auth", nil, 0, zk.AuthACL(zk.PermRead)); err != nil {
		t.Fatal(err)
	}
	got, _, err := owner.GetACL(r + "/auth")
	if err != nil || len(got) != 1 || got[0].Scheme != "digest" || got[0].Perms != zk.PermRead {
		t.Errorf("auth became %+v %v", got, err)
	}
	if data, _ := owner.get(r + "/mine"); data != "x" {
		t.Errorf("%q", data)
	}
	_, _, err = stranger.Get(r + "/mine")
	fails(t, "get", err, zk.ErrNoAuth)
	_, err = stranger.Set(r+"/mine", nil, -1)
	fails(t, "set", err, zk.ErrNoAuth)
	_, err = stranger.Create(r+"/mine/x", nil, 0, open)
	fails(t, "create", err, zk.ErrNoAuth)
	_, err = stranger.SetACL(r+"/mine", open, -1)
	fails(t, "setACL", err, zk.ErrNoAuth)
	if err := stranger.AddAuth("digest", []byte("bob:wrong")); err != nil {
		t.Fatal(err)
	}
	_, _, err = stranger.Get(r + "/mine")
	fails(t, "get with a wrong password", err, zk.ErrNoAuth)
	stat, err := owner.SetACL(r+"/mine", zk.WorldACL(zk.PermRead), 0)
	if err != nil || stat.Aversion != 1 {
		t.Errorf("%+v %v", stat, err)
	}
	if data, _ := stranger.get(r + "/mine"); data != "x" {
		t.Errorf("%q", data)
	}
}

// The client sends its identities again on a new connection.
func TestAuthOnANewConnection(t *testing.T) {
	c := connect(t, serverAddr(t), sessionTimeout)
	r := c.root()
	if err := c.AddAuth("digest", []byte("bob:secret")); err != nil {
		t.Fatal(err)
	}
	path, err := c.Create(r+"/mine", []byte("x"), 0, zk.DigestACL(zk.PermAll, "bob", "secret"))
	if err != nil {
		t.Fatal(err)
	}
	c.cut()
	c.await(zk.StateHasSession)
	if data, _ := c.get(path); data != "x" {
		t.Errorf("%q", data)
	}
}

func TestAuthOfAnUnknownScheme(t *testing.T) {
	c := connect(t, serverAddr(t), sessionTimeout)
	fails(t, "AddAuth", c.AddAuth("nope", []byte("x")), zk.ErrAuthFailed)
}

func TestSync(t *testing.T) {
	addr := serverAddr(t)
	writer, reader := connect(t, addr, sessionTimeout), connect(t, addr, sessionTimeout)
	r := writer.root()
	for i := range 50 {
		writer.set(r, numbered("", i), int32(i))
		if path, err := reader.Sync(r); err != nil || path != r {
			t.Fatalf("%s %v", path, err)
		}
		if data, _ := reader.get(r); data != numbered("", i) {
			t.Fatalf("read %q after a sync behind the write of %d", data, i)
		}
	}
}

func TestBigData(t *testing.T) {
	c := connect(t, serverAddr(t), sessionTimeout)
	r := c.root()
	big := bytes.Repeat([]byte("0123456789abcdef"), 65000) // 1,040,000 of 1,048,575 bytes
	if _, err := c.Create(r+"/big", big, 0, open); err != nil {
		t.Fatal(err)
	}
	if data, stat := c.get(r + "/big"); data != string(big) || int(stat.DataLength) != len(big) {
		t.Errorf("%d bytes came back", len(data))
	}
	// One that no frame can hold costs the connection, not the session.
	session := c.SessionID()
	_, err := c.Set(r+"/big", bytes.Repeat(big, 2), -1)
	if err == nil { // which error is a race inside the client
		t.Error("2 MB were accepted")
	}
	c.await(zk.StateHasSession)
	if data, stat := c.get(r + "/big"); data != string(big) || stat.Version != 0 ||
		c.SessionID() != session {
		t.Errorf("%d bytes, %+v", len(data), stat)
	}
}

func TestReconfigIsDisabled(t *testing.T) {
	c := connect(t, serverAddr(t), sessionTimeout)
	_, err := c.IncrementalReconfig([]string{"server.2=localhost:1:2;3"}, nil, -1)
	fails(t, "reconfig", err, zk.ErrReconfigDisabled)
}

// Its other words cannot read the date of a server since 3.5.
func TestRuok(t *testing.T) {
	addr := serverAddr(t)
	if ok := zk.FLWRuok([]string{addr}, patience); !slices.Equal(ok, []bool{true}) {
		t.Error("ruok")
	}
}
