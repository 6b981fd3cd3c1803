package names

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/meerkat-zk/meerkat/tools/compat/target"
)

func TestMain(m *testing.M) { os.Exit(target.Main(m)) }

func needsPeers(t *testing.T) {
	t.Helper()
	if os.Getenv("COMPAT") == "" {
		t.Skip("it needs a Java server and promtool: run make compat, or set COMPAT=1")
	}
}

// load does a little of everything that is counted.
func load(t *testing.T, addr string) {
	t.Helper()
	c, _, err := zk.Connect([]string{addr}, 4*time.Second, zk.WithLogInfo(false),
		zk.WithLogger(quiet{}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	open := zk.WorldACL(zk.PermAll)
	for _, p := range []string{"/a", "/a/b", "/zookeeper/quota/a"} {
		if _, err := c.Create(p, nil, 0, open); err != nil {
			t.Fatal(p, err)
		}
	}
	for _, x := range []struct{ path, data string }{
		{"/zookeeper/quota/a/zookeeper_limits", "count=-1,bytes=1000=;byteHardLimit=-1;countHardLimit=5"},
		{"/zookeeper/quota/a/zookeeper_stats", "count=0,bytes=0"},
	} {
		if _, err := c.Create(x.path, []byte(x.data), 0, open); err != nil {
			t.Fatal(x.path, err)
		}
	}
	for _, do := range []func() error{
		func() error { _, _, _, err := c.GetW("/a"); return err },
		func() error { _, _, _, err := c.ChildrenW("/a"); return err },
		func() error { _, err := c.Set("/a", []byte("x"), -1); return err },
		func() error { _, err := c.Multi(&zk.CreateRequest{Path: "/a/c", Acl: open}); return err },
		func() error { return c.Delete("/a/c", -1) },
		func() error { // more than the hard limit allows
			for i := range 10 {
				if _, err := c.Create(fmt.Sprint("/a/", i), nil, 0, open); err != nil {
					return nil
				}
			}
			return errors.New("a hard quota has no effect")
		},
		func() error { _, err := c.Sync("/a"); return err },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}

// mntr returns each name with the form of its value.
func mntr(t *testing.T, s *target.Server) map[string]string {
	t.Helper()
	text, err := s.Word("mntr")
	if err != nil {
		t.Fatal(err)
	}
	forms := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if !ok {
			t.Fatalf("mntr prints %q", line)
		}
		forms[name] = form(value)
	}
	return forms
}

var (
	whole   = regexp.MustCompile(`^-?\d+$`)
	decimal = regexp.MustCompile(`^-?\d+\.\d+$`)
)

func form(value string) string {
	switch {
	case whole.MatchString(value):
		return "whole"
	case decimal.MatchString(value):
		return "decimal"
	}
	return "text"
}

// start runs a server that may be in an ensemble of its own.
func start(t *testing.T, java bool, lines ...string) *target.Server {
	t.Helper()
	s := target.Prepare(t, java, lines...)
	if err := os.WriteFile(filepath.Join(s.DataDir(), "myid"), []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.Restart()
	return s
}

// freeAddr is an address of loopback that nobody listens on now.
func freeAddr(t *testing.T) *net.TCPAddr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr)
}

// prometheus are the lines that have Meerkat serve metrics on an address.
func prometheus(at *net.TCPAddr) []string {
	return []string{
		"metricsProvider.className=org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider",
		"metricsProvider.httpHost=127.0.0.1", fmt.Sprintf("metricsProvider.httpPort=%d", at.Port),
	}
}

func scrape(t *testing.T, at *net.TCPAddr) string {
	t.Helper()
	r, err := http.Get("http://" + at.String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatal(r.Status, err)
	}
	return string(body)
}

// TestNames fails for every name that a Java server prints in the same role after a little of
// everything and Meerkat does not, in mntr or for Prometheus, and for every value of another form.
func TestNames(t *testing.T) {
	needsPeers(t)
	for _, x := range []struct {
		mode  string
		least int // names that Java 3.8.0 prints, at least
		lines []string
	}{
		{"standalone", 480, nil},
		{"leader", 490, []string{"standaloneEnabled=false", "initLimit=10", "syncLimit=5",
			fmt.Sprintf("server.1=127.0.0.1:%d:%d", freeAddr(t).Port, freeAddr(t).Port)}},
	} {
		t.Run(x.mode, func(t *testing.T) {
			lines, at := slices.Concat(x.lines, []string{"enforceQuota=true"}), freeAddr(t)
			java, ours := start(t, true, lines...), start(t, false, slices.Concat(lines, prometheus(at))...)
			load(t, java.Addr)
			load(t, ours.Addr)
			want, got := mntr(t, java), mntr(t, ours)
			if leads := want["zk_quorum_size"] != ""; len(want) < x.least || leads != (x.mode == "leader") {
				t.Fatalf("the Java server prints %d names; leader: %v", len(want), leads)
			}
			for name, form := range want {
				switch have, ok := got[name]; {
				case !ok:
					t.Errorf("%s is not printed", name)
				case have != form:
					t.Errorf("%s is %s, Java's is %s", name, have, form)
				}
			}
			page := scrape(t, at)
			for name, isSummary := range families(want) {
				kind := regexp.MustCompile("(?m)^# TYPE " + name + " (gauge|counter|summary)$").
					FindStringSubmatch(page)
				if kind == nil || isSummary != (kind[1] == "summary") {
					t.Errorf("for Prometheus %s is %q; a summary: %v", name, kind, isSummary)
				}
			}
		})
	}
}

var (
	part   = regexp.MustCompile(`^(?:avg|min|max|cnt|sum|p50|p95|p99|p999)_(.*)$`)
	member = regexp.MustCompile(`^.*_((?:read|write|quota_\w+)_per_namespace)$`)
)

// families are the families of Prometheus behind the names of mntr, and whether each is a
// summary. Debian has no PrometheusMetricsProvider to ask; these are the names that it makes.
func families(mntr map[string]string) map[string]bool {
	all := map[string]bool{}
	for name := range mntr {
		name = strings.TrimPrefix(name, "zk_")
		m := part.FindStringSubmatch(name)
		isSummary := m != nil && mntr["zk_cnt_"+m[1]] != ""
		if isSummary {
			name = m[1]
		}
		if m := member.FindStringSubmatch(name); m != nil {
			name = m[1]
		}
		switch name {
		case "version", "server_state", "peer_state": // texts
		default:
			all[name] = isSummary
		}
	}
	return all
}

// style is what promtool's linter says of Java's names, and of ours that follow them. Anything
// else that it says fails.
var style = regexp.MustCompile(`counter metrics should have "_total" suffix$|` +
	`non-histogram and non-summary metrics should not have "_count" suffix$|` +
	`metric names should not contain abbreviated units$`)

// TestPromtool has Prometheus's own tool read the endpoint: what it cannot parse or finds
// inconsistent fails.
func TestPromtool(t *testing.T) {
	needsPeers(t)
	at := freeAddr(t)
	s := start(t, false, append(prometheus(at), "enforceQuota=true")...)
	load(t, s.Addr)
	cmd := exec.Command("promtool", "check", "metrics")
	cmd.Stdin = strings.NewReader(scrape(t, at))
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	const lintIssues = 3
	if code := cmd.ProcessState.ExitCode(); code != 0 && code != lintIssues {
		t.Errorf("promtool ends with %d", code)
	}
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSpace(line); line != "" && !style.MatchString(line) {
			t.Errorf("promtool: %s", line)
		}
	}
}
