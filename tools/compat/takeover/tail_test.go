package takeover

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/meerkat-zk/meerkat/tools/compat/target"
)

// TestLogEndsAnywhere cuts the last log of a killed Java server at any byte, with and without
// the zeros that it fills its files up with: both must hold the same records.
//
// The snapshot below is exact, so that it holds nothing that the cut takes from the log: a log
// that ends before a fuzzy snapshot does is one that lost synced bytes.
func TestLogEndsAnywhere(t *testing.T) {
	needsJava(t)
	cuts := 2 * setting(t, "MEERKAT_TAKEOVERS", 3)
	seed := uint64(setting(t, "MEERKAT_TAKEOVER_SEED", int(time.Now().UnixNano()%1e9)))
	t.Logf("MEERKAT_TAKEOVER_SEED=%d", seed)
	k := &takeover{layout: layout{digest: true, preAllocKiB: 1024}, seed: seed,
		random: rand.New(rand.NewPCG(seed, 0)), crowd: newCrowd(2, 2000, false, seed)}
	k.server = target.StartKind(t, true, append(k.lines(), "snapCount=1000000",
		"znode.container.checkIntervalMs=3600000")...)
	if err := k.crowd.populate(k.server.Addr); err != nil {
		t.Fatal(err)
	}
	k.server.Stop()
	k.server.Restart() // it starts with a snapshot
	if err := k.crowd.attach(k.server.Addr); err != nil {
		t.Fatal(err)
	}
	before := k.crowd.acked.Load()
	ended := k.crowd.run(k.server.Addr)
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for k.crowd.acked.Load() < before+2000 {
		<-poll.C
	}
	k.server.Kill()
	<-ended
	k.crowd.restless.Wait()

	_, logs := k.dirs(k.server.Dir)
	end := dataEnd(t, lastLog(t, logs))
	for range cuts {
		at := 100 + k.random.Int64N(end-100)
		padded := k.random.IntN(2) == 0
		t.Run(fmt.Sprintf("at %d padded %t", at, padded), func(t *testing.T) {
			o := k.open(t, func(logDir string) { cut(t, lastLog(t, logDir), at, padded) })
			if o.javaFailed != nil {
				t.Fatal(o.javaFailed)
			}
			k.compareJava(t, o)
			k.compareAgain(t, o)
		})
	}
}

// lastLog is the newest log file of a directory.
func lastLog(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "version-2", "log.*"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no logs in %s: %v", dir, err)
	}
	zxid := func(name string) uint64 {
		_, text, _ := strings.Cut(filepath.Base(name), ".")
		n, err := strconv.ParseUint(text, 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return slices.MaxFunc(names, func(a, b string) int { return int(zxid(a)) - int(zxid(b)) })
}

// dataEnd is where the zeros at the end of a file begin.
func dataEnd(t *testing.T, file string) int64 {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return int64(len(strings.TrimRight(string(b), "\x00")))
}

// cut ends a file's data at an offset, and its length as well unless it is padded.
func cut(t *testing.T, file string, at int64, padded bool) {
	t.Helper()
	info, err := os.Stat(file)
	if err == nil {
		err = os.Truncate(file, at)
	}
	if err == nil && padded {
		err = os.Truncate(file, info.Size())
	}
	if err != nil {
		t.Fatal(err)
	}
}
