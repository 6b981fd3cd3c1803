package server

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/server/zoocfg"
)

// mntr reads the word as Telegraf does: each line by this pattern, or it gives up.
func mntr(t *testing.T, s *Server) map[string]string {
	t.Helper()
	line := regexp.MustCompile(`^zk_(\w[\w\.\-]*)\s+([\w\.\-]+)`)
	out := map[string]string{}
	for l := range strings.Lines(word(t, s, "mntr")) {
		parts := line.FindStringSubmatch(l)
		if parts == nil {
			t.Fatalf("a parser would give up at %q", l)
		}
		if _, err := strconv.ParseFloat(parts[2], 64); err != nil &&
			parts[1] != "version" && parts[1] != "server_state" {
			t.Errorf("%q is no number", l)
		}
		if _, twice := out[parts[1]]; twice {
			t.Errorf("%s comes twice", parts[1])
		}
		out[parts[1]] = parts[2]
	}
	wantOrder(t, out)
	return out
}

// wantOrder fails where the parts of a summary contradict each other.
func wantOrder(t *testing.T, shown map[string]string) {
	t.Helper()
	for name := range shown {
		family, ok := strings.CutPrefix(name, "cnt_")
		if !ok {
			continue
		}
		for _, parts := range []string{"min_ avg_ max_", "min_ p50_ p95_ p99_ p999_ max_"} {
			last := 0.0
			for part := range strings.FieldsSeq(parts) {
				value, has := shown[part+family]
				v, _ := strconv.ParseFloat(value, 64)
				if has && v < last {
					t.Errorf("%s%s is %s, less than what stands before it: %v", part, family, value, last)
				}
				last = max(last, v)
			}
		}
	}
}

// What monitors of Java's server look for is there.
func TestMntrNames(t *testing.T) {
	s := startServer(t, nil)
	got := mntr(t, s)
	for name := range strings.FieldsSeq(`version server_state avg_latency max_latency min_latency
		packets_received packets_sent num_alive_connections outstanding_requests znode_count
		watch_count ephemerals_count approximate_data_size open_file_descriptor_count
		max_file_descriptor_count uptime global_sessions local_sessions connection_drop_probability
		last_client_response_size max_client_response_size min_client_response_size
		auth_failed_count connection_rejected connection_request_count connection_drop_count
		connection_revalidate_count bytes_received_count response_bytes watch_bytes
		sessionless_connections_expired stale_sessions_expired unrecoverable_error_count
		avg_fsynctime min_fsynctime max_fsynctime cnt_fsynctime sum_fsynctime cnt_snapshottime
		cnt_dbinittime cnt_startup_txns_load_time cnt_startup_snap_load_time
		cnt_startup_txns_loaded cnt_sync_processor_batch_size p50_readlatency p95_readlatency
		p99_readlatency p999_readlatency p99_updatelatency avg_node_created_watch_count
		op_count_total`) {
		if got[name] == "" {
			t.Errorf("there is no zk_%s", name)
		}
	}
	if got["server_state"] != "standalone" || got["connection_drop_probability"] != "0.0" {
		t.Errorf("state %q, drop probability %q", got["server_state"],
			got["connection_drop_probability"])
	}
}

// Counters count what happened, on all loops.
func TestMntrCounts(t *testing.T) {
	s := startServer(t, allWords)
	before := mntr(t, s)
	a, b := connectTo(t, s), connectTo(t, s)
	a.must(proto.OpCreate, create("/a", "12345", 0))
	for range 7 {
		a.must(proto.OpGetData, get("/a", false))
	}
	b.must(proto.OpGetData, get("/a", true))
	b.must(proto.OpGetChildren, get("/a", true))
	a.must(proto.OpSetData, setData("/a", "xy", -1))
	b.recv()
	a.must(proto.OpCreate, create("/a/b", "", 0))
	b.recv()
	b.must(proto.OpSync, only("/a"))
	a.sendXid(proto.XidPing, proto.OpPing)
	a.flush()
	a.expect(proto.XidPing)
	got := mntr(t, s)
	for name, want := range map[string]int{
		"op_count_create": 2, "op_count_get_data": 8, "op_count_get_children": 1,
		"op_count_set_data": 1, "op_count_sync": 1, "op_count_ping": 1,
		"op_count_create_session": 2, "op_count_total": 16, "cnt_updatelatency": 3,
		"cnt_readlatency": 11, "connection_request_count": 2,
		"sync_processor_request_queued": 5, "sum_sync_processor_batch_size": 5,
		"cnt_node_changed_watch_count": 1, "sum_node_children_watch_count": 1,
		"znode_count": 2, "global_sessions": 2,
		// Event frames: header 16, type and state 8, path 4+2.
		"watch_bytes": 2 * (16 + 8 + 6),
		// Two answers to connect of 37, and 14 of requests with a header of 16: creates echo
		// their paths, reads of data give it with a Stat, setData a Stat, children a count.
		"response_bytes": 2*37 + 14*16 + (4 + 2) + (4 + 4) + 8*(4+5+68) + 68 + 4 + (4 + 2),
		// Frames with their lengths; the second mntr itself; header 8.
		"bytes_received_count": 4 + 2*(4+45) + 14*12 + // the path of creates: data, ACL, flags
			(4 + 2 + 4 + 5 + aclBytes + 4) + (4 + 4 + 4 + aclBytes + 4) + 8*(4+2+1) + (4 + 2 + 1) +
			(4 + 2 + 4 + 2 + 4) + (4 + 2),
		"packets_received": 2 + 14 + 1,
		"packets_sent":     2 + 14 + 2 + 1,
	} {
		now, _ := strconv.Atoi(got[name])
		then, _ := strconv.Atoi(before[name])
		if now-then != want {
			t.Errorf("%s went from %s to %s, want %d more", name, before[name], got[name], want)
		}
	}
	for name, want := range map[string]string{"max_client_response_size": "93",
		"last_client_response_size": "16"} {
		if got[name] != want {
			t.Errorf("%s is %s, want %s", name, got[name], want)
		}
	}
}

// aclBytes is the length of proto.OpenACL: a count, permissions, "world", "anyone".
const aclBytes = 4 + 4 + 4 + 5 + 4 + 6

// srst sets back what words show; what Prometheus sees only grows.
func TestStatsReset(t *testing.T) {
	s := startServer(t, func(o *Options) {
		allWords(o)
		o.Config.MetricsProviderClassName = "org.example.PrometheusMetricsProvider"
		o.Config.Metrics.Host, o.Config.Metrics.Port = "127.0.0.1", 0
	})
	w := connectTo(t, s)
	w.must(proto.OpCreate, create("/a", "", 0))
	w.must(proto.OpGetData, get("/a", false))
	if got := word(t, s, "srst"); got != "Server stats reset.\n" {
		t.Errorf("srst says %q", got)
	}
	w.must(proto.OpGetData, get("/a", false))
	got := mntr(t, s)
	for name, want := range map[string]string{"cnt_readlatency": "1", "cnt_updatelatency": "0",
		"op_count_create": "0", "cnt_fsynctime": "0", "sync_processor_request_queued": "0",
		"min_client_response_size": "88", "packets_sent": "2", "znode_count": "2"} {
		if name == "znode_count" {
			want = strconv.Itoa(s.monitor.root().NodeCount())
		}
		if got[name] != want {
			t.Errorf("after a reset %s is %s, want %s", name, got[name], want)
		}
	}
	page := scrapePage(t, s)
	for _, want := range []string{
		"# TYPE op_count_create counter\nop_count_create 1\n",
		"# TYPE readlatency summary\nreadlatency{quantile=\"0.5\"} ",
		"readlatency{quantile=\"0.99\"} ", "readlatency_count 2\n", "updatelatency_count 1\n",
		"# TYPE fsynctime summary\nfsynctime{quantile=\"0.5\"} ", "fsynctime_count 2\n",
		"meerkat_fsynctime_seconds_bucket{le=\"+Inf\"} 2\n", "sync_processor_batch_size_sum 2\n",
		"# TYPE znode_count gauge\n", "go_goroutines ", "process_resident_memory_bytes ",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page, "fsynctime{quantile=\"0.99\"}") {
		t.Error("a basic summary has more quantiles than Java's")
	}
}

// Connections turned away are counted anew after a reset too, save for Prometheus.
func TestRefusedConnectionsReset(t *testing.T) {
	s, _ := oneLoop(t, func(o *Options) { o.Config.MaxClientCnxns = 1 })
	connectTo(t, s)
	rejected := func(always bool) (n float64) {
		for _, m := range s.monitor.Metrics(always) {
			if m.Name == "connection_rejected" {
				n = m.Value
			}
		}
		return n
	}
	refuse := func(all int64) {
		t.Helper()
		dial(t, s).closed()
		eventually(t, "one more is refused", func() bool { return s.rejected.Load() == all })
	}
	refuse(1)
	s.monitor.ResetStats()
	refuse(2)
	if since, all := rejected(false), rejected(true); since != 1 || all != 2 {
		t.Errorf("one refused before a reset and one after it: %v since, %v in all", since, all)
	}
}

// scrapePage is the page for Prometheus; the monitor's last server serves it.
func scrapePage(t *testing.T, s *Server) string {
	t.Helper()
	all := s.monitor.served
	code, body := fetch(t, http.MethodGet, all[len(all)-1], "/metrics")
	if code != http.StatusOK {
		t.Fatalf("status %d: %s", code, body)
	}
	return body
}

// Quotas are gauges by the first part of their paths, with Prometheus' label "key".
func TestQuotaMetrics(t *testing.T) {
	s := startServer(t, func(o *Options) {
		o.Config.MetricsProviderClassName = "x.PrometheusMetricsProvider"
		o.Config.Metrics = zoocfg.Metrics{Host: "127.0.0.1", HTTPSPort: -1}
	})
	w := connectTo(t, s)
	for _, path := range []string{"/app", "/app/x", "/zookeeper/quota/app"} {
		w.must(proto.OpCreate, create(path, "", 0))
	}
	w.must(proto.OpCreate, create("/zookeeper/quota/app/zookeeper_limits", "count=7,bytes=900", 0))
	w.must(proto.OpCreate, create("/zookeeper/quota/app/zookeeper_stats", "count=0,bytes=0", 0))
	w.must(proto.OpSetData, setData("/app/x", "12345", -1))
	got := mntr(t, s)
	if got["app_quota_count_limit_per_namespace"] != "7" ||
		got["app_quota_bytes_limit_per_namespace"] != "900" ||
		got["app_quota_bytes_usage_per_namespace"] != "5" {
		t.Errorf("mntr says %v", got)
	}
	page := scrapePage(t, s)
	if !strings.Contains(page, "quota_bytes_usage_per_namespace{key=\"app\"} 5\n") ||
		strings.Contains(page, "go_goroutines") {
		t.Errorf("the page is\n%s", page)
	}
}

// after is how much more mntr shows under some names once do is done.
func after(t *testing.T, s *Server, do func()) func(name string) int {
	t.Helper()
	before := mntr(t, s)
	do()
	now := mntr(t, s)
	return func(name string) int {
		a, _ := strconv.Atoi(before[name])
		b, err := strconv.Atoi(now[name])
		if err != nil {
			t.Errorf("%s is %q", name, now[name])
		}
		return b - a
	}
}

func wantMore(t *testing.T, more func(string) int, want map[string]int) {
	t.Helper()
	for name, n := range want {
		if got := more(name); got != n {
			t.Errorf("%s: %d more, want %d", name, got, n)
		}
	}
}

// The stages that a burst of requests goes through are counted each under Java's name.
func TestStages(t *testing.T) {
	s, _ := oneLoop(t, allWords)
	w := connectTo(t, s)
	w.must(proto.OpCreate, create("/a", "", 0))
	wantMore(t, after(t, s, func() {
		w.send(proto.OpSetData, setData("/a", "1", -1)) // two reads wait behind it
		w.send(proto.OpGetData, get("/a", false))
		w.send(proto.OpGetData, get("/a", false))
		w.flush()
		for range 3 {
			if _, err := w.read(); err != nil {
				t.Fatal(err)
			}
		}
	}), map[string]int{
		"cnt_requests_in_session_queue": 1, "sum_requests_in_session_queue": 2,
		"sum_reads_after_write_in_session_queue": 2, "sum_reads_issued_from_session_queue": 2,
		"sum_pending_session_queue_size": 1, "sum_session_queues_drained": 1,
		"cnt_read_commitproc_time_ms": 2, "cnt_write_commitproc_time_ms": 1,
		"sum_read_commit_proc_req_queued": 2, "sum_write_commit_proc_req_queued": 1,
		"sum_commit_commit_proc_req_queued": 1, "sum_write_commit_proc_issued": 1,
		"sum_read_commit_proc_issued": 2, "sum_concurrent_request_processing_in_commit_processor": 3,
		"cnt_read_final_proc_time_ms": 2, "cnt_write_final_proc_time_ms": 1,
		"cnt_write_batch_time_in_commit_processor": 1, "cnt_local_write_committed_time_ms": 1,
		"cnt_propagation_latency": 1, "cnt_commit_process_time": 1, "cnt_proposal_process_time": 1,
		"cnt_prep_processor_queue_time_ms": 1, "cnt_prep_process_time": 1,
		"sum_prep_processor_queue_size": 1, "cnt_sync_processor_queue_size": 1,
		"sum_sync_processor_queue_size": 0, "cnt_sync_processor_queue_time_ms": 1,
		"cnt_sync_processor_queue_and_flush_time_ms": 1, "cnt_sync_process_time": 1,
		"cnt_sync_processor_queue_flush_time_ms": 1, "cnt_quorum_ack_latency": 1,
		"proposal_count": 1, "commit_count": 1, "request_commit_queued": 1,
		"outstanding_changes_queued": 1, "outstanding_changes_removed": 1,
		"cnt_meerkat_updatelatency_us": 1, "cnt_close_session_prep_time": 0,
	})
	// Everything that waited is gone again.
	if _, err := fromCore(&s.monitor, func(*core) int { return s.tally.inLog }); err != nil {
		t.Error(err)
	}
	if l := s.loops[0]; l.reads != 0 || l.writes != 0 {
		t.Errorf("%d reads and %d writes wait", l.reads, l.writes)
	}
	more := after(t, s, func() {
		w.must(proto.OpGetData, get("/a", false))
		w.must(proto.OpCloseSession, func(*jute.Coder) {})
		w.closed()
		eventually(t, "the connection is gone", func() bool { return s.live.Load() == 0 })
	})
	wantMore(t, more, map[string]int{
		"cnt_read_commitproc_time_ms": 1, "sum_read_commit_proc_issued": 1,
		"cnt_requests_in_session_queue": 0, "cnt_close_session_prep_time": 1,
	})
	if more("cnt_socket_closing_time") == 0 { // those of words count too
		t.Error("the end of a connection is not counted")
	}
}

// Reads and writes are counted by the first part of their path, with the sizes that Java 3.8.0
// showed for the same requests; srst sets them back.
func TestNamespaceMetrics(t *testing.T) {
	s := startServer(t, func(o *Options) {
		allWords(o)
		o.Config.EnforceQuota = true
	})
	w := connectTo(t, s)
	more := after(t, s, func() {
		w.must(proto.OpCreate, create("/app-x", "1", 0))
		w.must(proto.OpCreate, create("/app-x/b", "22", 0))
		w.must(proto.OpGetData, get("/app-x/b", false))
		w.must(proto.OpGetChildren, get("/app-x", false))
		w.must(proto.OpExists, get("/app-x", false))
		w.must(proto.OpGetChildren, get("/", false))
		w.must(proto.OpSetData, setData("/app-x/b", "333", -1))
		w.must(proto.OpCreate, create("/q q", "1", 0))
		w.must(proto.OpGetACL, only("/app-x"))
		w.must(proto.OpDelete, del("/q q", -1))
		w.call(proto.OpGetData, get("/none/y", false))
		w.call(proto.OpSetData, setData("/none/y", "", -1))
	})
	wantMore(t, more, map[string]int{
		"cnt_app-x_read_per_namespace": 3, "sum_app-x_read_per_namespace": 227,
		"min_app-x_read_per_namespace": 74, "max_app-x_read_per_namespace": 78,
		"cnt_app-x_write_per_namespace": 3, "sum_app-x_write_per_namespace": 28,
		"cnt_q_q_write_per_namespace": 2, "sum_q_q_write_per_namespace": 9,
	})
	for _, path := range []string{"/zookeeper/quota/app-x"} {
		w.must(proto.OpCreate, create(path, "", 0))
	}
	w.must(proto.OpCreate, create("/zookeeper/quota/app-x/zookeeper_limits",
		"count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=2", 0))
	w.must(proto.OpCreate, create("/zookeeper/quota/app-x/zookeeper_stats", "count=0,bytes=0", 0))
	for range 2 {
		if r := w.call(proto.OpCreate, create("/app-x/c", "", 0)); r.Err != proto.ErrQuotaExceeded {
			t.Errorf("a write beyond the quota is answered with %v", r.Err)
		}
	}
	got := mntr(t, s)
	if n := got["app-x_quota_exceeded_error_per_namespace"]; n != "2" {
		t.Errorf("%q writes were beyond a quota, want 2", n)
	}
	word(t, s, "srst")
	w.must(proto.OpExists, get("/app-x/b", false))
	got = mntr(t, s)
	for name, want := range map[string]string{"app-x_quota_exceeded_error_per_namespace": "",
		"cnt_app-x_write_per_namespace": "", "cnt_app-x_read_per_namespace": "1",
		"max_app-x_read_per_namespace": "76"} {
		if got[name] != want {
			t.Errorf("after a reset %s is %q, want %q", name, got[name], want)
		}
	}
}

// What goes wrong on a client's account is counted where it is met.
func TestTroubleIsCounted(t *testing.T) {
	s, _ := oneLoop(t, func(o *Options) {
		allWords(o)
		o.Config.JuteMaxBuffer = 4096
		o.Config.AuthProviders = map[string]string{
			"1": "org.apache.zookeeper.server.auth.EnsembleAuthenticationProvider"}
		o.Config.EnsembleAuthNames = []string{"ours"}
	})
	gone := func(n int64) func() bool { return func() bool { return s.live.Load() == n } }

	ours := connectTo(t, s)
	wantMore(t, after(t, s, func() {
		ours.auth("ensemble", "ours")
		ours.auth("ensemble", "")
		w := connectTo(t, s)
		q := proto.AuthPacket{Scheme: "ensemble", Auth: []byte("another")}
		w.sendXid(proto.XidAuth, proto.OpAuth, q.Fields)
		w.flush()
		w.closed()
	}), map[string]int{"ensemble_auth_success": 1, "ensemble_auth_skip": 1, "ensemble_auth_fail": 1})

	wantMore(t, after(t, s, func() {
		w := connectTo(t, s)
		w.send(proto.OpCreate, create("/large", strings.Repeat("x", 5000), 0))
		w.flush()
		w.closed()
	}), map[string]int{"large_requests_rejected": 1})

	eventually(t, "one connection", gone(1))
	wantMore(t, after(t, s, func() {
		old, fresh := connectTo(t, s), dial(t, s)
		release := holdCore(s)
		q := proto.ConnectRequest{SessionID: old.session.SessionID, Passwd: old.session.Passwd,
			TimeOut: 10000, HasReadOnly: true}
		fresh.frame(q.Fields)
		fresh.flush()
		eventually(t, "its ConnectRequest", func() bool { return waitingRequests(s) == 1 })
		old.send(proto.OpCreate, create("/stale", "", 0))
		old.flush()
		eventually(t, "the other's request", func() bool { return waitingRequests(s) == 2 })
		close(release)
		old.closed()
		_ = fresh.conn.Close()
	}), map[string]int{"stale_requests": 1, "stale_requests_dropped": 1})

	eventually(t, "one connection", gone(1))
	wantMore(t, after(t, s, func() {
		leaver := connectTo(t, s)
		release := holdCore(s)
		leaver.send(proto.OpCreate, create("/late", "", 0))
		leaver.flush()
		eventually(t, "its request", func() bool { return s.inFlight.Load() == 1 })
		if err := leaver.conn.Close(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "its end", gone(1))
		close(release)
		ours.must(proto.OpSync, only("/")) // answered behind it
	}), map[string]int{"stale_replies": 1})
}

// holdCore keeps the core from its next turn until the channel is closed. Loops go on.
func holdCore(s *Server) chan struct{} {
	release, held := make(chan struct{}), make(chan struct{})
	s.inbox.put(func(b *inbox) {
		b.calls = append(b.calls, func(*core) { close(held); <-release })
	})
	<-held
	return release
}

// waitingRequests is how many requests the core has not taken yet.
func waitingRequests(s *Server) int {
	s.inbox.mu.Lock()
	defer s.inbox.mu.Unlock()
	return len(s.inbox.requests)
}

// A connection with too many requests is not read until some of them are answered, and each time
// that this happens is counted.
func TestHoldsAreCounted(t *testing.T) {
	s, _ := oneLoop(t, allWords)
	w := connectTo(t, s)
	w.must(proto.OpCreate, create("/a", "", 0))
	more := after(t, s, func() {
		release := holdCore(s)
		for range inFlightMax + 100 {
			w.send(proto.OpSetData, setData("/a", "", -1))
		}
		w.flush()
		eventually(t, "the mark", func() bool { return s.inFlight.Load() == inFlightMax })
		close(release)
		for range inFlightMax + 100 {
			if _, err := w.read(); err != nil {
				t.Fatal(err)
			}
		}
	})
	wantMore(t, more, map[string]int{"request_throttle_wait_count": 1,
		"cnt_request_throttle_queue_time_ms": 1, "outstanding_changes_queued": inFlightMax + 100})
}
