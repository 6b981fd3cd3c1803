package zoocfg

import (
	"bufio"
	"encoding/hex"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// asMap is what java.util.Properties would hold; ok is false where it would throw.
func asMap(data string) (m map[string]string, ok bool) {
	properties, _, err := readProperties(strings.NewReader(data))
	m = map[string]string{}
	for _, p := range properties {
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
	const file = "# c\\\na=1\r\n\r\n  b : 2 \\\n\t  # 3\rc 4\\\n\\\n5\n!\nd"
	want := []property{{"a", "1", 2}, {"b", "2 # 3", 4}, {"c", "45", 6}, {"d", "", 10}}
	got, latin1, err := readProperties(strings.NewReader(file))
	if err != nil || !slices.Equal(got, want) || latin1 != nil {
		t.Errorf("got %v %v %v", got, latin1, err)
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
