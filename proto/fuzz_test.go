package proto

import (
	"bytes"
	"runtime"
	"slices"
	"testing"

	"github.com/meerkat-zk/meerkat/jute"
)

// connectKind and eventKind select, in FuzzRecord, what is not an op's request.
const (
	connectKind int32 = -1000 - iota
	connectReplyKind
	eventKind
	statPersistedKind
	replyKind int32 = 1 << 20 // added to an op: its response
)

// recordsOf is what a kind of FuzzRecord decodes, nil when there is no such kind.
func recordsOf(kind int32) []record {
	switch kind {
	case connectKind:
		return []record{new(ConnectRequest)}
	case connectReplyKind:
		return []record{new(ConnectResponse)}
	case eventKind:
		return []record{new(ReplyHeader), new(WatcherEvent)}
	case statPersistedKind:
		return []record{new(StatPersisted)}
	}
	if m, known := messages[Op(kind)]; known {
		return []record{new(RequestHeader), m.request()}
	}
	if m, known := messages[Op(kind-replyKind)]; known {
		return []record{new(ReplyHeader), m.response()}
	}
	return nil
}

// heapBytes is how much was ever allocated.
func heapBytes() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// checkDecode decodes hostile input and says whether it was accepted. What it checks: memory
// stays in proportion to the input, nothing is read twice, and what was accepted is stable:
// it encodes to bytes that decode and encode to themselves.
func checkDecode(t *testing.T, data []byte, make func() []record) bool {
	before := heapBytes()
	first := make()
	in := jute.Reader(slices.Clone(data))
	for _, r := range first {
		r.Fields(&in)
	}
	// The largest element in memory is a Part, some 25 times the 8 bytes it takes at least.
	// The constant is for what the fuzzing engine does meanwhile.
	if used := heapBytes() - before; used > 64*uint64(len(data))+1<<20 {
		t.Fatalf("%d bytes of input made us allocate %d", len(data), used)
	}
	if in.Err() != nil {
		if in.Rest() != nil {
			t.Fatal("input is left after an error")
		}
		return false
	}
	if in.Offset() > len(data) {
		t.Fatalf("read %d of %d bytes", in.Offset(), len(data))
	}
	once := encode(first)
	again := make()
	back := jute.Reader(once)
	for _, r := range again {
		r.Fields(&back)
	}
	if back.Err() != nil || len(back.Rest()) != 0 {
		t.Fatalf("our own bytes: %v, %d left\n%x", back.Err(), len(back.Rest()), once)
	}
	if twice := encode(again); !bytes.Equal(once, twice) {
		t.Fatalf("not stable\nonce  %x\ntwice %x", once, twice)
	}
	return true
}

func encode(records []record) []byte {
	out := jute.Writer(nil)
	for _, r := range records {
		r.Fields(&out)
	}
	return out.Bytes()
}

// FuzzRecord decodes any bytes as any record that travels between client and server.
func FuzzRecord(f *testing.F) {
	for _, client := range []string{"java", "kazoo", "gozk", "raw"} {
		eachLine(f, "frames-"+client+".txt", func(_ string, fields []string) {
			dir, label := fields[1], fields[2]
			kind := int32(opByName[label])
			switch {
			case label == "connect" && dir == ">":
				kind = connectKind
			case label == "connect":
				kind = connectReplyKind
			case label == "event":
				kind = eventKind
			case dir == "<":
				kind += replyKind
			}
			f.Add(kind, unhex(f, fields[3]))
		})
	}
	f.Add(statPersistedKind, make([]byte, 60))
	f.Fuzz(func(t *testing.T, kind int32, data []byte) {
		if recordsOf(kind) != nil {
			checkDecode(t, data, func() []record { return recordsOf(kind) })
		}
	})
}

// FuzzTxn decodes any bytes as a transaction: a log record or a PROPOSAL.
func FuzzTxn(f *testing.F) {
	eachLine(f, "txns-java.txt", func(_ string, fields []string) {
		f.Add(unhex(f, fields[1]))
	})
	f.Fuzz(func(t *testing.T, data []byte) {
		checkDecode(t, data, func() []record { return []record{new(Txn)} })
	})
}

// Every recorded frame and transaction, cut at every byte and with every byte changed in turn,
// is decoded or refused within its means.
func TestCutAndChangedFrames(t *testing.T) {
	if testing.Short() {
		t.Skip("a second of work")
	}
	try := func(data []byte, make func() []record) {
		for i := range data {
			in := jute.Reader(data[:i])
			for _, r := range make() {
				r.Fields(&in)
			}
			for _, b := range []byte{0x00, 0x7f, 0x80, 0xff} {
				changed := slices.Clone(data)
				changed[i] = b
				in := jute.Reader(changed)
				records := make()
				for _, r := range records {
					r.Fields(&in)
				}
				if in.Err() == nil {
					encode(records)
				}
			}
		}
	}
	for _, client := range []string{"java", "kazoo", "gozk", "raw"} {
		eachLine(t, "frames-"+client+".txt", func(_ string, f []string) {
			try(unhex(t, f[3]), func() []record { return frameRecords(t, f[1], f[2]) })
		})
	}
	eachLine(t, "txns-java.txt", func(_ string, f []string) {
		try(unhex(t, f[1]), func() []record { return []record{new(Txn)} })
	})
}

// A count that the input cannot hold is refused before anything is allocated for it.
func TestHostileCounts(t *testing.T) {
	huge := []byte{0x7f, 0xff, 0xff, 0xff}
	tests := map[string]struct {
		record record
		head   []byte
	}{
		"acl of a create":     {new(CreateRequest), []byte{0, 0, 0, 0, 0, 0, 0, 0}},
		"paths of setWatches": {new(SetWatches), make([]byte, 8)},
		"children":            {new(children), nil},
		"identities":          {new(WhoAmIResponse), nil},
		"parts of a multi txn": {new(Txn), append(make([]byte, 28),
			0, 0, 0, byte(OpMulti))},
		"paths of a closeSession txn": {new(Txn), append(make([]byte, 28),
			0xff, 0xff, 0xff, 0xf5)},
	}
	for name, test := range tests {
		data := append(append(slices.Clone(test.head), huge...), make([]byte, 64)...)
		before := heapBytes()
		in := jute.Reader(data)
		test.record.Fields(&in)
		if used := heapBytes() - before; in.Err() == nil || used > 1<<20 {
			t.Errorf("%s: %v, %d bytes allocated", name, in.Err(), used)
		}
	}
}
