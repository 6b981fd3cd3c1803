package main

import (
	"bytes"
	"context"
	"errors"
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
		"unknown command":   {[]string{"serve"}, "", 2, "unknown command"},
		"unknown flag":      {[]string{"server", "-x"}, "", 2, "unknown shorthand"},
		"two files":         {[]string{"server", "a", "b"}, "", 2, "at most 1 arg"},
		"no such file":      {[]string{"server", filepath.Join(dir, "none")}, "", 2, "none"},
		"bad value":         {serve, data + "clientPort=two\n", 2, ":2: clientPort"},
		"no client port":    {serve, data, 2, "clientPort"},
		"TLS":               {serve, local + "0\nsecureClientPort=1\n", 2, "TLS"},
		"unknown digest":    {serve, local + "0\nDigestAuthenticationProvider.digestAlg=X9\n", 2, "X9"},
		"port in use":       {serve, local + port + "\n", 1, port},
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
			err := run(context.Background(), args, &out, &log)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("%v, want one that says %q", err, c.says)
			}
			code := 1
			var exit *exitError
			if errors.As(err, &exit) {
				code = exit.code
			}
			if code != c.code {
				t.Errorf("exit code %d, want %d: %v", code, c.code, err)
			}
		})
	}
}
