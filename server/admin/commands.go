package admin

import (
	"bytes"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
)

// A Field is one name of a JSON object with its value.
type Field struct {
	Name  string
	Value any
}

// Fields is a JSON object whose names keep their order.
type Fields []Field

// MarshalJSON implements json.Marshaler.
func (f Fields) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	for i, x := range f {
		b.WriteByte("{,"[min(i, 1)])
		name, err := json.Marshal(x.Name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(x.Value)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	if len(f) == 0 {
		b.WriteByte('{')
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// A command lays out facts as one of Java's commands does (Commands). failed is the answer's
// field "error", "" for null.
type command struct {
	names []string // the first is the one that is listed
	free  bool     // it answers while clients are not served
	run   func(s Source, q url.Values) (f Fields, failed string)

	guarded func(*operator) answer // in place of run
	post    bool                   // it is asked with POST, not GET
}

// always makes a command that cannot fail.
func always(f func(s Source) Fields) func(Source, url.Values) (Fields, string) {
	return func(s Source, _ url.Values) (Fields, string) { return f(s), "" }
}

// commands are all that there are. Those of ensembles answer as Java's do on a server of its own.
var commands = []command{
	{names: []string{"configuration", "conf", "config"}, run: always(configuration)},
	{names: []string{"connection_stat_reset", "crst"}, run: always(func(s Source) Fields {
		s.ResetConns()
		return nil
	})},
	{names: []string{"connections", "cons"}, run: always(func(s Source) Fields {
		return Fields{{"connections", connections(s, false)}, {"secure_connections", []int{}}}
	})},
	{names: []string{"dirs"}, run: always(func(s Source) Fields {
		data, log := s.Dirs()
		return Fields{{"datadir_size", data}, {"logdir_size", log}}
	})},
	{names: []string{"dump"}, run: always(dump)},
	{names: []string{"environment", "env", "envi"}, free: true, run: always(func(s Source) Fields {
		return s.Environment()
	})},
	{names: []string{"get_trace_mask", "gtmk"}, free: true, run: always(func(s Source) Fields {
		return Fields{{"tracemask", s.TraceMask()}}
	})},
	{names: []string{"hash"}, run: always(digests)},
	{names: []string{"initial_configuration", "icfg"}, run: always(func(s Source) Fields {
		return Fields{{"initial_configuration", s.Conf().Initial}}
	})},
	{names: []string{"is_read_only", "isro"}, run: always(func(s Source) Fields {
		return Fields{{"read_only", s.ReadOnly()}}
	})},
	{names: []string{"last_snapshot", "lsnp"}, run: always(lastSnapshot)},
	{names: []string{"leader", "lead"}, run: func(Source, url.Values) (Fields, string) {
		return nil, "server is not initialized"
	}},
	{names: []string{"monitor", "mntr"}, free: true, run: always(Monitor)},
	{names: []string{"observer_connection_stat_reset", "orst"}, run: always(func(Source) Fields {
		return nil
	})},
	{names: []string{"observers", "obsr"}, run: always(func(Source) Fields {
		return Fields{{"synced_observers", 0}, {"observers", []int{}}}
	})},
	{names: []string{"restore", "rest"}, guarded: restore, post: true},
	{names: []string{"ruok"}, run: always(func(Source) Fields { return nil })},
	{names: []string{"server_stats", "srvr"}, run: always(serverStats)},
	{names: []string{"set_trace_mask", "stmk"}, free: true, run: setTraceMask},
	{names: []string{"shed_connections", "shed"}, guarded: shed, post: true},
	{names: []string{"snapshot", "snap"}, guarded: snapshot},
	{names: []string{"stat_reset", "srst"}, run: always(func(s Source) Fields {
		s.ResetStats()
		return nil
	})},
	{names: []string{"stats", "stat"}, run: always(func(s Source) Fields {
		return append(serverStats(s), Field{"connections", connections(s, true)},
			Field{"secure_connections", []int{}})
	})},
	{names: []string{"system_properties", "sysp"}, free: true, run: always(func(s Source) Fields {
		return s.Environment()
	})},
	{names: []string{"voting_view"}, run: always(func(Source) Fields {
		return Fields{{"current_config", Fields{}}}
	})},
	{names: []string{"watch_summary", "wchs"}, run: always(watchSummary)},
	{names: []string{"watches", "wchc"}, run: always(func(s Source) Fields {
		return Fields{{"session_id_to_watched_paths", bySession(s)}}
	})},
	{names: []string{"watches_by_path", "wchp"}, run: always(func(s Source) Fields {
		return Fields{{"path_to_session_ids", byPath(s)}}
	})},
	{names: []string{"zabstate"}, run: always(func(Source) Fields {
		return Fields{{"voting", false}, {"zabstate", ""}}
	})},
}

func configuration(s Source) Fields {
	c := s.Conf()
	f := Fields{{"client_port", c.ClientPort}, {"data_dir", c.DataDir},
		{"data_log_dir", c.LogDir}, {"tick_time", c.TickMs},
		{"max_client_cnxns", c.MaxClientCnxns}, {"min_session_timeout", c.MinTimeoutMs},
		{"max_session_timeout", c.MaxTimeoutMs}, {"server_id", c.ServerID},
		{"client_port_listen_backlog", c.Backlog}}
	if q := c.Quorum; q != nil {
		f = append(f, Fields{{"init_limit", q.InitLimit}, {"sync_limit", q.SyncLimit},
			{"election_alg", q.ElectionAlg}, {"election_port", q.ElectionPort},
			{"quorum_port", q.QuorumPort}, {"peer_type", q.PeerType}}...)
	}
	return f
}

func connections(s Source, brief bool) []Fields {
	all := []Fields{}
	for _, c := range s.Conns() {
		f := Fields{{"remote_socket_address", c.Remote}, {"interest_ops", c.Interest},
			{"outstanding_requests", c.Queued}, {"packets_received", c.Received},
			{"packets_sent", c.Sent}}
		if !brief {
			f = append(f, Fields{{"session_id", c.Session}, {"last_operation", c.LastOp},
				{"established", c.EstablishedMs}, {"session_timeout", c.TimeoutMs},
				{"last_cxid", c.LastCxid}, {"last_zxid", c.LastZxid},
				{"last_response_time", c.LastResponseMs}, {"last_latency", c.LastLatencyMs},
				{"min_latency", c.MinLatencyMs}, {"avg_latency", c.AvgLatencyMs},
				{"max_latency", c.MaxLatencyMs}}...)
		}
		all = append(all, f)
	}
	return all
}

func dump(s Source) Fields {
	expiring, owned := Fields{}, Fields{}
	for _, d := range s.Sessions() {
		expiring = append(expiring, Field{strconv.FormatInt(d.AtMs, 10), d.Sessions})
	}
	for _, o := range s.Ephemerals() {
		owned = append(owned, Field{strconv.FormatInt(o.Session, 10), o.Paths})
	}
	return Fields{{"expiry_time_to_session_ids", expiring},
		{"session_id_to_ephemeral_paths", owned}}
}

func digests(s Source) Fields {
	all := []Fields{}
	for _, d := range s.Digests() {
		all = append(all, Fields{{"zxid", d.Zxid}, {"digest", d.Digest},
			{"digest_version", d.Version}})
	}
	return Fields{{"digests", all}}
}

// lastSnapshot tells the time in seconds, and the zxid in hex, as Java does.
func lastSnapshot(s Source) Fields {
	zxid, at := s.LastSnapshot()
	seconds := int64(-1)
	if zxid >= 0 {
		seconds = at.Unix()
	}
	return Fields{{"zxid", strconv.FormatUint(uint64(zxid), 16)}, {"timestamp", seconds}}
}

// Monitor is what the command monitor and the word mntr show.
func Monitor(s Source) Fields {
	f := Fields{{"version", s.Version()}, {"server_state", s.Mode()}}
	if state := s.PeerState(); state != "" {
		f = append(f, Field{"peer_state", state})
	}
	for _, m := range s.Metrics(false) {
		m.Each(func(name string, value any) { f = append(f, Field{name, value}) })
	}
	return f
}

// serverStats lays out ServerStats as Jackson writes its properties.
func serverStats(s Source) Fields {
	t := s.Stats()
	sizes := Fields{{"last_buffer_size", t.LastSize}, {"min_buffer_size", t.MinSize},
		{"max_buffer_size", t.MaxSize}}
	return Fields{{"version", s.Version()}, {"read_only", false},
		{"server_stats", Fields{{"packets_sent", t.Sent}, {"packets_received", t.Received},
			{"fsync_threshold_exceed_count", t.SlowSyncs}, {"client_response_stats", sizes},
			{"data_dir_size", t.DataBytes}, {"log_dir_size", t.LogBytes},
			{"provider_null", false}, {"server_state", s.Mode()},
			{"last_processed_zxid", t.Zxid}, {"outstanding_requests", t.Outstanding},
			{"avg_latency", t.AvgMs}, {"max_latency", t.MaxMs}, {"min_latency", t.MinMs},
			{"num_alive_client_connections", t.Connections}, {"uptime", t.UptimeMs},
			{"auth_failed_count", t.AuthFailed}, {"non_mtlsremote_conn_count", 0},
			{"non_mtlslocal_conn_count", 0}}},
		{"client_response", sizes}, {"node_count", t.Nodes}}
}

func setTraceMask(s Source, q url.Values) (Fields, string) {
	const want = "setTraceMask requires long traceMask argument"
	if !q.Has("traceMask") {
		return nil, want
	}
	mask, err := strconv.ParseInt(q.Get("traceMask"), 10, 64)
	if err != nil {
		return nil, want + ", got " + q.Get("traceMask")
	}
	s.SetTraceMask(mask)
	return Fields{{"tracemask", mask}}, ""
}

func watchSummary(s Source) Fields {
	sessions, total, paths := 0, 0, map[string]bool{}
	for _, w := range s.Watches() {
		sessions++
		total += len(w.Paths)
		for _, p := range w.Paths {
			paths[p] = true
		}
	}
	return Fields{{"num_connections", sessions}, {"num_paths", len(paths)},
		{"num_total_watches", total}}
}

func bySession(s Source) Fields {
	f := Fields{}
	for _, w := range s.Watches() {
		f = append(f, Field{strconv.FormatInt(w.Session, 10), w.Paths})
	}
	return f
}

func byPath(s Source) Fields {
	f := Fields{}
	for _, w := range ByPath(s.Watches()) {
		f = append(f, Field{w.Path, w.Sessions})
	}
	return f
}

// A WatchedPath names the sessions that watch a path.
type WatchedPath struct {
	Path     string
	Sessions []int64
}

// ByPath turns watches by session into watches by path, sorted.
func ByPath(all []Watched) []WatchedPath {
	sessions := map[string][]int64{}
	var paths []string
	for _, w := range all {
		for _, p := range w.Paths {
			if sessions[p] == nil {
				paths = append(paths, p)
			}
			sessions[p] = append(sessions[p], w.Session)
		}
	}
	slices.Sort(paths)
	out := make([]WatchedPath, 0, len(paths))
	for _, p := range paths {
		out = append(out, WatchedPath{p, sessions[p]})
	}
	return out
}
