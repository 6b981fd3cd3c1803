package server

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/meerkat-zk/meerkat/proto"
	"github.com/meerkat-zk/meerkat/server/auth"
)

// Who may have a guarded command, and what the others are told (Commands.runCommand).
func TestGuard(t *testing.T) {
	s := startServer(t, func(o *Options) {
		often(o)
		o.Config.SuperDigest = "super:" + digestOf("super:pw")
		o.Config.IPUseXForwardedFor = true
	})
	root := func(acl ...proto.ACL) {
		t.Helper()
		w := connectTo(t, s)
		auth := proto.AuthPacket{Scheme: "digest", Auth: []byte("super:pw")}
		w.sendXid(proto.XidAuth, proto.OpAuth, auth.Fields)
		w.flush()
		w.recv()
		q := proto.SetACLRequest{Path: "/", ACL: acl, Version: -1}
		w.must(proto.OpSetACL, q.Fields)
	}
	may := func(scheme, id string, perms int32) proto.ACL {
		return proto.ACL{Perms: perms, ID: proto.ID{Scheme: scheme, ID: id}}
	}
	check := func(authorization string, code int, failed any) {
		t.Helper()
		a := command(t, s, http.MethodGet, "snap?streaming=false", authorization, nil)
		f := a.json(t)
		if name := map[bool]string{true: "snapshot", false: "snap"}[code == 200]; a.code != code ||
			f["error"] != failed || f["command"] != name {
			t.Errorf("%q: %d %s, want %d %v", authorization, a.code, a.body, code, failed)
		}
	}
	check("", 401, "Auth info is missing for the command")
	for _, nobody := range []string{"digest", "x509", "sasl x", "world anyone", "nosuch user:pw",
		"digest a:b c", "digest  a:b"} {
		check(nobody, 401, "Not authenticated")
	}
	check("ip", 200, nil) // the root znode is open
	check("digest a:b", 200, nil)

	root(may("digest", "good:"+digestOf("good:pw"), proto.PermAll),
		may("digest", "half:"+digestOf("half:pw"), proto.PermAll&^proto.PermDelete))
	check("digest good:pw", 200, nil)
	check("digest super:pw", 200, nil)
	check("digest good:wrong", 403, "Not authorized")
	check("digest half:pw", 403, "Not authorized")
	check("ip", 403, "Not authorized")
	root(may("ip", "127.0.0.0/8", proto.PermAll))
	check("ip", 200, nil)
	check("ip 10.0.0.1", 200, nil) // what follows is not looked at
	check("digest good:pw", 403, "Not authorized")
	root(may("digest", "half:"+digestOf("half:pw"), proto.PermAll&^proto.PermDelete),
		may("world", "anyone", proto.PermDelete))
	check("digest half:pw", 200, nil)
}

func digestOf(credentials string) string {
	id, _ := auth.Digest("", credentials)
	_, hash, _ := strings.Cut(id, ":")
	return hash
}

// Behind a proxy the caller is whom the proxy names last.
func TestGuardForwarded(t *testing.T) {
	for _, forwarded := range []bool{false, true} {
		s := startServer(t, func(o *Options) {
			often(o)
			o.Config.IPUseXForwardedFor = forwarded
		})
		w := connectTo(t, s)
		q := proto.SetACLRequest{Path: "/", Version: -1, ACL: []proto.ACL{{Perms: proto.PermAll,
			ID: proto.ID{Scheme: "ip", ID: "10.1.2.3"}}}}
		w.must(proto.OpSetACL, q.Fields)
		for list, code := range map[string]int{"10.1.2.3": 200, "1.1.1.1, 10.1.2.3": 200,
			"10.1.2.3, 1.1.1.1": 403, "10.1.2.3, x": 401} {
			r, err := http.NewRequest(http.MethodPost, "http://"+
				s.monitor.served[0].Addr().String()+"/commands/shed", strings.NewReader(`{"percentage":0}`))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "ip")
			r.Header.Set("X-Forwarded-For", list)
			answer, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			if err := answer.Body.Close(); err != nil {
				t.Error(err)
			}
			if !forwarded {
				code = 403
			}
			if answer.StatusCode != code {
				t.Errorf("forwarded=%t, %q: %d, want %d", forwarded, list, answer.StatusCode, code)
			}
		}
	}
}

// Too soon is 429 and counted; what failed does not count; what is off is 503.
func TestCommandLimits(t *testing.T) {
	s := startServer(t, withAdmin)
	body := snapshotOf(t, s)
	if a := command(t, s, http.MethodGet, "snapshot", anybody, nil); a.code != 429 {
		t.Errorf("a second snapshot: %d %s", a.code, a.body)
	}
	for range 2 {
		if a := command(t, s, http.MethodPost, "restore", anybody, body[:99]); a.code != 400 {
			t.Errorf("half a body: %d %s", a.code, a.body)
		}
	}
	restoreTo(t, s, body)
	if a := command(t, s, http.MethodPost, "restore", anybody, body); a.code != 429 {
		t.Errorf("a second restore: %d %s", a.code, a.body)
	}
	got := mntr(t, s)
	for name, want := range map[string]string{"snapshot_rate_limited_count": "1",
		"restore_rate_limited_count": "1", "restore_error_count": "2", "cnt_restore_time": "1",
		"snapshot_error_count": "0"} {
		if got[name] != want {
			t.Errorf("%s is %q, want %s", name, got[name], want)
		}
	}
	off := startServer(t, func(o *Options) {
		withAdmin(o)
		o.Config.Admin.Snapshot, o.Config.Admin.Restore = false, false
	})
	for name, method := range map[string]string{"snapshot": http.MethodGet,
		"restore": http.MethodPost} {
		a := command(t, off, method, name, anybody, body)
		if a.code != 503 || a.json(t)["command"] != name {
			t.Errorf("%s is off: %d %s", name, a.code, a.body)
		}
	}
}

// A command has one method; who may not have it is told that first, as in Java.
func TestCommandMethods(t *testing.T) {
	s := startServer(t, often)
	for _, c := range []struct {
		method, name, authorization string
		code                        int
	}{
		{http.MethodGet, "restore", "", 401},
		{http.MethodGet, "restore", anybody, 405},
		{http.MethodPost, "snapshot", anybody, 405},
		{http.MethodHead, "snapshot", anybody, 405},
		{http.MethodGet, "shed", anybody, 405},
		{http.MethodPost, "ruok", "", 405},
		{http.MethodPost, "nosuch", "", 200},
		{http.MethodPost, "", "", 200},
		{http.MethodPut, "restore", anybody, 405},
	} {
		a := command(t, s, c.method, c.name, c.authorization, nil)
		if a.code != c.code || (a.code == 405) != (a.header.Get("Allow") != "") {
			t.Errorf("%s %s: %d, Allow %q, want %d", c.method, c.name, a.code,
				a.header.Get("Allow"), c.code)
		}
	}
}

// shed_connections closes as many connections as it says; sessions go on.
func TestShedConnections(t *testing.T) {
	s := startServer(t, often)
	var clients []*wire
	for range 40 {
		clients = append(clients, connectTo(t, s))
	}
	for body, want := range map[string]string{"": "Missing required field: percentage",
		"{}": "Missing required field: percentage", "5": "Missing required field: percentage",
		`{"percentage":101}`:  "Percentage must be between 0 and 100",
		`{"percentage":-1}`:   "Percentage must be between 0 and 100",
		`{"percentage":"x"}`:  "Percentage must be between 0 and 100",
		`{"percentage":1.5}`:  "Percentage must be between 0 and 100",
		`{"percentage":1e30}`: "Percentage must be between 0 and 100",
		`{`:                   "Invalid JSON or failed to read request body: unexpected EOF"} {
		a := command(t, s, http.MethodPost, "shed_connections", anybody, []byte(body))
		if f := a.json(t); a.code != 400 || f["error"] != want {
			t.Errorf("%q: %d %s", body, a.code, a.body)
		}
	}
	shed := func(percent int) int {
		t.Helper()
		body := fmt.Appendf(nil, `{"percentage":%d}`, percent)
		a := command(t, s, http.MethodPost, "shed", anybody, body)
		f := a.json(t)
		if a.code != 200 || f["percentage_requested"] != float64(percent) {
			t.Errorf("%d %s", a.code, a.body)
		}
		return int(f["connections_shed"].(float64))
	}
	if n := shed(0); n != 0 {
		t.Errorf("0%% closed %d", n)
	}
	some := shed(50)
	if some < 5 || some > 35 { // less likely than one in a million
		t.Errorf("50%% closed %d of 40", some)
	}
	if n := shed(100); n != 40-some {
		t.Errorf("100%% closed %d of %d", n, 40-some)
	}
	for _, w := range clients {
		w.closed()
	}
	if again := resume(t, s, clients[0]); again.session.SessionID != clients[0].session.SessionID {
		t.Error("the session did not go on")
	}
}
