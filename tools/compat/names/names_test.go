package names

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
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
		{"/zookeeper/quota/a/zookeeper_limits", "count=100,bytes=1000"},
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

// wanted are differences, each with its reason. A pattern covers all names of a family.
var wanted = []struct {
	name   *regexp.Regexp
	reason string
}{
	{regexp.MustCompile(`_(read|write)_per_namespace$`),
		"Java counts each request by the first part of its path, on the way of every read"},
	{regexp.MustCompile(`_jvm_|^jvm_`), "there is no JVM"},
}

// TestMntrHasJavasNames fails for every name that a Java server prints after a little of
// everything and Meerkat does not, and for every value of another form.
func TestMntrHasJavasNames(t *testing.T) {
	needsPeers(t)
	forms := map[bool]map[string]string{}
	for _, java := range []bool{true, false} {
		s := target.StartKind(t, java)
		load(t, s.Addr)
		forms[java] = mntr(t, s)
	}
	if n := len(forms[true]); n < 400 {
		t.Fatalf("the Java server prints %d names only", n)
	}
	for name, want := range forms[true] {
		got, ok := forms[false][name]
		if ok && got == want {
			continue
		}
		reason := ""
		for _, w := range wanted {
			if w.name.MatchString(name) {
				reason = w.reason
			}
		}
		switch {
		case reason != "":
			t.Logf("%s: %s", name, reason)
		case !ok:
			t.Errorf("%s is not printed", name)
		default:
			t.Errorf("%s is %s, Java's is %s", name, got, want)
		}
	}
}

// style is what promtool's linter says of Java's names, and of ours that follow them. Anything
// else that it says fails.
var style = regexp.MustCompile(`counter metrics should have "_total" suffix$|` +
	`non-histogram and non-summary metrics should not have "_count" suffix$|` +
	`metric names should not contain abbreviated units$`)

// TestPromtoolReadsMetrics has Prometheus's own tool read the endpoint: what it cannot parse or
// finds inconsistent fails.
func TestPromtoolReadsMetrics(t *testing.T) {
	needsPeers(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s := target.StartKind(t, false,
		"metricsProvider.className=org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider",
		"metricsProvider.httpHost=127.0.0.1", fmt.Sprintf("metricsProvider.httpPort=%d", addr.Port))
	load(t, s.Addr)
	r, err := http.Get("http://" + addr.String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("promtool", "check", "metrics")
	cmd.Stdin = bytes.NewReader(body)
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
