package wire

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/meerkat-zk/meerkat/tools/compat/target"
)

func TestMain(m *testing.M) { os.Exit(target.Main(m)) }

// Every script that both servers are asked.
func TestScripts(t *testing.T) {
	files := scripts(t, "testdata")
	for _, file := range files {
		t.Run(scriptName(file), func(t *testing.T) { playFile(t, file, target.Java()) })
	}
	if !target.Java() || t.Failed() || flag.Lookup("test.run").Value.String() != "" {
		return
	}
	for _, d := range differences {
		if d.used.Load() == 0 {
			t.Errorf("no script shows this difference any more: %s", d.why)
		}
	}
}

// Scripts for Meerkat alone: where it is stricter than Java with malformed requests.
func TestOwnScripts(t *testing.T) {
	if target.Java() {
		t.Skip("these requests go to Meerkat alone")
	}
	for _, file := range scripts(t, filepath.Join("testdata", "own")) {
		t.Run(scriptName(file), func(t *testing.T) { playFile(t, file, false) })
	}
}

func scripts(t *testing.T, dir string) []string {
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts in %s: %v", dir, err)
	}
	return files
}

func scriptName(file string) string {
	return strings.TrimSuffix(filepath.Base(file), ".txt")
}

func playFile(t *testing.T, file string, java bool) {
	p := newPlay(t)
	datadriven.RunTest(t, file, func(t *testing.T, d *datadriven.TestData) string {
		if d.Cmd == "server" {
			p.start(d.Input)
			return ""
		}
		if p.server == nil {
			p.start("")
		}
		got := p.run(d.Input)
		if java && matches(scriptName(file), d.Expected, got) {
			return d.Expected
		}
		return got
	})
}
