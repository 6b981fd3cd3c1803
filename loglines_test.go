package meerkat_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// An operator who meets a log line finds it in docs/operating.md, with what to do. These tests
// read all log lines out of the sources and compare: none is missing there, none is left over.

const operatingPage = "docs/operating.md"

// unnamedLines are messages that are not written out in the sources, with how the page has them.
var unnamedLines = map[string]string{
	"w.String()": "`zoo.cfg:4: …`", // what zoocfg has against a line of the file
}

// A logLine is a message and its level as the sources have them.
type logLine struct{ level, text, at string }

// logLines are those of a file.
func logLines(s *source) (lines []logLine) {
	ast.Inspect(s.tree, func(n ast.Node) bool {
		call, isCall := n.(*ast.CallExpr)
		if !isCall {
			return true
		}
		f, isMethod := call.Fun.(*ast.SelectorExpr)
		if !isMethod {
			return true
		}
		add := func(level string, text ast.Expr) {
			at := fmt.Sprintf("%s:%d", s.path, s.fset.Position(n.Pos()).Line)
			lines = append(lines, logLine{level, s.textOf(text), at})
		}
		switch name := f.Sel.Name; {
		case name == "line" && s.dir == "server/clientlog":
			add(strings.ToLower(strings.TrimPrefix(s.exprText(call.Args[0]), "slog.Level")), call.Args[1])
		case (name == "Debug" || name == "Info" || name == "Warn" || name == "Error") &&
			len(call.Args) > 0 && s.exprText(f.X) != "http":
			add(strings.ToLower(name), call.Args[0])
		}
		return true
	})
	return lines
}

// exprText is an expression as it stands in the file.
func (s *source) exprText(e ast.Expr) string {
	return string(s.text[s.fset.Position(e.Pos()).Offset:s.fset.Position(e.End()).Offset])
}

// textOf is the value of a text that is written out, in one piece or several; of another
// expression it is the expression.
func (s *source) textOf(e ast.Expr) string {
	switch x := e.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(x.Value); err == nil && x.Kind == token.STRING {
			return text
		}
	case *ast.BinaryExpr:
		return s.textOf(x.X) + s.textOf(x.Y)
	}
	return s.exprText(e)
}

// closings are the reasons that a file gives for closing a client's connection.
func closings(s *source) (lines []logLine) {
	ast.Inspect(s.tree, func(n ast.Node) bool {
		call, isCall := n.(*ast.CallExpr)
		if !isCall {
			return true
		}
		f, isMethod := call.Fun.(*ast.SelectorExpr)
		if !isMethod || f.Sel.Name != "refused" && f.Sel.Name != "abort" || len(call.Args) < 2 {
			return true
		}
		lit, isText := call.Args[1].(*ast.BasicLit)
		if !isText {
			return true
		}
		at := fmt.Sprintf("%s:%d", s.path, s.fset.Position(n.Pos()).Line)
		if why := verb.ReplaceAllString(s.textOf(lit), "…"); why != "…" {
			lines = append(lines, logLine{text: why, at: at})
		}
		return true
	})
	return lines
}

// verb is what fmt replaces.
var verb = regexp.MustCompile(`%[-+#0-9.]*[a-z]`)

// pageTable reads a table of the operators' page: its rows' cells, by the first.
func pageTable(t *testing.T, page, title string) map[string][]string {
	t.Helper()
	_, section, found := strings.Cut(page, "\n### "+title+"\n")
	if !found {
		t.Fatalf("%s has no section %q", operatingPage, title)
	}
	section, _, _ = strings.Cut(section, "\n#")
	rows := map[string][]string{}
	for row := range strings.Lines(section) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(row), "|"), " | ")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if len(cells) > 1 && strings.HasPrefix(cells[0], "`") {
			if rows[cells[0]] != nil {
				t.Errorf("%s: %q has two rows for %s", operatingPage, title, cells[0])
			}
			rows[cells[0]] = cells
		}
	}
	return rows
}

// Each log line has its row in the page, with its level, and each row its line.
func TestLogLinesAreDocumented(t *testing.T) {
	text, err := os.ReadFile(operatingPage)
	if err != nil {
		t.Fatal(err)
	}
	rows := pageTable(t, string(text), "Log lines")
	whys := pageTable(t, string(text), "Why a connection was closed")
	seenRows, seenWhys := map[string]bool{}, map[string]bool{}
	for _, files := range readHouse(t) {
		for _, s := range files {
			if s.isTest() || path.Dir(s.path) == "tools" || strings.HasPrefix(s.path, "tools/") {
				continue
			}
			for _, l := range logLines(s) {
				key := "`" + l.text + "`"
				if name := unnamedLines[l.text]; name != "" {
					key = name
				}
				seenRows[key] = true
				switch row := rows[key]; {
				case row == nil:
					t.Errorf("%s: the table of log lines in %s lacks | %s | %s | … |", l.at,
						operatingPage, key, l.level)
				case !strings.Contains(row[1], l.level):
					t.Errorf("%s: %s is %s, and %s says %s", l.at, key, l.level, operatingPage, row[1])
				}
			}
			for _, l := range closings(s) {
				key := "`" + l.text + "`"
				seenWhys[key] = true
				if whys[key] == nil {
					t.Errorf("%s: the table of reasons in %s lacks | %s | … |", l.at, operatingPage, key)
				}
			}
		}
	}
	if len(seenRows) < 30 || len(seenWhys) < 10 {
		t.Fatalf("only %d lines and %d reasons were found", len(seenRows), len(seenWhys))
	}
	for key := range rows {
		if !seenRows[key] && !documentedOnly[key] {
			t.Errorf("%s: no source has the line %s", operatingPage, key)
		}
	}
	for key := range whys {
		if !seenWhys[key] && !documentedOnly[key] {
			t.Errorf("%s: no source gives the reason %s", operatingPage, key)
		}
	}
}

// documentedOnly are rows of what others print, or of reasons that are put together of parts.
var documentedOnly = map[string]bool{
	"`lines left out`":     true, // clientlog's own, at the level of the line
	"`its session …`":      true, // expired, or moved
	"`bad frame length …`": true, // of netloop and jute
	"`jute: …`":            true,
	"`meerkat: …`":         true, // the last line, as text
}

// A log line that clients can cause is bounded in package clientlog. Files in which a client's
// bytes are handled therefore have no logger of their own.
func TestClientsLinesAreBounded(t *testing.T) {
	atClients := map[string]bool{}
	for _, name := range []string{"conn", "core", "deliver", "feed", "inbox", "loop", "multi", "plan",
		"read", "reap", "session", "shell", "watch", "words"} {
		atClients["server/"+name+".go"] = true
	}
	for dir, files := range readHouse(t) {
		for _, s := range files {
			if s.isTest() || !atClients[s.path] && dir != "netloop" && dir != "server/admin" &&
				dir != "server/auth" {
				continue
			}
			delete(atClients, s.path)
			for _, l := range logLines(s) {
				t.Errorf("%s: %q is not bounded: report it to clientlog", l.at, l.text)
			}
		}
	}
	for file := range atClients {
		t.Errorf("%s is gone: where are clients' bytes handled now?", file)
	}
}

// The tests above see what they are for.
func TestLogLinesAreSeen(t *testing.T) {
	text := `package server

func f() {
	s.logger.Warn("a "+
		"long one", "k", 1)
	jsonLogger(w, 1).Error("other", "err", err)
	logger.Info(w.String())
	http.Error(w, "no line", 500)
	err.Error()
	l.srv.refused(c, "it said %.100q at %v", q, z)
	l.abort(c, "gone")
	l.refuse(c, err)
}
`
	s, err := parseSource("server/a.go", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := []logLine{{"warn", "a long one", "server/a.go:4"}, {"error", "other", "server/a.go:6"},
		{"info", "w.String()", "server/a.go:7"}}
	if got := fmt.Sprint(logLines(s)); got != fmt.Sprint(want) {
		t.Errorf("lines %v, want %v", got, want)
	}
	want = []logLine{{"", "it said … at …", "server/a.go:10"}, {"", "gone", "server/a.go:11"}}
	if got := fmt.Sprint(closings(s)); got != fmt.Sprint(want) {
		t.Errorf("reasons %v, want %v", got, want)
	}
	s, err = parseSource("server/clientlog/a.go", []byte("package clientlog\n\n"+
		"func f() {\n\tl.line(slog.LevelDebug, \"x\", 1)\n}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(logLines(s)); got != "[{debug x server/clientlog/a.go:4}]" {
		t.Errorf("lines %v", got)
	}
}
