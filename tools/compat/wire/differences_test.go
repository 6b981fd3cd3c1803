package wire

import (
	"regexp"
	"strings"
	"sync/atomic"
)

// A difference is a line of a transcript that Java 3.8 answers otherwise than the server we
// follow (3.9 and later). Invariant: each one is needed, or the test says so.
type difference struct {
	script  string         // the file, "" for all
	meerkat *regexp.Regexp // the line as the file has it; nil: there is none
	java    string         // what Java 3.8 says instead, with $1 … of meerkat; "": nothing
	why     string
	used    atomic.Int64
}

// differences is every known one between Java 3.8 and the files in testdata.
var differences = []*difference{
	{
		meerkat: regexp.MustCompile(`^(\w+ event) zxid=0x[0-9a-f]+ (.*)$`),
		java:    `$1 zxid=-1 $2`,
		why:     whyEventZxid,
	},
	{
		script:  "acl",
		meerkat: regexp.MustCompile(`^b exists (zxid=\w+) NOAUTH$`),
		java:    `b exists $1 c=.* v=.*`,
		why:     whyExistsReads,
	},
	{
		script:  "early",
		meerkat: regexp.MustCompile(`^b exists (zxid=\w+) NOAUTH$`),
		java:    `b exists $1 c=.* v=.*`,
		why:     whyExistsReads,
	},
	{
		script:  "create",
		meerkat: regexp.MustCompile(`^a exists (zxid=\w+) NOAUTH$`),
		java:    `a exists $1 c=.* v=.*`,
		why:     whyExistsReads,
	},
	{
		script:  "watch-acl",
		meerkat: regexp.MustCompile(`^b exists (zxid=\w+) NOAUTH$`),
		java:    `b exists $1 c=.* v=.*`,
		why:     whyExistsReads,
	},
	{
		script:  "multi",
		meerkat: regexp.MustCompile(`^  create2 path=(/m/[ae]) c=0x2 .* v=0 .*$`),
		java:    `  create path=$1`,
		why:     whyCreate2,
	},
	{
		script:  "watches",
		meerkat: regexp.MustCompile(`^([qu]) event zxid=\w+ NodeChildrenChanged /[qu]$`),
		why:     whyWatchModes,
	},
	{
		script:  "remove-persistent",
		meerkat: regexp.MustCompile(`^(\w+ (?:check|remove)Watches zxid=\w+)(?: NOWATCHER)?$`),
		java:    `$1 MARSHALLINGERROR`,
		why:     whyWatchTypes,
	},
	{
		script:  "remove-persistent",
		meerkat: regexp.MustCompile(`^(\w+ checkWatches zxid=\w+) NOWATCHER$`),
		java:    `$1`,
		why:     whyLooseContains + ", and so the watches that 3.8 could not remove",
	},
	{
		script:  "remove-watches",
		meerkat: regexp.MustCompile(`^(\w+ checkWatches zxid=\w+) NOWATCHER$`),
		java:    `$1`,
		why:     whyLooseContains,
	},
}

// matches tells whether Java's transcript is the expected one save for known differences.
func matches(script, want, got string) bool {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for len(w) > 0 || len(g) > 0 {
		switch taken := known(script, w, g); {
		case len(w) > 0 && len(g) > 0 && w[0] == g[0]:
			w, g = w[1:], g[1:]
		case taken == nil:
			return false
		default:
			if taken.meerkat != nil {
				w = w[1:]
			}
			if taken.java != "" {
				g = g[1:]
			}
		}
	}
	return true
}

// known finds the difference that explains the first lines of want and got.
func known(script string, want, got []string) *difference {
	if len(want) > 0 && len(got) > 0 && want[0] == got[0] {
		return nil
	}
	for _, d := range differences {
		if d.script != "" && d.script != script {
			continue
		}
		java := d.java
		if d.meerkat != nil {
			if len(want) == 0 {
				continue
			}
			groups := d.meerkat.FindStringSubmatchIndex(want[0])
			if groups == nil {
				continue
			}
			java = string(d.meerkat.ExpandString(nil, d.java, want[0], groups))
		}
		if d.java != "" && (len(got) == 0 || !regexp.MustCompile("^"+java+"$").MatchString(got[0])) {
			continue
		}
		d.used.Add(1)
		return d
	}
	return nil
}
