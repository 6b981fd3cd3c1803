package zoocfg

import (
	"slices"
	"testing"
)

// What only a restart takes over is named, whichever way it was changed; what is read again, and
// what only looks different, is not.
func TestRestart(t *testing.T) {
	const old = "tickTime=2000\n# note\ndataDir=/a\n4lw.commands.whitelist=ruok\n"
	for text, want := range map[string][]string{
		old: nil,
		"zookeeper.tickTime : 2000\ndataDir = /a \nlogLevel=debug\n": nil, // no whitelist
		"tickTime=3000\ndataDir=/a\n4lw.commands.whitelist=*\n":      {"tickTime"},
		"dataDir=/a\nsnapCount=5\nodd=1\n":                           {"odd", "snapCount", "tickTime"},
		"tickTime=1\ntickTime=2000\ndataDir=/a\n":                    nil, // the last one counts
	} {
		if got := Restart(old, text); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// The level is one of four.
func TestLogLevel(t *testing.T) {
	if c := mustParse(t, "clientPort=1"); c.LogLevel != "info" {
		t.Errorf("the default is %q", c.LogLevel)
	}
	if c := mustParse(t, "clientPort=1\nlogLevel=debug"); c.LogLevel != "debug" {
		t.Errorf("it is %q", c.LogLevel)
	}
	const want = `zoo.cfg:3: logLevel: "loud" is not one of debug, info, warn, error`
	if _, _, err := parse("clientPort=1\nlogLevel=loud"); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
