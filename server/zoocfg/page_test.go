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
		"Every key may also be written with the prefix `zookeeper.`, which Java does not read in " +
		"a file.\n" +
		"A key marked *without effect* steers what only a Java server has.\n" +
		"One marked *not served* is read and checked, but this release does nothing with it: " +
		"what clients would miss at once is refused at the start (TLS on a port of its own, " +
		"several voters), most of the rest that is asked for is warned of, and keys of TLS " +
		"and of ensembles beside it are passed over.\n\n" +
		"The column *odd values* tells what becomes of a value that is not one of those in the " +
		"column before; it is the same for a Java server of 3.8 and for Meerkat unless it says " +
		"otherwise.\n" +
		"*Refused* is an error at the start, with the file and the line here.\n" +
		"*The default*, and what a value *counts as*, Java takes in silence and Meerkat with a " +
		"warning. Nothing is less safe than with " +
		"Java: `skipACL=true` checks ACLs, `forceSync=false` syncs.\n" +
		"Numbers of keys with *the default* are also read in hex after `0x` and in octal after " +
		"`0`, as for Java.\n" +
		"A key that stands twice counts as it stands last; here with a warning.\n" +
		"128 files in the shapes that people use, with what Java does with each, are in " +
		"`server/zoocfg/testdata/real`; `make compat` starts both servers from them, and " +
		"`tools/compat/realcfg/differences.go` has what differs.\n\n" +
		"| key | default | value | odd values | meaning |\n|---|---|---|---|---|\n")
	cell := strings.NewReplacer("|", "\\|", "\n", " ")
	for _, k := range Keys() {
		means := k.Means
		switch {
		case k.Ignored:
			means = "*without effect*: " + means
		case k.Unserved:
			means = "*not served*: " + means
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", k.Name, cell.Replace(k.Default),
			cell.Replace(k.Want), cell.Replace(k.Odd), cell.Replace(means))
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
