package server

import (
	"fmt"
	"strings"
	"testing"

	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/wal"
)

// A dataLogDir that is forgotten or lost would take back what was acknowledged: the start is
// refused, and so says --check, with the line that allows it. A snapshot that is alone is served,
// with a warning.
func TestForgottenLogs(t *testing.T) {
	files := wal.NewMemFS()
	config := func(dataDir, logDir string) (Options, *journal) {
		j := newJournal()
		return testOptions(t, func(o *Options) {
			o.FS, o.Logger = files, j.logger()
			o.Config.DataDir, o.Config.DataLogDir, o.Config.SnapCount = dataDir, logDir, 10
		}), j
	}
	serve := func(o Options, work func(*Server)) {
		t.Helper()
		s, err := Start(o)
		if err != nil {
			t.Fatal(err)
		}
		work(s)
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	o, j := config("/data", "/log")
	serve(o, func(s *Server) {
		w := connectTo(t, s)
		for i := range 100 {
			w.must(proto.OpCreate, create(fmt.Sprintf("/%d", i), "", 0))
		}
		j.await(t, "snapshot written", "snapshot.")
	})
	const alone = "no log behind it"
	if j.has(alone) {
		t.Error(j.text())
	}
	o, j = config("/data", "/data")
	for what, start := range map[string]func() error{
		"start": func() error { _, err := Start(o); return err },
		"check": func() error { return Check(o) },
	} {
		err := start()
		if err == nil || !strings.Contains(err.Error(), "set dataLogDir=/log") ||
			!strings.Contains(err.Error(), "rm /data/version-2/meerkat.logdir") {
			t.Errorf("%s without the logs: %v", what, err)
		}
	}
	o, _ = config("/data", "/log")
	serve(o, func(s *Server) { connectTo(t, s).must(proto.OpGetData, get("/99", false)) })

	// The line that allows it.
	if err := files.Remove("/data/version-2/meerkat.logdir"); err != nil {
		t.Fatal(err)
	}
	o, j = config("/data", "/data")
	serve(o, func(s *Server) { connectTo(t, s) })
	if !j.has(alone, "level=WARN") {
		t.Errorf("nothing of the missing log:\n%s", j.text())
	}
	o, j = config("/data", "/data")
	serve(o, func(*Server) {})
	if j.has(alone) { // it has one by now
		t.Error(j.text())
	}
}
