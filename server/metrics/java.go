package metrics

import "strings"

// A family is a metric that Java's servers print and that no count of ours has as its own.
type family struct {
	name string
	kind Kind
	from string // the metric of ours that is shown for it; "": none, it stays 0
	why  string // what that is, or why there is no such thing
}

const (
	noCache    = "replies are encoded from the tree each time, there is no cache of them"
	noThrottle = "requests are not throttled, a connection past its marks is not read"
	noTLS      = "TLS is not served"
	noLearners = "a server of its own has no learners"
	noElection = "a server of its own elects nobody"
	noPool     = "reads are answered where they come in, no pool of workers is waited for"
	noCleaner  = "a connection's watches go with it, nothing is cleaned up later"
	noChanges  = "a write is planned against the tree itself, there are no change records"
	noJVM      = "there is no JVM"
	noObserver = "there is no observer master"
	noNetty    = "the network is not Netty's"
)

// families are Java's names (ServerMetrics of 3.8 and 3.9), by name.
var families = []family{
	{"add_dead_watcher_stall_time", Counter, "", noCleaner},
	{"cnxn_closed_without_zk_server_running", Counter, "", "ports open when the data is loaded"},
	{"commit_commit_proc_req_queued", Basic, "sync_processor_batch_size", "transactions per batch"},
	{"commit_count", Counter, "sync_processor_request_queued", "transactions published"},
	{"commit_process_time", Basic, "write_final_proc_time_ms", "from publication to the reply"},
	{"commit_propagation_latency", Advanced, "write_final_proc_time_ms",
		"from publication to the reply"},
	{"concurrent_request_processing_in_commit_processor", Basic, "", noPool},
	{"connection_token_deficit", Basic, "", noThrottle},
	{"dead_watchers_cleaner_latency", Advanced, "", noCleaner},
	{"dead_watchers_cleared", Counter, "", noCleaner},
	{"dead_watchers_queued", Counter, "", noCleaner},
	{"diff_count", Counter, "", noLearners},
	{"election_time", Basic, "", noElection},
	{"ensemble_auth_fail", Counter, "", "the scheme ensemble closes the connection, uncounted"},
	{"ensemble_auth_skip", Counter, "", "the same"},
	{"ensemble_auth_success", Counter, "", "the same"},
	{"follower_sync_time", Basic, "", noLearners},
	{"inflight_diff_count", Basic, "", noLearners},
	{"inflight_snap_count", Basic, "", noLearners},
	{"insecure_admin_count", Counter, "", noTLS},
	{"jvm_pause_time_ms", Advanced, "", noJVM},
	{"large_requests_rejected", Counter, "", noThrottle},
	{"leader_unavailable_time", Basic, "", noElection},
	{"learner_commit_received_count", Counter, "", noLearners},
	{"learner_proposal_received_count", Counter, "", noLearners},
	{"learner_request_processor_queue_size", Basic, "", noLearners},
	{"local_write_committed_time_ms", Advanced, "updatelatency", "from a write's coming to its reply"},
	{"looking_count", Counter, "", noElection},
	{"netty_queued_buffer_capacity", Basic, "", noNetty},
	{"observer_sync_time", Basic, "", noLearners},
	{"om_commit_process_time_ms", Advanced, "", noObserver},
	{"om_proposal_process_time_ms", Advanced, "", noObserver},
	{"outstanding_changes_queued", Counter, "", noChanges},
	{"outstanding_changes_removed", Counter, "", noChanges},
	{"pending_session_queue_size", Basic, "", noPool},
	{"propagation_latency", Advanced, "updatelatency", "from a write's coming to its reply"},
	{"proposal_ack_creation_latency", Advanced, "", noLearners},
	{"proposal_count", Counter, "sync_processor_request_queued", "transactions"},
	{"proposal_latency", Advanced, "sync_processor_queue_and_flush_time_ms",
		"from a batch's way to the log until it is committed"},
	{"proposal_process_time", Basic, "prep_process_time", "a request's share of the core's turn"},
	{"quit_leading_due_to_disloyal_voter", Counter, "", noElection},
	{"quorum_ack_latency", Advanced, "sync_processor_queue_and_flush_time_ms",
		"the same: our own log is the quorum"},
	{"read_commit_proc_issued", Basic, "", noPool},
	{"read_commit_proc_req_queued", Basic, "", noPool},
	{"read_commitproc_time_ms", Advanced, "readlatency", "from a read's coming to its reply"},
	{"read_final_proc_time_ms", Advanced, "readlatency", "the same"},
	{"reads_after_write_in_session_queue", Basic, "", noPool},
	{"reads_issued_from_session_queue", Basic, "", noPool},
	{"request_commit_queued", Counter, "sync_processor_request_queued", "transactions"},
	{"request_throttle_queue_time_ms", Advanced, "", noThrottle},
	{"request_throttle_wait_count", Counter, "", noThrottle},
	{"requests_in_session_queue", Basic, "", noPool},
	{"requests_not_forwarded_to_commit_processor", Counter, "", noPool},
	{"response_packet_cache_hits", Counter, "", noCache},
	{"response_packet_cache_misses", Counter, "", noCache},
	{"response_packet_get_children_cache_hits", Counter, "", noCache},
	{"response_packet_get_children_cache_misses", Counter, "", noCache},
	{"revalidate_count", Counter, "", noLearners},
	{"server_write_committed_time_ms", Advanced, "sync_processor_queue_and_flush_time_ms",
		"from a batch's way to the log until it is committed"},
	{"session_queues_drained", Basic, "", noPool},
	{"skip_learner_request_to_next_processor_count", Counter, "", noLearners},
	{"snap_count", Counter, "", noLearners},
	{"socket_closing_time", Basic, "", "the kernel closes a socket, nobody waits for it"},
	{"stale_replies", Counter, "", noThrottle},
	{"stale_requests", Counter, "", noThrottle},
	{"stale_requests_dropped", Counter, "", noThrottle},
	{"sync_process_time", Basic, "fsynctime", "a batch's fsync"},
	{"sync_processor_queue_flush_time_ms", Advanced, "fsynctime", "a batch's fsync"},
	{"throttled_ops", Counter, "", noThrottle},
	{"time_waiting_empty_pool_in_commit_processor_read_ms", Basic, "", noPool},
	{"tls_handshake_exceeded", Counter, "", noTLS},
	{"unavailable_time", Basic, "", noElection},
	{"unsuccessful_handshake", Counter, "", noTLS},
	{"write_batch_time_in_commit_processor", Basic, "write_final_proc_time_ms",
		"from publication to the reply"},
	{"write_commit_proc_issued", Basic, "sync_processor_batch_size", "transactions per batch"},
	{"write_commit_proc_req_queued", Basic, "sync_processor_batch_size", "transactions per batch"},
	{"write_commitproc_time_ms", Advanced, "write_final_proc_time_ms",
		"from publication to the reply"},
}

var none Histogram // of families that nothing is counted for

// Complete adds the families of Java that the list lacks, so that what asks for one by name has
// an answer: the stage of ours that corresponds, or 0.
func Complete(list []Metric) []Metric {
	have := make(map[string]*Metric, len(list))
	for i := range list {
		have[list[i].Name] = &list[i]
	}
	out := list
	for _, f := range families {
		if have[f.name] != nil {
			continue
		}
		m := Metric{Name: f.name, Kind: f.kind, Unit: 1}
		if f.kind != Counter {
			m.Hist = &none
		}
		if of := have[f.from]; of != nil {
			m.Value, m.Hist, m.Unit = of.Value, of.Hist, of.Unit
		}
		out = append(out, m)
	}
	return out
}

const perMs = 1e6 // nanoseconds

// Microseconds adds each time that is counted in milliseconds once more in microseconds, under a
// name of our own: what takes 20 µs is 0 in every name of Java's.
func Microseconds(list []Metric) []Metric {
	out := list
	for _, m := range list {
		if m.Hist != nil && m.Unit == perMs {
			m.Name, m.Unit = "meerkat_"+strings.TrimSuffix(m.Name, "_ms")+"_us", 1000
			out = append(out, m)
		}
	}
	return out
}
