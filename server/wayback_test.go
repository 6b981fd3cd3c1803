package server

import (
	"strings"
	"testing"

	"github.com/meerkat-zk/meerkat/proto"
)

// A check tells what a Java server could not take over, and nothing where it could.
func TestCheckOfTheWayBack(t *testing.T) {
	const larger, deeper, form = "larger jute.maxbuffer", "deep as this", "in the form zstd"
	for name, c := range map[string]struct {
		znodes int // one below the other
		bytes  int // of the data of another
		zstd   bool
		says   []string
	}{
		"nothing":           {znodes: 1000, bytes: 1 << 20},
		"a large record":    {bytes: 2*javaBufferBytes - 10, says: []string{larger, "a log record"}},
		"a deep tree":       {znodes: 1001, says: []string{deeper, "depth=1001"}},
		"a form of our own": {zstd: true, says: []string{form, ".zst"}},
	} {
		change := func(o *Options) {
			o.Config.JuteMaxBuffer = 4 << 20
			if c.zstd {
				o.Config.HasSnapshotCompression, o.Config.SnapshotCompression = true, "zstd"
			}
		}
		s, err := Start(testOptions(t, change))
		if err != nil {
			t.Fatal(err)
		}
		w := connectTo(t, s)
		for depth := range c.znodes {
			w.must(proto.OpCreate, create(strings.Repeat("/a", depth+1), "", 0))
		}
		w.must(proto.OpCreate, create("/b", strings.Repeat("x", c.bytes), 0))
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		j := newJournal()
		err = Check(testOptions(t, func(o *Options) {
			change(o)
			o.Config.DataDir, o.Config.DataLogDir = s.cfg.DataDir, s.cfg.DataLogDir
			o.Logger = j.logger()
		}))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, text := range []string{larger, deeper, form} {
			if len(c.says) > 0 && c.says[0] == text {
				if !j.has(c.says...) {
					t.Errorf("%s: it does not say %q:\n%s", name, c.says, j.text())
				}
			} else if j.has(text) {
				t.Errorf("%s: it says %q:\n%s", name, text, j.text())
			}
		}
	}
}
