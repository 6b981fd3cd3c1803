package zoocfg

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "rewrite docs/configuration.md")

// docs/configuration.md lists the table of keys, word for word.
func TestConfigurationPage(t *testing.T) {
	const page = "../../docs/configuration.md"
	var b strings.Builder
	b.WriteString("# Keys of zoo.cfg\n\n" +
		"`go test ./server/zoocfg -run ConfigurationPage -rewrite` writes this page.\n" +
		"Every key may also be written with the prefix `zookeeper.`.\n" +
		"A key marked *without effect* steers what only a Java server has.\n" +
		"One marked *not served* is read and checked, but this release does nothing with it: " +
		"what clients would miss at once is refused at the start (TLS on a port of its own, " +
		"several voters), most of the rest that is asked for is warned of, and keys of TLS " +
		"and of ensembles beside it are passed over.\n\n" +
		"| key | default | value | meaning |\n|---|---|---|---|\n")
	cell := strings.NewReplacer("|", "\\|", "\n", " ")
	for _, k := range Keys() {
		means := k.Means
		switch {
		case k.Ignored:
			means = "*without effect*: " + means
		case k.Unserved:
			means = "*not served*: " + means
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", k.Name, cell.Replace(k.Default),
			cell.Replace(k.Want), cell.Replace(means))
	}
	if *rewrite {
		if err := os.WriteFile(page, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != b.String() {
		t.Fatalf("%s is not what the table says: run this test with -rewrite", page)
	}
}
