package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var serving = regexp.MustCompile(`msg=serving addr=(\S+)`)

// served runs a server in this process, and returns its address once it serves; stop ends it and
// returns its exit code. Every line that it says goes to say.
func served(t *testing.T, say func(line string), args ...string) (addr string, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	ended := make(chan int, 1) // the server's goroutine sends once
	go func() {
		code := run(ctx, append([]string{"server"}, args...), io.Discard, w)
		_ = w.Close()
		ended <- code
	}()
	ready := make(chan string, 1) // the reader sends the first address, or closes it
	go func() {
		lines := bufio.NewScanner(r)
		for lines.Scan() {
			say(lines.Text())
			if m := serving.FindStringSubmatch(lines.Text()); m != nil {
				ready <- m[1]
			}
		}
		close(ready)
	}()
	addr, ok := <-ready
	if !ok {
		t.Fatalf("the server ended with %d", <-ended)
	}
	stop = func() int {
		cancel()
		code := <-ended
		for range ready { // all lines are read
		}
		return code
	}
	return addr, stop
}

// A server without a file takes its directory and its address from the command line, serves as
// many clients of one address as a load generator has, and leaves files that other users of the
// machine cannot read.
func TestBuiltInConfiguration(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "data")
	addr, stop := served(t, func(line string) { t.Log(line) }, "--data", dir, "--listen",
		"127.0.0.1:0", "--log-level", "debug")
	var out, log bytes.Buffer
	code := run(t.Context(), []string{"bench", "run", "--servers", addr, "--connections", "100",
		"--in-flight", "1", "--znodes", "100", "--duration", "100ms", "--warmup", "0s"}, &out, &log)
	if code != 0 {
		t.Errorf("bench ended with %d: %s", code, &log)
	}
	if code := stop(); code != 0 {
		t.Errorf("the server ended with %d", code)
	}
	files := 0
	err := filepath.WalkDir(filepath.Dir(dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		owner := fs.FileMode(0o600)
		if d.IsDir() {
			owner = 0o700
		} else {
			files++
		}
		if mode := info.Mode().Perm(); mode&0o007 != 0 || mode&owner != owner || mode&0o020 != 0 {
			t.Errorf("%s has mode %04o", path, mode)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 3 { // lock, snapshot, log
		t.Errorf("only %d files", files)
	}
}

// The version is asked for in either way, and both say the same.
func TestVersion(t *testing.T) {
	var flag, command, log bytes.Buffer
	if code := run(t.Context(), []string{"--version"}, &flag, &log); code != 0 {
		t.Errorf("exit code %d: %s", code, &log)
	}
	run(t.Context(), []string{"version"}, &command, &log)
	if flag.String() != command.String() ||
		!strings.HasPrefix(flag.String(), "Meerkat "+compatible+"-meerkat-") {
		t.Errorf("--version says %q, version %q", &flag, &command)
	}
}
