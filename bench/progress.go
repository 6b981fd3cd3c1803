package bench

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// say prints one line of progress.
func say(w io.Writer, format string, args ...any) {
	if w != nil {
		fmt.Fprintf(w, "bench: "+format+"\n", args...)
	}
}

// watchProgress prints a line each second until the function it returns is called: the text
// for the time passed, what the drivers have counted, and how much of it in that second.
// Owner of the goroutine: the caller, who stops it and waits.
func (r *run) watchProgress(text func(since time.Duration, total, fresh int64) string) func() {
	if r.cfg.Progress == nil {
		return func() {}
	}
	for _, d := range r.drivers {
		d.count = 0
		d.progress.Store(0)
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		started, last := time.Now(), int64(0)
		t := time.NewTicker(time.Second)
		defer t.Stop()
		for {
			select {
			case <-done:
				return
			case <-t.C:
				n := r.counted()
				say(r.cfg.Progress, "%s", text(time.Since(started), n, n-last))
				last = n
			}
		}
	})
	return func() {
		close(done)
		wg.Wait()
	}
}
