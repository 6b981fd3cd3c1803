package server

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// A crashLog keeps what servers log.
type crashLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *crashLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *crashLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *crashLog) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}

// A cutTally counts cuts by the change that they prevented.
type cutTally struct {
	mu         sync.Mutex
	want, done int
	kinds      map[string]int
}

func newCutTally(want int) *cutTally { return &cutTally{want: want, kinds: map[string]int{}} }

func (t *cutTally) wants() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.done < t.want
}

func (t *cutTally) add(c *cut) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done++
	file, _, _ := strings.Cut(filepath.Base(c.op.Name), ".")
	switch {
	case c.op.Kind == "":
		t.kinds["after a stop"]++
	case c.stopping:
		t.kinds["while stopping"]++
	}
	if c.op.Kind != "" {
		t.kinds[c.op.Kind+" "+file]++
	}
	switch {
	case c.booting:
		t.kinds["while booting"]++
	case c.checking:
		t.kinds["before all was checked"]++
	}
}

func (t *cutTally) String() string {
	var lines []string
	for kind, n := range t.kinds {
		lines = append(lines, fmt.Sprintf("  %-28s %d", kind, n))
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

// crashCount is how many crashes a test does: few, unless the variable says otherwise.
func crashCount(t *testing.T, variable string, few int) int {
	text := os.Getenv(variable)
	if text == "" {
		return few
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// crashSeed is the seed of a crash test: MEERKAT_CRASH_SEED, or a new one.
func crashSeed(t *testing.T, test string) uint64 {
	seed := rand.Uint64N(1 << 48)
	if text := os.Getenv("MEERKAT_CRASH_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	t.Logf("%s: seed %d", test, seed)
	return seed
}
