package wal

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/meerkat-zk/meerkat/proto"
)

// The scripts in testdata/recovery drive a log on a MemFS and damage its files. The output of
// a command is what it did to the disk and what it reported. Commands:
//
//	new [prealloc=N] [limit=N]   an empty directory
//	step                         one Step; a line each: append FIRST[-LAST] [size=N] [roll],
//	                             roll, truncate Z; zxids are decimal, or EPOCH:COUNTER
//	open [last=Z]                OpenLog
//	close                        Close
//	replay [from=Z]              Replay
//	read [from=Z]                Read
//	truncate to=Z                TruncateLog
//	files                        names and sizes
//	cut file=F to=N              sets the size; N may be END+n or END-n, END: end of the data
//	flip file=F at=N             inverts the lowest bit of a byte; N as above
//	zero file=F from=N to=M      overwrites with zeros
//	move file=F to=G             renames
//	put file=F                   creates the file with this text, in Go's escapes
func TestRecovery(t *testing.T) {
	datadriven.Walk(t, "testdata/recovery", func(t *testing.T, path string) {
		s := script{t: t}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.t, s.d = t, d
			s.out.Reset()
			s.run()
			if s.out.Len() == 0 {
				return "ok\n"
			}
			return strings.ReplaceAll(s.out.String(), "/data/version-2/", "")
		})
	})
}

type script struct {
	t   *testing.T
	d   *datadriven.TestData
	m   *MemFS
	o   Options
	log *Log
	out strings.Builder
}

func (s *script) printf(format string, args ...any) { fmt.Fprintf(&s.out, format+"\n", args...) }

func (s *script) run() {
	switch s.d.Cmd {
	case "new":
		s.renew()
	case "open":
		var err error
		if s.log, err = OpenLog(s.o, s.zxidArg("last")); err != nil {
			s.printf("error: %v", err)
		}
	case "step":
		s.step()
	case "close":
		s.traced(func() error { return s.log.Close() })
	case "replay":
		s.replay(Replay)
	case "read":
		s.replay(Read)
	case "truncate":
		s.traced(func() error { return TruncateLog(s.o, s.zxidArg("to")) })
	case "files":
		names, _ := s.m.List(s.o.LogDir)
		for _, name := range names {
			info, _ := s.m.Stat(filepath.Join(s.o.LogDir, name))
			s.printf("%s %d", name, info.Size)
		}
	default:
		s.damage()
	}
}

func (s *script) renew() {
	var prealloc, limit int64
	s.d.MaybeScanArgs(s.t, "prealloc", &prealloc)
	s.d.MaybeScanArgs(s.t, "limit", &limit)
	s.m = NewMemFS()
	dir, _, err := PrepareDirs(s.m, "/data", "", true)
	if err != nil {
		s.t.Fatal(err)
	}
	s.o = Options{FS: s.m, LogDir: dir, SnapDir: dir, PreallocBytes: prealloc, LogSizeLimit: limit}
	s.o.Repaired = func(r Repair) {
		what := "repaired"
		if r.Kept {
			what = "kept"
		}
		s.printf("%s %s at %d, behind zxid %v: %d bytes dropped: %s", what, r.File, r.Offset,
			r.After, r.Dropped, r.Reason)
	}
	s.log = nil
}

// traced runs something and prints what it does to the disk.
func (s *script) traced(do func() error) {
	s.m.Inject(func(op Op) error {
		switch op.Kind {
		case "write":
			s.printf("write %s %d", op.Name, op.Bytes)
		case "syncdir":
			s.printf("syncdir")
		default:
			s.printf("%s %s", op.Kind, op.Name)
		}
		return nil
	})
	err := do()
	s.m.Inject(nil)
	if err != nil {
		s.printf("error: %v", err)
	}
}

func (s *script) step() {
	if s.log == nil {
		s.log = open(s.t, s.o, 0)
	}
	var items []Item
	for line := range strings.Lines(s.d.Input) {
		items = append(items, s.item(strings.Fields(line)))
	}
	s.traced(func() error {
		z, err := s.log.Step(items)
		s.printf("durable %v", z)
		return err
	})
}

func (s *script) item(words []string) Item {
	switch words[0] {
	case "roll":
		return Item{Roll: true}
	case "truncate":
		return Item{Truncate: true, Last: s.zxid(words[1])}
	case "append":
		first, last, ok := strings.Cut(words[1], "-")
		if !ok {
			last = first
		}
		size, roll := 0, false
		for _, w := range words[2:] {
			if w == "roll" {
				roll = true
			} else if _, err := fmt.Sscanf(w, "size=%d", &size); err != nil {
				s.t.Fatalf("%s: %s", s.d.Pos, w)
			}
		}
		var zxids []proto.Zxid
		for z := s.zxid(first); z <= s.zxid(last); z++ {
			zxids = append(zxids, z)
		}
		it := itemOf(size, zxids...)
		it.Roll = roll
		return it
	}
	s.t.Fatalf("%s: unknown item %s", s.d.Pos, words[0])
	return Item{}
}

func (s *script) zxid(text string) proto.Zxid {
	var epoch, counter int64
	if e, c, ok := strings.Cut(text, ":"); ok {
		epoch, text = s.number(e), c
	}
	counter = s.number(text)
	return proto.MakeZxid(epoch, uint32(counter))
}

func (s *script) number(text string) (n int64) {
	if _, err := fmt.Sscan(text, &n); err != nil {
		s.t.Fatalf("%s: %q is no number", s.d.Pos, text)
	}
	return n
}

func (s *script) zxidArg(key string) proto.Zxid {
	text := "0"
	s.d.MaybeScanArgs(s.t, key, &text)
	return s.zxid(text)
}

func (s *script) replay(replay func(Options, proto.Zxid,
	func(proto.Zxid, []byte) error) (proto.Zxid, error)) {
	var seen []string
	last, err := replay(s.o, s.zxidArg("from"), func(z proto.Zxid, _ []byte) error {
		seen = append(seen, z.String())
		return nil
	})
	s.printf("visited %s; last %v", strings.Join(seen, " "), last)
	if err != nil {
		s.printf("error: %v", err)
	}
}

// offset reads N, END+n or END-n.
func (s *script) offset(f File, text string) int64 {
	rest, ok := strings.CutPrefix(text, "END")
	if !ok {
		return s.number(text)
	}
	size, _ := f.Size()
	b := make([]byte, size)
	_, _ = f.ReadAt(b, 0)
	end := int64(len(strings.TrimRight(string(b), "\x00")))
	if rest == "" {
		return end
	}
	return end + s.number(rest)
}

func (s *script) damage() {
	var name, at, from, to string
	s.d.ScanArgs(s.t, "file", &name)
	s.d.MaybeScanArgs(s.t, "at", &at)
	s.d.MaybeScanArgs(s.t, "from", &from)
	s.d.MaybeScanArgs(s.t, "to", &to)
	path := filepath.Join(s.o.LogDir, name)
	if s.d.Cmd == "put" {
		putFile(s.t, s.m, path, s.text())
		return
	}
	if s.d.Cmd == "move" {
		if err := s.m.Rename(path, filepath.Join(s.o.LogDir, to)); err != nil {
			s.t.Fatal(err)
		}
		return
	}
	f, err := s.m.OpenWrite(path)
	if err != nil {
		s.t.Fatal(err)
	}
	switch s.d.Cmd {
	case "cut":
		err = f.Truncate(s.offset(f, to))
	case "flip":
		var b [1]byte
		off := s.offset(f, at)
		_, _ = f.ReadAt(b[:], off)
		b[0] ^= 1
		_, err = f.WriteAt(b[:], off)
	case "zero":
		off, end := s.offset(f, from), s.offset(f, to)
		_, err = f.WriteAt(make([]byte, end-off), off)
	default:
		s.t.Fatalf("%s: unknown command %s", s.d.Pos, s.d.Cmd)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *script) text() string {
	var text string
	if _, err := fmt.Sscanf(`"`+strings.TrimSpace(s.d.Input)+`"`, "%q", &text); err != nil {
		s.t.Fatalf("%s: %v", s.d.Pos, err)
	}
	return text
}

func putFile(t testing.TB, files FS, path, content string) {
	t.Helper()
	f, err := files.Create(path)
	if err == nil && content != "" {
		_, err = f.WriteAt([]byte(content), 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
}
