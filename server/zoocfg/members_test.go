package zoocfg

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseMember(t *testing.T) {
	none := ClientAddr{Port: -1}
	for text, want := range map[string]Member{
		"a:2888:3888": {Addrs: []MemberAddr{{"a", 2888, 3888}}, Client: none, Secure: none},
		"a:1:2:participant;2181": {Addrs: []MemberAddr{{"a", 1, 2}},
			Client: ClientAddr{"0.0.0.0", 2181}, Secure: none},
		"a:1:2:OBSERVER": {Addrs: []MemberAddr{{"a", 1, 2}}, Observer: true,
			Client: none, Secure: none},
		"[::1]:1:2;[fe80::1]:3": {Addrs: []MemberAddr{{"::1", 1, 2}},
			Client: ClientAddr{"fe80::1", 3}, Secure: none},
		"a:1:2|b:3:4:observer;h:5;6": {Addrs: []MemberAddr{{"a", 1, 2}, {"b", 3, 4}},
			Observer: true, Client: ClientAddr{"h", 5}, Secure: ClientAddr{"0.0.0.0", 6}},
		"a:1:2;;[::]:6": {Addrs: []MemberAddr{{"a", 1, 2}}, Client: none,
			Secure: ClientAddr{"::", 6}},
	} {
		got, err := parseMember(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %+v %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "a", "a:1", "a:1:1", "a:1:2:leader", "a:1:2:observer:3",
		"a:x:2", "a:1:65536", "[::1", "[::1]", "[::1]1:2", "::1:1:2", "a:1:2;a:b:3",
		"a:1:2;x", "a:1:2;3;4;5", "a:1:2:observer|b:1:2:participant", "a:1:2|"} {
		if m, err := parseMember(text); err == nil {
			t.Errorf("%q: got %+v", text, m)
		}
	}
}

func servers(n int) string {
	return strings.Join([]string{"server.3=c:1:2", "server.1=a:1:2", "server.2=b:1:2",
		"server.4=d:1:2", "server.5=e:1:2:observer"}[:n], "\n") + "\n"
}

const limits = "clientPort=1\ninitLimit=5\nsyncLimit=2\n"

func TestEnsemble(t *testing.T) {
	for text, want := range map[string]bool{
		"":                                     false,
		servers(1):                             false,
		servers(3):                             true,
		servers(1) + "standaloneEnabled=false": true,
	} {
		c, _, err := parse(limits + text)
		if err != nil || c.Ensemble() != want {
			t.Errorf("%q: %v", text, err)
		}
	}
	c := mustParse(t, limits+servers(3)+"group.1=1:2:3\nweight.2=0\n")
	for i, m := range c.Quorum.Members {
		if m.ID != int64(i+1) {
			t.Errorf("members are not in order: %+v", c.Quorum.Members)
		}
	}
	if !reflect.DeepEqual(c.Quorum.Groups, map[int64][]int64{1: {1, 2, 3}}) ||
		!reflect.DeepEqual(c.Quorum.Weights, map[int64]int64{2: 0}) {
		t.Errorf("%+v", c.Quorum)
	}
}

func TestEnsembleErrors(t *testing.T) {
	for text, want := range map[string]string{
		servers(3):                         " initLimit is not set\nzoo.cfg: syncLimit is not set",
		limits + "server.1=a:1:2:observer": " there are observers, but no participant",
		limits + "server.1=a:1:2\nserver.2=b:1:2:observer": " there are observers, " +
			"but no quorum: only one participant",
		limits + servers(3) + "group.1=1:2": "5: server.3: is in no group",
		limits + servers(3) + "group.1=1:2:3\ngroup.2=3": "9: group.2: server 3 is in more " +
			"than one group",
		limits + servers(3) + "group.1=1:2:3:9": "8: group.1: there is no server.9",
		"server.x=a:1:2":                        `2: server.x: "x" is not the id of a server`,
		"server.-1=a:1:2":                       `2: server.-1: "-1" is not the id of a server`,
		"group.1=1:":                            `2: group.1: "" is not the id of a server`,
		"weight.1=-1":                           `2: weight.1: -1 is too small (want 0 or more)`,
		limits + "server.1=a:1:2|b:1:2": `5: server.1: several addresses ` +
			`need multiAddress.enabled`,
		"server.1=a:1": `2: server.1: "a:1": ` + errMemberForm.Error(),
	} {
		_, _, err := parse(text)
		if err == nil || err.Error() != "zoo.cfg:"+want {
			t.Errorf("%q:\n got %v\nwant zoo.cfg:%s", text, err, want)
		}
	}
}

func TestEnsembleWarnings(t *testing.T) {
	for n, want := range map[int]string{
		3: "",
		4: "zoo.cfg: 4 servers survive no more failures than 3 would",
	} {
		_, warnings, err := parse(limits + servers(n))
		if err != nil || strings.Join(warnings, "\n") != want {
			t.Errorf("%d: %v %q", n, err, warnings)
		}
	}
}

func TestVersionOf(t *testing.T) {
	for path, want := range map[string]int64{
		"/c/zoo.cfg.dynamic.100000000": 0x100000000, "zoo.cfg.dynamic": 0,
		"zoo": 0, "zoo.": 0, "z.dynamic.0": 0,
	} {
		if got := versionOf(path); got != want {
			t.Errorf("%s: got %x", path, got)
		}
	}
}
