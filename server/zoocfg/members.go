package zoocfg

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Quorum is what members of an ensemble heed.
type Quorum struct {
	MyID    int64             // this server's, from dataDir/myid; -1: there is no such file
	Members []Member          // by id; empty for a lone server
	Groups  map[int64][]int64 // ids by group; nil: no hierarchy
	Weights map[int64]int64   // by id; a server that is not here weighs 1
	Version int64             // of the file of members, from its name

	InitLimit    int // ticks
	SyncLimit    int // ticks
	ConnectLimit int // ticks; InitLimit when the key is absent or 0

	Standalone            bool // a single voter runs alone
	Reconfig              bool
	DynamicConfigFile     string
	PeerType              string // participant or observer; the list of servers wins
	SyncEnabled           bool
	ListenOnAllIPs        bool
	ObserverMasterPort    int // 0 or less: none
	LeaderServes          bool
	OraclePath            string
	MultiAddress          bool
	ReachabilityTimeout   time.Duration
	ReachabilityCheck     bool
	TCPKeepAlive          bool
	ConnectTimeout        time.Duration // cnxTimeout
	CnxnTimeout           time.Duration // quorumCnxnTimeoutMs; SyncLimit ticks when absent
	BindRetry             int           // 0: for ever
	ConnectRetryDelay     time.Duration
	MinNotification       time.Duration
	MaxNotification       time.Duration
	MaxWaitForEpoch       time.Duration // negative: no limit of its own
	MaxSnapSyncs          int
	MaxDiffSyncs          int
	ObserverRetryDelay    time.Duration
	ObserverElectionDelay time.Duration
	ObserverMasterBytes   int
	SnapshotSizeFactor    float64 // negative: no sync from the log on disk
	CommitLogCount        int

	TLS             bool // sslQuorum
	PortUnification bool
	ReloadCertFiles bool

	SASL               bool
	SASLServerRequire  bool
	SASLLearnerRequire bool
	SASLLearnerContext string
	SASLServerContext  string
	SASLPrincipal      string
}

// A Member is one server line.
type Member struct {
	ID       int64
	Addrs    []MemberAddr // more than one only with multiAddress.enabled
	Observer bool
	Client   ClientAddr
	Secure   ClientAddr
}

// A MemberAddr is where the other servers reach a member.
type MemberAddr struct {
	Host         string
	QuorumPort   int
	ElectionPort int
}

// A ClientAddr is where clients reach a member; its Port is -1 when the line does not say.
type ClientAddr struct {
	Host string
	Port int
}

// Ensemble tells whether this is a member of an ensemble, rather than a server alone: more
// than one voter, or any when standaloneEnabled is false (QuorumPeerConfig.isDistributed).
func (c *Config) Ensemble() bool {
	voters := c.Quorum.voters()
	return voters > 1 || voters == 1 && !c.Quorum.Standalone
}

func (q *Quorum) voters() (n int) {
	for _, m := range q.Members {
		if !m.Observer {
			n++
		}
	}
	return n
}

// isMember tells whether the key belongs to the list of members, which may stand in a file of
// its own.
func isMember(k *key) bool {
	return k.name == "server.*" || k.name == "group.*" || k.name == "weight.*"
}

func serverLine() kind {
	const want = "host:port:port[:role][;[host:]port]"
	return kind{want: want, set: func(c *Config, suffix, v string) error {
		id, err := memberID(suffix)
		if err != nil {
			return err
		}
		m, err := parseMember(v)
		if err != nil {
			return fmt.Errorf("%q: %w", v, err)
		}
		m.ID = id
		q := &c.Quorum
		q.Members = slices.DeleteFunc(q.Members, func(m Member) bool { return m.ID == id })
		q.Members = append(q.Members, m)
		slices.SortFunc(q.Members, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
		return nil
	}}
}

func groupLine() kind {
	return kind{want: "ids with colons", set: func(c *Config, suffix, v string) error {
		group, err := memberID(suffix)
		if err != nil {
			return err
		}
		var ids []int64
		for part := range strings.SplitSeq(v, ":") {
			id, err := memberID(part)
			if err != nil {
				return err
			}
			ids = append(ids, id)
		}
		if c.Quorum.Groups == nil {
			c.Quorum.Groups = map[int64][]int64{}
		}
		c.Quorum.Groups[group] = ids
		return nil
	}}
}

func weightLine() kind {
	return kind{want: "number, 0 or more", set: func(c *Config, suffix, v string) error {
		id, err := memberID(suffix)
		if err != nil {
			return err
		}
		weight, err := integer(v, "a number", votes)
		if err != nil {
			return err
		}
		if c.Quorum.Weights == nil {
			c.Quorum.Weights = map[int64]int64{}
		}
		c.Quorum.Weights[id] = weight
		return nil
	}}
}

func memberID(s string) (int64, error) {
	id, err := strconv.ParseInt(s, 10, 64)
	if err != nil || id < 0 || id == math.MaxInt64 {
		return 0, fmt.Errorf("%q is not the id of a server", s)
	}
	return id, nil
}

var errMemberForm = errors.New("not of the form host:port:port[:role][;[host:]clientPort]" +
	"[;[host:]secureClientPort]")

// parseMember reads what follows "server.N=" (QuorumPeer.QuorumServer):
//
//	host:quorumPort:electionPort[:role][|host:quorumPort:electionPort[:role]]...
//	    [;[clientHost:]clientPort[;[secureHost:]securePort]]
func parseMember(v string) (m Member, err error) {
	parts := strings.Split(v, ";")
	if len(parts) > 3 {
		return m, errMemberForm
	}
	parts = append(parts, "", "")
	if m.Client, err = parseClient(parts[1]); err != nil {
		return m, err
	}
	if m.Secure, err = parseClient(parts[2]); err != nil {
		return m, err
	}
	role := ""
	for text := range strings.SplitSeq(parts[0], "|") {
		addr, r, err := parseMemberAddr(text)
		if err != nil {
			return m, err
		}
		if r != "" && role != "" && r != role {
			return m, errors.New("its addresses have different roles")
		}
		role = cmp.Or(r, role)
		m.Addrs = append(m.Addrs, addr)
	}
	m.Observer = role == "observer"
	return m, nil
}

func parseMemberAddr(text string) (addr MemberAddr, role string, err error) {
	parts, ok := splitHost(text)
	if !ok || len(parts) < 3 || len(parts) > 4 {
		return addr, "", errMemberForm
	}
	addr.Host = parts[0]
	if addr.QuorumPort, err = parsePort(parts[1]); err != nil {
		return addr, "", err
	}
	if addr.ElectionPort, err = parsePort(parts[2]); err != nil {
		return addr, "", err
	}
	if addr.QuorumPort == addr.ElectionPort {
		return addr, "", errors.New("its two ports must differ")
	}
	if len(parts) == 4 {
		role = strings.ToLower(javaTrim(parts[3]))
		if role != "participant" && role != "observer" {
			return addr, "", fmt.Errorf("role %q is not participant or observer", parts[3])
		}
	}
	return addr, role, nil
}

func parseClient(text string) (a ClientAddr, err error) {
	if text == "" {
		return ClientAddr{Port: -1}, nil
	}
	parts, ok := splitHost(text)
	if !ok || len(parts) > 2 {
		return a, errMemberForm
	}
	a.Host = "0.0.0.0"
	if len(parts) == 2 {
		a.Host = parts[0]
	}
	a.Port, err = parsePort(parts[len(parts)-1])
	return a, err
}

// splitHost splits at colons, but not at those of an IPv6 address in brackets.
func splitHost(text string) (parts []string, ok bool) {
	if !strings.HasPrefix(text, "[") {
		return strings.Split(text, ":"), true
	}
	host, rest, found := strings.Cut(text[1:], "]")
	rest, colon := strings.CutPrefix(rest, ":")
	if !found || !colon {
		return nil, false
	}
	return append([]string{host}, strings.Split(rest, ":")...), true
}

func parsePort(s string) (int, error) {
	p, err := integer(s, "a port", port)
	return int(p), err
}

// loadMembers reads the file that dynamicConfigFile names.
func (p *parser) loadMembers() {
	main := p.file
	defer func() { p.file = main }()
	for _, name := range sortedKeys(p.seen) {
		if k, _, _ := find(name); isMember(k) {
			p.fail(p.seen[name], name, "must stand in the file that dynamicConfigFile names")
			return
		}
	}
	path := p.c.Quorum.DynamicConfigFile
	f, err := os.Open(path)
	if err != nil {
		p.fail(p.seen["dynamicConfigFile"], "dynamicConfigFile", "%v", err)
		return
	}
	defer f.Close()
	p.file = path
	for _, prop := range p.properties(f) {
		if k, _, _ := find(prop.key); k == nil || !isMember(k) {
			p.fail(p.at(prop.line), prop.key, "only server, group and weight keys may stand here")
			continue
		}
		p.take(prop)
	}
	p.c.Quorum.Version = versionOf(path)
}

// versionOf is the version that the name of a file of members ends in, in hex; 0 without one
// (QuorumPeerConfig.getVersionFromFilename).
func versionOf(path string) int64 {
	version, err := strconv.ParseInt(strings.TrimPrefix(filepath.Ext(path), "."), 16, 64)
	if err != nil {
		return 0
	}
	return version
}
