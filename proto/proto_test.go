package proto

import (
	"encoding/hex"
	"testing"

	"github.com/meerkat-zk/meerkat/jute"
)

// Vectors of a real 3.9.5 server.
func TestSessionPassword(t *testing.T) {
	p := SessionPassword(0x0100001871c90000)
	if got := hex.EncodeToString(p[:]); got != "ddf88e5ea6b5c794834744d75f6db81c" {
		t.Fatalf("password %s", got)
	}
}

func TestCreateSessionTxnBytes(t *testing.T) {
	txn := Txn{
		Header: TxnHeader{ClientID: 0x0100001871c90000, Zxid: 1, Time: 0x1a1fcf9cc98,
			Type: OpCreateSession},
		Body: Body{TimeOut: 10000}, HasDigest: true,
		Digest: Digest{Version: DigestVersion, TreeDigest: 0x51c6d660},
	}
	c := jute.Writer(nil)
	txn.Fields(&c)
	want := "0100001871c90000000000000000000000000001000001a1fcf9cc98fffffff6" +
		"00002710000000020000000051c6d660"
	if got := hex.EncodeToString(c.Bytes()); got != want {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
	var back Txn
	r := jute.Reader(c.Bytes())
	back.Fields(&r)
	if r.Err() != nil || back.Digest != txn.Digest || back.Header != txn.Header {
		t.Fatalf("%+v %v", back, r.Err())
	}
}
