package realcfg

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/meerkat-zk/meerkat/tools/compat/target"
)

var rewrite = flag.Bool("rewrite", false, "write what Java does beside each file")

func TestMain(m *testing.M) { os.Exit(target.Main(m)) }

// all are the names of the corpus, which has to have its size.
func all(t *testing.T) []string {
	t.Helper()
	found, err := names()
	if err != nil || len(found) < 60 {
		t.Fatalf("%d files: %v", len(found), err)
	}
	return found
}

func stored(t *testing.T, name string) outcome {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(corpus, name+".java"))
	if err != nil {
		t.Fatal(err)
	}
	return parseOutcome(string(text))
}

// Meerkat does what Java does with each file, but for what differences says.
func TestMeerkat(t *testing.T) {
	for _, name := range all(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			java := stored(t, name)
			d, known := differences[name]
			want := java.short()
			if known {
				want = d.meerkat
			}
			got, err := try(name, t.TempDir(), false, want)
			if err != nil {
				t.Fatal(err)
			}
			if got.short() != want {
				t.Errorf("Meerkat: %s\nwant: %s\nJava: %s", got, want, java)
			}
		})
	}
}

// A row of the list is of a file, gives a reason, and is a difference.
func TestDifferences(t *testing.T) {
	files := map[string]bool{}
	for _, name := range all(t) {
		files[name] = true
	}
	for name, d := range differences {
		if !files[name] || d.reason == "" || d.meerkat == stored(t, name).short() {
			t.Errorf("%s: %+v, and Java: %s", name, d, stored(t, name))
		}
	}
}

// The Java server still does what the files say.
func TestJava(t *testing.T) {
	if os.Getenv("COMPAT") == "" {
		t.Skip("it needs a Java server: run make compat, or set COMPAT=1")
	}
	for _, name := range sample(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := ""
			if !*rewrite {
				want = stored(t, name).short()
			}
			got, err := try(name, t.TempDir(), true, want)
			if err != nil {
				t.Fatal(err)
			}
			if *rewrite {
				path := filepath.Join(corpus, name+".java")
				if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got.short() != want && !*rewrite {
				t.Errorf("Java: %s\nand the file says: %s", got, want)
			}
		})
	}
}

// sample is MEERKAT_REAL of the files, all of them by default.
func sample(t *testing.T) []string {
	t.Helper()
	found := all(t)
	count, err := strconv.Atoi(os.Getenv("MEERKAT_REAL"))
	if err != nil || count >= len(found) {
		return found
	}
	seed, err := strconv.ParseUint(os.Getenv("MEERKAT_REAL_SEED"), 10, 64)
	if err != nil {
		seed = uint64(time.Now().UnixNano()) % 1e9
	}
	t.Logf("MEERKAT_REAL=%d MEERKAT_REAL_SEED=%d", count, seed)
	random := rand.New(rand.NewPCG(seed, 0))
	random.Shuffle(len(found), func(i, j int) { found[i], found[j] = found[j], found[i] })
	return found[:count]
}

func TestOutcomeReadsWhatItWrote(t *testing.T) {
	for _, o := range []outcome{
		{Refused: true, Said: "why\nso"}, {Mode: "none"},
		{Mode: "standalone", Listens: []string{"*:2181", "[::1]:7000"}},
	} {
		if got := parseOutcome(o.String()); fmt.Sprint(got) != fmt.Sprint(o) {
			t.Errorf("got %v, want %v", got, o)
		}
	}
}
