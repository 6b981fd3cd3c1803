package main

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ask sends a four-letter word and returns the answer.
func ask(t *testing.T, addr, word string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(c, word); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// At a SIGHUP the server goes on, with the words and the log level that its file now names. It
// tells what else was changed, and a file with a fault changes nothing.
func TestHangupReadsTheFileAgain(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "zoo.cfg")
	write := func(text string) {
		t.Helper()
		text = "dataDir=" + dir + "\nclientPortAddress=127.0.0.1\nclientPort=0\n" + text
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lines := make(chan string, 10_000)
	await := func(texts ...string) {
		t.Helper()
		timeout := time.After(30 * time.Second)
	next:
		for {
			select {
			case line := <-lines:
				for _, text := range texts {
					if !strings.Contains(line, text) {
						continue next
					}
				}
				return
			case <-timeout:
				t.Fatalf("it never said %q", texts)
			}
		}
	}
	hangUp := func() {
		t.Helper()
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}

	write("4lw.commands.whitelist=ruok\n")
	addr, stop := served(t, func(line string) { lines <- line }, file)
	if text := ask(t, addr, "wchc"); !strings.Contains(text, "not in the whitelist") {
		t.Errorf("wchc: %q", text)
	}
	write("4lw.commands.whitelist=wchc\nlogLevel=debug\ntickTime=3000\n")
	hangUp()
	await("level=INFO", "configuration read again", "log_level=DEBUG", "words=wchc,srvr")
	await("level=WARN", "wait for a restart", "keys=tickTime")
	if text := ask(t, addr, "ruok"); !strings.Contains(text, "not in the whitelist") {
		t.Errorf("ruok: %q", text)
	}
	if text := ask(t, addr, "wchc"); strings.Contains(text, "whitelist") {
		t.Errorf("wchc: %q", text)
	}
	await("level=DEBUG", "name=wchc", "allowed=true")

	write("4lw.commands.whitelist=*\nlogLevel=loud\n")
	hangUp()
	await("level=ERROR", "all is as before", file+":5: logLevel", "loud")
	if text := ask(t, addr, "ruok"); !strings.Contains(text, "not in the whitelist") {
		t.Errorf("ruok after a file with a fault: %q", text)
	}
	if code := stop(); code != 0 {
		t.Errorf("the server ended with %d", code)
	}
}

// The level of the command line counts before the file's; without a file a SIGHUP is harmless.
func TestHangupWithFlags(t *testing.T) {
	lines := make(chan string, 1000)
	addr, stop := served(t, func(line string) { lines <- line }, "--listen", "127.0.0.1:0",
		"--data", t.TempDir(), "--log-level", "info")
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for line := range lines {
		if strings.Contains(line, "there is no configuration file to read again") {
			break
		}
	}
	if text := ask(t, addr, "ruok"); text != "imok" {
		t.Errorf("it answers %q", text)
	}
	if code := stop(); code != 0 {
		t.Errorf("the server ended with %d", code)
	}
}
