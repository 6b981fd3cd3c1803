package realcfg

// A difference is what Meerkat does with a file otherwise than Java 3.8, and why.
type difference struct{ meerkat, reason string }

// Reasons of several files.
const (
	severalVoters = "ensembles of several voters are not served yet"
	noQuorumPort  = "the only voter leads without a quorum port: no other server can join yet"
	deaf          = "a server that no client can ever reach is refused, with the reason"
	saslDemanded  = "SASL is not served: a file that demands it is refused, unless " +
		"meerkat.serveWithoutSASL says otherwise"
)

// differences are by file. There are no others.
var differences = map[string]difference{
	"chart-stateful-set":         {"refused", severalVoters},
	"groups-and-weights":         {"refused", severalVoters},
	"hadoop-three-servers":       {"refused", severalVoters},
	"image-three-servers":        {"refused", severalVoters},
	"observer-of-three-voters":   {"refused", severalVoters},
	"operator-three-nodes":       {"refused", severalVoters},
	"three-voters-and-observers": {"refused", severalVoters},
	"two-voters":                 {"refused", severalVoters},

	"database-manual":           {"mode leader listens *:2181", noQuorumPort},
	"one-voter":                 {"mode leader listens *:2181", noQuorumPort},
	"one-voter-and-an-observer": {"mode leader listens *:2181", noQuorumPort},
	"one-voter-limits-below-0":  {"mode leader listens *:2181", noQuorumPort},
	"operator-one-node":         {"mode leader listens *:2181", noQuorumPort},

	"line-without-myid":            {"refused", deaf},
	"no-client-port":               {"refused", deaf},
	"one-voter-that-serves-nobody": {"refused", deaf},
	"port-in-small-letters":        {"refused", deaf},
	"port-0": {"mode none listens *:other",
		"any free port, as for 3.9; none for 3.8"},

	"auth-enforced-sasl":  {"refused", saslDemanded},
	"kafka-sasl-required": {"refused", saslDemanded},
	"kafka-sasl-scheme": {"refused", "Java does not read requireClientAuthScheme and serves " +
		"without SASL; who wrote it believes that SASL is demanded"},
	"kafka-tls": {"refused", "TLS is not served: a file that offers it is refused"},

	"operator-prometheus": {"mode leader listens 127.0.0.1:2181 listens 127.0.0.1:7000",
		"Debian's Java server has no PrometheusMetricsProvider"},
	"purge-in-days": {"mode standalone listens *:2181", "units came with 3.10"},
	"windows-byte-order-mark-key": {"mode standalone listens *:2181",
		"the mark is passed over, with a warning"},
}
