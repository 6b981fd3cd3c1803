package curator

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meerkat-zk/meerkat/tools/compat/foreign"
	"github.com/meerkat-zk/meerkat/tools/compat/target"
)

func TestMain(m *testing.M) { os.Exit(target.Main(m)) }

// jars name what they need besides.
var jars = strings.Join([]string{
	"/usr/share/java/curator-recipes.jar", "/usr/share/java/curator-framework.jar",
	"/usr/share/java/curator-client.jar", "/usr/share/java/zookeeper.jar",
	"/usr/share/java/zookeeper-jute.jar", "/usr/share/java/slf4j-simple.jar",
}, ":")

func TestCurator(t *testing.T) {
	foreign.Wanted(t)
	sources, err := filepath.Glob(filepath.Join("src", "*.java"))
	if err != nil || len(sources) == 0 {
		t.Fatalf("no sources: %v", err)
	}
	classes := t.TempDir()
	if err := foreign.Build(append([]string{"javac", "-J-XX:TieredStopAtLevel=1", "-nowarn",
		"-cp", jars, "-d", classes}, sources...)...); err != nil {
		t.Fatal(err)
	}
	server := target.Start(t, "extendedTypesEnabled=true", "znode.container.checkIntervalMs=200",
		"maxClientCnxns=0", "maxSessionTimeout=60000")
	foreign.Run(t, server, "java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=off", "-cp", classes+":"+jars,
		"-Donly="+os.Getenv("ONLY"), "Suite") // ONLY is a part of the names of tests
}
