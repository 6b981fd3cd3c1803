package server

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/server/zoocfg"
)

// configured loads a zoo.cfg of the server 7; PORT in it is a port that was free just now.
func configured(t *testing.T, text string) (change func(*Options), port int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port = portOf(l.Addr())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	text = "dataDir=" + dir + "\ninitLimit=5\nsyncLimit=2\n4lw.commands.whitelist=*\n" + text
	text = strings.ReplaceAll(text, "PORT", strconv.Itoa(port))
	path := filepath.Join(dir, "zoo.cfg")
	for name, text := range map[string]string{"zoo.cfg": text, "myid": "7\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, warnings, err := zoocfg.Load(path)
	if err != nil || warnings != nil {
		t.Fatalf("%q: %v %v", text, warnings, err)
	}
	return func(o *Options) { o.Config = cfg }, port
}

// listeners are the hosts on which this machine listens at a port, from the kernel's tables.
func listeners(t *testing.T, port int) (hosts []string) {
	t.Helper()
	const listening = "0A"
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile("/proc/self/net/" + table)
		if errors.Is(err, os.ErrNotExist) {
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if len(f) < 4 || f[3] != listening ||
				!strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
				continue
			}
			raw, err := hex.DecodeString(strings.Split(f[1], ":")[0])
			if err != nil {
				t.Fatal(err)
			}
			for word := range slices.Chunk(raw, 4) { // each is in the machine's order
				binary.NativeEndian.PutUint32(word, binary.BigEndian.Uint32(word))
			}
			ip, _ := netip.AddrFromSlice(raw)
			hosts = append(hosts, ip.Unmap().String())
		}
	}
	return hosts
}

func TestClientPortIsWhereTheFileSays(t *testing.T) {
	for text, want := range map[string]string{
		"server.7=127.0.0.1:2888:3888;PORT":                                         "::",
		"server.7=127.0.0.1:2888:3888;127.0.0.1:PORT\nclientPort=PORT":              "127.0.0.1",
		"server.7=127.0.0.1:2888:3888;[::1]:PORT":                                   "::1",
		"clientPortAddress=[::1]\nclientPort=PORT":                                  "::1",
		"clientPortAddress=127.0.0.1\nclientPort=PORT":                              "127.0.0.1",
		"server.8=127.0.0.1:2888:3888;127.0.0.2:PORT\nclientPort=PORT":              "::",
		"server.7=127.0.0.1:2888:3888\nclientPortAddress=::1\nclientPort=PORT":      "::1",
		"server.7=127.0.0.1:1:2;127.0.0.1:PORT\nstandaloneEnabled=false":            "127.0.0.1",
		"server.7=127.0.0.1:1:2;127.0.0.1:PORT\nclientPort=PORT\npeerType=observer": "127.0.0.1",
	} {
		change, port := configured(t, text)
		s, err := Start(testOptions(t, change))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if hosts := listeners(t, port); !slices.Equal(hosts, []string{want}) {
			t.Errorf("%q: it listens on %v, want %s", text, hosts, want)
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}
}

// The only voter of an ensemble is its leader, for clients and for who watches it.
func TestLeaderOfOne(t *testing.T) {
	change, port := configured(t, "standaloneEnabled=false\nclientPort=PORT\n"+
		"clientPortAddress=127.0.0.1\nserver.7=127.0.0.1:2888:3888\n")
	s := startServer(t, change)
	for name, want := range map[string]string{
		"srvr": "\nMode: leader\n", "stat": "\nMode: leader\n", "mntr": "zk_server_state\tleader\n",
		"conf": "serverId=7\ninitLimit=5\nsyncLimit=2\nelectionAlg=3\nelectionPort=3888\n" +
			"quorumPort=2888\npeerType=0\nmembership: \n" +
			"server.7=127.0.0.1:2888:3888:participant\nversion=0",
	} {
		if got := word(t, s, name); !strings.Contains(got, want) {
			t.Errorf("%s: want %q in\n%s", name, want, got)
		}
	}
	w := connectTo(t, s)
	if id := w.session.SessionID >> 56; id != 7 {
		t.Errorf("the session 0x%x is not of server 7", w.session.SessionID)
	}
	w.must(proto.OpCreate, create("/a", "x", 0))
	const members = "server.7=127.0.0.1:2888:3888:participant\nversion=0"
	if got := dataOf(t, w.must(proto.OpGetData, get("/zookeeper/config", false))); string(
		got.Data) != members {
		t.Errorf("/zookeeper/config is %q", got.Data)
	}
	if hosts := listeners(t, port); !slices.Equal(hosts, []string{"127.0.0.1"}) {
		t.Errorf("it listens on %v", hosts)
	}
}

func TestSeveralVotersAreRefused(t *testing.T) {
	for _, text := range []string{
		"clientPort=PORT\nserver.7=h:1:2\nserver.8=i:1:2\nserver.9=j:1:2\n",
		"clientPort=PORT\nstandaloneEnabled=false\nserver.7=h:1:2:observer\nserver.8=i:1:2\n",
	} {
		text = "dataDir=/d\ninitLimit=5\nsyncLimit=2\n" + strings.ReplaceAll(text, "PORT", "1")
		cfg, _, err := zoocfg.Parse("zoo.cfg", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		cfg.Quorum.MyID = 7
		s, err := Start(testOptions(t, func(o *Options) { o.Config = cfg }))
		if !errors.Is(err, ErrConfig) {
			t.Errorf("%q: %v %v", text, s, err)
		}
	}
}
