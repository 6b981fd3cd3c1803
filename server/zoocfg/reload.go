package zoocfg

import (
	"strings"
)

// A running server takes over what its file says of a few keys when it reads the file again.

// reloadable are those keys.
var reloadable = []string{"4lw.commands.whitelist", "logLevel"}

// operatorKeys are Meerkat's own. Java makes a property that nobody reads of them.
func operatorKeys() []key {
	return []key{
		{"logLevel", "info", oneOf(func(c *Config) *string { return &c.LogLevel },
			"debug", "info", "warn", "error"),
			"what is logged; --log-level counts before it (Java: logback.xml)"},
	}
}

// Restart names the keys whose values differ between two texts of a file and that only a restart
// takes over, in order. A text that cannot be read differs in nothing.
func Restart(old, new string) []string {
	was, is := values(old), values(new)
	differ := map[string]bool{}
	for name, value := range is {
		if before, set := was[name]; !set || before != value {
			differ[name] = true
		}
	}
	for name := range was {
		if _, set := is[name]; !set {
			differ[name] = true
		}
	}
	for _, name := range reloadable {
		delete(differ, name)
	}
	return sortedKeys(differ)
}

// values are the properties of a text by their keys' names; the last of a name counts.
func values(text string) map[string]string {
	all := map[string]string{}
	f, err := readProperties(strings.NewReader(text))
	if err != nil {
		return all
	}
	for _, p := range f.properties {
		_, name, _ := find(javaTrim(p.key))
		all[name] = javaTrim(p.value)
	}
	return all
}
