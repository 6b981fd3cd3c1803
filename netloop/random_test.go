package netloop

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"
)

// A moody echo answers all frames in order, but pauses, asks again, goes over its mark and
// resumes as it likes; whatever it does, it leaves itself a way to be called.
type moody struct {
	echo
	rng *rand.Rand
}

func (m *moody) Traffic(c *Conn, in []byte) (used int, again bool) {
	out := c.Buffer()
	for {
		frame, n, err := NextFrame(in[used:], 1<<20)
		if err != nil {
			panic(err)
		}
		if n == 0 {
			c.SetBuffer(out)
			return used, m.rng.IntN(50) == 0
		}
		mood := m.rng.IntN(20)
		if mood < 3 || c.OverMark() {
			c.SetBuffer(out)
			return used, m.leave(c, mood)
		}
		out = appendFrame(out, frame)
		c.SetBuffer(out)
		used += n
	}
}

// leave gives up with frames left.
func (m *moody) leave(c *Conn, mood int) (again bool) {
	switch {
	case mood == 0:
		return true
	case mood == 1:
		c.Pause()
		go m.loop.Execute(c.Resume)
	case mood == 2:
		c.Pause()
		c.Resume()
	case m.rng.IntN(2) == 0: // over the mark: Drained resumes by itself
		c.Pause()
		go m.loop.Execute(c.Resume)
	}
	return false
}

// TestRandomFlow sends random frames through moody echoes with small marks and small reads.
func TestRandomFlow(t *testing.T) {
	seed := seedOf(t)
	s := start(t, Options{
		Loops: 3, ReadBytesPerTurn: 1024, OutPauseBytes: 3000, FrameBytesMax: 20_000,
		NewHandler: func(l *Loop) Handler {
			return &moody{echo: echo{loop: l}, rng: rand.New(rand.NewPCG(seed, uint64(l.Index)))}
		},
	})
	const conns = 12
	failed := make(chan error, conns)
	for i := range conns {
		c := dial(t, s)
		_ = c.SetReadBuffer(32 << 10)
		rng := rand.New(rand.NewPCG(seed, uint64(100+i)))
		var sent []byte
		for range 400 {
			size := rng.IntN(1 << rng.IntN(15))
			sent = appendFrame(sent, bytes.Repeat([]byte{byte(rng.Uint32())}, size))
		}
		go func() {
			for rest := sent; len(rest) > 0; {
				n, err := c.Write(rest[:min(500+int(seed%5000), len(rest))])
				if err != nil {
					return // the reader finds out
				}
				rest = rest[n:]
			}
		}()
		go func() {
			got := make([]byte, len(sent))
			n, err := io.ReadFull(c, got)
			if err == nil && !bytes.Equal(got, sent) {
				err = fmt.Errorf("the bytes differ")
			}
			if err != nil {
				err = fmt.Errorf("connection %d: %d of %d bytes: %w", i, n, len(sent), err)
			}
			failed <- err
		}()
	}
	for range conns {
		select {
		case err := <-failed:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(40 * time.Second):
			t.Fatal("stuck")
		}
	}
}
