package c

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/meerkat-zk/meerkat/tools/compat/foreign"
	"github.com/meerkat-zk/meerkat/tools/compat/target"
)

func TestMain(m *testing.M) { os.Exit(target.Main(m)) }

func TestC(t *testing.T) {
	foreign.Wanted(t)
	suite := filepath.Join(t.TempDir(), "suite")
	err := foreign.Build("cc", "-std=gnu11", "-O1", "-g", "-Wall", "-Wextra",
		"-DTHREADED", "-o", suite, filepath.Join("src", "suite.c"), "-lzookeeper_mt",
		"-lpthread")
	if err != nil {
		t.Fatal(err)
	}
	server := target.Start(t, "extendedTypesEnabled=true", "znode.container.checkIntervalMs=200")
	foreign.Run(t, server, suite)
}
