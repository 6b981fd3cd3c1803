package zoocfg

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Which of the server lines is this server's own, and what follows from that line.

// loadMyID reads the id of this server from the first line of dataDir/myid. Java reads it for a
// server alone as well (QuorumPeerConfig.setupMyId).
func (p *parser) loadMyID() {
	path := filepath.Join(p.c.DataDir, "myid")
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		p.withoutMyID(path)
		return
	}
	f, err := os.Open(path)
	if err != nil {
		p.fail(position{}, "", "the id of this server cannot be read: %v", err)
		return
	}
	defer f.Close()
	line, err := bufio.NewReader(io.LimitReader(f, 64)).ReadString('\n')
	if err != nil && err != io.EOF {
		p.fail(position{path, 0}, "", "cannot be read: %v", err)
		return
	}
	line = strings.TrimRight(line, "\r\n")
	id, err := strconv.ParseInt(line, 10, 64)
	if err != nil {
		p.fail(position{path, 1}, "", "%q is not the id of a server: the file has the N of this "+
			"server's line server.N and nothing else", line)
		return
	}
	p.c.Quorum.MyID = id
	if p.c.Quorum.Self() == nil && p.c.Ensemble() {
		p.fail(position{path, 1}, "", "the id is %d, but there is no server.%d", id, id)
	}
}

// withoutMyID is an ensemble's error; for a server alone it matters when a line says where
// clients are heard.
func (p *parser) withoutMyID(path string) {
	if p.c.Ensemble() {
		p.fail(position{}, "", "%s is missing: it has the id of this server's line", path)
		return
	}
	for _, m := range p.c.Quorum.Members {
		if m.Client.Port >= 0 {
			name := fmt.Sprintf("server.%d", m.ID)
			p.warn(p.seen[name], "%s: its client address is not used, for %s, which would say that "+
				"the line is this server's, is missing", name, path)
		}
	}
}

// Self is this server's own line; nil when no line has its id.
func (q *Quorum) Self() *Member {
	for i := range q.Members {
		if q.Members[i].ID == q.MyID {
			return &q.Members[i]
		}
	}
	return nil
}

// takeClientAddr has clients heard where this server's own line says. A key may say less: another
// port, or another interface than the key's, is an error (QuorumPeerConfig.setupClientPort).
func (p *parser) takeClientAddr() {
	self := p.c.Quorum.Self()
	if self == nil {
		return
	}
	name := fmt.Sprintf("server.%d", self.ID)
	if a := self.Client; a.Port >= 0 {
		p.agree(name, a, "clientPort", ClientAddr{p.c.ClientPortAddress, p.c.ClientPort})
		p.c.ClientPortAddress, p.c.ClientPort = a.Host, a.Port
	}
	if a := self.Secure; a.Port >= 0 {
		p.agree(name, a, "secureClientPort",
			ClientAddr{p.c.SecureClientPortAddress, p.c.SecureClientPort})
		p.c.SecureClientPortAddress, p.c.SecureClientPort = a.Host, a.Port
	}
}

// agree refuses a server line that says another address than the keys.
func (p *parser) agree(name string, line ClientAddr, key string, keys ClientAddr) {
	if keys.Port <= 0 {
		return
	}
	allInterfaces := isUnspecified(keys.Host)
	if keys.Port == line.Port && (allInterfaces || sameHost(keys.Host, line.Host)) {
		return
	}
	p.fail(p.seen[name], name, "clients are heard on %s by this line, but on %s by %s: "+
		"leave one of them out", line, keys, key)
}

func (a ClientAddr) String() string {
	return net.JoinHostPort(cmp.Or(a.Host, "0.0.0.0"), strconv.Itoa(a.Port))
}

func isUnspecified(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

// sameHost tells whether both are one address; names are looked up.
func sameHost(a, b string) bool {
	if a == b {
		return true
	}
	ipA, errA := net.ResolveIPAddr("ip", a)
	ipB, errB := net.ResolveIPAddr("ip", b)
	return errA == nil && errB == nil && ipA.IP.Equal(ipB.IP)
}

// Alone tells whether this server needs no other one: it is no member of an ensemble, or the
// only voter there.
func (c *Config) Alone() bool {
	if !c.Ensemble() {
		return true
	}
	self := c.Quorum.Self()
	if self == nil || self.Observer || c.Quorum.voters() > 1 {
		return false
	}
	weight, given := c.Quorum.Weights[self.ID]
	return !given || weight > 0
}

// Membership is the members as /zookeeper/config holds them (QuorumVerifier.toString).
func (q *Quorum) Membership() string {
	var b strings.Builder
	for _, m := range q.Members {
		fmt.Fprintf(&b, "server.%d=%s\n", m.ID, m)
	}
	for _, group := range sortedKeys(q.Groups) {
		fmt.Fprintf(&b, "group.%d=%s\n", group, joinIDs(q.Groups[group]))
	}
	if len(q.Groups) > 0 {
		for _, m := range q.Members {
			if weight, given := q.Weights[m.ID]; given || !m.Observer {
				if !given {
					weight = 1
				}
				fmt.Fprintf(&b, "weight.%d=%d\n", m.ID, weight)
			}
		}
	}
	fmt.Fprintf(&b, "version=%x", q.Version)
	return b.String()
}

func joinIDs(ids []int64) string {
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = strconv.FormatInt(id, 10)
	}
	return strings.Join(words, ":")
}

// String is the line without its "server.N=", with the role and, of client addresses, the plain.
func (m Member) String() string {
	addrs := make([]string, len(m.Addrs))
	for i, a := range m.Addrs {
		addrs[i] = net.JoinHostPort(a.Host, strconv.Itoa(a.QuorumPort)) + ":" +
			strconv.Itoa(a.ElectionPort)
	}
	s := strings.Join(addrs, "|") + ":" + m.role()
	if m.Client.Port >= 0 {
		s += ";" + m.Client.String()
	}
	return s
}

func (m Member) role() string {
	if m.Observer {
		return "observer"
	}
	return "participant"
}
