// Package meerkat_test holds the rules of the house that linters lack: who may import whom,
// what is pure, how large things get, and what they may not be called. ARCHITECTURE.md gives
// the reasons. Each rule looks at one file or one package, and is itself tested against sources
// that break it (TestRulesCatch).
//
// An exception is one line in a table here, with its reason.
package meerkat_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

const module = "github.com/meerkat-zk/meerkat/"

// floors says what each package may import of the others. A package is not here: it has no
// place in the house yet. One below a folder that is here, and is not here itself, is in that
// folder's row, and may import its neighbours there.
var floors = map[string][]string{
	".":                {},
	"jute":             {},
	"proto":            {"jute"},
	"zab":              {"proto", "jute"},
	"tree":             {"proto", "jute"},
	"wal":              {"proto", "jute"},
	"netloop":          {"proto", "jute"},
	"server/zoocfg":    {"proto", "jute"},
	"server/auth":      {"proto", "jute"},
	"server/metrics":   {"proto"},
	"server/clientlog": {},
	"server/room":      {},
	"server/admin":     {"server/metrics", "proto"},
	"server/quorum":    {"server/clientlog", "zab", "proto", "jute"},
	"server": {"server/zoocfg", "server/auth", "server/clientlog", "server/metrics",
		"server/admin", "server/quorum", "server/room", "netloop", "zab", "tree", "wal", "proto",
		"jute"},
	"client": {"proto", "jute"},
	"bench":  {"client", "proto", "jute"},
	"tools": {"server", "server/zoocfg", "server/clientlog", "server/quorum", "client", "tree",
		"wal", "proto", "jute"},
	"cmd": {"tools", "bench", "client", "server", "server/zoocfg", "server/auth", "server/clientlog",
		"netloop", "zab", "tree", "wal", "proto", "jute"},
}

// libraries are the modules that the project has chosen, and who may import each: any package
// when none is named. A new one needs an ADR.
var libraries = map[string][]string{
	"github.com/HdrHistogram/hdrhistogram-go": {"bench"},
	"github.com/anishathalye/porcupine":       nil,
	"github.com/cespare/xxhash":               {"tree"},
	"github.com/cockroachdb/datadriven":       nil,
	"github.com/go-zookeeper/zk":              {"tools"},
	"github.com/klauspost/compress":           {"wal"},
	"github.com/panjf2000/gnet":               {"netloop"},
	"github.com/prometheus/client_golang":     {"server/admin"},
	"github.com/spf13/cobra":                  {"cmd"},
	"github.com/tidwall/btree":                {"tree"},
	"go.uber.org/goleak":                      nil,
	"golang.org/x/sync":                       nil,
	"golang.org/x/sys":                        nil,
	"pgregory.net/rapid":                      nil,
}

// pure packages compute and nothing else: no clock, no dice, no lock, no world.
var (
	pure       = []string{"jute", "proto", "tree", "zab"}
	impureStd  = []string{"net", "os", "sync", "time", "math/rand", "crypto/rand", "log"}
	clockFuncs = []string{"Now", "Since", "Until", "After", "AfterFunc", "Tick", "NewTicker",
		"NewTimer", "Sleep"}
)

// stepFiles are the steps of core and log: functions of their inputs and of the time they are
// told. Their goroutines and clocks are elsewhere.
var stepFiles = []string{"server/core.go", "server/plan.go", "server/multi.go",
	"server/session.go", "wal/log.go"}

const (
	columnsMax      = 100
	fileLinesMax    = 700
	packageFilesMax = 20 // without doc.go and tests
)

// longFiles may have more lines than others.
var longFiles = map[string]string{}

// largePackages may have more files than others.
var largePackages = map[string]int{}

// vagueWords say nothing about what a thing is. Files, packages and types do without them.
var vagueWords = []string{"manager", "processor", "util", "utils", "helper", "helpers",
	"common", "base", "impl"}

// A source is one Go file.
type source struct {
	path string // from the root, with slashes
	dir  string // its package
	text []byte
	tree *ast.File
	fset *token.FileSet
}

func parseSource(file string, text []byte) (*source, error) {
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, file, text, parser.ParseComments)
	return &source{file, path.Dir(file), text, tree, fset}, err
}

func (s *source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

// at puts the place of a node before a complaint.
func (s *source) at(n ast.Node, format string, args ...any) string {
	return fmt.Sprintf("%s:%d: ", s.path, s.fset.Position(n.Pos()).Line) +
		fmt.Sprintf(format, args...)
}

// imports calls see with each import of the file.
func (s *source) imports(see func(spec *ast.ImportSpec, name string)) {
	for _, spec := range s.tree.Imports {
		if name, err := strconv.Unquote(spec.Path.Value); err == nil {
			see(spec, name)
		}
	}
}

// A rule returns what it has against a file.
type rule func(*source) []string

var rules = []rule{keepsFloors, knowsLibraries, isPure, stepsOnly, isNarrow, isShort, isNamed}

// row is the key of floors that a package belongs to, "" if none does.
func row(dir string) string {
	for ; ; dir = path.Dir(dir) {
		if _, known := floors[dir]; known {
			return dir
		}
		if dir == "." || dir == "/" {
			return ""
		}
	}
}

// keepsFloors refuses an import of our own that goes up or sideways.
func keepsFloors(s *source) (complaints []string) {
	from := row(s.dir)
	if from == "" || from == "." && s.dir != "." {
		return []string{s.path + ": its package has no place in the table of floors"}
	}
	s.imports(func(spec *ast.ImportSpec, name string) {
		to, ours := strings.CutPrefix(name, module)
		switch {
		case !ours || to == s.dir: // a test may import the package it is in
		case from == row(to) && from != s.dir && from != to: // neighbours
		case !slices.Contains(floors[from], to) && !slices.Contains(floors[from], row(to)):
			complaints = append(complaints, s.at(spec, "%s must not import %s", s.dir, to))
		}
	})
	return complaints
}

// knowsLibraries refuses a module that nobody chose, or that belongs to another package.
func knowsLibraries(s *source) (complaints []string) {
	s.imports(func(spec *ast.ImportSpec, name string) {
		host, _, _ := strings.Cut(name, "/")
		if !strings.Contains(host, ".") || strings.HasPrefix(name, module) {
			return
		}
		for library, users := range libraries {
			if name != library && !strings.HasPrefix(name, library+"/") {
				continue
			}
			if users != nil && !slices.Contains(users, row(s.dir)) {
				complaints = append(complaints, s.at(spec, "only %s may import %s",
					strings.Join(users, ", "), library))
			}
			return
		}
		complaints = append(complaints, s.at(spec, "%s is not among our libraries", name))
	})
	return complaints
}

// isPure keeps the world out of the pure packages. Their tests may look at it.
func isPure(s *source) (complaints []string) {
	if !slices.Contains(pure, s.dir) || s.isTest() {
		return nil
	}
	s.imports(func(spec *ast.ImportSpec, name string) {
		for _, bad := range impureStd {
			if name == bad || strings.HasPrefix(name, bad+"/") {
				complaints = append(complaints, s.at(spec, "%s is pure: no %s", s.dir, name))
			}
		}
	})
	return complaints
}

// stepsOnly refuses goroutines and clocks in step files.
func stepsOnly(s *source) (complaints []string) {
	if !slices.Contains(stepFiles, s.path) {
		return nil
	}
	clock := ""
	s.imports(func(spec *ast.ImportSpec, name string) {
		if name != "time" {
			return
		}
		clock = "time"
		if spec.Name != nil {
			clock = spec.Name.Name
		}
		if clock == "." {
			complaints = append(complaints, s.at(spec, "a dot hides the clock"))
		}
	})
	ast.Inspect(s.tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			complaints = append(complaints, s.at(n, "a step starts no goroutine"))
		case *ast.SelectorExpr:
			x, isName := n.X.(*ast.Ident)
			if isName && clock != "" && x.Name == clock &&
				slices.Contains(clockFuncs, n.Sel.Name) {
				complaints = append(complaints, s.at(n, "a step is told the time: no time.%s",
					n.Sel.Name))
			}
		}
		return true
	})
	return complaints
}

// isNarrow bounds the length of lines; a tab is one column.
func isNarrow(s *source) (complaints []string) {
	for i, line := range bytes.Split(s.text, []byte("\n")) {
		if n := utf8.RuneCount(line); n > columnsMax {
			complaints = append(complaints, fmt.Sprintf("%s:%d: %d columns, more than %d",
				s.path, i+1, n, columnsMax))
		}
	}
	return complaints
}

// isShort bounds the length of files.
func isShort(s *source) []string {
	lines := bytes.Count(s.text, []byte("\n"))
	if lines <= fileLinesMax || longFiles[s.path] != "" {
		return nil
	}
	return []string{fmt.Sprintf("%s: %d lines, more than %d", s.path, lines, fileLinesMax)}
}

// vague is the first word of a name that says nothing, "" if there is none.
func vague(name string) string {
	var words []string
	for part := range strings.FieldsFuncSeq(name, func(r rune) bool {
		return strings.ContainsRune("_./-0123456789", r)
	}) {
		words = append(words, splitCamel(part)...)
	}
	for _, w := range words {
		if slices.Contains(vagueWords, strings.ToLower(w)) {
			return strings.ToLower(w)
		}
	}
	return ""
}

var camel = regexp.MustCompile(`([a-z0-9])([A-Z])|([A-Z])([A-Z][a-z])`)

// splitCamel splits "HTTPUtilBase" into HTTP, Util, Base.
func splitCamel(name string) []string {
	return strings.Fields(camel.ReplaceAllString(name, "$1$3 $2$4"))
}

// isNamed refuses names of files, packages and types that say nothing.
func isNamed(s *source) (complaints []string) {
	if w := vague(s.path); w != "" {
		complaints = append(complaints, fmt.Sprintf("%s: %q says nothing", s.path, w))
	}
	ast.Inspect(s.tree, func(n ast.Node) bool {
		spec, isType := n.(*ast.TypeSpec)
		if !isType {
			return true
		}
		if w := vague(spec.Name.Name); w != "" {
			complaints = append(complaints, s.at(spec, "type %s: %q says nothing",
				spec.Name.Name, w))
		}
		return true
	})
	return complaints
}

// judgePackage returns what is wrong with a package as a whole.
func judgePackage(dir string, files []*source) (complaints []string) {
	count, documented, isMain := 0, false, false
	for _, f := range files {
		isDoc := path.Base(f.path) == "doc.go"
		documented = documented || isDoc && f.tree.Doc != nil
		if !isDoc && !f.isTest() {
			count++
			isMain = isMain || f.tree.Name.Name == "main"
		}
	}
	if most := max(packageFilesMax, largePackages[dir]); count > most {
		complaints = append(complaints, fmt.Sprintf("%s: %d files, more than %d", dir, count,
			most))
	}
	if count > 0 && !documented && !isMain {
		complaints = append(complaints, dir+": no doc.go that says what it is")
	}
	return complaints
}

// readHouse reads every Go file of the project.
func readHouse(t *testing.T) map[string][]*source {
	t.Helper()
	packages := map[string][]*source{}
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && (name == "testdata" || len(name) > 1 && name[0] == '.') {
			return fs.SkipDir
		}
		if entry.IsDir() || path.Ext(name) != ".go" {
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		s, err := parseSource(filepath.ToSlash(file), text)
		if err != nil {
			return err
		}
		packages[s.dir] = append(packages[s.dir], s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return packages
}

func TestHouse(t *testing.T) {
	packages := readHouse(t)
	if len(packages) < 8 {
		t.Fatalf("only %d packages were found", len(packages))
	}
	paths := map[string]bool{}
	for dir, files := range packages {
		for _, complaint := range judgePackage(dir, files) {
			t.Error(complaint)
		}
		for _, f := range files {
			paths[f.path] = true
			for _, r := range rules {
				for _, complaint := range r(f) {
					t.Error(complaint)
				}
			}
		}
	}
	for _, file := range stepFiles {
		if !paths[file] {
			t.Errorf("%s is gone: where are its steps now?", file)
		}
	}
	for file := range longFiles {
		if !paths[file] {
			t.Errorf("%s is gone, and needs no exception", file)
		}
	}
}

// A law-abiding source, and one for each way to break a rule with what is said about it.
func TestRulesCatch(t *testing.T) {
	imports := func(pkg string, paths ...string) string {
		return "package " + pkg + "\n\nimport (\n\t\"" + strings.Join(paths, "\"\n\t\"") + "\"\n)\n"
	}
	core := func(line string) string {
		return "package server\n\nimport clock \"time\"\n\nfunc f() {\n\t" + line + "\n}\n" +
			"\nvar _ clock.Duration\n"
	}
	for _, c := range []struct{ path, text, want string }{
		{"tree/a.go", imports("tree", "bytes", module+"proto", "github.com/tidwall/btree"), ""},
		{"tree/a.go", imports("tree", module+"zab"), "tree must not import zab"},
		{"tree/a_test.go", imports("tree_test", module+"tree", "time"), ""},
		{"tree/a_test.go", imports("tree_test", module+"wal"), "tree must not import wal"},
		{"proto/a.go", imports("proto", module+"tree"), "proto must not import tree"},
		{"jute/a.go", imports("jute", module+"proto"), "jute must not import proto"},
		{"netloop/a.go", imports("netloop", module+"server"), "must not import server"},
		{"server/a.go", imports("server", module+"netloop", module+"server/auth"), ""},
		{"server/a.go", imports("server", module+"client"), "must not import client"},
		{"server/auth/a.go", imports("auth", module+"proto"), ""},
		{"server/auth/a.go", imports("auth", module+"server"), "must not import server"},
		{"server/auth/a.go", imports("auth", module+"server/zoocfg"), "must not import"},
		{"server/new/a.go", imports("new", module+"server/zoocfg"), ""},
		{"server/quorum/a.go", imports("quorum", module+"zab", module+"server/clientlog"), ""},
		{"server/quorum/a.go", imports("quorum", module+"tree"), "must not import tree"},
		{"server/quorum/a.go", imports("quorum", module+"netloop"), "must not import netloop"},
		{"client/a.go", imports("client", module+"wal"), "client must not import wal"},
		{"bench/a.go", imports("bench", module+"tree"), "bench must not import tree"},
		{"tools/a/b.go", imports("b", module+"tools/c", module+"client", module+"wal"), ""},
		{"tools/a/b.go", imports("b", module+"zab"), "tools/a must not import zab"},
		{"cmd/meerkat/a.go", imports("main", module+"server", module+"tools/shell"), ""},
		{"wal/a.go", imports("wal", module+"cmd/meerkat"), "must not import cmd/meerkat"},
		{"attic/a.go", imports("attic", "bytes"), "no place in the table of floors"},
		{"attic/deep/a.go", imports("deep", "bytes"), "no place in the table of floors"},

		{"netloop/a.go", imports("netloop", "github.com/panjf2000/gnet/v2"), ""},
		{"server/a.go", imports("server", "github.com/panjf2000/gnet/v2"),
			"only netloop may import github.com/panjf2000/gnet"},
		{"server/a_test.go", imports("server", "github.com/panjf2000/gnet/v2/pkg/x"),
			"only netloop may import github.com/panjf2000/gnet"},
		{"server/a.go", imports("server", "example.com/left/pad"), "not among our libraries"},
		{"server/a.go", imports("server", "go.uber.org/goleaky"), "not among our libraries"},
		{"tools/compat/gozk/a.go", imports("gozk", "github.com/go-zookeeper/zk"), ""},

		{"zab/a.go", imports("zab", "time"), "zab is pure: no time"},
		{"tree/a.go", imports("tree", "sync/atomic"), "tree is pure: no sync/atomic"},
		{"proto/a.go", imports("proto", "math/rand/v2"), "pure: no math/rand/v2"},
		{"jute/a.go", imports("jute", "log/slog"), "jute is pure: no log/slog"},
		{"tree/a.go", imports("tree", "os"), "pure: no os"},
		{"tree/a.go", imports("tree", "net/netip"), "pure: no net/netip"},
		{"tree/a.go", imports("tree", "math", "math/bits"), ""},
		{"wal/a.go", imports("wal", "os", "time", "sync"), ""},

		{"server/core.go", core("_ = clock.Duration(1)"), ""},
		{"server/core.go", core("_ = clock.Now()"), "server/core.go:6: a step is told the time"},
		{"server/plan.go", core("clock.AfterFunc(1, f)"), "no time.AfterFunc"},
		{"server/loop.go", core("_ = clock.Now()"), ""},
		{"server/multi.go", core("go f()"), "server/multi.go:6: a step starts no goroutine"},
		{"server/session.go", core("func() { go f() }()"), "a step starts no goroutine"},
		{"wal/log.go", "package wal\n\nimport . \"time\"\n\nvar _ = Now()\n", "a dot hides"},

		{"wal/a.go", "package wal\n\n// " + strings.Repeat("≤", 97) + "\n", ""},
		{"wal/a.go", "package wal\n\n// " + strings.Repeat("≤", 98) + "\n", "a.go:3: 101 columns"},
		{"wal/a.go", "package wal\n" + strings.Repeat("\n", 699), ""},
		{"wal/a.go", "package wal\n" + strings.Repeat("\n", 700), "701 lines, more than 700"},

		{"wal/a.go", "package wal\n\ntype Database struct{ base, impl int }\n", ""},
		{"wal/a.go", "package wal\n\ntype LogManager int\n", "type LogManager: \"manager\""},
		{"wal/a.go", "package wal\n\ntype fooImpl int\n", "type fooImpl: \"impl\""},
		{"wal/a.go", "package wal\n\ntype HTTPUtil[T any] int\n", "\"util\" says nothing"},
		{"wal/a.go", "package wal\n\ntype DBBase int\n", "type DBBase: \"base\""},
		{"wal/a.go", "package wal\n\nfunc f() { type helper int }\n", "type helper"},
		{"wal/log_utils.go", "package wal\n", "\"utils\" says nothing"},
		{"server/common/a.go", "package common\n", "\"common\" says nothing"},
		{"wal/request_processor_test.go", "package wal\n", "\"processor\" says nothing"},
	} {
		s, err := parseSource(c.path, []byte(c.text))
		if err != nil {
			t.Fatalf("%s: %v", c.path, err)
		}
		var said []string
		for _, r := range rules {
			said = append(said, r(s)...)
		}
		switch {
		case c.want == "" && said != nil:
			t.Errorf("%s:\n%s\nblamed: %q", c.path, c.text, said)
		case c.want != "" && !strings.Contains(strings.Join(said, "\n"), c.want):
			t.Errorf("%s:\n%s\nwant %q, got %q", c.path, c.text, c.want, said)
		}
	}
}

func TestPackageRulesCatch(t *testing.T) {
	files := func(n int, text string, more ...string) (all []*source) {
		for i := range n {
			more = append(more, fmt.Sprintf("wal/f%d.go", i))
		}
		for _, name := range more {
			s, err := parseSource(name, []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, s)
		}
		return all
	}
	const documented = "// Package wal is here.\npackage wal\n"
	for _, c := range []struct {
		files []*source
		want  string
	}{
		{files(20, documented, "wal/doc.go", "wal/a_test.go"), ""},
		{files(21, documented, "wal/doc.go"), "wal: 21 files, more than 20"},
		{files(1, documented), "wal: no doc.go"},
		{files(1, "package wal\n", "wal/doc.go"), "wal: no doc.go"},
		{files(1, "package main\n"), ""},
		{files(0, "package wal\n", "wal/a_test.go"), ""},
	} {
		said := strings.Join(judgePackage("wal", c.files), "\n")
		if c.want == "" && said != "" || !strings.Contains(said, c.want) {
			t.Errorf("%d files: got %q, want %q", len(c.files), said, c.want)
		}
	}
}
