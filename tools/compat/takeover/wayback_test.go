package takeover

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/meerkat-zk/meerkat/tools/compat/target"
)

// A Java server takes over what the check has nothing against, and what it warns of only with the
// jute.maxbuffer that it names, or not at all.
func TestWayBack(t *testing.T) {
	needsJava(t)
	// The limit of a record, and what a record of setData has beside the data.
	const limit, beside = 2 * 0xfffff, 4 + 2 + 4 + 4 + 8 + 4 + 8 + 8 + 4 + 4 + 8
	for _, c := range []struct {
		name         string
		bytes, depth int
		opens        bool
	}{
		{"the largest record", limit - beside, 0, true},
		{"a record larger by one", limit - beside + 1, 0, false},
		{"a deep tree", 0, 1000, true},
		{"a deeper tree", 0, 6000, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := target.StartKind(t, false, "jute.maxbuffer=4194304")
			fill(t, s.Addr, c.bytes, c.depth)
			s.Stop()
			said := check(t, s)
			if warned := strings.Contains(said, "a Java server"); warned == c.opens {
				t.Errorf("the check says\n%s", said)
			}
			patience := time.Minute
			if !c.opens { // it may stay, and not serve
				patience /= 4
			}
			if _, opens := openByJava(t, s, patience); opens != c.opens {
				t.Errorf("a Java server opens it: %t", opens)
			}
			if m := regexp.MustCompile(`jute\.maxbuffer=(\d+)`).FindStringSubmatch(said); m != nil {
				if out, opens := openByJava(t, s, time.Minute, "-Djute.maxbuffer="+m[1]); !opens {
					t.Errorf("with the jute.maxbuffer of %s it does not open it: %s", m[1], out)
				}
			}
			if c.depth > 1000 {
				if out, opens := openByJava(t, s, time.Minute, "-Xss64m"); !opens {
					t.Errorf("with a larger stack it does not open it: %.2000s", out)
				}
			}
		})
	}
}

// fill makes a znode of data, and a tree of a depth.
func fill(t *testing.T, addr string, bytes, depth int) {
	t.Helper()
	c, _, err := zk.Connect([]string{addr}, 20*time.Second, zk.WithLogInfo(false),
		zk.WithMaxBufferSize(8<<20), zk.WithMaxConnBufferSize(8<<20))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	create := func(path string) {
		if _, err := c.Create(path, nil, 0, zk.WorldACL(zk.PermAll)); err != nil {
			t.Fatal(err)
		}
	}
	create("/b")
	if _, err := c.Set("/b", make([]byte, bytes), -1); err != nil {
		t.Fatal(err)
	}
	for d := range depth {
		create(strings.Repeat("/a", d+1))
	}
}

// check is what Meerkat says of the directory.
func check(t *testing.T, s *target.Server) string {
	t.Helper()
	command, err := target.Command(false, filepath.Join(s.Dir, "zoo.cfg"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(command[0], append(command[1:], "--check")...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// openByJava starts a Java server on a copy of the directory, with options for its command line.
func openByJava(t *testing.T, s *target.Server, patience time.Duration, options ...string) (
	out string, opens bool) {
	t.Helper()
	j := target.Prepare(t, true)
	if err := os.Remove(j.DataDir()); err != nil { // it is empty
		t.Fatal(err)
	}
	layout{}.copyTo(t, s.Dir, j.Dir)
	err := j.TryStart(patience, options...)
	j.Kill()
	return fmt.Sprintf("%v\n%s", err, j.Output()), err == nil
}
