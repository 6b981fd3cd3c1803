package netloop

import (
	"os"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// TestMain raises the limit of descriptors, as the server does, and looks for goroutines that
// outlive the tests. gnet's worker pool keeps its own for ten seconds; they hold nothing.
func TestMain(m *testing.M) {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) == nil {
		limit.Cur = limit.Max
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	}
	goleak.VerifyTestMain(m, poolGoroutines()...)
}

func poolGoroutines() []goleak.Option {
	return []goleak.Option{
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*goWorker).run.func1"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
		goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"),
	}
}

// seedOf returns the test's seed, and says how to have it again.
func seedOf(t *testing.T) uint64 {
	seed := uint64(time.Now().UnixNano())
	if given, err := strconv.ParseUint(os.Getenv("NETLOOP_SEED"), 10, 64); err == nil {
		seed = given
	}
	t.Logf("NETLOOP_SEED=%d go test -run '^%s$' ./netloop", seed, t.Name())
	return seed
}
