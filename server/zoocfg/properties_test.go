package zoocfg

import (
	"bufio"
	"encoding/hex"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// asMap is what java.util.Properties would hold; ok is false where it would throw.
func asMap(data string) (m map[string]string, ok bool) {
	f, err := readProperties(strings.NewReader(data))
	m = map[string]string{}
	for _, p := range f.properties {
		m[p.key] = p.value
	}
	return m, err == nil
}

func unhex(t *testing.T, s string) string {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestPropertiesAreJavas holds the reader against what Java made of 400 random files.
func TestPropertiesAreJavas(t *testing.T) {
	f, err := os.Open("testdata/properties.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cases := 0
	for s := bufio.NewScanner(f); s.Scan(); {
		line := s.Text()
		if strings.HasPrefix(line, "#") {
			continue
		}
		cases++
		fields := strings.Split(line, " ")
		data := unhex(t, fields[0])
		got, ok := asMap(data)
		if slices.Contains(fields, "error") {
			if ok {
				t.Errorf("%q: Java refuses it, got %q", data, got)
			}
			continue
		}
		want := map[string]string{}
		for _, pair := range fields[1:] {
			k, v, _ := strings.Cut(pair, "=")
			want[unhex(t, k)] = unhex(t, v)
		}
		if !ok || !maps.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", data, got, want)
		}
	}
	if cases < 400 {
		t.Fatalf("only %d cases", cases)
	}
}

func TestPropertyLines(t *testing.T) {
	const text = "# c\\\na=1\r\n\r\n  b : 2 \\\n\t  # 3\rc 4\\\n\\\n5\n!\nd"
	want := []property{{"a", "1", 2}, {"b", "2 # 3", 4}, {"c", "45", 6}, {"d", "", 10}}
	got, err := readProperties(strings.NewReader(text))
	if err != nil || !slices.Equal(got.properties, want) || got.latin1 != nil {
		t.Errorf("got %v %v", got, err)
	}
}

func TestFileTooLong(t *testing.T) {
	if _, ok := asMap(strings.Repeat("#\n", fileBytesMax/2)); !ok {
		t.Error("the longest file was refused")
	}
	if _, ok := asMap(strings.Repeat("#\n", fileBytesMax/2) + "\n"); ok {
		t.Error("a longer file was taken")
	}
}

// What editors on Windows write.
func TestEncodings(t *testing.T) {
	c, warnings, err := Parse("f", strings.NewReader("\ufefftickTime=7\r\ndataDir=/d\r\nclientPort=1"))
	if err != nil || c.TickTime != 7*time.Millisecond || len(warnings) != 1 ||
		!strings.HasPrefix(warnings[0].String(), "f:1: a byte order mark") {
		t.Errorf("%v %v", warnings, err)
	}
	for _, bytes := range []string{"\xff\xfed\x00a\x00", "\xfe\xff\x00d\x00a", "d\x00a\x00", "\x00d"} {
		_, _, err := Parse("f", strings.NewReader(bytes))
		const want = "f:1: the file is in UTF-16: save it as UTF-8 without a byte order mark"
		if err == nil || err.Error() != want {
			t.Errorf("%q: %v", bytes, err)
		}
	}
	_, _, err = Parse("f", strings.NewReader("\xff\xfe\x00\x00d\x00\x00\x00"))
	if err == nil || !strings.Contains(err.Error(), "UTF-32") {
		t.Error(err)
	}
}
