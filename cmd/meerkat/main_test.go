package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Each way of being started wrongly ends with its exit code and a line that says what is wrong.
func TestExitCodes(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	dir := t.TempDir()
	file := filepath.Join(dir, "a-file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	data := "dataDir=" + filepath.Join(dir, "data") + "\n"
	serve := []string{"server", "CFG"} // CFG stands for a file with cfg
	local := data + "clientPortAddress=127.0.0.1\nclientPort="
	for name, c := range map[string]struct {
		args []string
		cfg  string
		code int
		says string
	}{
		"unknown command": {[]string{"serve"}, "", 2, "unknown command"},
		"unknown flag":    {[]string{"server", "-x"}, "", 2, "unknown shorthand"},
		"no address":      {[]string{"server", "--listen", "2181"}, "", 2, "want host:port"},
		"no port":         {[]string{"server", "--listen", "localhost:zk"}, "", 2, `"zk" is no port`},
		"file and flag": {append([]string{"server", "--data", dir}, "CFG"), local + "0\n", 2,
			"--data and --listen are for a server without a zoo.cfg"},
		"two files":      {[]string{"server", "a", "b"}, "", 2, "at most 1 arg"},
		"no such file":   {[]string{"server", filepath.Join(dir, "none")}, "", 2, "none"},
		"bad value":      {serve, data + "clientPort=two\n", 2, ":2: clientPort"},
		"no client port": {serve, data, 2, "clientPort"},
		"TLS":            {serve, local + "0\nsecureClientPort=1\n", 2, ":4: secureClientPort: TLS"},
		"SASL": {serve, local + "0\nsessionRequireClientSASLAuth=true\n", 2,
			":4: sessionRequireClientSASLAuth: demands SASL"},
		"unknown digest": {serve, local + "0\nDigestAuthenticationProvider.digestAlg=X9\n", 2,
			":4: DigestAuthenticationProvider.digestAlg: unknown digest"},
		"port in use": {serve, local + port + "\n", 1, port},
		"admin port in use": {serve, local + "0\nadmin.enableServer=true\n" +
			"admin.serverAddress=127.0.0.1\nadmin.serverPort=" + port + "\n", 1, "admin.serverPort"},
		"directory is file": {serve, "dataDir=" + file + "\nclientPort=0\n", 3, file},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := filepath.Join(t.TempDir(), "zoo.cfg")
			if err := os.WriteFile(cfg, []byte(c.cfg), 0o600); err != nil {
				t.Fatal(err)
			}
			var args []string
			for _, a := range c.args {
				args = append(args, strings.Replace(a, "CFG", cfg, 1))
			}
			var out, log bytes.Buffer
			code := run(context.Background(), args, &out, &log)
			lines := strings.Split(strings.TrimSpace(log.String()), "\nmeerkat: ")
			last := strings.TrimPrefix(lines[len(lines)-1], "meerkat: ")
			if code != c.code || !strings.Contains(last, c.says) {
				t.Errorf("exit code %d, want %d and %q; it said\n%s", code, c.code, c.says, &log)
			}
			if args[0] != "server" {
				return
			}
			log.Reset()
			args = append([]string{"server", "--log", "json"}, args[1:]...)
			code = run(context.Background(), args, &out, &log)
			said := jsonLines(t, &log)
			end := said[len(said)-1]
			if text, _ := end["err"].(string); code != c.code || !strings.Contains(text, c.says) ||
				end["level"] != "ERROR" || end["exit_code"] != float64(c.code) {
				t.Errorf("exit code %d, and the last line is %v", code, end)
			}
		})
	}
}

// A check ends as the start would, but for ports that are taken, and makes nothing.
func TestCheckFlag(t *testing.T) {
	dir := t.TempDir()
	cfg, data := filepath.Join(dir, "zoo.cfg"), filepath.Join(dir, "data")
	for text, want := range map[string]struct {
		code int
		says []string
	}{
		"clientPort=0\n": {0, []string{"checked: a server would start"}},
		"clientPort=0\nsnapCuont=7\nauditEnable=true\n": {0, []string{"did you mean snapCount?",
			"unknown key", "would start"}},
		"clientPort=x\ntickTime=0\n":               {2, []string{"clientPort", "tickTime"}},
		"clientPort=0\ndatadir.autocreate=false\n": {3, []string{"meerkat: ", "is missing", data}},
		"clientPort=1\ninitLimit=1\nsyncLimit=1\nserver.1=a:1:2\nserver.2=b:1:2\n": {2,
			[]string{"myid is missing"}},
	} {
		if err := os.WriteFile(cfg, []byte("dataDir="+data+"\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, log bytes.Buffer
		code := run(context.Background(), []string{"server", "--check", cfg}, &out, &log)
		if code != want.code {
			t.Errorf("%q: exit code %d, want %d", text, code, want.code)
		}
		for _, says := range want.says {
			if !strings.Contains(log.String(), says) {
				t.Errorf("%q: it does not say %q:\n%s", text, says, &log)
			}
		}
		if _, err := os.Stat(data); err == nil {
			t.Fatalf("%q: the check has made %s", text, data)
		}
	}
}

// jsonLines reads what was logged, each line an object.
func jsonLines(t *testing.T, log *bytes.Buffer) (lines []map[string]any) {
	t.Helper()
	for line := range strings.Lines(log.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		lines = append(lines, fields)
	}
	return lines
}

// With --log json every line is an object, from the first to the last, and a kind of value has
// one form: times in milliseconds, zxids and addresses as the text form has them.
func TestJSONLog(t *testing.T) {
	dir := t.TempDir()
	cfg := filepath.Join(dir, "zoo.cfg")
	text := "dataDir=" + filepath.Join(dir, "data") + "\nclientPort=0\n" +
		"clientPortAddress=127.0.0.1\nsnapCuont=7\n"
	if err := os.WriteFile(cfg, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // it starts, and stops at once
	var out, log bytes.Buffer
	if code := run(ctx, []string{"server", "--log=json", cfg}, &out, &log); code != 0 {
		t.Fatalf("exit code %d: %s", code, &log)
	}
	byText := map[any]map[string]any{}
	for _, line := range jsonLines(t, &log) {
		byText[line["msg"]] = line
	}
	loaded := byText["data loaded"]
	if _, number := loaded["took_ms"].(float64); !number || loaded["took"] != nil ||
		loaded["zxid"] != "0x0" {
		t.Errorf("data loaded: %v", loaded)
	}
	if addr, _ := byText["serving"]["addr"].(string); !strings.HasPrefix(addr, "127.0.0.1:") {
		t.Errorf("serving: %v", byText["serving"])
	}
	if byText["stopped"] == nil || byText[cfg+":4: snapCuont: unknown key, ignored; "+
		"did you mean snapCount?"] == nil {
		t.Errorf("it said\n%s", &log)
	}
	for format, want := range map[string]string{
		"text": "no configuration given: serving on 127.0.0.1:2181 with data in ./meerkat-data\n",
		"json": `"msg":"no configuration given","addr":"127.0.0.1:2181","data":"./meerkat-data"}`,
	} {
		log.Reset()
		c, err := newConsole(&log, format, "info")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := loadConfig(nil, builtIn{}, c); err != nil || !strings.Contains(log.String(), want) {
			t.Errorf("%s: %v, %s", format, err, &log)
		}
	}
}

// All goroutines are one line among others.
func TestJSONDump(t *testing.T) {
	var log bytes.Buffer
	c, err := newConsole(&log, "json", "info")
	if err != nil {
		t.Fatal(err)
	}
	c.dump()
	lines := jsonLines(t, &log)
	if text, _ := lines[0]["goroutines"].(string); len(lines) != 1 ||
		!strings.Contains(text, "TestJSONDump") {
		t.Errorf("%v", lines)
	}
}
