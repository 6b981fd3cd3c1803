package proto

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/meerkat-zk/meerkat/jute"
)

func closeSession(paths []string, digest bool) Txn {
	return Txn{Header: TxnHeader{ClientID: 0x77, Cxid: 9, Zxid: 12, Time: 4, Type: OpCloseSession},
		Body: Body{Paths: paths}, HasDigest: digest,
		Digest: Digest{Version: DigestVersion, TreeDigest: -0x123456789abcdef0}}
}

func readTxn(t *testing.T, data []byte) Txn {
	t.Helper()
	var got Txn
	c := jute.Reader(data)
	got.Fields(&c)
	if c.Err() != nil || len(c.Rest()) != 0 {
		t.Fatalf("%x: %v, %d bytes left", data, c.Err(), len(c.Rest()))
	}
	return got
}

// A closeSession without its record is a header and nothing else, which every reader knows; with
// a digest behind it the digest would be read as the record.
func TestCloseSessionWithoutRecordHasNoDigest(t *testing.T) {
	const headerBytes = 32
	txn := closeSession(nil, true)
	data := encode([]record{&txn})
	if len(data) != headerBytes {
		t.Errorf("%d bytes, want a header of %d", len(data), headerBytes)
	}
	if got := readTxn(t, data); got.Header != txn.Header || got.Body.Paths != nil || got.HasDigest {
		t.Errorf("%+v", got)
	}
	for _, paths := range [][]string{{}, {"/a"}, {"/a", "/b"}} {
		txn := closeSession(paths, true)
		got := readTxn(t, encode([]record{&txn}))
		if len(got.Body.Paths) != len(paths) || got.Body.Paths == nil || !got.HasDigest ||
			got.Digest != txn.Digest {
			t.Errorf("%q: %+v", paths, got)
		}
	}
}

// A digest without a record is read for what it is: Java with closeSessionTxn.enabled=false logs
// it, and so did we once for sessions with very many ephemerals.
func TestCloseSessionWithDigestAlone(t *testing.T) {
	txn := closeSession(nil, false)
	header := encode([]record{&txn})
	for _, digest := range []uint64{0xfedcba9876543210, 1, 1 << 32, 5 << 32, 0x00000002_00000004} {
		data := binary.BigEndian.AppendUint32(header[:len(header):len(header)], uint32(DigestVersion))
		data = binary.BigEndian.AppendUint64(data, digest)
		got := readTxn(t, data)
		if got.Body.Paths != nil || !got.HasDigest || got.Digest.Version != DigestVersion ||
			uint64(got.Digest.TreeDigest) != digest {
			t.Errorf("%x: %+v", digest, got)
		}
	}
	empty := closeSession([]string{"", ""}, false) // none has such paths; it must not turn around
	if got := readTxn(t, encode([]record{&empty})); len(got.Body.Paths) != 2 || got.HasDigest {
		t.Errorf("%+v", got)
	}
}

// What a reader would not get back is noticed before it is logged.
func TestCheckReadBack(t *testing.T) {
	for _, txn := range []Txn{closeSession(nil, true), closeSession([]string{"/a"}, true),
		{Header: TxnHeader{Type: OpMulti}, Body: Body{Parts: []Part{{Type: OpError}}}}} {
		data := encode([]record{&txn})
		if err := txn.CheckReadBack(data, len(data)); err != nil {
			t.Errorf("%+v: %v", txn, err)
		}
		longer := slices.Concat(data, make([]byte, digestBytes))
		other := txn
		other.Header.Zxid++
		for name, err := range map[string]error{
			"one byte over": txn.CheckReadBack(data, len(data)-1),
			"cut":           txn.CheckReadBack(data[:len(data)-1], len(data)),
			"longer":        txn.CheckReadBack(longer, len(longer)),
			"another":       other.CheckReadBack(data, len(data)),
		} {
			if err == nil {
				t.Errorf("%+v, %s: no error", txn, name)
			}
		}
	}
}
