package zoocfg

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// loadAs reads a file of a server with this myid; "-" stands for no such file. DIR in what it
// says is the directory.
func loadAs(t *testing.T, myid, text string) (c *Config, said string) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "zoo.cfg")
	if err := os.WriteFile(path, []byte("dataDir="+dir+"\n"+text), 0o600); err != nil {
		t.Fatal(err)
	}
	if myid != "-" {
		if err := os.WriteFile(filepath.Join(dir, "myid"), []byte(myid), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, warnings, err := Load(path)
	var lines []string
	for _, w := range warnings {
		lines = append(lines, w.String())
	}
	if err != nil {
		lines = append(lines, err.Error())
	}
	return c, strings.ReplaceAll(strings.Join(lines, "\n"), dir, "DIR")
}

// Every mixture of the keys of the client port and this server's line, as Java 3.8 takes it.
func TestClientAddrOfTheLine(t *testing.T) {
	const line = "server.1=127.0.0.1:2888:3888;"
	for _, c := range []struct{ text, want string }{
		{line + "2181", "0.0.0.0:2181"},
		{line + "2181\nclientPort=2181", "0.0.0.0:2181"},
		{line + "127.0.0.1:2181\nclientPort=2181", "127.0.0.1:2181"},
		{line + "127.0.0.1:2181\nclientPort=2181\nclientPortAddress=0.0.0.0", "127.0.0.1:2181"},
		{line + "127.0.0.1:2181\nclientPort=2181\nclientPortAddress=::", "127.0.0.1:2181"},
		{line + "127.0.0.1:2181\nclientPort=2181\nclientPortAddress=localhost", "127.0.0.1:2181"},
		{line + "[::1]:2181\nclientPort=2181\nclientPortAddress=[::1]", "[::1]:2181"},
		{"server.1=127.0.0.1:2888:3888\nclientPort=2181\nclientPortAddress=::1", "[::1]:2181"},
		{"server.2=127.0.0.1:2888:3888;7\nclientPort=2181", ":2181"},
	} {
		cfg, said := loadAs(t, "1\n", c.text)
		if cfg == nil {
			t.Errorf("%q: %s", c.text, said)
			continue
		}
		if addr, ok := cfg.ClientAddr(); addr != c.want || !ok {
			t.Errorf("%q: clients at %s %v, want %s", c.text, addr, ok, c.want)
		}
	}
	for _, c := range []struct{ text, want string }{
		{line + "2181\nclientPort=2182", "2: server.1: clients are heard on 0.0.0.0:2181 by " +
			"this line, but on 0.0.0.0:2182 by clientPort: leave one of them out"},
		{line + "2181\nclientPort=2181\nclientPortAddress=127.0.0.1", "2: server.1: clients " +
			"are heard on 0.0.0.0:2181 by this line, but on 127.0.0.1:2181 by clientPort: " +
			"leave one of them out"},
		{line + "127.0.0.2:2181\nclientPort=2181\nclientPortAddress=127.0.0.1", "2: server.1: " +
			"clients are heard on 127.0.0.2:2181 by this line, but on 127.0.0.1:2181 by " +
			"clientPort: leave one of them out"},
		{line + "1;2\nsecureClientPort=3", "2: server.1: clients are heard on 0.0.0.0:2 by this " +
			"line, but on 0.0.0.0:3 by secureClientPort: leave one of them out"},
	} {
		if _, said := loadAs(t, "1", c.text); said != "DIR/zoo.cfg:"+c.want {
			t.Errorf("%q:\n got %s\nwant %s", c.text, said, c.want)
		}
	}
	if cfg, said := loadAs(t, "1", line+"1;127.0.0.1:2"); cfg == nil || cfg.SecureClientPort != 2 ||
		cfg.SecureClientPortAddress != "127.0.0.1" {
		t.Errorf("the secure port of the line: %s", said)
	}
}

func TestMyID(t *testing.T) {
	const lone = "clientPort=1\nserver.1=h:1:2\n"
	const one = lone + "standaloneEnabled=false\ninitLimit=5\nsyncLimit=2\n"
	for _, c := range []struct{ myid, text, want string }{
		{"-", lone, ""},
		{"1\r\nthe rest", one, ""},
		{"", lone, `DIR/myid:1: "" is not the id of a server: the file has the N of this ` +
			"server's line server.N and nothing else"},
		{" 1", lone, `DIR/myid:1: " 1" is not the id of a server: the file has the N of this ` +
			"server's line server.N and nothing else"},
		{"-", one, "DIR/zoo.cfg: DIR/myid is missing: it has the id of this server's line"},
		{"4", one, "DIR/myid:1: the id is 4, but there is no server.4"},
		{"-", "server.1=h:1:2;3", "DIR/zoo.cfg:2: server.1: its client address is not used, for " +
			"DIR/myid, which would say that the line is this server's, is missing"},
		{"1", one + "leaderServes=no", "DIR/zoo.cfg:7: leaderServes: is no, but this server is " +
			"the only voter and so always leads: nobody would serve"},
	} {
		if _, said := loadAs(t, c.myid, c.text); said != c.want {
			t.Errorf("%q, %q:\n got %s\nwant %s", c.myid, c.text, said, c.want)
		}
	}
}

func TestAlone(t *testing.T) {
	for _, c := range []struct {
		text  string
		alone bool
	}{
		{"", true},
		{"server.1=h:1:2", true},
		{"server.1=h:1:2\nstandaloneEnabled=false", true},
		{"server.1=h:1:2\nserver.2=h:1:2:observer\nstandaloneEnabled=false", true},
		{"server.2=h:1:2\nserver.1=h:1:2:observer\nstandaloneEnabled=false", false},
		{"server.1=h:1:2\nserver.2=i:1:2", false},
		{"server.1=h:1:2\nstandaloneEnabled=false\ngroup.1=1\nweight.1=0", false},
		{"server.1=h:1:2\nstandaloneEnabled=false\ngroup.1=1\nweight.1=2", true},
	} {
		cfg, said := loadAs(t, "1", "clientPort=1\ninitLimit=5\nsyncLimit=2\n"+c.text)
		if cfg == nil || cfg.Alone() != c.alone {
			t.Errorf("%q: %s", c.text, said)
		}
	}
}

func TestMembership(t *testing.T) {
	for text, want := range map[string]string{
		"server.7=127.0.0.1:1:2\nclientPort=3": "server.7=127.0.0.1:1:2:participant\nversion=0",
		"server.2=b:1:2:observer;[::1]:3\nserver.1=[::1]:1:2;3\nclientPort=9": "server.1=[::1]:" +
			"1:2:participant;0.0.0.0:3\nserver.2=b:1:2:observer;[::1]:3\nversion=0",
		"server.1=a:1:2\nserver.2=b:1:2\ngroup.5=1:2\nweight.2=4\nclientPort=3": "server.1=a:1:2:" +
			"participant\nserver.2=b:1:2:participant\ngroup.5=1:2\nweight.1=1\nweight.2=4\n" +
			"version=0",
	} {
		c, _, err := parse("standaloneEnabled=false\ninitLimit=1\nsyncLimit=1\n" + text)
		if err != nil || c.Quorum.Membership() != want {
			t.Errorf("%q: %v\n%s", text, err, c.Quorum.Membership())
		}
	}
}
