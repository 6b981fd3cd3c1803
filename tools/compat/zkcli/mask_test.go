package zkcli

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// masks are parts of lines that differ from run to run.
var masks = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`^([cm]time) = .*`), "$1 = TIME"},
	{regexp.MustCompile(`^ephemeralOwner = 0x[0-9a-f]{4,}$`), "ephemeralOwner = SESSION"},
	{regexp.MustCompile(`^(ZooKeeper CLI version:) .*`), "$1 VERSION"},
	{regexp.MustCompile(`^\tat .*`), ""}, // where Java was when it failed
	// The shell of 3.8.0 says this or not: it may look before the answer is noted.
	{regexp.MustCompile(`^Failed to delete some node\(s\) in the subtree!$`), ""},
	{regexp.MustCompile(`^\t\.\.\. \d+ more`), ""}, // the same
}

// paths is a list of paths in the order of a hash table.
var paths = regexp.MustCompile(`^\[/.*, /.*\]$`)

// whoami shows the identities of a session in the order of a hash table.
var identity = regexp.MustCompile(`(?m)^(?:ip|digest|x509|sasl): .*\n`)

// sortIdentities puts those that follow each other in order.
func sortIdentities(text string) string {
	const heading = "Auth scheme: User\n"
	before, list, found := strings.Cut(text, heading)
	if !found {
		return text
	}
	lines := identity.FindAllString(list, -1)
	slices.Sort(lines)
	return before + heading + strings.Join(lines, "") + identity.ReplaceAllString(list, "")
}

// mask makes a line the same in every run.
func mask(line, addr string) string {
	line = strings.ReplaceAll(line, addr, "ADDR")
	for _, m := range masks {
		line = m.pattern.ReplaceAllString(line, m.with)
	}
	if paths.MatchString(line) {
		list := strings.Split(line[1:len(line)-1], ", ")
		slices.Sort(list)
		line = "[" + strings.Join(list, ", ") + "]"
	}
	return line
}

func TestMask(t *testing.T) {
	for line, want := range map[string]string{
		"ctime = Thu Jan 01 00:00:00 UTC 1970": "ctime = TIME",
		"ephemeralOwner = 0x100001234560000":   "ephemeralOwner = SESSION",
		"ephemeralOwner = 0x0":                 "ephemeralOwner = 0x0",
		"Connecting to 127.0.0.1:123":          "Connecting to ADDR",
		"[/b, /a]":                             "[/a, /b]",
		"[b, a]":                               "[b, a]",
		"cZxid = 0x5":                          "cZxid = 0x5",
	} {
		if got := mask(line, "127.0.0.1:123"); got != want {
			t.Errorf("mask(%q) = %q, want %q", line, got, want)
		}
	}
}
