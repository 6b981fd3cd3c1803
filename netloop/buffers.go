package netloop

// A freeList keeps the buffers of one loop's idle connections. A buffer belongs either to
// the list or to one connection, for output of a turn or for input that waits.
type freeList struct {
	free  [][]byte
	bytes int // of all that is free
}

// get returns an empty buffer.
func (f *freeList) get() []byte {
	if n := len(f.free); n > 0 {
		b := f.free[n-1]
		f.free[n-1] = nil
		f.free = f.free[:n-1]
		f.bytes -= cap(b)
		return b
	}
	return make([]byte, 0, bufferBytes)
}

// put takes a buffer back, or drops one that is too large or one too many.
func (f *freeList) put(b []byte) {
	if cap(b) == 0 || cap(b) > bufferKeepBytes || f.bytes+cap(b) > buffersKeptBytes {
		return
	}
	f.bytes += cap(b)
	f.free = append(f.free, b[:0])
}

// A waiting holds input bytes that a handler has not used yet, in one piece.
//
// The cost of a large frame that comes in small reads is linear: room doubles, and bytes
// slide down only when at least half of the buffer is free in front of them.
type waiting struct {
	buf []byte
	off int // bytes before off are used
}

func (w *waiting) bytes() []byte { return w.buf[w.off:] }
func (w *waiting) len() int      { return len(w.buf) - w.off }

// add copies p behind what waits.
func (w *waiting) add(p []byte, f *freeList) {
	if len(p) == 0 {
		return
	}
	if w.buf == nil {
		w.buf = f.get()
	}
	if len(w.buf)+len(p) > cap(w.buf) && w.off > 0 && w.off >= cap(w.buf)/2 {
		w.buf = w.buf[:copy(w.buf, w.buf[w.off:])]
		w.off = 0
	}
	if need := len(w.buf) + len(p); need > cap(w.buf) {
		w.grow(need-w.off, f)
	}
	w.buf = append(w.buf, p...)
}

// grow moves what waits to a buffer of at least need bytes and twice the present room.
func (w *waiting) grow(need int, f *freeList) {
	old := w.buf
	w.buf = make([]byte, w.len(), max(need, 2*cap(old)))
	copy(w.buf, old[w.off:])
	w.off = 0
	f.put(old)
}

// use drops the first n bytes; an empty waiting holds no buffer.
func (w *waiting) use(n int, f *freeList) {
	w.off += n
	if w.off == len(w.buf) {
		w.release(f)
	}
}

func (w *waiting) release(f *freeList) {
	f.put(w.buf)
	w.buf, w.off = nil, 0
}
