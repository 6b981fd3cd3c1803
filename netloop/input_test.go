package netloop

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
)

func TestEcho(t *testing.T) {
	s := startEcho(t, Options{}, nil)
	c := dial(t, s)
	for _, n := range []int{0, 1, 100, 70_000, 1 << 20} {
		exchange(t, c, bytes.Repeat([]byte{'x'}, n))
	}
}

// A seen is an echo that tells how many bytes it was shown.
type seen struct {
	echo
	shown chan int
}

func (s *seen) Traffic(c *Conn, in []byte) (int, bool) {
	s.shown <- len(in)
	return s.echo.Traffic(c, in)
}

// TestSplitFrames sends three frames in two pieces, cut at every byte; the second piece
// leaves when the server has seen the first.
func TestSplitFrames(t *testing.T) {
	shown := make(chan int)
	s := start(t, Options{NewHandler: func(*Loop) Handler {
		return &seen{echo: echo{max: 1 << 20}, shown: shown}
	}})
	var frames []byte
	for _, body := range []string{"first", "", "the third one"} {
		frames = appendFrame(frames, []byte(body))
	}
	c := dial(t, s)
	for cut := 1; cut < len(frames); cut++ {
		if _, err := c.Write(frames[:cut]); err != nil {
			t.Fatal(err)
		}
		<-shown
		if _, err := c.Write(frames[cut:]); err != nil {
			t.Fatal(err)
		}
		<-shown
		got := make([]byte, len(frames))
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, frames) {
			t.Fatalf("cut at %d: %q, %v", cut, got, err)
		}
	}
}

// TestEchoManyLoops sends random frames in random pieces over many connections at once.
func TestEchoManyLoops(t *testing.T) {
	seed := seedOf(t)
	s := startEcho(t, Options{Loops: 8, ReadBytesPerTurn: 4096}, func(e *echo) { e.perTurn = 3 })
	const conns = 24
	failed := make(chan error, conns)
	for i := range conns {
		c := dial(t, s)
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		var sent []byte
		for range 200 {
			body := make([]byte, rng.IntN(1<<rng.IntN(15)))
			for j := range body {
				body[j] = byte(rng.Uint32())
			}
			sent = appendFrame(sent, body)
		}
		go func() {
			for rest := sent; len(rest) > 0; {
				n := min(1+rng.IntN(9000), len(rest))
				if _, err := c.Write(rest[:n]); err != nil {
					return // the reader finds out
				}
				rest = rest[n:]
			}
		}()
		go func() {
			got := make([]byte, len(sent))
			_, err := io.ReadFull(c, got)
			if err == nil && !bytes.Equal(got, sent) {
				err = io.ErrNoProgress
			}
			failed <- err
		}()
	}
	for range conns {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}

// TestAgainIsFair has one connection with 20,000 frames to be served one per turn, and
// another whose single frame must not wait for them.
func TestAgainIsFair(t *testing.T) {
	turns := 0
	done := make(chan int, 1)
	s := start(t, Options{Loops: 1, NewHandler: func(*Loop) Handler {
		return &counted{echo: echo{max: 1000, perTurn: 1}, turns: &turns}
	}})
	busy, other := dial(t, s), dial(t, s)
	const frames = 20_000
	many := bytes.Repeat(appendFrame(nil, []byte("12345678")), frames)
	go func() { _, _ = busy.Write(many) }()
	exchangeByte(t, busy) // it is being served now
	exchange(t, other, []byte("x"))
	s.Loops()[0].Execute(func() { done <- turns })
	if n := <-done; n > frames/2 {
		t.Errorf("the other connection waited for %d turns", n)
	}
	if _, err := io.ReadFull(busy, make([]byte, len(many)-1)); err != nil {
		t.Error(err)
	}
}

type counted struct {
	echo
	turns *int
}

func (c *counted) Traffic(conn *Conn, in []byte) (int, bool) {
	*c.turns++
	return c.echo.Traffic(conn, in)
}

func exchangeByte(t *testing.T, r io.Reader) {
	t.Helper()
	if _, err := io.ReadFull(r, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

// TestWaitingIsLinear counts the bytes moved for a frame of 1 MiB in small pieces.
func TestWaitingIsLinear(t *testing.T) {
	const size, piece = 1 << 20, 1000
	var w waiting
	var f freeList
	moved, room := 0, 0
	for got := 0; got < size; got += piece {
		w.add(make([]byte, piece), &f)
		if cap(w.buf) != room {
			room = cap(w.buf)
			moved += w.len()
		}
	}
	if moved > 3*size || cap(w.buf) > 3*size {
		t.Errorf("moved %d, room %d for %d bytes", moved, cap(w.buf), size)
	}
	w.use(w.len(), &f)
	if w.buf != nil || len(f.free) > 0 && cap(f.free[len(f.free)-1]) > bufferKeepBytes {
		t.Error("an empty waiting holds a buffer, or a large one was kept")
	}
}

// TestWaitingAgainstOracle does random adds and uses against a plain slice.
func TestWaitingAgainstOracle(t *testing.T) {
	rng := rand.New(rand.NewPCG(seedOf(t), 0))
	var w waiting
	var f freeList
	var want []byte
	for range 20_000 {
		if rng.IntN(2) == 0 {
			p := make([]byte, rng.IntN(3000))
			for i := range p {
				p[i] = byte(rng.Uint32())
			}
			w.add(p, &f)
			want = append(want, p...)
		} else {
			n := rng.IntN(w.len() + 1)
			w.use(n, &f)
			want = want[n:]
		}
		if !bytes.Equal(w.bytes(), want) {
			t.Fatal("bytes differ")
		}
	}
}
