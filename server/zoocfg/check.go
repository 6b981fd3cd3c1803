package zoocfg

import (
	"fmt"
	"slices"
	"strings"
)

// Least values, to which Java raises what is below them.
const (
	snapRetainMin = 3
	snapCountMin  = 2
	commitLogMin  = 500
	extraSizeMin  = 1024
)

// check looks at what the keys say together, as QuorumPeerConfig.parseProperties does at its
// end, and completes the Config.
func (p *parser) check() {
	c := p.c
	if _, given := p.seen["dataDir"]; !given {
		p.fail(position{}, "", "dataDir is not set")
	}
	p.raise("autopurge.snapRetainCount", &c.SnapRetainCount, snapRetainMin)
	p.raise("snapCount", &c.SnapCount, snapCountMin)
	p.raise("commitLogCount", &c.Quorum.CommitLogCount, commitLogMin)
	if p.given("jute.maxbuffer.extrasize") {
		p.raise("jute.maxbuffer.extrasize", &c.JuteMaxBufferExtra, extraSizeMin)
	}
	if c.Quorum.SnapshotSizeFactor > 1 {
		p.warn(p.seen["snapshotSizeFactor"], "snapshotSizeFactor: above 1, taken as 0.33")
		c.Quorum.SnapshotSizeFactor = 0.33
	}
	p.takeClientAddr()
	p.checkPorts()
	p.checkWords()
	p.checkAdmin()
	c.complete()
	p.checkSessions()
	p.checkAuth()
	p.checkQuorumSASL()
	p.checkMembers()
	p.checkUnsafe()
}

func (p *parser) given(name string) bool {
	_, given := p.seen[name]
	return given
}

func (p *parser) raise(name string, v *int, least int) {
	if *v < least {
		p.warn(p.seen[name], "%s: %d is too small, taken as %d", name, *v, least)
		*v = least
	}
}

func (p *parser) checkPorts() {
	for _, name := range []string{"clientPort", "secureClientPort"} {
		address := name + "Address"
		none := !p.given(name) || name == "secureClientPort" && p.c.SecureClientPort < 0
		if p.given(address) && none {
			p.fail(p.seen[address], address, "is set, but %s is not", name)
		}
	}
	_, plain := p.c.ClientAddr()
	_, secure := p.c.SecureClientAddr()
	if !plain && !secure && len(p.c.Quorum.Members) == 0 {
		p.warn(position{}, "clientPort is not set: no client can connect")
	}
}

// fourLetterWords are those that are known (FourLetterCommands).
var fourLetterWords = []string{
	"conf", "cons", "crst", "dirs", "dump", "envi", "gtmk", "hash", "isro", "mntr", "ruok",
	"srst", "srvr", "stat", "stmk", "wchc", "wchp", "wchs",
}

func (p *parser) checkWords() {
	const whitelist = "4lw.commands.whitelist"
	for _, word := range p.c.FourLetterWords {
		if word == "*" || slices.Contains(fourLetterWords, word) {
			continue
		}
		guess := nearest(word, fourLetterWords)
		if guess != "" {
			guess = "; did you mean " + guess + "?"
		}
		p.warn(p.seen[whitelist], "%s: there is no word %s%s", whitelist, word, guess)
	}
}

// checkAdmin says that Java's default, an AdminServer, is not ours to who set it up.
func (p *parser) checkAdmin() {
	if p.c.Admin.Enable {
		return
	}
	var idle []string
	for name := range p.seen {
		if strings.HasPrefix(name, "admin.") && name != "admin.enableServer" {
			idle = append(idle, name)
		}
	}
	if len(idle) > 0 {
		slices.Sort(idle)
		p.warn(p.seen[idle[0]], "%s: no effect, for admin.enableServer is not true",
			strings.Join(idle, ", "))
	}
}

func (p *parser) checkSessions() {
	if lo, hi := p.c.MinSessionTimeout, p.c.MaxSessionTimeout; lo > hi {
		at := p.seen["minSessionTimeout"]
		if !p.given("minSessionTimeout") {
			at = p.seen["maxSessionTimeout"]
		}
		p.fail(at, "minSessionTimeout", "%d ms is more than maxSessionTimeout, %d ms",
			lo.Milliseconds(), hi.Milliseconds())
	}
}

// authProviders are the classes that Java's server brings and that have a counterpart here.
var authProviders = []string{
	"DigestAuthenticationProvider", "EnsembleAuthenticationProvider",
	"IPAuthenticationProvider", "SASLAuthenticationProvider", "X509AuthenticationProvider",
}

const authPackage = "org.apache.zookeeper.server.auth."

// HasAuthProvider tells whether an authProvider.N names this class of Java's server, given
// without its package.
func (c *Config) HasAuthProvider(class string) bool {
	for _, name := range c.AuthProviders {
		if name == authPackage+class {
			return true
		}
	}
	return false
}

func (p *parser) checkAuth() {
	c := p.c
	if c.EnforceAuth && len(c.EnforceAuthSchemes) == 0 {
		p.fail(p.seen["enforce.auth.enabled"], "enforce.auth.enabled",
			"is true, but enforce.auth.schemes is not set")
	}
	for _, suffix := range sortedKeys(c.AuthProviders) {
		class, found := strings.CutPrefix(c.AuthProviders[suffix], authPackage)
		if !found || !slices.Contains(authProviders, class) {
			name := "authProvider." + suffix
			p.warn(p.seen[name], "%s: there is no provider %s here", name,
				c.AuthProviders[suffix])
		}
	}
}

func (p *parser) checkQuorumSASL() {
	const (
		enable  = "quorum.auth.enableSasl"
		server  = "quorum.auth.serverRequireSasl"
		learner = "quorum.auth.learnerRequireSasl"
	)
	q := &p.c.Quorum
	switch {
	case q.SASLServerRequire && !q.SASL:
		p.fail(p.seen[server], server, "needs %s", enable)
	case q.SASLLearnerRequire && !q.SASL:
		p.fail(p.seen[learner], learner, "needs %s", enable)
	case q.SASLServerRequire && !q.SASLLearnerRequire:
		p.fail(p.seen[server], server, "needs %s", learner)
	}
}

func (p *parser) checkMembers() {
	q := &p.c.Quorum
	for _, m := range q.Members {
		if len(m.Addrs) > 1 && !q.MultiAddress {
			name := fmt.Sprintf("server.%d", m.ID)
			p.fail(p.seen[name], name, "several addresses need multiAddress.enabled")
		}
	}
	p.checkGroups()
	voters := q.voters()
	switch {
	case voters == 0 && len(q.Members) > 0:
		p.fail(position{}, "", "there are observers, but no participant")
	case voters == 0 && !q.Standalone && q.DynamicConfigFile == "":
		p.fail(p.seen["standaloneEnabled"], "standaloneEnabled",
			"is false, but there is no participant")
	case voters == 1 && q.Standalone && len(q.Members) > 1:
		p.fail(position{}, "", "there are observers, but no quorum: only one participant")
	case p.c.Ensemble():
		p.checkEnsemble(voters)
	}
}

func (p *parser) checkEnsemble(voters int) {
	p.checkLimit("initLimit", p.c.Quorum.InitLimit)
	p.checkLimit("syncLimit", p.c.Quorum.SyncLimit)
	if !p.c.Quorum.LeaderServes && p.c.Alone() {
		p.fail(p.seen["leaderServes"], "leaderServes",
			"is no, but this server is the only voter and so always leads: nobody would serve")
	}
	switch {
	case voters == 1:
	case voters == 2:
		p.warn(position{}, "no failure is survived by fewer than 3 servers")
	case voters%2 == 0:
		p.warn(position{}, "%d servers survive no more failures than %d would", voters, voters-1)
	}
}

// checkLimit refuses ticks that an ensemble cannot be without. Below 0 no other server can join.
func (p *parser) checkLimit(name string, ticks int) {
	switch {
	case ticks == 0:
		p.fail(p.seen[name], "", "%s is not set", name)
	case ticks < 0 && p.c.Alone():
		p.warn(p.seen[name], "%s: below 0 no other server can join", name)
	case ticks < 0:
		p.fail(p.seen[name], name, "%d is too small (want 1 or more)", ticks)
	}
}

// checkGroups holds hierarchical quorums together (QuorumHierarchical.parse).
func (p *parser) checkGroups() {
	q := &p.c.Quorum
	if len(q.Groups) == 0 && len(q.Weights) == 0 {
		return
	}
	groupOf := map[int64]int64{}
	for _, group := range sortedKeys(q.Groups) {
		name := fmt.Sprintf("group.%d", group)
		for _, id := range q.Groups[group] {
			if _, twice := groupOf[id]; twice {
				p.fail(p.seen[name], name, "server %d is in more than one group", id)
			}
			groupOf[id] = group
			if !slices.ContainsFunc(q.Members, func(m Member) bool { return m.ID == id }) {
				p.fail(p.seen[name], name, "there is no server.%d", id)
			}
		}
	}
	for _, m := range q.Members {
		if _, grouped := groupOf[m.ID]; !grouped && !m.Observer {
			name := fmt.Sprintf("server.%d", m.ID)
			p.fail(p.seen[name], name, "is in no group")
		}
	}
}

// checkUnsafe says what a key gives up.
func (p *parser) checkUnsafe() {
	if !p.c.ForceSync {
		p.warn(p.seen["forceSync"],
			"forceSync: writes that were acknowledged can be lost when the machine fails")
	}
	if p.c.SkipACL {
		p.warn(p.seen["skipACL"], "skipACL: every client may do everything")
	}
}
