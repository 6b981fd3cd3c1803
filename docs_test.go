package meerkat_test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pages are the Markdown files of the project, by path.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		name := entry.Name()
		if err == nil && entry.IsDir() && (name == "testdata" || len(name) > 1 && name[0] == '.') {
			return fs.SkipDir
		}
		if err != nil || path.Ext(file) != ".md" {
			return err
		}
		text, err := os.ReadFile(file)
		all[filepath.ToSlash(file)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var (
	linkTo  = regexp.MustCompile(`\]\(([^)#\s]*)(#[^)\s]*)?\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	unnamed = regexp.MustCompile(`[^a-z0-9 _-]`)
)

// anchors are what headings of a page are linked by.
func anchors(text string) map[string]bool {
	all := map[string]bool{}
	for _, h := range heading.FindAllStringSubmatch(text, -1) {
		name := unnamed.ReplaceAllString(strings.ToLower(h[1]), "")
		all["#"+strings.ReplaceAll(name, " ", "-")] = true
	}
	return all
}

// A link inside the project leads somewhere, to a heading as well.
func TestLinksLeadSomewhere(t *testing.T) {
	all, links := pages(t), 0
	for file, text := range all {
		for _, link := range linkTo.FindAllStringSubmatch(text, -1) {
			target := file
			if link[1] != "" {
				if strings.Contains(link[1], "://") {
					continue
				}
				target = path.Join(path.Dir(file), link[1])
			}
			links++
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %s leads nowhere", file, link[0])
			} else if link[2] != "" && !anchors(all[target])[link[2]] {
				t.Errorf("%s: %s: no such heading", file, link[0])
			}
		}
	}
	if links < 20 {
		t.Fatalf("only %d links were found", links)
	}
}

// Whoever reads the front page finds each page for users.
func TestFrontPageLinksAll(t *testing.T) {
	all := pages(t)
	for file := range all {
		if path.Dir(file) == "docs" && !strings.Contains(all["README.md"], "]("+file+")") {
			t.Errorf("README.md does not link %s", file)
		}
	}
}
