package proto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
)

// A notification of ours is what Java writes, byte for byte: state, leader, zxid, round, epoch,
// version 2 and the configuration, with the length of it all before.
func TestNotificationLayout(t *testing.T) {
	n := Notification{State: Leading, Leader: 3, Zxid: 0x100000005, Round: 7, Epoch: 2, Version: 2,
		Config: "version=0"}
	want := unhex(t, "00000035"+"00000002"+"0000000000000003"+"0000000100000005"+
		"0000000000000007"+"0000000000000002"+"00000002"+"00000009"+"76657273696f6e3d30")
	if got := n.AppendFrame([]byte("x")); !bytes.Equal(got[1:], want) || got[0] != 'x' {
		t.Errorf("got  %x\nwant %x", got[1:], want)
	}
	if back, err := ParseNotification(want[4:]); err != nil || back != n {
		t.Errorf("%+v %v", back, err)
	}
}

// The forms of all releases are told apart by their length, as Java does it.
func TestNotificationForms(t *testing.T) {
	whole := unhex(t, "00000001"+"0000000000000003"+"0000000100000005"+"0000000000000007"+
		"0000000000000002"+"00000002"+"00000004"+"61626364"+"ffff")
	change := func(at int, b ...byte) []byte {
		data := slices.Clone(whole)
		copy(data[at:], b)
		return data
	}
	vote := Notification{State: Following, Leader: 3, Zxid: 0x100000005, Round: 7, Epoch: 2}
	with := func(epoch int64, version int32, config string) Notification {
		n := vote
		n.Epoch, n.Version, n.Config = epoch, version, config
		return n
	}
	tests := map[string]struct {
		data []byte
		want Notification
		bad  bool
	}{
		"with a config":          {whole[:48], with(2, 2, "abcd"), false},
		"bytes behind the end":   {whole, with(2, 2, "abcd"), false},
		"before 3.4: no epoch":   {whole[:28], with(1, 0, ""), false},
		"3.4: no version":        {whole[:40], with(2, 0, ""), false},
		"version 1 has no more":  {change(36, 0, 0, 0, 1)[:44], with(2, 1, ""), false},
		"a later version":        {change(36, 0, 0, 0, 9)[:48], with(2, 9, "abcd"), false},
		"empty config":           {change(40, 0, 0, 0, 0)[:44], with(2, 2, ""), false},
		"empty":                  {nil, Notification{}, true},
		"27 bytes":               {whole[:27], Notification{}, true},
		"29 bytes":               {whole[:29], Notification{}, true},
		"39 bytes":               {whole[:39], Notification{}, true},
		"no length of a config":  {whole[:43], Notification{}, true},
		"config cut":             {whole[:47], Notification{}, true},
		"negative config length": {change(40, 0xff, 0xff, 0xff, 0xfe), Notification{}, true},
		"huge config length":     {change(40, 0x7f, 0xff, 0xff, 0xff), Notification{}, true},
		"no such state":          {change(0, 0, 0, 0, 4), Notification{}, true},
		"negative state":         {change(0, 0xff), Notification{}, true},
		"too long":               {make([]byte, NotificationBytesMax+1), Notification{}, true},
	}
	for name, test := range tests {
		got, err := ParseNotification(test.data)
		if got != test.want || (err != nil) != test.bad || test.bad && !errors.Is(err, ErrNotification) {
			t.Errorf("%s: %+v %v", name, got, err)
		}
	}
}

func TestConfigText(t *testing.T) {
	for text, want := range map[string]int64{"version=0": 0, "a=b\nversion=100000000": 1 << 32,
		"": -1, "version=": -1, "version=0\n": -1, "version=x": -1, "xversion=1": -1} {
		if got, ok := ConfigVersion(text); ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: %d %v", text, got, ok)
		}
	}
	if !SameConfig("a\nb\nversion=0", "b\na\nversion=0") || SameConfig("a\na", "a\nb") ||
		SameConfig("a", "a\nb") {
		t.Error("configurations are compared as sets of lines")
	}
}

// hello is a hello with any head and text.
func hello(version, sid int64, length int32, text string) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(version))
	b = binary.BigEndian.AppendUint64(b, uint64(sid))
	return append(binary.BigEndian.AppendUint32(b, uint32(length)), text...)
}

func TestHellos(t *testing.T) {
	tests := map[string]struct {
		data  []byte
		sid   int64
		addrs string // "" when it is refused
	}{
		"V1":                {hello(helloV1, 3, 14, "127.0.0.1:3888"), 3, "127.0.0.1:3888"},
		"V2":                {hello(helloV2, 3, 11, "a:1|[::1]:2"), 3, "a:1|[::1]:2"},
		"V1 with two":       {hello(helloV1, 3, 7, "a:1|b:2"), 3, "a:1|b:2"},
		"observer":          {hello(helloV1, ObserverSid, 3, "a:1"), ObserverSid, "a:1"},
		"negative id":       {hello(helloV1, -7, 3, "a:1"), -7, "a:1"},
		"no version":        {hello(-65534, 3, 3, "a:1"), 0, ""},
		"least version":     {hello(-1<<63, 3, 3, "a:1"), 0, ""},
		"no addresses":      {hello(helloV1, 3, 0, ""), 0, ""},
		"negative length":   {hello(helloV1, 3, -1, "a:1"), 0, ""},
		"long":              {hello(helloV1, 3, 2049, strings.Repeat("a", 2047)+":1"), 0, ""},
		"bytes behind":      {hello(helloV1, 3, 3, "a:1x"), 0, ""},
		"no port":           {hello(helloV1, 3, 1, "a"), 0, ""},
		"empty port":        {hello(helloV1, 3, 2, "a:"), 0, ""},
		"large port":        {hello(helloV1, 3, 7, "a:65536"), 0, ""},
		"signed port":       {hello(helloV1, 3, 4, "a:+1"), 0, ""},
		"no host":           {hello(helloV1, 3, 2, ":1"), 0, ""},
		"empty second":      {hello(helloV2, 3, 4, "a:1|"), 0, ""},
		"IPv6, no brackets": {hello(helloV1, 3, 5, "::1:2"), 0, ""},
		"open bracket":      {hello(helloV1, 3, 6, "[::1:2"), 0, ""},
		"HTTP":              {[]byte("GET / HTTP/1.1\r\nHost: meerkat\r\n\r\n"), 0, ""},
		"TLS":               {unhex(t, "1603010200010001fc0303"), 0, ""},
	}
	for name, test := range tests {
		h, err := ParseHello(test.data)
		if got := strings.Join(h.Addrs, "|"); got != test.addrs || h.Sid != test.sid ||
			(err != nil) != (test.addrs == "") || err != nil && !errors.Is(err, ErrHello) {
			t.Errorf("%s: %+v %v", name, h, err)
		}
	}
}

// Before 3.5 a hello was an id and nothing else.
func TestOldHello(t *testing.T) {
	data := unhex(t, "0000000000000002")
	h, err := ParseHello(data)
	if n, sizeErr := HelloBytes(data); n != 8 || sizeErr != nil || err != nil || h.Sid != 2 ||
		h.Addrs != nil {
		t.Errorf("%d %v, %+v %v", n, sizeErr, h, err)
	}
}

// Ours is V1 with one address, which servers of all releases since 3.5 take, and V2 with more.
func TestOwnHello(t *testing.T) {
	for _, addrs := range []string{"127.0.0.1:3888", "a:1|[::1]:2"} {
		h := Hello{Sid: 5, Addrs: strings.Split(addrs, "|")}
		version := int64(helloV1)
		if len(h.Addrs) > 1 {
			version = helloV2
		}
		data := h.Append([]byte("x"))
		if !bytes.Equal(data[1:], hello(version, 5, int32(len(addrs)), addrs)) {
			t.Errorf("%s: %x", addrs, data)
		}
	}
}

// A reader that asks HelloBytes for the next step reads a hello to its end and no further.
func TestHelloStepByStep(t *testing.T) {
	data := append(hello(helloV2, 9, 11, "a:1|[::1]:2"), "the first message"...)
	for got, steps := 0, 0; ; steps++ {
		want, err := HelloBytes(data[:got])
		if err != nil || steps > 3 || want < got {
			t.Fatalf("after %d bytes: %d %v", got, want, err)
		}
		if want == got {
			if got != 31 {
				t.Fatalf("%d bytes", got)
			}
			return
		}
		got = want
	}
}

func FuzzNotification(f *testing.F) {
	n := Notification{State: Leading, Leader: 3, Zxid: 5, Round: 7, Epoch: 2, Config: "version=0"}
	data := n.AppendFrame(nil)[4:]
	for _, size := range []int{0, 28, 40, 44, len(data)} {
		f.Add(data[:size])
	}
	eachLine(f, "election-java.txt", func(_ string, fields []string) {
		f.Add(unhex(f, fields[1])[4:])
	})
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := ParseNotification(data)
		if err != nil {
			if n != (Notification{}) || !errors.Is(err, ErrNotification) {
				t.Fatalf("refused, and %+v %v", n, err)
			}
			return
		}
		if len(n.Config) > len(data) {
			t.Fatalf("%d bytes of configuration in %d", len(n.Config), len(data))
		}
		n.Version = 2 // what we write
		again, err := ParseNotification(n.AppendFrame(nil)[4:])
		if err != nil || again != n {
			t.Fatalf("%+v became %+v %v", n, again, err)
		}
	})
}

func FuzzHello(f *testing.F) {
	f.Add(hello(helloV1, 3, 14, "127.0.0.1:3888"))
	f.Add(hello(helloV2, 3, 11, "a:1|[::1]:2"))
	f.Add(unhex(f, "0000000000000002"))
	eachLine(f, "election-java.txt", func(_ string, fields []string) { f.Add(unhex(f, fields[1])) })
	f.Fuzz(func(t *testing.T, data []byte) {
		size, sizeErr := HelloBytes(data)
		if size > HelloBytesMax || sizeErr == nil && size < 8 {
			t.Fatalf("a hello of %d bytes", size)
		}
		h, err := ParseHello(data)
		if err != nil {
			return
		}
		if sizeErr != nil || size != len(data) {
			t.Fatalf("taken, and yet %d of %d bytes, %v", size, len(data), sizeErr)
		}
		if h.Addrs == nil {
			return // we do not write that form
		}
		again, err := ParseHello(h.Append(nil))
		if err != nil || again.Sid != h.Sid || !slices.Equal(again.Addrs, h.Addrs) {
			t.Fatalf("%+v became %+v %v", h, again, err)
		}
	})
}

// What a Java server sent to an election port is read, and ours is the same to the byte.
func TestRecordedElection(t *testing.T) {
	states := map[string]PeerState{"looking": Looking, "following": Following, "leading": Leading,
		"observer-looking": Looking}
	seen := map[string]int{}
	eachLine(t, "election-java.txt", func(where string, f []string) {
		seen[f[0]]++
		data := unhex(t, f[1])
		if strings.HasPrefix(f[0], "hello") {
			h, err := ParseHello(data)
			if err != nil || !bytes.Equal(h.Append(nil), data) {
				t.Errorf("%s: %+v %v", where, h, err)
			}
			return
		}
		n, err := ParseNotification(data[4:])
		if err != nil || !bytes.Equal(n.AppendFrame(nil), data) {
			t.Errorf("%s: %+v %v", where, n, err)
		}
		version, known := ConfigVersion(n.Config)
		if n.State != states[f[0]] || n.Round != 1 || !known || version != 0 {
			t.Errorf("%s: %+v", where, n)
		}
		// A settled server's vote has the epoch that its leader began, and the zxid of before.
		if settled := n.State != Looking; settled && (n.Epoch != 1 || n.Leader != 2 || n.Zxid != 0) {
			t.Errorf("%s: %+v", where, n)
		}
		if f[0] == "observer-looking" && (n.Leader != -1<<63 || n.Zxid != -1<<63 || n.Epoch != -1<<63) {
			t.Errorf("%s: %+v", where, n)
		}
	})
	for _, want := range []string{"hello-v1", "hello-v2", "looking", "following", "leading",
		"observer-looking"} {
		if seen[want] == 0 {
			t.Errorf("no recorded %s", want)
		}
	}
}
