package zkcli

import (
	"strings"

	"github.com/meerkat-zk/meerkat/tools/compat/target"
)

// A difference is what the shell prints otherwise against Java 3.8 than against Meerkat, which
// follows later servers. Invariant: each one is needed, or the test says so.
type difference struct {
	script        string
	java, meerkat string // whole lines
	why           string
	used          bool
}

// differences is every known one.
var differences = []*difference{
	{
		script: "acl.txt",
		java: "> stat /a/mine\ncZxid = 0x4\nctime = TIME\nmZxid = 0x4\nmtime = TIME\n" +
			"pZxid = 0x4\ncversion = 0\ndataVersion = 0\naclVersion = 0\n" +
			"ephemeralOwner = 0x0\ndataLength = 1\nnumChildren = 0\n",
		meerkat: "> stat /a/mine\nInsufficient permission : /a/mine\n",
		why:     "exists asks for READ since 3.8.4 and 3.9.2",
	},
	{
		script: "watches.txt",
		java: "KeeperErrorCode = No such watcher for /t\n" +
			"KeeperErrorCode = No such watcher for /t\n" +
			"KeeperErrorCode = No such watcher for /t\n",
		meerkat: "KeeperErrorCode = No such watcher for /t\n" +
			"KeeperErrorCode = No such watcher for /t\n",
		why: "3.8 takes half of a persistent watch away for each of -d and -c, tells no one, and " +
			"finds nothing left for -a; since 3.9 -d and -c name plain watches alone",
	},
}

// likeJava replaces what is known to differ by what Java says.
func likeJava(script, text string) string {
	if target.Java() {
		return text
	}
	for _, d := range differences {
		if d.script == script && strings.Contains(text, d.meerkat) {
			text = strings.Replace(text, d.meerkat, d.java, 1)
			d.used = true
		}
	}
	return text
}
