package proto

import (
	"strings"
	"testing"

	"github.com/meerkat-zk/meerkat/jute"
)

// Packets in the bytes of a Java server.
func TestPacketBytes(t *testing.T) {
	for _, x := range []struct {
		hex  string
		want Packet
	}{
		{"00000011 0000000100000000 00000004 00010000 ffffffff",
			Packet{Type: PacketLeaderInfo, Zxid: MakeZxid(1, 0), Data: []byte{0, 1, 0, 0}}},
		{"00000003 0000000100000007 ffffffff ffffffff",
			Packet{Type: PacketAck, Zxid: MakeZxid(1, 7)}},
		{"0000000c ffffffffffffffff ffffffff ffffffff", Packet{Type: PacketUpToDate, Zxid: -1}},
	} {
		data := unhex(t, strings.ReplaceAll(x.hex, " ", ""))
		var p Packet
		r := jute.Reader(data)
		p.Fields(&r)
		if r.Err() != nil || r.More() || p.Type != x.want.Type || p.Zxid != x.want.Zxid ||
			string(p.Data) != string(x.want.Data) || p.Auth != nil {
			t.Errorf("%s: %+v, error %v", x.want.Type, p, r.Err())
		}
		w := jute.Writer(nil)
		p.Fields(&w)
		if string(w.Bytes()) != string(data) {
			t.Errorf("%s: written as %x", x.want.Type, w.Bytes())
		}
	}
}

// An old learner's hello is shorter, and a newer one's longer (LearnerHandler.run).
func TestLearnerInfoGrew(t *testing.T) {
	w := jute.Writer(nil)
	full := LearnerInfo{ServerID: 3, Protocol: LearnerProtocol, ConfigVersion: 0x100000000}
	full.Fields(&w)
	if len(w.Bytes()) != 20 {
		t.Fatalf("%d bytes", len(w.Bytes()))
	}
	for n, want := range map[int]LearnerInfo{
		8: {ServerID: 3}, 12: {ServerID: 3, Protocol: LearnerProtocol}, 20: full, 24: full,
	} {
		var got LearnerInfo
		r := jute.Reader(append(w.Bytes()[:20:20], 1, 2, 3, 4)[:n])
		got.Fields(&r)
		if got != want || r.Err() != nil {
			t.Errorf("%d bytes: %+v, error %v", n, got, r.Err())
		}
	}
	r := jute.Reader(w.Bytes()[:10])
	full.Fields(&r)
	if r.Err() == nil {
		t.Error("half a field is no error")
	}
}

func FuzzPacket(f *testing.F) {
	f.Add(unhex(f, "0000001100000001000000000000000400010000ffffffff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		checkDecode(t, data, func() []record { return []record{new(Packet)} })
	})
}
