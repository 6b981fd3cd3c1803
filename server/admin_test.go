package server

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/server/admin"
)

// fetch asks one of a server's HTTP ports.
func fetch(t *testing.T, method string, at *admin.Server, path string) (int, string) {
	t.Helper()
	q, err := http.NewRequest(method, "http://"+at.Addr().String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Timeout: 30 * time.Second,
		Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(body)
}

func withAdmin(o *Options) {
	o.Config.Admin.Enable, o.Config.Admin.Address, o.Config.Admin.Port = true, "127.0.0.1", 0
	o.ConfigText = "tickTime=2000\n"
}

// javaFields are the fields of each command as a Java 3.8 server of its own gives them, under
// the name that it answers with.
var javaFields = map[string]string{
	"configuration": "client_port data_dir data_log_dir tick_time max_client_cnxns " +
		"min_session_timeout max_session_timeout server_id client_port_listen_backlog",
	"connection_stat_reset":          "",
	"connections":                    "connections secure_connections",
	"dirs":                           "datadir_size logdir_size",
	"dump":                           "expiry_time_to_session_ids session_id_to_ephemeral_paths",
	"get_trace_mask":                 "tracemask",
	"hash":                           "digests",
	"initial_configuration":          "initial_configuration",
	"is_read_only":                   "read_only",
	"last_snapshot":                  "zxid timestamp",
	"leader":                         "",
	"observer_connection_stat_reset": "",
	"observers":                      "synced_observers observers",
	"ruok":                           "",
	"server_stats":                   "version read_only server_stats client_response node_count",
	"stat_reset":                     "",
	"stats": "version read_only server_stats client_response node_count connections " +
		"secure_connections",
	"voting_view":     "current_config",
	"watch_summary":   "num_connections num_paths num_total_watches",
	"watches":         "session_id_to_watched_paths",
	"watches_by_path": "path_to_session_ids",
	"zabstate":        "voting zabstate",
}

func TestAdminFields(t *testing.T) {
	s := startServer(t, withAdmin)
	connectTo(t, s)
	at := s.monitor.served[0]
	for name, want := range javaFields {
		code, body := fetch(t, http.MethodGet, at, "/commands/"+name)
		var got map[string]any
		if err := json.Unmarshal([]byte(body), &got); err != nil || code != http.StatusOK {
			t.Fatalf("%s: %d %v: %s", name, code, err, body)
		}
		fields := append(strings.Fields(want), "command", "error")
		for f := range got {
			if !slices.Contains(fields, f) {
				t.Errorf("%s has a field %s", name, f)
			}
		}
		for _, f := range fields {
			if _, has := got[f]; !has {
				t.Errorf("%s has no field %s", name, f)
			}
		}
		if got["command"] != name {
			t.Errorf("%s calls itself %v", name, got["command"])
		}
		if (got["error"] == nil) == (name == "leader") {
			t.Errorf("%s has the error %v", name, got["error"])
		}
	}
	_, links := fetch(t, http.MethodGet, at, "/commands")
	for name := range javaFields {
		link := `<a href="/commands/` + name + `">` + name + "</a>\n<br/>\n"
		if !strings.Contains(links, link) {
			t.Errorf("the list lacks %q", link)
		}
	}
}

// Names, values and the ways to go wrong, word for word as Java answers.
func TestAdminAnswers(t *testing.T) {
	s := startServer(t, withAdmin)
	w := connectTo(t, s)
	w.must(proto.OpCreate, create("/e", "", proto.FlagEphemeral))
	w.must(proto.OpGetData, get("/e", true))
	id := jsonText(t, w.session.SessionID)
	for _, c := range []struct{ path, want string }{
		{"nosuch", `{"command":"nosuch","error":"Unknown command: nosuch"}`},
		{"isro", `{"read_only":false,"command":"is_read_only","error":null}`},
		{"lead", `{"command":"leader","error":"server is not initialized"}`},
		{"stmk", `{"command":"set_trace_mask",` +
			`"error":"setTraceMask requires long traceMask argument"}`},
		{"stmk?traceMask=x", `{"command":"set_trace_mask",` +
			`"error":"setTraceMask requires long traceMask argument, got x"}`},
		{"stmk?traceMask=5", `{"tracemask":5,"command":"set_trace_mask","error":null}`},
		{"gtmk", `{"tracemask":5,"command":"get_trace_mask","error":null}`},
		{"icfg", `{"initial_configuration":"tickTime=2000\n","command":"initial_configuration",` +
			`"error":null}`},
		{"wchc", `{"session_id_to_watched_paths":{"` + id + `":["/e"]},"command":"watches",` +
			`"error":null}`},
		{"wchp", `{"path_to_session_ids":{"/e":[` + id + `]},"command":"watches_by_path",` +
			`"error":null}`},
		{"wchs", `{"num_connections":1,"num_paths":1,"num_total_watches":1,` +
			`"command":"watch_summary","error":null}`},
	} {
		code, body := fetch(t, http.MethodGet, s.monitor.served[0], "/commands/"+c.path)
		var got, want any
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatalf("%s: %v: %s", c.path, err, body)
		}
		if err := json.Unmarshal([]byte(c.want), &want); err != nil {
			t.Fatal(err)
		}
		if code != http.StatusOK || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %d %s\nwant %s", c.path, code, body, c.want)
		}
	}
	for method, want := range map[string]int{http.MethodTrace: 403, http.MethodPost: 405,
		http.MethodPut: 405, http.MethodDelete: 405, http.MethodPatch: 501, "FOO": 501,
		http.MethodOptions: 200, http.MethodHead: 200} {
		if code, _ := fetch(t, method, s.monitor.served[0], "/commands/ruok"); code != want {
			t.Errorf("%s has status %d, want %d", method, code, want)
		}
	}
}

// Paths as rewriting proxies make them, answered as Java's Jetty answers them: never with a
// redirection.
func TestAdminPaths(t *testing.T) {
	s := startServer(t, withAdmin)
	for path, want := range map[string]struct {
		code int
		body string
	}{
		"/commands/ruok":             {200, `"command": "ruok"`},
		"/commands//ruok":            {200, `"Unknown command: /ruok"`},
		"/commands/ruok/":            {200, `"Unknown command: ruok/"`},
		"/commands/./ruok":           {200, `"command": "ruok"`},
		"/commands/x/../ruok":        {200, `"command": "ruok"`},
		"/commands/../commands/isro": {200, `"read_only": false`},
		"/commands/ruok;a=b":         {200, `"command": "ruok"`},
		"/commands/%72uok":           {200, `"command": "ruok"`},
		"/commands/RUOK":             {200, `"Unknown command: RUOK"`},
		"/commands/stat/x":           {200, `"Unknown command: stat/x"`},
		"/commands":                  {200, `<a href="/commands/ruok">ruok</a>`},
		"/commands/":                 {200, `<a href="/commands/ruok">ruok</a>`},
		"/commands/.":                {200, `<a href="/commands/ruok">ruok</a>`},
		"//commands":                 {404, ""},
		"//commands/ruok":            {404, ""},
		"/command":                   {404, ""},
		"/nosuch":                    {404, ""},
		"/../../etc":                 {404, ""},
		"/":                          {200, `<a href="/readyz">/readyz</a>`},
	} {
		code, body := fetch(t, http.MethodGet, s.monitor.served[0], path)
		if code != want.code || !strings.Contains(body, want.body) {
			t.Errorf("%s: %d %s\nwant %d %s", path, code, body, want.code, want.body)
		}
	}
}

// A command URL of / leaves its list there, and the probes where they were.
func TestAdminAtRoot(t *testing.T) {
	s := startServer(t, func(o *Options) {
		withAdmin(o)
		o.Config.Admin.CommandURL = "/"
	})
	for path, want := range map[string]string{"/": `<a href="/ruok">ruok</a>`,
		"/ruok": `"command": "ruok"`, "/readyz": "ok\n"} {
		if code, body := fetch(t, http.MethodGet, s.monitor.served[0], path); code != 200 ||
			!strings.Contains(body, want) {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
}

// Scripts look for the keys that Java shows (Environment.list).
func TestEnvironmentHasJavasKeys(t *testing.T) {
	s := startServer(t, withAdmin)
	var got map[string]any
	_, body := fetch(t, http.MethodGet, s.monitor.served[0], "/commands/envi")
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	for _, key := range strings.Fields("zookeeper.version host.name java.version java.vendor " +
		"java.home java.class.path java.library.path java.io.tmpdir java.compiler os.name os.arch " +
		"os.version user.name user.home user.dir os.memory.free os.memory.max os.memory.total") {
		if v, ok := got[key].(string); !ok || v == "" {
			t.Errorf("%s is %v", key, got[key])
		}
	}
}

func jsonText(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Probes say yes, or no and why; commands that need the data say that it is not there.
func TestProbes(t *testing.T) {
	s, err := Start(testOptions(t, withAdmin))
	if err != nil {
		t.Fatal(err)
	}
	at := s.monitor.served[0]
	expect := func(path string, wantCode int, want string) {
		t.Helper()
		code, body := fetch(t, http.MethodGet, at, path)
		if code != wantCode || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s, want %d %s", path, code, body, wantCode, want)
		}
	}
	expect("/livez", 200, "ok\n")
	expect("/readyz", 200, "ok\n")

	s.monitor.phase.Store(phaseLoading)
	expect("/livez", 200, "ok\n")
	expect("/readyz", 503, "the data is being loaded")
	expect("/commands/stat", 200, "This ZooKeeper instance is not currently serving requests")
	expect("/commands/monitor", 200, `"uptime"`)
	expect("/commands/envi", 200, `"zookeeper.version"`)
	s.monitor.phase.Store(phaseStopping)
	expect("/readyz", 503, "stopping")
	s.monitor.phase.Store(phaseServing)

	started := s.started
	if _, err := fromCore(&s.monitor, func(*core) error {
		s.tally.hand(handover{last: 1 << 40},
			time.Since(started).Nanoseconds()-int64(logStuckAfter+time.Second))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	expect("/readyz", 503, "writes wait: the log has not finished a batch for 11s")
	expect("/livez", 200, "ok\n")

	release := make(chan struct{}) // closed when the loop may go on
	s.loops[0].nl.Execute(func() { <-release })
	expect("/livez", 503, "no answer within 2s from: loop")
	close(release)
	expect("/livez", 200, "ok\n")

	s.fatal(errors.New("the disk is on fire"))
	expect("/livez", 503, "a write or an fsync of the log failed")
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
}

// A port that is taken is an error that names its key, and leaves nothing behind.
func TestAdminPortTaken(t *testing.T) {
	s := startServer(t, withAdmin)
	o := testOptions(t, withAdmin)
	for port := range strings.SplitAfterSeq(s.monitor.served[0].Addr().String(), ":") {
		o.Config.Admin.Port = atoi(port)
	}
	for range 2 { // the second would find the directory locked
		if _, err := Start(o); err == nil || !strings.Contains(err.Error(), "admin.serverPort") {
			t.Fatalf("it starts with %v", err)
		}
	}
}

func atoi(s string) (n int) {
	for _, c := range s {
		if c >= '0' && c <= '9' {
			n = n*10 + int(c-'0')
		}
	}
	return n
}
