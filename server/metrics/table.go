package metrics

// The names of Java's ServerMetrics and ZooKeeperServer, of 3.8 and 3.9, and what is shown under
// each. docs/monitoring.md repeats this table; a test compares them.

const (
	noTLS      = "TLS is not served"
	noLearners = "a server that is alone has no learners"
	noLeader   = "a server that is alone learns from nobody"
	noElection = "a server that is alone elects nobody"
	noCache    = "replies are encoded from the tree each time, there is no cache of them"
	noCleaner  = "a connection's watches go with it, nothing is cleaned up later"
)

var gauges = []family{
	gauge("ephemerals_count", "ephemeral znodes",
		func(c *Counts) int64 { return c.Now.Ephemerals }),
	gauge("num_alive_connections", "client connections",
		func(c *Counts) int64 { return c.Now.Connections }),
	gauge("outstanding_requests", "requests that were read and not answered",
		func(c *Counts) int64 { return c.Now.Outstanding }),
	gauge("znode_count", "znodes", func(c *Counts) int64 { return c.Now.Znodes }),
	gauge("watch_count", "watches", func(c *Counts) int64 { return c.Now.Watches }),
	gauge("global_sessions", "sessions", func(c *Counts) int64 { return c.Now.Sessions }),
	absent("local_sessions", Gauge, "every session is the whole ensemble's"),
	gauge("approximate_data_size", "bytes of all paths and data",
		func(c *Counts) int64 { return c.Now.DataBytes }),
	gauge("packets_received", "requests and words",
		func(c *Counts) int64 { return c.Loop.Received }),
	gauge("packets_sent", "replies, events and answers to words",
		func(c *Counts) int64 { return c.Loop.Sent }),
	gauge("min_latency", "the shortest time from a request to its reply, in ms, rounded down",
		func(c *Counts) int64 { return c.all.Min() / perMs }),
	gauge("max_latency", "the longest time from a request to its reply, in ms, rounded up",
		func(c *Counts) int64 { return Up(c.all.Max(), perMs) }),
	{name: "avg_latency", kind: Gauge, real: true,
		says:  "the mean time from a request to its reply, in ms",
		value: func(c *Counts) float64 { return (&Metric{Hist: &c.all, Unit: perMs}).Average() }},
	gauge("last_client_response_size", "bytes of the last reply",
		func(c *Counts) int64 { last, _, _ := c.Loop.Replies.Shown(); return last }),
	gauge("min_client_response_size", "bytes of the smallest reply",
		func(c *Counts) int64 { _, least, _ := c.Loop.Replies.Shown(); return least }),
	gauge("max_client_response_size", "bytes of the largest reply",
		func(c *Counts) int64 { _, _, most := c.Loop.Replies.Shown(); return most }),
	gauge("auth_failed_count", "auth packets that were refused",
		func(c *Counts) int64 { return c.Loop.AuthFailed }),
	absent("non_mtls_remote_conn_count", Gauge, noTLS),
	absent("non_mtls_local_conn_count", Gauge, noTLS),
	absent("outstanding_tls_handshake", Gauge, noTLS),
	gauge("open_file_descriptor_count", "files and sockets that the process holds",
		func(c *Counts) int64 { return c.Now.OpenFiles }),
	gauge("max_file_descriptor_count", "files and sockets that the process may hold",
		func(c *Counts) int64 { return c.Now.MaxFiles }),
	gauge("uptime", "ms since the start", func(c *Counts) int64 { return c.Now.UptimeMs }),
	{name: "connection_drop_probability", kind: Gauge, real: true,
		says:  "0: connections are refused by maxClientCnxns and maxCnxns, never by chance",
		value: func(*Counts) float64 { return 0 }},
	gauge("disk_read_only", "ours: 1 while the disk is full and writes are turned down",
		func(c *Counts) int64 { return oneIf(c.Now.ReadOnly) }),
	gauge("disk_lacks_locks", "ours: 1 where the file system cannot lock a directory",
		func(c *Counts) int64 { return oneIf(c.Now.NoLocks) }),
	gauge("disk_lacks_dir_fsync", "ours: 1 where the file system cannot fsync a directory",
		func(c *Counts) int64 { return oneIf(c.Now.NoDirSync) }),
	gauge("log_dir_free_bytes", "ours: room on the file system of dataLogDir",
		func(c *Counts) int64 { return c.Now.LogDir.Free }),
	gauge("log_dir_total_bytes", "ours: size of the file system of dataLogDir",
		func(c *Counts) int64 { return c.Now.LogDir.Total }),
	gauge("data_dir_free_bytes", "ours: room on the file system of dataDir",
		func(c *Counts) int64 { return c.Now.DataDir.Free }),
	gauge("data_dir_total_bytes", "ours: size of the file system of dataDir",
		func(c *Counts) int64 { return c.Now.DataDir.Total }),

	gauge("quorum_size", "voters of the ensemble",
		func(c *Counts) int64 { return c.Now.Voters }).in("leader", "follower", "observer"),
	absent("learners", Gauge, noLearners).in("leader"),
	absent("synced_followers", Gauge, noLearners).in("leader"),
	absent("synced_non_voting_followers", Gauge, noLearners).in("leader"),
	absent("synced_observers", Gauge, noLearners).in("leader", "follower"),
	absent("pending_syncs", Gauge, "a sync waits for nobody else").in("leader"),
	gauge("leader_uptime", "ms since it leads",
		func(c *Counts) int64 { return c.Now.LeadingMs }).in("leader"),
	gauge("last_proposal_size", "bytes of the last transaction",
		func(c *Counts) int64 { last, _, _ := c.Core.Proposal.Shown(); return last }).in("leader"),
	gauge("min_proposal_size", "bytes of the smallest transaction",
		func(c *Counts) int64 { _, least, _ := c.Core.Proposal.Shown(); return least }).in("leader"),
	gauge("max_proposal_size", "bytes of the largest transaction",
		func(c *Counts) int64 { _, _, most := c.Core.Proposal.Shown(); return most }).in("leader"),
}

var counters = append([]family{
	counter("bytes_received_count", "bytes of requests, with their lengths",
		func(c *Counts) int64 { return c.Loop.BytesIn }),
	counter("response_bytes", "bytes of replies",
		func(c *Counts) int64 { return c.Loop.BytesOut - c.Loop.WatchBytes }),
	counter("watch_bytes", "bytes of events",
		func(c *Counts) int64 { return c.Loop.WatchBytes }),
	counter("connection_request_count", "ConnectRequests",
		func(c *Counts) int64 { return c.Loop.Connects }),
	counter("connection_revalidate_count", "ConnectRequests for a session that exists",
		func(c *Counts) int64 { return c.Loop.Resumes }),
	counter("connection_drop_count", "connections that ended",
		func(c *Counts) int64 { return c.Loop.Dropped }),
	counter("connection_rejected", "connections that maxClientCnxns or maxCnxns turned away",
		func(c *Counts) int64 { return c.Now.Rejected }),
	counter("sessionless_connections_expired", "connections that asked for no session in time",
		func(c *Counts) int64 { return c.Loop.Sessionless }),
	counter("cnxn_closed_without_zk_server_running", "connections that came before the data",
		func(c *Counts) int64 { return c.Loop.NotServing }),
	counter("stale_sessions_expired", "sessions that expired",
		func(c *Counts) int64 { return c.Core.Expired }),
	counter("ensemble_auth_success", "auth packets that name this ensemble",
		func(c *Counts) int64 { return c.Loop.EnsembleOK }),
	counter("ensemble_auth_fail", "auth packets that name another ensemble",
		func(c *Counts) int64 { return c.Loop.EnsembleFailed }),
	counter("ensemble_auth_skip",
		"auth packets of the scheme ensemble without a name, or to a server without one",
		func(c *Counts) int64 { return c.Loop.EnsembleSkipped }),
	counter("large_requests_rejected",
		"requests beyond jute.maxbuffer, which end their connection",
		func(c *Counts) int64 { return c.Loop.TooLarge }),
	counter("request_throttle_wait_count",
		"times that a connection was not read until some of its requests were answered",
		func(c *Counts) int64 { return c.Loop.Holds }),
	counter("stale_requests", "requests of connections that had lost their session",
		func(c *Counts) int64 { return c.Core.Stale }),
	counter("stale_requests_dropped", "as stale_requests, for all are dropped",
		func(c *Counts) int64 { return c.Core.Stale }),
	counter("stale_replies", "replies to writes whose connection had ended",
		func(c *Counts) int64 { return c.Loop.StaleReplies }),
	counter("prep_processor_request_queued", "requests that the core got",
		func(c *Counts) int64 { return c.Core.Requests }),
	counter("outstanding_changes_queued", "transactions that were planned",
		func(c *Counts) int64 { return c.Core.Proposed }),
	counter("outstanding_changes_removed", "transactions that were committed",
		func(c *Counts) int64 { return c.Core.Txns }),
	counter("proposal_count", "transactions that went to the log",
		func(c *Counts) int64 { return c.Core.Proposed }),
	counter("sync_processor_request_queued", "transactions that went to the log",
		func(c *Counts) int64 { return c.Core.Proposed }),
	counter("commit_count", "transactions that were committed and shown to clients",
		func(c *Counts) int64 { return c.Core.Txns }),
	counter("request_commit_queued", "transactions that were committed",
		func(c *Counts) int64 { return c.Core.Txns }),
	counter("snapshot_error_count", "snapshots that could not be written",
		func(c *Counts) int64 { return c.Rare.SnapErrors }),
	counter("snapshot_rate_limited_count", "snapshots that were asked for too soon",
		func(c *Counts) int64 { return c.Rare.SnapLimited }),
	counter("restore_error_count", "restores that failed",
		func(c *Counts) int64 { return c.Rare.RestoreErrors }),
	counter("restore_rate_limited_count", "restores that were asked for too soon",
		func(c *Counts) int64 { return c.Rare.RestoreLimited }),
	counter("fsync_threshold_exceed_count", "fsyncs beyond fsync.warningthresholdms",
		func(c *Counts) int64 { return c.Rare.SlowSyncs }),
	counter("digest_mismatches_count",
		"log records of the start with another digest than the tree's",
		func(c *Counts) int64 { return c.Rare.Mismatches }),
	counter("unrecoverable_error_count", "1 once a write or fsync of the log failed",
		func(c *Counts) int64 { return oneIf(c.Now.Broken) }),
	counter("disk_read_only_refused_count", "ours: requests that were turned down for a full disk",
		func(c *Counts) int64 { return c.Core.NoRoom }),

	absent("requests_not_forwarded_to_commit_processor", Counter, "every write goes its whole way"),
	absent("throttled_ops", Counter, "no request is refused for having waited"),
	absent("response_packet_cache_hits", Counter, noCache),
	absent("response_packet_cache_misses", Counter, noCache),
	absent("response_packet_get_children_cache_hits", Counter, noCache),
	absent("response_packet_get_children_cache_misses", Counter, noCache),
	absent("add_dead_watcher_stall_time", Counter, noCleaner),
	absent("dead_watchers_queued", Counter, noCleaner),
	absent("dead_watchers_cleared", Counter, noCleaner),
	absent("insecure_admin_count", Counter, noTLS),
	absent("tls_handshake_exceeded", Counter, noTLS),
	absent("unsuccessful_handshake", Counter, noTLS),
	absent("looking_count", Counter, noElection),
	absent("quit_leading_due_to_disloyal_voter", Counter, noElection),
	absent("diff_count", Counter, noLearners),
	absent("snap_count", Counter, noLearners),
	absent("revalidate_count", Counter, noLearners),
	absent("learner_proposal_received_count", Counter, noLeader),
	absent("learner_commit_received_count", Counter, noLeader),
	absent("skip_learner_request_to_next_processor_count", Counter, noLeader),
}, opCounters()...)

// opCounters are op_count_create and the like.
func opCounters() (all []family) {
	for _, x := range counted {
		slots := make([]int, len(x.ops))
		for i, op := range x.ops {
			slots[i] = Slot(op)
		}
		value := func(c *Counts) int64 { return c.ops(slots...) }
		if len(x.ops) == 0 {
			value = func(c *Counts) int64 { return c.Loop.Sessions }
		}
		all = append(all, counter("op_count_"+x.name, "such requests, answered (3.10)", value))
	}
	each := all
	return append(all, counter("op_count_total", "all requests, answered (3.10)",
		func(c *Counts) (n int64) {
			for i := range each {
				n += int64(each[i].value(c))
			}
			return n
		}))
}

// Java has three sets more, of learners: ack_latency, learner_handler_qp_size and
// learner_handler_qp_time_ms have no member on a server that has none.
var sets = []set{
	{"quota_count_limit_per_namespace", Gauge, "znodes that quotas allow, hard ones before soft ones",
		ofQuotas(func(q *Quota) int64 { return q.CountMax })},
	{"quota_bytes_limit_per_namespace", Gauge, "bytes that quotas allow, hard ones before soft ones",
		ofQuotas(func(q *Quota) int64 { return q.BytesMax })},
	{"quota_count_usage_per_namespace", Gauge, "znodes that there are under quotas",
		ofQuotas(func(q *Quota) int64 { return q.Count })},
	{"quota_bytes_usage_per_namespace", Gauge, "bytes that there are under quotas",
		ofQuotas(func(q *Quota) int64 { return q.Bytes })},
	{"quota_exceeded_error_per_namespace", Counter, "writes that a hard quota refused",
		func(c *Counts, show func(string, float64, *Histogram)) {
			for _, key := range sortedKeys(c.Core.Exceeded) {
				show(key, float64(c.Core.Exceeded[key]), nil)
			}
		}},
	{"read_per_namespace", Basic, "bytes of a read's path and what it answers, with a Stat",
		func(c *Counts, show func(string, float64, *Histogram)) {
			for key, h := range c.Loop.ReadBytes.All() {
				show(key, 0, h)
			}
		}},
	{"write_per_namespace", Basic, "bytes of a write's path and data",
		func(c *Counts, show func(string, float64, *Histogram)) {
			for key, h := range c.Core.WriteBytes.All() {
				show(key, 0, h)
			}
		}},
}

func ofQuotas(value func(*Quota) int64) func(*Counts, func(string, float64, *Histogram)) {
	return func(c *Counts, show func(string, float64, *Histogram)) {
		for _, key := range sortedKeys(c.Now.Quotas) {
			show(key, float64(value(c.Now.Quotas[key])), nil)
		}
	}
}
