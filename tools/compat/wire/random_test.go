package wire

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/meerkat-zk/meerkat/tools/compat/target"
)

var (
	randomSeed  = flag.Uint64("random.seed", 0, "play this seed alone")
	randomPlays = flag.Int("random.plays", 4, "how many random scripts TestRandom plays")
	randomSteps = flag.Int("random.steps", 250, "how many steps each has")
)

// TestRandom plays random scripts against a Java server and a Meerkat at once and compares.
// The scripts keep clear of what differences lists, save for the event header.
func TestRandom(t *testing.T) {
	if os.Getenv("TARGET") != "both" {
		t.Skip("TARGET=both compares two live servers")
	}
	for i := range *randomPlays {
		seed := *randomSeed
		if seed == 0 {
			seed = rand.Uint64()
		}
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { playBoth(t, seed) })
		if *randomSeed != 0 && i == 0 {
			return
		}
	}
}

func playBoth(t *testing.T, seed uint64) {
	java, meerkat := newPlay(t), newPlay(t)
	for _, p := range []*play{java, meerkat} {
		p.server = target.StartKind(t, p == java, "extendedTypesEnabled=true")
		p.later()
	}
	g := &generator{rand: rand.New(rand.NewPCG(seed, 0))}
	var history []string
	for _, name := range sessions {
		history = append(history, name+" connect")
	}
	for n := range *randomSteps {
		if n > 0 {
			history = append(history, strings.Split(g.step(), "\n")...)
		}
		block := strings.Join(history[g.played:], "\n")
		g.played = len(history)
		want, got := java.run(block), meerkat.run(block)
		if !matches("random", got, want) {
			t.Fatalf("TARGET=both go test ./tools/compat/wire -run TestRandom -random.seed=%d\n"+
				"…\n%s\nJava\n%s\nMeerkat\n%s",
				seed, strings.Join(history[max(0, len(history)-60):], "\n"), want, got)
		}
	}
}

// sessions of a random play: the first three set one-shot watches, the last two set a watch of
// one mode each and no other.
var sessions = []string{"a", "b", "c", "p", "r"}

var randomPaths = []string{"/x", "/y", "/x/a", "/x/b", "/x/a/c", "/x/a/d", "/y/a", "/", "/y/a/b",
	"/z", "/x/none/e", "/x/", "/zookeeper/quota"}

// Everyone may always read: before 3.9.2, exists asks for no permission.
var randomACLs = []string{"", "", "", "", " acl=world:anyone:rwcda", " acl=world:anyone:r",
	" acl=world:anyone:rwc", " acl=auth::rwcda,world:anyone:r", " acl=world:anyone:r,auth::a",
	" acl=empty", " acl=world:anyone:r,digest:b:x:rwcda", " acl=ip:127.0.0.0/8:rwcda"}

// A generator makes the steps of a random play.
type generator struct {
	rand   *rand.Rand
	played int // lines of the history
}

func (g *generator) pick(list ...string) string { return list[g.rand.IntN(len(list))] }

func (g *generator) path() string { return g.pick(randomPaths...) }

func (g *generator) version() string {
	return " version=" + g.pick("-1", "-1", "-1", "0", "1", "2", "7")
}

func (g *generator) watch() string { return g.pick("", " watch") }

// step is one line or, around a session's end, several.
func (g *generator) step() string {
	switch n := g.rand.IntN(100); {
	case n < 2:
		return g.reconnect()
	case n < 3:
		return g.restart()
	case n < 8:
		parts := make([]string, 2+g.rand.IntN(5))
		for i := range parts {
			// Java answers auth ahead of what was sent before it.
			for parts[i] = "auth"; strings.HasPrefix(parts[i], "auth"); {
				parts[i] = g.request()
			}
		}
		return g.session() + " burst " + strings.Join(parts, " ; ")
	case n < 16:
		return g.session() + " " + g.multi()
	case n < 20:
		return g.pick("p addWatch "+g.path()+" mode=0", "r addWatch "+g.path()+" mode=1")
	case n < 30:
		return g.pick(sessions...) + " ping"
	case n < 32:
		return "later"
	default:
		return g.session() + " " + g.request()
	}
}

// session is one that sets one-shot watches.
func (g *generator) session() string { return g.pick(sessions[:3]...) }

// reconnect ends a session or moves it to another connection. Its ephemerals go in any order.
func (g *generator) reconnect() string {
	name := g.session()
	how := g.pick(" connect session="+name, " closeSession\n"+name+" eof\n"+name+" connect")
	step := name + how
	for _, other := range sessions {
		step += "\n" + other + " ping unordered"
	}
	return step
}

// restart ends the server; the sessions come back.
func (g *generator) restart() string {
	step := "restart " + g.pick("kill", "stop")
	for _, name := range sessions {
		step += "\n" + name + " connect session=" + name
	}
	return step
}

func (g *generator) request() string {
	path := g.path()
	switch g.rand.IntN(16) {
	case 0, 1, 2:
		return g.create(true)
	case 3, 4:
		return "delete " + path + g.version()
	case 5, 6:
		return g.setData()
	case 7:
		return "exists " + path + g.watch()
	case 8:
		return "getData " + path + g.watch()
	case 9:
		return g.pick("getChildren ", "getChildren2 ") + path + g.watch()
	case 10:
		return "setACL " + path + g.pick(randomACLs...) + g.version()
	case 11:
		return "getACL " + path
	case 12:
		return g.pick("auth digest a:x", "whoAmI", "sync "+path, "getEphemerals "+path)
	case 13:
		return g.pick("getAllChildrenNumber /x", "getAllChildrenNumber /", "ping")
	case 14:
		return fmt.Sprintf("setWatches zxid=%d data=%s exist=%s child=%s", g.rand.IntN(200),
			g.list(), g.list(), g.list())
	default: // "" is "/" to a read, but for Java not to a watch
		return g.pick("exists ", "getData ", "delete ", "getACL ") + `""`
	}
}

// list is a few paths for setWatches.
func (g *generator) list() string {
	paths := make([]string, 1+g.rand.IntN(3))
	for i := range paths {
		paths[i] = g.pick(randomPaths[:8]...)
	}
	return strings.Join(paths, ",")
}

func (g *generator) setData() string {
	return "setData " + g.path() + " data=" + g.pick("null", "", "1", "22") + g.version()
}

// create makes a znode of any kind; create2 is answered otherwise inside a multi before 3.9.
func (g *generator) create(alone bool) string {
	path := g.path() + g.pick("", "", "", "s-")
	rest := " data=" + g.pick("null", "", "1", "22") + g.pick(randomACLs...)
	switch n := g.rand.IntN(12); {
	case n == 0:
		return "createContainer " + path + rest
	case n == 1:
		return "createTTL " + path + rest + " ttl=" + g.pick("0", "100000000") +
			" flags=" + g.pick("5", "6")
	case n < 4 && alone:
		return "create2 " + path + rest + " flags=" + g.pick("0", "1", "2", "3")
	default:
		return "create " + path + rest + " flags=" + g.pick("0", "0", "0", "1", "2", "3")
	}
}

func (g *generator) multi() string {
	if g.rand.IntN(8) == 0 {
		parts := make([]string, g.rand.IntN(5))
		for i := range parts {
			parts[i] = g.pick("getData ", "getChildren ") + g.path()
		}
		return "multiRead " + strings.Join(parts, " ; ")
	}
	parts := make([]string, g.rand.IntN(6))
	for i := range parts {
		switch g.rand.IntN(5) {
		case 0, 1:
			parts[i] = g.create(false)
		case 2:
			parts[i] = "delete " + g.path() + g.version()
		case 3:
			parts[i] = g.setData()
		default:
			parts[i] = "check " + g.path() + g.version()
		}
	}
	return "multi " + strings.Join(parts, " ; ")
}
