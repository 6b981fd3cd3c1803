package names

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// asked are requests that health checks, proxies and curious people send to the AdminServer.
var asked = []string{
	"GET /commands/ruok", "GET /commands", "GET /commands/", "GET /commands//ruok",
	"GET /commands/ruok/", "GET /commands//ruok/", "GET /commands///ruok", "GET /commands/nope",
	"GET /commands/ruok/x", "GET /commands/RUOK", "GET //commands/ruok", "GET /commands/./ruok",
	"GET /commands/../commands/ruok", "GET /commands/%72uok", "GET /commands/%2Fruok",
	"GET /commands/ruok;x=1", "GET /commands;x=1/ruok", "GET /command", "GET /commandsx", "GET /x/",
	"GET /commands/stmk", "GET /commands/stmk?traceMask=x", "GET /commands/stmk?traceMask=306",
	"GET /commands?command=ruok", "GET /commands/isro", "GET /commands/lead",
	"HEAD /commands/ruok", "HEAD /commands", "HEAD /commands//ruok", "HEAD /commands/nope",
	"HEAD /nowhere", "OPTIONS /commands/ruok", "OPTIONS /commands", "OPTIONS /commands/nope",
	"OPTIONS /", "OPTIONS /nowhere", "PUT /commands/ruok", "DELETE /commands/ruok", "PUT /nowhere",
	"PATCH /commands/ruok", "PATCH /", "BREW /commands/ruok", "TRACE /commands/ruok", "TRACE /",
	"POST /commands/ruok", "POST /nowhere",
}

// otherwise are requests that Meerkat answers in another way, each with its reason.
var otherwise = map[string]string{
	"POST /commands/ruok": "the reason stands in JSON, Java has a page of HTML",
	"POST /nowhere":       "what is not there is 404 to every method; Java has no place for a POST",
}

// TestAdminServer compares the answers of both to each request: status, type, and what JSON says.
func TestAdminServer(t *testing.T) {
	needsPeers(t)
	var addrs []string
	for _, java := range []bool{true, false} {
		at := freeAddr(t)
		start(t, java, "admin.enableServer=true", "admin.serverAddress=127.0.0.1",
			fmt.Sprintf("admin.serverPort=%d", at.Port))
		addrs = append(addrs, at.String())
	}
	for _, line := range asked {
		want, got := ask(t, addrs[0], line), ask(t, addrs[1], line)
		if reason := otherwise[line]; reason != "" {
			t.Logf("%s: %s", line, reason)
			if want == got {
				t.Errorf("%s: there is no difference any more", line)
			}
			continue
		}
		if want != got {
			t.Errorf("%s\n got %s\nJava %s", line, got, want)
		}
	}
}

// ask sends a request as it stands, and returns what of the answer must be the same.
func ask(t *testing.T, addr, line string) string {
	t.Helper()
	c, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(line, " ")
	fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
		line)
	r, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	answer := fmt.Sprint(r.StatusCode)
	if kind := r.Header.Get("Content-Type"); kind == "application/json" {
		answer += " " + kind
		var fields any
		if len(body) > 0 { // none behind HEAD
			if err := json.Unmarshal(body, &fields); err != nil {
				t.Fatalf("%s: %v in %q", line, err, body)
			}
			answer += fmt.Sprintf(" %v", fields)
		}
	}
	if links := strings.Count(string(body), "<a href=\"/commands/"); links > 0 {
		answer += " a list of commands"
	}
	return answer
}
