package wal

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/meerkat-zk/meerkat/proto"
)

// Whatever the bytes of a log file are: no panic; what is visited, written again, is what the
// file starts with; and once a replay succeeded, the next one finds nothing to repair.
func FuzzLogReader(f *testing.F) {
	whole := logBytes(3, 40)
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Add(append(append([]byte{}, whole...), make([]byte, 600)...))
	if b, err := os.ReadFile(filepath.Join(golden, "log.8")); err == nil {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		o := testOptions(t, NewMemFS())
		path := filepath.Join(o.LogDir, "log.1")
		putFile(t, o.FS, path, string(b))
		again := []byte(nil)
		visit := func(z proto.Zxid, txn []byte) error {
			again = AppendRecord(again, txn)
			return nil
		}
		// Negative zxids are not replayed; nobody writes them.
		last, err := Replay(o, -1<<63, visit)
		if len(again) > 0 && !bytes.HasPrefix(b[fileHeaderBytes:], again) {
			t.Fatalf("read % x\nfrom % x", again, b)
		}
		if err != nil {
			return
		}
		o.Repaired = func(r Repair) { t.Fatalf("repaired twice: %+v", r) }
		kept := again
		again = nil
		if last2, err := Replay(o, -1<<63, visit); err != nil || last2 != last ||
			string(again) != string(kept) {
			t.Fatalf("%v after %v, %v", last2, last, err)
		}
	})
}

// Whatever the bytes of a snapshot file are: no panic, and no memory beyond what they justify.
func FuzzSnapshotOpen(f *testing.F) {
	for c := range uint8(4) {
		o := testOptions(f, NewMemFS())
		path, _, err := WriteSnapshot(o, 1, Compression(c), writeString(string(txnOf(1, 70000))))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(c, []byte(content(f, o.FS, path)))
	}
	f.Fuzz(func(t *testing.T, c uint8, b []byte) {
		o := testOptions(t, NewMemFS())
		name := snapshotName{zxid: 1, compression: Compression(c % 4)}
		putFile(t, o.FS, filepath.Join(o.SnapDir, name.String()), string(b))
		list, err := Snapshots(o)
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		r, err := list[0].Open(o.FS)
		if err != nil {
			return
		}
		defer r.Close()
		_, _ = io.Copy(io.Discard, io.LimitReader(r, 1<<24)) // errors are fine here
	})
}
