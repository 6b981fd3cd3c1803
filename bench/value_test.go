package bench

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/meerkat-zk/meerkat/jute"
	"github.com/meerkat-zk/meerkat/proto"
)

// seeded prints the seed of a random test when it fails.
func seeded(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	})
	return rand.New(rand.NewPCG(seed, 0))
}

// A value of any size verifies as itself, and any change of any byte is seen: of the head as
// soon as there is fill that depends on it.
func TestValue(t *testing.T) {
	r := seeded(t)
	for size := range 130 {
		seed, node, seq := r.Uint64(), r.Uint32(), 1+r.Uint32N(1<<31)
		v := make([]byte, size)
		fillValue(v, seed, node, seq)
		if why := verifyValue(v, seed, node, seq); why != "" {
			t.Fatalf("size %d: %s", size, why)
		}
		for i := range v {
			if i < valueHeadBytes && size >= valueHeadBytes && size < 2*valueHeadBytes {
				continue // a short fill may be that of another write, too
			}
			v[i] ^= 1 << r.UintN(8)
			if verifyValue(v, seed, node, seq) == "" {
				t.Fatalf("size %d: a flipped bit in byte %d is not seen", size, i)
			}
			fillValue(v, seed, node, seq)
		}
		if size < valueHeadBytes {
			continue
		}
		if got, ok := valueSeq(v); !ok || got != seq {
			t.Fatalf("size %d: write %d reads as %d", size, seq, got)
		}
		if verifyValue(v, seed, node, seq-1) == "" || verifyValue(v, seed, node+1, seq) == "" ||
			size >= 2*valueHeadBytes && verifyValue(v, seed+1, node, seq) == "" {
			t.Fatalf("size %d: a value of another write, znode or run passes", size)
		}
	}
}

// Requests from templates are, byte for byte, what the records encode.
func TestTemplates(t *testing.T) {
	r := seeded(t)
	const root = "/bench-0123456789abcdef"
	part := func(op proto.Op, record func(*jute.Coder)) func(*jute.Coder) {
		h := proto.MultiHeader{Op: op, Err: -1}
		return func(c *jute.Coder) {
			h.Fields(c)
			record(c)
		}
	}
	for _, size := range []int{0, 1, 100, 5000} {
		ts := newTemplates(root, size)
		for _, node := range []uint32{0, 9, 10, r.Uint32N(ZnodesMax), ZnodesMax - 1} {
			data := make([]byte, size)
			fillValue(data, 7, node, 3)
			path := znodePath(root+nodePrefix, node)
			set := proto.SetDataRequest{Path: path, Data: data, Version: -1}
			get, watch := proto.PathWatch{Path: path}, proto.PathWatch{Path: path, Watch: true}
			create := proto.CreateRequest{Path: path, Data: data, ACL: proto.OpenACL}
			made := create
			made.Path = znodePath(root+madePrefix, node)
			del := proto.PathVersion{Path: path, Version: -1}
			delMade := proto.PathVersion{Path: made.Path, Version: -1}
			for name, pair := range map[string]struct {
				got  *template
				want func(*jute.Coder)
			}{
				"get":               {&ts.get, get.Fields},
				"get and watch":     {&ts.getWatch, watch.Fields},
				"set":               {&ts.set, set.Fields},
				"create":            {&ts.create, made.Fields},
				"set in a multi":    {&ts.multiSet, part(proto.OpSetData, set.Fields)},
				"create in a multi": {&ts.multiCreate, part(proto.OpCreate, create.Fields)},
				"delete in a multi": {&ts.multiDelete, part(proto.OpDelete, del.Fields)},
				"delete of a made":  {&ts.multiDeleteMade, part(proto.OpDelete, delMade.Fields)},
			} {
				out, place := pair.got.append([]byte("before"), node)
				fillValue(place, 7, node, 3)
				w := jute.Writer([]byte("before"))
				if pair.want(&w); !bytes.Equal(out, w.Bytes()) {
					t.Errorf("%s of znode %d, %d bytes:\n got %q\nwant %q", name, node, size,
						out, w.Bytes())
				}
			}
		}
	}
}

// The generator's random choices keep to their shares and bounds.
func TestChoices(t *testing.T) {
	r := rng(seeded(t).Uint64())
	for range 10_000 {
		random := r.next()
		if chance(random, share(0)) || !chance(random, share(1)) {
			t.Fatalf("share 0 or 1 is not kept for %#x", random)
		}
		if n := below(random, 3); n > 2 {
			t.Fatalf("%d is not below 3", n)
		}
	}
}

func TestParseSide(t *testing.T) {
	s, err := ParseSide("java,127.0.0.1:2181,42")
	if err != nil || s != (Side{Name: "java", Addr: "127.0.0.1:2181", PID: 42}) {
		t.Errorf("%+v, %v", s, err)
	}
	for _, bad := range []string{"", "java", "java,host:1", "java,host:1,me", "a,b,1,2"} {
		if _, err := ParseSide(bad); err == nil {
			t.Errorf("%q passes", bad)
		}
	}
}

func TestChooseRows(t *testing.T) {
	rows, err := chooseRows([]string{"write-1m", "read-1x1"})
	if err != nil || len(rows) != 2 || rows[0].Name != "read-1x1" {
		t.Errorf("%+v, %v", rows, err)
	}
	if rows, err = chooseRows([]string{"all"}); err != nil || len(rows) != len(Rows) {
		t.Errorf("all: %d rows, %v", len(rows), err)
	}
	_, err = chooseRows([]string{"default", "reed-1x1"})
	if err == nil || !strings.Contains(err.Error(), `"reed-1x1" is unknown`) {
		t.Errorf("the error is %v", err)
	}
	for i := 1; i < len(Rows); i++ {
		if Rows[i].znodes < Rows[i-1].znodes {
			t.Errorf("%s: small rows come first, not beside a million znodes", Rows[i].Name)
		}
	}
}
