package netloop

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// BenchmarkWake is the cost of Loop.Wake for its caller. Resting: the loop sleeps each time,
// and the number includes its way to the Handler and back. Coming: the loop has a run ahead.
func BenchmarkWake(b *testing.B) {
	b.Run("resting", func(b *testing.B) {
		woken := make(chan struct{}, 1)
		s := startEcho(b, Options{Loops: 1}, func(e *echo) {
			e.onWake = func() { woken <- struct{}{} }
		})
		var inWake time.Duration
		b.ReportAllocs()
		for b.Loop() {
			begin := time.Now()
			s.Loops()[0].Wake()
			inWake += time.Since(begin)
			<-woken
		}
		b.ReportMetric(float64(inWake.Nanoseconds())/float64(b.N), "ns/caller")
	})
	b.Run("coming", func(b *testing.B) {
		s := startEcho(b, Options{Loops: 1}, nil)
		l := s.Loops()[0]
		entered, leave := make(chan struct{}), make(chan struct{})
		l.Execute(func() { close(entered); <-leave })
		<-entered
		b.ReportAllocs()
		for b.Loop() {
			l.Wake()
		}
		close(leave)
	})
}

// BenchmarkEcho is the ceiling of the package over loopback: frames of 100 bytes, the same
// bytes back, with the client in the same process.
func BenchmarkEcho(b *testing.B) {
	for _, shape := range []struct {
		name            string
		conns, inFlight int
	}{
		{"1x1", 1, 1},
		{"1x16", 1, 16},
		{"32x16", 32, 16},
	} {
		b.Run(shape.name, func(b *testing.B) {
			s := startEcho(b, Options{}, nil)
			conns := make([]net.Conn, shape.conns)
			for i := range conns {
				conns[i] = dial(b, s)
			}
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ReportAllocs()
			b.ResetTimer()
			var all sync.WaitGroup
			for _, c := range conns {
				all.Go(func() { drive(b, c, shape.inFlight, &left) })
			}
			all.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ops/s")
		})
	}
}

// drive keeps inFlight frames on the way until left is used up.
func drive(b *testing.B, c net.Conn, inFlight int, left *atomic.Int64) {
	frame := appendFrame(nil, make([]byte, 100))
	burst := make([]byte, 0, inFlight*len(frame))
	for range inFlight {
		burst = append(burst, frame...)
	}
	in := make([]byte, 64<<10)
	flying, rest := 0, 0
	for next := inFlight; ; {
		if next = int(max(min(int64(next), left.Add(-int64(next))+int64(next)), 0)); next > 0 {
			if _, err := c.Write(burst[:next*len(frame)]); err != nil {
				b.Error(err)
				return
			}
			flying += next
		}
		if flying == 0 {
			return
		}
		n, err := c.Read(in)
		if err != nil && err != io.EOF {
			b.Error(err)
			return
		}
		rest += n
		next = rest / len(frame)
		rest %= len(frame)
		flying -= next
	}
}
