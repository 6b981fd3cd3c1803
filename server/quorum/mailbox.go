package quorum

import "sync"

// A mailbox is how goroutines hand work to the one that owns the state. Putting never blocks.
// What waits is bounded: a link puts one message at a time, a connection its beginning and its end,
// an election some messages to each peer.
type mailbox struct {
	mu    sync.Mutex
	items []func()
	wake  chan struct{} // holds one; a put behind a take raises it again
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

func (b *mailbox) put(do func()) {
	b.mu.Lock()
	b.items = append(b.items, do)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// run does what was put, in order.
func (b *mailbox) run() {
	b.mu.Lock()
	items := b.items
	b.items = nil
	b.mu.Unlock()
	for _, do := range items {
		do()
	}
}
