package wal

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/meerkat-zk/meerkat/proto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Many steps run while the owner appends; what is reported durable only grows, and a Done
// comes after its zxid was reported.
func TestRunner(t *testing.T) {
	const n = 2000
	o := testOptions(t, NewMemFS())
	var durable atomic.Int64
	r := NewRunner(open(t, o, 0), func(z proto.Zxid) {
		if was := durable.Swap(int64(z)); was > int64(z) {
			t.Errorf("durable went from %d to %v", was, z)
		}
	}, func(err error) { t.Error(err) })
	var done sync.WaitGroup
	for z := proto.Zxid(1); z <= n; z++ {
		it := itemOf(20, z)
		it.Roll = z%500 == 0
		done.Add(1)
		it.Done = func() {
			if durable.Load() < int64(z) {
				t.Errorf("%v is done, durable is %d", z, durable.Load())
			}
			done.Done()
		}
		r.Append(it)
		r.Idle()
	}
	done.Wait()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if zxids, err := replayed(o, 0); err != nil || len(zxids) != n {
		t.Fatal(len(zxids), err)
	}
}

// Close does what is still queued; a truncation comes in its turn.
func TestRunnerCloseDrains(t *testing.T) {
	o := testOptions(t, NewMemFS())
	last := proto.Zxid(0)
	r := NewRunner(open(t, o, 0), func(z proto.Zxid) { last = z }, func(err error) { t.Error(err) })
	for z := proto.Zxid(1); z <= 50; z++ {
		r.Append(itemOf(20, z))
	}
	r.Truncate(30)
	r.Append(itemOf(5, 31))
	if err := r.Close(); err != nil || last != 31 {
		t.Fatal(last, err)
	}
	if zxids, err := replayed(o, 0); err != nil || len(zxids) != 31 {
		t.Fatal(zxids, err)
	}
}

// The first failure is reported once; nothing is written or reported durable after it.
func TestRunnerFails(t *testing.T) {
	m := NewMemFS()
	l := open(t, testOptions(t, m), 0)
	boom := errors.New("boom")
	failed := make(chan error, 2)
	r := NewRunner(l, func(z proto.Zxid) { t.Errorf("durable %v", z) },
		func(err error) { failed <- err })
	m.Inject(func(op Op) error {
		if op.Kind == "sync" {
			return boom
		}
		return nil
	})
	r.Append(itemOf(1, 1))
	if err := <-failed; !errors.Is(err, boom) {
		t.Fatal(err)
	}
	m.Inject(func(op Op) error {
		t.Errorf("%s %s after the failure", op.Kind, op.Name)
		return nil
	})
	r.Append(itemOf(1, 2))
	if err := r.Close(); !errors.Is(err, boom) || len(failed) > 0 {
		t.Fatal(err, len(failed))
	}
}

func TestRunnerIdle(t *testing.T) {
	m := NewMemFS()
	l := open(t, testOptions(t, m), 0)
	inStep, release := make(chan bool), make(chan bool)
	m.Inject(func(op Op) error {
		if op.Kind == "create" {
			inStep <- true
			<-release
		}
		return nil
	})
	var r *Runner
	done := make(chan bool)
	r = NewRunner(l, func(proto.Zxid) {}, func(err error) { t.Error(err) })
	if !r.Idle() {
		t.Error("a new runner is busy")
	}
	it := itemOf(1, 1)
	it.Done = func() { close(done) }
	r.Append(it)
	<-inStep
	if r.Idle() {
		t.Error("idle within a step")
	}
	close(release)
	<-done
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if !r.Idle() {
		t.Error("busy after the end")
	}
}

// Read beside a Runner sees whole records, in order, up to some durable one or beyond, also
// while files are finished under its hands.
func TestReadBesideRunner(t *testing.T) {
	const n = 1500
	o := testOptions(t, NewMemFS())
	o.PreallocBytes = 4 << 10
	var durable atomic.Int64
	l := open(t, o, 0)
	step(t, l, itemOf(20, 1))
	r := NewRunner(l, func(z proto.Zxid) { durable.Store(int64(z)) },
		func(err error) { t.Error(err) })
	go func() {
		for z := proto.Zxid(2); z <= n; z++ {
			it := itemOf(20, z)
			it.Roll = z%50 == 0
			r.Append(it)
		}
	}()
	for last := proto.Zxid(0); last < n; {
		from := proto.Zxid(durable.Load())
		want := max(0, from-10)
		var err error
		last, err = Read(o, want, func(z proto.Zxid, _ []byte) error {
			if want++; z != want {
				t.Errorf("read %v, not %v", z, want)
			}
			return nil
		})
		if err != nil || last < from {
			t.Fatalf("read up to %v, durable was %v: %v", last, from, err)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}
